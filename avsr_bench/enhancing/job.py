"""`enhance`: from a noisy recording of any length to the clean sound of who is seen to speak. Reads top to bottom.

Two passes: one that finds and follows the face, and one that cuts its mouth and runs the network as frames come. What
is held of the recording is where the face is, and the frames of one call of the network.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import torch

from .. import media, runs
from ..evaluation import pick_device
from ..faces import FaceSettings
from ..files import anything, nothing
from ..media import VideoInfo, frame_count, in_words
from ..nn import Enhancer
from ..records import FPS, RATE, SILENCE, Misused, Progress, Refused, Unusable
from ..runs import Run
from .lips import Lips, Shown, find_lips
from .stream import Frame, Speed, Stream, algorithmic_ms, enhanced, speed_on_one_thread

AT_ONCE = 25  # frames a call of the network where nobody waits for them: a third of the time of one by one (docs)
TIMED = 10 * FPS  # frames that are gone through again on one thread, to time it
NEEDS_NO_FACE = "a run of --modality audio needs no face"
SHORT = 0.1  # seconds: sound often ends a frame after the picture, which nobody needs to be told


@dataclass(frozen=True, slots=True)
class EnhanceRequest:
    """What the user asked for."""

    source: Path
    model: str  # a run's folder, or the name of its system
    out: Path  # .wav, or .mp4, .mov and .mkv with the picture; - is .wav on standard output
    face: str | None = None  # none: the largest
    other_mouth: Path | None = None  # a video whose lips are shown in place of those of `source`
    stream: bool = False  # frame by frame as they would come from a camera, and timed
    device: str = "auto"
    force: bool = False  # replace a file that exists


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a mouth, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Latency:
    """What a stream costs in time."""

    algorithmic: float  # ms
    speed: Speed  # of the network on its device
    device: str  # with the number of threads
    one_thread: Speed | None  # of a processor; none where that is the device


@dataclass(frozen=True, slots=True)
class Enhanced:
    """What was written."""

    samples: int
    clipped: int  # samples beyond full scale, cut there
    silent: bool  # what was given has no sample but zeros
    gaps: tuple[Gap, ...]
    latency: Latency | None


def enhance(request: EnhanceRequest, progress: Progress = SILENCE) -> Enhanced:
    """Write the clean sound of one recording. What cannot be done is refused, before any work where that is known."""
    sources = tuple(path for path in (request.source, request.other_mouth) if path is not None)
    media.check_resound(sources, request.out, anything if request.force else nothing)
    device = pick_device(request.device)
    run = runs.open_finished(runs.find_run(request.model))
    enhancer = run.enhancer(device)
    _check(request, run, enhancer)
    try:
        info = _picture_of(request.source)
        if info is not None and not info.has_sound:
            raise Refused(f"{request.source} has no sound: there is nothing to enhance")
        lips = _lips(request, run, info, progress) if enhancer.modality == "av" else None
        found = _write(request, run, enhancer, lips, info, progress)
    except Unusable as unusable:
        raise Refused(f"{request.source} cannot be used: {unusable}") from None
    finally:
        gc.collect(1)  # PyAV's containers refer to one another: see prepare_clip.make_sample
    if found.silent:
        progress.say(f"{request.source}: its sound is silence")
    if any(gap.end - gap.start > SHORT for gap in found.gaps):
        progress.say(f"{request.source}: {_gap_note(found)}")
    return found


def _check(request: EnhanceRequest, run: Run, enhancer: Enhancer) -> None:
    """Refuse a run that has no stream, and options that mean nothing to it."""
    assert enhancer.settings.enhancer is not None
    if not enhancer.settings.enhancer.causal:
        raise Refused(f"{run.name} takes whole clips alone (network.enhancer.causal=false): use a causal run")
    if enhancer.modality == "audio":
        for option, given in (("--other-mouth", request.other_mouth), ("--face", request.face)):
            if given is not None:
                raise Misused(f"{option} {given} has no effect: {run.name} enhances by sound alone; leave it out")
    other = request.other_mouth
    if other is not None and other.exists() and request.source.exists() and other.samefile(request.source):
        raise Misused(f"--other-mouth {other} is the video itself: give another one")


def _picture_of(path: Path) -> VideoInfo | None:
    """What is known of the picture; none of a file of sound alone."""
    try:
        return media.probe(path)
    except Unusable as unusable:
        if unusable.reason.code != "no-video-stream":
            raise
        return None


def _lips(request: EnhanceRequest, run: Run, info: VideoInfo | None, progress: Progress) -> Lips:
    """The lips that the network is to see."""
    if request.other_mouth is None and info is None:
        raise Refused(f"{request.source} has no picture, and {run.name} watches lips: {NEEDS_NO_FACE}")
    watched = request.other_mouth or request.source
    # Of a stream no place is interpolated from a later one: the face is looked for in every frame.
    stride = 1 if request.stream else FaceSettings().stride
    try:
        return find_lips(watched, FaceSettings(request.face or "largest", stride), request.stream, progress)
    except Unusable as unusable:
        advice = f"; {NEEDS_NO_FACE}" if request.other_mouth is None else ""
        raise Refused(f"{watched} cannot be used: {unusable}{advice}") from None


def _write(
    request: EnhanceRequest, run: Run, enhancer: Enhancer, lips: Lips | None, info: VideoInfo | None, progress: Progress
) -> Enhanced:
    """Run the network over the recording and write what it says."""
    origin = None if info is None else info.origin
    length = 0 if info is None or info.seconds is None else frame_count(info.seconds)  # for the progress view
    sounds = media.counted(
        media.sound_by_frames(request.source, origin, fill=False), f"{request.source.name}: enhancing", length, progress
    )
    shown = None if lips is None else Shown.beginning_with(lips.first(), enhancer)
    pictures = _pictures(lips, shown, request.other_mouth is not None)
    frames: Iterator[Frame] = ((picture, sound) for sound, picture in zip(sounds, pictures, strict=False))
    timed: list[Frame] = []
    if request.stream:
        frames = _kept(frames, timed)
    stream = Stream(enhancer)
    clipped = 0
    with media.resound(request.source, request.out, origin or 0.0, anything if request.force else nothing) as out:
        for piece in enhanced(stream, frames, 1 if request.stream else AT_ONCE):
            levels = np.rint(piece * 32768)
            clipped += int(((levels < -32768) | (levels > 32767)).sum())
            out.add(levels.clip(-32768, 32767).astype(np.int16))
        if not stream.given:
            raise Refused(f"{request.source} has no sound: there is nothing to enhance")
        # Inside, so that Ctrl-C during the timing leaves no file, as its message says.
        latency = _latency(run, stream, timed) if request.stream else None
    gaps = () if shown is None else tuple(Gap(first / FPS, end / FPS) for first, end in shown.gaps)
    return Enhanced(stream.given, clipped, stream.silent, gaps, latency)


def _pictures(lips: Lips | None, shown: Shown | None, over_and_over: bool) -> Iterator[np.ndarray | None]:
    """What the network is shown in each frame, without end."""
    if lips is None or shown is None:
        yield from repeat(None)
    else:
        mouths = lips.again() if over_and_over else chain(lips, repeat(None))
        yield from map(shown.show, mouths)


def _kept(frames: Iterator[Frame], first: list[Frame]) -> Iterator[Frame]:
    """The same frames, the first of which are kept, to be timed again."""
    for frame in frames:
        if len(first) < TIMED:
            first.append(frame)
        yield frame


def _latency(run: Run, stream: Stream, timed: list[Frame]) -> Latency:
    device, threads = stream.device, torch.get_num_threads()
    on_gpu = device.type != "cpu"
    one_thread = speed_on_one_thread(run.enhancer(), timed) if on_gpu or threads > 1 else None
    name = str(device) if on_gpu else f"{threads} thread{'s' if threads > 1 else ''} of this processor"
    return Latency(algorithmic_ms(stream.enhancer), Speed.of(stream.seconds), name, one_thread)


def _gap_note(found: Enhanced) -> str:
    away = sum(gap.end - gap.start for gap in found.gaps)
    named = ", ".join(f"{in_words(gap.start)}-{in_words(gap.end)}" for gap in found.gaps[:3])
    more = f", and {len(found.gaps) - 3} more" if len(found.gaps) > 3 else ""
    of = f"{away:.1f} of {found.samples / RATE:.1f} s"
    return f"no mouth is in view in {of}, where the sound alone was used: {named}{more}"
