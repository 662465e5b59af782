"""The whole of media on real recordings."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from avsr_bench.media import Video, decode_flac, decode_mouth, encode_flac, encode_mouth, read_sound

GRID = Path(__file__).parents[2] / "../shared/data/grid/s1"
TO_CROP = np.array([[0.9, 0.05, -120.0], [-0.05, 0.9, -130.0]])


@pytest.mark.skipif(not GRID.is_dir(), reason=f"{GRID} is not there")
@pytest.mark.parametrize("name", ["bbaf3s", "bbaf4p", "bbaf5a"])
def test_a_clip(name: str) -> None:
    video = Video(GRID / f"{name}.mp4")
    pictures = list(video)
    assert len(pictures) == 75 and not video.notes
    crops = [picture.warp(TO_CROP, 96) for picture in pictures]
    for picture, crop in zip(pictures[::25], crops[::25], strict=True):
        straight = cv2.warpAffine(picture.grey(), TO_CROP, (96, 96), flags=cv2.INTER_LINEAR)
        assert np.abs(straight.astype(int) - crop).max() <= 2
    mouths = decode_mouth(encode_mouth(crops))
    assert mouths.shape == (75, 96, 96)
    assert np.abs(mouths.astype(int) - np.stack(crops)).mean() < 1
    sound = read_sound(GRID / f"{name}.mp4", 75, video=video.info.origin)
    assert sound is not None and sound.samples.shape == (48_000,) and not sound.notes()
    assert sound.samples.std() > 100
    assert np.array_equal(decode_flac(encode_flac(sound.samples)), sound.samples)
