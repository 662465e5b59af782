"""Noise on whole pictures of the source videos: faces are sought and mouths are cropped anew, and some are lost."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from .. import media, prepare_clip, recipes
from ..data import Place, Prepared, read_members
from ..faces import FaceSettings
from ..prepare_clip import ClipJob, ClipSettings, CropSettings, NoiseSettings, SampleSettings
from ..records import Clip, Reason, Refused, Sample
from ..shards import Source, parse_about

# What noise does to the search for a face; any other reason lies with the files, and ends the evaluation.
LOST = ("no-face", "face-lost", "cut", "mouth-outside", "too-small")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What of a corpus' preparation decides how mouths are cropped."""

    clips: ClipSettings = field(default_factory=ClipSettings)
    faces: FaceSettings = field(default_factory=FaceSettings)
    crop: CropSettings = field(default_factory=CropSettings)


class NoisyFrames:
    """Mouths of clips whose whole pictures were corrupted, found and cropped as `prep --noise` does it.

    Calls may come from several threads; the work is done in as many processes as there are workers.
    """

    def __init__(self, corpus: Prepared, places: Sequence[Place], root: Path | None, seed: int, workers: int) -> None:
        recipe = corpus.prep["recipe"]
        if recipe.get("noise"):
            raise Refused(f"{corpus.location} was prepared with noise already: noise on frames needs a clean one")
        known = recipes.build(_Prepared, {name: recipe[name] for name in ("clips", "faces", "crop")}, "prep.json")
        if known.crop.already_cropped:
            raise Refused(f"{corpus.location} was made from mouths (already_cropped): there are no frames to corrupt")
        if root is None:
            raise Refused("noise on frames needs the source videos: say where they lie with --root DIR, as for prep")
        self.settings = SampleSettings(known.clips, known.faces, known.crop)
        self.seed, self.clips = seed, dict[str, Source]()
        for key, members in read_members(corpus, places, ["json"]).items():
            self.clips[key] = _source(corpus, key, members["json"])
        self.root = root
        for place in places:
            self._job(place)
        context = multiprocessing.get_context("forkserver")
        self.pool = ProcessPoolExecutor(workers, context)

    def __enter__(self) -> NoisyFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def mouth(self, place: Place, family: str, level: int) -> np.ndarray | None:
        """The mouth of a clip, or none where its face is lost."""
        noise = NoiseSettings(f"{family}:{level}", self.seed)
        settings = SampleSettings(self.settings.clips, self.settings.faces, self.settings.crop, noise)
        try:
            made = self.pool.submit(partial(_make, settings), self._job(place)).result()
        except BrokenProcessPool:
            raise Refused(f"{place.entry.key} under {noise.frames}: its worker died (memory?); run it again") from None
        if isinstance(made, bytes):
            mouth = media.decode_mouth(made)
            if len(mouth) != place.entry.frames:
                raise Refused(f"{place.entry.key} has {len(mouth)} frames now and {place.entry.frames} when prepared")
            return mouth
        if made.code in LOST:
            return None
        raise Refused(f"{place.entry.key} under {noise.frames}: {made}")

    def _job(self, place: Place) -> ClipJob:
        """The clip as prep had it; refused where its video is not the one that was prepared."""
        entry, source = place.entry, self.clips[place.entry.key]
        video = self.root / source.path
        if not video.is_file():
            raise Refused(f"{entry.key} was cut from {source.path}, which is not under --root {self.root}")
        if video.stat().st_size != source.bytes:
            raise Refused(f"{video} has {video.stat().st_size:,} bytes, and {source.bytes:,} when it was prepared")
        clip = Clip(entry.key, video, place.split, entry.speaker, entry.text, start=source.start, end=source.end)
        return ClipJob(clip, source.path)


def _source(corpus: Prepared, key: str, data: bytes) -> Source:
    try:
        source = parse_about(data).source
    except ValueError as error:
        raise Refused(f"{corpus.location}: {key}.json is damaged: {error}; see `avsr-bench validate`") from None
    if source is None:
        raise Refused(f"{corpus.location}: {key}.json does not say which video it was cut from: prepare it again")
    return source


def _make(settings: SampleSettings, job: ClipJob) -> bytes | Reason:
    """The mouth of one clip as prep stores it: work for a process."""
    import cv2

    cv2.setNumThreads(1)  # processes are as many as cores
    made = prepare_clip.make_sample(job, settings)
    return made.members["mouth.mp4"] if isinstance(made, Sample) else made.reason
