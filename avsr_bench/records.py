"""The records that parts hand to one another, and the reasons why a clip may be left out.

Everything below is plain frozen data. A part raises `Unusable` for the one clip in its hands, and `Refused` for a
request that cannot be carried out at all; both carry the single line that a user reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol
from urllib.parse import quote

from annotated_types import Interval

if TYPE_CHECKING:
    import numpy as np

FPS = 25  # frames a second of every mouth clip
RATE = 16_000  # samples a second of every sound
SAMPLES_PER_FRAME = RATE // FPS  # 640
LONGEST = 1e6  # seconds, 11 days: a time beyond it is a mistake, and what is computed from it would overflow somewhere

# Settings have their range in their type; `recipes.build` holds them to it. These are in many rooms.
Fraction = Annotated[float, Interval(ge=0, le=1)]
PartOfAll = Annotated[float, Interval(ge=0, lt=1)]  # where all of it would leave nothing
Seed = Annotated[int, Interval(ge=0, le=2**63 - 1)]
Count = Annotated[int, Interval(ge=0, le=10**15)]
Hours = Annotated[float, Interval(ge=0, le=10**9)]
LONGEST_KEY = 200  # characters; names of files have 255 bytes

# Why a clip was left out: code -> (kind, what it means and what to do). `clip` reasons are final; `machine` reasons
# (memory, disk, time) leave the shard unfinished and the next run tries the clip again.
REASONS: dict[str, tuple[Literal["clip", "machine"], str]] = {
    "missing-file": ("clip", "the video is listed but is not there"),
    "unreadable": ("clip", "the file or its folder may not be read: check its permissions"),
    "empty-file": ("clip", "the file has no bytes"),
    "not-video": ("clip", "the file cannot be opened as a video"),
    "no-video-stream": ("clip", "the file has sound but no picture"),
    "no-frames": ("clip", "no frame could be decoded"),
    "damaged": ("clip", "the video breaks off or is corrupt: fetch it again"),
    "too-short": ("clip", "fewer frames than clips.min_frames"),
    "too-long": ("clip", "more seconds than clips.max_seconds"),
    "too-small": ("clip", "the picture or the face is too small to hold a mouth"),
    "bad-times": ("clip", "start or end lies outside the video, or end is not after start"),
    "no-text": ("clip", "the clip has no transcript and the corpus demands one"),
    "bad-text": ("clip", "the transcript is empty, not UTF-8 or not in the corpus's form"),
    "bad-row": ("clip", "its row in the corpus's list is not in the list's form"),
    "duplicate-key": ("clip", "another clip of the corpus has the same key"),
    "no-face": ("clip", "no face was found in any frame"),
    "face-lost": ("clip", "the face is away for longer than faces.max_gap"),
    "cut": ("clip", "the picture cuts to another scene or person"),
    "mouth-outside": ("clip", "the mouth leaves the picture or the reference frame"),
    "no-landmarks": ("clip", "no landmark file for this clip under --landmarks"),
    "bad-landmarks": ("clip", "the landmark file is not in a known form"),
    "landmarks-mismatch": ("clip", "the landmarks belong to a video of another length or resolution"),
    "worker-died": ("machine", "the worker process died twice on this clip (a codec crash, or killed for memory)"),
    "time-limit": ("machine", "the clip took longer than 60 s + 10 x its length"),
    "out-of-memory": ("machine", "memory ran out"),
    "failed": ("machine", "an unforeseen error: please report it"),
}


# What was odd about a clip that was used all the same: a sample's `notes` -> what it means.
NOTES: dict[str, str] = {
    "corrupt_frames": "one or two frames could not be decoded cleanly",
    "untimed_frames": "frames without a time of their own: they were taken to follow at the announced rate",
    "interlaced_frames": "interlaced frames, used as they are",
    "longest_frame": "a variable frame rate, or frames left out: the longest one in seconds",
    "sound_longer_frames": "sound and picture differ by more than 2 frames: the sound was cut or padded at its end",
    "sound_starts_late": "the sound begins after the picture: seconds of silence in front",
    "sound_gaps": "jumps in the clock of the sound: filled with silence, or laid over what was there",
    "sound_broken_packets": "packets of sound that could not be decoded: silence in their place",
}


class Refused(Exception):
    """A request that cannot be carried out; its text is the one line the user reads."""


class Misused(Refused):
    """A request that is wrong in itself: an unknown setting, a value out of range."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one clip was left out: a code of `REASONS` and a detail with the numbers of this clip."""

    code: str
    detail: str

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise ValueError(f"unknown reason {self.code!r}")

    @property
    def kind(self) -> Literal["clip", "machine"]:
        """Whether the reason is final, or the next run should try again."""
        return REASONS[self.code][0]

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Unusable(Exception):
    """Raised by a part that cannot use the one clip in its hands."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.reason = Reason(code, detail)

    def __reduce__(self) -> tuple[type[Unusable], tuple[str, str]]:  # exceptions pickle by args, ours has two
        return Unusable, (self.reason.code, self.reason.detail)


def make_key(name: str) -> str:
    """A clip's key from any name: everything outside [A-Za-z0-9_-] percent-encoded, so that no two names collide.

    Of a long name the end is a digest, so that KEY.mouth.mp4 can be a file.

    >>> make_key("test/00j9bKdiOjk/00001")
    'test%2F00j9bKdiOjk%2F00001'
    >>> make_key("嘴" * 100)[-20:]
    '%E5-e10a8dd8aa34d7b6'
    """
    key = quote(name, safe="", encoding="utf-8", errors="surrogateescape").replace(".", "%2E").replace("~", "%7E")
    if len(key) <= LONGEST_KEY:
        return key
    digest = blake2b(key.encode(), digest_size=8).hexdigest()
    return f"{re.sub('%.?$', '', key[: LONGEST_KEY - len(digest) - 1])}-{digest}"


def rng_for(seed: int, *names: str) -> np.random.Generator:
    """The random numbers that belong to names: the same on every machine, whatever was drawn before, and no others'.

    >>> rng_for(0, "s1%2Fbbaf2n", "blur").integers(100) == rng_for(0, "s1%2Fbbaf2n", "blur").integers(100)
    True
    """
    import numpy as np  # not before the command line has said how many threads it may take

    text = "\n".join([str(seed), *names]).encode(errors="surrogateescape")
    return np.random.default_rng(int.from_bytes(blake2b(text, digest_size=16).digest(), "little"))


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance of a corpus before any work: where it lies and what is said in it.

    `start` and `end` are seconds from the first frame of the video. A clip found to be unusable while the corpus is
    listed keeps its place in the plan and carries its `problem`.
    """

    key: str
    video: Path
    split: str
    speaker: str
    text: str | None = None
    audio: Path | None = None  # a sound file of its own; else the sound in the video
    start: float = 0.0
    end: float | None = None
    source: str = ""  # the recording it was cut from, to find train/test overlap
    problem: Reason | None = None
    # Where the corpus says the face is, in fractions of the picture's width and height from its upper left corner.
    face: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a reader found: every clip, and what the user should hear about it (odd counts, overlap, split rules)."""

    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One face through a clip at 25 fps, in pixels of the upright source picture. T frames, K points.

    K is 4 (right eye, left eye, nose tip, mouth centre; right and left are the person's) for our detector and 68 for
    landmarks of the iBUG scheme. `scores` is the detector's confidence; 0 where it looked and found nothing, NaN where
    it did not look: in both the position is interpolated.
    """

    boxes: np.ndarray  # float32 T, 4: x, y, width, height
    points: np.ndarray  # float32 T, K, 2
    scores: np.ndarray  # float32 T
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished clip, ready for a shard: the bytes of each member by its extension, in tar order."""

    key: str
    split: str
    frames: int
    text: str | None
    speaker: str
    members: Mapping[str, bytes]  # "mouth.mp4", "flac" (absent without sound), "json"
    track: FaceTrack | None = None  # none for videos that were cropped before


@dataclass(frozen=True, slots=True)
class Skipped:
    """A clip of the plan that gave no sample, and why."""

    key: str
    split: str
    reason: Reason


class Progress(Protocol):
    """Where progress is reported; `cli.progress` has a bar for terminals and lines for logs."""

    def say(self, line: str) -> None:
        """A line for the user."""

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None:
        """Work on so many of these starts, `before` of them done earlier."""

    def step(self, outcome: Sample | Skipped | None, status: str = "") -> None:
        """One of them is done, and how it goes in words."""


class _Silence:
    def say(self, line: str) -> None: ...

    def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None: ...

    def step(self, outcome: Sample | Skipped | None, status: str = "") -> None: ...


SILENCE: Progress = _Silence()  # for those who want none, and for output that programs read


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A run whose weights, or whose answers, went into another one."""

    run: str
    frames: Count | None = None  # trained on in that run alone; none where nobody knows: weights that others trained
    weights: str = ""  # a digest of them; empty where nobody kept it


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What it took to train a network. Frames are valid ones: padding is not counted, every pass over a clip is."""

    frames: Count  # that went through the network while it trained
    ancestors: tuple[Ancestor, ...] = ()  # the runs it began with, its teachers and their own, each once
    teacher_frames: Count = 0  # that went through frozen networks beside it; shown apart, not part of the total
    updates: Count = 0
    seconds: Annotated[float, Interval(ge=0, le=10**12)] = 0.0  # of its own training
    # Unique hours of its own training clips by kind, beside the frames and never used to match budgets.
    labelled_hours: Hours = 0.0
    automatic_hours: Hours = 0.0
    unlabelled_hours: Hours = 0.0

    @property
    def total(self) -> int | None:
        """Frames of the network and of all its ancestors; none where one of them is not known."""
        frames = [self.frames, *(ancestor.frames for ancestor in self.ancestors)]
        return None if None in frames else sum(of for of in frames if of is not None)
