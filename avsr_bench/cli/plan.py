"""The plan of `train --dry-run`, printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..records import FPS
from ..training.dry_run import Forecast, dry_run
from ..training.plan import Plan, TrainRequest

DEVICES = {"cpu": "CPU", "cuda": "GPU"}


def print_plan(request: TrainRequest) -> None:
    """Print what would be trained, in order, and what it would cost."""
    plan, forecasts = dry_run(request)
    for number, forecast in enumerate(forecasts, start=1):
        print(f"{number} of {len(forecasts)}  {forecast.run.folder}")
        for line in _lines(plan, forecast):
            print(f"  {line}")
        print()
    print("settings of the last one, and where they come from")
    sections, origins = forecasts[-1].run.recipe.sections(), forecasts[-1].run.origins
    rows = [(name, _word(value), origins.get(name, "default")) for name, value in _flat(sections)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print(f"  {name:<{widths[0]}}  {value:<{min(widths[1], 40)}}  {origin}")
    print("nothing was trained")


def _lines(plan: Plan, forecast: Forecast) -> Iterator[str]:
    run, recipe = forecast.run, forecast.run.recipe
    yield f"recipe      {run.path}, size {run.about.size}, {run.about.modality}, seed {run.about.seed}"
    method = recipe.method.get("name", "none")
    yield f"learns      {recipe.objective['name']}, method {method}"
    if recipe.init.run is not None:
        yield f"begins with {recipe.init.part} of {run.initial or recipe.init.run}"
    for name, place in run.helpers.items():
        yield f"{name:<11} {place}"
    yield f"corpus      {plan.corpus.location}"
    hours = ", ".join(f"{each:.2f} h {kind}" for kind, each in forecast.hours.items() if each)
    left_out = f"; {forecast.left_out:,} clips left out" if forecast.left_out else ""
    yield f"clips       {hours}{left_out}"
    tokens = f", {forecast.tokens} tokens" if forecast.tokens else ""
    yield f"network     {forecast.parameters:,} parameters{tokens}"
    batch = f"{recipe.data.frames:,} frames ({recipe.data.frames / FPS:.0f} s) a batch and device"
    yield f"updates     {forecast.updates:,}, of {batch}, on {recipe.train.ranks} {DEVICES[forecast.device]}"
    if forecast.seconds is not None:
        minutes = forecast.updates * forecast.seconds / 60
        seconds = forecast.seconds
        took = f"{f'{seconds:.2f} s' if seconds >= 0.1 else f'{seconds * 1e3:.0f} ms'} an update"
        without = "".join(f", without its {name}, which is not trained yet" for name in forecast.without)
        yield f"cost        {_time(minutes)} ({took}, measured here just now{without}), {forecast.memory}"
    yield f"state       {'resumed from its checkpoint' if forecast.begun else 'new'}"


def _time(minutes: float) -> str:
    return (
        f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.0f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
    )


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | list | dict) else "none" if value is None else str(value)


def _flat(sections: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in sections.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
