"""What a run trains and validates on: clips, their tokens, and the streams of batches made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from .. import babble_sources, data, objectives
from ..data import (
    TRAIN,
    AugmentSettings,
    BatchSettings,
    Chosen,
    Clip,
    Example,
    InterferenceSettings,
    Kind,
    Pass,
    Place,
    Planner,
    Position,
    Prepared,
    Show,
    Stream,
    StreamSettings,
    TrainingClip,
)
from ..files import write_whole
from ..nn import Batch, Modality
from ..noise.sound import OF_VOICES, SoundSettings, Source
from ..objectives import Batches
from ..records import Refused
from ..text import Tokenizer, check_coverage
from .plan import PlannedRun
from .recipe import TrainRecipe

VALID = "valid"
MOST_LEFT_OUT = 0.1  # fraction of the clips


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The clips of a run."""

    corpus: Prepared
    streams: Mapping[str, Stream]
    valid: Stream
    chosen: Chosen  # the clips of all streams, each once
    left_out: tuple[tuple[str, str], ...]  # key and reason of clips that are not trained on

    @property
    def stream(self) -> Stream:
        """The first one, whose epochs the run counts."""
        return next(iter(self.streams.values()))

    @contextmanager
    def feed(
        self, rank: int, start: Position, done: int, count: int, workers: int, begin: Callable[[int], Pass]
    ) -> Iterator[Iterator[Batches]]:
        """The next `count` batches of every stream, after `done` of each; leaving it ends the workers.

        The first stream stands at `start`, and `begin` says what each of its epochs has.
        """
        with ExitStack() as held:
            loaders: dict[str, data.Loader] = {}
            for name, stream in self.streams.items():
                place, has = (start, begin) if stream is self.stream else (stream.planner.after(Position(), done), None)
                loader = data.Loader(stream, rank, place, count, workers, has)
                loaders[name] = held.enter_context(loader)
            yield (dict(zip(loaders, views, strict=True)) for views in zip(*loaders.values(), strict=True))

    def validation(self, rank: int, ranks: int) -> Iterator[tuple[tuple[Batch, ...], list[str]]]:
        """The validation batches of a rank, one a view, with the transcripts of their clips."""
        plan = data.plan_split(self.valid.planner.frames, self.valid.planner.settings, ranks)[rank]
        corpus, tokens = self.valid.corpus, self.valid.tokens
        for batch in plan:
            places = [self.valid.places[number] for number in batch.clips]
            examples = data.examples(corpus, places, self.valid.modality)
            pairs = list(zip(examples, batch.clips, strict=True))
            views = tuple(data.collate([show(e, tokens[k], 0) for e, k in pairs]) for show in self.valid.views)
            yield views, [place.entry.text or "" for place in places]


def open_training_data(run: PlannedRun, corpus: Prepared, chosen: Chosen, tokenizer: Tokenizer | None) -> TrainingData:
    """Everything about the clips of a run; what cannot be trained on is refused, or left out with its reason."""
    recipe, modality, seed = run.recipe, run.about.inputs, run.about.seed or 0
    where = f"{corpus.location}, {TRAIN}"
    if not chosen.fingerprint and not recipe.entry.textless:
        data.check_text(where, [clip.place for clip in chosen.clips])
    if tokenizer is not None:
        check_coverage(tokenizer, (clip.text for clip in chosen.clips if clip.text), where)
    crowd = _crowd(corpus, modality, recipe.augment, seed)
    side = recipe.network.mouth
    shows: dict[str, Show] = {
        "augmented": partial(_augmented, side=side, settings=recipe.augment, seed=seed, crowd=crowd),
        # As augmented, the crop and the flip the same, with nothing taken out or added.
        "unmasked": partial(_augmented, side=side, settings=unmasked(recipe.augment), seed=seed, crowd=None),
        "plain": partial(_tested, side=side),
        **_beside_noise(corpus, recipe, TRAIN, recipe.augment, seed),
    }
    out = dict(chosen.left_out)
    streams: dict[str, Stream] = {}
    used: dict[str, TrainingClip] = {}
    for name, settings in recipe.streams().items():
        clips = [clip for clip in chosen.clips if takes(settings, clip)]
        frames = max(1, round(settings.fraction * recipe.data.frames))
        batches = replace(recipe.data, frames=frames)
        if settings.take == "all":  # what is said in them is not learnt; it measures, where CTC can place it
            clips = [replace(clip, kind="unlabelled", text=_placeable(clip, tokenizer)) for clip in clips]
        tokens = [_tokens(clip.text, tokenizer) for clip in clips]
        gone = dict(_left_out(clips, tokens, batches))
        if len(gone) > MOST_LEFT_OUT * len(clips):
            key, why = next(iter(gone.items()))
            raise Refused(
                f"{len(gone):,} of the {len(clips):,} clips of {where}, cannot be trained on (the first is {key}:"
                f" {why}): use another tokenizer (text.kind, text.units), or raise data.longest"
            )
        out |= gone
        kept = [number for number, clip in enumerate(clips) if clip.place.entry.key not in gone]
        places = [clips[number].place for number in kept]
        used |= {clips[number].place.entry.key: clips[number] for number in kept}
        views = tuple(shows[view] for view in settings.views)
        planner = _planner(places, batches, recipe, seed)
        streams[name] = Stream(
            corpus, places, [tokens[number] for number in kept], modality, planner, views, recipe.data.selection
        )
    return TrainingData(
        corpus=corpus,
        streams=streams,
        valid=_valid(corpus, recipe, modality, tokenizer),
        chosen=replace(chosen, clips=tuple(used.values())),
        left_out=tuple(out.items()),
    )


