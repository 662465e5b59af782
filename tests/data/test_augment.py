from dataclasses import replace

import numpy as np
import pytest

from avsr_bench import data
from avsr_bench.data import AugmentSettings, Example
from avsr_bench.noise.sound import source_of

PICTURES = np.random.default_rng(1).integers(0, 256, (40, 96, 96), np.uint8)
SOUND = np.random.default_rng(2).integers(-9000, 9000, 40 * 640).astype(np.int16)
EXAMPLE = Example("a", "now", "ann", "", 40, PICTURES, SOUND)
NOTHING = AugmentSettings(crop=False, video_mask=0, audio_mask=0, babble=False)


def test_the_same_epoch_shows_a_clip_alike_and_another_does_not():
    settings = AugmentSettings(noise=True, flip=0.5)
    crowd = source_of("pink")
    first, again, later = (data.augmented(EXAMPLE, (1,), 48, settings, 7, epoch, crowd) for epoch in (3, 3, 4))
    assert np.array_equal(first.video, again.video) and np.array_equal(first.audio, again.audio)
    assert not np.array_equal(first.video, later.video) and not np.array_equal(first.audio, later.audio)


def test_with_all_of_it_off_training_sees_what_testing_sees():
    trained, tested = data.augmented(EXAMPLE, (1,), 88, NOTHING, 0, 0), data.tested(EXAMPLE, (1,), 88)
    assert np.array_equal(trained.video, tested.video) and np.array_equal(trained.audio, tested.audio)


def test_a_crop_is_one_square_of_all_frames_and_a_flip_its_mirror():
    settings = AugmentSettings(crop=True, flip=0.5, video_mask=0)
    places = {}
    for epoch in range(40):
        clip = data.augmented(EXAMPLE, (1,), 88, settings, 0, epoch)
        assert data.collate([clip]).inputs  # torch takes no mirrored view
        seen = clip.video
        for flipped in (False, True):
            for top in range(9):
                for left in range(9):
                    square = PICTURES[:, top : top + 88, left : left + 88][:, :, :: -1 if flipped else 1]
                    if np.array_equal(seen[0], square[0]):
                        assert np.array_equal(seen, square)
                        places[epoch] = (top, left, flipped)
    assert len(places) == 40
    assert 10 < sum(flipped for _, _, flipped in places.values()) < 30
    assert len({place[:2] for place in places.values()}) > 20


def test_masks_are_black_runs_of_up_to_the_window_and_as_many_as_published():
    share = 0.0
    for seed in range(300):
        masked = data.masked(np.ones((250, 1)), 10, 25, np.random.default_rng(seed))
        assert (masked == 0).sum() <= 10 * 9  # ten masks, of less than the window each
        share += float((masked == 0).mean()) / 300
    assert share == pytest.approx(0.15, abs=0.01)  # peers.md measured about 15 % on the public code
    assert data.masked(PICTURES, 0, 25, np.random.default_rng(0)) is PICTURES


def test_a_masked_frame_is_black_before_it_is_normalised():
    settings = AugmentSettings(crop=False, video_mask=0.8)
    video = data.augmented(EXAMPLE, (), 88, settings, 0, 1).video
    black = (video == 0).all(axis=(1, 2))
    assert 0 < black.sum() < 40


def test_a_masked_frame_can_show_the_mean_picture_of_its_clip():
    """So that nothing is left of it where the network takes that mean away; the mean of the clip stays what it was."""
    settings = AugmentSettings(crop=False, video_mask=0.8)
    black = data.augmented(EXAMPLE, (), 88, settings, 0, 1).video
    video = data.augmented(EXAMPLE, (), 88, replace(settings, mask_fill="mean"), 0, 1).video
    masked = (black == 0).all(axis=(1, 2))
    mean = data.tested(EXAMPLE, (), 88).video.mean(0)
    assert 0 < masked.sum() < 40
    assert np.abs(video[masked] - mean).max() <= 0.5
    assert np.array_equal(video[~masked], black[~masked])


@pytest.mark.parametrize("fill", ["black", "mean"])
def test_whole_clips_can_be_masked(fill):
    settings = AugmentSettings(crop=False, video_mask=0.2, mask_fill=fill)
    seen = [data.augmented(EXAMPLE, (), 88, settings, 0, epoch).video for epoch in range(200)]
    dropped = replace(settings, video_dropout=0.3)
    shown = [data.augmented(EXAMPLE, (), 88, dropped, 0, epoch).video for epoch in range(200)]
    constant = [(video == video[0]).all() for video in shown]
    assert 40 <= sum(constant) <= 80  # 60, and three standard deviations
    expected = 0 if fill == "black" else data.tested(EXAMPLE, (), 88).video.mean(0)
    for one, other, hidden in zip(seen, shown, constant, strict=True):
        assert np.abs(other - expected).max() <= 0.5 if hidden else np.array_equal(one, other)
        assert one.shape == other.shape and one.dtype == other.dtype


def test_a_mask_may_be_longer_than_the_clip_but_one_frame_is_never_masked():
    short = [data.masked(np.ones((3, 1)), 10, 25, np.random.default_rng(s)) for s in range(50)]
    assert {len(clip) for clip in short} == {3}
    assert {int(clip.sum()) for clip in short} >= {0, 3}
    one = np.ones((1, 1))
    assert all(np.array_equal(data.masked(one, 10, 25, np.random.default_rng(s)), one) for s in range(50))


def test_a_clip_without_sound_in_it_is_left_alone_by_babble():
    silent = Example("s", "", "", "", 4, None, np.zeros(4 * 640, np.int16))
    clip = data.augmented(silent, (), 88, AugmentSettings(), 0, 0, source_of("white"))
    assert np.all(clip.audio == 0)
