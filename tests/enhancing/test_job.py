"""Recordings as people have them, bad ones first: what is refused, and what comes out sample by sample."""

import re
import shutil
import wave

import numpy as np
import pytest
import torch
from heard import Silence
from people import clip, place, talking
from small_runs import open_wide, small_enhancer, small_network, small_run
from sounds import carried
from videos import tone, write_sound, write_video

from avsr_bench import data, media, runs
from avsr_bench.enhancing import EnhanceRequest, enhance, find_lips
from avsr_bench.faces import FaceSettings
from avsr_bench.records import SILENCE, Misused, Refused
from avsr_bench.transcribe.files import TranscribeRequest, transcribe_files

PCM = {"sound_rate": 16_000, "sound_codec": "pcm_s16le"}


def ask(source, run, out, **wishes):
    heard = Silence()
    found = enhance(EnhanceRequest(source, str(run), out, device="cpu", **wishes), heard)
    return found, heard


def samples(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def given(path):
    """The sound of a file as everything here has it."""
    return np.concatenate(list(media.sound_by_frames(path, None, fill=False)))


def refused(says, kind=Refused, /, **names):
    return pytest.raises(kind, match=re.escape(says.format(**names)))


def test_a_video_without_sound(tmp_path, passing):
    mute = write_video(tmp_path / "mute.mp4", talking(12))
    for run in passing.values():
        with refused("{mute} has no sound: there is nothing to enhance", mute=mute):
            ask(mute, run, tmp_path / "out.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["mute.mp4"]


def test_lips_where_there_are_none(tmp_path, passing):
    wall = write_video(tmp_path / "wall.mp4", clip(12, lambda t: []), sound=tone(0.5))
    advice = "a run of --modality audio needs no face"
    with refused("{wall} cannot be used: no-face: no face in 12 frames; {advice}", wall=wall, advice=advice):
        ask(wall, passing["av"], tmp_path / "out.wav")
    sound = write_sound(tmp_path / "talk.wav", tone(0.5))
    with refused("{sound} has no picture, and av watches lips: {advice}", sound=sound, advice=advice):
        ask(sound, passing["av"], tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()
    for source in (wall, sound):  # sound alone takes both
        ask(source, passing["audio"], tmp_path / f"{source.stem}-out.wav")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "missing-file"), (b"", "empty-file"), (b"no video", "not-video"), (b"RIFF and nothing", "damaged")],
)
def test_a_file_that_is_no_recording(tmp_path, passing, content, says):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with refused("x.mp4 cannot be used: {says}: ", says=says):
        ask(path, passing["av"], tmp_path / "out.wav")


def test_runs_of_other_kinds(tmp_path, talk, passing):
    recogniser = small_run(tmp_path / "reads", small_network())
    with refused(
        "reads is a recogniser, which reads and makes no sound: train an enhancer with `avsr-bench train enhance`"
    ):
        ask(talk, recogniser, tmp_path / "out.wav")
    control = small_run(tmp_path / "control", small_enhancer("av", causal=False))
    with refused("control takes whole clips alone (network.enhancer.causal=false): use a causal run"):
        ask(talk, control, tmp_path / "out.wav")
    request = TranscribeRequest((talk,), str(passing["av"]), device="cpu")
    with refused("av is an enhancer, which makes sound and reads nothing: `avsr-bench enhance VIDEO --model RUN --out"):
        transcribe_files(request, SILENCE, print)


