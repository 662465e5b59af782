"""One clip's surroundings: how the head moves, the light on it, and what stands behind; and the drawing of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .mouth import PLANE, PLANE_SCALE, draw_inside, inner_edge, move, rig
from .portrait import FRAME, MARGIN, UPPER_OUTER, portrait
from .speaker import Speaker

_PIVOT = np.array([112.0, 165.0, 60.0])  # units: the top of the neck, about which the head turns


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn once a clip."""

    size: int  # pixels
    turn: np.ndarray  # float64 T, 3, 3: rotation and scale of the head
    shift: np.ndarray  # float64 T, 2: units
    blink: np.ndarray  # float64 T
    texture: np.ndarray  # uint8 S, S, 4: the speaker in this light
    light: np.ndarray  # float32 3: on the inner mouth
    background: np.ndarray  # uint8 size, size, 3
    grain: np.ndarray  # uint8: sensor noise about 64, larger than the picture, shown from another place each frame
    places: np.ndarray  # int T, 2: those places
    blur: float  # pixels: how far the camera is out of focus


def make_scene(
    speaker: Speaker, frames: int, fps: int, size: int, motion: float, light: float, rng: np.random.Generator
) -> Scene:
    """Draw the surroundings of one clip; `motion` and `light` scale how much happens."""
    time = np.arange(frames) / fps

    def wander(spread: float, drift: float) -> np.ndarray:
        """A slow movement about a place of its own: two swings of 0.15 to 0.8 Hz."""
        rate, phase = rng.uniform(0.15, 0.8, 2), rng.uniform(0, 2 * np.pi, 2)
        swing = np.sin(2 * np.pi * rate * time[:, None] + phase) @ rng.normal(0, drift / 2, 2)
        return motion * (np.clip(rng.normal(0, spread), -2 * spread, 2 * spread) + swing)

    yaw, pitch, roll = (np.radians(wander(*angle)) for angle in ((6, 4), (3.5, 3), (3, 2.5)))
    scale = np.exp(wander(0.05, 0.015))
    shift = np.stack([wander(6, 3), wander(4, 2)], 1)
    blink = np.zeros(frames)
    for at in np.cumsum(rng.exponential(3.0, 8)):
        blink = np.maximum(blink, np.clip(1.2 - np.abs(time - at) / 0.09, 0, 1))

    tint = np.exp(light * rng.normal(0, (0.04, 0.015, 0.05)))
    gain = np.exp(light * np.clip(rng.normal(-0.08, 0.16), -0.45, 0.25))
    slope = light * rng.normal(0, 0.14, 2)
    side = FRAME + 2 * MARGIN
    away = (np.arange(side, dtype=np.float32) - side / 2) / (FRAME / 2)
    fall = np.clip(1 + slope[0] * away[None] + slope[1] * away[:, None], 0.45, 1.5)[..., None]
    lit = speaker.texture.copy()
    lit[..., :3] *= fall * gain * tint
    texture = (np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8)
    grain = 64 + rng.normal(0, 1.0 + light * rng.uniform(0.5, 3.0), (size + 64, size + 64, 1))
    return Scene(
        size,
        _turns(yaw, pitch, roll, scale),
        shift,
        blink,
        texture,
        (gain * tint * 0.9).astype(np.float32),
        _background(size, rng),
        np.repeat(np.clip(grain, 0, 255).astype(np.uint8), 3, 2),
        rng.integers(0, 64, (frames, 2)),
        light * size / FRAME * rng.uniform(0.3, 1.1),
    )


