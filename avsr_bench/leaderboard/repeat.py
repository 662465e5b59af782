"""A row measured again. The command is made from what a result says of itself, field by field: the words of the command
that stands in it were written by whoever made it, and are not looked at.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import get_args

from .. import data, noise, runs
from ..data import Prepared
from ..decoding import Kind
from ..evaluation import weights_digest
from ..evaluation.conditions import sound_name
from ..evaluation.reading import decoding
from ..noise import sound as ear
from ..noise.sound import Babble, Over, SoundNoise, SoundSettings
from ..records import Misused, Refused
from ..runs import Run
from ..scoring import WER, Result
from .rows import CLEAN, Row, parts_of, read_rows

SOME = re.compile(r"(.+)-some([1-9][0-9]{0,8})")  # a split of which only so many clips were read
OVERS: tuple[Over, ...] = get_args(Over)
BABBLES: tuple[Babble, ...] = get_args(Babble)
SETTINGS = [SoundSettings(over, babble) for over, babble in product(OVERS, BABBLES)]


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie that are not where they usually are, or that a result cannot name."""

    run: Path | None = None  # none: runs/ and the name of the run
    data: str | None = None  # none: data/ and the name of the corpus
    root: Path | None = None  # source videos, for noise on frames
    sound: Path | None = None  # the file of a recorded noise


