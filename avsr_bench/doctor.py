"""`avsr-bench doctor`: is this machine ready, and if not, what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FREE_GIB = 5.0  # the synthetic corpus and its shards need under 1 GiB; training keeps checkpoints beside them


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `warn` still works, but not all of it."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def examine(folder: Path) -> Iterator[Finding]:
    """Look at everything, one finding at a time; `folder` is where data would be written."""
    for name, check in _CHECKS.items():
        try:
            yield check()
        except ImportError as error:
            yield Finding(name, "fail", f"cannot be imported: {error}", _remedy_for(error))
        except Exception as error:  # noqa: BLE001  whatever is broken here is what the user came to learn
            yield Finding(
                name,
                "fail",
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                "reinstall: make clean && make",
            )
    yield from _extras()
    yield _disk(folder)


def _remedy_for(error: ImportError) -> str:
    if "libGL" in str(error):
        return "install the system library: apt-get install libgl1"
    if "libglib" in str(error) or "libgthread" in str(error):
        return "install the system library: apt-get install libglib2.0-0"
    return f"pip install {error.name}" if error.name else "reinstall: make clean && make"


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return Finding("python", "ok", version)
    return Finding("python", "fail", version, "use Python 3.11 or 3.12: mediapipe has no wheel for others")


def _torch() -> Finding:
    import torch

    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB"
        return Finding("torch", "ok", f"{torch.__version__} on {device}")
    cores = torch.get_num_threads()
    return Finding("torch", "ok", f"{torch.__version__} on the CPU, {cores} threads: enough for tiny models")


def _torchaudio() -> Finding:
    import torch
    import torchaudio

    torchaudio.functional.resample(torch.zeros(1, 100), 48_000, 16_000)
    return Finding("torchaudio", "ok", torchaudio.__version__)


def _opencv() -> Finding:
    import cv2

    others = [
        name for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless") if _has(name)
    ]
    if others:
        remedy = f"pip uninstall {' '.join(others)}, then pip install --force-reinstall --no-deps opencv-contrib-python"
        return Finding("opencv", "warn", f"{cv2.__version__} and {', '.join(others)} overwrite each other", remedy)
    return Finding("opencv", "ok", cv2.__version__)


def _face_model() -> Finding:
    from . import faces

    for reach in ("short", "full"):
        faces.load_detector(reach)  # and runs it once
    return Finding("face models", "ok", f"mediapipe {importlib.metadata.version('mediapipe')}, short and full range")


def _codecs() -> Finding:
    import av
    import numpy as np

    from . import media

    ramp = np.tile(np.arange(96, dtype=np.uint8) * 2, (96, 1))
    frames = np.stack([np.roll(ramp, shift, axis=1) for shift in range(5)])
    back = media.decode_mouth(media.encode_mouth(frames, lossless=True))
    tone = (np.sin(np.arange(3200) / 10) * 8000).astype(np.int16)
    if not np.array_equal(back, frames) or not np.array_equal(media.decode_flac(media.encode_flac(tone)), tone):
        return Finding(
            "codecs", "fail", "H.264 or FLAC does not give back what went in", "pip install --force-reinstall av"
        )
    return Finding("codecs", "ok", f"H.264 and FLAC round trip, PyAV {av.__version__}")


def _extras() -> Iterator[Finding]:
    needs = {
        "synth": ("the synthetic corpus", ("espeakng_loader", "skimage")),
        "cluster": ("--engine ray", ("ray",)),
        "label": ("label --with pocketsphinx or moonshine", ("pocketsphinx", "moonshine_voice")),
        "enhance": ("PESQ of enhanced sound (wants a C compiler)", ("pesq",)),
    }
    for extra, (what, modules) in needs.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            remedy = f"for {what}: pip install 'avsr-bench[{extra}]'"
            yield Finding(f"extra {extra}", "warn", f"without {', '.join(missing)}", remedy)
        else:
            yield Finding(f"extra {extra}", "ok", what)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    if free >= FREE_GIB:
        return Finding("disk", "ok", f"{free:,.0f} GiB free")
    return Finding("disk", "warn", f"{free:.1f} GiB free", f"{FREE_GIB:g} GiB and more are comfortable: use --out")


def _has(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


_CHECKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "torch": _torch,
    "torchaudio": _torchaudio,
    "opencv": _opencv,
    "face models": _face_model,
    "codecs": _codecs,
}
