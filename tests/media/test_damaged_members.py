"""Members of a shard with damaged bytes: decoded to what they should hold, or `Unusable`; never anything else."""

import random

import numpy as np
import pytest
from videos import scene, tone

from avsr_bench.media import decode_flac, decode_mouth, encode_flac, encode_mouth
from avsr_bench.records import SAMPLES_PER_FRAME, Unusable
from benchmarks.mutations.mutate import mutate

GREY = [scene(number, 96, 96)[..., 0] for number in range(12)]


@pytest.mark.parametrize("pictures", [GREY, [scene(number, 96, 96) for number in range(12)]], ids=["grey", "colour"])
def test_damaged_mouths(pictures):
    good, other = encode_mouth(pictures), encode_mouth(GREY[:3])
    usable = 0
    for number in range(1000):
        damaged, how = mutate(good, "bytes", other, random.Random(number))
        try:
            mouth = decode_mouth(damaged)
        except Unusable:
            continue
        usable += 1
        assert mouth.dtype == np.uint8 and mouth.shape[3:] in ((), (3,)), f"{number}: {how}"
    assert 100 < usable < 700


def test_damaged_sound():
    good = encode_flac(tone(0.48, 16_000)[: 12 * SAMPLES_PER_FRAME])
    for number in range(1000):
        damaged, how = mutate(good, "bytes", good[::-1], random.Random(number))
        try:
            sound = decode_flac(damaged)
        except Unusable:
            continue
        assert sound.dtype == np.int16 and sound.ndim == 1, f"{number}: {how}"


@pytest.mark.parametrize(
    ("name", "at", "new"),
    [
        (b"avc1", 0, b"none"),  # a codec that nobody has
        (b"stts", 12, b"\x70\x00\x00\x00"),  # two thousand million frames
    ],
)
def test_headers_that_lie(name, at, new):
    good = encode_mouth(GREY)
    place = good.rindex(name) + at
    with pytest.raises(Unusable):
        decode_mouth(good[:place] + new + good[place + 4 :])