def check_streams(run: PlannedRun, chosen: Chosen) -> None:
    """Refuse a stream that would have no clip."""
    for name, settings in run.recipe.streams().items():
        if not any(takes(settings, clip) for clip in chosen.clips):
            advice = ""
            if settings.take == "unlabelled":
                advice = (
                    ": all clips have text, which is used; data.hide.speakers=0.8 pretends that four of five speakers"
                    " have none, one at least keeps it; with few speakers, data.hide={clips: 0.8} four of five clips"
                )
            raise Refused(
                f"data.streams.{name}.take={settings.take}: {run.about.corpus}, {TRAIN} has no such clip{advice}"
            )


def takes(settings: StreamSettings, clip: TrainingClip) -> bool:
    """Whether a stream has a clip."""
    kinds = {"labelled": ("labelled", "automatic"), "own": ("labelled",), "all": get_args(Kind)}
    return clip.kind in kinds.get(settings.take, (settings.take,))


def _tokens(text: str | None, tokenizer: Tokenizer | None) -> tuple[int, ...]:
    return () if tokenizer is None else tuple(tokenizer.encode(text or ""))


def _placeable(clip: TrainingClip, tokenizer: Tokenizer | None) -> str | None:
    tokens = _tokens(clip.text, tokenizer)
    return clip.text if tokens and data.needed_frames(tokens) <= clip.place.entry.frames else None


def unmasked(settings: AugmentSettings) -> AugmentSettings:
    """What moves a clip, and nothing that hides a part of it."""
    return replace(settings, video_mask=0.0, video_dropout=0.0, audio_mask=0.0, noise=False, babble=False)


def _planner(places: Sequence[Place], batches: BatchSettings, recipe: TrainRecipe, seed: int) -> Planner:
    frames = tuple(place.entry.frames for place in places)
    curriculum = recipe.curriculum
    if curriculum.epochs and min(frames) > curriculum.frames:
        raise Refused(f"curriculum.frames={curriculum.frames}: no clip is that short, the shortest has {min(frames)}")
    shards = tuple(place.shard for place in places)
    return Planner(frames, shards, batches, seed, recipe.train.ranks, curriculum.epochs, curriculum.frames)


def write_left_out(folder: Path, left_out: Sequence[tuple[str, str]]) -> None:
    """One line a clip that is not trained on, with the reason."""
    lines = [json.dumps({"key": key, "reason": reason}, ensure_ascii=False) + "\n" for key, reason in left_out]
    write_whole(folder / "left_out.jsonl", "".join(lines))


