"""`avsr-bench evaluate`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .shared import ApplyTo, Decode, View, command_line, quiet_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation import Evaluated
    from ..scoring import Measure

Lips = Literal["own", "other", "none"]  # scoring.WhoseLips, without torch

SHOWN = 3  # utterances, the worst


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    run: Annotated[
        str,
        typer.Argument(help="A recogniser or an enhancer: its folder, or a bare name such as dense, its newest run."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the sound: sound.snr_over=speech."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Prepared corpus.  [default: the one in data/]")
    ] = None,
    split: Annotated[str, typer.Option(help="Which clips.")] = "test",
    modality: View = None,
    decode: Annotated[Decode | None, typer.Option(help="How to decode.  [default: as the run's recipe says]")] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="Hypotheses of a beam search.")] = None,
    noise: Annotated[str | None, typer.Option(metavar="FAMILY:LEVEL", help="Visual noise, such as jpeg:7.")] = None,
    sound: Annotated[
        str | None,
        typer.Option(metavar="KIND:DB", help="Noise for the ear, such as babble:0; for an enhancer also voice:-5,0,5."),
    ] = None,
    read: Annotated[
        str | None, typer.Option(metavar="RUN", help="For an enhancer: the recogniser that reads its output.")
    ] = None,
    lips: Annotated[
        Lips,
        typer.Option(
            help="For an enhancer: whose lips it is shown; other, of another speaker, is a control; none hides them."
        ),
    ] = "own",
    apply_to: Annotated[ApplyTo, typer.Option(help="Visual noise on mouths, or on frames: detects anew.")] = "mouth",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Source videos, for noise on frames.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise, and of --lips other.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many clips, of all speakers in turn.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of the result.  [default: RUN/results/SPLIT]")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="For an enhancer: spectrograms and sound files of four clips, and nothing else."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """WER and CER of a run on a split, clean or under noise, with what was heard beside it.

    For an enhancer: SI-SDR, ESTOI and PESQ of its output, on clean clips and under noise, and the WER of --read on it.
    """
    quiet_threads()
    from .. import evaluation
    from ..evaluation import EvaluateRequest
    from .progress import shown

    request = EvaluateRequest(
        run=run,
        data=data,
        split=split,
        modality=modality,
        decode=decode,
        beam=beam,
        noise=noise,
        sound=sound,
        assignments=tuple(settings or ()),
        apply_to=apply_to,
        root=root,
        seed=seed,
        device=device,
        limit=limit,
        workers=len(os.sched_getaffinity(0)),
        out=out,
        command=command_line(),
        read=read,
        lips=lips,
    )
    enhances = evaluation.opened(request)[1].network.enhancer is not None
    try:
        with shown(quiet=as_json) as progress:
            if sheet is not None:
                evaluation.write_sheet(request, sheet, progress)
                return
            if enhances:
                cleaned = evaluation.evaluate_enhancer(request, progress)
            else:
                found = evaluation.evaluate(request, progress)
    except KeyboardInterrupt:
        kept = "the same command resumes after the last finished condition" if enhances else "nothing was written"
        print(f"avsr-bench: stopped; {kept}", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json and enhances:
        print(json.dumps([json.loads(each.result.to_json()) for each in cleaned], ensure_ascii=False, indent=1))
    elif as_json:
        print(found.result.to_json(), end="")
    elif enhances:
        _print_cleaned(cleaned)
    else:
        _print(found)


def _print(found: Evaluated) -> None:
    from ..inert import line
    from ..scoring import METRICS, WER, Edits, show, worst

    result = found.result
    words = result.metrics[WER].parts
    print(
        f"{result.run} on {result.corpus} {result.split}, {result.condition}: {result.utterances:,} utterances,"
        f" {words.length:,} words, by {result.decoding['kind']}"
    )
    for name, measure in result.metrics.items():
        value, low, high = (METRICS[name].said(of) for of in measure.values)
        print(f"{METRICS[name].label} {value:>9}   95 % interval {low} to {high}")
    if isinstance(words, Edits):
        print(f"words: {words.substitutions:,} wrong, {words.deletions:,} missed, {words.insertions:,} added;", end=" ")
    over = result.metrics[WER].interval
    print(f"interval over {over.groups:,} {over.over}")
    if result.faces_lost:
        print(f"faces lost: {result.faces_lost:,}, each read as nothing")
    bad = [pair for pair in worst(found.utterances, SHOWN) if any(step.kind != "hit" for step in pair[1].steps)]
    for utterance, alignment in bad:
        print(f"\n{line(utterance.key)}\n{show(alignment)}")
    print(f"\n{found.path}")


def _print_cleaned(found: Sequence[Evaluated]) -> None:
    """A row a condition: every metric with half of its interval, and what the numbers do not say."""
    from rich.table import Table

    from ..scoring import METRICS
    from .terminal import console as open_console

    console = open_console()
    results = [each.result for each in found]
    first = results[0]
    shown = {"own": "", "other": f", with the lips of other speakers (seed {first.lips_seed})", "none": ", lips hidden"}
    console.print(
        f"{first.run} on {first.corpus} {first.split}: {first.utterances:,} clips{shown[first.lips]};"
        " ± half of the 95 % interval",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("sound", no_wrap=True)
    names = [name for name in METRICS if any(name in result.metrics for result in results)]
    for name in names:
        table.add_column(f"{METRICS[name].label} {METRICS[name].unit}".rstrip(), justify="right")
    for result in results:
        cells = (result.metrics.get(name) for name in names)
        measures = zip(names, cells, strict=True)
        table.add_row(result.condition, *("" if of is None else _with_half(name, of) for name, of in measures))
    console.print(table)
    for note in _said_beside(found):
        console.print(note, soft_wrap=True)


def _with_half(name: str, measure: Measure) -> str:
    from ..scoring import METRICS

    scale = 100 if METRICS[name].unit == "%" else 1
    decimals = 1 if METRICS[name].unit else 2
    half = (measure.interval.high - measure.interval.low) / 2
    sign = "+" if name.endswith("_gain") else ""
    return f"{scale * measure.value:{sign}.{decimals}f} ±{scale * half:.{decimals}f}"


def _said_beside(found: Sequence[Evaluated]) -> list[str]:
    """Who read, how many clips a metric has no value of, how far intervals can be trusted, and where results are."""
    from ..scoring import METRICS, Sums

    first = found[0].result
    said = [f"words read by {first.reader}, by {first.decoding['kind']}"] if first.reader else []
    left: dict[str, int] = {}
    for each in found:
        for name, measure in each.result.metrics.items():
            if isinstance(measure.parts, Sums):
                left[name] = max(left.get(name, 0), each.result.utterances - int(measure.parts.length))
    lacking = [f"{METRICS[name].label} of {number:,}" for name, number in left.items() if number]
    if lacking:
        said.append(f"clips that are silent or too short have no value and are left out: {', '.join(lacking)}")
    said += next(iter(first.metrics.values())).interval.caveats if first.metrics else []
    return [*said, *dict.fromkeys(str(each.path.parent) for each in found)]
