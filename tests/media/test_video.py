"""Real files through real codecs: which frame comes out when, upright, in the right colours, of every kind."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from videos import number_of, numbered, scene, tone, write_video

from avsr_bench.media import Video, probe
from avsr_bench.records import Unusable


def numbers(video: Video) -> list[int]:
    return [number_of(picture.grey()) for picture in video]


def make(path: Path, count: int = 50, **how: object) -> Path:
    return write_video(path, [numbered(n) for n in range(count)], **how)  # type: ignore[arg-type]


CONTAINERS = {
    "mp4": {"file": "a.mp4"},
    "mp4 with B-frames": {"file": "a.mp4", "options": {"preset": "veryfast", "bf": "3"}},
    "mov": {"file": "a.mov", "codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "mkv": {"file": "a.mkv"},
    "mpeg-1": {"file": "a.mpg", "codec": "mpeg1video", "options": {"bf": "2", "qscale": "2"}, "file_format": "mpeg"},
    "mpeg-ts": {"file": "a.ts", "codec": "mpeg2video"},
    "avi": {"file": "a.avi", "codec": "mpeg4"},
    "webm": {"file": "a.webm", "codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "flv": {"file": "a.flv"},
    "gif": {"file": "a.gif", "codec": "gif", "pix_fmt": "gray"},
    "hevc 10 bits": {
        "file": "a.mp4",
        "codec": "libx265",
        "pix_fmt": "yuv420p10le",
        "options": {"preset": "ultrafast", "x265-params": "log-level=none"},
    },
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_frame_once_at_25(tmp_path: Path, kind: str) -> None:
    how = dict(CONTAINERS[kind])
    video = Video(make(tmp_path / str(how.pop("file")), **how))
    assert numbers(video) == list(range(50))
    assert video.frames == 50
    assert video.info.fps == pytest.approx(25)
    assert numbers(video) == list(range(50)), "the second pass, from memory"


@pytest.mark.parametrize(
    "rate", [Fraction(24_000, 1001), 24, Fraction(30_000, 1001), 30, 50, Fraction(60_000, 1001), 60, 12.5]
)
def test_rates(tmp_path: Path, rate: float) -> None:
    count = 60
    shown = numbers(Video(make(tmp_path / "a.mp4", count, rate=rate)))
    assert len(shown) == int(count / Fraction(rate).limit_denominator(1001) * 25 + Fraction(1, 2))
    times = np.arange(count) / float(rate)
    for n, number in enumerate(shown):
        assert abs(times[number] - n / 25) <= np.abs(times - n / 25).min() + 1e-4


def test_variable_rate(tmp_path: Path) -> None:
    times = [0, 0.04, 0.05, 0.06, 0.3, 0.34, 0.7, 0.701, 0.74]
    video = Video(make(tmp_path / "a.mp4", len(times), times=times))
    shown = numbers(video)
    for n, number in enumerate(shown):
        assert abs(times[number] - n / 25) <= min(abs(time - n / 25) for time in times) + 1e-4
    assert video.notes["longest_frame"] == pytest.approx(0.36, abs=0.002)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_start_that_is_not_zero(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"a.{suffix}", times=[7 + n / 25 for n in range(50)])
    video = Video(path)
    assert numbers(video) == list(range(50))
    assert video.info.origin >= 7
    assert numbers(Video(path, 0.4, 0.8)) == list(range(10, 20))


def test_frames_cut_off_by_an_edit_list_are_not_missed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", 60, times=[(n - 10) / 25 for n in range(60)], tick=Fraction(1, 25))
    video = Video(path)
    assert numbers(video) == list(range(10, 60))
    assert not video.notes


@pytest.mark.parametrize("start", [0.0, 0.5, 3.5, 20.02, 31.41, 39.9])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mpg", "avi"])
def test_a_stretch_of_a_long_video(tmp_path_factory: pytest.TempPathFactory, suffix: str, start: float) -> None:
    path = tmp_path_factory.getbasetemp() / f"long.{suffix}"
    if not path.exists():
        how: dict[str, object] = {
            "options": {"g": "100", "preset": "superfast", "bf": "3", "x264-params": "open-gop=1"}
        }
        if suffix in ("mpg", "avi"):
            how = {"codec": "mpeg1video" if suffix == "mpg" else "mpeg4", "options": {"g": "100", "qscale": "3"}}
        make(path, 1000, **how)
    end = min(start + 0.6, 40)
    shown = numbers(Video(path, start, end))
    assert len(shown) == round((end - start) * 25)
    for n, number in enumerate(shown):
        assert abs(number / 25 - (start + n / 25)) <= 0.02 + 1e-4


def test_memory_is_bounded_and_the_second_pass_the_same(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    picture = next(iter(Video(path)))
    kept, decoded = Video(path), Video(path, keep_bytes=10 * picture.nbytes)
    first = [picture.grey() for picture in decoded]
    assert decoded._kept is None and kept._kept is None
    assert numbers(kept) == numbers(decoded) == list(range(50))
    assert kept._kept is not None
    assert all(np.array_equal(a, b.grey()) for a, b in zip(first, kept, strict=True))


def test_held_frames_are_kept_once(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", 4, times=[0, 0.5, 1.0, 1.5])
    picture = next(iter(Video(path)))
    video = Video(path, keep_bytes=4 * picture.nbytes)
    assert len(list(video)) == len(list(video)) > 30
    assert video._kept is not None


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("flip", [False, True])
def test_rotation_flags(tmp_path: Path, rotation: int, flip: bool) -> None:
    frame = scene(0, 96, 64)
    plain = write_video(tmp_path / "plain.mp4", [frame] * 3)
    path = write_video(tmp_path / "turned.mp4", [frame] * 3, rotation=rotation, flip=flip)
    as_stored, turned = next(iter(Video(plain))), next(iter(Video(path)))
    expected = np.rot90(as_stored.grey(), rotation // 90)
    expected = expected[:, ::-1] if flip else expected
    assert np.array_equal(turned.grey(), expected)
    info = probe(path)
    assert (info.height, info.width) == expected.shape
    assert np.array_equal(turned.warp(np.eye(2, 3), 64), np.ascontiguousarray(expected[:64, :64]))


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [scene(0, 90, 72)] * 3, aspect=Fraction(16, 15))
    assert (probe(path).width, probe(path).height) == (96, 72)
    assert next(iter(Video(path))).rgb().shape == (72, 96, 3)
    nearly = write_video(tmp_path / "b.mp4", [scene(0, 90, 72)] * 3, aspect=Fraction(180, 181))
    assert probe(nearly).width == 90


FORMATS = {
    "yuv420p": {},
    "yuv422p": {},
    "yuv444p": {},
    "gray": {"codec": "ffv1", "file": "a.mkv"},
    "gray full": {"pix_fmt": "gray", "full_range": True},
    "yuv420p full": {"pix_fmt": "yuv420p", "full_range": True},
    "yuvj420p": {"codec": "mjpeg", "file": "a.avi", "full_range": True, "options": {"qscale": "2"}},
    "yuv420p10le": {"codec": "ffv1", "file": "a.mkv"},
    "yuv422p12le": {"codec": "ffv1", "file": "a.mkv"},
    "yuv444p16le": {"codec": "ffv1", "file": "a.mkv"},
    "yuv411p": {"codec": "ffv1", "file": "a.mkv"},
    "yuva420p": {"codec": "ffv1", "file": "a.mkv"},
    "gray10le": {"codec": "ffv1", "file": "a.mkv"},
    "nv12": {"codec": "rawvideo", "file": "a.avi"},
    "uyvy422": {"codec": "rawvideo", "file": "a.avi"},
    "bgr24": {"codec": "rawvideo", "file": "a.avi"},  # stored from the bottom up
    "rgb24": {"codec": "libx264rgb", "options": {"qp": "0"}},  # decodes to gbrp
    "bgra": {"codec": "ffv1", "file": "a.mkv"},
    "rgb48le": {"codec": "png", "file": "a.mov", "pix_fmt": "rgb48be"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_pixel_formats(tmp_path: Path, name: str) -> None:
    how: dict[str, object] = {"pix_fmt": name, **FORMATS[name]}
    path = write_video(tmp_path / str(how.pop("file", "a.mp4")), [scene(0, 128, 96)] * 2, **how)  # type: ignore[arg-type]
    picture = next(iter(Video(path)))
    rgb = scene(0, 128, 96)
    grey = rgb @ np.array([0.299, 0.587, 0.114])
    assert picture.grey().shape == (96, 128)
    assert np.abs(picture.grey() - grey).mean() < 2
    assert np.abs(picture.warp(np.eye(2, 3), 96) - grey[:, :96]).mean() < 2
    if "gray" not in name:
        assert np.abs(picture.rgb() - rgb.astype(float)).mean() < 3


def test_colour_tags_are_read(tmp_path: Path) -> None:
    for tag, matrix in ((1, "bt709"), (9, "bt2020"), (6, "bt601"), (5, "bt601")):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        info = probe(write_video(tmp_path / f"{tag}.mp4", [frame], matrix=tag))
        assert info.matrix == matrix
        assert not info.full_range
    assert probe(make(tmp_path / "full.mp4", 2, full_range=True)).full_range


def test_grey_of_real_bt709_video_is_that_of_its_rgb(tmp_path: Path) -> None:
    """Against swscale's RGB of the same decoded frames; without these flags it is 1.3 levels too dark itself."""
    frames = [
        av.VideoFrame.from_ndarray(scene(n), "rgb24").reformat(format="yuv420p", dst_colorspace=1) for n in range(3)
    ]
    path = write_video(tmp_path / "a.mp4", frames, matrix=1)
    matrix = np.array([[0.9, 0.1, -80.0], [-0.1, 0.9, -60.0]])
    with av.open(str(path)) as container:
        for decoded, picture in zip(container.decode(video=0), Video(path), strict=True):
            assert picture.matrix == "bt709"
            exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
            rgb = decoded.to_ndarray(format="rgb24", src_colorspace=1, dst_colorspace=1, interpolation=exact)
            grey = rgb @ np.array([0.299, 0.587, 0.114])
            straight = cv2.warpAffine(grey, matrix, (96, 96), flags=cv2.INTER_LINEAR)
            assert np.abs(picture.warp(matrix, 96) - straight).max() <= 2


