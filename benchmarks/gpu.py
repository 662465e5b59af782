"""BASE-L on a GPU, a stage at a time: each takes at most 8 minutes, and RESULTS.md has what was measured so far.

    make gpu STAGE=step PYTHON=python3      updates: ways and batches, and their share of what the card can do
    make gpu STAGE=search PYTHON=python3    beam search, utterances at once
    make gpu STAGE=sparse PYTHON=python3    2:4 patterns in the feed-forward layers

PYTHON is one with torch for this card, numpy, and what the package imports; without it, the project's own. Weights and
inputs are random: speed does not depend on them, and every step of a search is taken.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avsr_bench.decoding import DecodeSettings, beam_search
from avsr_bench.nn import AVSR, Batch, LossSettings, NetworkSettings

from . import semi_structured
from .results import record, table

LIMIT = 8 * 60  # seconds of a stage
TOKENS = 5049
WARM, STEPS = 3, 10


@dataclass(frozen=True)
class Form:
    """A network and clips to measure it with; the tests have a narrow one."""

    device: str = "cuda"
    settings: NetworkSettings = field(default_factory=NetworkSettings)
    frames: int = 100
    said: int = 30  # tokens
    clips: int = 16  # 1,600 frames: the published batch of one GPU
    beam: int = 40


@dataclass(frozen=True)
class Way:
    """How an update is done."""

    name: str
    bf16: bool = True
    fused: bool = True  # attention, and AdamW
    tf32: bool = True
    compiled: bool = False
    checkpointing: bool = False
    batches: int = 1  # of a form, in one


WAYS = (
    Way("fp32, nothing fused, no TF32", bf16=False, fused=False, tf32=False),
    Way("fp32, TF32, fused attention and AdamW", bf16=False),
    Way("bf16, fused attention and AdamW"),
    Way("the same, checkpointing", checkpointing=True),
    Way("the same, compiled", compiled=True),
    Way("bf16, fused, twice the batch", batches=2),
    Way("bf16, fused, four batches", batches=4),
    Way("bf16, fused, eight batches", batches=8),
    Way("bf16, fused, four batches, compiled", batches=4, compiled=True),
)


def step(form: Form) -> None:
    """Updates in every way; one that fails, for lack of memory or other reasons, leaves the others measured."""
    head = ["", "clips", "ms an update", "frames/s", "of the plainest", "TFLOP/s", "share", "peak memory, GiB"]
    rows: list[list[str]] = []
    first = None
    for way in _in_time(WAYS):
        clips = form.clips * way.batches
        try:
            seconds, flops, memory = _update(form, way, clips)
        except Exception as error:  # noqa: BLE001  torch and its compiler raise what they like
            rows.append([f"{way.name}: {_line(error)}", f"{clips}", *[""] * 6])
        else:
            rate = clips * form.frames / seconds
            first = first or rate
            share = flops / seconds / _product_speed(form.device, way.bf16, way.tf32)
            times = f"{1e3 * seconds:.0f}", f"{rate:,.0f}", f"{rate / first:.1f}x"
            work = f"{flops / seconds / 1e12:.0f}", f"{share:.0%}", f"{memory / 2**30:.1f}"
            rows.append([way.name, f"{clips}", *times, *work])
        _record(
            "step",
            form,
            f"Forward, backward and AdamW, clips of {form.frames} frames and {form.said} tokens:\n\n{table(head, rows)}"
            "\n\nShare: the operations that torch counts, at the speed of a product of 8192 x 8192 matrices in the same"
            f" precision on this card. Medians of {STEPS} updates. Goals: twice the plainest, 40,000 frames/s.",
        )


def search(form: Form) -> None:
    """Beam search of utterances side by side."""
    rows = []
    for clips in _in_time((1, 8, 32, 128)):
        rates = [_searched(form, clips, kind) for kind in (torch.float32, torch.bfloat16)]
        rows.append([f"{clips}", *(f"{rate:.1f}" for rate in rates)])
        head = ["utterances at once", "fp32, utterances/s", "bf16, utterances/s"]
        about = f"Beam search, {form.beam} hypotheses, CTC 0.1, clips of 75 frames, 25 tokens, encoder included:"
        _record("search", form, f"{about}\n\n{table(head, rows)}")


STAGES: dict[str, Callable[[Form], None]] = {
    "step": step,
    "search": search,
    "sparse": lambda form: semi_structured.main(),
}


def _in_time(what: Sequence[Any]) -> Iterator[Any]:
    """One after another, until the time of a stage is over."""
    begun = time.monotonic()
    for number, each in enumerate(what):
        if time.monotonic() - begun > 0.8 * LIMIT:
            left = len(what) - number
            print(f"gpu: the last {left} of {len(what)} are left out: {LIMIT // 60} minutes are over", file=sys.stderr)
            return
        yield each


def _update(form: Form, way: Way, clips: int) -> tuple[float, float, int]:
    """Seconds of an update, the operations in it, and the most memory it takes."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = way.tf32
    on_gpu = form.device == "cuda"
    settings = replace(form.settings, checkpointing=way.checkpointing)
    network = AVSR("video", settings, TOKENS).to(form.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=way.fused)
    side = settings.mouth
    batch = Batch(
        lengths=torch.full((clips,), form.frames),
        tokens=torch.randint(1, TOKENS - 1, (clips, form.said)),
        video=torch.randint(0, 256, (clips, form.frames, side, side), dtype=torch.uint8),
    ).to(form.device)

    def update() -> None:
        with torch.autocast(form.device, torch.bfloat16, enabled=way.bf16):
            network.loss(batch, LossSettings()).total.backward()
        optimiser.step()
        optimiser.zero_grad()

    with contextlib.nullcontext() if way.fused else sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as counter:
            update()
        if way.compiled:
            network.encode = torch.compile(network.encode)  # type: ignore[method-assign]
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        seconds = _time(update, form.device)
    return seconds, counter.get_total_flops(), torch.cuda.max_memory_allocated() if on_gpu else 0


