"""Files that are no videos, and videos that are broken: each ends in one reason, none in a crash or a silent loss."""

import os
import random
import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest
from videos import numbered, scene, tone, write_sound, write_video

from avsr_bench.media import Video, probe, read_sound
from avsr_bench.records import Unusable


def reason(path: Path) -> str:
    """The code with which a whole pass over a file ends, "" if it is usable; `probe` never says more."""
    try:
        count = sum(1 for _ in Video(path))
    except Unusable as problem:
        assert problem.reason.detail
        return problem.reason.code
    assert count > 0
    probe(path)
    return ""


NOT_VIDEO = {
    "text": b"bin blue at f two now\n" * 40,
    "one letter": b"x",
    "terminal art": b"\x1b[31mhello\x1b[0m\r\n" * 2000,
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 20,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n",
    "list of files": b"ffconcat version 1.0\nfile 'other.mp4'\n",
    "zeros": bytes(100_000),
    "noise": random.Random(0).randbytes(100_000),
    "jpeg": cv2.imencode(".jpg", scene(0))[1].tobytes(),
    "png": cv2.imencode(".png", scene(0))[1].tobytes(),
    "page": b"<!DOCTYPE html><html><body>404 not found</body></html>",
}


@pytest.mark.parametrize("kind", NOT_VIDEO)
@pytest.mark.parametrize("suffix", ["mp4", "txt"])
def test_not_a_video(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(NOT_VIDEO[kind])
    write_video(tmp_path / "other.mp4", [scene(0)] * 5)
    assert reason(path) == "not-video"


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert reason(tmp_path / "empty.mp4") == "empty-file"
    assert reason(tmp_path / "missing.mp4") == "missing-file"
    assert reason(tmp_path / "empty.mp4" / "below.mp4") == "missing-file"
    assert reason(tmp_path) == "not-video"
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    assert reason(tmp_path / "link.mp4") == "missing-file"
    (tmp_path / "itself.mp4").symlink_to("itself.mp4")
    assert reason(tmp_path / "itself.mp4") == "unreadable"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert reason(tmp_path / "pipe.mp4") == "not-video"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user, who may not read")
def test_may_not_be_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [scene(0)] * 3)
    path.chmod(0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # the folders above belong to root and may be closed to others: so the file itself is what is asked
        os.chdir(tmp_path)
        os.setuid(65534)
        os.write(write, reason(Path("a.mp4")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"unreadable"


def test_sound_only(tmp_path: Path) -> None:
    assert reason(write_sound(tmp_path / "a.wav", tone(1))) == "no-video-stream"
    assert reason(write_sound(tmp_path / "a.m4a", tone(1), codec="aac")) == "no-video-stream"
    assert reason(write_sound(tmp_path / "a.mp4", tone(1), codec="aac")) == "no-video-stream"


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    """An ID3 tag with a picture, as music files have."""
    mp3 = write_sound(tmp_path / "plain.mp3", tone(1), codec="mp3").read_bytes()
    image = NOT_VIDEO["jpeg"]
    body = b"\x00image/jpeg\x00\x03\x00" + image
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\x00\x00" + body
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "cover.mp3"
    path.write_bytes(b"ID3\x03\x00\x00" + size + frame + mp3)
    with av.open(str(path)) as container:
        assert container.streams.video, "the cover is there for FFmpeg"
    assert reason(path) == "no-video-stream"


def test_zero_frames_and_one(tmp_path: Path) -> None:
    one = write_video(tmp_path / "one.mp4", [scene(0)])
    assert reason(one) == ""
    assert len(list(Video(one))) == 1
    # A movie of no frames: the sample table of a real one, emptied.
    data = bytearray(one.read_bytes())
    for box in (b"stsz", b"stts", b"stsc", b"stco"):
        at = data.index(box)
        place = at + 12 if box == b"stsz" else at + 8
        data[place : place + 4] = bytes(4)
    (tmp_path / "none.mp4").write_bytes(data)
    assert reason(tmp_path / "none.mp4") in ("no-frames", "no-video-stream")


def test_too_small(tmp_path: Path) -> None:
    assert reason(write_video(tmp_path / "a.mp4", [scene(0, 4, 4)] * 3)) == "too-small"
    assert reason(write_video(tmp_path / "b.mp4", [scene(0, 200, 4)] * 3)) == "too-small"


WAYS = {
    "moov last": ("a.mp4", {}),
    "moov first": ("a.mp4", {"file_options": {"movflags": "+faststart"}}),
    "mkv": ("a.mkv", {}),
    "mpeg-1": ("a.mpg", {"codec": "mpeg1video", "options": {"qscale": "2"}, "file_format": "mpeg"}),
    "avi": ("a.avi", {"codec": "mpeg4"}),
    "flv": ("a.flv", {}),
}


@pytest.fixture(scope="module", params=WAYS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, how = WAYS[request.param]
    path = tmp_path_factory.mktemp("whole") / name
    return write_video(path, [scene(n, 160, 120) for n in range(75)], sound=None if name == "a.mpg" else tone(3), **how)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_broken_off(whole: Path, tmp_path: Path, share: float) -> None:
    assert reason(whole) == ""
    data = whole.read_bytes()
    path = tmp_path / whole.name
    path.write_bytes(data[: int(len(data) * share)])
    assert reason(path) == "damaged"


def test_the_loss_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [scene(n) for n in range(75)], file_options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable, match=r"damaged: \d+ of 75 frames could be read"):
        list(Video(path))


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes(whole: Path, tmp_path: Path, seed: int) -> None:
    """Any outcome with a reason is right; a crash, a hang or a short pass without a word is not."""
    data, draw = bytearray(whole.read_bytes()), random.Random(seed)
    for _ in range(30):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path = tmp_path / whole.name
    path.write_bytes(data)
    video = Video(path)
    try:
        count = len(list(video))
    except Unusable as problem:
        assert problem.reason.code in ("damaged", "no-frames", "not-video", "no-video-stream", "too-small")
    else:
        assert abs(count - 75) <= 3
    try:
        read_sound(path, 75)
    except Unusable as problem:
        assert problem.reason.code in ("damaged", "not-video")


def test_flips_in_the_index(tmp_path: Path) -> None:
    """Headers lie: sizes, counts, times. Every byte of the moov box in turn, one bit each."""
    path = write_video(
        tmp_path / "a.mp4", [scene(n, 64, 48) for n in range(10)], file_options={"movflags": "+faststart"}
    )
    data = path.read_bytes()
    draw = random.Random(1)
    for place in range(data.index(b"moov"), data.index(b"mdat"), 5):
        broken = bytearray(data)
        broken[place] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        try:
            count = 0
            for count, picture in enumerate(Video(path, keep_bytes=0), 1):
                assert picture.nbytes < 1 << 28
                assert count < 2000, f"byte {place}: no end of frames"
        except Unusable:
            pass


def test_a_clock_that_leaps_is_refused(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 3600.0, 3600.04]
    assert reason(write_video(tmp_path / "a.mp4", [numbered(n) for n in range(5)], times=times)) == "damaged"


def test_ffmpeg_keeps_quiet(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [scene(n) for n in range(30)], file_options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    program = """
import pathlib, sys
from avsr_bench.media import Video
try:
    list(Video(pathlib.Path(sys.argv[1])))
except Exception as problem:
    print(problem)
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, check=True)
    assert done.stdout.startswith(b"damaged") and done.stderr == b""
