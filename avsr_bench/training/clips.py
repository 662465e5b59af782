"""What a run trains on and looks at: clips, their tokens, and the streams of batches made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from .. import data, voices
from ..data import AugmentSettings, Clip, Example, Place, Planner, Position, Prepared, Stream
from ..files import write_whole
from ..nn import Batch, Modality
from ..noise.sound import SoundSettings, Source
from ..objectives import Batches
from ..records import FPS, Refused
from ..text import Tokenizer, check_coverage
from .recipe import TrainRecipe

TRAIN, VALID = "train", "valid"
MOST_LEFT_OUT = 0.1  # share of the clips


@dataclass(frozen=True, slots=True)
class Material:
    """The clips of a run."""

    corpus: Prepared
    streams: Mapping[str, Stream]
    valid: Stream
    hours: float  # of training clips
    left_out: tuple[tuple[str, str], ...]  # key and reason of clips that are not trained on

    @property
    def planner(self) -> Planner:
        """That of the first stream, whose epochs the run counts."""
        return next(iter(self.streams.values())).planner

    @contextmanager
    def feed(self, rank: int, done: int, count: int, workers: int) -> Iterator[Iterator[Batches]]:
        """The next `count` batches of every stream, after `done` of each; leaving it ends the workers."""
        with ExitStack() as held:
            loaders = {
                name: held.enter_context(
                    data.Loader(stream, rank, stream.planner.after(Position(), done), count, workers)
                )
                for name, stream in self.streams.items()
            }
            yield (dict(zip(loaders, views, strict=True)) for views in zip(*loaders.values(), strict=True))

    def validation(self, rank: int, ranks: int) -> Iterator[Batch]:
        """The validation batches of a rank."""
        plan = data.plan_split(self.valid.planner.frames, self.valid.planner.settings, ranks)[rank]
        corpus, tokens = self.valid.corpus, self.valid.tokens
        (show,) = self.valid.views
        for batch in plan:
            places = [self.valid.places[number] for number in batch.clips]
            examples = data.examples(corpus, places, self.valid.modality)
            yield data.collate([show(e, tokens[k], 0) for e, k in zip(examples, batch.clips, strict=True)])


def gather(
    corpus: Prepared, recipe: TrainRecipe, modality: Modality, tokenizer: Tokenizer, seed: int, ranks: int
) -> Material:
    """Everything about the clips of a run; what cannot be trained on is refused, or left out with its reason."""
    places = data.places(corpus, TRAIN, modality)
    check_coverage(tokenizer, (place.entry.text or "" for place in places), f"{corpus.location}, {TRAIN}")
    tokens = [tuple(tokenizer.encode(place.entry.text or "")) for place in places]
    out = _left_out(places, tokens, recipe)
    if len(out) > MOST_LEFT_OUT * len(places):
        key, why = out[0]
        raise Refused(
            f"{len(out):,} of the {len(places):,} clips of {corpus.location}, {TRAIN}, cannot be trained on (the first"
            f" is {key}: {why}): use another tokenizer (text.kind, text.units), or raise data.longest"
        )
    gone = {key for key, _ in out}
    kept = [number for number, place in enumerate(places) if place.entry.key not in gone]
    places, tokens = [places[k] for k in kept], [tokens[k] for k in kept]
    frames = tuple(place.entry.frames for place in places)
    planner = Planner(
        frames,
        tuple(place.shard for place in places),
        recipe.data,
        seed,
        ranks,
        recipe.curriculum.epochs,
        recipe.curriculum.frames,
    )
    if recipe.curriculum.epochs and min(frames) > recipe.curriculum.frames:
        raise Refused(
            f"curriculum.frames={recipe.curriculum.frames}: no clip is that short, the shortest has {min(frames)}"
        )
    side = recipe.network.mouth
    crowd = _crowd(corpus, modality, recipe.augment, seed)
    show = partial(_augmented, side=side, settings=recipe.augment, seed=seed, crowd=crowd)
    return Material(
        corpus=corpus,
        streams={"labelled": Stream(corpus, places, tokens, modality, planner, (show,))},
        valid=_valid(corpus, recipe, modality, tokenizer),
        hours=sum(frames) / FPS / 3600,
        left_out=tuple(out),
    )


def write_left_out(folder: Path, left_out: Sequence[tuple[str, str]]) -> None:
    """One line a clip that is not trained on, with the reason."""
    lines = [json.dumps({"key": key, "reason": reason}, ensure_ascii=False) + "\n" for key, reason in left_out]
    write_whole(folder / "left_out.jsonl", "".join(lines))


def _left_out(places: Sequence[Place], tokens: Sequence[tuple[int, ...]], recipe: TrainRecipe) -> list[tuple[str, str]]:
    frames, keys = [place.entry.frames for place in places], [place.entry.key for place in places]
    longest = set(data.left_out(frames, keys, recipe.data))
    found = []
    for number, (place, spelled) in enumerate(zip(places, tokens, strict=True)):
        # CTC needs a frame for each token, and one for the blank between two that are the same.
        needed = len(spelled) + sum(a == b for a, b in pairwise(spelled))
        if number in longest:
            found.append((place.entry.key, f"{place.entry.frames} frames, data.longest is {recipe.data.longest}"))
        elif needed > place.entry.frames:
            found.append((place.entry.key, f"{place.entry.frames} frames for {needed} tokens"))
        elif not spelled:
            found.append((place.entry.key, f"its text {place.entry.text!r} has no letter or digit in it"))
    return found


def _valid(corpus: Prepared, recipe: TrainRecipe, modality: Modality, tokenizer: Tokenizer) -> Stream:
    """The clips to look at while training: evenly taken from the split, the same in every run on this corpus."""
    if VALID not in corpus.prep["splits"]:
        raise Refused(
            f"{corpus.location} has no split {VALID} to look at while training,"
            f" only {', '.join(corpus.prep['splits'])}: prepare it too"
        )
    places = [place for place in data.places(corpus, VALID, modality) if place.entry.frames <= recipe.data.frames]
    some = min(recipe.train.validate_clips or len(places), len(places))
    places = [places[number * len(places) // some] for number in range(some)]
    tokens = [tuple(tokenizer.encode(place.entry.text or "")) for place in places]
    frames = tuple(place.entry.frames for place in places)
    planner = Planner(frames, tuple(place.shard for place in places), recipe.data, 0)
    return Stream(corpus, places, tokens, modality, planner, (partial(_tested, side=recipe.network.mouth),))


def _crowd(corpus: Prepared, modality: Modality, settings: AugmentSettings, seed: int) -> Source | None:
    if modality == "video" or not settings.babble:
        return None
    if corpus.is_remote:
        raise Refused("babble is made from voices of a local corpus: set augment.babble=false, or copy the corpus here")
    return voices.open_source("babble", SoundSettings(), Path(corpus.location), TRAIN, seed)


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


def _tested(example: Example, tokens: tuple[int, ...], epoch: int, *, side: int) -> Clip:
    return data.tested(example, tokens, side)
