import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mouths import make_shards

from avsr_bench import data
from avsr_bench.data import BatchSettings, Pass, Planner, Position, SelectionSettings, Stream
from avsr_bench.data.selection import check_selection, frames_shown, needed_frames, select, some_frames
from avsr_bench.records import Misused, rng_for

LENGTHS = st.lists(st.integers(1, 400), min_size=2, max_size=60)
FRACTIONS = st.floats(0.05, 1.0)


def chosen(strategy, scores, frames, fraction, progress=0.0, seed=0):
    return select(
        SelectionSettings(strategy, fraction), np.asarray(scores), frames, progress, np.random.default_rng(seed)
    )


@given(LENGTHS, FRACTIONS, st.floats(0, 1), st.sampled_from(["random", "easy", "hard", "easy2hard"]), st.integers(0, 9))
def test_a_pass_has_its_fraction_of_the_frames_but_for_one_clip(frames, fraction, progress, strategy, seed):
    scores = np.random.default_rng(seed).random(len(frames))
    weights = chosen(strategy, scores, frames, fraction, progress, seed)
    assert weights.dtype == np.float32 and set(weights) <= {0, 1} and weights.any()
    assert abs(np.sum(weights * frames) - fraction * sum(frames)) <= max(frames)


@given(LENGTHS, FRACTIONS, st.integers(0, 9))
def test_easy_has_the_lowest_losses_and_hard_the_highest(frames, fraction, seed):
    scores = np.random.default_rng(seed).random(len(frames))
    for strategy, sign in (("easy", 1), ("hard", -1)):
        inside = chosen(strategy, scores, frames, fraction) > 0
        assert inside.all() or (sign * scores)[inside].max() < (sign * scores)[~inside].min()


@given(LENGTHS, FRACTIONS, st.integers(0, 9))
def test_easy2hard_goes_from_the_one_to_the_other(frames, fraction, seed):
    scores = np.random.default_rng(seed).random(len(frames))
    ways = [chosen("easy2hard", scores, frames, fraction, progress) for progress in np.linspace(0, 1, 9)]
    assert np.array_equal(ways[0], chosen("easy", scores, frames, fraction))
    assert np.array_equal(ways[-1], chosen("hard", scores, frames, fraction))
    means = [scores[weights > 0].mean() for weights in ways]
    assert all(before <= after + 1e-9 for before, after in itertools.pairwise(means))


def test_nothing_is_lost_for_good_while_easy2hard_slides():
    frames, scores = [10] * 100, np.arange(100.0)
    passes = [chosen("easy2hard", scores, frames, 0.5, progress) for progress in np.linspace(0, 1, 6)]
    assert (np.sum(passes, axis=0) > 0).all()


@given(LENGTHS, st.sampled_from([0.25, 0.5, 0.75]), st.integers(0, 9))
def test_infobatch_is_that_of_its_paper(frames, fraction, seed):
    """All at the mean and above; of the others a fraction, by its inverse heavier: no gradient is lost on average."""
    scores = np.random.default_rng(seed).random(len(frames))
    weights = chosen("infobatch", scores, frames, fraction, seed=seed)
    low = scores < scores.mean()
    assert (weights[~low] == 1).all()
    assert np.count_nonzero(weights[low]) == int(fraction * low.sum())
    assert set(weights[low]) <= {0, np.float32(1 / fraction)}


def test_before_any_loss_is_known_infobatch_has_everything():
    assert (chosen("infobatch", np.full(9, data.BEFORE), [5] * 9, 0.5) == 1).all()


def test_infobatch_draws_other_clips_each_pass():
    scores = np.random.default_rng(0).random(200)
    first, second = (chosen("infobatch", scores, [5] * 200, 0.5, seed=seed) for seed in (1, 2))
    assert not np.array_equal(first, second)
    sums = [chosen("infobatch", scores, [5] * 200, 0.5, seed=seed).sum() for seed in range(50)]
    assert np.mean(sums) == pytest.approx(200, abs=1)


