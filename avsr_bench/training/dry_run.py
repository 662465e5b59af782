"""What a request comes to, without training: the plan, what each run is made of, and what a few real updates cost."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from .. import data, runs
from ..data import Kind, Prepared
from ..records import SILENCE, Sample, Skipped
from .clips import check_streams, open_training_data
from .folder import resumable
from .job import learner_of, tokenizer_of, updates_of
from .loop import Work, fit
from .machine import make_fabric
from .plan import Plan, PlannedRun, TrainRequest, make_plan
from .report import memory

UPDATES = 6  # that are made to measure what one costs: the first starts workers, the last validates


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would be."""

    run: PlannedRun
    parameters: int
    tokens: int
    hours: Mapping[Kind, float]  # of training clips
    left_out: int
    updates: int
    device: str
    begun: bool  # whether it is resumed from a checkpoint
    seconds: float | None = None  # an update; none where nothing was tried
    memory: str = ""
    without: tuple[str, ...] = ()  # helpers that are not trained yet, and so are not in these


def dry_run(request: TrainRequest) -> tuple[Plan, tuple[Forecast, ...]]:
    """The plan of a request, and the forecast of each of its runs; of rounds, the last one is tried."""
    plan = make_plan(request)
    forecasts = []
    for number, run in enumerate(plan.runs, start=1):
        tried = number == len(plan.runs) or not run.recipe.rounds.sparsities
        forecasts.append(forecast(run, plan.corpus, tried))
    return plan, tuple(forecasts)


def forecast(run: PlannedRun, corpus: Prepared, tried: bool) -> Forecast:
    """What a run would be; one that begins with a run that is not there yet is tried with random weights."""
    begun = resumable(run, SILENCE.say) is not None
    needed = [place for place in (run.initial, *run.helpers.values()) if place is not None]
    lacking = [place for place in needed if not place.is_file() and not (place / runs.WEIGHTS).is_file()]
    run = replace(run, initial=None if run.initial in lacking else run.initial)
    chosen = data.choose(corpus, run.about.inputs, run.recipe.data)
    check_streams(run, chosen)
    present = {name: place for name, place in run.helpers.items() if place not in lacking}
    absent = run.helpers.keys() - present.keys()
    enhances = run.recipe.entry.leaves == "enhancer"
    tokenizer = None if enhances else tokenizer_of(replace(run, helpers=present), chosen, False, SILENCE.say)
    clips = open_training_data(run, corpus, chosen, tokenizer)
    steps = updates_of(run.recipe.train, clips)
    hours = {kind: clips.chosen.hours(kind) for kind in get_args(Kind)}
    alone = replace(run, helpers=present, recipe=run.recipe.alone() if absent else run.recipe)
    with tempfile.TemporaryDirectory(prefix="avsr-dry-run-") as scratch:
        settings = replace(run.recipe.train, log=(), validate_every=None, save_minutes=10_000.0)
        fabric = make_fabric(settings)
        objective, method = learner_of(alone, tokenizer, steps, {}, fabric.device, SILENCE.say)
        parameters = sum(parameter.numel() for parameter in objective.network.parameters())
        tokens = 0 if tokenizer is None else len(tokenizer)
        found = Forecast(run, parameters, tokens, hours, len(clips.left_out), steps, fabric.device.type, begun)
        if not tried:
            return found
        clock = _Clock()
        fit(Work(Path(scratch), settings, UPDATES, objective, method, clips, tokenizer), fabric, clock)
        seconds = statistics.median(b - a for a, b in zip(clock.times[:-2], clock.times[1:-1], strict=True))
        return replace(found, seconds=seconds, memory=memory(fabric.device), without=tuple(absent))


class _Clock:
    """When each update ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def say(self, line: str) -> None: ...

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None: ...

    def step(self, outcome: Sample | Skipped | None, status: str = "") -> None:
        self.times.append(time.monotonic())
