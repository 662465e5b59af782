"""Laws of picking frames at a constant 25 a second."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.media import constant_rate, frame_count


def steady(rate: float, count: int, tick: float | None = None, first: float = 0.0) -> list[tuple[float, float, int]]:
    """Frames at a steady rate, their times rounded to a container's tick."""
    times = [n / rate for n in range(count)]
    if tick is not None:
        times = [round(time / tick) * tick for time in times]
    return [(first + time, 1 / rate, n) for n, time in enumerate(times)]


def test_same_rate_is_the_identity() -> None:
    assert list(constant_rate(steady(25, 75))) == list(range(75))


@pytest.mark.parametrize("tick", [1 / 1000, 1 / 90_000, 1 / 600, 1 / 30, 1 / 60, 1 / 99])
def test_same_rate_is_the_identity_on_any_clock(tick: float) -> None:
    assert list(constant_rate(steady(25, 500, tick))) == list(range(500))


@given(st.lists(st.floats(-0.009, 0.009), min_size=2, max_size=60))
def test_same_rate_is_the_identity_under_jitter(jitter: list[float]) -> None:
    frames = [(n / 25 + (off if n else 0.0), 1 / 25, n) for n, off in enumerate(jitter)]
    last = frames[-1]
    frames[-1] = (last[0], len(frames) / 25 - last[0], last[2])
    assert list(constant_rate(frames)) == list(range(len(frames)))


def test_twice_the_rate_takes_every_second() -> None:
    assert list(constant_rate(steady(50, 101))) == list(range(0, 101, 2))


def test_half_the_rate_holds_and_ties_go_to_the_earlier() -> None:
    assert list(constant_rate(steady(12.5, 4))) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_thirty_a_second() -> None:
    assert list(constant_rate(steady(30, 12))) == [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]


def test_a_gap_is_held_from_both_sides() -> None:
    frames = [(0.0, 0.04, "a"), (0.04, 0.04, "b"), (0.24, 0.04, "c")]
    assert "".join(constant_rate(frames)) == "abbbccc"


def test_one_frame() -> None:
    assert list(constant_rate([(0.0, 0.04, "a")])) == ["a"]
    assert list(constant_rate([(0.0, 0.001, "a")])) == ["a"]


def test_no_frames() -> None:
    assert list(constant_rate([])) == []


def test_start_and_end() -> None:
    assert list(constant_rate(steady(25, 75), start=1.0, end=1.2)) == [25, 26, 27, 28, 29]
    assert list(constant_rate(steady(25, 75), start=2.9, end=9.0)) == [72, 73, 74]


def test_an_end_stops_reading() -> None:
    read = []

    def frames():  # type: ignore[no-untyped-def]
        for frame in steady(25, 1000):
            read.append(frame)
            yield frame

    assert len(list(constant_rate(frames(), end=1.0))) == 25
    assert len(read) <= 27


@st.composite
def sources(draw: st.DrawFn) -> list[tuple[float, float, int]]:
    """Frames at any rising times from 0, each said to last until the next; the last one for a while."""
    steps = draw(st.lists(st.floats(0.002, 0.3), min_size=1, max_size=80))
    times = [0.0]
    for step in steps[:-1]:
        times.append(times[-1] + step)
    return [(time, step, n) for n, (time, step) in enumerate(zip(times, steps, strict=True))]


@given(sources(), st.floats(0, 3), st.none() | st.floats(0.04, 5))
def test_laws(frames: list[tuple[float, float, int]], start: float, length: float | None) -> None:
    end = None if length is None else start + length
    chosen = list(constant_rate(frames, start, end))
    finish = frames[-1][0] + frames[-1][1]
    # The number: as many as fit, at least one.
    assert len(chosen) == max(1, frame_count((finish if end is None else min(finish, end)) - start))
    # Never back in time.
    assert chosen == sorted(chosen)
    # Each is the nearest in time.
    for n, index in enumerate(chosen):
        time = start + n / 25
        nearest = min(abs(time - at) for at, _, _ in frames)
        assert math.isclose(abs(time - frames[index][0]), nearest, abs_tol=3e-6)


@given(sources())
def test_doing_it_again_changes_nothing(frames: list[tuple[float, float, int]]) -> None:
    once = list(constant_rate(frames))
    again = list(constant_rate([(n / 25, 1 / 25, number) for n, number in enumerate(once)]))
    assert again == once


@given(st.integers(0, 10**6))
def test_whole_frames_count_exactly(frames: int) -> None:
    assert frame_count(frames / 25) == frames
