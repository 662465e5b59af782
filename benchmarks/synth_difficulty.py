"""How hard the synthetic corpus is: the WER of a small CTC network on its test speakers, after minutes on two cores.

    python benchmarks/synth_difficulty.py data/raw/synth [--steps 600] [--threads 2] [--seed 0] [--units letters|words]

Makes what is missing of the corpus in that folder, cuts mouths at their true places (96 x 96 with the eyes 70 pixels
apart, then halved) and trains on characters. No language model, greedy decoding.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path

import jiwer
import numpy as np
import torch
from torch import nn

from avsr_bench.synth import SynthSettings, Utterance, make, utterances

SIDE, EYES_APART = 48, 35.0  # pixels of the halved mouth
SHOWN = 44  # what the network sees of it


def mouths(folder: Path, utterance: Utterance) -> np.ndarray:
    """The mouth of one clip, cut at its true place and upright: uint8 T, SIDE, SIDE."""
    import av
    import cv2

    cv2.setNumThreads(1)
    truth = np.load(folder / utterance.truth_path)
    kernel = np.hanning(9)[1:-1] / np.hanning(9).sum()
    eyes = _smooth(truth["eyes"].reshape(-1, 4), kernel).reshape(-1, 2, 2)
    centre = _smooth(truth["mouth"], kernel)
    frames = []
    with av.open(str(folder / utterance.path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            grey = frame.to_ndarray(format="gray")
            across = eyes[number, 1] - eyes[number, 0]
            scale = EYES_APART / np.linalg.norm(across)
            c, s = scale * across / np.linalg.norm(across)
            turn = np.array([[c, s], [-s, c]])
            shift = (SIDE - 1) / 2 - turn @ centre[number]
            frames.append(cv2.warpAffine(grey, np.concatenate([turn, shift[:, None]], 1), (SIDE, SIDE)))
    return np.stack(frames)


def _smooth(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(values, ((len(kernel) // 2,) * 2, (0, 0)), mode="edge")
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

    settings = SynthSettings()
    recipe = options.folder / "synth.json"
    if recipe.exists():
        found = json.loads(recipe.read_text())
        settings = SynthSettings(**{f.name: found[f.name] for f in fields(SynthSettings)})
    started = time.monotonic()
    made = sum(1 for _ in make(settings, options.folder, options.threads))
    print(f"made {made} clips in {time.monotonic() - started:.0f} s")

    listed = utterances(settings)
    cache = options.folder / ".mouths.npz"  # gone with the corpus
    if not cache.exists() or made:
        with ProcessPoolExecutor(options.threads, mp_context=get_context("spawn")) as pool:
            cut = pool.map(mouths, [options.folder] * len(listed), listed, chunksize=8)
            np.savez(cache, **{u.name: m for u, m in zip(listed, cut, strict=True)})
    clips = dict(np.load(cache))
    of = {split: [u for u in listed if u.split == split] for split in ("train", "valid", "test")}
    frames = {split: sum(len(clips[u.name]) for u in of[split]) for split in of}
    print("frames " + ", ".join(f"{split} {n}" for split, n in frames.items()))

    def pieces(text: str) -> list[str]:
        return list(text) if options.units == "letters" else text.split()

    glue = "" if options.units == "letters" else " "
    symbols = sorted({p for u in of["train"] for p in pieces(u.text)})
    number = {symbol: k + 1 for k, symbol in enumerate(symbols)}
    model = Reader(len(symbols) + 1)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M weights, {len(symbols)} {options.units}")

    def wer(split: str) -> tuple[float, float, str]:
        model.eval()
        said, read = [], []
        with torch.inference_mode():
            for k in range(0, len(of[split]), 16):
                group = of[split][k : k + 16]
                batch, lengths = collate([clips[u.name] for u in group], None)
                best = model(batch).argmax(-1)
                for u, row, length in zip(group, best, lengths, strict=True):
                    kept = torch.unique_consecutive(row[:length])
                    said.append(u.text)
                    read.append(glue.join(symbols[s - 1] for s in kept.tolist() if s))
        model.train()
        by_speaker = [
            jiwer.wer([s for s, u in zip(said, of[split], strict=True) if u.speaker == who],
                      [r for r, u in zip(read, of[split], strict=True) if u.speaker == who])
            for who in sorted({u.speaker for u in of[split]})
        ]  # fmt: skip
        spread = " ".join(f"{100 * w:.0f}" for w in by_speaker)
        return jiwer.wer(said, read), jiwer.cer(said, read), spread

    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, options.steps, pct_start=0.15)
    started, cpu = time.monotonic(), time.process_time()
    order: list[Utterance] = []
    for step in range(1, options.steps + 1):
        if len(order) < options.batch:
            order = [of["train"][k] for k in rng.permutation(len(of["train"]))]
        group, order = order[: options.batch], order[options.batch :]
        batch, lengths = collate([clips[u.name] for u in group], rng)
        said = [torch.tensor([number[p] for p in pieces(u.text)]) for u in group]
        loss = nn.functional.ctc_loss(
            model(batch).transpose(0, 1), torch.cat(said), lengths, torch.tensor([len(s) for s in said])
        )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            word, letter, _ = wer("valid")
            print(
                f"step {step} loss {loss.item():.3f} valid WER {100 * word:.1f} CER {100 * letter:.1f} "
                f"({time.monotonic() - started:.0f} s, {time.process_time() - cpu:.0f} s of processor)",
                flush=True,
            )
    for split in ("train", "valid", "test") if len(of["train"]) < 3000 else ("valid", "test"):
        word, letter, spread = wer(split)
        print(f"{split}: WER {100 * word:.1f} %, CER {100 * letter:.1f} %; by speaker {spread}")


if __name__ == "__main__":
    main()
