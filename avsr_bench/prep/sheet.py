"""The contact sheet: mouths of clips spread over the whole folder, with their text, to judge a prep run by eye."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from unicodedata import category

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import media, shards
from ..files import Ours, check_target, marked, png_header, whole
from ..records import FPS, Refused, Unusable
from ..shards import Entry

COLUMNS = 2
TILE = 96  # pixels of one mouth
GAP = 2  # between the mouths of a strip
MARGIN = 28
LINE = 21  # of a caption
PAPER, INK, FAINT, WARNING = (255, 255, 255), (24, 24, 24), (120, 120, 120), (190, 40, 30)
LONGEST = 1000  # characters of a line that are looked at; a strip of 8 mouths holds about 100
DOUBTFUL = 0.9  # a detection rate below it is shown in red


@dataclass(frozen=True, slots=True)
class Strip:
    """What one cell of the sheet shows."""

    split: str
    entry: Entry
    mouths: tuple[np.ndarray, ...]
    detected: float | None


def contact_sheet(out: Path, path: Path, clips: int = 24, frames: int = 8, ours: Ours = marked) -> None:
    """Draw `frames` mouths of each of `clips` clips, evenly spaced over the keys of each split, into the PNG `path`.

    A `path` that exists is replaced if it is `ours`.
    """
    check_target(path, ours)
    summary = shards.summarise(out)
    strips = list(choose_strips(out, list(summary.splits), clips, frames))
    if not strips:
        raise Refused(f"{out} has no mouths to draw: no finished shard holds a sample with a mouth.mp4")
    image = _draw(out, summary, strips, frames)
    with whole(path, ours) as unfinished:
        image.save(unfinished, "PNG", pnginfo=png_header())


def choose_strips(out: Path, splits: Sequence[str], clips: int, frames: int) -> Iterator[Strip]:
    """The clips to show: as many of each split as of the next, evenly spaced in the order of their keys."""
    # How many each shard has; then the few shards that a clip is taken from are read once more.
    counts = {
        split: [(index, len(_with_mouths(index))) for index in shards.shard_indexes(out, split)] for split in splits
    }
    found = {split: sum(count for _, count in counts[split]) for split in splits}
    left, waiting = clips, sorted((split for split in splits if found[split]), key=lambda split: found[split])
    share = {}
    for place, split in enumerate(waiting):  # the smallest first: what it does not need goes to the others
        share[split] = min(found[split], left // (len(waiting) - place))
        left -= share[split]
    for split in splits:
        chosen, first = evenly(found[split], share.get(split, 0)), 0
        for index, count in counts[split]:
            here = [number - first for number in chosen if first <= number < first + count]
            entries, first = _with_mouths(index) if here else (), first + count
            for number in here:
                yield _strip(split, index.with_suffix(".tar"), entries[number], frames)


def _with_mouths(index: Path) -> tuple[Entry, ...]:
    return tuple(entry for entry in shards.read_index(index) if "mouth.mp4" in entry.members)


def _strip(split: str, tar: Path, entry: Entry, frames: int) -> Strip:
    try:
        mouths = media.decode_mouth(shards.read_member(tar, entry, "mouth.mp4"))
    except Unusable as unusable:
        raise Refused(f"{tar}: the mouth of {entry.key} is {unusable}: see `avsr-bench validate`") from None
    shown = tuple(mouths[i] for i in evenly(len(mouths), frames))
    return Strip(split, entry, shown, _detected(tar, entry))


def _detected(tar: Path, entry: Entry) -> float | None:
    if "json" not in entry.members:
        return None
    return shards.read_about(tar, entry, shards.read_member(tar, entry, "json")).detected


def evenly(total: int, count: int) -> list[int]:
    """At most `count` different places of `total`, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, total - 1, min(total, count)).round().astype(int)).tolist() if total else []


