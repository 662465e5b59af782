"""`avsr-bench evaluate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import ApplyTo, Decode, View, command_line, quiet_threads

if TYPE_CHECKING:
    from ..evaluation import Evaluated

SHOWN = 3  # utterances, the worst


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    run: Annotated[str, typer.Argument(help="A run's folder, or a bare name such as dense: its newest run.")],
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
    sound: Annotated[str | None, typer.Option(metavar="KIND:DB", help="Noise for the ear, such as babble:0.")] = None,
    apply_to: Annotated[ApplyTo, typer.Option(help="Visual noise on mouths, or on frames: detects anew.")] = "mouth",
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Source videos, for noise on frames.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many clips, of all speakers in turn.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of the result.  [default: RUN/results/SPLIT]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """WER and CER of a run on a split, clean or under noise, with what was heard beside it."""
    quiet_threads()
    from ..evaluation import EvaluateRequest
    from ..evaluation import evaluate as measure
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
    )
    try:
        with shown(quiet=as_json) as progress:
            found = measure(request, progress)
    except KeyboardInterrupt:
        print("avsr-bench: stopped; nothing was written", file=sys.stderr)
        raise typer.Exit(130) from None
    if as_json:
        print(found.result.to_json(), end="")
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
