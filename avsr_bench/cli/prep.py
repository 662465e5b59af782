"""`avsr-bench prep`, `inspect` and `validate`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..records import Misused
from .shared import Force, beside, replaceable
from .words import check_twice

if TYPE_CHECKING:
    from ..prep.job import PrepReport


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("prep")(prep)
    app.command("inspect")(inspect)
    app.command("validate")(validate)


def prep(
    corpus: Annotated[
        str, typer.Argument(help="A recipe of pipelines/: synth, grid, lrs2, lrs3, vox2, avspeech, folder or your own.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings of the recipe, such as crop.size=112."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the corpus.  [default: what the recipe says]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the shards.  [default: data/CORPUS]")] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Only this split; may be given again.  [default: all]")
    ] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="FAMILY:LEVEL", help="Noise on the whole picture, before faces are sought.")
    ] = None,
    face: Annotated[str | None, typer.Option(help="Of several faces: largest, center, or X,Y in pixels.")] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Folder of ready landmarks (or of an earlier prep): nothing is detected.")
    ] = None,
    already_cropped: Annotated[bool, typer.Option("--already-cropped", help="The videos are mouths.")] = False,
    only: Annotated[Literal["detect"] | None, typer.Option(help="Stop after the face tracks.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the local engine.  [default: all cores]")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster.")
    ] = "local",
    address: Annotated[str | None, typer.Option(help="Address of the Ray cluster.  [default: start one here]")] = None,
    part: Annotated[str, typer.Option(help="Part i of n, such as 2/4: every machine makes its own shards.")] = "1/1",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many clips of each split.")] = None,
    min_yield: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of clips that must come through.")] = 0.9,
    force: Annotated[bool, typer.Option("--force", help="Start over: remove the shards that are there.")] = False,
) -> None:
    """Find faces, crop mouths, write shards. Run it again to go on where it stopped."""
    from .. import shards
    from ..prep.job import PrepRequest
    from ..prep.job import prep as prepare
    from .progress import shown

    if address is not None and engine != "ray":
        raise Misused(f"--address {address} is that of a Ray cluster: add --engine ray, or leave it out")
    assignments = list(settings or [])
    if noise is not None:
        assignments.append(f"noise.frames='{noise}'")
    if face is not None:
        assignments.append(f"faces.face='{face}'")
    if already_cropped:
        assignments.append("crop.already_cropped=true")
    check_twice(assignments)
    request = PrepRequest(
        corpus=corpus,
        root=root,
        out=out,
        splits=tuple(split or ()),
        landmarks=landmarks,
        only_detect=only == "detect",
        workers=workers or len(os.sched_getaffinity(0)),
        engine=engine,
        address=address,
        part=shards.parse_part(part),
        limit=limit,
        force=force,
        assignments=tuple(assignments),
    )
    try:
        with shown() as progress:
            report = prepare(request, progress)
    except KeyboardInterrupt:
        print("avsr-bench: stopped; the same command resumes after the last finished shard", file=sys.stderr)
        raise typer.Exit(130) from None
    _print_report(report)
    if not report.clips:
        print(f"part {part} has no shard of its own: there is nothing to do for it")
    share = report.samples / report.clips if report.clips else 1.0
    if report.unfinished:
        print(
            f"avsr-bench: {len(report.unfinished)} shards are not whole for reasons of the machine (see"
            f" {report.out}/skipped.jsonl): run the same command again",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    if share < min_yield:
        print(
            f"avsr-bench: only {report.samples:,} of {report.clips:,} clips came through, {share:.1%};"
            f" --min-yield is {min_yield:.0%}. The reasons are in {report.out}/skipped.jsonl",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def _print_report(report: PrepReport) -> None:
    from rich.table import Table

    from .terminal import console as open_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("split", "clips", "samples", "skipped", "video", "words", "speakers", "shards"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name, split in report.summary.splits.items():
        numbers = (split.clips, split.samples, sum(split.skipped.values()))
        shards = f"{split.finished:,} of {split.shards:,}" if split.finished < split.shards else f"{split.shards:,}"
        table.add_row(
            name,
            *(f"{n:,}" for n in numbers),
            _length(split.hours),
            f"{split.words:,}",
            str(len(split.speakers)),
            shards,
        )
    console = open_console()
    console.print(table)
    reasons: dict[str, int] = {}
    for split in report.summary.splits.values():
        for code, count in split.skipped.items():
            reasons[code] = reasons.get(code, 0) + count
    if reasons:
        listed = ", ".join(f"{code} {count:,}" for code, count in sorted(reasons.items(), key=lambda item: -item[1]))
        console.print(f"skipped: {listed} (each clip with its reason: {report.out}/skipped.jsonl)", soft_wrap=True)
    console.print(f"shards: {report.out}", soft_wrap=True)


def _length(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder made by prep.")],
    out: Annotated[
        Path | None, typer.Option(help="Draw a contact sheet of mouths with their text here; - is standard output.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    force: Force = False,
) -> None:
    """Counts, hours, lengths, skip reasons and detection rates of prepared shards; a contact sheet."""
    from ..files import STDOUT, check_target, marked
    from ..prep.inspect import inspect as look
    from ..prep.inspect import render

    ours = replaceable(force, marked)
    if out is not None:
        check_target(out, ours)
    inspection = look(folder)
    if as_json:
        print(json.dumps(inspection.to_json(), indent=1, ensure_ascii=False), file=beside(out))
    else:
        from .terminal import console

        screen = console(stderr=out == STDOUT)
        screen.print(render(inspection, screen.plain))
    if out is not None:
        from ..prep.sheet import contact_sheet

        contact_sheet(folder, out, ours=ours)
        if not as_json:
            print(f"contact sheet: {out}", file=beside(out))


def validate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder made by prep.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every sample back and say which shard is damaged."""
    from ..inert import line
    from ..prep.validate import validate as check
    from .progress import shown

    with shown(quiet=as_json) as progress:
        report = check(folder, progress, len(os.sched_getaffinity(0)))
    if as_json:
        print(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        for problem in report.problems:
            print(line(str(problem)))
        for remedy in report.repair:
            print(line(remedy))
        if not report.problems:
            print(f"{folder}: {report.samples:,} samples in {report.shards:,} shards, all whole")
    if report.problems:
        raise typer.Exit(1)
