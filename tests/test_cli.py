"""The command line as a user meets it, in an empty folder."""

import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from avsr_bench import cli

VERBS = {  # and the options of each, or its own verbs: to be changed here when they are changed on purpose
    "prep": "root out split noise face landmarks already-cropped only workers engine address part limit min-yield"
    " force",
    "inspect": "out json force",
    "validate": "json",
    "train": "data size modality seed out resume dry-run figures",
    "evaluate": "data split modality decode beam noise sound read lips apply-to root seed device limit out sheet json",
    "robustness": "noise levels sound enhance models reference data split apply-to root modality decode beam part limit"
    " seed device out json",
    "noise": "list preview apply",
    "transcribe": "model format out preview all-faces face modality decode beam window device force",
    "enhance": "model out face other-mouth stream device force",
    "import": "tokenizer units out",
    "export": "format out force modality",
    "label": "with name split modality decode beam device part force",
    "leaderboard": "make render verify rerun convert",
    "list": "copy json",
    "doctor": "json",
}
HEAVY = ("numpy", "torch", "lightning_fabric", "cv2", "mediapipe", "av", "pydantic")
HEAVY += ("matplotlib", "pandas", "sentencepiece")


@pytest.fixture
def avsr(tmp_path):
    def run(*arguments, expect=0, **kwargs):
        environment = {**os.environ, "COLUMNS": "100"}
        command = [sys.executable, "-m", "avsr_bench", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False, **kwargs
        )
        assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def inside(tmp_path, monkeypatch, capfd):
    """The same in this process: a second less for each command than with a start of its own."""
    heard, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments, expect=0):
        monkeypatch.setattr("sys.argv", ["avsr-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert ended.value.code == expect, f"{ended.value.code}\n{out}\n{err}"
        return SimpleNamespace(stdout=out, stderr=err)

    yield run
    signal.signal(signal.SIGINT, heard)
    torch.set_num_threads(threads)


def test_help_lists_every_verb(avsr):
    out = avsr("--help").stdout
    assert all(f"\n  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_all_its_options(inside, verb):
    out = inside(verb, "--help").stdout
    assert f"avsr-bench {verb}" in out.replace("python -m avsr_bench", "avsr-bench")
    options = re.findall(r"^  (?:-\w, )?--([\w-]+)", out.partition("Options:")[2], re.M)
    verbs = re.findall(r"^  (\w+)", out.partition("Commands:")[2], re.M)
    assert sorted(verbs or set(options) - {"help"}) == sorted(VERBS[verb].split())


def test_help_imports_nothing_heavy():
    code = "import sys, avsr_bench.cli; print(*[name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_reading_with_a_network_does_not_import_the_compiler():
    code = "import sys, avsr_bench.evaluation, avsr_bench.transcribe; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("prep", "grit"), 2, "Did you mean grid?"),
        (("prep", "grid", "--root", "nowhere"), 1, "nowhere"),
        (("prep", "folder", "--root", "."), 1, "videos at any depth"),
        (("prep", "grid", "--root", ".", "crop.sise=3"), 2, "Did you mean crop.size?"),
        (("prep", "grid", "--root", ".", "crop.size=95"), 2, "even"),
        (("prep", "grid", "--root", ".", "corpus.split=odd"), 2, "corpus.split"),
        (("prep", "grid", "--root", ".", "corpus.reader=lrs9"), 2, "Did you mean lrs"),
        (("prep", "grid", "--root", ".", "--part", "3/2"), 2, "i/n"),
        (("prep", "grid", "--root", ".", "--face", "leftmost"), 2, "largest, center or X,Y"),
        (("prep", "grid", "--root", ".", "--limit", "0"), 2, "--limit"),
        (("inspect", "nowhere"), 1, "prep"),
        (("validate", "."), 1, "prep.json"),
        (("train", "dense"), 1, "avsr-bench prep synth"),
        (("transcribe", "talk.mp4", "--model", "dense"), 1, "avsr-bench train"),
        (("leaderboard", "verify", "dense"), 2, "no results yet"),
        (("list", "--copy", "gird"), 2, "Did you mean grid?"),
        (("list", "--copy", "grid", "--json"), 2, "one by one"),
        (("prep", "grid", "--root", ".", "--address", "localhost:1"), 2, "--engine ray"),
        (("prep", "folder", "--root", ".", "--already-cropped", "--face", "center"), 2, "no effect"),
        (("prep", "folder", "--root", ".", "--already-cropped", "--only", "detect"), 2, "no effect"),
        (("prep", "grid", "--root", ".", "--face", "center", "faces.face=largest"), 2, "set the same"),
        (("prep", "synth", "--split", "test", "--split", "test"), 2, "given twice"),
        (("evaluate", "dense", "jpeg:7", "foo"), 2, "Did you mean --noise jpeg:7?"),
        (("evaluate", "dense", "sound.snr_over=speech"), 2, "no --sound is asked for"),
        (("evaluate", "dense", "sound.snr=speech"), 2, "Did you mean sound.snr_over?"),
        (("evaluate", "dense", "--root", "."), 2, "--apply-to frame"),
        (("evaluate", "dense", "--apply-to", "frame"), 2, "no --noise is asked for"),
        (("evaluate", "dense", "--seed", "1"), 2, "add --noise or --sound"),
        (("robustness", "--noise", "none", "--apply-to", "frame"), 2, "no --noise is asked for"),
        (("robustness", "--models", ","), 2, "a name is missing"),
        (("leaderboard", "make", "--models", "dense,,msrs"), 2, "a name is missing"),
        (("leaderboard", "make", "--models", "dnse"), 2, "Did you mean dense?"),
        (("transcribe", "a.mp4", "--model", "x", "--all-faces", "--face", "center"), 2, "give one of the two"),
        (("enhance", "a.mp4", "--model", "x", "--out", "a.ogg"), 2, "must end in one of .wav, .mp4"),
        (("enhance", "a.mp4", "--model", "x", "--out", "b.wav", "--face", "leftmost"), 2, "largest, center or X,Y"),
        (("enhance", "a.mp4", "--model", "x", "--out", "b.wav"), 1, "avsr-bench train"),
        (("enhance", "a.mp4", "--model", "x"), 2, "--out"),
        (("fly",), 2, "fly"),
    ],
)
def test_a_wrong_command_is_answered_in_one_line_with_the_way_out(inside, arguments, code, says):
    err = inside(*arguments, expect=code).stderr
    assert says in err
    assert err.splitlines()[-1].startswith("avsr-bench: ")
    assert len(err.splitlines()) == 1 or code == 1  # a note may come before what cannot be done


def test_list_shows_recipes_and_copies_one(avsr, tmp_path):
    assert "grid" in avsr("list").stdout
    rows = json.loads(avsr("list", "--json").stdout)
    assert {"grid", "lrs2", "lrs3", "vox2", "avspeech", "folder", "synth"} <= {row["name"] for row in rows["pipelines"]}
    papers = {row["name"]: row["paper"] for row in rows["models"]}
    assert papers["msrs"] == "arXiv 2406.17614" and papers["rigl"] == "arXiv 1911.11134"
    ours = ["dense-continued", "msrs-frozen", "msrs-sparse-frozen"]  # controls
    assert [name for name, paper in papers.items() if not paper] == ours
    avsr("list", "--copy", "grid")
    assert (tmp_path / "pipelines/grid.yaml").is_file()
    assert "yours" in avsr("list").stdout
    assert "already" in avsr("list", "--copy", "grid", expect=1).stderr
    assert "recipe " + str(tmp_path / "pipelines/grid.yaml") in avsr("prep", "grid", "--root", "x", expect=1).stderr


def test_a_recipe_that_cannot_be_copied_or_read_is_one_line(avsr, tmp_path):
    (tmp_path / "pipelines").write_text("a file")
    assert (
        "cannot write pipelines: a file of that name is in the way" in avsr("list", "--copy", "grid", expect=1).stderr
    )
    (tmp_path / "pipelines").unlink()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/mine.yaml").symlink_to("nowhere")
    for command in (("list",), ("prep", "mine")):
        assert (
            "pipelines/mine.yaml: No such file or directory; correct it or remove it" in avsr(*command, expect=1).stderr
        )


def test_doctor_finds_this_machine_ready(avsr):
    out = avsr("doctor").stdout
    for name in ("python", "torch", "torchaudio", "face models", "codecs", "disk"):
        assert f"ok    {name}" in out
    findings = json.loads(avsr("doctor", "--json").stdout)
    assert all(finding["state"] in ("ok", "warn") for finding in findings)


def test_doctor_says_what_is_broken_and_what_to_do(avsr, tmp_path):
    (tmp_path / "torchaudio.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    out = avsr("doctor", expect=1).stdout
    assert "fail  torchaudio" in out and "libcudart" in out
    assert "libgl1" in out


def test_output_into_a_closed_pipe_is_no_crash(tmp_path):
    command = f"{sys.executable} -m avsr_bench list | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
