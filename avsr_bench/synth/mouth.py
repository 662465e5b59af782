"""The rig: how the points of the face follow the mouth, and what is seen between the lips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .portrait import (
    CHIN,
    LANDMARKS,
    LOWER_BETWEEN,
    LOWER_INNER,
    LOWER_LIDS,
    LOWER_OUTER,
    UPPER_INNER,
    UPPER_LIDS,
    UPPER_OUTER,
    portrait,
)

# Travel in units of the portrait's frame, where eyes are 50 apart (about 63 mm, so 1 unit is 1.26 mm).
_GAP = 15.0  # between the lips at part = 1
_JAW = 12.0  # chin and lower teeth at jaw = 1
_HALF_WIDTH = 22.0  # of the mouth at rest; the portrait smiles, at 25.5
_UPPER_THICKER, _LOWER_THICKER = 1.5, 1.15  # a smile stretches the lips; this undoes it
TEETH_EDGE = 1.8  # the upper teeth end so far below the line of the closed lips
PLANE = (60, 44)  # units: the drawing of the inner mouth, its middle at the middle of the mouth line
PLANE_SCALE = 2  # pixels a unit in that drawing
_SEAM = np.array([0.33, 0.15, 0.14], np.float32)  # RGB of the line between closed lips
_CAVITY = np.array([0.20, 0.07, 0.07], np.float32)
_TONGUE = np.array([0.66, 0.32, 0.32], np.float32)


@dataclass(frozen=True, slots=True)
class Lips:
    """How one person's lips are made, at rest."""

    width: float = 1.0  # times the common width
    upper: float = 1.0  # times the common thickness
    lower: float = 1.0
    curve: float = 0.0  # units by which the corners hang (above 0) or smile (below)
    slant: float = 0.0  # how much more the right of the picture opens: 15 % at 1


@dataclass(frozen=True, slots=True)
class _Rig:
    """What does not depend on the speaker: the lips of the photograph, and how they pull at the rest of the face."""

    lips: np.ndarray  # int K: points whose places are set
    follow: np.ndarray  # float64 N, K: how far every point follows each of them
    jaw: np.ndarray  # float64 N: how far every point follows the jaw
    blink: np.ndarray  # float64 N, 2: movement at closed eyes
    middle: np.ndarray  # x and y of the middle of the mouth line, lips closed


@cache
def rig() -> _Rig:
    """Measure the portrait once a process."""
    points = portrait().points
    flat = points[:, :2]
    lips = np.array((*UPPER_OUTER, *UPPER_INNER, *LOWER_INNER[1:-1], *LOWER_OUTER[1:-1]))
    middle = np.array([flat[[61, 291], 0].mean(), 0.55 * flat[13, 1] + 0.45 * flat[14, 1]])

    down = (flat[:, 1] - middle[1] + 2) / (flat[CHIN, 1] - middle[1] - 6)
    down = np.clip(down, 0, 1) ** 2 * (3 - 2 * np.clip(down, 0, 1))
    neck = np.clip(1 - (flat[:, 1] - flat[CHIN, 1] - 2) / 34, 0, 1)
    jaw = down * neck * np.exp(-((np.abs(flat[:, 0] - middle[0]) / 52) ** 4))

    # Points between the lips' edges belong to one lip: moving the lower family down keeps each out of the other's pull.
    parted = flat.copy()
    parted[np.array((*LOWER_INNER[1:-1], *LOWER_OUTER[1:-1], *LOWER_BETWEEN))] += (0, 14)
    parted[LANDMARKS:][flat[LANDMARKS:, 1] > middle[1]] += (0, 14)
    below = (flat[:LANDMARKS, 1] > flat[LOWER_OUTER[5], 1] - 4) & ~np.isin(np.arange(LANDMARKS), lips)
    parted[:LANDMARKS][below] += (0, 14)
    kernel = np.exp(-np.linalg.norm(parted[:, None] - parted[None, lips], axis=2) / 15)
    follow = kernel @ np.linalg.inv(kernel[lips])

    blink = np.zeros_like(flat)
    for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True):
        blink[list(upper)] = flat[list(lower)] - flat[list(upper)]
    return _Rig(lips, follow, jaw, blink, middle)


