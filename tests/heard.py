"""A small prepared corpus of a real face, and runs that read it: for tests of evaluation and robustness."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from people import clip, place
from small_runs import small_network, small_tokenizer, small_unified
from torch.nn.modules.batchnorm import _BatchNorm
from videos import tone, write_video

from avsr_bench import data, runs
from avsr_bench.decoding import DecodeSettings
from avsr_bench.evaluation.reading import view_of
from avsr_bench.nn import VIEWS, Network, Reads, Recogniser
from avsr_bench.prep.job import PrepRequest, prep

SAID = ["bin blue", "at f two", "now", "two blue now", "f at", "bin now blue", "at two"]
SPLITS = {"ann": "test", "bob": "test", "cat": "test", "dan": "valid", "eve": "train"}


class Silence:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.begun: list[tuple[str, int, str]] = []
        self.total = self.steps = 0

    def say(self, line: str) -> None:
        self.said.append(line)

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None:
        self.begun.append((what, total, unit))
        self.total = total

    def step(self, outcome: object, status: str = "") -> None:
        self.steps += 1


def make_videos(root: Path) -> Path:
    """Eleven clips of five speakers, 12 to 27 frames long, with sound and a manifest."""
    rows = ["path,text,split,speaker"]
    number = 0
    for speaker, split in SPLITS.items():
        for _ in range(3 if split == "test" else 1):
            frames = 12 + number * 7 % 16
            name = f"{speaker}{number}.mp4"
            sound = tone(frames / 25, pitch=200 + 30 * number)
            write_video(root / name, speaking(frames, number), sound=sound)
            rows.append(f"{name},{SAID[number % len(SAID)]},{split},{speaker}")
            number += 1
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def speaking(frames: int, number: int) -> list[np.ndarray]:
    """One of two people, nodding, in the light of this clip."""
    who, light = ("astronaut", "other")[number % 2], 0.6 + 0.04 * number
    shown = clip(frames, lambda t: [(who, place((160 + t / 2, 120), 90, 6 * np.sin(t * (0.3 + number / 20))))])
    return [(frame * light).astype(np.uint8) for frame in shown]


def make_corpus(root: Path, out: Path, *assignments: str) -> data.Prepared:
    """The shards of the videos."""
    prep(PrepRequest(corpus="folder", root=root, out=out, workers=2, assignments=assignments), Silence())
    return data.Prepared(str(out))


def make_run(
    folder: Path,
    prepared: data.Prepared,
    modality: Reads = "video",
    seed: int = 1,
    ctc: float | None = None,
    **about: object,
) -> Path:
    """A run whose untrained network says something else about every clip."""
    network: Network
    if modality == "unified":
        network = small_unified(seed=seed, block="transformer")  # without batch norms that views would share
        for view in VIEWS:
            lively(network.view(view), prepared)
    else:
        network = small_network(modality, seed=seed)
        lively(network, prepared)
    folder.mkdir(parents=True)
    small_tokenizer().save(folder)
    known = {"system": "dense", "corpus": "small", "size": "tiny", "modality": modality, "seed": seed}
    sections: dict[str, object] = {"network": asdict(network.settings), "decode": asdict(DecodeSettings(kind="ctc"))}
    if ctc is not None:
        sections["loss"] = {"ctc": ctc}
    runs.write_recipe(folder, runs.About(**{**known, **about}), sections)  # type: ignore[arg-type]
    runs.write_weights(folder, network.state_dict())
    return folder


@torch.no_grad()
def lively(network: Recogniser, prepared: data.Prepared) -> None:
    """Give a network the statistics of real clips, so that what it says depends on the clip."""
    view = network.modality, network.settings.mouth
    seen = data.examples(prepared, data.places(prepared, "test", network.modality), network.modality)
    batch = data.collate([view_of(example, view) for example in seen])
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    memory, lengths = network.encode(batch.inputs, batch.lengths)
    for norm in norms:
        norm.eval()
    memory = torch.cat([row[:length] for row, length in zip(memory, lengths, strict=True)])
    network.ctc.weight.normal_().div_(memory.std(0))
    network.ctc.bias.copy_(-(network.ctc.weight @ memory.mean(0)))
