"""Which runs a sweep reads: those that were named, or every finished recogniser; with an enhancer, those that hear."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import runs
from ..data import Prepared
from ..nn import VIEWS, Modality
from ..records import Misused, Progress, Refused
from ..runs import Run


def open_runs(names: Sequence[str], corpus: Prepared) -> list[Run]:
    """The runs named, or every finished one on the corpus; two of one name are refused."""
    opened = [runs.open_run(runs.find_run(name, corpus.name)) for name in names or default_models(corpus.name)]
    seen: dict[str, Run] = {}
    for run in opened:
        if run.name in seen:
            raise Misused(f"--models names {run.name} twice ({seen[run.name].folder} and {run.folder}): give it once")
        seen[run.name] = run
    return opened


def views(run: Run, modality: Modality | None) -> list[Run]:
    """A run in each of the ways in which it is read."""
    if run.about.modality != "unified":
        return [run]
    return [run.seen_as(view) for view in ((modality,) if modality else VIEWS)]


def default_models(corpus: str, root: Path = runs.ROOT) -> list[str]:
    """Every finished recogniser on a corpus, dense ones first; rounds of pruning have to be named."""
    finished = sorted(path.parent for path in root.glob(f"{corpus}/*/{runs.WEIGHTS}"))
    found = [path for path in finished if runs.open_run(path).network.enhancer is None]
    if not found:
        raise Refused(
            f"no finished run is in {root}/{corpus}: train one with `avsr-bench train dense`, or give --models"
        )
    return [str(path) for path in sorted(found, key=lambda path: (not path.name.startswith("dense-"), path.name))]


def who_hear(opened: Sequence[Run], named: bool, progress: Progress) -> list[Run]:
    """The models to which an enhancer makes a difference; one that was named has to be among them."""
    hear = [run for run in opened if run.modality != "video"]
    deaf = [run for run in opened if run.modality == "video"]
    if refused := [run.name for run in deaf if not hear or (named and run.view is None)]:
        raise Misused(f"{refused[0]} only sees, and --enhance cleans sound: give --models that hear")
    if deaf:
        progress.say(f"left out, as --enhance cleans sound and they only see: {', '.join(run.name for run in deaf)}")
    return hear
