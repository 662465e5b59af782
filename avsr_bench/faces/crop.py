"""From a face track to the mouth: smoothing, the similarity onto the reference face, and the crop matrices.

The reference is the mean face in a 256x256 frame that published lip reading weights were trained with; the crop is
96x96 round the mouth in that frame. We fit by least squares over all points, in closed form for a whole track at once;
the public code fits by least median of squares, which on clean points gives the same (scale 1.0958 by either for 8
points on GRID).
"""

from __future__ import annotations

import numpy as np

from ..records import FaceTrack, Unusable

FRAME = 256  # side of the reference frame
MOUTH = 96  # side of the mouth crop in it
HALF_WINDOW = 6  # frames on each side that the shape is averaged over: 13 in all, as in the public code
OUT_OF_PICTURE = 0.1  # share of the frames in which the mouth may lie beyond the edge: a nod, a step aside

# Eight stable points of the iBUG-68 scheme and where they lie in the reference frame.
STABLE_68 = (28, 33, 36, 39, 42, 45, 48, 54)
REFERENCE_68 = np.array(
    [[128.49, 106.92], [128.87, 137.30], [92.52, 94.37], [112.77, 94.94],
     [145.53, 94.53], [166.68, 93.57], [107.17, 157.20], [152.19, 156.99]]
)  # fmt: skip
LIPS_68 = slice(48, 68)

# Our detector's four points: right eye, left eye, nose tip, mouth. The public code puts the third at the nostrils
# (129.00, 135.90) although the detector marks the tip, 8 px higher: that makes faces 3.1 % larger than the 8-point fit
# does (scale 1.130 against 1.096, 60 GRID clips). With the tip at its own place it is 1.0 % (1.107).
REFERENCE_4 = np.array([(102.07, 94.27), (156.36, 93.58), (129.00, 127.70), (129.31, 157.82)])


def smooth(points: np.ndarray, causal: bool = False) -> np.ndarray:
    """Average each frame's shape over its neighbours but keep the frame's own centre. T, K, 2 -> T, K, 2.

    The window shrinks to nothing at both ends, so that it stays centred. A `causal` one ends at the frame itself.
    """
    frames = len(points)
    index = np.arange(frames)
    before = np.minimum(HALF_WINDOW, index)
    after = np.zeros_like(index) if causal else np.minimum(before, frames - 1 - index)
    before = before if causal else after
    total = np.concatenate([np.zeros((1, *points.shape[1:])), np.cumsum(points, axis=0, dtype=np.float64)])
    mean = (total[index + after + 1] - total[index - before]) / (before + 1 + after)[:, None, None]
    return mean + points.mean(axis=1, keepdims=True) - mean.mean(axis=1, keepdims=True)


def similarity(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The least-squares similarity that takes each frame's points onto the reference. T, K, 2 and K, 2 -> T, 2, 3."""
    centre, goal = points.mean(axis=1, keepdims=True), reference.mean(axis=0)
    p, q = points - centre, reference - goal
    spread = np.maximum((p**2).sum(axis=(1, 2)), 1e-9)
    along = (p * q).sum(axis=(1, 2)) / spread  # scale x cos
    across = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(axis=1) / spread  # scale x sin
    turn = np.stack([np.stack([along, -across], -1), np.stack([across, along], -1)], 1)
    shift = goal - np.einsum("tij,tj->ti", turn, centre[:, 0])
    return np.concatenate([turn, shift[..., None]], axis=2)


def crop_matrices(points: np.ndarray, size: int = MOUTH) -> np.ndarray:
    """The matrices that warp each source picture straight into its mouth crop. T, K, 2 -> float64 T, 2, 3.

    K is 4 (our detector) or 68 (iBUG). The crop lies on whole pixels of the reference frame, as in the public code;
    another size scales the same region.
    """
    matrices, inside = fit_mouths(points, size)
    if not inside.all():
        raise Unusable("mouth-outside", f"frame {int(np.argmin(inside))}: the mouth lies outside the reference face")
    return matrices


def check_in_picture(track: FaceTrack) -> None:
    """Raise "mouth-outside" where the picture does not hold the mouth: a detector guesses it beyond the edge."""
    mouth = _mouth(track.points)
    outside = ((mouth < 0) | (mouth > np.array([track.width, track.height]) - 1)).any(axis=1)
    if outside.mean() > OUT_OF_PICTURE:
        raise Unusable("mouth-outside", f"the mouth lies outside the picture in {outside.sum()} of {len(track)} frames")


def fit_mouths(points: np.ndarray, size: int = MOUTH, causal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of `crop_matrices`, and in which frames the mouth lies where the mouth of a face does: bool T.

    Where `causal`, the matrix of a frame follows from its points and those of the frames before it.
    """
    points = smooth(points.astype(np.float64), causal)
    if points.shape[1] == 4:
        matrices = similarity(points, REFERENCE_4)
    else:
        matrices = similarity(points[:, STABLE_68], REFERENCE_68)
    scale = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    if not np.all((scale > 1e-3) & np.isfinite(scale)):
        bad = int(np.argmax(~((scale > 1e-3) & np.isfinite(scale))))
        raise Unusable("bad-landmarks", f"the points of frame {bad} coincide or are not numbers")
    centre = np.einsum("tij,tj->ti", matrices[:, :, :2], _mouth(points)) + matrices[:, :, 2]
    inside = np.abs(centre - FRAME / 2).max(axis=1) <= MOUTH / 2 + 5  # the public code's own limit
    matrices[:, :, 2] -= np.round(centre - MOUTH / 2)
    return _resized(matrices, size / MOUTH), inside


def _mouth(points: np.ndarray) -> np.ndarray:
    """The middle of the mouth in each frame. T, K, 2 -> T, 2."""
    return points[:, 3] if points.shape[1] == 4 else points[:, LIPS_68].mean(axis=1)


def _resized(matrices: np.ndarray, factor: float) -> np.ndarray:
    """The same crop at another size; pixel centres, not corners, are what a matrix maps."""
    resized = matrices * factor
    resized[:, :, 2] += (factor - 1) / 2
    return resized


def centre_matrix(width: int, height: int, size: int = MOUTH) -> np.ndarray:
    """The matrix that takes the largest centred square of a picture to the crop, for videos cropped before. 2, 3."""
    side = min(width, height)
    factor = size / side
    shift = (factor - 1) / 2
    return np.array(
        [[factor, 0.0, shift - factor * (width - side) / 2], [0.0, factor, shift - factor * (height - side) / 2]]
    )