@given(st.integers(2, 200), FRACTIONS, st.sampled_from(["points", "chunks"]), st.integers(1, 30), st.integers(0, 9))
def test_frames_are_left_out_of_picture_and_sound_alike(frames, fraction, how, chunk, seed):
    settings = SelectionSettings(frames=how, frame_fraction=fraction, chunk=chunk)
    count = frames_shown(settings, frames, ())
    mouth = np.repeat(np.arange(frames, dtype=np.uint8), 4).reshape(frames, 2, 2)
    sound = np.repeat(np.arange(frames, dtype=np.int16), 640)
    whole = data.Example("a", "", "", "", frames, mouth, sound)
    cut = some_frames(whole, count, settings, np.random.default_rng(seed))
    assert cut.frames == count == len(cut.mouth) == max(2, int(np.ceil(fraction * frames)))
    places = cut.mouth[:, 0, 0]
    assert (np.diff(places.astype(int)) > 0).all()
    assert np.array_equal(cut.sound.reshape(count, 640)[:, 0], places)
    assert np.array_equal(cut.sound.reshape(count, 640)[:, 639], places)
    if how == "chunks":  # what is left out lies in whole chunks, but for a part of one
        gone = np.setdiff1d(np.arange(frames), places)
        broken = [number for number in set(gone // chunk) if np.isin(places // chunk, number).any()]
        assert len(broken) <= 1


def test_a_clip_keeps_the_frames_that_ctc_needs():
    settings = SelectionSettings(frames="chunks", frame_fraction=0.1)
    assert needed_frames((3, 3, 4, 4, 4)) == 8
    assert frames_shown(settings, 30, (3, 3, 4, 4, 4)) == 8
    assert frames_shown(settings, 5, (3, 3, 4, 4, 4)) == 5
    assert frames_shown(settings, 12, ()) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SelectionSettings(fraction=0.5), "fraction=0.5: strategy=full has every clip in each pass"),
        (SelectionSettings(frame_fraction=0.5), "frame_fraction=0.5: say which frames: frames=points or chunks"),
        (SelectionSettings("hard", 0.5, warm=0), "warm=0: hard chooses by losses, which the first pass makes"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings, words):
    with pytest.raises(Misused, match=words):
        check_selection(settings, "mine.yaml")


def show(example, tokens, epoch):
    return data.tested(example, (epoch,), 24)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_an_epoch_has_is_asked_after_the_last_batch_of_the_one_before(tmp_path, workers):
    corpus = make_shards(tmp_path / "small", {"train": 20, "valid": 4})
    places = data.places(corpus, "train", "av")
    lengths = tuple(place.entry.frames for place in places)
    planner = Planner(lengths, tuple(place.shard for place in places), BatchSettings(frames=40, group=2), seed=3)
    cutting = SelectionSettings(frames="chunks", frame_fraction=0.5, chunk=3)
    stream = Stream(corpus, places, [()] * 20, "av", planner, (show,), cutting)
    taken, asked = [], []

    def begin(epoch):
        asked.append((epoch, len(taken)))
        everything = planner.everything(epoch)
        weights = everything.weights * (np.arange(20) % 3 != epoch % 3) * np.float32(2)
        return Pass(weights, everything.frames // 2)

    with data.Loader(stream, 0, Position(1, 2), 40, workers, begin) as batches:
        for (batch,) in batches:
            taken.append(batch)
    epochs = [int(batch.tokens[0, 0]) for batch in taken]
    assert [epoch for epoch, _ in asked] == list(range(1, epochs[-1] + 1))
    for epoch, before in asked[1:]:
        assert epochs[before - 1] == epoch - 1 and epochs[before] == epoch
    number = {place.entry.key: clip for clip, place in enumerate(places)}
    for batch, epoch in zip(taken, epochs, strict=True):
        assert all(number[key] % 3 != epoch % 3 for key in batch.keys)
        assert batch.lengths.tolist() == [lengths[number[key]] // 2 for key in batch.keys]
        assert batch.weights.tolist() == [2.0] * len(batch.keys)
        assert batch.video.shape[1] * 640 == batch.audio.shape[1]
    for epoch in set(epochs[:-1]) - {1, epochs[-1]}:
        seen = [key for batch, its in zip(taken, epochs, strict=True) if its == epoch for key in batch.keys]
        assert sorted(number[key] for key in seen) == [clip for clip in range(20) if clip % 3 != epoch % 3]


def test_frames_are_drawn_anew_each_epoch_and_alike_everywhere():
    mouth = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((40, 2, 2), np.uint8)
    example = data.Example("a", "", "", "", 40, mouth)
    settings = SelectionSettings(frames="points", frame_fraction=0.5)
    first, again, later = (
        some_frames(example, 20, settings, rng_for(0, "frames", "a", str(epoch))).mouth for epoch in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, later)
    assert some_frames(example, 40, settings, rng_for(0, "a")) is example
