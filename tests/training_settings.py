"""Settings that make training a matter of a second: for tests of what training does."""

SMALL = (
    "network.mouth=16",
    "network.width=16",
    "network.heads=2",
    "network.feed_forward=24",
    "network.kernel=5",
    "network.encoder_blocks=2",
    "network.video={kind: resnet, channels: [4, 6, 8, 10], blocks: 1, stem: [3, 3, 3]}",
    "network.audio={channels: [4, 6, 8, 10], blocks: 1}",
    "network.fusion=16",
    "data.frames=60",
    "data.group=2",
    "train.workers=0",
    "train.threads=1",
    "train.validate_every=4",
    "train.average=3",
    "train.average_fraction=0.25",
)


def small(*assignments: str) -> list[str]:
    """`SMALL` with these laid over it, each setting once, as a command line wants it."""
    return list({each.partition("=")[0]: each for each in (*SMALL, *assignments)}.values())
