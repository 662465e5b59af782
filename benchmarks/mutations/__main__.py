"""`python -m benchmarks.mutations`: cases by number, spread over servers; a table of what became of them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .cases import KEPT, Outcome, run_cases, whole
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
    wrong = False
    with tempfile.TemporaryDirectory(prefix="avsr-mutations-") as scratch:
        for kind in kinds:
            started = time.monotonic()
            outcomes = []
            seed = None if asked.good else asked.seed
            if asked.good:
                numbers = range(len(whole(kind)))
            for outcome in run_cases(
                Path(scratch), kind, numbers, seed, asked.jobs, asked.keep, asked.only is not None
            ):
                outcomes.append(outcome)
                if outcome.verdict or asked.only is not None:
                    print(json.dumps(outcome.__dict__, ensure_ascii=False), flush=True)
                elif len(outcomes) % 100 == 0:
                    print(f"{kind}: {len(outcomes):,} of {len(numbers):,}", file=sys.stderr, flush=True)
            print(row(kind, seed, outcomes, time.monotonic() - started), flush=True)
            wrong |= any(outcome.verdict for outcome in outcomes)
    return int(wrong)


def row(kind: str, seed: int | None, outcomes: list[Outcome], seconds: float) -> str:
    """One line about a kind: what went wrong by verdict, how commands ended, and the most that a case took."""
    verdicts = Counter(outcome.verdict for outcome in outcomes if outcome.verdict)
    codes = Counter(outcome.code for outcome in outcomes)
    ended = ", ".join(f"{count:,} with {code}" for code, count in sorted(codes.items()))
    said = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.most_common()) or "none wrong"
    most = max(outcomes, key=lambda outcome: outcome.seconds)
    held = max(outcome.megabytes for outcome in outcomes)
    of = "undamaged" if seed is None else f"of seed {seed}"
    return (
        f"{kind}: {len(outcomes):,} cases {of}: {said}; ended {ended}; {seconds:.0f} s in all,"
        f" at most {most.seconds:.1f} s (number {most.number}) and {held:,} MB in one"
    )


if __name__ == "__main__":
    sys.exit(main())
