"""The training transform: pure, balanced, and never outside what the paper trained with."""

from collections import Counter

import numpy as np
import pytest

from avsr_bench import noise
from avsr_bench.records import rng_for


def test_a_clip_is_augmented_alike_again_and_otherwise_elsewhere():
    clip = noise.drawn_mouth(6)
    before = clip.copy()
    results = {(s, k, e): noise.augment(clip, s, k, e).tobytes() for s in (0, 1) for k in "ab" for e in range(8)}
    assert np.array_equal(clip, before)
    assert all(noise.augment(clip, *place).tobytes() == result for place, result in results.items())
    assert len(set(results.values())) > len(results) / 2  # all but the clean ones, which are a fifth


def test_what_is_chosen_is_what_is_applied():
    clip = noise.drawn_mouth(4)
    for epoch in range(20):
        family, level = noise.choose(3, "a", epoch)
        result = noise.augment(clip, 3, "a", epoch)
        assert (level == 0) == np.array_equal(result, clip)
        if family in ("blur", "pixelate"):
            assert np.array_equal(result, noise.apply(clip, family, level, rng_for(9, "", family)))


def test_the_draw_of_a_clip_changes_with_the_epoch():
    clip = noise.drawn_mouth(2)
    places = [e for e in range(200) if noise.choose(0, "a", e)[0] == "blockwise" and noise.choose(0, "a", e)[1] >= 5]
    first, second = (noise.augment(clip, 0, "a", epoch)[0] == 128 for epoch in places[:2])
    assert (first != second).mean() > 0.1


def test_families_and_levels_are_equally_likely():
    chosen = Counter(noise.choose(0, f"clip {n}", 0) for n in range(20_000))
    clean = sum(count for (_, level), count in chosen.items() if level == 0)
    assert clean == pytest.approx(4_000, abs=250)
    noisy = {place: count for place, count in chosen.items() if place[1] > 0}
    assert set(noisy) == {(family, level) for family in noise.SEEN for level in range(1, 11)}
    assert min(noisy.values()) > 300  # 400 each, give or take 20
    assert max(noisy.values()) < 500


@pytest.mark.parametrize("clean", [0.0, 1.0])
def test_the_share_of_clean_clips_is_a_setting(clean):
    levels = [noise.choose(0, f"clip {n}", 0, clean)[1] for n in range(100)]
    assert (min(levels) > 0) == (clean == 0)
    assert (max(levels) == 0) == (clean == 1)
