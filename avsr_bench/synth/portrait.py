"""The one photograph behind every synthetic speaker, brought into a common frame with its mesh and its masks.

Positions are in units of the common frame: 224 x 224, eyes level at y = 96 and 50 apart, the face in the middle, 0 the
middle of its first pixel. Depth grows away from the viewer. The texture reaches `MARGIN` beyond the frame on every
side, so that a head may move.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..faces.detector import stderr_silenced
from ..records import Refused

FRAME = 224  # units
MARGIN = 48  # units of texture beyond each edge of the frame
EYES = np.array([[87.0, 96.0], [137.0, 96.0]])  # where the middles of the eyes are put

# Points of mediapipe's face mesh, from the left of the picture to the right.
UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LOWER_BETWEEN = (77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325)  # between the two
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)  # of the picture; the corners of each
UPPER_LIDS = ((246, 161, 160, 159, 158, 157, 173), (466, 388, 387, 386, 385, 384, 398))
LOWER_LIDS = ((7, 163, 144, 145, 153, 154, 155), (249, 390, 373, 374, 380, 381, 382))
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
NOSE, CHIN = 1, 152
LANDMARKS = 468


@dataclass(frozen=True, slots=True)
class Portrait:
    """A person cut out of the photograph: texture, masks over it, and a mesh of the face and of what is round it."""

    texture: np.ndarray  # float32 S, S, 3: RGB 0 to 1; S = FRAME + 2 MARGIN
    matte: np.ndarray  # float32 S, S: 1 where the person is
    skin: np.ndarray  # float32 S, S
    hair: np.ndarray  # float32 S, S
    points: np.ndarray  # float64 N, 3: the face mesh, then a coarse grid round it
    triangles: np.ndarray  # int32 M, 3, far ones first
    head: np.ndarray  # float64 N: 1 where a point goes with the head, 0 where with the body


@cache
def portrait() -> Portrait:
    """Load the photograph that scikit-image carries and find its face; once a process, half a second."""
    try:
        from skimage import data
    except ImportError:
        raise Refused("the synthetic corpus needs scikit-image: pip install 'avsr-bench[synth]'") from None
    import cv2

    photo = data.astronaut()
    rough = _landmarks(photo)
    eyes = np.array([rough[list(eye), :2].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)]) - 0.5
    across, wanted = np.subtract(*eyes[::-1]), np.subtract(*EYES[::-1])
    scale = np.linalg.norm(wanted) / np.linalg.norm(across)
    c, s = scale * across / np.linalg.norm(across)  # the turn that levels the eyes, with the scale
    turn = np.array([[c, s], [-s, c]])
    shift = EYES.mean(0) + MARGIN - turn @ eyes.mean(0)
    side = FRAME + 2 * MARGIN
    affine = np.concatenate([turn, shift[:, None]], 1)
    texture = cv2.warpAffine(photo, affine, (side, side), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    # Once more on the levelled and enlarged picture: lips are then found to a fraction of a pixel.
    points = _landmarks(cv2.resize(texture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)) / 2
    points[:, :2] -= MARGIN + 0.5
    matte = cv2.warpAffine(_matte(photo), affine, (side, side), borderMode=cv2.BORDER_REPLICATE)
    matte = _trim(matte, texture, points)
    skin, hair = _regions(texture, matte, points)
    points, head = _surround(points)
    return Portrait(texture.astype(np.float32) / 255, matte, skin, hair, points, _triangles(points), head)


def _landmarks(picture: np.ndarray) -> np.ndarray:
    from mediapipe.python.solutions.face_mesh import FaceMesh

    with stderr_silenced(), FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as mesh:
        found = mesh.process(picture).multi_face_landmarks
    if not found:
        raise Refused("no face in scikit-image's portrait: reinstall scikit-image and mediapipe as in constraints.txt")
    height, width = picture.shape[:2]
    points = np.array([(p.x, p.y, p.z) for p in found[0].landmark[:LANDMARKS]], np.float64)
    return points * (width, height, width)  # from the edge of the picture; depth has the scale of the width


def _matte(picture: np.ndarray) -> np.ndarray:
    """Where the person is, softly."""
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    with stderr_silenced(), SelfieSegmentation(model_selection=0) as segmenter:
        mask = segmenter.process(picture).segmentation_mask
    return np.clip((mask - 0.3) / 0.5, 0, 1).astype(np.float32)


def _trim(matte: np.ndarray, texture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Take off what the segmenter leaves of the pale wall beside neck and hair."""
    import cv2

    face = np.zeros(matte.shape, np.uint8)
    cv2.fillPoly(face, [np.round(points[list(OVAL), :2] + MARGIN).astype(np.int32)], (1,))
    colour = texture.astype(np.int16)
    pale = (colour.min(2) > 120) & (np.ptp(colour, axis=2) < 60) & (cv2.dilate(face, np.ones((3, 3))) == 0)
    pale &= cv2.dilate((matte < 0.5).astype(np.uint8), np.ones((17, 17))) > 0
    ear, chin = int(points[OVAL[9], 1]) - 16 + MARGIN, int(points[CHIN, 1]) - 4 + MARGIN
    pale[:ear] = pale[chin:] = False  # the light on her hair is pale too, and so is her collar
    kept = cv2.erode(matte, np.ones((3, 3))) * (1 - cv2.dilate(pale.astype(np.float32), np.ones((3, 3))))
    return cv2.GaussianBlur(kept, (0, 0), 0.8)


