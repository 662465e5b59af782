"""`avsr-bench label`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import Decode, View, quiet_threads

if TYPE_CHECKING:
    from rich.console import Console

    from ..labelling import Agreement, Labelled


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("label")(label)


def label(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Prepared corpus.")],
    labeller: Annotated[
        str,
        typer.Option("--with", metavar="RUN", help="A run, by folder or bare name; or pocketsphinx, or moonshine."),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the labels: train reads them by data.labels=NAME.")],
    split: Annotated[
        str, typer.Option(help="Of another split than train, labels are a file to score; nothing is trained on it.")
    ] = "train",
    modality: View = None,
    decode: Annotated[Decode | None, typer.Option(help="How to decode.  [default: as the run's recipe says]")] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="Hypotheses of a beam search.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    part: Annotated[str, typer.Option(help="Part i of n, such as 2/4: several processes share the shards.")] = "1/1",
    force: Annotated[bool, typer.Option("--force", help="Start over: remove labels of that name.")] = False,
) -> None:
    """Texts for training clips, recognised by a run or a program. Run it again to resume."""
    quiet_threads()
    from .. import shards
    from ..labelling import LabelRequest
    from ..labelling import label as recognise
    from .progress import shown

    request = LabelRequest(
        data=data,
        labeller=labeller,
        name=name,
        split=split,
        modality=modality,
        decode=decode,
        beam=beam,
        device=device,
        part=shards.parse_part(part),
        workers=len(os.sched_getaffinity(0)),
        force=force,
    )
    try:
        with shown() as progress:
            found = recognise(request, progress)
    except KeyboardInterrupt:
        print("avsr-bench: stopped; the same command resumes after the last finished shard", file=sys.stderr)
        raise typer.Exit(130) from None
    _print(found, split)


def _print(found: Labelled, split: str) -> None:
    from .terminal import console as open_console

    console = open_console()
    labels, left_out = len(found.labels.texts), len(found.labels.reasons)
    licence = f" ({found.header.licence})" if found.header.licence else ""
    sentence = f"{found.header.labeller}{licence}, {found.header.modality}: {labels:,} clips have a label"
    reasons: dict[str, int] = {}
    for reason in found.labels.reasons.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    listed = ", ".join(f"{reason} in {count:,}" for reason, count in sorted(reasons.items(), key=lambda each: -each[1]))
    console.print(f"{sentence}, {left_out:,} have none: {listed}" if left_out else sentence, soft_wrap=True)
    if found.unseen is not None:
        _print_agreement(console, found.unseen, "clips whose text is known")
    if found.seen is not None:
        _print_agreement(console, found.seen, "clips that the labeller was trained on, with their texts")
    if found.path is None:
        waiting = len(found.waiting)
        console.print(f"{waiting:,} shards have no labels yet, {found.waiting[0]} first: run the other parts")
        return
    console.print(f"labels: {found.path}", soft_wrap=True)
    if split == "train":
        console.print(f"use them: avsr-bench train NAME data.labels={found.path.stem}", soft_wrap=True)


def _print_agreement(console: Console, found: Agreement, of: str) -> None:
    """WER of labels, and by confidence where there is any."""
    from rich.table import Table

    low, high = 100 * found.interval.low, 100 * found.interval.high
    console.print(
        f"WER of labels {100 * found.edits.rate:.1f} %, 95 % interval {low:.1f} to {high:.1f}: {found.clips:,} {of}",
        soft_wrap=True,
    )
    if not found.bands:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("confidence", "clips", "mean", "WER"):
        table.add_column(column, justify="left" if column == "confidence" else "right")
    for band in found.bands:
        table.add_row(
            f"{band.low:g} to {band.high:g}",
            f"{band.clips:,}",
            f"{band.confidence:.2f}",
            f"{100 * band.edits.rate:.1f} %",
        )
    console.print(table)
