"""The contract of `apply`: what it takes, what it gives back, and that its draws depend on nothing else."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench import noise
from avsr_bench.records import Misused, rng_for

FAMILIES = tuple(noise.FAMILIES)

# blake2b of every family at levels 1 to 10 on the clips of `counted`. A changed hash is a changed benchmark: raise
# noise.VERSION with it.
GOLDEN = {
    "blockwise": "72b1daed638c2f4d",
    "blur": "ff8afc9f8917898b",
    "motion": "f57e630b2736466e",
    "pixelate": "b4c2f198165e2e7c",
    "jpeg": "b56cd636662b1934",
    "gaussian": "8e233af0545fa543",
    "contrast": "9d591a76e4eba45b",
}


def counted(frames, *shape):
    """A busy clip made of whole numbers alone."""
    t, y, x, *c = np.indices((frames, *shape))
    return ((37 * t + x * y // 7 + 3 * x + 5 * y + (x // 9 * 71 + y // 11 * 43) % 97 + 20 * sum(c)) % 256).astype(
        np.uint8
    )


def corrupted(clip, family, level, key="a", on="mouth"):
    return noise.apply(clip, family, level, rng_for(0, key, family), on)


def digest(family):
    hashed = hashlib.blake2b(digest_size=8)
    for clip in (counted(5, 96, 96), counted(3, 61, 83), counted(2, 52, 45, 3)):
        for level in range(1, 11):
            hashed.update(corrupted(clip, family, level).tobytes())
    hashed.update(corrupted(counted(1, 288, 360, 3), family, 5, on="frame").tobytes())
    return hashed.hexdigest()


@pytest.mark.parametrize("level", [11, -1, 2.5, "3", None, True, float("nan")])
def test_other_levels_are_refused(level):
    with pytest.raises(Misused, match=r"^the level is a whole number from 0 \(clean\) to 10, not [^\n]+$"):
        corrupted(counted(2, 16, 16), "blur", level)


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("fog", "There is: blockwise, blur, contrast, gaussian, jpeg, motion, pixelate."),
        ("", "There is: blockwise, blur, contrast, gaussian, jpeg, motion, pixelate."),
        ("JPEG", "Did you mean jpeg?"),
        ("gausian", "Did you mean gaussian?"),
    ],
)
def test_an_unknown_family_is_answered_with_the_nearest(family, says):
    with pytest.raises(Misused) as refused:
        corrupted(counted(2, 16, 16), family, 3)
    assert str(refused.value) == f"no noise is called {family!r}. {says}"


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 16, 16), np.float32),
        np.zeros((2, 16, 16), np.int16),
        np.zeros((2, 16, 16), bool),
        [[[0]]],
        np.zeros((16, 16), np.uint8),
        np.zeros((16, 16, 3), np.uint8),  # one RGB frame, seen as 16 frames 3 pixels wide
        np.zeros((2, 16, 16, 1), np.uint8),
        np.zeros((2, 16, 16, 4), np.uint8),
        np.zeros((1, 2, 16, 16, 3), np.uint8),
        np.zeros((0, 16, 16), np.uint8),
        np.zeros((2, 0, 16), np.uint8),
        np.zeros((2, 1, 1), np.uint8),
        np.zeros((2, 7, 96), np.uint8),
    ],
    ids=lambda frames: f"{getattr(frames, 'dtype', 'list')}{getattr(frames, 'shape', '')}",
)
@pytest.mark.parametrize("level", [0, 5])
def test_frames_of_another_kind_are_refused(frames, level):
    with pytest.raises(Misused, match=r"^(frames must be|a frame must be|at least one frame)[^\n]+, not [^\n]+$"):
        corrupted(frames, "blur", level)


def test_another_place_is_refused():
    with pytest.raises(Misused, match=r"^noise is applied on mouth or frame, not on 'face'$"):
        corrupted(counted(2, 16, 16), "blur", 3, on="face")


def test_a_chunk_of_another_size_is_refused():
    corrupt = noise.begin("blockwise", 3, rng_for(0, "a", "blockwise"), (16, 16))
    with pytest.raises(Misused, match="begun with frames of"):
        corrupt(counted(2, 16, 17))
    with pytest.raises(Misused, match=r"^a frame must be H, W or H, W, 3 .*, not \(16,\)$"):
        noise.begin("blockwise", 3, rng_for(0, "a", "blockwise"), (16,))


@pytest.mark.parametrize(
    "text",
    ["jpeg", "jpeg:", "jpeg:x", "jpeg:-1", "jpeg:2.5", "jpeg:7:1", "", ":", "jpeg: 7", "jpeg:٣", "jpeg:" + 5000 * "7"],
)
def test_noise_written_otherwise_is_refused(text):
    with pytest.raises(Misused, match=f"^noise is written FAMILY:LEVEL, such as jpeg:7, not {re.escape(repr(text))}$"):
        noise.parse(text)


def test_noise_is_parsed():
    assert noise.parse("jpeg:7") == ("jpeg", 7)
    assert noise.parse("blur:0") == ("blur", 0)
    with pytest.raises(Misused, match="no noise is called 'fog'"):
        noise.parse("fog:3")
    with pytest.raises(Misused, match="to 10, not 11"):
        noise.parse("blur:11")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "shape", [(96, 96), (8, 8), (8, 8, 3), (9, 31), (61, 40, 3), (288, 360), (160, 160, 3)], ids=str
)
@pytest.mark.parametrize("on", ["mouth", "frame"])
def test_every_level_changes_frames_of_any_size(family, shape, on):
    clip = counted(3, *shape)
    before = clip.copy()
    clip.flags.writeable = False
    assert np.array_equal(corrupted(clip, family, 0, on=on), before)
    for level in (1, 2, 5, 10):
        result = corrupted(clip, family, level, on=on)
        assert result.shape == clip.shape
        assert result.dtype == np.uint8
        assert all((a != b).any() for a, b in zip(result, clip, strict=True))
        assert not np.shares_memory(result, clip)
    assert np.array_equal(clip, before)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frame_of_1080_lines(family):
    clip = counted(1, 1080, 1920)
    result = corrupted(clip, family, 10, on="frame")
    assert result.shape == clip.shape
    assert (result != clip).mean() > 0.5
    assert len(np.unique(result)) > 1


def test_level_0_is_a_copy():
    clip = counted(2, 16, 16)
    result = corrupted(clip, "gaussian", 0)
    assert np.array_equal(result, clip)
    assert not np.shares_memory(result, clip)


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_in_any_layout_of_memory(family):
    clip = counted(4, 40, 48)
    expected = corrupted(clip, family, 6)
    assert np.array_equal(corrupted(np.asfortranarray(clip), family, 6), expected)
    assert np.array_equal(corrupted(np.repeat(clip, 2, axis=2)[:, :, ::2], family, 6), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(96, 96), (33, 35), (17, 19, 3)], ids=str)
def test_chunks_end_to_end_are_the_whole(family, shape):
    clip = counted(23, *shape)
    corrupt = noise.begin(family, 4, rng_for(0, "a", family), shape)
    pieces = [corrupt(clip[first:last]) for first, last in ((0, 1), (1, 4), (4, 15), (15, 23))]
    assert np.array_equal(np.concatenate(pieces), corrupted(clip, family, 4))


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_those_of_this_version(family):
    assert digest(family) == GOLDEN[family]


# What another processor would do: OpenCV, numpy and libjpeg-turbo without their wide vector instructions.
NARROW = {
    "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,FP16,AVX2,AVX512-SKX",
    "OPENCV_IPP": "disabled",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX",
    "JSIMD_FORCENONE": "1",
}


@pytest.mark.parametrize("surroundings", [{"PYTHONHASHSEED": "7"}, NARROW], ids=["another process", "narrow vectors"])
def test_outputs_are_the_same_elsewhere(surroundings):
    code = "import test_visual as t; print({family: t.digest(family) for family in t.FAMILIES})"
    folder = str(Path(__file__).parent)
    environment = os.environ | surroundings | {"PYTHONPATH": os.pathsep.join([folder, *sys.path])}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert eval(done.stdout.splitlines()[-1]) == GOLDEN


def test_the_version_is_pinned_with_the_hashes():
    assert noise.VERSION == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**64), key=st.text(max_size=30), family=st.sampled_from(FAMILIES))
def test_a_draw_is_a_function_of_seed_key_and_family(seed, key, family):
    first, again = (rng_for(seed, key, family).bytes(16) for _ in range(2))
    assert first == again
    others = {
        rng_for(seed + 1, key, family).bytes(16),
        rng_for(seed, key + "x", family).bytes(16),
        *(rng_for(seed, key, other).bytes(16) for other in FAMILIES if other != family),
    }
    assert first not in others
    assert len(others) == 2 + len(FAMILIES) - 1


def test_the_global_random_states_are_neither_read_nor_moved():
    import random

    import cv2

    clip = counted(3, 32, 32)
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        cv2.setRNGSeed(seed)
        states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        results.append(b"".join(corrupted(clip, family, 5).tobytes() for family in FAMILIES))
        assert states == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    assert results[0] == results[1]


@pytest.mark.parametrize("family", ["blockwise", "motion", "gaussian"])
def test_another_clip_is_harmed_otherwise(family):
    clip = counted(3, 96, 96)
    assert (corrupted(clip, family, 5, key="a") != corrupted(clip, family, 5, key="b")).mean() > 0.05
