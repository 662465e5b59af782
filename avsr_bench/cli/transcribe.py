"""`avsr-bench transcribe`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .shared import Decode, Force, View, quiet_threads


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("transcribe")(transcribe)


def transcribe(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos of any format and length.")],
    model: Annotated[str, typer.Option(metavar="RUN", help="A run's folder, or the name of its system.")],
    format_: Annotated[
        Literal["txt", "json", "srt", "vtt"] | None,
        typer.Option("--format", help="Text, all that is known, or subtitles.  [default: txt]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; of several videos, a folder; - is standard output.  [default: -]"),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(metavar="OUT.mp4", help="Draw the words and the mouth box into the video.")
    ] = None,
    all_faces: Annotated[bool, typer.Option("--all-faces", help="Read everybody in view, one by one.")] = False,
    face: Annotated[
        str | None, typer.Option(help="Of several faces: largest, center, or X,Y in pixels.  [default: largest]")
    ] = None,
    modality: View = None,
    decode: Annotated[Decode | None, typer.Option(help="How to search.  [default: what the run says]")] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="Hypotheses of the beam.")] = None,
    window: Annotated[float, typer.Option(help="Seconds that are read at once, at most.")] = 8.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:1.")] = "auto",
    force: Force = False,
) -> None:
    """What is said in a video, word by word with times."""
    quiet_threads()
    from ..faces import FaceSettings
    from ..records import Misused
    from ..transcribe.files import TranscribeRequest, transcribe_files
    from ..transcribe.job import TranscribeSettings
    from ..transcribe.windows import WindowSettings
    from .progress import shown

    if face is not None and all_faces:
        raise Misused(f"--face {face} takes one face, and --all-faces takes all of them: give one of the two")
    try:
        faces = FaceSettings(face=face or "largest")
    except ValueError as error:
        raise Misused(f"--face: {error}") from None
    request = TranscribeRequest(
        videos=tuple(videos),
        model=model,
        format=format_,
        out=out,
        preview=preview,
        modality=modality,
        decode=decode,
        beam=beam,
        device=device,
        force=force,
        settings=TranscribeSettings(faces, WindowSettings(window), all_faces),
    )
    try:
        with shown() as progress:
            failures = transcribe_files(request, progress, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print("avsr-bench: stopped; transcripts of videos that were finished are written", file=sys.stderr)
        raise typer.Exit(130) from None
    if failures:
        if len(videos) > 1:
            print(f"avsr-bench: {len(failures)} of {len(videos)} videos could not be transcribed", file=sys.stderr)
        raise typer.Exit(1)
