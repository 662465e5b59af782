"""How fast the beam search is on a processor: the published 250 M network beside the matrix products of its decoder.

python -m benchmarks decoding_speed
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avsr_bench.decoding import CtcPrefixes, DecodeSettings, beam_search, decode
from avsr_bench.nn import AVSR, DecoderState, NetworkSettings
from avsr_bench.nn.decoder import Decoder

from .results import record, table

TOKENS = 5049
FRAMES = 75  # a GRID clip: 3 s
STEPS = 18  # tokens of a sentence; the search is stopped there, since random weights never end one
THREADS = 2
TURNS = 7
TOGETHER = (1, 4, 16)  # utterances at once
TURNS_TOGETHER = 3
HOW = DecodeSettings(beam=40, ctc_weight=0.1)
WELL_KNOWN = (
    2.0  # s a step of the well-known implementation for the same, on two cores (../shared/reference/decoding.md)
)


class Stopwatch:
    """The network with the time of each step of its decoder, up to `STEPS`."""

    def __init__(self, network: AVSR) -> None:
        self.network, self.ctc_log_probs, self.start = network, network.ctc_log_probs, network.start
        self.seconds: list[float] = []

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """One step; hypotheses never end before the last one, and all of them there."""
        begin = time.perf_counter()
        log_probs, state = self.network.step(tokens, state)
        self.seconds.append(time.perf_counter() - begin)
        if len(self.seconds) == STEPS:
            log_probs = torch.full_like(log_probs, -1e6)
        log_probs[:, :, -1] = 0.0 if len(self.seconds) == STEPS else -1e6
        return log_probs, state


def main(grid: Path) -> None:
    """Measure and record; no clip is read."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    network = AVSR("video", NetworkSettings(), TOKENS).eval()
    memory, lengths = torch.randn(1, FRAMES, network.settings.width), torch.tensor([FRAMES])
    turns: dict[str, list[float]] = {name: [] for name in ("search", "decoder", "products", "ctc")}
    with torch.inference_mode():
        _search(network, memory, lengths)
        for _ in range(TURNS):
            search, decoder = _search(network, memory, lengths)
            turns["search"].append(search)
            turns["decoder"].append(decoder)
            turns["products"].append(_products(network))
            turns["ctc"].append(_ctc(network.ctc_log_probs(memory), lengths))
        together: dict[int, list[float]] = {count: [] for count in TOGETHER}
        for _ in range(TURNS_TOGETHER):
            for count, seconds in together.items():
                search, _ = _search(network, memory.expand(count, -1, -1), lengths.expand(count))
                seconds.append(search / count)
        greedy = {
            kind: min(_seconds(partial(decode, network, memory, lengths, DecodeSettings(kind))) for _ in "123")
            for kind in ("attention", "ctc")
        }
    step = {name: statistics.median(seconds) for name, seconds in turns.items()}
    ratio = statistics.median(s / p for s, p in zip(turns["search"], turns["products"], strict=True))
    rows = [
        ["beam search", f"{step['search']:.4f}", f"{ratio:.2f}"],
        ["of it the decoder", f"{step['decoder']:.4f}", f"{step['decoder'] / step['products']:.2f}"],
        ["of it CTC's scores", f"{step['ctc']:.4f}", f"{step['ctc'] / step['products']:.2f}"],
        ["the decoder's matrix products alone", f"{step['products']:.4f}", "1"],
    ]
    record(
        "decoding: speed on a processor",
        "make bench ONLY=decoding_speed",
        table(
            [f"250 M network, {HOW.beam} hypotheses, {TOKENS:,} tokens, {FRAMES} frames", "s a step", "of those"], rows
        )
        + f"\n\n- **{step['search']:.3f} s** a step (goal: at most 0.1 s), where the well-known implementation takes"
        + f" {WELL_KNOWN} s: {WELL_KNOWN / step['search']:.0f}x. That figure was not measured in this run."
        + f"\n- Greedy, the whole utterance of {FRAMES} frames: attention {greedy['attention']:.2f} s"
        + f" (random weights never end: {FRAMES} tokens), CTC {greedy['ctc']:.4f} s."
        + "\n- Several utterances at once, s a step of one of them: "
        + ", ".join(f"{statistics.median(each):.3f} ({count})" for count, each in together.items())
        + f"; s an utterance of {STEPS} tokens: "
        + ", ".join(f"{STEPS * statistics.median(each):.2f} ({count})" for count, each in together.items())
        + "."
        + f"\n\nMedians of {TURNS} turns ({TURNS_TOGETHER} of several at once) of {STEPS} steps, fp32,"
        + f" {THREADS} threads, wall time; in each turn the search, the products and CTC's scores run one by one.",
    )


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _search(network: AVSR, memory: Tensor, lengths: Tensor) -> tuple[float, float]:
    """Seconds a step of the whole search, and of the decoder in it."""
    watch = Stopwatch(network)
    seconds = _seconds(lambda: beam_search(watch, memory, lengths, HOW))
    assert len(watch.seconds) == STEPS
    return seconds / STEPS, sum(watch.seconds) / STEPS


def _products(network: AVSR) -> float:
    """Seconds of the products of one step: every weight matrix of the decoder with 40 vectors, and nothing else."""
    decoder = network.decoder
    assert isinstance(decoder, Decoder)
    keys_of_frames = ("cross_attention.key.weight", "cross_attention.value.weight")  # once an utterance, not a step
    weights = [
        weight
        for name, weight in decoder.named_parameters()
        if weight.ndim == 2 and weight is not decoder.embed.weight and not name.endswith(keys_of_frames)
    ]
    vectors = {weight.shape[1]: torch.randn(HOW.beam, weight.shape[1]) for weight in weights}
    return _seconds(lambda: [vectors[weight.shape[1]] @ weight.T for _ in range(STEPS) for weight in weights]) / STEPS


def _ctc(log_probs: Tensor, lengths: Tensor) -> float:
    """Seconds of CTC's scores of one step: 60 tokens of each of 40 prefixes, of which 40 go on."""
    begin = CtcPrefixes.start(log_probs, lengths)
    prefixes = begin.extend(torch.zeros(HOW.beam, dtype=torch.long), torch.arange(1, HOW.beam + 1))
    tokens = torch.randint(1, TOKENS - 1, (HOW.beam, 60))

    def work() -> None:
        going_on = prefixes
        for _ in range(STEPS):
            going_on.score(tokens)
            going_on.whole()
            going_on = going_on.extend(torch.arange(HOW.beam), tokens[:, 0])

    return _seconds(work) / STEPS
