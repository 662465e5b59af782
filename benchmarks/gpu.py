"""BASE-L on a GPU: training steps in five ways, and decoding in batches. Needs a GPU and torch, nothing else.

    python -m benchmarks.gpu

Prints Markdown. Weights and inputs are random: speed does not depend on them, and every step of a search is taken.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from avsr_bench.decoding import DecodeSettings, beam_search
from avsr_bench.nn import AVSR, Batch, LossSettings, NetworkSettings

CLIPS, FRAMES, TOKENS_SAID = 16, 100, 30  # 1,600 frames: the published batch of one GPU
TOKENS = 5049
STEPS = 10
WAYS = {  # name: (bf16 autocast, fused attention, torch.compile, checkpointing, TF32)
    "fp32, no fused attention, no TF32": (False, False, False, False, False),
    "fp32, TF32, fused attention": (False, True, False, False, True),
    "bf16, fused attention": (True, True, False, False, True),
    "bf16, fused attention, checkpointing": (True, True, False, True, True),
    "bf16, fused attention, compiled": (True, True, True, False, True),
}


def main() -> None:
    """Measure and print."""
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print(f"BASE-L video, forward and backward and AdamW, {CLIPS} clips of {FRAMES} frames:\n")
    print("| | ms a step | frames/s | of the plainest | peak memory, GiB |\n| --- | ---: | ---: | ---: | ---: |")
    first = None
    for name, way in WAYS.items():
        try:
            seconds, memory = _training(*way)
        except Exception as error:  # noqa: BLE001  one way that fails leaves the others measured
            print(
                f"| {name} | failed: {type(error).__name__}: {' '.join(str(error).split())[:120]} | | | |", flush=True
            )
            continue
        first = first or seconds
        rate = CLIPS * FRAMES / seconds
        print(f"| {name} | {seconds * 1e3:.0f} | {rate:,.0f} | {first / seconds:.1f}x | {memory:.1f} |", flush=True)
    print("\nBeam search, 40 hypotheses, CTC 0.1, clips of 75 frames, 25 tokens, encoder included:\n")
    print("| utterances at once | fp32, utterances/s | bf16, utterances/s |\n| ---: | ---: | ---: |")
    for clips in (1, 8, 32, 128):
        rates = [f"{_decoding(clips, kind):.1f}" for kind in (torch.float32, torch.bfloat16)]
        print(f"| {clips} | {rates[0]} | {rates[1]} |", flush=True)


def _training(bf16: bool, fused: bool, compiled: bool, checkpointing: bool, tf32: bool) -> tuple[float, float]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    network = AVSR("video", NetworkSettings(checkpointing=checkpointing), TOKENS).cuda()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5)
    if compiled:
        network.compile()
        network.encode = torch.compile(network.encode)  # type: ignore[method-assign]
    batch = Batch(
        lengths=torch.full((CLIPS,), FRAMES),
        tokens=torch.randint(1, TOKENS - 1, (CLIPS, TOKENS_SAID)),
        video=torch.randn(CLIPS, FRAMES, 88, 88),
    ).to("cuda")

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            network.loss(batch, LossSettings()).total.backward()
        optimiser.step()

    kernels = contextlib.nullcontext() if fused else sdpa_kernel(SDPBackend.MATH)
    with kernels:
        torch.cuda.reset_peak_memory_stats()
        seconds = _time(step)
    return seconds, torch.cuda.max_memory_allocated() / 2**30


@torch.inference_mode()
def _decoding(clips: int, kind: torch.dtype) -> float:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    network = AVSR("video", NetworkSettings(), TOKENS).cuda().eval().to(kind)
    video, lengths = torch.randn(clips, 75, 88, 88, device="cuda", dtype=kind), torch.full((clips,), 75, device="cuda")
    settings = DecodeSettings(beam=40)

    class Endless:
        """The network with a vocabulary's end that never comes before 25 tokens were said."""

        def __init__(self) -> None:
            self.ctc_log_probs, self.start = network.ctc_log_probs, network.start

        def step(self, tokens: torch.Tensor, state: Any) -> Any:
            log_probs, state = network.step(tokens, state)
            log_probs[..., -1] = 0.0 if state.tokens >= 25 else -1e4
            return log_probs, state

    def search() -> None:
        memory, reached = network.encode(video, lengths)
        beam_search(Endless(), memory, reached, settings)

    return clips / _time(search, turns=3)


def _time(work: Callable[[], None], turns: int = STEPS) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(turns):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / turns


if __name__ == "__main__":
    main()
