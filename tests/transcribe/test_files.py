"""What people give by mistake, and what is written for what they give: bad input first."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from people import clip, talking
from small_runs import small_network, small_run
from videos import tone, write_sound, write_video

from avsr_bench import recipes, runs
from avsr_bench.decoding import DecodeSettings
from avsr_bench.records import Misused, Refused
from avsr_bench.transcribe import TranscribeSettings
from avsr_bench.transcribe.files import TranscribeRequest, transcribe_files


class Heard:
    """A progress view that keeps what it is told."""

    def __init__(self):
        self.lines, self.passes = [], []

    def say(self, line):
        self.lines.append(line)

    def begin(self, what, total, unit="clips"):
        self.passes.append((what, total, unit))

    def step(self, outcome, status=""):
        self.passes.append(status)


def ask(*videos, model, **wishes):
    """Transcribe: what was shown, what failed, and what was said."""
    heard, shown = Heard(), []
    request = TranscribeRequest(tuple(videos), str(model), device=wishes.pop("device", "cpu"), **wishes)
    failures = transcribe_files(request, heard, shown.append)
    return "".join(shown), [failure.why for failure in failures], heard


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("face") / "talk.mp4", talking(40), sound=tone(1.6))


@pytest.fixture(scope="module")
def mute(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("face") / "mute.mp4", talking(20))


def text_file(path):
    path.write_text("no video")
    return path


def empty_file(path):
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p, "cannot be used: missing-file"),
        (text_file, "cannot be used: not-video"),
        (empty_file, "cannot be used: empty-file"),
        (lambda p: p.parent, "cannot be used: not-video"),
        (lambda p: write_video(p, clip(12, lambda t: [])), "cannot be used: no-face: no face in 12 frames"),
        (lambda p: write_video(p, talking(3)), "cannot be used: too-short: 3 frames, and the shortest word takes 5"),
        (lambda p: write_sound(p.with_suffix(".wav"), tone(1.0)), "cannot be used: no-video-stream"),
    ],
)
def test_a_video_that_cannot_be_used_says_why_in_one_line(tmp_path, stranger, make, says):
    shown, failures, heard = ask(make(tmp_path / "x.mp4"), model=stranger)
    assert not shown
    assert len(failures) == 1 and says in failures[0] and "\n" not in failures[0]
    assert [line for line in heard.lines if line.startswith("avsr-bench: ")] == heard.lines


def test_one_that_fails_does_not_stop_the_others(tmp_path, stranger, face, mute):
    bad = text_file(tmp_path / "bad.mp4")
    shown, failures, heard = ask(face, bad, mute, model=stranger, out=tmp_path / "texts")
    assert len(failures) == 1 and str(bad) in heard.lines[[bad.name in line for line in heard.lines].index(True)]
    assert not shown
    assert sorted(path.name for path in (tmp_path / "texts").iterdir()) == ["mute.txt", "talk.txt"]


@pytest.mark.parametrize("modality", ["audio", "av"])
def test_a_model_that_listens_refuses_a_video_without_sound(tmp_path, mute, modality):
    run = small_run(tmp_path / "run", small_network(modality))
    _, failures, _ = ask(mute, model=run)
    assert failures == [f"{mute} has no sound, and run listens: use a model of --modality video"]


def test_what_is_wrong_with_a_run_is_said_before_any_work(tmp_path, stranger, face):
    with pytest.raises(Refused, match=r"no run 'nothing'"):
        ask(face, model="nothing")
    (tmp_path / "thing").mkdir()
    with pytest.raises(Refused, match=r"thing holds no recipe.yaml: it is not a run"):
        ask(face, model=tmp_path / "thing")
    (tmp_path / "thing" / "recipe.yaml").write_text("corpus: {reader: grid}\n")
    (tmp_path / "thing" / "model.safetensors").write_bytes(b"")
    with pytest.raises(Refused, match=r"thing/recipe.yaml: the setting run is missing"):
        ask(face, model=tmp_path / "thing")
    unfinished = shutil.copytree(stranger, tmp_path / "unfinished")
    (unfinished / runs.WEIGHTS).unlink()
    with pytest.raises(Refused, match=r"unfinished is not finished .* --resume"):
        ask(face, model=unfinished)
    cut = shutil.copytree(stranger, tmp_path / "cut")
    (cut / runs.WEIGHTS).write_bytes((stranger / runs.WEIGHTS).read_bytes()[:2000])
    with pytest.raises(Refused, match=r"model.safetensors"):
        ask(face, model=cut)


def test_weights_that_are_no_numbers(tmp_path, face):
    network = small_network()
    with torch.no_grad():
        network.ctc.weight.fill_(float("nan"))
    with pytest.raises(Refused, match="not a number"):
        ask(face, model=small_run(tmp_path / "run", network))


def test_videos_given_twice_or_under_one_name(tmp_path, stranger, face):
    with pytest.raises(Misused, match=r"talk.mp4 is given twice"):
        ask(face, face.parent / "." / "talk.mp4", model=stranger)
    twin = tmp_path / "talk.mkv"
    with pytest.raises(Misused, match=r"would both be written to .*texts/talk.txt: transcribe them apart"):
        ask(face, twin, model=stranger, out=tmp_path / "texts")


def test_places_that_cannot_be_written(tmp_path, stranger, face, mute):
    with pytest.raises(Refused, match=r"cannot write into .*/nowhere: No such file or directory"):
        ask(face, model=stranger, out=tmp_path / "nowhere" / "talk.txt")
    with pytest.raises(Refused, match=r"cannot write into .*/nowhere: No such file or directory"):
        ask(face, model=stranger, preview=tmp_path / "nowhere" / "talk.mp4")
    blocked = text_file(tmp_path / "file")
    with pytest.raises(Refused, match=r"cannot write .*/file: a file of that name is in the way"):
        ask(face, mute, model=stranger, out=blocked)
    with pytest.raises(Misused, match=r"would overwrite a video"):
        ask(face, model=stranger, out=face)
    with pytest.raises(Misused, match=r"would overwrite the video that is read"):
        ask(face, model=stranger, preview=face)
    with pytest.raises(Misused, match=r"x.gif must end in one of .mp4, .mov, .mkv"):
        ask(face, model=stranger, preview=tmp_path / "x.gif")
    with pytest.raises(Misused, match=r"--preview draws one video, and 2 are given"):
        ask(face, mute, model=stranger, preview=tmp_path / "x.mp4")
    with pytest.raises(Misused, match=r"srt of 2 videos cannot stand in one stream"):
        ask(face, mute, model=stranger, format="srt")


def test_a_folder_that_takes_no_files(stranger, face):
    with pytest.raises(Refused, match=r"cannot write into /proc"):
        ask(face, model=stranger, out=Path("/proc/talk.txt"))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "mps"])
def test_a_device_that_is_not_there(stranger, face, device):
    with pytest.raises(Refused, match=r"^--device .*(auto|GPUs)"):
        ask(face, model=stranger, device=device)


def test_where_things_go(tmp_path, stranger, face, mute):
    text, _, heard = ask(face, model=stranger)
    assert ("talk.mp4: faces", 1, "s") in heard.passes and ("talk.mp4: reading", 1, "s") in heard.passes
    shown, _, _ = ask(face, mute, model=stranger)
    assert shown.startswith(f"==> {face} <==\n{text}==> {mute} <==\n")
    lines, _, _ = ask(face, mute, model=stranger, format="json")
    assert [json.loads(line)["video"] for line in lines.splitlines()] == [str(face), str(mute)]
    ask(face, model=stranger, out=tmp_path / "talk.srt")  # the name says what it is
    assert "-->" in (tmp_path / "talk.srt").read_text() or not text
    ask(face, model=stranger, out=tmp_path, format="vtt")
    assert (tmp_path / "talk.vtt").read_text().startswith("WEBVTT\n")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_how_it_is_decoded_can_be_said(stranger, face):
    lines, _, _ = ask(face, model=stranger, format="json", decode="beam", beam=3)
    assert json.loads(lines)["decode"] == {
        "kind": "beam",
        "beam": 3,
        "ctc_weight": 0.1,
        "length_bonus": 0.0,
        "nbest": 1,
    }
    with pytest.raises(Misused, match=r"beam"):
        ask(face, model=stranger, decode="beam", beam=0)


def test_a_beam_where_none_is_searched_is_refused(stranger, face):
    with pytest.raises(Misused, match=r"^--beam 3 is for beam search, .* by ctc: add --decode beam, or leave it out$"):
        ask(face, model=stranger, beam=3)  # its recipe says ctc
    with pytest.raises(Misused, match=r"^--beam 3 is for beam search, .* by attention: "):
        ask(face, model=stranger, decode="attention", beam=3)


def test_a_run_trained_by_ctc_alone_is_never_read_with_its_untrained_decoder(tmp_path, face):
    run = small_run(tmp_path / "run", small_network())
    recipe = recipes.load(run / runs.RECIPE)
    sections = {"decode": asdict(DecodeSettings(kind="beam")), "loss": {"ctc": 1.0}}
    (run / runs.RECIPE).write_text(recipes.dump({**recipe, **sections}))
    assert json.loads(ask(face, model=run, format="json")[0])["decode"]["kind"] == "ctc"
    for decode in ("beam", "attention"):
        with pytest.raises(Refused, match=r"^run was trained by CTC alone .* use --decode ctc$"):
            ask(face, model=run, decode=decode)
    with pytest.raises(Misused, match=r"^--beam 3 is for beam search, .* by ctc: leave it out$"):
        ask(face, model=run, beam=3)
    sections["decode"]["ctc_weight"] = 1.0  # a beam search that asks CTC alone
    (run / runs.RECIPE).write_text(recipes.dump({**recipe, **sections}))
    found = json.loads(ask(face, model=run, format="json", beam=3)[0])["decode"]
    assert (found["kind"], found["beam"]) == ("beam", 3)


def test_json_says_all_that_is_known(stranger, face):
    found = json.loads(ask(face, model=stranger, format="json", settings=TranscribeSettings(all_faces=True))[0])
    assert (found["seconds"], found["detector"], found["device"]) == (1.6, "short", "cpu")
    assert found["picture"] == {"width": 320, "height": 240, "fps": 25.0}
    assert (found["model"]["system"], found["model"]["corpus"], found["model"]["modality"]) == (
        "dense",
        "synth",
        "video",
    )
    assert found["versions"]["torch"] == torch.__version__.split("+")[0] and found["versions"]["avsr-bench"]
    assert found["settings"]["faces"]["face"] == "largest" and found["settings"]["windows"]["window"] == 8.0
    (seen,) = found["faces"]
    (stretch,) = seen["in_view"]
    assert (seen["face"], stretch["start"], stretch["end"], stretch["detected"]) == (1, 0.0, 1.6, 1.0)
    x, y, width, height = stretch["box"]
    assert np.hypot(x + width / 2 - 170, y + height / 2 - 125) < 20 and 70 < width < 110
    assert found["gaps"] == [] and found["notes"] == []
    words = [word for utterance in found["utterances"] for word in utterance["words"]]
    assert " ".join(word["word"] for word in words) == found["text"]
    assert all(0 <= word["start"] < word["end"] <= 1.6 and 0 <= word["confidence"] <= 1 for word in words)
