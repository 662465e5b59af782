"""A recording frame by frame, against the same as a whole clip."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import small_enhancer
from sounds import carried

from avsr_bench import data, media, runs
from avsr_bench.enhancing import Shown, Speed, Stream, enhanced, find_lips
from avsr_bench.faces import FaceSettings, crop_matrices, find_track
from avsr_bench.nn.causal import Pasts, RunningMean
from avsr_bench.records import SILENCE


@pytest.mark.parametrize("head", ["drawn", "vocoding"])
@pytest.mark.parametrize("at_once", [1, 7, 25, 100])
def test_a_real_video_in_pieces_is_what_it_is_as_a_whole(talk, request, head, at_once):
    enhancer = runs.open_run(request.getfixturevalue(head)).enhancer()
    track = find_track(media.Video(talk), FaceSettings())
    mouths = [
        picture.warp(matrix, 96) for picture, matrix in zip(media.Video(talk), crop_matrices(track.points), strict=True)
    ]
    sound = media.read_sound(talk, 60).samples
    video = torch.from_numpy(data.shown(np.stack(mouths), enhancer.settings.mouth))[None]
    with torch.inference_mode():
        whole = enhancer(video, torch.from_numpy(sound / np.float32(32768))[None], torch.tensor([60]))[0].numpy()
    lips = find_lips(talk, FaceSettings(), False, SILENCE)
    shown = Shown.beginning_with(lips.first(), enhancer)
    frames = zip(map(shown.show, lips), media.sound_by_frames(talk), strict=True)
    pieces = np.concatenate(list(enhanced(Stream(enhancer), frames, at_once)))
    assert shown.gaps == [] and np.abs(whole).max() > 0.01
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6 * 640 + 3), st.integers(1, 5))
def test_as_many_samples_come_out_as_went_in(count, at_once):
    sound = carried(count / 16_000)
    frames = [(None, sound[place : place + 640]) for place in range(0, count, 640)]
    stream = Stream(ENHANCER)
    pieces = list(enhanced(stream, frames, at_once))
    assert sum(map(len, pieces)) == stream.given == count
    assert len(stream.seconds) == -(-len(frames) // at_once)


ENHANCER = small_enhancer("audio")


def test_no_frame_at_all():
    assert sum(map(len, enhanced(Stream(ENHANCER), [], 4))) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 1000))
def test_where_no_mouth_is_the_network_sees_nothing(seen, memory, seed):
    """Whatever it saw before, and whoever comes back: what its running mean leaves is rounding."""
    rng = np.random.default_rng(seed)
    mouths = rng.integers(0, 256, (len(seen), 96, 96), dtype=np.uint8)
    first = next((mouth for mouth, there in zip(mouths, seen, strict=True) if there), mouths[0])
    shown = Shown.beginning_with(first, small_enhancer("av", still=memory))
    pictures = np.stack([shown.show(mouth if there else None) for mouth, there in zip(mouths, seen, strict=True)])
    left = RunningMean(memory)(torch.from_numpy(pictures)[None].float(), Pasts())[0].numpy()
    for t, there in enumerate(seen):
        if there:
            assert np.array_equal(pictures[t], data.shown(mouths[t : t + 1], 16)[0])
        else:
            assert np.abs(left[t]).max() <= 0.51  # grey levels
    away = [t for first, end in shown.gaps for t in range(first, end)]
    assert away == [t for t, there in enumerate(seen) if not there]
    assert all(one[1] < other[0] for one, other in zip(shown.gaps, shown.gaps[1:], strict=False))


def test_the_first_calls_are_not_counted():
    slow_start = [5.0] * 10 + [0.010] * 98 + [0.020] * 2
    speed = Speed.of(slow_start)
    assert (speed.frames, speed.median) == (100, pytest.approx(10.0))
    assert speed.slow == pytest.approx(20.0) and speed.factor == pytest.approx(0.0102 * 25)
    assert Speed.of([0.04] * 4).frames == 4
