"""`avsr-bench enhance`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import Force, beside, quiet_threads

if TYPE_CHECKING:
    from ..enhancing import Latency, Speed


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("enhance")(enhance)


def enhance(
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="Any video with sound; for a run of sound alone, a sound file too.")
    ],
    model: Annotated[str, typer.Option(metavar="RUN", help="An enhancer's folder, or the name of its system.")],
    out: Annotated[
        Path,
        typer.Option(help="File to write: .wav (- is standard output), or .mp4, .mov, .mkv with the picture copied."),
    ],
    face: Annotated[
        str | None, typer.Option(help="Of several faces: largest, center, or X,Y in pixels.  [default: largest]")
    ] = None,
    other_mouth: Annotated[
        Path | None,
        typer.Option(
            metavar="VIDEO",
            help="A control: show the lips of this video instead, cut to length, or over and over where it is shorter;"
            " --face is then about this video.",
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="One frame of 40 ms at a time, and print what that takes: latency.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:1.")] = "auto",
    force: Force = False,
) -> None:
    """The clean sound of who is seen to speak in a noisy video."""
    quiet_threads()
    from ..enhancing import EnhanceRequest
    from ..enhancing import enhance as run
    from ..records import RATE, Misused
    from .progress import shown

    if face is not None:
        from ..faces import FaceSettings

        try:
            FaceSettings(face=face)
        except ValueError as error:
            raise Misused(f"--face: {error}") from None
    request = EnhanceRequest(video, model, out, face, other_mouth, stream, device, force)
    try:
        with shown() as progress:
            found = run(request, progress)
    except KeyboardInterrupt:
        print("avsr-bench: stopped; nothing was written", file=sys.stderr)
        raise typer.Exit(130) from None
    clipped = f"{found.clipped:,} samples clipped" if found.clipped else "no sample clipped"
    print(f"{out}: {found.samples / RATE:.2f} s of sound at 16 kHz, {clipped}", file=beside(out))
    if found.latency is not None:
        for line in _lines(found.latency):
            print(line, file=beside(out))


def _lines(latency: Latency) -> list[str]:
    """Latency in words."""
    from ..records import FPS

    rest = latency.algorithmic - 1000 / FPS
    lines = [
        f"latency  {latency.algorithmic:.0f} ms by construction: a frame of {1000 / FPS:.0f} ms, and"
        f" {rest:.0f} ms that the network waits for",
        f"compute  {_in_words(latency.speed)}; the network on {latency.device}",
    ]
    if latency.one_thread is not None:
        lines.append(f"         {_in_words(latency.one_thread)}; the same on one thread")
    lines.append("         Not in it: decoding, and finding the face, which was done in a pass of its own before.")
    return lines


def _in_words(speed: Speed) -> str:
    return (
        f"{speed.median:.1f} ms a frame (median), {speed.slow:.1f} ms (99th percentile),"
        f" real-time factor {speed.factor:.2f} over {speed.frames:,} frames"
    )
