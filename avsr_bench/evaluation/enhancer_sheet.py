"""The sheet of an enhancer: some clips noisy, enhanced and clean, as spectrograms to look at and files to listen to."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ..files import MARK, check_target, make_folder, marked, whole, write_whole
from ..inert import inert
from ..records import RATE, Misused, Progress
from ..scoring import sound
from .clips import Clips
from .conditions import corrupted, open_sound
from .device import pick_device
from .enhancing import FULL_SCALE, ShownLips, open_cleaner
from .job import EvaluateRequest, chosen, opened, sound_settings

CLIPS = 4  # of as many speakers
FACES = ("noisy", "enhanced", "clean")
TITLES = {"own": "", "other": ", another's lips", "none": ", lips hidden"}
WINDOW, HOP = 512, 128  # samples of a spectrum, and from one to the next
RANGE = 70  # dB below the loudest place of the clean sound that is still drawn


@dataclass(frozen=True, slots=True)
class Strip:
    """One clip: its three sounds (floats, 1 is full scale), and what was done to it."""

    key: str
    sounds: dict[str, np.ndarray]
    figures: dict[str, float]  # metrics of the enhanced sound, by name


def write_sheet(request: EvaluateRequest, folder: Path, progress: Progress) -> Path:
    """Four clips under the first condition asked for: `sheet.png` and twelve sound files in `folder`."""
    corpus, run = opened(request)
    run.check_enhances()
    if request.sound is None:
        raise Misused("--sheet shows clips under noise: say which with --sound, such as voice:-5")
    condition, *_ = open_sound(
        [request.sound], corpus, request.split, request.seed, sound_settings(request.assignments)
    )
    cleaner = open_cleaner(run, pick_device(request.device))
    modality = cleaner.network.modality
    assert modality in ("audio", "av")
    places, _ = chosen(corpus, request.split, modality, request.limit or CLIPS, need_text=False)
    clips = Clips(corpus, places, modality)
    lips = ShownLips.of(request.lips, clips, places, request.seed)
    make_folder(folder)
    check_target(folder / "sheet.png", marked)
    strips = []
    for place in places:
        clean = clips(place)
        noisy = corrupted(clean, condition, request.seed)
        done = cleaner(noisy, lips(place))
        heard = (each.sound for each in (noisy, done, clean) if each.sound is not None)
        sounds = {name: of / FULL_SCALE for name, of in zip(FACES, heard, strict=True)}
        parts = sound.measure(sounds["enhanced"], sounds["clean"], sounds["noisy"])
        strips.append(Strip(inert(unquote(place.entry.key)), sounds, {name: each.rate for name, each in parts.items()}))
        # One loudness for the three: the noisy sound is the loudest, and none may be clipped.
        loudest = max(float(np.abs(each).max()) for each in sounds.values())
        for name, samples in sounds.items():
            path = folder / f"{Path(unquote(place.entry.key)).name}-{name}.wav"
            write_whole(path, _wav(samples * (0.9 / max(loudest, 1e-6))))
    _draw(strips, f"{run.name}, {condition.name}{TITLES[request.lips]}", folder / "sheet.png")
    progress.say(f"{folder}/sheet.png, and {len(FACES) * len(strips)} sound files beside it")
    return folder / "sheet.png"


def _wav(samples: np.ndarray) -> bytes:
    content = (samples * 32767).round().astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)  # PCM, one channel, 16 bits
    chunks = b"WAVE" + form + struct.pack("<4sI", b"data", len(content)) + content
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Power in dB, frequencies by times."""
    padded = np.pad(samples, (WINDOW // 2, WINDOW // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    return 10 * np.log10(np.abs(np.fft.rfft(windows)).T ** 2 + 1e-12)


def _draw(strips: Sequence[Strip], title: str, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.9 * len(strips) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(len(strips), len(FACES), squeeze=False, sharey=True)
    for row, strip in zip(grid, strips, strict=True):
        top = float(spectrogram(strip.sounds["clean"]).max())
        gain, ratio = strip.figures.get("si_sdr_gain", 0.0), strip.figures.get("si_sdr", 0.0)
        said = (f"noisy, SI-SDR {ratio - gain:.1f} dB", f"enhanced, {ratio:.1f} dB", f"clean: {strip.key}")
        for axes, name, label in zip(row, FACES, said, strict=True):
            samples = strip.sounds[name]
            axes.imshow(
                spectrogram(samples),
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=top - RANGE,
                vmax=top,
                extent=(0, len(samples) / RATE, 0, RATE / 2000),
            )
            axes.set_title(label, loc="left", fontsize=9)
            axes.tick_params(labelsize=8)
        row[0].set_ylabel("kHz", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("s", fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    with whole(path, marked) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110, metadata={"Software": MARK})
