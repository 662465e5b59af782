"""What cannot be evaluated is refused in one line that says what to do."""

import json
import shutil

import pytest
import torch
from heard import Silence, make_run
from safetensors.torch import load_file, save_file

from avsr_bench import data, recipes, runs
from avsr_bench.evaluation import EvaluateRequest, evaluate, open_reader, pick_device
from avsr_bench.evaluation.reading import LONGEST, check_lengths
from avsr_bench.records import Misused, Refused


@pytest.fixture
def ask(corpus, run_of, tmp_path):
    """Evaluates, and gives what was said."""

    def run(folder=None, modality="video", **request):
        progress = Silence()
        known = {"run": str(folder or run_of(modality)), "data": corpus.location, "out": tmp_path / "out"}
        evaluate(EvaluateRequest(**{**known, **request}), progress)
        return progress.said

    return run


@pytest.fixture
def spoiled(corpus, tmp_path):
    """A copy of the corpus, and a way to change lines of the test index."""
    copy = tmp_path / "small"
    shutil.copytree(corpus.location, copy)

    def change(edit, split="test"):
        index = copy / split / f"{split}-000000.jsonl"
        rows = [json.loads(line) for line in index.read_text().splitlines()]
        index.write_text("".join(json.dumps(edit(row)) + "\n" for row in rows))
        return str(copy)

    return copy, change


def test_a_run_that_is_not_finished(run_of, ask, tmp_path):
    folder = tmp_path / "begun"
    shutil.copytree(run_of(), folder, ignore=shutil.ignore_patterns("results"))
    (folder / runs.WEIGHTS).unlink()
    with pytest.raises(Refused, match=r"not finished.*--resume"):
        ask(folder)


def test_weights_cut_in_half(run_of, ask, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(run_of(), folder, ignore=shutil.ignore_patterns("results"))
    whole = (folder / runs.WEIGHTS).read_bytes()
    (folder / runs.WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match=r"model\.safetensors"):
        ask(folder)


def test_no_such_run(ask):
    with pytest.raises(Refused, match="nobody"):
        ask("nobody")


def test_unknown_split(ask):
    with pytest.raises(Misused, match=r"--split dev: .* has no such split\. There is: test, train, valid\."):
        ask(split="dev")
    with pytest.raises(Misused, match=r"Did you mean test\?"):
        ask(split="tset")


def test_empty_split(ask, spoiled):
    _, change = spoiled
    problem = {"kind": "clip", "code": "no-face", "detail": "none"}
    where = change(lambda row: {"key": row["key"], "text": "a", "speaker": "ann", "reason": problem})
    with pytest.raises(Refused, match="split test is empty"):
        ask(data=where)


def test_frames_without_text(ask, spoiled):
    _, change = spoiled
    where = change(lambda row: {**row, "text": None if "bob" in row["key"] else row["text"]})
    with pytest.raises(Refused, match="3 of 9 clips have no text, the first is bob3"):
        ask(data=where)


def test_a_damaged_mouth_is_named(ask, spoiled):
    copy, _ = spoiled
    entry = data.Prepared(str(copy)).shards("test")[0][4]
    with (copy / "test/test-000000.tar").open("r+b") as tar:
        tar.seek(entry.members["mouth.mp4"].offset)
        tar.write(b"\0" * 400)
    with pytest.raises(Refused, match=f"{entry.key}.*validate"):
        ask(data=str(copy))


def test_hearing_a_corpus_without_sound(ask, spoiled):
    _, change = spoiled
    where = change(lambda row: {**row, "members": {k: v for k, v in row["members"].items() if k != "flac"}})
    with pytest.raises(Refused, match="no flac"):
        ask(modality="audio", data=where)


def test_a_silent_clip_has_no_ratio_to_noise(ask, corpus, run_of, tmp_path):
    from avsr_bench.evaluation import corrupted, open_sound
    from avsr_bench.evaluation.clips import Clips

    places = data.places(corpus, "test", "av")
    example = Clips(corpus, places, "av")(places[0])
    silent = type(example)(example.key, "now", "ann", "", example.frames, None, example.sound * 0)
    [white] = open_sound(["white:0"], corpus, "test", 0)
    with pytest.raises(Refused, match=f"{example.key} under white:0: the speech is silent"):
        corrupted(silent, white, 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_where_one_is_asked_for(ask):
    with pytest.raises(Refused, match="--device cuda: torch sees 0 GPUs here"):
        ask(device="cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "mps", "meta"])
def test_no_such_device(name):
    with pytest.raises(Misused, match=f"--device {name}: give auto, cpu, cuda or cuda:1"):
        pick_device(name)


def test_an_answer_that_is_no_number(run_of, ask, tmp_path):
    folder = tmp_path / "diverged"
    shutil.copytree(run_of(), folder, ignore=shutil.ignore_patterns("results"))
    weights = load_file(folder / runs.WEIGHTS)
    weights["ctc.bias"][3] = float("nan")
    save_file(weights, folder / runs.WEIGHTS)
    for decode in ("ctc", "beam"):
        with pytest.raises(Refused, match=r"diverged.*not a number"):
            ask(folder, decode=decode)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"noise": "fog:3"}, "no noise is called 'fog'"),
        ({"noise": "blur:11"}, "from 0"),
        ({"noise": "blur"}, "FAMILY:LEVEL"),
        ({"sound": "white:0"}, "network that only sees: use --noise"),
        ({"modality": "audio", "noise": "blur:3"}, "network that only hears: use --sound"),
        ({"modality": "av", "noise": "blur:3", "sound": "white:0"}, "one by one"),
        ({"modality": "av", "sound": "white:0,5"}, "names 2 conditions"),
        ({"modality": "av", "sound": "rain:0"}, "rain"),
        ({"modality": "av", "sound": "white:0", "assignments": ("sound.snr=speech",)}, "sound.snr_over"),
        ({"beam": 5}, "--beam 5 is for beam search"),
        ({"noise": "blur:3", "apply_to": "frame"}, "--root DIR"),
    ],
)
def test_wrong_requests(ask, request_, said):
    with pytest.raises(Refused, match=said):
        ask(**request_)


