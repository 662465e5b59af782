"""Which stages may run now, and how long all of them take: pure functions of what is over and what runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .plan import Stage


def ready(stages: Sequence[Stage], over: Collection[str], running: Collection[str], jobs: int) -> list[Stage]:
    """The stages to start now, in the order of the plan, so that readings come before the trainings behind them.

    The first one that finds no room holds the others back: a stage that needs all of the machine gets it in the end.
    """
    free = jobs - sum(stage.share for stage in stages if stage.name in running)
    found = []
    for stage in stages:
        if stage.name in over or stage.name in running or not set(stage.after) <= set(over):
            continue
        if stage.share > free:
            break
        free -= stage.share
        found.append(stage)
    return found


def expected(stages: Sequence[Stage], jobs: int) -> float | None:
    """The seconds that all stages take by what each is expected to; none where that is not known of one."""
    clock, over = 0.0, set[str]()
    ends: dict[str, float] = {}
    while len(over) < len(stages):
        for stage in ready(stages, over, ends, jobs):
            if stage.seconds is None:
                return None
            ends[stage.name] = clock + stage.seconds
        name = min(ends, key=lambda each: ends[each])
        clock = ends.pop(name)
        over.add(name)
    return clock