@torch.inference_mode()
def _searched(form: Form, clips: int, kind: torch.dtype) -> float:
    """Utterances a second."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    network = AVSR("video", form.settings, TOKENS).to(form.device).eval().to(kind)
    side = form.settings.mouth
    video = torch.randn(clips, 75, side, side, device=form.device, dtype=kind)
    lengths = torch.full((clips,), 75, device=form.device)
    settings = DecodeSettings(beam=form.beam)

    class Endless:
        """The network with a vocabulary's end that never comes before 25 tokens were said."""

        def __init__(self) -> None:
            self.ctc_log_probs, self.start = network.ctc_log_probs, network.start

        def step(self, tokens: torch.Tensor, state: Any) -> Any:
            log_probs, state = network.step(tokens, state)
            log_probs[..., -1] = 0.0 if state.tokens >= 25 else -1e4
            return log_probs, state

    def once() -> None:
        memory, reached = network.encode(video, lengths)
        beam_search(Endless(), memory, reached, settings)

    return clips / _time(once, form.device, turns=3)


@cache
def _product_speed(device: str, bf16: bool, tf32: bool) -> float:
    """Operations a second of the largest product that the card should do at full speed."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    side = 8192 if device == "cuda" else 512
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    return 2 * side**3 / _time(lambda: matrix @ matrix, device)


def _time(work: Callable[[], Any], device: str, turns: int = STEPS) -> float:
    """The median of some turns, after some that are not counted."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    taken = []
    for _ in range(WARM + turns):
        begun = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - begun)
    return median(taken[WARM:])


def _record(stage: str, form: Form, body: str) -> None:
    card = torch.cuda.get_device_name() if form.device == "cuda" else "no GPU"
    about = f"{card}, torch {torch.__version__}"
    record(f"network: BASE-L on a GPU: {stage}", f"make gpu STAGE={stage}", f"{about}\n\n{body}")


def _line(error: Exception) -> str:
    return f"failed, {type(error).__name__}: {' '.join(str(error).replace('|', '/').split())[:100]}"


if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in STAGES:
        sys.exit(f"make gpu STAGE={'|'.join(STAGES)}")
    if not torch.cuda.is_available():
        sys.exit(f"no GPU: torch {torch.__version__} sees none here (`avsr-bench doctor` says more)")
    STAGES[sys.argv[1]](Form())
