"""Our unified network against what the public USR code answered: see shared/parity/README.md."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from avsr_bench.nn import (
    VIEWS,
    Batch,
    LossSettings,
    NetworkSettings,
    Unified,
    joint_loss,
    load,
    published_name,
    read,
)
from avsr_bench.objectives.follower import follow
from avsr_bench.objectives.pseudo import pseudo_labels
from avsr_bench.objectives.unified import UnifiedObjective, UnifiedSettings

SHORT = {"video": "v", "audio": "a", "av": "av"}
NARROW = NetworkSettings(
    block="transformer",
    width=64,
    heads=4,
    feed_forward=128,
    encoder_blocks=3,
    decoder_blocks=2,
    layer_scale=0.1,
    mask_padding=False,
)
SIZES = {
    "base": (512, 8, 2048, 12, 6, 86_072_534),
    "baseplus": (768, 12, 3072, 12, 6, 171_135_190),
    "large": (1024, 16, 4096, 24, 9, 503_404_758),
}


def refilled(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Weights by the rule of the folder's README."""
    found = {}
    for seed, (name, shape) in enumerate(sorted(shapes.items())):
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(0)
            continue
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        if name.endswith("running_var"):
            found[name] = drawn.abs() * 0.1 + 1
        elif len(shape) == 1 and name.endswith("weight"):
            found[name] = 1 + 0.05 * drawn
        elif len(shape) > 1:
            found[name] = drawn / drawn[0].numel() ** 0.5
        else:
            found[name] = 0.05 * drawn
    return found


@dataclass
class Case:
    weights: dict[str, Tensor]
    student: Unified
    teacher: Unified
    expected: dict[str, Tensor]
    inputs: tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def case(parity: Path, tmp_path_factory) -> Case:
    weights = refilled(json.loads((parity / "usr_tiny_keys.json").read_text()))
    networks = []
    for root in ("backbone.", "target_backbone."):
        path = tmp_path_factory.mktemp("usr") / "weights.pth"
        torch.save({name.removeprefix(root): value for name, value in weights.items() if name.startswith(root)}, path)
        network = Unified(NARROW, 1049)
        load(network, read(path))
        networks.append(network.eval())
    stored = load_file(parity / "usr_tiny.safetensors")
    stored = {name: value.float() if value.dtype == torch.float16 else value for name, value in stored.items()}
    return Case(weights, *networks, stored, (stored["video"], stored["audio"][..., 0]))


def assert_near(ours: Tensor, theirs: Tensor, lengths: Tensor, what: str) -> None:
    for row, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        torch.testing.assert_close(mine[: lengths[row]], other[: lengths[row]], atol=1e-4, rtol=0, msg=what)


@torch.no_grad()
def test_encodings_and_ctc_of_all_three(case):
    lengths = case.expected["lengths"]
    memories = case.student.encode(case.inputs, lengths).chunk(3)
    for view, memory in zip(VIEWS, memories, strict=True):
        assert_near(memory, case.expected[f"enc_{SHORT[view]}"], lengths, view)
        assert_near(
            case.student.view(view).ctc_log_probs(memory), case.expected[f"ctc_log_probs_{SHORT[view]}"], lengths, view
        )


@torch.no_grad()
@pytest.mark.parametrize("view", VIEWS)
def test_losses_on_transcripts(case, view):
    lengths = case.expected["lengths"]
    inputs = dict(zip(VIEWS, (*case.inputs, case.inputs), strict=True))[view]
    lips = case.student.view(view)
    answers = lips.answers(*lips.encode(inputs, lengths), case.expected["label"])
    losses = joint_loss(answers, case.expected["label"], LossSettings())
    for ours, theirs in (("ctc", "ctc"), ("attention", "att")):
        expected = case.expected[f"labelled_{theirs}_{SHORT[view]}"][0]
        torch.testing.assert_close(getattr(losses, ours), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", SIZES)
def test_every_published_entry_has_its_place_and_shape(size, parity):
    width, heads, hidden, blocks, decoder, parameters = SIZES[size]
    settings = NetworkSettings(
        block="transformer",
        width=width,
        heads=heads,
        feed_forward=hidden,
        encoder_blocks=blocks,
        decoder_blocks=decoder,
        layer_scale=0.1,
    )
    with torch.device("meta"):
        network = Unified(settings, 1049)
    published = json.loads((parity / f"usr_{size}_keys.json").read_text())
    ours = {published_name(name, "unified", "usr"): list(value.shape) for name, value in network.state_dict().items()}
    assert ours == published
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@torch.no_grad()
def test_what_the_teacher_reads(case):
    """The labels of every frame, and the transcript that it writes token by token."""
    lengths = case.expected["lengths"]
    memory = case.teacher.encode(case.inputs, lengths, ("av",))
    assert_near(memory, case.expected["teacher_enc"], lengths, "encodings")
    assert_near(case.teacher.ctc["av"](memory), case.expected["teacher_ctc_logits"], lengths, "logits")
    labels = pseudo_labels(case.teacher, memory, lengths, greedy=True)
    assert torch.equal(labels.after, case.expected["teacher_att_tokens"])
    torch.testing.assert_close(labels.sure_tokens, case.expected["teacher_att_confidence"], atol=1e-4, rtol=0)
    assert torch.equal(labels.after != -1, case.expected["teacher_att_mask"])
    best = case.expected["teacher_ctc_logits"].argmax(-1)
    assert all(torch.equal(labels.frames[row, :end], best[row, :end]) for row, end in enumerate(lengths))
    assert bool((labels.frames[1, lengths[1] :] == -1).all())


@torch.no_grad()
@pytest.mark.parametrize("least", [0.0, 0.02])
def test_losses_on_what_the_teacher_reads(case, least):
    objective = UnifiedObjective(case.student, LossSettings(), UnifiedSettings(min_confidence=least)).eval()
    objective.teacher = case.teacher
    for view, short in SHORT.items():
        for heads, theirs in ((objective.frame_heads, f"ctc_{short}"), (objective.token_heads, short)):
            for name, value in heads[view].named_parameters():
                value.copy_(case.weights[f"out_layer_unlabelled_{theirs}.{name}"])
    video, audio = case.inputs
    lengths = case.expected["lengths"]
    batch = Batch(lengths, torch.full((2, 1), -1), video, audio)
    memory = case.teacher.encode(case.inputs, lengths, ("av",))
    losses = objective.pseudo_losses(batch, pseudo_labels(case.teacher, memory, lengths, greedy=True))
    for view, short in SHORT.items():
        for ours, theirs in (("frames", "ctc"), ("tokens", "att")):
            expected = case.expected[f"pseudo_{theirs}_{short}_at_{least}"][0]
            torch.testing.assert_close(losses[ours][view].mean(), expected, rtol=1e-5, atol=0)


def test_a_step_of_the_moving_average(case):
    teacher = Unified(NARROW, 1049)
    teacher.load_state_dict(case.teacher.state_dict())
    follow(teacher, case.student, 0.9)
    torch.testing.assert_close(teacher.entrances["av"].weight, case.expected["ema_linear_av"], atol=1e-6, rtol=0)
