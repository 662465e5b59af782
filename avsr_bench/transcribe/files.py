"""Videos one after another: what is asked for is checked first, and one that fails does not stop the others."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .. import media, runs
from ..decoding import Kind
from ..evaluation import open_reader, pick_device
from ..files import STDOUT, Ours, anything, check_target, make_folder, marked, nothing, write_whole
from ..inert import line
from ..nn import Modality
from ..records import Misused, Progress, Refused, Unusable
from .formats import FORMATS, as_json
from .job import TranscribeSettings, transcribe
from .preview import preview
from .transcript import Transcript

Format = Literal["txt", "json", "srt", "vtt"]


@dataclass(frozen=True, slots=True)
class TranscribeRequest:
    """What the user asked for."""

    videos: tuple[Path, ...]
    model: str  # a run's folder, or the name of its system
    format: Format | None = None  # none: what the name of `out` says, else txt
    out: Path | None = None  # a file; of several videos, or where it is there as one, a folder
    preview: Path | None = None
    modality: Modality | None = None  # of a unified network
    decode: Kind | None = None  # none: what the run says
    beam: int | None = None
    device: str = "auto"
    force: bool = False  # replace files that exist
    settings: TranscribeSettings = field(default_factory=TranscribeSettings)


@dataclass(frozen=True, slots=True)
class Failure:
    """A video that gave no transcript, and why."""

    video: Path
    why: str


def transcribe_files(request: TranscribeRequest, progress: Progress, show: Callable[[str], None]) -> list[Failure]:
    """Transcribe videos into files, or onto `show`; the failures."""
    form, targets = _targets(request)
    device = pick_device(request.device)
    reader = open_reader(
        runs.open_run(runs.find_run(request.model)).seen_as(request.modality), device, request.decode, request.beam
    )
    failures = []
    for video in request.videos:
        try:
            transcript = transcribe(video, reader, request.settings, progress)
            for note in transcript.notes:
                progress.say(f"{video}: {note}")
            if not transcript.utterances:
                progress.say(f"{video}: no word was read")
            if video in targets:
                write_whole(targets[video], FORMATS[form](transcript), _ours(form, request))
            else:
                show(_shown(transcript, form, len(request.videos) > 1))
            if request.preview is not None:
                preview(transcript, request.preview, progress, anything if request.force else nothing)
        except Unusable as unusable:
            failures.append(Failure(video, f"cannot be used: {unusable}"))
        except Refused as refused:
            failures.append(Failure(video, str(refused)))
        else:
            continue
        progress.say(f"avsr-bench: {failures[-1].video}: {failures[-1].why}")
    return failures


def _ours(form: Format, request: TranscribeRequest) -> Ours:
    """The files that a transcript may replace: text and subtitles are edited by hand, whoever made them."""
    if request.force:
        return anything
    return marked if form == "json" else nothing


def _targets(request: TranscribeRequest) -> tuple[Format, dict[Path, Path]]:
    """The format, and the file of each video where files are written. What cannot be done is refused now."""
    videos, out = request.videos, request.out
    seen: dict[Path, Path] = {}
    for video in videos:
        if video.resolve() in seen:
            raise Misused(f"{video} is given twice")
        seen[video.resolve()] = video
    if request.preview is not None:
        if len(videos) > 1:
            raise Misused(f"--preview draws one video, and {len(videos)} are given: draw them one by one")
        media.check_rewrite(videos[0], request.preview, anything if request.force else nothing)
        _check_folder(request.preview.parent)
    folder = out is not None and (len(videos) > 1 or out.is_dir())
    named = out.suffix[1:].lower() if out is not None and not folder else ""
    form: Format = request.format or (named if named in FORMATS else "txt")  # type: ignore[assignment]
    if out is None or out == STDOUT:
        if len(videos) > 1 and form in ("srt", "vtt"):
            raise Misused(f"{form} of {len(videos)} videos cannot stand in one stream: give a folder with --out")
        return form, {}
    targets = {video: out / f"{video.stem}.{form}" if folder else out for video in videos}
    taken: dict[Path, Path] = {}
    for video, target in targets.items():
        if target in taken:
            raise Misused(f"{taken[target]} and {video} would both be written to {target}: transcribe them apart")
        if target.resolve() in seen:
            raise Misused(f"--out {target} would overwrite a video: give another name")
        if request.preview is not None and target.resolve() == request.preview.resolve():
            raise Misused(f"--out and --preview are both {target}: give two names")
        taken[target] = video
    if folder:
        make_folder(out)
    _check_folder(out if folder else out.parent)
    for target in targets.values():
        check_target(target, _ours(form, request))
    return form, targets


def _check_folder(folder: Path) -> None:
    """Refuse a folder in which no file can be made."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Refused(f"cannot write into {folder}: {error.strerror}") from error


def _shown(transcript: Transcript, form: Format, several: bool) -> str:
    """A transcript on standard output; JSON as one line a video, text of several under their names."""
    if form == "json":
        return json.dumps(as_json(transcript), ensure_ascii=False) + "\n"
    head = f"==> {line(str(transcript.video))} <==\n" if several else ""
    return head + FORMATS[form](transcript)
