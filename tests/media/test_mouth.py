"""The mouth video: every frame once, faithful, the same bytes every time."""

import io

import av
import numpy as np
import pytest
from videos import scene

from avsr_bench.media import decode_mouth, encode_mouth
from avsr_bench.records import Unusable


def mouths(count: int, colour: bool, size: int = 96) -> np.ndarray:
    frames = np.stack([scene(n, size, size) for n in range(count)])
    return frames if colour else frames[..., 1].copy()


@pytest.mark.parametrize("count", [1, 2, 3, 50, 51, 130])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_round_trip(count: int, colour: bool, lossless: bool) -> None:
    crops = mouths(count, colour)
    back = decode_mouth(encode_mouth(iter(crops), lossless))
    assert back.shape == crops.shape and back.dtype == np.uint8
    apart = np.abs(back.astype(int) - crops)
    assert apart.max() == 0 if lossless else apart.mean() < 1.5


@pytest.mark.parametrize("level", [0, 16, 128, 200, 235, 255])
def test_levels_are_kept(level: int) -> None:
    """Full range in any reader: ours, and swscale's grey and RGB of the same file."""
    data = encode_mouth([np.full((96, 96), level, np.uint8)] * 5)
    assert np.abs(decode_mouth(data).astype(int) - level).max() <= 2
    with av.open(io.BytesIO(data)) as container:
        for frame in container.decode(video=0):
            for form in ("gray", "rgb24"):
                assert np.abs(frame.to_ndarray(format=form).astype(int) - level).max() <= 2


@pytest.mark.parametrize("shape", [(95, 93), (88, 88), (96, 96, 3), (95, 93, 3), (128, 64)])
def test_sizes(shape: tuple[int, ...]) -> None:
    crops = [np.ascontiguousarray(scene(n, 128, 128)[: shape[0], : shape[1]]) for n in range(4)]
    crops = crops if len(shape) == 3 else [crop[..., 0].copy() for crop in crops]
    assert decode_mouth(encode_mouth(crops)).shape == (4, *shape)
    assert np.array_equal(decode_mouth(encode_mouth(crops, lossless=True)), np.stack(crops))


def test_slices_that_are_not_contiguous() -> None:
    crops = [scene(n, 200, 200)[10:106, 20:116, 1] for n in range(4)]
    assert np.array_equal(decode_mouth(encode_mouth(crops, lossless=True)), np.stack(crops))


@pytest.mark.parametrize("lossless", [False, True])
def test_same_crops_same_bytes(lossless: bool) -> None:
    crops = mouths(60, False)
    data = encode_mouth(crops, lossless)
    assert encode_mouth(crops, lossless) == data
    assert b"Lavf" not in data


def test_every_frame_has_its_own_time() -> None:
    with av.open(io.BytesIO(encode_mouth(mouths(60, False)))) as container:
        stream = container.streams.video[0]
        assert stream.frames == 60 and stream.average_rate == 25
        assert [round(frame.time * 25) for frame in container.decode(stream)] == list(range(60))


def test_key_frames_every_two_seconds() -> None:
    with av.open(io.BytesIO(encode_mouth(mouths(120, False)))) as container:
        keys = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.is_keyframe]
    assert keys == [0, 2, 4]


def test_wrong_crops_are_errors() -> None:
    with pytest.raises(ValueError, match="no crops"):
        encode_mouth([])
    with pytest.raises(ValueError, match="crop 1"):
        encode_mouth([np.zeros((96, 96), np.uint8), np.zeros((96, 95), np.uint8)])
    with pytest.raises(ValueError, match="float32"):
        encode_mouth([np.zeros((96, 96), np.float32)])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_broken_mouths(share: float) -> None:
    data = encode_mouth(mouths(50, False))
    with pytest.raises(Unusable):
        decode_mouth(data[: int(len(data) * share)])
