"""A video that shows what was read: the words as they are spoken, and the box of each mouth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import media
from ..faces import MOUTH
from ..files import Ours, nothing
from ..records import FPS, SILENCE, Progress
from .cues import Cue, cues
from .transcript import Take, Transcript

CRF = 20  # x264's quality: looks like the original
# Of the faces in turn, told apart by people who see colours differently (Okabe and Ito).
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 200, 140), (240, 228, 66), (204, 121, 167), (213, 94, 0))
SPOKEN, GROUND = (255, 255, 255), (0, 0, 0, 150)
TEXT = 0.065  # height of the letters, of the picture's shorter side
LEAST_TEXT = 11  # pixels
FILL = 0.92  # of the picture's width that a caption may take
LOW = 0.62  # of the picture's height: below it a mouth has its caption above


def preview(
    transcript: Transcript,
    target: Path,
    progress: Progress = SILENCE,
    ours: Ours = nothing,
) -> None:
    """Write the video of a transcript with its words and mouth boxes; `target` is there when it is whole.

    A `target` that exists is replaced if it is `ours`.
    """
    video = media.Video(transcript.video, keep_bytes=0)
    info = video.info
    captions = [_Caption.of(cue, transcript.takes, info.width, info.height) for cue in cues(transcript)]
    with media.rewrite(transcript.video, target, info, CRF, ours) as out:
        for t, picture in enumerate(media.Counted(video, "preview", progress)):
            frame = picture.rgb().copy()
            for take in transcript.takes:
                if take.start <= t < take.end:
                    draw_box(frame, take.matrices[t - take.start], COLOURS[(take.face - 1) % len(COLOURS)])
            used = {"top": 0, "bottom": 0}
            for caption in captions:
                if caption.cue.start <= t / FPS < caption.cue.end:
                    used[caption.edge] += caption.draw(frame, t / FPS, used[caption.edge])
            out.add(frame)


def draw_box(frame: np.ndarray, matrix: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw the square that `matrix` cuts from a picture."""
    side = MOUTH - 0.5
    corners = np.array([[-0.5, -0.5], [side, -0.5], [side, side], [-0.5, side]])
    places = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    thick = max(1, round(min(frame.shape[:2]) / 240))
    fine = 4  # bits behind the point
    points = np.round(places * (1 << fine)).astype(np.int32)
    cv2.polylines(frame, [points], True, colour, thick, cv2.LINE_AA, fine)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A word, or a piece of one that is too long for a line, and where it stands in its caption."""

    text: str
    number: int  # of the word
    x: float
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class _Caption:
    """One cue laid out for a picture: every word has its place from the start and appears when it is spoken."""

    cue: Cue
    edge: str  # of the picture: top or bottom
    size: int  # of the letters
    placed: tuple[_Placed, ...]
    width: int
    height: int

    @classmethod
    def of(cls, cue: Cue, takes: Sequence[Take], width: int, height: int) -> _Caption:
        """A cue in letters as large as the picture allows."""
        size = max(LEAST_TEXT, round(TEXT * min(width, height)))
        while True:
            placed = tuple(_laid_out(cue, size, FILL * width))
            lines = placed[-1].line + 1
            if size <= LEAST_TEXT or lines * _line(size) < height / 3:
                break
            size -= 1
        longest = max(word.x + _font(size).getlength(word.text) for word in placed)
        edge = "top" if _mouth_height(cue, takes) > LOW * height else "bottom"
        return cls(cue, edge, size, placed, round(longest) + size, lines * _line(size) + size // 2)

    def draw(self, frame: np.ndarray, now: float, used: int) -> int:
        """Draw it at its edge, `used` pixels in; the pixels it takes there."""
        begun = sum(word.start <= now for word in self.cue.words)
        current = next((n for n, word in enumerate(self.cue.words) if word.start <= now < word.end), -1)
        image = _image(self, begun, current)
        height, width = min(image.shape[0], frame.shape[0]), min(image.shape[1], frame.shape[1])
        margin = round(0.03 * frame.shape[0]) + used
        top = margin if self.edge == "top" else frame.shape[0] - margin - height
        top, left = max(0, min(top, frame.shape[0] - height)), (frame.shape[1] - width) // 2
        region = frame[top : top + height, left : left + width]
        alpha = image[:height, :width, 3:].astype(np.float32) / 255
        region[:] = np.round(region * (1 - alpha) + image[:height, :width, :3] * alpha)
        return height + 2


@lru_cache(maxsize=16)
def _image(caption: _Caption, begun: int, current: int) -> np.ndarray:
    """A caption with its first `begun` words, the current one in the colour of the face: uint8 H, W, 4."""
    image = Image.new("RGBA", (caption.width, caption.height), GROUND if begun else (0, 0, 0, 0))
    draw, font = ImageDraw.Draw(image), _font(caption.size)
    colour = COLOURS[(caption.cue.face - 1) % len(COLOURS)]
    for word in caption.placed:
        if word.number < begun:
            place = caption.size / 2 + word.x, caption.size / 4 + word.line * _line(caption.size)
            draw.text(place, word.text, (*(colour if word.number == current else SPOKEN), 255), font)
    return np.asarray(image)


def _laid_out(cue: Cue, size: int, width: float) -> Iterator[_Placed]:
    """Words in lines no wider than `width`; one that is wider alone is broken."""
    font = _font(size)
    room, x, line = width - size, 0.0, 0
    for number, word in enumerate(cue.words):
        text = word.text
        if x and x + font.getlength(text) > room:
            x, line = 0.0, line + 1
        while len(text) > 1 and font.getlength(text) > room:
            fits = max(1, sum(font.getlength(text[: n + 1]) <= room for n in range(len(text))))
            yield _Placed(text[:fits], number, x, line)
            text, line = text[fits:], line + 1
        yield _Placed(text, number, x, line)
        x += font.getlength(text + " ")


def _mouth_height(cue: Cue, takes: Sequence[Take]) -> float:
    """How far down the mouth is when a cue begins; 0 where none is in view."""
    t = round(cue.start * FPS)
    for take in takes:
        if take.face == cue.face and take.start <= t < take.end:
            matrix = take.matrices[t - take.start]
            return float(np.linalg.solve(matrix[:, :2], MOUTH / 2 - matrix[:, 2])[1])
    return 0.0


def _line(size: int) -> int:
    return round(1.25 * size)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, on every machine the same."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