def test_a_sound_file_that_is_not_there(ask):
    with pytest.raises(Refused, match=r"gone.wav"):
        ask(modality="audio", sound="gone.wav:0")


def test_a_decoder_that_was_never_trained(ask, corpus, tmp_path):
    folder = make_run(tmp_path / "ctc", corpus, ctc=1.0)
    for decode in ("attention", "beam"):
        with pytest.raises(Refused, match=r"trained by CTC alone.*--decode ctc"):
            ask(folder, decode=decode)
    recipe = recipes.load(folder / runs.RECIPE)
    (folder / runs.RECIPE).write_text(recipes.dump({**recipe, "decode": {"kind": "beam", "beam": 3}}))
    reader = open_reader(runs.open_run(folder), torch.device("cpu"))
    assert reader.settings.kind == "ctc"  # the beam search of its recipe would ask the decoder
    with pytest.raises(Misused, match=r"--beam 5 .* by ctc: leave it out"):
        ask(folder, beam=5)
    ask(folder)


def test_a_clip_longer_than_memory_is_refused_by_name():
    check_lengths([("short", 10), ("long", LONGEST)])
    with pytest.raises(Refused, match=r"long has 6,001 frames.*transcribe"):
        check_lengths([("short", 10), ("long", LONGEST + 1)])


def test_another_corpus_is_said(ask, corpus, tmp_path):
    assert any("trained on grid" in line for line in ask(make_run(tmp_path / "a", corpus, corpus="grid")))
    assert any("another preparation" in line for line in ask(make_run(tmp_path / "b", corpus, corpus_fingerprint="0")))
    same = make_run(tmp_path / "c", corpus, corpus_fingerprint=corpus.fingerprint)
    assert ask(same) == []


def test_references_that_the_tokenizer_cannot_write_are_said(ask, spoiled):
    _, change = spoiled
    said = ask(data=change(lambda row: {**row, "text": "zyx"}))
    assert any("cannot write all that is said" in line and "'z'" in line for line in said)


def test_nowhere_to_write(ask, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"cannot write.*choose another --out"):
        ask(out=tmp_path / "file" / "results")


class TestFrames:
    def test_another_video_under_the_name(self, ask, videos, tmp_path):
        root = tmp_path / "videos"
        shutil.copytree(videos, root)
        with (root / "ann0.mp4").open("ab") as file:
            file.write(b"more")
        with pytest.raises(Refused, match=r"ann0\.mp4 has .* bytes.* when it was prepared"):
            ask(noise="blur:3", apply_to="frame", root=root)

    def test_a_root_without_the_video(self, ask, tmp_path):
        with pytest.raises(Refused, match=r"ann0\.mp4, which is not under --root"):
            ask(noise="blur:3", apply_to="frame", root=tmp_path)

    @pytest.mark.parametrize(
        ("recipe", "said"),
        [({"noise": {"frames": "blur:1"}}, "with noise already"), ({"crop": {"already_cropped": True}}, "no frames")],
    )
    def test_corpora_without_clean_frames(self, ask, spoiled, videos, recipe, said):
        copy, _ = spoiled
        prep = json.loads((copy / "prep.json").read_text())
        for name, value in recipe.items():
            prep["recipe"][name] = {**(prep["recipe"][name] or {}), **value}
        (copy / "prep.json").write_text(json.dumps(prep))
        with pytest.raises(Refused, match=said):
            ask(data=str(copy), noise="blur:3", apply_to="frame", root=videos)
