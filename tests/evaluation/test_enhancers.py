"""Enhancers measured: bad input first, then what is measured, of whom, and that it is measured once."""

import dataclasses
import json
import shutil
import wave

import numpy as np
import pytest
import torch
from enhancers import enhancer_run, small_enhancer
from heard import Silence, make_corpus
from videos import write_video

from avsr_bench import cli, data, runs, scoring
from avsr_bench.enhancing import Shown, Stream, enhanced
from avsr_bench.evaluation import (
    Clips,
    EvaluateRequest,
    corrupted,
    draw_lips,
    evaluate,
    evaluate_enhancer,
    open_cleaner,
    open_reader,
    open_sound,
    read_clips,
    view_of,
    write_sheet,
)
from avsr_bench.evaluation.enhancing import FULL_SCALE, ShownLips, as_long, hidden
from avsr_bench.records import Misused, Refused
from avsr_bench.scoring import sound

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def enhancers(tmp_path_factory):
    place = tmp_path_factory.mktemp("enhancers") / "runs" / "small"
    return {kind: enhancer_run(place / f"enhance-{kind}-s1", kind) for kind in ("av", "audio")}


@pytest.fixture
def measure(corpus, enhancers, tmp_path):
    def run(kind="av", progress=None, **request):
        known = {"run": str(enhancers[kind]), "data": corpus.location, "out": tmp_path / "out", "workers": 2}
        return evaluate_enhancer(EvaluateRequest(**{**known, **request}), progress or Silence())

    return run


# What is refused


@pytest.mark.parametrize(
    ("kind", "request_", "said"),
    [
        ("av", {"noise": "blur:3"}, "--noise is for the eye.*use --sound"),
        ("av", {"noise": "blur:3", "sound": "white:0"}, "one by one"),
        ("audio", {"lips": "other"}, "--lips other: small/enhance-audio-s1 only hears.*leave it out"),
        ("audio", {"lips": "none"}, "--lips none: small/enhance-audio-s1 only hears.*leave it out"),
        ("av", {"lips": "none", "seed": 3}, "add --noise or --sound, or leave it out"),
        ("av", {"decode": "ctc"}, "--decode ctc is for the recogniser that reads the output: add --read RUN"),
        ("av", {"beam": 3}, "--beam 3 is for the recogniser"),
        ("av", {"modality": "av"}, "--modality av is for the recogniser"),
        ("av", {"seed": 3}, "add --noise or --sound, or leave it out"),
        ("av", {"sound": "voices:0"}, "Did you mean voice?"),
        ("av", {"sound": "white:loud"}, "'loud' is no number"),
        ("av", {"read": "nobody"}, "no run 'nobody'"),
        ("av", {"split": "dev"}, "has no such split"),
    ],
)
def test_wrong_requests(measure, tmp_path, kind, request_, said):
    with pytest.raises(Refused, match=said):
        measure(kind, **request_)
    assert not (tmp_path / "out").exists()


def test_a_recogniser_that_only_sees_cannot_read_sound(measure, run_of):
    with pytest.raises(Misused, match=r"small/video-s1 only sees, and would not notice"):
        measure(read=str(run_of("video")))


def test_an_enhancer_is_no_recogniser(measure, enhancers):
    with pytest.raises(Refused, match="small/enhance-audio-s1 is an enhancer, which makes sound and reads nothing"):
        measure(read=str(enhancers["audio"]))
    with pytest.raises(Refused, match="is an enhancer"):
        open_reader(runs.open_run(enhancers["av"]), CPU)


def test_a_recogniser_is_no_enhancer(measure, run_of, corpus):
    with pytest.raises(Refused, match="small/av-s1 is a recogniser, which reads and makes no sound"):
        measure(run=str(run_of("av")))
    for request_, said in (
        ({"read": "x"}, "--read is for enhancers"),
        ({"lips": "other"}, "--lips other is for"),
        ({"lips": "none"}, "--lips none is for"),
    ):
        with pytest.raises(Misused, match=f"{said}.*small/av-s1 is a recogniser"):
            evaluate(EvaluateRequest(run=str(run_of("av")), data=corpus.location, **request_), Silence())


