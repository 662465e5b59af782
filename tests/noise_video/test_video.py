"""`noise apply`: a video in, the same video with noise out."""

import av
import numpy as np
import pytest
from heard import Silence
from videos import number_of, numbered, scene, tone, write_video

from avsr_bench import media, noise
from avsr_bench.noise_video.video import corrupt_video
from avsr_bench.records import Misused, Refused, rng_for


def frames_of(path):
    return np.stack([picture.rgb() for picture in media.Video(path)])


def luma(frames):
    return frames @ np.array([0.299, 0.587, 0.114])


@pytest.fixture
def source(tmp_path):
    tiles = np.kron(np.indices((60, 80)).sum(0) % 2, np.ones((4, 4), int))[..., None] * 40  # detail
    return write_video(tmp_path / "talk.mp4", [(scene(n) + tiles).astype(np.uint8) for n in range(60)], sound=tone(2.4))


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_the_frames_are_those_of_apply(source, tmp_path, family):
    written = corrupt_video(source, tmp_path / "out.mp4", family, 5, seed=3)
    clean = frames_of(source)
    expected = noise.apply(clean, family, 5, rng_for(3, "talk", family), "frame")
    found = frames_of(tmp_path / "out.mp4")
    assert (written.frames, written.width, written.height, written.sound) == (60, 320, 240, "kept")
    assert found.shape == expected.shape
    found, expected, clean = (luma(frames) for frames in (found, expected, clean))  # 4:2:0 halves noise in colour
    lost = np.abs(found - expected).mean()
    assert lost < 2
    assert lost < np.abs(found - clean).mean() / 2


def test_level_0_is_the_video_itself(source, tmp_path):
    corrupt_video(source, tmp_path / "out.mp4", "blur", 0)
    assert np.abs(frames_of(tmp_path / "out.mp4").astype(float) - frames_of(source)).mean() < 1.5


def test_the_sound_is_kept_and_stays_in_step(source, tmp_path):
    corrupt_video(source, tmp_path / "out.mp4", "jpeg", 3)
    before, after = (media.read_sound(path, 60).samples for path in (source, tmp_path / "out.mp4"))
    assert np.array_equal(before, after)