def _turns(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray, scale: np.ndarray) -> np.ndarray:
    one, none = np.ones_like(yaw), np.zeros_like(yaw)

    def stack(*rows: np.ndarray) -> np.ndarray:
        return np.stack(rows, -1).reshape(-1, 3, 3)

    about_y = stack(np.cos(yaw), none, np.sin(yaw), none, one, none, -np.sin(yaw), none, np.cos(yaw))
    about_x = stack(one, none, none, none, np.cos(pitch), -np.sin(pitch), none, np.sin(pitch), np.cos(pitch))
    about_z = stack(np.cos(roll), -np.sin(roll), none, np.sin(roll), np.cos(roll), none, none, none, one)
    return scale[:, None, None] * (about_z @ about_x @ about_y)


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    """A wall, some blurred things before it."""
    import cv2

    colour = rng.uniform(40, 200) + rng.normal(0, 10, 3)
    wall = np.ones((size, size, 1)) * colour + np.linspace(-1, 1, size)[:, None, None] * rng.normal(0, 20)
    wall = np.ascontiguousarray(np.clip(wall, 0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(0, 6))):
        corner, extent = rng.integers(-40, size, 2), rng.integers(size // 10, size // 2, 2)
        fill = np.clip(colour + rng.normal(0, 35) + rng.normal(0, 14, 3), 0, 255).tolist()
        cv2.rectangle(wall, corner.tolist(), (corner + extent).tolist(), fill, -1)
    return cv2.GaussianBlur(wall, (0, 0), float(rng.uniform(2, 9)))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A clip before encoding: frames to be drawn one by one, and where the face is in them, in pixels."""

    speaker: Speaker
    scene: Scene
    mouth: np.ndarray  # T x visemes.CONTROLS
    places: np.ndarray  # float64 T, N, 2: every point of the mesh
    plane: np.ndarray  # float64 T, 2, 3: from the drawing of the inner mouth to the picture

    def __len__(self) -> int:
        return len(self.mouth)


def compose(speaker: Speaker, scene: Scene, mouth: np.ndarray) -> Drawing:
    """Put the face in motion: every point of it in every frame."""
    unit = scene.size / FRAME
    points = move(speaker.points, speaker.lips, mouth, scene.blink)
    head = portrait().head[:, None]

    def project(p: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
        turned = np.einsum("tij,tnj->tni", scene.turn, p - _PIVOT)[..., :2] + _PIVOT[:2]
        moved = p[..., :2] * (1 - weight) + turned * weight
        return (moved + scene.shift[:, None] * (0.5 + 0.5 * weight)) * unit

    places = project(points, head)
    # The inner mouth lies a little behind the lips and goes with the skull; three points of its plane give the map.
    r = rig()
    still = speaker.points[r.lips, :2].mean(0) - portrait().points[r.lips, :2].mean(0)
    middle = np.array([*(r.middle + still), speaker.points[UPPER_OUTER[5], 2] + 9])
    corner = np.array([PLANE[0] / 2, PLANE[1] / 2, 0])
    three = middle + np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]]) - corner
    at = project(np.repeat(three[None], len(mouth), 0), 1.0)
    plane = np.stack([at[:, 1] - at[:, 0], at[:, 2] - at[:, 0], at[:, 0]], -1)
    plane[..., :2] /= PLANE_SCALE
    return Drawing(speaker, scene, mouth, places, plane)


def draw(drawing: Drawing, frame: int) -> np.ndarray:
    """One picture: uint8 size, size, 3."""
    import cv2

    scene, places = drawing.scene, drawing.places[frame]
    size = scene.size
    back_x, back_y = _inverse(places, size)
    person = cv2.remap(scene.texture, back_x, back_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    behind = cv2.cvtColor(255 - person[..., 3], cv2.COLOR_GRAY2RGB)
    picture = cv2.add(cv2.cvtColor(person, cv2.COLOR_RGBA2RGB), cv2.multiply(scene.background, behind, scale=1 / 255))

    # Closed lips leave a thin dark line: the opening is never drawn thinner than 0.8 units.
    edge = inner_edge(drawing.places[frame : frame + 1])[0]
    edge[1:10, 1] -= 0.4 * size / FRAME
    edge[11:, 1] += 0.4 * size / FRAME
    low = np.maximum(np.floor(edge.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(edge.max(0)).astype(int) + 3, size)
    width, height = (int(n) for n in high - low)
    if width > 0 and height > 0:
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.round((edge - low) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
        plane = drawing.plane[frame].copy()
        plane[:, 2] -= low
        inside = cv2.warpAffine(draw_inside(drawing.speaker.teeth, drawing.mouth[frame]), plane, (width, height))
        here = picture[low[1] : high[1], low[0] : high[0]]
        share = mask[..., None] * np.float32(1 / 255)
        here[:] = (here + (np.clip(inside * scene.light, 0, 1) * 255 - here) * share + 0.5).astype(np.uint8)
    if scene.blur > 0:
        picture = cv2.GaussianBlur(picture, (5, 5), scene.blur)
    y, x = scene.places[frame]
    return cv2.addWeighted(picture, 1.0, scene.grain[y : y + size, x : x + size], 1.0, -64.0)


@cache
def _orientation() -> np.ndarray:
    return np.sign(np.linalg.det(_texture_sides()))


@cache
def _texture_sides() -> np.ndarray:
    corners = portrait().points[portrait().triangles, :2]
    return (corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1)


def _inverse(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel the place in the texture it shows: each triangle of the mesh carries its own affine map."""
    import cv2

    triangles = portrait().triangles
    now = places[triangles]
    # A map for each triangle, in closed form: 1,180 two by two inverses by LAPACK take 2 ms, this 0.1.
    side = now[:, 1:] - now[:, :1]
    area = side[:, 0, 0] * side[:, 1, 1] - side[:, 0, 1] * side[:, 1, 0]
    adjugate = np.stack([side[:, 1, 1], -side[:, 1, 0], -side[:, 0, 1], side[:, 0, 0]], -1).reshape(-1, 2, 2)
    # One that the movement squeezed flat or turned over is drawn first, in one colour, and shows only in a gap.
    flat = area * _orientation() < 0.3
    linear = _texture_sides() @ (adjugate / np.where(flat, np.inf, area)[:, None, None])
    offset = portrait().points[triangles[:, 0], :2] + MARGIN - np.einsum("mij,mj->mi", linear, now[:, 0])
    maps = np.concatenate([linear.reshape(-1, 4), offset], 1).astype(np.float32)

    which = np.zeros((size, size), np.int32)
    corners = np.round(now * 8).astype(np.int32)
    for k in np.argsort(~flat, kind="stable").tolist():
        cv2.fillConvexPoly(which, corners[k], k, cv2.LINE_8, 3)
    chosen = maps.take(which.ravel(), 0).reshape(size, size, 6)
    grid = np.arange(size, dtype=np.float32)
    x, y = grid[None], grid[:, None]
    return (
        chosen[..., 0] * x + chosen[..., 1] * y + chosen[..., 4],
        chosen[..., 2] * x + chosen[..., 3] * y + chosen[..., 5],
    )
