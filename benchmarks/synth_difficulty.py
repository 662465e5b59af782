"""How hard the synthetic corpus is: the WER of a small CTC network on its test speakers, after minutes on two cores.

    avsr-bench prep synth
    python -m benchmarks.synth_difficulty data/synth [--steps 400] [--units words|letters] [--threads 2] [--seed 0]

Given shards it reads their mouths; given the videos (data/raw/synth) it cuts mouths at their true places, which says
what perfect detection would be worth. No language model, greedy decoding.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import jiwer
import numpy as np
import torch
from torch import nn

from avsr_bench import media, shards

SIDE = 48  # pixels: mouths of 96 halved
EYES_APART = 36.0  # pixels between the eyes in a halved mouth, about as in a prepared one
SHOWN = 44  # what the network sees of it
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Said:
    """One clip: its mouth and its words."""

    speaker: str
    text: str
    mouth: np.ndarray  # uint8 T, SIDE, SIDE


def read_shards(folder: Path, split: str) -> list[Said]:
    """Every prepared clip of a split."""
    clips = []
    for _, members in shards.iterate(folder, split, "mouth.mp4", "json"):
        facts = json.loads(members["json"])
        mouth = media.decode_mouth(members["mouth.mp4"])
        halved = [cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in mouth]
        clips.append(Said(facts["speaker"], facts["text"], np.stack(halved)))
    return clips


def cut_videos(folder: Path, split: str) -> list[Said]:
    """Every clip of a split, its mouth cut upright where it truly is."""
    rows = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    return [Said(row["speaker"], row["text"], _cut(folder / row["path"])) for row in rows if row["split"] == split]


def _cut(video: Path) -> np.ndarray:
    with np.load(video.with_suffix(".truth.npz")) as truth:
        eyes, centre = _smooth(truth["eyes"].reshape(-1, 4)).reshape(-1, 2, 2), _smooth(truth["mouth"])
    across = eyes[:, 1] - eyes[:, 0]
    c, s = (EYES_APART * across / (across**2).sum(1, keepdims=True)).T
    turn = np.stack([c, s, -s, c], 1).reshape(-1, 2, 2)
    shift = (SIDE - 1) / 2 - np.einsum("tij,tj->ti", turn, centre)
    matrices = np.concatenate([turn, shift[..., None]], 2)
    pictures = media.Video(video)
    return np.stack([picture.warp(matrix, SIDE, "grey") for picture, matrix in zip(pictures, matrices, strict=True)])


def _smooth(values: np.ndarray) -> np.ndarray:
    kernel = np.hanning(9)[1:-1] / np.hanning(9).sum()
    padded = np.pad(values, ((3, 3), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], 1)


class Reader(nn.Module):
    """Convolutions over each frame and its neighbours, then over a second of time."""

    def __init__(self, units: int) -> None:
        super().__init__()

        def space(into: int, out: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]

        def block(reach: int) -> nn.Sequential:
            pad = 2 * reach
            return nn.Sequential(
                nn.Conv1d(160, 160, 5, 1, pad, reach, bias=False), nn.BatchNorm1d(160), nn.ReLU(), nn.Dropout(0.1)
            )

        self.stem = nn.Sequential(
            nn.Conv3d(1, 16, (5, 5, 5), (1, 2, 2), (2, 2, 2), bias=False), nn.BatchNorm3d(16), nn.ReLU()
        )
        self.trunk = nn.Sequential(nn.MaxPool2d(2), *space(16, 32, 2), *space(32, 64, 1), *space(64, 96, 2))
        self.bottleneck = nn.Sequential(nn.Linear(96 * 9, 160), nn.LayerNorm(160), nn.ReLU(), nn.Dropout(0.1))
        self.time = nn.ModuleList([block(1), block(1), block(2), block(2)])
        self.out = nn.Linear(160, units)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Log-probabilities B, T, units of video B, T, H, W."""
        x = self.stem(video[:, None]).transpose(1, 2)
        batch, frames = x.shape[:2]
        x = self.trunk(x.flatten(0, 1)).flatten(1)
        x = self.bottleneck(x).view(batch, frames, -1).transpose(1, 2)
        for block in self.time:
            x = x + block(x)
        return self.out(x.transpose(1, 2)).log_softmax(-1)