def test_sound_that_begins_before_the_picture_stays_in_step(tmp_path):
    samples = tone(2.4)
    samples[: len(samples) // 2] = 0
    times = [0.4 + n / 25 for n in range(50)]
    source = write_video(tmp_path / "late.mkv", [numbered(n) for n in range(50)], times=times, sound=samples)
    corrupt_video(source, tmp_path / "out.mkv", "contrast", 2)
    before, after = (media.read_sound(path, 50).samples.astype(float) for path in (source, tmp_path / "out.mkv"))
    begins = [int(np.argmax(np.abs(samples) > 3000)) for samples in (before, after)]
    assert begins[0] == pytest.approx(16_000 * 0.8, abs=800)
    assert abs(begins[0] - begins[1]) < 32  # 2 ms


def test_sound_that_the_container_cannot_hold_is_encoded_again(tmp_path):
    pictures = [scene(n) for n in range(30)]
    source = write_video(tmp_path / "talk.avi", pictures, sound=tone(1.2), sound_codec="adpcm_ms")
    written = corrupt_video(source, tmp_path / "out.mp4", "blur", 2)
    assert written.sound == "encoded again"
    before, after = (media.read_sound(path, 30).samples.astype(float) for path in (source, tmp_path / "out.mp4"))
    middle = slice(3000, 15_000)
    assert np.std(after[middle]) == pytest.approx(np.std(before[middle]), rel=0.05)


def test_a_video_without_sound(tmp_path):
    source = write_video(tmp_path / "mute.mp4", [numbered(n) for n in range(30)])
    assert corrupt_video(source, tmp_path / "out.mov", "contrast", 3).sound == "none"
    assert [number_of(picture.grey()) for picture in media.Video(tmp_path / "out.mov")] == list(range(30))


def test_odd_sizes_rotation_and_another_rate(tmp_path):
    source = write_video(
        tmp_path / "odd.mkv", [scene(n, 151, 101) for n in range(20)], rate=50, pix_fmt="yuv444p", rotation=90
    )
    written = corrupt_video(source, tmp_path / "out.mkv", "pixelate", 2)
    assert (written.frames, written.width, written.height) == (10, 101, 151)
    assert frames_of(tmp_path / "out.mkv").shape == (10, 151, 101, 3)


def test_two_runs_write_the_same_frames_and_another_seed_others(source, tmp_path):
    clips = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        corrupt_video(source, tmp_path / f"{name}.mp4", "blockwise", 6, seed)
        clips.append(frames_of(tmp_path / f"{name}.mp4"))
    assert np.array_equal(clips[0], clips[1])
    assert (np.abs(clips[0].astype(int) - clips[2]) > 30).mean() > 0.1


def test_memory_does_not_grow_with_length(tmp_path, monkeypatch):
    """Chunks are of a fixed size, and put together they are the clip."""
    from avsr_bench.noise_video import video

    source = write_video(tmp_path / "talk.mp4", [scene(n, 160, 120) for n in range(40)])
    corrupt_video(source, tmp_path / "whole.mp4", "gaussian", 4)
    monkeypatch.setattr(video, "_CHUNK_BYTES", 7 * 160 * 120 * 3)
    heard, sizes, begin = Silence(), [], noise.begin

    def counting(*args):
        corrupt = begin(*args)
        return lambda chunk: corrupt(chunk[: sizes.append(len(chunk))])

    monkeypatch.setattr(noise, "begin", counting)
    corrupt_video(source, tmp_path / "chunks.mp4", "gaussian", 4, progress=heard)
    assert np.array_equal(frames_of(tmp_path / "whole.mp4"), frames_of(tmp_path / "chunks.mp4"))
    assert sizes == [7, 7, 7, 7, 7, 5]
    assert (heard.begun, heard.steps) == ([("talk.mp4: gaussian:4", 1, "s")], 1)


def test_what_cannot_be_read_or_written_is_refused_in_one_line(source, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(Refused, match=r"text.mp4 cannot be used: not-video"):
        corrupt_video(tmp_path / "text.mp4", tmp_path / "out.mp4", "blur", 3)
    with pytest.raises(Refused, match=r"absent.mp4 cannot be used: missing-file"):
        corrupt_video(tmp_path / "absent.mp4", tmp_path / "out.mp4", "blur", 3)
    with pytest.raises(Refused, match=r"^cannot write .*/nowhere/out\.mp4: its folder does not exist; choose"):
        corrupt_video(source, tmp_path / "nowhere" / "out.mp4", "blur", 3)
    with pytest.raises(Misused, match=r"out.gif must end in one of .mp4, .mov, .mkv"):
        corrupt_video(source, tmp_path / "out.gif", "blur", 3)
    with pytest.raises(Misused, match=r"would overwrite the video that is read"):
        corrupt_video(source, source, "blur", 3)
    with pytest.raises(Misused, match=r"no noise is called 'fog'"):
        corrupt_video(source, tmp_path / "out.mp4", "fog", 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.mp4", "text.mp4"]


def test_a_damaged_video_leaves_nothing_behind(source, tmp_path):
    whole = source.read_bytes()
    broken = tmp_path / "broken.mp4"
    at = whole.index(b"mdat") + 2_000
    broken.write_bytes(whole[:at] + bytes(30_000) + whole[at + 30_000 :])
    with pytest.raises(Refused, match=r"broken.mp4 cannot be used: damaged"):
        corrupt_video(broken, tmp_path / "out.mp4", "blur", 3)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_the_file_says_which_colours_it_holds(source, tmp_path):
    corrupt_video(source, tmp_path / "out.mp4", "blur", 1)
    info = media.probe(tmp_path / "out.mp4")
    assert (info.matrix, info.full_range, info.fps, info.frames) == ("bt601", False, 25, 60)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 6
