from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avsr_bench.nn import AVSR, Batch, FrontendSettings, Modality, NetworkSettings

NARROW = FrontendSettings(channels=(4, 6, 8, 10), blocks=1, stem=(3, 3, 3))
SMALL = NetworkSettings(
    mouth=16,
    video=NARROW,
    audio=NARROW,
    width=16,
    heads=2,
    feed_forward=24,
    kernel=5,
    encoder_blocks=2,
    decoder_blocks=2,
    fusion=20,
)
MakeNetwork = Callable[..., AVSR]
MakeBatch = Callable[..., Batch]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small gains nothing from threads, and loses much where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_network() -> MakeNetwork:
    """A small network of a modality; settings may be changed by name."""

    def make(modality: Modality = "video", tokens: int = 12, **changes: object) -> AVSR:
        torch.manual_seed(1)
        return AVSR(modality, replace(SMALL, **changes), tokens)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_batch() -> MakeBatch:
    """Clips of 9, 6 and 7 frames with noise behind their ends, and transcripts of 4, 2 and 3 tokens."""

    def make(modality: Modality = "video") -> Batch:
        noise = torch.Generator().manual_seed(2)
        return Batch(
            lengths=torch.tensor([9, 6, 7]),
            tokens=torch.tensor([[3, 5, 5, 1], [7, 2, -1, -1], [4, 4, 9, -1]]),
            video=torch.randn(3, 9, 16, 16, generator=noise) if modality != "audio" else None,
            audio=torch.randn(3, 9 * 640, generator=noise) if modality != "video" else None,
            keys=("a", "b", "c"),
        )

    return make


@pytest.fixture(scope="session")
def parity() -> Path:
    """What the public networks answered; beside the repository, where it is at hand."""
    folder = Path(__file__).parents[2] / "../shared/parity"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder
