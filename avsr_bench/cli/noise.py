"""`avsr-bench noise list`, `preview` and `apply`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .shared import Force, beside, replaceable
from .words import App

app = App("Visual noise: seven families at ten levels.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Add this module's verbs."""
    parent.add_typer(app, name="noise")


@app.command("list")
def list_families(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The families, and the strength of every level."""
    from .. import noise

    if as_json:
        rows = {
            name: {"what": family.what, "seen": family.seen, "levels": family.levels}
            for name, family in noise.FAMILIES.items()
        }
        print(json.dumps({"version": noise.VERSION, "families": rows}, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    from .terminal import console as open_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("family", "training", "what", "level 1", "level 5", "level 10"):
        table.add_column(column, justify="right" if column.startswith("level") else "left")
    for name, family in noise.FAMILIES.items():
        shown = (family.label.format(family.levels[level - 1]) for level in (1, 5, 10))
        table.add_row(name, "seen" if family.seen else "unseen", family.what, *shown)
    console = open_console()
    console.print(table)
    console.print(f"Written FAMILY:LEVEL, such as jpeg:7; level 0 is the clean picture. Version {noise.VERSION}.")


@app.command()
def preview(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SRC", help="A video with a face, or a folder made by prep.  [default: data/synth, or a drawing]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the PNG goes; - is standard output.")] = Path("noise.png"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    force: Force = False,
) -> None:
    """A sheet of one mouth under all noise: families down, levels across."""
    from ..files import marked
    from ..noise_video.sheet import preview as draw

    shown = draw(source, out, seed, replaceable(force, marked))
    print(f"{out}: every family and level on {shown}", file=beside(out))


@app.command()
def apply(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The video to write: .mp4, .mov or .mkv.")],
    noise: Annotated[str, typer.Option(metavar="FAMILY:LEVEL", help="Such as jpeg:7; see `avsr-bench noise list`.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    force: Force = False,
) -> None:
    """Write a video with noise on its full frames, its sound kept."""
    from ..files import nothing
    from ..noise import parse
    from ..noise_video.video import corrupt_video
    from .progress import shown

    family, level = parse(noise)
    try:
        with shown() as progress:
            written = corrupt_video(source, target, family, level, seed, progress, replaceable(force, nothing))
    except KeyboardInterrupt:
        print("avsr-bench: stopped; nothing was written", file=sys.stderr)
        raise typer.Exit(130) from None
    print(
        f"{target}: {written.frames:,} frames of {written.width}x{written.height} with {noise}, sound {written.sound}"
    )