def test_an_enhancer_that_is_not_finished(measure, enhancers, tmp_path):
    folder = tmp_path / "begun"
    shutil.copytree(enhancers["av"], folder)
    (folder / runs.WEIGHTS).unlink()
    with pytest.raises(Refused, match="not finished"):
        measure(run=str(folder))


def test_an_answer_that_is_no_number(measure, tmp_path):
    folder = enhancer_run(tmp_path / "diverged")
    weights = small_enhancer().state_dict()
    weights["enter.weight"].fill_(3e38)
    runs.write_weights(folder, weights)
    with pytest.raises(Refused, match=r"diverged, .*: what it makes of the sound is not a number"):
        measure(run=str(folder))


def test_a_corpus_without_sound(measure, videos, tmp_path):
    root = tmp_path / "mute"
    root.mkdir()
    from heard import speaking

    for number in range(2):
        write_video(root / f"{number}.mp4", speaking(14, number))
    (root / "manifest.csv").write_text("path,text,split,speaker\n0.mp4,now,test,ann\n1.mp4,now,test,bob\n")
    mute = make_corpus(root, tmp_path / "data" / "mute")
    with pytest.raises(Refused, match="clips have no flac"):
        measure(data=mute.location)


def test_lips_of_others_take_others(corpus):
    places = data.places(corpus, "test", "av")
    ann = [place for place in places if place.entry.speaker == "ann"]
    with pytest.raises(Refused, match=r"--lips other takes clips of other speakers, and there is ann alone"):
        draw_lips(ann, 0)


# What is measured


def test_an_enhancer_is_held_against_the_clean_sound(measure, corpus, enhancers):
    found = measure(sound="white:0,-10")
    clean, soft, loud = (each.result for each in found)
    assert [each.condition for each in (clean, soft, loud)] == ["clean", "white:0", "white:-10"]
    gains = {f"{name}_gain" for name in sound.computable()}
    assert set(clean.metrics) <= set(sound.computable()) and "si_sdr" in clean.metrics
    assert gains & set(soft.metrics) and "wer" not in soft.metrics
    values = [each.metrics["si_sdr"].value for each in (clean, soft, loud)]
    assert values == sorted(values, reverse=True) and values[2] < 0
    for result in (soft, loud):
        span = result.metrics["si_sdr"].interval
        assert span.low < result.metrics["si_sdr"].value < span.high
        assert (span.over, span.groups) == ("speakers", 3)
    about = (clean.run, clean.modality, clean.system, clean.decoding, clean.reader, clean.enhancer, clean.lips_seed)
    assert about == ("small/enhance-av-s1", "av", "enhance", {}, "", "", None)
    assert soft.noise_on == "sound" and clean.noise_on is None and len(clean.weights) == 16
    [kept] = {each.path.parent for each in found}
    archive = scoring.read_archive(kept)
    assert archive.names == ["clean", "white_-10", "white_0"]
    heard = archive.utterances("white_0")
    assert {each.hypothesis for each in heard} == {None}
    assert scoring.total(map(scoring.score, heard)) == {name: of.parts for name, of in soft.metrics.items()}

    # By hand, of one clip.
    places = data.places(corpus, "test", "av")
    cleaner = open_cleaner(runs.open_run(enhancers["av"]), CPU)
    [_, white] = open_sound(["white:0,-10"], corpus, "test", 0)
    example = Clips(corpus, places, "av")(places[4])
    noisy = corrupted(example, white, 0)
    done = cleaner(noisy).sound
    [one] = [each for each in archive.utterances("white_-10") if each.key == example.key]
    value = sound.si_sdr(done, example.sound)
    assert one.parts["si_sdr"].errors == pytest.approx(value, abs=1e-3)
    gain = value - sound.si_sdr(noisy.sound, example.sound)
    assert one.parts["si_sdr_gain"].errors == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize("reads", ["audio", "av"])
