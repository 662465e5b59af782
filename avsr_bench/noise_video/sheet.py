"""The sheet: one mouth under every family and level, families down, levels across, each with its strength."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import faces, media, noise, shards
from ..files import Ours, check_target, marked, png_header, whole
from ..records import Refused, Unusable, rng_for

TILE = 96  # pixels of one mouth
GAP = 4
CAPTION = 17  # pixels below a tile
NAME = 118  # pixels for the names of the families
MARGIN = 24
HEAD = 74
PAPER, INK, FAINT = 255, 24, 120


@dataclass(frozen=True, slots=True)
class Shown:
    """The clip on the sheet."""

    mouths: np.ndarray  # uint8 T, H, W or T, H, W, 3
    key: str
    title: str


def preview(source: Path | None, out: Path, seed: int = 0, ours: Ours = marked) -> str:
    """Draw the sheet into the PNG `out`, and say what it shows.

    `source` is a video with a face or a folder made by prep; with none, the synthetic corpus where it is prepared, else
    a drawn mouth. An `out` that exists is replaced if it is `ours`.
    """
    check_target(out, ours)
    shown = _choose(source)
    sheet = _draw(shown, seed)
    with whole(out, ours) as path:
        sheet.save(path, "PNG", optimize=True, pnginfo=png_header())
    return shown.title


def _choose(source: Path | None) -> Shown:
    synth = Path("data/synth")
    if source is None and (synth / "prep.json").exists():
        source = synth
    if source is None:
        return Shown(noise.drawn_mouth(), "drawn", "a drawn mouth")
    return _from_shards(source) if source.is_dir() else _from_video(source)


def _from_shards(folder: Path) -> Shown:
    splits = sorted(path.name for path in folder.iterdir() if path.is_dir() and shards.shard_indexes(folder, path.name))
    for split in splits:
        for entry, members in shards.iterate(folder, split, "mouth.mp4"):
            if "mouth.mp4" in members:
                try:
                    mouths = media.decode_mouth(members["mouth.mp4"])
                except Unusable as unusable:
                    raise Refused(
                        f"{folder}, {split}: the mouth of {entry.key} is {unusable}: see `avsr-bench validate`"
                    ) from None
                return Shown(mouths, entry.key, f"{folder}, {split}: {entry.key}")
    raise Refused(f"{folder} has no mouths to show: no finished shard holds a sample with a mouth.mp4")


def _from_video(path: Path) -> Shown:
    video = media.Video(path)
    try:
        track = faces.find_track(video, faces.FaceSettings())
        faces.check_in_picture(track)
        matrices = faces.crop_matrices(track.points)
        mouths = [picture.warp(matrix, TILE, "grey") for picture, matrix in zip(video, matrices, strict=True)]
    except Unusable as unusable:
        raise Refused(f"{path} cannot be shown: {unusable}") from None
    return Shown(np.stack(mouths), path.stem, path.name)


def _draw(shown: Shown, seed: int) -> Image.Image:
    columns, rows = noise.LEVELS + 1, len(noise.FAMILIES)
    width = MARGIN + NAME + columns * (TILE + GAP) + MARGIN
    height = HEAD + rows * (TILE + CAPTION + GAP) + MARGIN // 2
    colour = shown.mouths.ndim == 4
    sheet = Image.new("RGB" if colour else "L", (width, height), (PAPER,) * 3 if colour else PAPER)
    draw = ImageDraw.Draw(sheet)

    def text(x: float, y: float, words: str, size: int, bold: bool = False, ink: int = INK, anchor: str = "la") -> None:
        draw.text((x, y), words, (ink,) * 3 if colour else ink, _font(size, bold), anchor=anchor)

    text(MARGIN, 16, f"Noise version {noise.VERSION}, seed {seed}", 17, bold=True)
    text(width - MARGIN, 18, shown.title[-90:], 13, ink=FAINT, anchor="ra")
    middle = len(shown.mouths) // 2
    for level in range(columns):
        x = MARGIN + NAME + level * (TILE + GAP) + TILE / 2
        text(x, HEAD - 12, "clean" if level == 0 else f"level {level}", 13, bold=True, anchor="ms")
    for row, (name, family) in enumerate(noise.FAMILIES.items()):
        y = HEAD + row * (TILE + CAPTION + GAP)
        text(MARGIN, y + TILE / 2 - 14, name, 15, bold=True)
        text(MARGIN, y + TILE / 2 + 6, "seen in training" if family.seen else "unseen", 12, ink=FAINT)
        for level in range(columns):
            x = MARGIN + NAME + level * (TILE + GAP)
            corrupted = noise.apply(shown.mouths, name, level, rng_for(seed, shown.key, name))[middle]
            tile = Image.fromarray(corrupted)
            if tile.size != (TILE, TILE):
                tile = tile.resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (x, y))
            if level:
                strength = family.label.format(family.levels[level - 1])
                text(x + TILE / 2, y + TILE + 3, strength, 11, ink=FAINT, anchor="ma")
    return sheet


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu as matplotlib ships it: the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