def _left_out(
    clips: Sequence[TrainingClip], tokens: Sequence[tuple[int, ...]], batches: BatchSettings
) -> Iterator[tuple[str, str]]:
    entries = [clip.place.entry for clip in clips]
    longest = set(data.left_out([entry.frames for entry in entries], [entry.key for entry in entries], batches))
    for number, (entry, clip, tokenised) in enumerate(zip(entries, clips, tokens, strict=True)):
        needed = data.needed_frames(tokenised)
        if number in longest:
            yield entry.key, f"{entry.frames} frames, data.longest is {batches.longest}"
        elif entry.frames < 2:
            yield entry.key, "a single frame: alone in a batch it leaves a batch norm nothing to average"
        elif needed > entry.frames:
            yield entry.key, f"{entry.frames} frames for {needed} tokens"
        elif clip.text is not None and not tokenised:
            yield entry.key, f"its text {clip.text!r} has no letter or digit in it"


def _valid(corpus: Prepared, recipe: TrainRecipe, modality: Modality, tokenizer: Tokenizer | None) -> Stream:
    """The clips to validate on: evenly taken from the split, the same in every run on this corpus."""
    if VALID not in corpus.prep["splits"]:
        raise Refused(
            f"{corpus.location} has no split {VALID} to validate on,"
            f" only {', '.join(corpus.prep['splits'])}: prepare it too"
        )
    found, _ = data.usable(corpus, VALID, modality)
    if recipe.entry.leaves == "recogniser":
        data.check_text(f"{corpus.location}, {VALID}", found)
    places = [place for place in found if place.entry.frames <= recipe.data.frames]
    some = min(recipe.train.validate_clips or len(places), len(places))
    places = [places[number * len(places) // some] for number in range(some)]
    tokens = [_tokens(place.entry.text, tokenizer) for place in places]
    frames = tuple(place.entry.frames for place in places)
    planner = Planner(frames, tuple(place.shard for place in places), recipe.data, 0)
    still = replace(unmasked(recipe.augment), crop=False, flip=0.0)
    shows = {"plain": partial(_tested, side=recipe.network.mouth), **_beside_noise(corpus, recipe, VALID, still, 0)}
    return Stream(corpus, places, tokens, modality, planner, tuple(shows[view] for view in recipe.entry.shown))


def _beside_noise(
    corpus: Prepared, recipe: TrainRecipe, split: str, augment: AugmentSettings, seed: int
) -> dict[str, Show]:
    """The views of a clip with other sound in it and without, where the objective asks for them."""
    if "noisy" not in recipe.entry.shown:
        return {}
    settings: InterferenceSettings = objectives.settings_of(recipe.objective, "objective").interference
    if corpus.is_remote and set(OF_VOICES) & set(settings.kinds):
        raise Refused(
            "voices are those of a local corpus: copy it here, or leave them out of objective.interference.kinds"
        )
    sources = babble_sources.open_sources(settings.kinds, SoundSettings(), Path(corpus.location), split, seed)
    show = partial(_beside, side=recipe.network.mouth, augment=augment, settings=settings, seed=seed, sources=sources)
    return {"noisy": partial(show, noisy=True), "clean": partial(show, noisy=False)}


def _crowd(corpus: Prepared, modality: Modality, settings: AugmentSettings, seed: int) -> Source | None:
    if modality == "video" or not settings.babble:
        return None
    if corpus.is_remote:
        raise Refused("babble is made from voices of a local corpus: set augment.babble=false, or copy the corpus here")
    return babble_sources.open_source("babble", SoundSettings(), Path(corpus.location), TRAIN, seed)


def _augmented(
    example: Example,
    tokens: tuple[int, ...],
    epoch: int,
    *,
    side: int,
    settings: AugmentSettings,
    seed: int,
    crowd: Source | None,
) -> Clip:
    return data.augmented(example, tokens, side, settings, seed, epoch, crowd)


def _beside(
    example: Example,
    tokens: tuple[int, ...],
    epoch: int,
    *,
    side: int,
    augment: AugmentSettings,
    settings: InterferenceSettings,
    seed: int,
    sources: Sequence[Source],
    noisy: bool,
) -> Clip:
    both = data.disturbed(example, sources, settings, seed, epoch)
    seen = data.augmented(replace(example, sound=None), tokens, side, augment, seed, epoch) if noisy else None
    return Clip(example.key, example.frames, tokens, None if seen is None else seen.video, both[0 if noisy else 1])


def _tested(example: Example, tokens: tuple[int, ...], epoch: int, *, side: int) -> Clip:
    return data.tested(example, tokens, side)
