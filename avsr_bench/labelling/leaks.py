"""Was a labeller trained on speakers of the test? Then labels would carry test speakers into training, unseen.

Names of speakers mean something within one corpus alone: `s1` is somebody else in the next. Two prepared corpora are of
one origin where they share clips, told by the digests of their sound or mouths. Then their speakers are the same too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import runs
from ..data import ROOT, TRAIN, Prepared
from ..records import Refused
from ..runs import Run

TEST = "test"


def check_speakers(labeller: Run, corpus: Prepared) -> Iterator[str]:
    """Refuse a run that, or an ancestor of which, was trained on speakers of the test; yields what is not known."""
    own = _speakers(corpus, TRAIN)
    tested = _speakers(corpus, TEST) - own if TEST in corpus.prep["splits"] else set()
    for run in _family(labeller):
        about = run.about
        if not about.corpus or about.corpus_fingerprint == corpus.fingerprint:
            continue
        other = _at_hand(about.corpus, corpus)
        if other is None or (about.corpus_fingerprint and other.fingerprint != about.corpus_fingerprint):
            yield (
                f"{run.name} was trained on {about.corpus}, which is not at hand as it was then: whether it has"
                " speakers of this test is not known"
            )
        elif _contents(corpus) & _contents(other) and (leaked := tested & _speakers(other, TRAIN)):
            raise Refused(
                f"{run.name} was trained on {len(leaked):,} speakers of the test of {corpus.location}, {min(leaked)}"
                f" first, by way of {other.location}: its labels would bring them into training"
            )


def _family(run: Run) -> Iterator[Run]:
    """A run and those of its ancestors that are still there."""
    yield run
    for ancestor in run.about.budget.ancestors if run.about.budget else ():
        folder = runs.given_folder(ancestor.run)
        if folder is not None:
            yield runs.open_run(folder)


def _at_hand(name: str, beside: Prepared) -> Prepared | None:
    """A prepared corpus by its name, beside another one or among those of data/."""
    for folder in (Path(beside.location).parent / name, ROOT / name):
        if (folder / "prep.json").is_file():
            return Prepared(str(folder))
    return None


def _speakers(corpus: Prepared, split: str) -> set[str]:
    return {entry.speaker for entries in corpus.shards(split) for entry in entries if entry.speaker}


def _contents(corpus: Prepared) -> set[str]:
    """Digests of the media of all clips."""
    return {
        member.sha256
        for split in corpus.prep["splits"]
        for entries in corpus.shards(split)
        for entry in entries
        for extension, member in entry.members.items()
        if extension in ("flac", "mouth.mp4")
    }