def test_a_recogniser_reads_the_output(measure, corpus, run_of, enhancers, reads):
    found = measure("audio", sound="white:-5", read=str(run_of(reads)))
    run = runs.open_run(run_of(reads))
    reader = open_reader(run, CPU)
    cleaner = open_cleaner(runs.open_run(enhancers["audio"]), CPU)
    places = data.places(corpus, "test", "av")
    clips = Clips(corpus, places, "av")
    [white] = open_sound(["white:-5"], corpus, "test", 0)
    noisy = found[1]
    for place in places:
        done = cleaner(corrupted(clips(place), white, 0))
        [decoded] = read_clips(reader, [view_of(done, reader.view)])
        [one] = [each for each in noisy.utterances if each.key == place.entry.key]
        assert one.hypothesis == decoded.text
    result = noisy.result
    assert {"wer", "cer", "si_sdr", "si_sdr_gain"} <= set(result.metrics)
    assert (result.reader, len(result.reader_weights), result.run) == (run.name, 16, "small/enhance-audio-s1")
    assert result.decoding["kind"] == "ctc"
    assert noisy.path.parent.name == f"test-read-by-small-{reads}-s1.zip"


def test_what_is_there_is_not_measured_again(measure, run_of, monkeypatch):
    first = measure(sound="white:0")
    progress = Silence()
    again = measure(sound="white:5,0", progress=progress)
    assert progress.total == progress.steps == 9  # white:5 alone
    assert any("2 of 3 results are there already" in line for line in progress.said)
    assert [each.result for each in again[::2]] == [each.result for each in first]
    for changed in ({"seed": 1}, {"read": str(run_of("audio"))}, {"lips": "other"}, {"lips": "none"}, {"limit": 4}):
        progress = Silence()
        measure(sound="white:0", progress=progress, **changed)
        assert progress.total in (9, 18, 8), changed


def test_other_weights_are_measured_again(measure, tmp_path):
    folder = enhancer_run(tmp_path / "runs/small/again")
    first = measure(run=str(folder), sound="white:0")
    enhancer_run(folder, seed=5)
    progress = Silence()
    second = measure(run=str(folder), sound="white:0", progress=progress)
    assert progress.total == 18 and first[1].result.metrics != second[1].result.metrics


def test_what_was_measured_without_pesq_is_measured_with_it(measure, monkeypatch):
    if "pesq" not in sound.computable():
        pytest.skip("pesq is not installed")
    progress = Silence()
    with monkeypatch.context() as patched:
        patched.setattr(sound, "find_spec", lambda name: None)
        without = measure(progress=progress)[0].result
    assert "pesq" not in without.metrics
    assert any("pip install 'avsr-bench[enhance]'" in line for line in progress.said)
    progress = Silence()
    measure(progress=progress)
    assert progress.total == 9 and not progress.said
    with monkeypatch.context() as patched:
        patched.setattr(sound, "find_spec", lambda name: None)
        measure(progress=progress)
    assert progress.total == 0  # what is there has more than is asked for