def _regions(texture: np.ndarray, matte: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Soft masks of skin and of hair, by colour and place."""
    import cv2

    side = texture.shape[0]
    y = np.repeat(np.arange(side, dtype=np.float32)[:, None], side, 1) - MARGIN
    light, cr, cb = np.moveaxis(cv2.cvtColor(texture, cv2.COLOR_RGB2YCrCb).astype(np.float32), -1, 0)
    chin = points[CHIN, 1]
    near = np.clip((chin + 22 - y) / 8, 0, 1) * matte  # above the collar
    oval = np.zeros((side, side), np.uint8)
    cv2.fillPoly(oval, [np.round(points[list(OVAL), :2] + MARGIN).astype(np.int32)], (255,))
    coloured = ((cr > 138) & (cb < 125) & (light > 60)).astype(np.float32)
    below_eyes, below_ears = (y > EYES[0, 1] + 10), (y > points[OVAL[9], 1])
    skin = cv2.GaussianBlur(np.maximum(oval / 255.0, coloured * below_ears).astype(np.float32), (0, 0), 2) * near
    bald = cv2.GaussianBlur(np.maximum(oval / 255.0, coloured * (light > 105) * below_eyes), (0, 0), 2)
    hair = np.clip(1 - 1.2 * bald, 0, 1) * near * np.clip((points[OVAL[11], 1] + 6 - y) / 6, 0, 1)
    return skin.astype(np.float32), hair.astype(np.float32)


def _surround(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add a coarse grid round the face mesh, with depth, and say which points go with the head."""
    import cv2

    steps = np.linspace(-MARGIN, FRAME + MARGIN, 13)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    outline = face[list(OVAL), :2].astype(np.float32)
    grid = grid[[cv2.pointPolygonTest(outline, (float(x), float(y)), True) < -8 for x, y in grid]]
    away = np.linalg.norm(grid[:, None] - face[None, list(OVAL), :2], axis=2)
    weight = 1 / away**2
    depth = (weight * face[list(OVAL), 2]).sum(1) / weight.sum(1) + 0.2 * np.minimum(away.min(1), 60)
    points = np.concatenate([face, np.concatenate([grid, depth[:, None]], 1)])
    fall = np.clip((points[:, 1] - face[CHIN, 1] - 4) / 50, 0, 1)  # down the neck
    head = 1 - fall**2 * (3 - 2 * fall)
    head[:LANDMARKS] = 1
    return points, head


def _triangles(points: np.ndarray) -> np.ndarray:
    from scipy.spatial import Delaunay

    triangles = Delaunay(points[:, :2]).simplices.astype(np.int32)
    return triangles[np.argsort(-points[triangles, 2].mean(1), kind="stable")]
