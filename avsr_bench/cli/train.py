"""`avsr-bench train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .shared import command_line, quiet_threads


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("train")(train)


def train(
    model: Annotated[str, typer.Argument(help="A recipe of models/, such as dense or msrs.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings laid over the recipe: train.lr=3e-4.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Prepared shards: a folder, or s3://, gs://, https://.  [default: the one corpus under data/]",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="tiny, small or large.  [default: what the corpus recipe says]")
    ] = None,
    modality: Annotated[
        Literal["video", "audio", "av"] | None,
        typer.Option(help="Lips, sound, or both.  [default: video; a unified system learns all three]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for initialisation, data order and augmentation.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.  [default: runs/CORPUS/MODEL-SIZE-sSEED]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue where the run stopped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it would cost; train nothing.")
    ] = False,
    figures: Annotated[bool, typer.Option("--figures", help="Draw the run's figures when it is finished.")] = False,
) -> None:
    """Train a recogniser from prepared shards. Ctrl-C stops after an update; --resume continues from there."""
    quiet_threads()
    from ..training.job import train as run
    from ..training.plan import TrainRequest
    from ..training.signals import Stopped
    from .progress import shown

    request = TrainRequest(
        system=model,
        data=data,
        size=size,
        modality=modality,
        seed=seed,
        out=out,
        resume=resume,
        assignments=tuple(settings or ()),
        command=command_line(),
    )
    if dry_run:
        from .plan import print_plan

        print_plan(request)
        return
    try:
        with shown() as progress:
            folders = run(request, progress)
    except Stopped as stopped:
        where = "the last checkpoint" if stopped.at_once else "here"
        print(
            f"avsr-bench: stopped by {stopped}; the same command with --resume continues from {where}", file=sys.stderr
        )
        raise typer.Exit(128 + stopped.number) from None
    if figures:
        from ..training.figures import draw

        for folder in folders:
            for path in draw(folder):
                print(f"figure: {path}")
