"""New sound beside pictures of every kind, which are copied packet by packet."""

import numpy as np
import pytest
from sounds import carried
from videos import numbered, tone, write_sound, write_video

from avsr_bench.files import STDOUT
from avsr_bench.media import Video, check_resound, probe, resound, sound_by_frames
from avsr_bench.records import Misused, Refused

PICTURES = [numbered(n) for n in range(40)]
LATE = [1 + n / 25 for n in range(40)]
MADE = {  # each with the containers that cannot hold its picture
    "h264.mp4": ({"options": {"bf": "2"}}, ()),
    "late.mkv": ({"times": LATE, "sound_start": 1.0, "options": {"bf": "2"}}, ()),
    "turned.mp4": ({"rotation": 90}, ()),
    "mpeg2.mpg": ({"codec": "mpeg2video", "sound_codec": "mp2"}, ()),
    "mpeg4.avi": ({"codec": "mpeg4", "sound_codec": "mp3", "options": {"bf": "2"}}, ()),
    "h264.ts": ({"options": {"bf": "2"}}, ()),
    "uneven.mkv": ({"times": [n / 25 + n % 3 / 100 for n in range(40)]}, ()),
    "vp8.webm": ({"codec": "libvpx", "sound_codec": "libopus", "sound_rate": 48_000}, (".mp4", ".mov")),
    "prores.mov": ({"codec": "prores_ks", "pix_fmt": "yuv422p10le"}, (".mp4",)),
    "flash.flv": ({"codec": "flv1"}, (".mkv",)),
    "bare.264": ({"file_format": "h264", "options": {"bf": "2"}}, (".mp4", ".mkv")),  # its packets have no times
}
SOUND = carried(1.7)
EVERYWHERE = ("h264.mp4", "late.mkv", "turned.mp4")
CASES = {(name, suffix) for name in EVERYWHERE for suffix in (".mp4", ".mov", ".mkv")}
CASES |= {(name, suffix) for name in MADE for suffix in (".mkv", *MADE[name][1])}


@pytest.mark.parametrize(("name", "suffix"), sorted(CASES))
def test_the_picture_stays_as_it_is(tmp_path, name, suffix):
    how, unfit = MADE[name]
    rate = how.get("sound_rate", 44_100)
    sound = None if name == "bare.264" else tone(1.6, rate)
    source = write_video(tmp_path / name, PICTURES, sound=sound, **how)
    target = tmp_path / f"out{suffix}"

    def write():
        with resound(source, target, probe(source).origin) as out:
            for place in range(0, len(SOUND), 1000):
                out.add(SOUND[place : place + 1000])
            out.add(SOUND[:0])  # nothing is nothing

    if suffix in unfit:
        with pytest.raises(Refused, match=r"\.wav"):
            write()
        assert [path.name for path in tmp_path.iterdir()] == [name]
        return
    write()
    before, after = ([picture.rgb().copy() for picture in Video(path)] for path in (source, target))
    assert len(before) == len(after) and all(map(np.array_equal, before, after))
    assert (probe(source).rotation, probe(source).codec) == (probe(target).rotation, probe(target).codec)
    heard = np.concatenate(list(sound_by_frames(target, probe(target).origin)))
    assert 0 <= len(heard) - len(SOUND) < 2048  # AAC writes blocks of 1,024
    middle = slice(1000, len(SOUND) - 1000)
    alike = [np.corrcoef(np.roll(heard, -lag)[: len(SOUND)][middle], SOUND[middle])[0, 1] for lag in range(-30, 31)]
    assert np.argmax(alike) == 30 and max(alike) > 0.95


def test_sound_alone_is_kept_to_the_sample(tmp_path):
    source = write_sound(tmp_path / "a.wav", tone(0.3))
    with resound(source, tmp_path / "b.WAV") as out:
        out.add(SOUND[:7])
        out.add(SOUND[7:])
    assert out.samples == len(SOUND)
    assert np.array_equal(np.concatenate(list(sound_by_frames(tmp_path / "b.WAV", fill=False))), SOUND)


def test_what_is_never_replaced(tmp_path):
    source = write_sound(tmp_path / "a.wav", tone(0.3))
    with pytest.raises(Misused, match="would overwrite a file that is read"):
        check_resound((tmp_path / "other.wav", source), source, lambda path: True)
    with pytest.raises(Misused, match=r"a\.ogg must end in one of \.wav, \.mp4, \.mov, \.mkv"):
        check_resound((source,), tmp_path / "a.ogg")
    with pytest.raises(Refused, match="exists, and avsr-bench did not make it"):
        check_resound((), source)
    check_resound((source,), STDOUT)


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    source = write_video(tmp_path / "a.mp4", PICTURES)
    for name in ("b.mp4", "b.wav"):
        with pytest.raises(KeyboardInterrupt), resound(source, tmp_path / name) as out:
            out.add(SOUND)
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
