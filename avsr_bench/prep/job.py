"""`prep`: from a corpus to shards. Reads top to bottom as it happens."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from .. import corpora, recipes, shards, synth
from ..locks import Hold, hold_part
from ..prepare_clip import ClipJob, SampleSettings, make_sample
from ..records import Clip, Misused, Progress, Reason, Refused, Sample, Skipped
from .engine import Engine, run_local
from .landmarks import Ready, find_ready, path_in_corpus
from .recipe import PrepRecipe, deciding, load_recipe

InSplit = TypeVar("InSplit", Clip, synth.Utterance)


@dataclass(frozen=True, slots=True)
class PrepRequest:
    """What the user asked for."""

    corpus: str
    root: Path | None = None
    out: Path | None = None
    splits: tuple[str, ...] = ()  # empty: all
    landmarks: Path | None = None
    only_detect: bool = False
    workers: int = 1
    engine: Literal["local", "ray"] = "local"
    address: str | None = None  # of the Ray cluster
    part: tuple[int, int] = (1, 1)
    limit: int | None = None  # clips of each split
    force: bool = False
    assignments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrepReport:
    """What a run did and what now stands in the folder."""

    out: Path
    summary: shards.Summary
    made: int  # clips worked on in this run
    clips: int  # clips of the shards that this run answers for
    samples: int  # ... that are in them
    unfinished: tuple[str, ...]  # names of its shards that are not whole


def prep(request: PrepRequest, progress: Progress) -> PrepReport:
    """Prepare a corpus; what an earlier run finished is kept."""
    recipe = load_recipe(request.corpus, request.root, request.assignments)
    _check_used(request, recipe)
    progress.say(f"{request.corpus}: recipe {recipe.path}")
    out = request.out or Path("data") / request.corpus
    if recipe.synth is not None:
        _make_corpus(recipe, recipe.synth, request, progress)
    corpus = corpora.read(recipe.reader, recipe.root, recipe.corpus)
    for note in corpus.notes:
        progress.say(note)
    clips = _first_of_each_split(corpus.clips, request, lambda clip: clip.key)
    landmarks: dict[str, Ready] = {}
    if request.landmarks is not None:
        landmarks = find_ready(request.landmarks, clips, recipe.root)
        clips = [_with_landmarks(clip, landmarks, request.landmarks, recipe.root) for clip in clips]
    plan = shards.make_plan(
        clips,
        recipe.settings.shards,
        {**deciding(recipe, request.only_detect), "landmarks": request.landmarks.name if request.landmarks else None},
        recipe.root,
        shards.file_sizes(clips),
        {key: ready.mark for key, ready in landmarks.items()},
    )
    mine = shards.take_part(plan.shards, *request.part)
    # All that can refuse the request comes before --force removes anything.
    with _engine(request) as run, hold_part(out, *request.part, advice="or give each a --part of its own") as hold:
        if request.force:
            shards.clear_store(out, plan, request.splits, request.part)
        shards.open_store(out, plan, versions(), corpus.notes)
        missing = shards.missing_shards(out, mine)
        jobs = _jobs(missing, recipe, landmarks)
        kept = sum(len(shard.clips) for shard in mine) - len(jobs)
        if kept:
            progress.say(f"{kept:,} clips are in finished shards of {out} already")
        progress.begin("prep", len(jobs))
        with closing(run(partial(_work, _sample_settings(recipe, request)), jobs)) as outcomes:
            for shard in missing:
                _write_shard(out, shard, outcomes, progress, hold)
        summary = shards.finish(out)
    whole = {name: samples for split in summary.splits.values() for name, samples in split.whole.items()}
    return PrepReport(
        out=out,
        summary=summary,
        made=len(jobs),
        clips=sum(len(shard.clips) for shard in mine),
        samples=sum(whole.get(shard.name, 0) for shard in mine),
        unfinished=tuple(shard.name for shard in mine if shard.name not in whole),
    )


def _check_used(request: PrepRequest, recipe: PrepRecipe) -> None:
    """Refuse what would have no effect on videos that are mouths already, and a split given twice."""
    if recipe.settings.crop.already_cropped:
        unused = [each for each in request.assignments if each.startswith("faces.")]
        unused += ["--landmarks"] if request.landmarks is not None else []
        unused += ["--only detect"] if request.only_detect else []
        if unused:
            raise Misused(f"{unused[0]} has no effect on videos that are mouths (crop.already_cropped): leave it out")
    twice = [split for split, times in Counter(request.splits).items() if times > 1]
    if twice:
        raise Misused(f"--split {twice[0]} is given twice: give it once")


def _write_shard(
    out: Path,
    shard: shards.PlannedShard,
    outcomes: Iterator[Sample | Skipped | Reason],
    progress: Progress,
    hold: Hold,
) -> None:
    with shards.ShardWriter(out, shard) as writer:
        for clip in shard.clips:
            outcome = next(outcomes)
            if isinstance(outcome, Reason):  # the worker could not even answer
                outcome = Skipped(clip.key, clip.split, outcome)
            writer.add(outcome)
            progress.step(outcome)
        hold.check()  # a machine that slept may have lost its lock
        writer.commit()


def versions() -> dict[str, str]:
    """What decides the bytes beside the recipe."""
    packages = ("avsr-bench", "av", "mediapipe", "opencv-contrib-python", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {**found, "python": platform.python_version(), "machine": platform.machine()}


def _first_of_each_split(
    things: Iterable[InSplit], request: PrepRequest, name: Callable[[InSplit], str]
) -> list[InSplit]:
    """Of the splits asked for, the first `limit` by name."""
    by_split: dict[str, list[InSplit]] = {}
    for thing in sorted(things, key=name):
        by_split.setdefault(thing.split, []).append(thing)
    for split in request.splits:
        if split not in by_split:
            raise Misused(f"--split {split}: the corpus has no such split.{recipes.nearest(split, by_split)}")
    chosen = request.splits or tuple(by_split)
    return [thing for split in chosen for thing in by_split[split][: request.limit]]


def _make_corpus(recipe: PrepRecipe, settings: synth.SynthSettings, request: PrepRequest, progress: Progress) -> None:
    """Write the clips of the synthetic corpus that are not there yet."""
    synth.write_manifest(settings, recipe.root)
    chosen = set(_first_of_each_split(synth.utterances(settings), request, lambda utterance: utterance.path))
    missing = [utterance for utterance in synth.missing(settings, recipe.root) if utterance in chosen]
    if missing:
        progress.say(f"making {len(missing):,} clips in {recipe.root}")
        progress.begin("make", len(missing))
        with closing(run_local(partial(make_clip, recipe.root, settings), missing, request.workers)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Reason):
                    raise Refused(f"a clip of the synthetic corpus could not be made: {outcome}")
                progress.step(None)


def make_clip(root: Path, settings: synth.SynthSettings, utterance: synth.Utterance, limit: object) -> None:
    """Make one clip of the synthetic corpus: work for an engine."""
    synth.render(utterance, root, settings)


def _with_landmarks(clip: Clip, landmarks: Mapping[str, Ready], folder: Path, root: Path) -> Clip:
    """The clip, unusable where it has no landmarks: that too is settled by the plan."""
    if clip.problem is not None or clip.key in landmarks:
        return clip
    problem = Reason("no-landmarks", f"no landmarks of {path_in_corpus(clip, root)} in {folder}")
    return replace(clip, problem=problem)


def _jobs(missing: Sequence[shards.PlannedShard], recipe: PrepRecipe, landmarks: Mapping[str, Ready]) -> list[ClipJob]:
    """The clips to work on, in plan order, each with its landmarks where a folder of them was given."""
    return [
        ClipJob(
            clip,
            path_in_corpus(clip, recipe.root).as_posix(),
            landmarks[clip.key].path if clip.key in landmarks else None,
        )
        for shard in missing
        for clip in shard.clips
    ]


@contextmanager
def _engine(request: PrepRequest) -> Iterator[Engine]:
    if request.engine == "ray":
        from .ray_engine import ray_cluster

        with ray_cluster(request.address) as run:
            yield run
    else:
        yield partial(run_local, workers=request.workers)


def _sample_settings(recipe: PrepRecipe, request: PrepRequest) -> SampleSettings:
    chosen = recipe.settings
    return SampleSettings(chosen.clips, chosen.faces, chosen.crop, chosen.noise, request.only_detect)


def _work(settings: SampleSettings, job: ClipJob, limit: Callable[[float], None]) -> Sample | Skipped:
    return make_sample(job, settings, limit)