class TestLipsOfOthers:
    def test_they_are_drawn_by_name_from_clips_of_another_speaker(self, corpus):
        places = data.places(corpus, "test", "av")
        drawn = draw_lips(places, 0)
        assert drawn == draw_lips(places[::-1], 0) != draw_lips(places, 1)
        for place in places:
            assert drawn[place.entry.key].entry.speaker != place.entry.speaker
        assert len({place.entry.key for place in drawn.values()}) > 3

    @pytest.mark.parametrize(("have", "want"), [(5, 3), (3, 3), (3, 8), (1, 4)])
    def test_they_are_cut_or_begin_again(self, have, want):
        mouth = np.arange(have, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
        assert as_long(mouth, want)[:, 0, 0].tolist() == [t % have for t in range(want)]

    def test_they_change_the_output_and_nothing_else(self, measure, run_of):
        read = str(run_of("av"))
        own, other = measure(sound="white:0", read=read), measure(sound="white:0", read=read, lips="other")
        assert [each.result.lips_seed for each in (*own, *other)] == [None, None, 0, 0]
        assert [each.path.name for each in other] == ["clean.other-lips", "white_0.other-lips"]
        for mine, theirs in zip(own, other, strict=True):
            assert mine.result.metrics["si_sdr"] != theirs.result.metrics["si_sdr"]
        again = measure(sound="white:0", read=read, lips="other", seed=2)
        assert again[0].path.name == "clean.other-lips.seed2" and again[0].result.lips_seed == 2
        assert measure(sound="white:0", read=read)[1].result == own[1].result


class TestHiddenLips:
    def test_the_network_sees_what_enhance_shows_where_no_mouth_is_in_view(self, corpus, enhancers):
        places = data.places(corpus, "test", "av")
        clips = Clips(corpus, places, "av")
        [white] = open_sound(["white:-5"], corpus, "test", 0)
        example = corrupted(clips(places[0]), white, 0)
        run = runs.open_run(enhancers["av"])
        cleaner = open_cleaner(run, CPU)
        done = cleaner(example, ShownLips.of("none", clips, places, 0)(places[0])).sound / FULL_SCALE
        stream = Stream(run.enhancer(CPU))
        away = Shown.beginning_with(clips(places[5]).mouth[0], stream.enhancer)  # somebody's, and then nothing
        pieces = example.sound.reshape(example.frames, -1)
        streamed = np.concatenate(list(enhanced(stream, [(away.show(None), piece) for piece in pieces], 1)))
        assert away.gaps == [(0, example.frames)]
        moving = np.random.default_rng(0).integers(0, 256, example.mouth.shape, np.uint8)
        seen = cleaner(example, moving).sound / FULL_SCALE
        assert np.abs(streamed - done).max() < 5e-6 < 5e-5 < np.abs(seen - done).max()

    def test_any_constant_picture_is_as_good(self, corpus, enhancers):
        places = data.places(corpus, "test", "av")
        example = Clips(corpus, places, "av")(places[0])
        cleaner = open_cleaner(runs.open_run(enhancers["av"]), CPU)
        mean = hidden(example.mouth)
        assert mean.shape == example.mouth.shape and (mean == mean[0]).all()
        assert np.abs(mean[0] - example.mouth.mean(0)).max() <= 0.5
        done = [cleaner(example, picture).sound for picture in (mean, np.zeros_like(mean), np.full_like(mean, 200))]
        assert all(np.allclose(each, done[0], atol=FULL_SCALE * 1e-5) for each in done[1:])

    def test_they_change_the_output_and_the_result_says_so(self, measure, run_of):
        read = str(run_of("av"))
        own, other, none = (measure(sound="white:0", read=read, lips=whose) for whose in ("own", "other", "none"))
        assert [each.result.lips for each in (*own, *other, *none)] == ["own"] * 2 + ["other"] * 2 + ["none"] * 2
        assert {(each.result.lips_hidden, each.result.lips_seed) for each in none} == {(True, None)}
        assert [each.path.name for each in none] == ["clean.no-lips", "white_0.no-lips"]
        for found in zip(own, other, none, strict=True):
            assert len({each.result.metrics["si_sdr"].value for each in found}) == 3
        assert len({each.path for each in (*own, *other, *none)}) == 6
        again = measure(sound="white:0", read=read, lips="none", seed=2)  # of the noise alone
        assert [each.path.name for each in again] == ["clean.no-lips", "white_0.no-lips.seed2"]
        for whose, first in (("own", own), ("other", other), ("none", none)):
            progress = Silence()
            assert measure(sound="white:0", read=read, lips=whose, progress=progress)[1].result == first[1].result
            assert progress.total == 0


def test_a_clip_comes_out_as_the_network_gives_it(corpus, enhancers):
    places = data.places(corpus, "test", "av")
    example = Clips(corpus, places, "av")(places[0])
    cleaner = open_cleaner(runs.open_run(enhancers["av"]), CPU)
    network = small_enhancer()
    with torch.inference_mode():
        video = torch.from_numpy(data.shown(example.mouth, 16).copy())[None]
        heard = torch.from_numpy(example.sound.astype(np.float32) / 32768)[None]
        expected = network(video, heard, torch.tensor([example.frames]))[0].numpy()
    done = cleaner(example)
    assert np.allclose(done.sound / 32768, expected, atol=1e-6) and done.sound.dtype == np.float32
    assert done.mouth is example.mouth and done.key == example.key
    other = cleaner(example, example.mouth[::-1])
    assert not np.allclose(other.sound, done.sound)


class TestCommandLine:
    @pytest.fixture
    def avsr(self, monkeypatch, capsys, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "160")

        def run(*words):
            monkeypatch.setattr("sys.argv", ["/somewhere/avsr-bench", *map(str, words)])
            with pytest.raises(SystemExit) as exited:
                cli.main()
            told = capsys.readouterr()
            return exited.value.code or 0, told.out, told.err

        return run

    def test_a_table_for_people(self, avsr, corpus, run_of, enhancers):
        words = ["evaluate", enhancers["av"], "--data", corpus.location, "--sound", "white:0,-5", "--out", "here"]
        code, out, _ = avsr(*words, "--read", run_of("audio"), "--lips", "other")
        assert code == 0
        assert "small/enhance-av-s1 on small test: 9 clips, with the lips of other speakers (seed 0)" in out
        head, *rows = [line.split() for line in out.splitlines()[1:5]]
        assert head[:3] == ["sound", "WER", "%"] and head[5:7] == ["SI-SDR", "dB"]
        assert [row[0] for row in rows] == ["clean", "white:0", "white:-5"]
        assert "words read by small/audio-s1, by ctc" in out
        assert "intervals of so few speakers (3) are too narrow" in out
        assert out.strip().endswith("here/test-read-by-small-audio-s1.zip")

    def test_the_table_says_that_lips_are_hidden(self, avsr, corpus, enhancers):
        words = ["evaluate", enhancers["av"], "--data", corpus.location, "--out", "here", "--lips", "none"]
        code, out, _ = avsr(*words)
        assert code == 0 and "small/enhance-av-s1 on small test: 9 clips, lips hidden; ±" in out

    def test_json(self, avsr, corpus, enhancers):
        words = ["evaluate", enhancers["audio"], "--data", corpus.location, "--sound", "white:0", "--out", "here"]
        code, out, err = avsr(*words, "--json")
        assert (code, err) == (0, "")
        found = [scoring.parse_result(json.dumps(each), "printed") for each in json.loads(out)]
        assert [each.condition for each in found] == ["clean", "white:0"]
        assert found[1].metrics["si_sdr_gain"].value != 0

    @pytest.mark.parametrize("lips", ["other", "none"])
    def test_one_line_of_error(self, avsr, corpus, enhancers, lips):
        code, out, err = avsr("evaluate", enhancers["audio"], "--data", corpus.location, "--lips", lips)
        assert (code, out) == (2, "") and err.startswith("avsr-bench: ") and err.count("\n") == 1


# The sheet


def test_the_sheet_shows_four_clips_and_their_sounds_can_be_played(corpus, enhancers, tmp_path):
    request = EvaluateRequest(run=str(enhancers["av"]), data=corpus.location, sound="white:0", limit=2)
    path = write_sheet(request, tmp_path / "sheet", Silence())
    assert path.read_bytes().startswith(b"\x89PNG")
    sounds = sorted((tmp_path / "sheet").glob("*.wav"))
    assert {each.stem.rpartition("-")[2] for each in sounds} == {"noisy", "enhanced", "clean"} and len(sounds) == 6
    waves = {}
    for each in sounds:
        with wave.open(str(each)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            waves[each.stem] = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    key = sounds[0].stem.rpartition("-")[0]
    noisy, clean = waves[f"{key}-noisy"], waves[f"{key}-clean"]
    added = noisy - clean
    assert 10 * np.log10((clean @ clean) / (added @ added)) == pytest.approx(0, abs=0.2)  # one loudness for all
    assert max(np.abs(each).max() for each in waves.values()) < 32767
    write_sheet(request, tmp_path / "sheet", Silence())  # ours may be replaced


def test_what_a_sheet_is_not_made_of(corpus, enhancers, tmp_path):
    asked = EvaluateRequest(run=str(enhancers["av"]), data=corpus.location)
    with pytest.raises(Misused, match="--sheet shows clips under noise: say which with --sound, such as voice:-5"):
        write_sheet(asked, tmp_path / "sheet", Silence())
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "sheet.png").write_bytes(b"somebody's")
    with pytest.raises(Refused):
        write_sheet(dataclasses.replace(asked, sound="white:0"), tmp_path / "others", Silence())
    assert (tmp_path / "others" / "sheet.png").read_bytes() == b"somebody's"
    assert len(list((tmp_path / "others").iterdir())) == 1
