"""`avsr-bench robustness`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import ApplyTo, Decode, View, listed, quiet_threads

if TYPE_CHECKING:
    from rich.console import Console

    from ..robustness import Row, Summary, Swept
    from ..scoring import Result


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("robustness")(robustness)


def robustness(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the sound: sound.snr_over=speech."),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="all|none|FAMILY,...", help="Families of visual noise.  [default: all; with --enhance none]"
        ),
    ] = None,
    levels: Annotated[str, typer.Option(help="Such as 0-10 or 0,5,10; 0 are the clean clips.")] = "0-10",
    sound: Annotated[
        list[str] | None, typer.Option(metavar="KIND:DB,...", help="Noise for the ear too; may be given again.")
    ] = None,
    enhance: Annotated[
        str | None, typer.Option(metavar="RUN", help="An enhancer that cleans the sound before the models read it.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="A,B", help="Runs.  [default: all finished ones on the corpus]")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="A", help="What others are compared with.  [default: the dense one]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Prepared corpus.  [default: the one in data/]")
    ] = None,
    split: Annotated[str, typer.Option(help="Which clips.")] = "test",
    apply_to: Annotated[ApplyTo, typer.Option(help="Noise on mouths, or on frames: faces are sought anew.")] = "mouth",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Source videos, for noise on frames.")] = None,
    modality: View = None,
    decode: Annotated[Decode | None, typer.Option(help="How to decode.  [default: as each recipe says]")] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="Hypotheses of a beam search.")] = None,
    part: Annotated[
        str, typer.Option(help="Part i of n, such as 2/4: several processes share the conditions.")
    ] = "1/1",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many clips, of all speakers in turn.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of the results.  [default: leaderboards/local/results]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results and means as JSON.")] = False,
) -> None:
    """WER of every model under every family and level. Run it again to go on where it stopped."""
    quiet_threads()
    from .. import shards
    from ..robustness import RobustnessRequest, summarise
    from ..robustness import robustness as sweep
    from ..robustness.job import OUT
    from .progress import shown

    request = RobustnessRequest(
        noise=noise or ("none" if enhance else "all"),
        levels=levels,
        sounds=tuple(sound or ()),
        models=listed("--models", models),
        reference=reference,
        data=data,
        split=split,
        apply_to=apply_to,
        root=root,
        modality=modality,
        decode=decode,
        beam=beam,
        part=shards.parse_part(part),
        limit=limit,
        seed=seed,
        device=device,
        workers=len(os.sched_getaffinity(0)),
        out=out or OUT,
        assignments=tuple(settings or ()),
        enhance=enhance,
    )
    try:
        with shown(quiet=as_json) as progress:
            swept = sweep(request, progress)
    except KeyboardInterrupt:
        print("avsr-bench: stopped; the same command resumes after the last finished condition", file=sys.stderr)
        raise typer.Exit(130) from None
    summary = summarise(swept)
    if as_json:
        print(_as_json(swept, summary))
    else:
        _print(swept, summary)


def _as_json(swept: Swept, summary: Summary) -> str:
    results = [json.loads(each.result.to_json()) for each in swept.found.values()]
    rows = [asdict(row) for row in summary.rows]
    content = {
        "reference": swept.reference,
        "enhancer": swept.enhancer,
        "notes": summary.notes,
        "means": rows,
        "results": results,
    }
    return json.dumps(content, ensure_ascii=False, indent=1)


def _print(swept: Swept, summary: Summary) -> None:
    from .terminal import console as open_console

    console = open_console()
    if swept.enhancer:
        console.print(f"sound enhanced by {swept.enhancer} before it was read", style="bold", soft_wrap=True)
        console.print()
    _print_levels(console, swept)
    _print_means(console, swept, summary.rows)
    for note in summary.notes:
        console.print(note, soft_wrap=True)
    console.print(f"results: {swept.folder}", soft_wrap=True)


def _print_levels(console: Console, swept: Swept) -> None:
    """WER by level, with half of its interval: a table for each model, a column for each family or kind of sound."""
    from rich.table import Table

    from ..noise import FAMILIES

    named = [name.rpartition(":")[::2] for name in swept.conditions if name != "clean"]
    eye = [(family, level) for family, level in named if family in FAMILIES]
    ear = [(kind, ratio) for kind, ratio in named if kind not in FAMILIES]
    for model in swept.models:
        for asked, unit in ((eye, "level"), (ear, "dB")):
            found = {
                each: swept.found[model, ":".join(each)].result
                for each in asked
                if (model, ":".join(each)) in swept.found
            }
            if not found:
                continue
            console.print(f"{model}: WER in %, ± half of its 95 % interval", style="bold", soft_wrap=True)
            table = Table(box=None, pad_edge=False, header_style="bold")
            table.add_column(unit, justify="right")
            for family in (families := dict.fromkeys(family for family, _ in found)):
                table.add_column(family, justify="right")
            for level in dict.fromkeys(level for _, level in found):
                cells = (found.get((family, level)) for family in families)
                table.add_row(level, *("" if result is None else _with_half(result) for result in cells))
            console.print(table)
            console.print()


def _with_half(result: Result) -> str:
    interval = result.metrics["wer"].interval
    half = (interval.high - interval.low) / 2
    return f"{100 * result.wer:.1f} ±{100 * half:.1f}"


def _print_means(console: Console, swept: Swept, rows: tuple[Row, ...]) -> None:
    """Means over conditions with their intervals, and the difference to the reference."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("mean over", "model", "WER", "95 % interval", "difference", "p"):
        # Folded, not cut: the views of a unified run differ in the end of their names.
        table.add_column(column, justify="left" if column in ("mean over", "model") else "right", overflow="fold")
    last = ""
    for row in rows:
        name = (
            "" if row.over == last else row.over if len(row.conditions) == 1 else f"{row.over} ({len(row.conditions)})"
        )
        last = row.over
        low, high = 100 * row.interval.low, 100 * row.interval.high
        against, p = "", ""
        if row.against is not None:
            span = row.against.interval
            against = f"{100 * row.against.difference:+.1f} [{100 * span.low:+.1f}, {100 * span.high:+.1f}]"
            p = f"{row.against.p:.3f}"
        table.add_row(
            name,
            row.model.removeprefix(f"{swept.corpus}/"),
            f"{100 * row.wer:.1f}",
            f"{low:.1f} to {high:.1f}",
            against,
            p,
        )
    console.print(table)
    if any(row.against for row in rows):
        console.print(f"differences, in points, are to {swept.reference}", soft_wrap=True)
