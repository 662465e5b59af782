"""Runs in the peers' own environment: times one way of corrupting a clip for each line it is asked.

    python noise_peers.py CLIP.npy

A request is a line of JSON, {"way": ..., "family": ..., "strength": ...}; the answer is CPU seconds for the clip.
"""

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import albumentations
import cv2
import imagecorruptions
import numpy as np
from imagecorruptions import corruptions
from skimage.filters import gaussian

# Its Gaussian blur passes an argument by the name that scikit-image dropped (its issue 30): the same call, renamed.
corruptions.gaussian = lambda image, sigma, multichannel: gaussian(image, sigma=sigma, channel_axis=-1)
cv2.setNumThreads(1)

Corrupt = Callable[[np.ndarray], np.ndarray]
TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "blockwise": lambda holes: albumentations.CoarseDropout((holes, holes), (8, 8), (8, 8), fill=128, p=1),
    "blur": lambda sigma: albumentations.GaussianBlur(blur_limit=0, sigma_limit=(sigma, sigma), p=1),
    "motion": lambda length: albumentations.MotionBlur(blur_limit=(length, length), allow_shifted=False, p=1),
    "pixelate": lambda cell: albumentations.Downscale(
        (1 / cell, 1 / cell), {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}, p=1
    ),
    "jpeg": lambda quality: albumentations.ImageCompression(quality_range=(quality, quality), p=1),
    "gaussian": lambda sigma: albumentations.GaussNoise(std_range=(sigma / 255, sigma / 255), p=1),
    "contrast": lambda kept: albumentations.RandomBrightnessContrast((0, 0), (kept - 1, kept - 1), p=1),
}
CORRUPTIONS = {
    "blur": "gaussian_blur",
    "motion": "motion_blur",
    "pixelate": "pixelate",
    "jpeg": "jpeg_compression",
    "gaussian": "gaussian_noise",
    "contrast": "contrast",
}


def frame_by_frame(corrupt: Corrupt, clip: np.ndarray) -> np.ndarray:
    """The clip with each of its frames corrupted."""
    corrupted = np.empty_like(clip)
    for frame, target in zip(clip, corrupted, strict=True):
        target[:] = corrupt(frame)
    return corrupted


@functools.cache
def corruption_of(way: str, family: str, strength: float) -> Corrupt:
    """The function from clip to clip that is asked for."""
    if way == "imagecorruptions":
        kind = CORRUPTIONS[family]  # grey goes in, RGB comes out
        return functools.partial(frame_by_frame, lambda frame: imagecorruptions.corrupt(frame, strength, kind)[:, :, 0])
    transform = TRANSFORMS[family](strength)
    if way == "albumentations":
        return functools.partial(frame_by_frame, lambda frame: transform(image=frame)["image"])
    batch = albumentations.Compose([transform])
    return lambda clip: batch(images=clip)["images"]


def main() -> None:
    """Answer until the input ends."""
    clip = np.load(sys.argv[1])
    for line in sys.stdin:
        corrupt = corruption_of(**json.loads(line))
        start = time.process_time()
        corrupted = corrupt(clip)
        seconds = time.process_time() - start
        assert corrupted.shape == clip.shape
        assert (corrupted != clip).any()
        print(seconds, flush=True)


main()