@pytest.mark.parametrize(("width", "height"), [(97, 73), (8, 8), (9, 200), (2000, 16)])
def test_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    flat = np.tile(np.array([180, 90, 120], np.uint8), (height, width, 1))
    path = write_video(tmp_path / "a.mkv", [flat] * 2, codec="ffv1")
    picture = next(iter(Video(path)))
    assert picture.rgb().shape == (height, width, 3)
    assert np.abs(picture.rgb() - flat.astype(float)).max() < 5
    assert picture.warp(np.eye(2, 3), 32, "rgb").shape == (32, 32, 3)
    assert picture.thumbnail().size > 0


def test_8k(tmp_path: Path) -> None:
    frame = av.VideoFrame(7680, 4320, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([120]) * plane.buffer_size)
    picture = next(iter(Video(write_video(tmp_path / "a.mp4", [frame]))))
    assert (picture.width, picture.height) == (7680, 4320)
    crop = picture.warp(np.array([[0.05, 0, -100.0], [0, 0.05, -60.0]]), 96)
    assert abs(float(crop.mean()) - 121) < 2


def test_info(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", sound=tone(2.0))
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames, info.seconds) == (96, 72, 25, 50, 2)
    assert (info.codec, info.pixel_format, info.matrix, info.rotation) == ("h264", "yuv420p", "bt601", 0)
    assert info.has_sound and not info.full_range


def test_a_name_that_ffmpeg_would_read_as_a_pattern(tmp_path: Path) -> None:
    for name in ("a%03d.mp4", "http:..mp4", "späce and 'quote'.mp4", "\udcff.mp4"):
        assert len(list(Video(make(tmp_path / "plain.mp4", 3).rename(tmp_path / name)))) == 3


@pytest.mark.parametrize(
    ("start", "end"), [(-1, None), (1, 1), (2, 1), (5, None), (5, 6), (1, 3), (float("nan"), None)]
)
def test_times_outside_the_video(tmp_path: Path, start: float, end: float | None) -> None:
    path = make(tmp_path / "a.mp4")
    with pytest.raises(Unusable, match="bad-times"):
        list(Video(path, start, end))


def test_an_end_just_behind_the_video_is_cut(tmp_path: Path) -> None:
    assert numbers(Video(make(tmp_path / "a.mp4"), 1.6, 2.3)) == list(range(40, 50))
