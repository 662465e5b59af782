"""Encoder and CTC head as an ONNX file for clips of any length, checked against torch before it is kept."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .. import objectives
from ..data.inputs import SHOWN, STORED
from ..files import MARK, Ours, check_target, marked, whole
from ..nn import BLANK, DEVIATION, MEAN, Modality, Recogniser
from ..records import FPS, RATE, SAMPLES_PER_FRAME, Refused
from ..runs import Run, open_finished
from ..text import TEXT_VERSION

OPSET = 20
MOST_BYTES = 2**31 - 2**24  # protobuf, which ONNX is written in, ends at 2 GiB; the graph takes some MB beside weights
TRACED = (13, 9)  # frames of the clips of the batch that is traced
# Frames of each clip of the batches that are compared: alone and together, from one frame to several times the trace.
CHECKED = ((1,), (2,), (3, 1), (13,), (40, 17, 1), (97,))
TOLERANCE = 1e-3  # of a log-probability: float32 summed in another order stays below 1e-4


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """What was written, and how far it is from torch."""

    path: Path
    bytes: int
    inputs: tuple[str, ...]
    difference: float  # the largest of any log-probability
    checked: tuple[tuple[int, ...], ...]  # frames of the clips of every batch that was compared


class _Reader(nn.Module):
    """The part of the network that is exported: inputs by frames, and lengths, to log-probabilities."""

    def __init__(self, network: Recogniser) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        *given, lengths = inputs
        # A frame's samples are a row of their own: so T is what is left open, and not a multiple of something.
        given = [tensor.flatten(1) if tensor.dim() == 3 else tensor for tensor in given]
        memory, _ = self.network.encode(given[0] if len(given) == 1 else (given[0], given[1]), lengths)
        return self.network.ctc_log_probs(memory)


def export_onnx(
    folder: Path, out: Path | None = None, ours: Ours = marked, modality: Modality | None = None
) -> OnnxExport:
    """Write a run's encoder and CTC head to `out` (RUN/model.onnx), if onnxruntime finds the same as torch.

    Inputs: `video` (batch, frames, side, side), `audio` (batch, frames, 640) or both, float32, and `lengths` (batch) in
    frames, int64. Output: `log_probs` (batch, frames, tokens). What else it takes to use it alone is in its metadata.
    An `out` that exists is replaced if it is `ours`.
    """
    onnxruntime, *_ = _need("onnxruntime", "onnx", "onnxscript")
    run = open_finished(folder).seen_as(modality)
    objectives.check_recognises(run.recipe.get("objective"), run.name)
    path = out or folder / (f"model-{run.view}.onnx" if run.view else "model.onnx")
    check_target(path, ours)
    network = run.load()
    _check_size(network, folder)
    expected = [_answer(network, lengths) for lengths in CHECKED]
    if not all(np.isfinite(answer).all() for answer in expected):
        raise Refused(f"{folder}: what its network says is not a number: its weights are damaged, or training diverged")
    with whole(path, ours) as unfinished:
        program = _trace(network)
        program.model.producer_name = MARK
        program.model.metadata_props.update(metadata(run))
        program.save(unfinished, external_data=False)
        session = onnxruntime.InferenceSession(str(unfinished), providers=["CPUExecutionProvider"])
        pairs = zip(CHECKED, expected, strict=True)
        difference = max(_difference(session, network, lengths, answer) for lengths, answer in pairs)
        if not difference <= TOLERANCE:  # not a number is not near either
            raise Refused(
                f"{path} was not written: onnxruntime and torch differ by {difference:.2g} in a log-probability, and at"
                f" most {TOLERANCE:g} is near enough; please report it, with the versions of both"
            )
        size = unfinished.stat().st_size
    return OnnxExport(path, size, tuple(network.senses), difference, CHECKED)


def _trace(network: Recogniser) -> torch.onnx.ONNXProgram:
    names = tuple(network.senses)
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    # The fused kernels lay out their answer otherwise than the plain one that the exporter puts in their place.
    with _quiet(), sdpa_kernel(SDPBackend.MATH):
        program = torch.onnx.export(
            _Reader(network).eval(),
            _inputs(network, TRACED),
            dynamo=True,
            input_names=[*names, "lengths"],
            output_names=["log_probs"],
            dynamic_shapes=((*({0: batch, 1: frames} for _ in names), {0: batch}),),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None  # it is with dynamo
    return program


def metadata(run: Run) -> dict[str, str]:
    """What it takes to use the exported file alone, as the strings that ONNX keeps."""
    facts: dict[str, str | float | Sequence[str]] = {
        "run": run.name,
        "modality": run.modality,
        "units": run.tokenizer().units,  # JSON; `▁` stands for a space
        "blank": BLANK,
        "text_version": TEXT_VERSION,
        "fps": FPS,
    }
    if run.modality != "audio":
        side = run.network.mouth
        scaled = max(round(side * STORED / SHOWN), side)
        facts |= {"stored_side": STORED, "scaled_side": scaled, "side": side, "mean": MEAN, "deviation": DEVIATION}
    if run.modality != "video":
        facts |= {"rate": RATE, "samples_per_frame": SAMPLES_PER_FRAME}
    return {
        f"avsr.{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in facts.items()
    }


def _need(*modules: str) -> list[Any]:
    """Modules of an extra, if all are installed."""
    try:
        return [importlib.import_module(module) for module in modules]
    except ImportError as error:
        missing = error.name or modules[0]
        raise Refused(f"ONNX needs {missing}, which is not installed: pip install 'avsr-bench[export]'") from None


def _check_size(network: Recogniser, folder: Path) -> None:
    apart = set(network.decoder.parameters())
    parts = [weight for weight in (*network.parameters(), *network.buffers()) if weight not in apart]
    if (size := sum(weight.nbytes for weight in parts)) > MOST_BYTES:
        raise Refused(
            f"{folder} has {size / 2**30:.1f} GiB of weights beside its decoder: an ONNX file holds at most 2"
        )


def _inputs(network: Recogniser, lengths: Sequence[int]) -> tuple[Tensor, ...]:
    """Noise for clips of these lengths, as the exported file takes it; padding too is noise, which must not matter."""
    generator = torch.Generator().manual_seed(len(lengths) + sum(lengths))
    side = network.settings.mouth
    shapes = {"video": (side, side), "audio": (SAMPLES_PER_FRAME,)}
    noise = (torch.randn(len(lengths), max(lengths), *shapes[name], generator=generator) for name in network.senses)
    return (*noise, torch.tensor(lengths))


@torch.inference_mode()
def _answer(network: Recogniser, lengths: Sequence[int]) -> np.ndarray:
    return _Reader(network).eval()(*_inputs(network, lengths)).numpy()


def _difference(session: Any, network: Recogniser, lengths: Sequence[int], expected: np.ndarray) -> float:
    names = (*network.senses, "lengths")
    inputs = {name: tensor.numpy() for name, tensor in zip(names, _inputs(network, lengths), strict=True)}
    (found,) = session.run(None, inputs)
    if found.shape != expected.shape:
        return float("inf")
    within = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return float(np.abs(found - expected)[within].max())


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks of itself: of operators of torchvision, of names of axes that are the same axis."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