def test_a_run_that_is_not_whole(tmp_path, talk, passing):
    with refused("no run 'nothing'"):
        ask(talk, "nothing", tmp_path / "out.wav")
    unfinished = shutil.copytree(passing["av"], tmp_path / "unfinished")
    (unfinished / runs.WEIGHTS).unlink()
    with refused("unfinished is not finished"):
        ask(talk, unfinished, tmp_path / "out.wav")
    broken = small_enhancer("av")
    with torch.no_grad():
        broken.enter.bias.fill_(float("inf"))
    with refused("not a number"):
        ask(talk, small_run(tmp_path / "broken", broken), tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists() and not list(tmp_path.glob(".*"))


def test_options_without_effect(tmp_path, talk, passing):
    other = write_video(tmp_path / "other.mp4", talking(12))
    for wish in ({"other_mouth": other}, {"face": "center"}):
        option = next(iter(wish)).replace("_", "-")
        says = "--{option} {value} has no effect: audio enhances by sound alone; leave it out"
        with refused(says, Misused, option=option, value=next(iter(wish.values()))):
            ask(talk, passing["audio"], tmp_path / "out.wav", **wish)
    with refused("is the video itself: give another one", Misused):
        ask(talk, passing["av"], tmp_path / "out.wav", other_mouth=talk)


def test_another_mouth_without_a_face(tmp_path, talk, passing):
    wall = write_video(tmp_path / "wall.mp4", clip(12, lambda t: []))
    with refused("{wall} cannot be used: no-face: no face in 12 frames", wall=wall) as caught:
        ask(talk, passing["av"], tmp_path / "out.wav", other_mouth=wall)
    assert "audio" not in str(caught.value)
    with refused("nowhere.mp4 cannot be used: missing-file"):
        ask(talk, passing["av"], tmp_path / "out.wav", other_mouth=tmp_path / "nowhere.mp4")


def test_places_that_are_not_written(tmp_path, talk, passing):
    ours, other = tmp_path / "talk.mkv", write_video(tmp_path / "other.mp4", talking(12), sound=tone(0.5))
    shutil.copy(talk, ours)
    before = ours.read_bytes(), other.read_bytes()
    (tmp_path / "link.mkv").symlink_to(ours)
    for out in (ours, tmp_path / "link.mkv", other):
        with refused("{out} would overwrite a file that is read: give another name", Misused, out=out):
            ask(ours, passing["av"], out, other_mouth=other, force=True)
    with refused("talk.ogg must end in one of .wav, .mp4, .mov, .mkv", Misused):
        ask(ours, passing["av"], tmp_path / "talk.ogg")
    with refused("nowhere"):
        ask(ours, passing["audio"], tmp_path / "nowhere" / "out.wav")
    sound = write_sound(tmp_path / "talk.wav", tone(0.5))
    with refused("{sound} has no picture to copy: end the name of the output in .wav", sound=sound):
        ask(sound, passing["audio"], tmp_path / "new.mp4")
    assert (ours.read_bytes(), other.read_bytes()) == before and not (tmp_path / "new.mp4").exists()


SOUNDS = {
    "8 kHz": lambda p: write_sound(p / "a.wav", carried(1.03, 8000), 8000),
    "5.1": lambda p: write_sound(p / "a.wav", np.stack([carried(1.0, 48_000, n) for n in range(6)]), 48_000),
    "stereo": lambda p: write_sound(p / "a.flac", np.stack([carried(1.0, 44_100, n) for n in range(2)]), codec="flac"),
    "one sample": lambda p: write_sound(p / "a.wav", carried(1 / 16_000), 16_000),
    "one frame": lambda p: write_sound(p / "a.wav", carried(0.04), 16_000),
    "one second and a sample": lambda p: write_sound(p / "a.wav", carried(1 + 1 / 16_000), 16_000),
    "longer than its picture": lambda p: write_video(p / "a.mkv", talking(30), sound=carried(2.01), **PCM),
    "shorter than its picture": lambda p: write_video(p / "a.mkv", talking(30), sound=carried(0.77), **PCM),
    "later than its picture": lambda p: write_video(
        p / "a.mkv", talking(30), sound=carried(0.5), sound_start=0.5, **PCM
    ),
    "full scale": lambda p: write_sound(p / "a.wav", np.repeat(np.array([32767, -32768] * 400, np.int16), 20), 16_000),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_of_any_form_keeps_its_length_and_its_place(tmp_path, passing, name):
    source = SOUNDS[name](tmp_path)
    sound, out = given(source), tmp_path / "clean.wav"
    for kind in ("audio", "av") if source.suffix == ".mkv" else ("audio",):
        found, _ = ask(source, passing[kind], out, force=True)
        clean = samples(out)
        assert found.samples == len(clean) == len(sound) and not found.clipped
        assert np.abs(clean.astype(int) - sound).max() <= 1  # rounding: the gains are 1 but for 2e-9


def test_silence_stays_silence_and_is_said(tmp_path, passing):
    quiet = write_sound(tmp_path / "quiet.wav", np.zeros(16_000, np.int16), 16_000)
    found, heard = ask(quiet, passing["audio"], tmp_path / "out.wav")
    assert found.silent and heard.said == [f"{quiet}: its sound is silence"]
    assert not samples(tmp_path / "out.wav").any() and len(samples(tmp_path / "out.wav")) == 16_000


def test_samples_beyond_full_scale_are_cut_and_counted(tmp_path):
    square = np.repeat(np.array([32767, -32768] * 100, np.int16), 80)
    source = write_sound(tmp_path / "square.wav", square, 16_000)
    dull = open_wide(small_enhancer("audio"))
    with torch.no_grad():
        dull.head.gains.bias[20:] = -20.0  # what is left of a square wave without its overtones is higher than it was
    found, _ = ask(source, small_run(tmp_path / "dull", dull), tmp_path / "out.wav")
    clean = samples(tmp_path / "out.wav")
    assert 0 < found.clipped == np.isin(clean, (-32768, 32767)).sum() < len(clean) / 2


def test_a_face_that_leaves_for_a_while(tmp_path, passing, drawn):
    def at(t):
        return [] if t < 15 or 45 <= t < 75 else [("astronaut", place((160 + t / 4, 120), 90))]

    source = write_video(tmp_path / "a.mkv", clip(105, at), sound=carried(5.0), **PCM)
    found, heard = ask(source, passing["av"], tmp_path / "out.wav")
    assert found.samples == 80_000 and np.abs(samples(tmp_path / "out.wav").astype(int) - given(source)).max() <= 1
    starts, ends = zip(*((gap.start, gap.end) for gap in found.gaps), strict=True)
    assert starts == pytest.approx((0.0, 1.8, 4.2), abs=0.09) and ends == pytest.approx((0.6, 3.0, 5.0), abs=0.09)
    away = sum(gap.end - gap.start for gap in found.gaps)
    said = f"no mouth is in view in {away:.1f} of 5.0 s, where the sound alone was used: 0:00.0-0:00."
    assert heard.said[0].startswith(f"{source}: {said}") and len(heard.said) == 1
    ask(source, drawn, tmp_path / "out.wav", force=True)
    assert samples(tmp_path / "out.wav")[32_000:44_800].any()  # it goes on


def test_lips_make_a_difference_and_those_of_another_another(tmp_path, talk, drawn):
    """The control: shorter than the sound, with a gap in it, so that its mouths come over and over."""

    def at(t):
        return [] if 20 <= t < 40 else [("other", place((150, 120 + 10 * np.sin(t / 2)), 80))]

    other = write_video(tmp_path / "other.mp4", clip(55, at))
    lips = find_lips(other, FaceSettings(), False, SILENCE)
    over_and_over = lips.again()
    shown = [next(over_and_over) for _ in range(60)]
    per_round = sum(mouth is not None for mouth in lips)
    assert 25 < per_round < 40 and np.array_equal(shown[per_round], shown[0])
    whole = runs.open_run(drawn).enhancer()
    sound = torch.from_numpy(given(talk) / np.float32(32768))[None]
    pictures = torch.from_numpy(data.shown(np.stack(shown), whole.settings.mouth))[None]
    with torch.inference_mode():
        expected = whole(pictures, sound, torch.tensor([60]))[0].numpy() * 32768
    found, heard = ask(talk, drawn, tmp_path / "other.wav", other_mouth=other)
    assert np.abs(samples(tmp_path / "other.wav") - expected).max() < 0.6
    assert found.gaps == () and next(what for what, *_ in heard.begun) == "other.mp4: faces"
    ask(talk, drawn, tmp_path / "own.wav")
    assert (samples(tmp_path / "own.wav") != samples(tmp_path / "other.wav")).any()
    alone = write_sound(tmp_path / "alone.wav", given(talk), 16_000)  # of the recording itself no picture is needed
    ask(alone, drawn, tmp_path / "alone-out.wav", other_mouth=other)
    assert np.array_equal(samples(tmp_path / "alone-out.wav"), samples(tmp_path / "other.wav"))


def test_the_face_that_is_asked_for(tmp_path, drawn):
    def at(t):
        return [("astronaut", place((90, 120), 90 + t / 10)), ("other", place((240, 120 + 5 * np.sin(t)), 70))]

    table = write_video(tmp_path / "table.mkv", clip(30, at), sound=carried(1.2), **PCM)
    outs = {}
    for face in (None, "90,120", "240,120"):
        ask(table, drawn, tmp_path / "out.wav", face=face, force=True)
        outs[face] = samples(tmp_path / "out.wav").tobytes()
    assert outs[None] == outs["90,120"] != outs["240,120"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_picture_is_copied_and_the_sound_in_its_place(tmp_path, passing, suffix):
    frames = [1.0 + n / 25 for n in range(50)]  # a clock that begins late, and pictures out of order
    source = write_video(
        tmp_path / "a.mkv", talking(50), times=frames, sound=carried(2.0), sound_start=1.0, options={"bf": "2"}, **PCM
    )
    out = tmp_path / f"out{suffix}"
    ask(source, passing["av"], out)
    before, after = ([picture.rgb().copy() for picture in media.Video(path)] for path in (source, out))
    assert len(before) == len(after) == 50 and all(map(np.array_equal, before, after))
    clean, sound = given(out)[:32_000].astype(float), given(source).astype(float)
    lags = {lag: float(np.dot(clean[1000 + lag : 31_000 + lag], sound[1000:31_000])) for lag in range(-40, 41)}
    assert max(lags, key=lags.get) == 0
    assert np.corrcoef(clean[1000:31_000], sound[1000:31_000])[0, 1] > 0.95  # AAC


def test_frame_by_frame_is_what_many_at_once_are_and_is_timed(tmp_path, talk, drawn):
    streamed, _ = ask(talk, drawn, tmp_path / "stream.wav", stream=True)
    latency = streamed.latency
    assert latency.algorithmic == 50.0 and latency.speed.frames == 50 and latency.one_thread is None
    assert 0 < latency.speed.median <= latency.speed.slow
    assert latency.speed.factor * 40 == pytest.approx(latency.speed.median, rel=5)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again, _ = ask(talk, drawn, tmp_path / "again.wav", stream=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert again.latency.device.startswith("2 threads") and again.latency.one_thread.frames == 50
    assert np.abs(samples(tmp_path / "again.wav").astype(int) - samples(tmp_path / "stream.wav")).max() <= 1
    assert ask(talk, drawn, tmp_path / "file.wav")[0].latency is None


def test_a_vocoder_waits_as_long_as_it_says_and_its_sound_is_as_long_and_in_its_place(tmp_path, talk, vocoding):
    streamed, _ = ask(talk, vocoding, tmp_path / "stream.wav", stream=True)
    whole, _ = ask(talk, vocoding, tmp_path / "file.wav")
    assert streamed.latency.algorithmic == 40 + 3 * 10
    assert streamed.samples == whole.samples == 60 * 640 == len(samples(tmp_path / "file.wav"))


def test_progress_is_told_second_by_second(tmp_path, talk, drawn):
    _, heard = ask(talk, drawn, tmp_path / "out.wav")
    assert heard.begun == [("talk.mkv: faces", 2, "s"), ("talk.mkv: enhancing", 2, "s")] and heard.steps == 4
