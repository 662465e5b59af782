"""Which runs of a board need not be trained here: their results stand already, of the recipe that is asked for.

No machine has the hours for all of a large board at once, and runs are not committed. So a row whose results are
committed, with the recipe of its run beside them, counts as done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from .. import recipes, runs
from ..evaluation import CLEAN, Condition, result_name, visual
from ..noise import FAMILIES, VERSION
from ..noise import sound as ear
from ..records import Refused
from ..scoring import SCORER_VERSION, Result, WhoseLips, read_archive
from ..text import TEXT_VERSION
from ..training.recipe import differences, read_sections
from .entries import Entry, Wanted
from .request import BoardRequest
from .settings import BoardSettings

SOME = "-some"  # in the name of a split of which not all clips were read


def kept_entries(
    entries: Iterable[Entry], request: BoardRequest, settings: BoardSettings, readers: Collection[str]
) -> set[str]:
    """The entries of a seed that need not be trained, because their results stand; `readers` have others to read."""
    entries = list(entries)
    there = {each.name for each in entries if all(run.is_there() for run in each.wanted)}
    measured = {
        each.name
        for each in entries
        if each.name not in readers
        and all(not run.is_measured or measured_run(run, request, settings) for run in each.wanted)
    }
    left = to_train({each.name: each.needs for each in entries}, there, measured)
    return {each.name for each in entries} - left - there


def measured_run(run: Wanted, request: BoardRequest, settings: BoardSettings, fingerprint: str | None = None) -> bool:
    """Whether the results of a run stand where the board keeps them."""
    place = request.results / request.corpus
    name = runs.name_of(run.folder).removeprefix(f"{request.corpus}/")
    if run.sounds:
        return _stand(place / name, run.sections, _enhanced(run), settings.limit, fingerprint, run.read_by)
    return all(
        is_measured(
            place / runs.seen_name(name, view), run.sections, levels, settings.noise, settings.limit, fingerprint
        )
        for view, levels in run.views.items()
    )


def is_measured(
    folder: Path,
    sections: Mapping[str, Any],
    levels: Collection[int],
    noise: str,
    limit: int | None,
    fingerprint: str | None,
) -> bool:
    """Whether a folder of results holds those of a run with these settings, under all of these levels of noise."""
    families = list(FAMILIES) if noise == "all" else noise.split(",")
    conditions = [CLEAN, *(visual(family, level) for family in families for level in levels if level)]
    names = {result_name(condition, 0) for condition in conditions}
    return bool(levels) and _stand(folder, sections, names, limit, fingerprint)


def _enhanced(run: Wanted) -> set[str]:
    """The names of the results of an enhancer: with its clips' own lips, and where it sees, others' and none."""
    conditions = [CLEAN, *(Condition(str(each)) for sound in run.sounds for each in ear.parse(sound))]
    shown = ("own",) if run.reads == "audio" else get_args(WhoseLips)
    return {result_name(condition, 0, lips) for condition in conditions for lips in shown}


def _stand(
    folder: Path,
    sections: Mapping[str, Any],
    names: Collection[str],
    limit: int | None,
    fingerprint: str | None,
    read_by: str = "",
) -> bool:
    """Whether a folder of results holds those of these names, all in one archive, of a run with these settings."""
    if not (folder / runs.RECIPE).is_file():
        return False
    end = f"-read-by-{read_by.replace('/', '-')}" if read_by else ""
    try:
        before = read_sections(recipes.load(folder / runs.RECIPE), str(folder / runs.RECIPE))
        mine = [
            path
            for path in sorted(folder.glob(f"*{end}.zip"))
            if f"{SOME}{limit}{end}" in path.stem or SOME not in path.stem
        ]
        archives = [read_archive(path) for path in mine]
        found = [[archive.result(name) for name in names] for archive in archives if set(names) <= set(archive.names)]
    except Refused:  # damaged: it is trained and measured again
        return False
    whole = any(all(_counts(result, fingerprint) for result in results) for results in found)
    return whole and not differences(before, sections)


def _counts(result: Result, fingerprint: str | None) -> bool:
    """Whether a result is of this state of the corpus, and of today's noise, text rule and scoring."""
    versions = (result.scorer_version, result.text_version) == (SCORER_VERSION, TEXT_VERSION)
    noise = ear.VERSION if result.noise_on == "sound" else VERSION
    return versions and result.noise_version in (None, noise) and fingerprint in (None, result.corpus_fingerprint)


def to_train(needs: Mapping[str, Sequence[str]], there: Collection[str], measured: Collection[str]) -> set[str]:
    """Of entries, each with those that it begins with, the ones that have to be trained.

    >>> needs = {"half": [], "pruned": ["half"], "dense": []}
    >>> sorted(to_train(needs, there=[], measured=["half", "pruned"])), sorted(to_train(needs, [], ["half"]))
    (['dense'], ['dense', 'half', 'pruned'])
    """
    found: set[str] = set()
    left = [name for name in needs if name not in there and name not in measured]
    while left:
        name = left.pop()
        found.add(name)
        left += [needed for needed in needs[name] if needed not in found and needed not in there]
    return found