def _draw(out: Path, summary: shards.Summary, strips: Sequence[Strip], frames: int) -> Image.Image:
    cell = frames * TILE + (frames - 1) * GAP
    columns = min(COLUMNS, len(strips))
    width = max(columns * (cell + MARGIN) + MARGIN, 680)
    # Drawn on paper that is surely long enough, then cut: how many lines a text takes is known when it is drawn.
    image = Image.new("RGB", (width, 100 + len(strips) * (TILE + 4 * LINE + MARGIN + 60)), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, 18), _fit(str(out), width - 2 * MARGIN, _font(22, bold=True)), INK, _font(22, bold=True))
    draw.text((MARGIN, 50), _fit(_left_out(summary), width - 2 * MARGIN, _font(15)), FAINT, _font(15))
    y = 78
    for split, group in groupby(strips, key=lambda strip: strip.split):
        y += 14
        draw.text((MARGIN, y), _counted(split, summary.splits[split]), INK, _font(15, bold=True))
        y += 28
        cells = list(group)
        for row in (cells[start : start + columns] for start in range(0, len(cells), columns)):
            bottoms = [
                _draw_strip(image, draw, strip, MARGIN + column * (cell + MARGIN), y, cell)
                for column, strip in enumerate(row)
            ]
            y = max(bottoms) + 18
    return image.crop((0, 0, width, y))


def _draw_strip(image: Image.Image, draw: ImageDraw.ImageDraw, strip: Strip, x: int, y: int, width: int) -> int:
    """Draw one clip with its caption; gives the y below it."""
    for number, mouth in enumerate(strip.mouths):
        tile = Image.fromarray(mouth)
        tile = tile if tile.size == (TILE, TILE) else tile.resize((TILE, TILE), Image.Resampling.LANCZOS)
        image.paste(tile, (x + number * (TILE + GAP), y))
    y += TILE + 5
    text, small = _font(17), _font(13)
    spoken = strip.entry.text
    for line in _wrap(spoken if spoken else "(no transcript)", width, text, most=2):
        draw.text((x, y), line, INK if spoken else FAINT, text)
        y += LINE
    facts = f"{strip.entry.frames / FPS:.1f} s"
    if strip.detected is not None:
        facts += f", face in {strip.detected:.0%}"
    doubtful = strip.detected is not None and strip.detected < DOUBTFUL
    draw.text((x + width, y + 2), facts, WARNING if doubtful else FAINT, small, anchor="ra")
    key = _fit(strip.entry.key[::-1], width - small.getlength(facts) - 16, small)[::-1]  # its end tells clips apart
    draw.text((x, y + 2), key, FAINT, small)
    return y + LINE


def _counted(name: str, split: shards.SplitSummary) -> str:
    detected = f", face in {np.mean(split.detected):.1%}" if split.detected else ""
    minutes = split.frames / FPS / 60
    length = f"{minutes / 60:,.1f} hours" if minutes >= 60 else f"{minutes:.1f} minutes"
    speakers = f"{len(split.speakers):,} speaker" + "s" * (len(split.speakers) != 1)
    return f"{name}: {split.samples:,} samples, {length}, {speakers}{detected}"


def _left_out(summary: shards.Summary) -> str:
    codes = Counter(clip.reason.code for clip in summary.skipped)
    reasons = ", ".join(f"{code} {count:,}" for code, count in codes.most_common())
    waiting = sum(split.waiting for split in summary.splits.values())
    line = f"{codes.total():,} clips left out ({reasons})" if codes else "no clip left out"
    return line + (f"; {waiting:,} clips still to do" if waiting else "")


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu as matplotlib ships it: the same on every machine, with Latin, Greek, Cyrillic and Arabic letters."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _wrap(text: str, width: float, font: ImageFont.FreeTypeFont, most: int) -> list[str]:
    words = text.split()
    lines: list[str] = []
    while words and len(lines) < most - 1:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        lines.append(_fit(" ".join(words[:taken]), width, font))
        words = words[taken:]
    return [*lines, _fit(" ".join(words[:LONGEST]), width, font)] if words else lines


def _drawable(text: str) -> str:
    """The text without what the layout fails on: control characters, ends of paragraphs, halves of surrogates."""
    return "".join(" " if category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)


def _fit(text: str, width: float, font: ImageFont.FreeTypeFont) -> str:
    drawn = _drawable(text[:LONGEST])
    if len(text) <= LONGEST and font.getlength(drawn) <= width:
        return drawn
    fits = bisect_right(range(len(drawn)), width, key=lambda count: font.getlength(f"{drawn[:count]}…"))
    return f"{drawn[: max(fits - 1, 0)]}…"
