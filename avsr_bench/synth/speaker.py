"""A family of speakers: each is the portrait with another shape, tone and voice, drawn from (seed, name)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .mouth import Lips, Teeth, make_teeth, rig
from .portrait import (
    CHIN,
    EYES,
    FRAME,
    LOWER_INNER,
    LOWER_OUTER,
    MARGIN,
    NOSE,
    UPPER_INNER,
    UPPER_OUTER,
    portrait,
)
from .settings import SynthSettings, rng_for
from .speech import Voice
from .visemes import FADE

ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")

Around = Callable[[float, float], float]  # a draw about a middle, with a spread


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that stays the same from one clip of a speaker to the next."""

    name: str
    voice: Voice
    points: np.ndarray  # float64 N, 3: the face at the portrait's expression
    texture: np.ndarray  # float32 S, S, 4: RGB 0 to 1 times matte, matte last
    lips: Lips
    teeth: Teeth
    strength: tuple[float, float, float]  # how far jaw, parting and width of the lips travel
    fade: float  # how much they slur: see visemes.articulate


@lru_cache(maxsize=64)
def make_speaker(settings: SynthSettings, name: str) -> Speaker:
    """The speaker of that name; `variety` scales how far they are from the portrait. Cached: 10 ms and 2 MB each."""
    rng = rng_for(settings.seed, name, "speaker")
    variety, articulation = settings.variety, settings.articulation

    def around(middle: float, spread: float) -> float:
        return middle + variety * spread * float(np.clip(rng.normal(), -1.7, 1.7))

    voice = Voice(
        name=f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}",
        rate=int(rng.integers(140, 181)),
        pitch=int(rng.integers(30, 71)),
        pitch_range=int(rng.integers(30, 71)),
    )
    lips = Lips(around(1, 0.06), around(1, 0.15), around(1, 0.12), around(0, 0.8), around(0, 0.5))
    points = _reshape(portrait().points, around)
    texture = _repaint(portrait().texture, around, rng, variety)
    teeth = make_teeth(white=float(np.clip(around(0.80, 0.06), 0.6, 0.95)), size=around(4, 0.7))
    jaw, part, width = (articulation * around(0.78, 0.09) for _ in range(3))
    matte = portrait().matte[..., None]
    cutout = np.concatenate([texture * matte, matte], 2)
    return Speaker(name, voice, points, cutout, lips, teeth, (jaw, part, width), around(FADE, 0.006))


def _reshape(points: np.ndarray, around: Around) -> np.ndarray:
    """Another person's shape: smooth warps of the face, fading out round it so that nothing tears."""
    x, y = points[:, 0] - EYES[:, 0].mean(), points[:, 1]
    eye, chin, nose = EYES[0, 1], points[CHIN, 1], points[NOSE, :2]
    mouth = rig().middle[1]
    near = np.exp(-((x / 75) ** 4)) * np.exp(-(((y - 110) / 105) ** 4))  # the head; shoulders stay
    low = np.clip((y - nose[1]) / (chin - nose[1]), 0, 1)

    def bump(at_x: float, at_y: float, wide: float, high: float) -> np.ndarray:
        return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2)

    dx = near * x * (around(0, 0.035) + around(0, 0.045) * low)  # width of the face, of the jaw
    dy = near * np.clip(y - eye, -60, chin - eye) * around(0, 0.035)  # length of the face
    dy += near * low**2 * around(0, 2.0)  # of the chin
    apart, open_, brow = around(0, 1.2), around(0, 0.10), around(0, 1.2)
    for side in (-25, 25):
        here = bump(side, eye, 14, 10)
        dx += here * (np.sign(side) * apart + (x - side) * around(0, 0.04))
        dy += here * (y - eye) * open_ - bump(side, eye - 14, 18, 8) * brow
    tip = bump(nose[0] - EYES[:, 0].mean(), nose[1], 14, 14)
    dx += tip * x * around(0, 0.10)
    dy += tip * around(0, 1.2)
    dy += bump(0, mouth, 30, 12) * around(0, 1.0)
    hair = np.exp(-((np.hypot(x, y - 70) - 80) ** 2) / 40**2) * (y < eye + 40)  # how much of it there is
    shape = points.copy()
    shape[:, 0] += dx + hair * x * around(0, 0.04)
    shape[:, 1] += dy + hair * (y - 70) * around(0, 0.03) * (y < 70)
    shape[:, 2] *= around(1, 0.08)
    return shape


def _repaint(texture: np.ndarray, around: Around, rng: np.random.Generator, variety: float) -> np.ndarray:
    """Another person's colours: skin, hair, lips, stubble, clothes; and the mouth filled, for teeth are drawn later."""
    import cv2

    p = portrait()
    places = p.points[:, :2] + MARGIN

    def area(*outline: int, soft: float) -> np.ndarray:
        mask = np.zeros(p.matte.shape, np.uint8)
        cv2.fillPoly(mask, [np.round(places[list(outline)] * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
        return cv2.GaussianBlur(mask, (0, 0), soft)[..., None].astype(np.float32) / 255

    # The opening of the smiling mouth takes the colour of the lips round it, else white teeth bleed into closed lips.
    opening = (area(*UPPER_INNER, *LOWER_INNER[::-1], soft=0.6) > 0.02).astype(np.uint8)
    image = cv2.inpaint((texture * 255).astype(np.uint8), cv2.dilate(opening, np.ones((3, 3))), 3, cv2.INPAINT_TELEA)
    image = image.astype(np.float32) / 255

    dark = float(rng.uniform(0, 0.75)) * min(variety, 1.0)
    skin = p.skin[..., None]
    tone = image ** (1 + 0.9 * dark) * np.array([1 - 0.12 * dark, 1 - 0.22 * dark, 1 - 0.30 * dark])
    tone *= np.array([around(1, 0.03), 1, around(1, 0.05)])
    image = image + (tone - image) * skin
    shade = float(rng.uniform(0.25, 1.25)) if variety else 1.0
    hair_tone = np.array([1, around(0.97, 0.05), around(0.92, 0.12)]) * (1 + (shade - 1) * min(variety, 1.0))
    image = image * (1 + p.hair[..., None] * (hair_tone - 1))
    lips = area(*UPPER_OUTER, *LOWER_OUTER[::-1], soft=1.2)
    red = np.array([0.88, around(0.70, 0.06), around(0.74, 0.06)])
    image = image * (1 + lips * (red - 1))
    beard = max(around(-0.15, 0.25), 0.0)
    y = np.arange(FRAME + 2 * MARGIN)[:, None, None] - MARGIN
    grain = 1 + 0.25 * cv2.GaussianBlur(rng.normal(size=p.matte.shape), (0, 0), 0.7)[..., None]
    image = image * (1 - beard * grain * skin * (1 - lips) * np.clip((y - p.points[NOSE, 1] - 8) / 8, 0, 1))
    clothes = (1 - np.maximum(p.skin, p.hair))[..., None] * (y > p.points[CHIN, 1] - 40)
    hsv = cv2.cvtColor(np.clip(image, 0, 1).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + variety * rng.uniform(0, 360)) % 360
    dyed = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.clip(image + (dyed - image) * clothes, 0, 1).astype(np.float32)
