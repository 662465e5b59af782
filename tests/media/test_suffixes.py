"""The suffixes by which videos are found, held together with the formats that may be opened, by real files."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from av.format import ContainerFormat
from videos import numbered, scene, tone, write_sound, write_video

from avsr_bench import corpora
from avsr_bench.media import SOUND_SUFFIXES, VIDEO_SUFFIXES, Video, probe, read_sound
from avsr_bench.media.container import PICTURES, SOUNDS

FRAMES = 8


@dataclass(frozen=True)
class Made:
    """How a file of some suffixes is made here."""

    suffixes: str
    muxer: str
    codec: str = "mpeg4"
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = (176, 144)


MADE = (
    Made(".mp4", "mp4", "libx264"),
    Made(".m4v", "ipod", "libx264"),
    Made(".mov .qt .mj2", "mov"),
    Made(".3gp .3gpp", "3gp", "h263"),
    Made(".3g2", "3g2"),
    Made(".f4v", "f4v", "libx264"),
    Made(".ismv", "ismv", "libx264"),
    Made(".mkv .mk3d", "matroska", "libx264"),
    Made(".webm", "webm", "libvpx"),
    Made(".avi .divx", "avi"),
    Made(".mpg .mpeg .mpe", "mpeg", "mpeg1video"),
    Made(".vob .mod", "vob", "mpeg2video"),
    Made(".m2p", "svcd", "mpeg2video"),
    Made(".m1v", "mpeg1video", "mpeg1video"),
    Made(".m2v", "mpeg2video", "mpeg2video"),
    Made(".ts .mts .m2ts .tp .trp", "mpegts", "libx264"),
    Made(".m2t .tod", "mpegts", "mpeg2video"),
    Made(".flv", "flv", "flv"),
    Made(".asf .wmv", "asf", "wmv2"),
    Made(".ogv .ogm", "ogg", "libvpx"),
    Made(".nut", "nut"),
    Made(".mxf", "mxf", "mpeg2video"),
    Made(".gif", "gif", "gif", "rgb8"),
    Made(".rm", "rm", "rv10"),
    Made(".rmvb", "rm", "rv20"),
    Made(".dv .dif", "dv", "dvvideo", size=(720, 576)),
    Made(".ivf", "ivf", "libvpx"),
    Made(".h264 .264 .avc .h26l", "h264", "libx264"),
    Made(".hevc .h265 .265", "hevc", "libx265"),
    Made(".m4v", "m4v"),  # raw MPEG-4, by the same suffix
    Made(".mjpeg .mjpg", "mjpeg", "mjpeg", "yuvj420p"),
    Made(".obu", "obu", "libsvtav1"),
    Made(".wtv", "wtv", "mpeg2video"),
    Made(".y4m", "yuv4mpegpipe", "rawvideo"),
)
CANNOT_BE_MADE = {".vc1"}  # there is no encoder of it
# Suffixes that FFmpeg gives to a format of ours: stills, subtitles, and what goes by no other name.
NO_CORPUS = {"avif", "heic", "heif", "ism", "mks", "mpo", "psp"}


@pytest.mark.parametrize("made", MADE, ids=lambda made: f"{made.muxer}-{made.codec}")
def test_files_of_every_suffix_are_found_and_read(tmp_path: Path, made: Made) -> None:
    first, *others = made.suffixes.split()
    frames = (scene(number, *made.size) for number in range(FRAMES))
    path = tmp_path / f"a{first}"
    write_video(
        path,
        frames,
        codec=made.codec,
        pix_fmt=made.pix_fmt,
        file_format=made.muxer,
        options={"x265-params": "log-level=none"} if made.codec == "libx265" else None,
    )
    for suffix in others:
        (tmp_path / f"b{suffix}").hardlink_to(path)
    clips = corpora.read("folder", tmp_path).clips
    assert {clip.video.suffix for clip in clips} == {first, *others}
    for clip in clips:
        assert abs(sum(1 for _ in Video(clip.video)) - FRAMES) <= 1  # a raw stream has no time of its last frame
    (tmp_path / "lies.mp4").hardlink_to(path)  # what a file is, its bytes say
    assert probe(tmp_path / "lies.mp4").codec == probe(path).codec


def test_every_suffix_of_a_video_is_made_above_and_no_other() -> None:
    assert {suffix for made in MADE for suffix in made.suffixes.split()} == VIDEO_SUFFIXES - CANNOT_BE_MADE
    assert not VIDEO_SUFFIXES & SOUND_SUFFIXES


def test_the_docs_name_the_same_suffixes() -> None:
    text = (Path(__file__).parents[2] / "docs/prep.md").read_text(encoding="utf-8")
    lists = [line for line in text.splitlines() if line.startswith("    .")]
    assert {suffix for line in lists for suffix in line.split()} == VIDEO_SUFFIXES


def test_every_suffix_that_ffmpeg_knows_of_a_format_is_known_here() -> None:
    known = {suffix.removeprefix(".") for suffix in VIDEO_SUFFIXES | SOUND_SUFFIXES} | NO_CORPUS
    for name in ",".join([*PICTURES, *SOUNDS]).split(","):
        if name in ("m4a", "mj2"):  # names of the demuxer of mov that are looked up with it
            continue
        assert ContainerFormat(name, "r").extensions <= known, name


def test_an_animated_gif_is_a_video_and_a_still_one_is_short(tmp_path: Path) -> None:
    for name, count in (("many", 12), ("one", 1)):
        pictures = [numbered(number) for number in range(count)]
        write_video(tmp_path / f"{name}.gif", pictures, codec="gif", pix_fmt="gray", file_format="gif")
    assert sum(1 for _ in Video(tmp_path / "many.gif")) == 12
    assert sum(1 for _ in Video(tmp_path / "one.gif")) <= 3


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".wav", "pcm_s16le"), (".flac", "flac"), (".mp3", "mp3"), (".m4a", "aac")]
)
def test_suffixes_of_sound_are_those_of_sound(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_sound(tmp_path / f"a{suffix}", tone(0.5), codec=codec)
    assert suffix in SOUND_SUFFIXES
    sound = read_sound(path, 12)
    assert sound is not None and abs(sound.samples).max() > 1000