def move(rest: np.ndarray, lips: Lips, mouth: np.ndarray, blink: np.ndarray) -> np.ndarray:
    """The points of a face while it speaks: T x N x 3, from N x 3 at the portrait's own expression.

    `mouth` is T x `visemes.CONTROLS`, `blink` T numbers from 0, open, to 1.
    """
    r = rig()
    own = rest[r.lips, :2] - rest[r.lips, :2].mean(0) + portrait().points[r.lips, :2].mean(0)
    wanted = _lip_places(own, lips, mouth)
    jaw = mouth[:, 0, None] * _JAW * r.jaw
    jaw -= 1.5 * mouth[:, 3, None] * r.jaw  # the chin goes up when the lip is tucked
    pull = wanted - own
    pull[..., 1] -= jaw[:, r.lips]
    points = np.repeat(rest[None], len(mouth), 0)
    points[..., :2] += r.follow @ pull + blink[:, None, None] * r.blink
    points[..., 1] += jaw
    return points


def _lip_places(own: np.ndarray, lips: Lips, mouth: np.ndarray) -> np.ndarray:
    """Where each point of the lips goes: T x K x 2. `own` is K x 2, where they are in the smiling portrait."""
    middle = rig().middle
    _, part, width, tuck, _ = (mouth[:, k, None].astype(np.float64) for k in range(5))
    spread, round_ = np.maximum(width, 0), np.maximum(-width, 0)
    gap, press = _GAP * np.maximum(part, 0), np.maximum(-part, 0)
    rise = 0.28 * gap + 1.2 * tuck
    drop = 0.72 * gap + 0.8 * tuck * (TEETH_EDGE - 0.72 * gap) - 0.8 * press
    half = _HALF_WIDTH * lips.width * (1 + 0.12 * spread - 0.36 * round_)
    half_inner = half - 1.5 - 3.0 * round_
    swell = (1 - 0.9 * press) * (1 + 0.35 * round_)

    outer_s = (own[:11, 0] - own[:11, 0].mean()) / ((own[10, 0] - own[0, 0]) / 2)
    inner_s = (own[11:22, 0] - own[11:22, 0].mean()) / ((own[21, 0] - own[11, 0]) / 2)

    def curve(s: np.ndarray, travel: np.ndarray) -> np.ndarray:
        bow = np.maximum(1 - s**2, 0) ** 0.9 * (1 + 0.15 * lips.slant * s)
        return middle[1] + (lips.curve + 0.3 * drop) * s**2 + travel * bow

    upper_inner = np.stack([middle[0] + half_inner * inner_s, curve(inner_s, -rise)], -1)
    lower_inner = np.stack([middle[0] + half_inner * inner_s, curve(inner_s, drop)], -1)
    thick_upper = (own[11:22, 1] - own[:11, 1]) * _UPPER_THICKER * lips.upper
    thick_lower = np.concatenate([[0], own[31:, 1] - own[22:31, 1], [0]]) * _LOWER_THICKER * lips.lower
    upper_outer = np.stack([middle[0] + half * outer_s, curve(outer_s, -rise) - thick_upper * swell], -1)
    lower_swell = swell * (1 - 0.45 * tuck)
    lower_outer = np.stack([middle[0] + half * outer_s, curve(outer_s, drop) + thick_lower * lower_swell], -1)
    # The corners are where the inner edges meet; the outer points there lie level with them.
    upper_outer[:, [0, 10], 1] = upper_inner[:, [0, 10], 1]
    return np.concatenate([upper_outer, upper_inner, lower_inner[:, 1:-1], lower_outer[:, 1:-1]], 1)


def inner_edge(points: np.ndarray) -> np.ndarray:
    """The edge of the opening between the lips, as a closed polygon: T x 20 x 2 from T x N x 2."""
    return points[:, [*UPPER_INNER, *LOWER_INNER[-2:0:-1]]]


@dataclass(frozen=True, slots=True)
class Teeth:
    """The parts of a drawing of the inner mouth, each the size of `PLANE`; RGB 0 to 1."""

    cavity: np.ndarray  # float32 H, W, 3
    upper: np.ndarray  # float32 H, W, 4, alpha last
    lower: np.ndarray  # float32 H, W, 4


