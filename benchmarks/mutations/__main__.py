"""`python -m benchmarks.mutations`: cases by number, spread over servers; a table of what became of them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from .cases import KEPT, Outcome, run_cases, undamaged
from .kinds import KINDS


def main() -> int:
    """Run the cases asked for; 1 where one of them did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__)
    parser.add_argument("--kind", choices=("all", *KINDS), default="all")
    parser.add_argument("--count", type=int, default=500, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="one case, whose file is kept and whose output is shown")
    parser.add_argument("--good", action="store_true", help="nothing is damaged: every command on every good file")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for the files of cases that failed")
    asked = parser.parse_args()
    kinds = list(KINDS) if asked.kind == "all" else [asked.kind]
    numbers = range(asked.first, asked.first + asked.count) if asked.only is None else [asked.only]
    show, seed = asked.only is not None, None if asked.good else asked.seed
    cases = {kind: undamaged(kind) if asked.good else [(kind, number) for number in numbers] for kind in kinds}
    found: dict[str, list[Outcome]] = {kind: [] for kind in kinds}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="avsr-mutations-") as scratch:
        for outcome in run_cases(Path(scratch), list(chain(*cases.values())), seed, asked.jobs, asked.keep, show):
            mine = found[outcome.kind]
            mine.append(outcome)
            if outcome.verdict or show:
                print(json.dumps(asdict(outcome), ensure_ascii=False), flush=True)
            elif len(mine) % 100 == 0:
                print(f"{outcome.kind}: {len(mine):,} of {len(cases[outcome.kind]):,}", file=sys.stderr, flush=True)
            if len(mine) == len(cases[outcome.kind]):
                print(row(outcome.kind, seed, mine), flush=True)
    wrong = sum(outcome.verdict != "" for outcomes in found.values() for outcome in outcomes)
    print(f"{sum(map(len, found.values())):,} cases, {wrong:,} wrong, {time.monotonic() - started:.0f} s")
    return int(wrong > 0)


def row(kind: str, seed: int | None, outcomes: list[Outcome]) -> str:
    """One line about a kind: what went wrong by verdict, how commands ended, and the most that a case took."""
    verdicts = Counter(outcome.verdict for outcome in outcomes if outcome.verdict)
    codes = Counter(outcome.code for outcome in outcomes)
    ended = ", ".join(f"{count:,} with {code}" for code, count in sorted(codes.items()))
    said = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.most_common()) or "none wrong"
    most = max(outcomes, key=lambda outcome: outcome.seconds)
    held = max(outcome.megabytes for outcome in outcomes)
    of = "undamaged" if seed is None else f"of seed {seed}"
    return (
        f"{kind}: {len(outcomes):,} cases {of}: {said}; ended {ended};"
        f" at most {most.seconds:.1f} s of the processor (number {most.number}) and {held:,} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
