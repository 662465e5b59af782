"""Low ranks: what they keep of a trained dense network, what they come to on the board, what they cost at BASE-L.

avsr-bench prep synth && avsr-bench train dense
make leaderboard MODELS=lr-sms,lr-sms-attention,... SEEDS=0,1,2 PUBLISH=1
make bench ONLY=low_rank
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import torch

from avsr_bench import data, evaluation, nn, recipes, runs, scoring
from avsr_bench.decoding import DecodeSettings
from avsr_bench.nn import AVSR, Batch, LossSettings, LowRankSettings, NetworkSettings

from .results import of_entry, record, table, wers

COMMAND = "make bench ONLY=low_rank"
KINDS = {
    "attention": ("query", "key", "value", "position", "output"),
    "feed-forward": ("expand", "reduce"),
}
RUN = Path("runs/synth/dense-tiny-s0")
KEPT = (0.12, 0.17, 0.5)  # of the full rank
# Of attention and of feed-forward layers; a layer that two factors would not make smaller stays whole.
CUTS = ((1, 1), (0.4, 1), (0.25, 1), (0.12, 1), (1, 0.75), (1, 0.5), (1, 0.25), (0.4, 0.75), (0.25, 0.5), (0.12, 0.25))
CLIPS, FRAMES, TOKENS, TURNS = 2, 50, 5049, 5
# By entry of the board: the ranks of attention and of feed-forward layers, and what else is not as in the recipe.
ENTRIES = {
    "dense": ("whole", "whole", ""),
    "lr-sms-attention": ("12 %", "whole", ""),
    "lr-sms-thin-attention": ("6 %", "whole", ""),
    "lr-sms-feed-forward": ("whole", "50 to 17 %", ""),
    "lr-sms-thin-feed-forward": ("whole", "25 to 8.5 %", ""),
    "lr-sms": ("12 %", "50 to 17 %", ""),
    "lr-sms-thin": ("6 %", "25 to 8.5 %", ""),
    "lr-sms-rising": ("12 %", "17 to 50 %", "rising"),
    "lr-sms-flat": ("12 %", "33.5 %", "flat"),
    "lr-sms-random": ("12 %", "50 to 17 %", "random start"),
    "lr-sms-of-dense": ("12 %", "50 to 17 %", "of a dense network, halfway"),
    "lr-sms-whole": ("whole", "whole", "as small as the factors of lr-sms at the start"),
    "rigl": ("whole", "whole", "50 % of the weights"),
    "rigl-80": ("whole", "whole", "20 % of the weights"),
    "gmp": ("whole", "whole", "50 % of the weights"),
    "gmp-80": ("whole", "whole", "20 % of the weights"),
}


def main(grid: Path | None = None) -> None:
    """Write its sections."""
    _board()
    _spectra()
    _cut()
    _speed()


def _board() -> None:
    rows = []
    for entry, (attention, feed_forward, more) in ENTRIES.items():
        if found := of_entry(entry):
            nonzero = fmean(float(row["nonzero"]) for row in found)
            rows.append([entry, attention, feed_forward, more, f"{nonzero:,.0f}", *wers(found)])
    header = ["", "attention", "feed-forward", "otherwise", "parameters that are not 0", "WER", "of each seed"]
    about = "800 updates each. WER in percent, on 240 test clips, greedy."
    record("network: low ranks on the board", COMMAND, f"{table(header, rows)}\n\n{about}")


def _spectra() -> None:
    run = runs.open_finished(RUN)
    trained = run.load()
    torch.manual_seed(run.about.seed or 0)
    first = AVSR(trained.modality, trained.settings, trained.tokens)
    rows = []
    for kind, names in KINDS.items():
        for block in range(trained.settings.encoder_blocks):
            line = [f"{kind}, block {block + 1}"]
            for network in (first, trained):
                sizes = [
                    torch.linalg.svdvals(weight.detach())
                    for name, weight in network.named_parameters()
                    if name.startswith(f"encoders.video.blocks.{block}.")
                    and name.split(".")[-2] in names
                    and weight.dim() == 2
                ]
                line.append(f"{fmean(float(size.square().sum() / size[0] ** 2) for size in sizes):.1f}")
                for kept in KEPT:
                    shares = [
                        float(size[: max(1, round(kept * len(size)))].square().sum() / size.square().sum())
                        for size in sizes
                    ]
                    line.append(f"{fmean(shares):.0%}".replace("%", " %"))
            rows.append(line)
    each = ["stable rank", *(f"{kept:.0%} of the rank".replace("%", " %") for kept in KEPT)]
    header = ["layers", *(f"drawn: {name}" for name in each), *(f"trained: {name}" for name in each)]
    updates = run.about.budget.updates if run.about.budget else 0
    about = (
        f"{run.name}, {updates:,} updates; means over the layers of a block of its encoder. Stable rank: the sum of"
        " the squared singular values over the largest of them; 96 is the most. The others: the fraction of that sum"
        " that so much of the rank keeps."
    )
    record("network: spectra of a dense network", COMMAND, f"{about}\n\n{table(header, rows)}")


def _cut() -> None:
    """What a trained network reads once its layers are factors, before it trains on."""
    run = runs.open_finished(RUN)
    weights = nn.read(RUN / runs.WEIGHTS)
    corpus = data.find_data("data/synth")
    clips = list(data.examples(corpus, data.places(corpus, "test", "video"), "video"))
    rows = []
    for attention, feed_forward in CUTS:
        low = LowRankSettings((attention, attention), (feed_forward, feed_forward), start="random")
        network = AVSR("video", replace(run.network, low_rank=low), len(run.tokenizer()))
        nn.load(network, weights, "all")
        heard = evaluation.read(network, run.tokenizer(), clips, DecodeSettings(kind="ctc"))
        wer = scoring.total(map(scoring.score, heard))["wer"].rate
        parameters = sum(parameter.numel() for parameter in network.parameters())
        kept = (f"{100 * of:.0f} %" for of in (attention, feed_forward))
        rows.append([*kept, f"{parameters:,}", f"{100 * wer:.1f}"])
    header = ["attention", "feed-forward", "parameters", "WER"]
    about = f"{run.name}, its layers as truncated SVDs, not trained on. WER in percent, on 240 test clips, greedy."
    record("network: a trained network as factors", COMMAND, f"{about}\n\n{table(header, rows)}")


def _speed() -> None:
    low = recipes.load(recipes.find("models", "lr-sms"))["network"]["low_rank"]
    settings = NetworkSettings()
    thin = LowRankSettings(tuple(low["attention"]), tuple(low["feed_forward"]), start="random")
    networks = {
        name: AVSR("video", replace(settings, low_rank=of), TOKENS)
        for name, of in (("dense", LowRankSettings()), ("lr-sms", thin))
    }
    video = torch.randint(0, 255, (CLIPS, FRAMES, settings.mouth, settings.mouth), dtype=torch.uint8)
    batch = Batch(torch.full((CLIPS,), FRAMES), torch.randint(1, TOKENS - 1, (CLIPS, 12)), video)
    work: dict[str, Callable[[AVSR], object]] = {
        "forward and backward": lambda network: network.loss(batch, LossSettings()).total.backward(),
        "encoder alone, reading": lambda network: _encode(network, batch),
    }
    rows = []
    for name, of in work.items():
        times: dict[str, list[float]] = {each: [] for each in networks}
        for turn in range(TURNS + 1):
            for each, network in networks.items():
                begin = time.perf_counter()
                of(network)
                if turn:
                    times[each].append(time.perf_counter() - begin)
        dense, ours = (median(times[each]) for each in ("dense", "lr-sms"))
        rows.append([name, f"{dense:.2f}", f"{ours:.2f}", f"{dense / ours:.2f}"])
    about = (
        f"BASE-L for video, {CLIPS} clips of {FRAMES} frames, {torch.get_num_threads()} threads, float32, medians of"
        f" {TURNS} in turns. The paper has 1.15 for an audio-visual network, on hardware that it does not say."
    )
    header = ["", "dense, s", "lr-sms, s", "times as fast"]
    record("network: low ranks, seconds at large", COMMAND, f"{about}\n\n{table(header, rows)}")


@torch.no_grad()
def _encode(network: AVSR, batch: Batch) -> None:
    network.encode(batch.inputs, batch.lengths)