def make_teeth(white: float, size: float) -> Teeth:
    """Draw two rows of teeth: `white` 0 to 1 is their lightness, `size` the height of the upper ones in units."""
    import cv2

    width, height = (n * PLANE_SCALE for n in PLANE)
    x = (np.arange(width) + 0.5) / PLANE_SCALE - PLANE[0] / 2
    y = ((np.arange(height) + 0.5) / PLANE_SCALE - PLANE[1] / 2)[:, None]
    back = np.exp(-((x / 20) ** 4))  # the row bends away into the dark
    cavity = np.tile(_CAVITY * (0.5 + 0.5 * back[None, :, None]), (height, 1, 1)).astype(np.float32)
    tooth = np.array([white, white * 0.93, white * 0.82])

    def row(edges: np.ndarray, above: np.ndarray) -> np.ndarray:
        gap = np.abs(x[:, None] - edges[None]).min(1)  # the dark lines between teeth
        shade = back * (1 - 0.16 * np.exp(-((gap / 0.45) ** 2)))
        colour = tooth * shade[None, :, None] * np.clip(0.90 + 0.03 * above, 0.6, 1)[..., None]
        alpha = np.clip(above * 2 + 0.5, 0, 1) * (np.abs(x) < 21)
        return cv2.GaussianBlur(np.concatenate([colour, alpha[..., None]], 2).astype(np.float32), (0, 0), 0.8)

    sizes = np.array([0, 6.6, 11.6, 15.8, 18.6, 20.5])  # central incisor 8.3 mm, lateral, canine, turning away
    edges = np.concatenate([-sizes[:0:-1], sizes])
    arch = 0.004 * x**2
    upper = row(edges, TEETH_EDGE - arch - y)
    upper[..., 3] *= np.clip(size + 4 + y, 0, 1)
    lower = row(edges * 0.72, y - TEETH_EDGE - 0.3 + arch)
    lower[..., :3] *= 0.88
    return Teeth(cavity, upper, lower)


def draw_inside(teeth: Teeth, mouth: np.ndarray) -> np.ndarray:
    """The inner mouth at one moment, float32 of the size of `PLANE`; `mouth` is one row of `visemes.CONTROLS`."""
    import cv2

    jaw, part, width, tuck, tongue = (float(v) for v in mouth)
    inside = teeth.cavity.copy()
    height, across = inside.shape[:2]
    fall = _JAW * max(jaw, 0.0)
    # The tongue lies on the floor and rises with its control until its tip shows between the teeth.
    top = TEETH_EDGE + fall + 5.0 - tongue * (5.0 + fall)
    centre = (across / 2, height / 2 + (top + 9) * PLANE_SCALE)
    blob: np.ndarray = np.zeros((height, across), np.float32)
    axes = ((26 - 6 * max(-width, 0)) * PLANE_SCALE, 18.0 * PLANE_SCALE)
    cv2.ellipse(blob, (centre, axes, 0.0), (1.0,), -1, cv2.LINE_AA)
    blob = cv2.GaussianBlur(blob, (0, 0), 1.5)[..., None]
    shift = np.array([[1, 0, 0], [0, 1, fall * PLANE_SCALE]], np.float32)
    lower = cv2.warpAffine(teeth.lower, shift, (across, height), flags=cv2.INTER_LINEAR)
    before = blob * min(max((tongue - 0.6) / 0.3, 0.0), 1.0)  # between the teeth it hides the lower row
    rows = [(lower[..., :3], lower[..., 3:]), (_TONGUE, before), (teeth.upper[..., :3], teeth.upper[..., 3:])]
    for colour, alpha in [(_TONGUE, blob), *rows]:
        inside += (colour - inside) * alpha
    # Lips that barely part, or are rounded, let little light in: what shows is their own shadow.
    lit = min(max(part / 0.16, tuck, 0.0), 1.0) * (1 - 0.5 * max(-width, 0.0))
    return inside * lit + _SEAM * (1 - lit)