def collate(clips: list[np.ndarray], rng: np.random.Generator | None) -> tuple[torch.Tensor, torch.Tensor]:
    """A padded batch, normalised; with `rng` shifted and mirrored at random."""
    lengths = torch.tensor([len(c) for c in clips])
    batch = torch.zeros(len(clips), int(lengths.max()), SHOWN, SHOWN)
    for row, clip in zip(batch, clips, strict=True):
        y, x = rng.integers(0, SIDE - SHOWN + 1, 2) if rng is not None else (2, 2)
        shown = torch.from_numpy(clip[:, y : y + SHOWN, x : x + SHOWN].astype(np.float32) / 255)
        shown = (shown - shown.mean()) / (shown.std() + 1e-3)
        row[: len(clip)] = shown.flip(-1) if rng is not None and rng.random() < 0.5 else shown
    return batch, lengths


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--units", choices=("letters", "words"), default="words")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    load = read_shards if (options.folder / "prep.json").exists() else cut_videos
    of = {split: load(options.folder, split) for split in SPLITS}
    print(
        "clips and frames: " + ", ".join(f"{split} {len(c)} {sum(len(s.mouth) for s in c)}" for split, c in of.items())
    )
    in_words = options.units == "words"
    glue = " " if in_words else ""

    def pieces(text: str) -> list[str]:
        return text.split() if in_words else list(text)

    symbols = sorted({piece for said in of["train"] for piece in pieces(said.text)})
    number = {symbol: k + 1 for k, symbol in enumerate(symbols)}  # 0 is CTC's blank
    model = Reader(len(symbols) + 1)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M weights, {len(symbols)} {options.units}")

    def read(clips: list[Said]) -> list[str]:
        model.eval()
        texts = []
        with torch.inference_mode():
            for k in range(0, len(clips), 16):
                batch, lengths = collate([said.mouth for said in clips[k : k + 16]], None)
                for row, length in zip(model(batch).argmax(-1), lengths, strict=True):
                    texts.append(
                        glue.join(symbols[s - 1] for s in torch.unique_consecutive(row[:length]).tolist() if s)
                    )
        model.train()
        return texts

    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, options.steps, pct_start=0.15)
    started, processor = time.monotonic(), time.process_time()
    order: list[int] = []
    for step in range(1, options.steps + 1):
        if len(order) < options.batch:
            order = rng.permutation(len(of["train"])).tolist()
        group, order = [of["train"][k] for k in order[: options.batch]], order[options.batch :]
        batch, lengths = collate([said.mouth for said in group], rng)
        targets = [torch.tensor([number[piece] for piece in pieces(said.text)]) for said in group]
        sizes = torch.tensor([len(target) for target in targets])
        scores = model(batch).transpose(0, 1)
        loss = nn.functional.ctc_loss(scores, torch.cat(targets), lengths, sizes, zero_infinity=True)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            wer = jiwer.wer([said.text for said in of["valid"]], read(of["valid"]))
            spent = f"{time.monotonic() - started:.0f} s, {time.process_time() - processor:.0f} s of processor"
            print(f"step {step}: loss {loss.item():.3f}, valid WER {wer:.1%} ({spent})", flush=True)
    for split in SPLITS:
        clips, texts = of[split], read(of[split])
        wer = jiwer.wer([said.text for said in clips], texts)
        each = []
        for speaker in sorted({said.speaker for said in clips}):
            own = [(said.text, text) for said, text in zip(clips, texts, strict=True) if said.speaker == speaker]
            each.append(f"{100 * jiwer.wer([a for a, _ in own], [b for _, b in own]):.0f}")
        print(f"{split}: WER {wer:.1%}; by speaker {' '.join(each)}")


if __name__ == "__main__":
    main()
