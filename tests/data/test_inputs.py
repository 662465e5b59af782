import cv2
import numpy as np
import pytest
import torch

from avsr_bench import data
from avsr_bench.data import Clip


@pytest.mark.parametrize("side, target", [(88, 96), (48, 52), (112, 122)])
def test_mouths_are_brought_to_the_scale_of_the_network_with_the_margin_of_its_crops(side, target):
    mouths = np.random.default_rng(0).integers(0, 256, (3, 96, 96), np.uint8)
    assert data.margin(side) == target - side
    filter_ = cv2.INTER_AREA if target < 96 else cv2.INTER_LINEAR
    others = np.stack([cv2.resize(mouth, (target, target), interpolation=filter_) for mouth in mouths])
    for top, left in ((0, 0), (1, 3), (None, None)):
        seen = data.shown(mouths, side, top, left)
        assert seen.shape == (3, side, side) and seen.dtype == np.uint8
        y, x = ((target - side) // 2 if place is None else place for place in (top, left))
        assert np.abs(seen.astype(int) - others[:, y : y + side, x : x + side]).max() <= 1


def test_a_waveform_is_brought_to_one_loudness_whatever_its_units():
    sound = (np.sin(np.arange(16_000) / 9) * 3000 + 500).astype(np.int16)
    for given in (sound, sound.astype(np.float32) / 32768):
        level = data.levelled(given)
        assert level.mean() == pytest.approx(0, abs=1e-3) and level.std() == pytest.approx(1, abs=1e-3)
    assert np.all(data.levelled(np.zeros(640, np.int16)) == 0)


def test_batches_are_padded_at_the_end():
    clips = [
        Clip("a", 2, (3, 4), np.ones((2, 4, 4), np.uint8), np.ones(1280, np.float32)),
        Clip("b", 3, (5,), np.ones((3, 4, 4), np.uint8), np.ones(1920, np.float32)),
    ]
    batch = data.collate(clips)
    assert batch.keys == ("a", "b") and batch.lengths.tolist() == [2, 3]
    assert batch.tokens.tolist() == [[3, 4], [5, -1]]
    assert batch.video.shape == (2, 3, 4, 4) and torch.all(batch.video[0, 2] == 0) and torch.all(batch.video[1] == 1)
    assert batch.audio.shape == (2, 1920) and torch.all(batch.audio[0, 1280:] == 0)
