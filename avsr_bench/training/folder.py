"""The folder of a run before it trains: whether it is ours, new or resumed, and that nobody else trains in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from .. import runs
from ..files import make_folder, sweep_temporaries
from ..locks import hold_part
from ..records import Refused
from ..runs import Run
from .checkpoint import CHECKPOINT
from .plan import PlannedRun
from .recipe import differences, read_sections


@contextmanager
def hold_run(folder: Path, main: bool) -> Iterator[Callable[[], None]]:
    """Keep other trainers out: of two that resume one checkpoint, both would write it. Rank 0 (`main`) holds for all.

    A run that was begun is held from now on. Gives what makes the folder of a new one: called as late as it is written,
    so that a request which is refused leaves nothing behind.
    """
    with ExitStack() as held:
        begun = (folder / runs.RECIPE).is_file() and not (folder / runs.WEIGHTS).is_file()
        if main and begun:
            held.enter_context(hold_part(folder))
            sweep_temporaries(folder)
        yield partial(make_folder, folder) if begun else partial(_claim, folder, held)


def _claim(folder: Path, held: ExitStack) -> None:
    make_folder(folder)
    held.enter_context(hold_part(folder))
    if (folder / runs.RECIPE).is_file():
        raise Refused(f"{folder} was begun by another process a moment ago: resume it, or choose another --out")


def resumable(run: PlannedRun, say: Callable[[str], None]) -> Run | None:
    """The run as it began, where it resumes from its checkpoint; a folder that must not be touched is refused."""
    folder = run.folder
    if not (folder / runs.RECIPE).is_file():
        if run.resume:
            say(f"nothing to resume in {folder}: it begins")
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise Refused(f"{folder} holds files and is not a run: choose another --out")
        return None
    finished = (folder / runs.WEIGHTS).is_file()
    if not run.resume:
        state = "finished" if finished else "begun"
        raise Refused(f"{folder} is a run that was {state}: resume it with --resume, or choose another --out or --seed")
    before = runs.open_run(folder)
    if before.about.corpus_fingerprint != run.about.corpus_fingerprint:
        raise Refused(f"{folder} was trained on another state of {run.about.corpus}: give its --data, or another --out")
    changed = differences(read_sections(before.recipe, str(folder / runs.RECIPE)), run.recipe.sections())
    if changed:
        raise Refused(f"{folder} was begun with {'; '.join(changed[:3])}: resume it as it was, or choose another --out")
    if finished:
        say(f"{folder} is finished already")
        return None
    if not (folder / CHECKPOINT).is_file():
        say(f"{folder} has no checkpoint yet: it begins again")
        return None
    return before