@dataclass(frozen=True, slots=True)
class Rerun:
    """A row as it was kept and as it was measured now."""

    row: Row
    now: Result

    @property
    def alike(self) -> bool:
        """Whether every count is the same."""
        return parts_of(self.now)[1] == parts_of(self.row.result)[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """What measures a row again: words after `avsr-bench`, all but `--out`, and what they read."""

    row: Row
    words: tuple[str, ...]
    reads: tuple[str, ...]

    def command(self, out: str) -> tuple[str, ...]:
        """The words with the folder that the result goes to."""
        return self.words[0], f"--out={out}", *self.words[1:]


def rerun(row: Row, places: Places, say: Callable[[str], None]) -> Rerun:
    """Measure a row again into a folder of its own. What was kept stays; `say` hears of everything beforehand."""
    plan = plan_rerun(row, places)
    with tempfile.TemporaryDirectory(prefix="avsr-bench-") as out:
        words = plan.command(out)
        say(f"$ {shlex.join(('avsr-bench', *words))}")
        for what in plan.reads:
            say(f"reads {what}")
        say(f"writes {out}, which is removed afterwards")
        done = subprocess.run([sys.executable, "-m", "avsr_bench", *words], stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Refused(f"`avsr-bench evaluate` ended with exit code {done.returncode}: what it said stands above")
        return Rerun(row, _answer(Path(out), row))


def plan_rerun(row: Row, places: Places) -> Plan:
    """The command of a row. What it cannot name, and was not given, is refused before anything starts."""
    result = row.result
    if result.enhancer:
        raise Refused(f"{row.name} was read behind an enhancer: `avsr-bench robustness --enhance` measures it again")
    if result.reader or result.lips_seed is not None or WER not in result.metrics:
        raise Refused(f"{row.name} is of an enhancer: `avsr-bench evaluate {result.run}` measures it again")
    run = _run(row, places.run)
    corpus = data.find_data(places.data or str(data.ROOT / result.corpus))
    split, limit = _split(result.split, corpus)
    kind, beam = _decoding(row)
    words = [f"--data={corpus.location}", f"--split={split}", f"--decode={kind}"]
    words += [f"--beam={beam}"] if beam else []
    words += [f"--limit={limit}"] if limit else []
    words += [f"--modality={run.view}"] if run.view else []
    options, settings = _condition(row, places)
    words += [*options, "--", str(run.folder), *settings]
    reads = [f"{run.folder}: {_weights(run, result)}", f"{corpus.location}: {_state(corpus, result)}"]
    reads += [f"{path}" for path in (places.root, places.sound) if path]
    reads += [f"{run.folder / runs.RECIPE}: {each}" for each in _unlike(run, result, kind, beam)]
    return Plan(row, ("evaluate", *words), tuple(reads))


def _run(row: Row, given: Path | None) -> Run:
    folder = given or runs.ROOT / row.result.folder
    if not (folder / runs.RECIPE).is_file():
        raise Refused(f"there is no run in {folder}: say where that of {row.name} is with --run DIR")
    run = runs.open_finished(folder)
    return run.seen_as(row.result.modality) if run.about.modality == "unified" else run


def _split(name: str, corpus: Prepared) -> tuple[str, int | None]:
    """A split, and how many of its clips were read if not all were."""
    splits = corpus.prep["splits"]
    if name in splits:
        return name, None
    some = SOME.fullmatch(name)
    if some and some[1] in splits:
        return some[1], int(some[2])
    raise Refused(f"{corpus.location} has no split {name}: it has {', '.join(splits) or 'none'}")


def _decoding(row: Row) -> tuple[Kind, int | None]:
    settings = row.result.decoding
    kinds: tuple[Kind, ...] = get_args(Kind)
    kind = next((each for each in kinds if each == settings.get("kind")), None)
    if kind is None:
        raise Refused(f"{row.name} was decoded by {settings.get('kind')!r}: there is {', '.join(kinds)}")
    if kind != "beam":
        return kind, None
    beam = settings.get("beam")
    if type(beam) is not int or beam < 1:
        raise Refused(f"{row.name} was decoded by a beam of {beam!r} hypotheses: that cannot be done again")
    return kind, beam


def _condition(row: Row, places: Places) -> tuple[list[str], list[str]]:
    """Options and settings that ask for the noise of a row."""
    result = row.result
    on = None if result.condition == CLEAN else result.noise_on
    if result.condition != CLEAN and (on is None or result.noise_seed is None):
        raise Refused(f"{row.name} does not say where its noise was applied, or by which seed")
    if places.root and on != "frame":
        raise Misused(f"--root is for noise on full frames, and {row.name} has none")
    if places.sound and on != "sound":
        raise Misused(f"--sound is for recorded noise in the sound, and {row.name} has none")
    if on is None:
        return [], []
    seed = f"--seed={result.noise_seed}"
    if on == "sound":
        asked, settings = _sound(row, places.sound)
        return [f"--sound={asked}", seed], [
            f"sound.{name}={value}"
            for name, value in asdict(settings).items()
            if value != asdict(SoundSettings())[name]
        ]
    try:
        family, level = noise.parse(result.condition)
    except Refused as refused:
        raise Refused(f"{row.name}: {refused}") from None
    if f"{family}:{level}" != result.condition or not level:
        raise Refused(f"{row.name}: no noise is called {result.condition!r}")
    options = [f"--noise={family}:{level}", seed]
    if on == "frame":
        if places.root is None:
            raise Refused(
                f"the noise of {row.name} fell on full frames: say where the source videos are with --root DIR"
            )
        options += ["--apply-to=frame", f"--root={places.root}"]
    return options, []


def _sound(row: Row, file: Path | None) -> tuple[SoundNoise, SoundSettings]:
    """The sound that a condition names. A file it names by its stem and a digest alone: the user says which it is."""
    named, _, ratio = row.result.condition.rpartition(":")
    try:
        asked = ear.parse(f"white:{ratio}")[0].snr_db
    except Refused as refused:
        raise Refused(f"{row.name}: {refused}") from None
    if str(SoundNoise(named, asked)) != row.result.condition:
        raise Refused(f"{row.name}: no sound is called {row.result.condition!r}")
    kinds = [str(file)] if file else list(ear.KINDS)
    digest = ear.read_recording(file).name if file else ""
    for kind, settings in product(kinds, SETTINGS):
        if sound_name(kind, digest, settings) == named:
            return SoundNoise(kind, asked), settings
    if file is None:
        raise Refused(f"{row.name} was measured under a recording: say which file it is with --sound FILE")
    raise Refused(f"{file} is {sound_name(kinds[0], digest, SETTINGS[0])}, and {row.name} was measured under {named}")


def _weights(run: Run, result: Result) -> str:
    if not result.weights:
        return "by which weights the row was measured is not known"
    return "the weights of the row" if weights_digest(run) == result.weights else "other weights than those of the row"


def _state(corpus: Prepared, result: Result) -> str:
    return (
        "as the row read it" if corpus.fingerprint == result.corpus_fingerprint else "another state than the row read"
    )


def _unlike(run: Run, result: Result, kind: Kind, beam: int | None) -> Iterator[str]:
    """Settings of the search that a command cannot set, where the run has others than the row."""
    for name, now in asdict(decoding(run.decode, kind, beam)).items():
        then = result.decoding.get(name, now)
        if kind == "beam" and then != now:
            yield f"{name} is {now}, and was {then} when the row was measured"


def _answer(out: Path, row: Row) -> Result:
    """The one result in the folder that a row was measured into."""
    found = [row.result for row in read_rows([out]).rows]
    if len(found) != 1:
        raise Refused(f"`avsr-bench evaluate` wrote {len(found)} results for {row.name}, and one was expected")
    [now] = found
    if (now.split, now.condition) != (row.result.split, row.result.condition):
        raise Refused(f"what was measured is {now.split}, {now.condition}: not {row.name}")
    return now
