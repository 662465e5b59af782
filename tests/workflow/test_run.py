"""Whole boards in miniature: every command a process of its own, as it is in earnest."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import archives
import pytest
import warm
from archives import names
from patience import PATIENCE

from avsr_bench import runs
from avsr_bench.nn import VIEWS
from avsr_bench.scoring import read_archive
from avsr_bench.workflow import BoardRequest, load_settings, make_plan
from avsr_bench.workflow.kept import is_measured, measured_run


def command(*options, corpus="mouths"):
    return [*warm.avsr(), "leaderboard", "make", "--corpus", corpus, *options]


def make(*options):
    return subprocess.run(command(*options), capture_output=True, text=True, check=False)


def until(text, *options):
    """A board that is under way, up to a line that begins with `text`."""
    board = subprocess.Popen(command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = []
    for line in board.stderr:
        said.append(line)
        if text in line:
            return board
    raise AssertionError("".join(said))


def test_usage_errors_are_one_line_and_leave_nothing_behind(place):
    done = make("--models", "dence")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no entry 'dence' in leaderboards/board.yaml, and no recipe in models/. Did you mean dense?" in done.stderr
    assert not (place / "runs").exists()
    assert not (place / "leaderboards/local").exists()


def test_a_corpus_that_cannot_be_made_ends_it(place):
    done = subprocess.run(command("--root", "nowhere", corpus="grid"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("avsr-bench: corpus: ") and "nowhere" in last
    assert not (place / "runs").exists()


@pytest.mark.slow
def test_a_board_from_shards_to_pages(place):
    board = place / "leaderboards/board.yaml"
    board.write_text(board.read_text().replace("settings:\n", "settings:\n  layerscale: [data.longest=1]\n", 1))
    done = make("--models", "dense,layerscale,sparsevsr")
    assert done.returncode == 1, done.stderr  # layerscale cannot be trained so, and hinders nobody
    assert "train layerscale" in done.stdout and "cannot be trained on" in done.stdout
    assert "read layerscale" in done.stdout and "there is no run to read with" in done.stdout
    local = place / "leaderboards/local"
    page = (local / "README.md").read_text()
    assert "dense" in page and "sparsevsr" in page
    assert (local / "index.html").is_file()
    assert len(names(local / "results/mouths/dense-tiny-s0")) == 3  # clean, blur:5, blur:10
    assert len(names(local / "results/mouths/sparsevsr-tiny-s0")) == 3  # clean twice, blur:5
    assert "6 rows measured: leaderboards/local/index.html" in done.stdout.splitlines()[-1]
    assert 1 <= done.stderr.count("pages: done") <= 4  # after readings, once for several that end together
    failed = json.loads((local / "results/mouths/layerscale-tiny-s0/failed.json").read_text())
    assert failed["run"] == "mouths/layerscale-tiny-s0" and "cannot be trained on" in failed["reason"]
    assert "mouths/layerscale-tiny-s0 failed" in page.replace("\\_", "_")
    assert (place / "data/mouths/sheet.png").is_file()
    assert not (place / "leaderboards/README.md").exists()

    again = make()
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before") == 2  # both trainings
    assert again.stderr.count("results are there already") == 4
    assert "updates" not in again.stderr

    published = make("--models", "dense", "--publish")
    assert published.returncode == 0, published.stderr
    assert (place / "leaderboards/README.md").is_file()
    assert len(names(place / "leaderboards/results/mouths/dense-tiny-s0")) == 3


@pytest.mark.slow
def test_a_row_whose_results_are_kept_is_not_trained_again(place):
    """Runs are not committed, results are: a large board is made in several sittings, on several machines."""
    models = ("--models", "dense,one-shot-half")
    assert make(*models).returncode == 0
    results = place / "leaderboards/local/results/mouths"
    shutil.rmtree(place / "runs")
    again = make(*models)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before") == 7, again.stdout  # three trainings, readings of clean clips and of noise
    assert not (place / "runs").exists()

    # Of another recipe, results do not count; what the network begins with is trained again too, and dense is not.
    board = place / "leaderboards/board.yaml"
    other = "one-shot-half: {system: one-shot, settings: ["
    board.write_text(board.read_text().replace(other, f"{other}method.sparsity=0.6, "))
    assert make(*models).returncode == 0
    assert {path.name for path in (place / "runs/mouths").iterdir()} == {"dense-half-tiny-s0", "one-shot-half-tiny-s0"}
    assert len(names(results / "one-shot-half-tiny-s0")) == 2


def overlay(place):
    return place / "data/mouths/labels/ear-tiny-audio-s0.jsonl"


@pytest.mark.slow
def test_one_entry_labels_for_another(place):
    models = ("--models", "dense-labels")
    done = make(*models)
    assert done.returncode == 0, done.stderr + done.stdout
    assert overlay(place).is_file()
    about = runs.open_run(place / "runs/mouths/dense-labels-tiny-s0").about
    ear = runs.open_run(place / "runs/mouths/ear-tiny-audio-s0")
    assert about.labels and ear.about.modality == "audio"
    assert 0 < ear.about.budget.labelled_hours <= about.budget.labelled_hours
    head = json.loads(overlay(place).read_text().partition("\n")[0])
    assert head["labeller"] == "mouths/ear-tiny-audio-s0" and head["modality"] == "audio"
    assert not list(place.glob("leaderboards/local/results/mouths/ear*"))  # it has no row
    assert len(names(place / "leaderboards/local/results/mouths/dense-labels-tiny-s0")) == 2

    made = overlay(place).stat().st_mtime_ns
    again = make(*models)
    assert again.stdout.count("done before") == 3, again.stdout  # both trainings, and the labels
    assert overlay(place).stat().st_mtime_ns == made

    # Labels that are lost are not missed: who was trained on them is finished. Nor is who made them.
    overlay(place).unlink()
    shutil.rmtree(place / "runs/mouths/ear-tiny-audio-s0")
    assert make(*models).stdout.count("done before") == 3
    assert not overlay(place).exists() and not (place / "runs/mouths/ear-tiny-audio-s0").exists()

    # Nor the run itself, whose results stand.
    shutil.rmtree(place / "runs")
    assert make(*models).returncode == 0 and not (place / "runs").exists()


@pytest.mark.slow
def test_an_enhancer_is_trained_and_measured(place):
    models = ("--models", "cleans")
    done = make(*models)
    assert done.returncode == 0, done.stderr + done.stdout
    local = place / "leaderboards/local"
    (archive,) = (local / "results/mouths/cleans-tiny-av-s0").glob("*.zip")
    assert archive.name == "test-some4-read-by-mouths-ear-tiny-audio-s0.zip"
    own = {"clean", "white_0", "white_-5"}
    shown = ("", ".other-lips", ".no-lips")
    assert set(read_archive(archive).names) == {f"{name}{lips}" for name in own for lips in shown}
    (plain,) = (local / "results/mouths/ear-tiny-audio-s0").glob("*.zip")
    assert set(read_archive(plain).names) == own
    page = (local / "README.md").read_text().replace("\\_", "_")
    assert "WER against white, read by mouths/ear-tiny-audio-s0" in page and "the noisy sound" in page

    before = archive.stat().st_mtime_ns
    again = make(*models)
    assert again.returncode == 0 and again.stdout.count("done before") == 2  # both trainings
    assert archive.stat().st_mtime_ns == before  # nothing was measured twice

    # Its results stand, with its recipe: neither it nor its reader is missed.
    shutil.rmtree(place / "runs")
    kept = make(*models)
    assert kept.returncode == 0 and kept.stdout.count("done before") == 3 and not (place / "runs").exists()

    # One condition less, and both are needed again.
    archives.put(archive / "white_-5", None)
    again = make(*models)
    assert again.returncode == 0, again.stderr + again.stdout
    assert "white_-5" in read_archive(archive).names and (place / "runs/mouths/ear-tiny-audio-s0").is_dir()


@pytest.mark.slow
def test_labels_of_others_are_not_trained_on(place):
    """A labelling that fails leaves out who would be trained on it, and says why; what is there is left as it is."""
    overlay(place).parent.mkdir()
    overlay(place).write_text('{"format": 1, "labeller": "somebody else"}\n')
    done = make("--models", "dense-labels,dense")
    assert done.returncode == 1
    lines = {line.partition("  ")[0]: line for line in done.stdout.splitlines()}
    assert "failed" in lines["label by ear"]
    assert "is there already, of another labeller" in done.stdout.replace("\n", " ")
    assert "left out" in lines["train dense-labels"] and "label by ear" in lines["train dense-labels"]
    assert "somebody else" in overlay(place).read_text()
    assert not (place / "runs/mouths/dense-labels-tiny-s0").exists()
    assert (place / "runs/mouths/dense-tiny-s0/model.safetensors").is_file()  # who needs no labels is trained
    failed = json.loads((place / "leaderboards/local/results/mouths/dense-labels-tiny-s0/failed.json").read_text())
    assert "label by ear" in failed["reason"]


@pytest.mark.slow
def test_a_labelling_that_was_killed_resumes(place):
    """As its command does: shards that are labelled already are not labelled again."""
    models = ("--models", "dense-labels")
    board = until("train ear: done", *models)
    parts = overlay(place).with_suffix(".parts")
    while not list(parts.glob("train-*.jsonl")) and not overlay(place).exists():
        assert board.poll() is None
        time.sleep(0.01)
    board.kill()
    board.communicate()
    while (done := make(*models)).returncode:
        assert "another leaderboard is being made here" in done.stderr  # its last command may still be at work
        time.sleep(0.5)
    assert "done before" in next(line for line in done.stdout.splitlines() if line.startswith("train ear"))
    assert overlay(place).is_file() and not parts.exists()
    assert runs.open_run(place / "runs/mouths/dense-labels-tiny-s0").about.labels


COMMITTED = Path(__file__).parents[2] / "leaderboards/results/synth/dense-tiny-s0/test.zip"


@pytest.mark.parametrize("why", ["recipe", "archive", "condition", "corpus", "noise version", "limit"])
def test_results_that_are_not_those_that_are_wanted_do_not_count(place, why):
    wanted = make_plan(BoardRequest("mouths", models=("dense",)), load_settings("mouths")).stages[1].trains[0]
    folder, about = place / "results", runs.About(system="dense", corpus="mouths", size="tiny", seed=0)
    folder.mkdir()
    runs.write_recipe(folder, about, wanted.sections)
    archive = folder / "test.zip"
    archive.write_bytes(COMMITTED.read_bytes())
    fingerprint = json.loads(archives.text(archive / "clean"))["corpus_fingerprint"]

    def measured(fingerprint=fingerprint):
        return is_measured(folder, wanted.sections, wanted.levels, "blur", None, fingerprint)

    assert wanted.levels == {0, 5, 10} and measured()
    if why == "recipe":
        runs.write_recipe(folder, about, {**wanted.sections, "train": {**wanted.sections["train"], "lr": 0.5}})
    if why == "archive":
        archive.write_bytes(archive.read_bytes()[:-40])
    if why == "condition":
        archives.put(archive / "blur_10", None)
    if why == "noise version":
        archives.change(archive / "blur_5", noise_version=0)
    if why == "limit":
        archive.rename(folder / "test-some20.zip")
    assert not measured("4567" if why == "corpus" else fingerprint)


def test_results_of_a_unified_run_are_kept_once_all_of_its_views_are(place):
    settings, request = load_settings("mouths"), BoardRequest("mouths", models=("usr-labelled",))
    stages = make_plan(request, settings).stages
    [wanted] = stages[1].trains
    for number, view in enumerate(VIEWS):
        assert not measured_run(wanted, request, settings)
        folder = request.results / f"mouths/usr-labelled-tiny-s0@{view}"
        folder.mkdir(parents=True)
        about = runs.About(system="usr-labelled", corpus="mouths", size="tiny", modality="unified", seed=0)
        runs.write_recipe(folder, about, wanted.sections)
        (folder / "test.zip").write_bytes(COMMITTED.read_bytes())
        assert (number < len(VIEWS) - 1) == (not measured_run(wanted, request, settings))


def test_a_run_on_another_state_of_the_corpus_is_not_read(place):
    wanted = make_plan(BoardRequest("mouths", models=("dense",)), load_settings("mouths")).stages[1].trains[0]
    about = runs.About(system="dense", corpus="mouths", size="tiny", seed=0, corpus_fingerprint="0123")
    runs.write_recipe(wanted.folder, about, wanted.sections)
    (wanted.folder / runs.WEIGHTS).touch()
    done = make("--models", "dense")
    assert done.returncode == 1, done.stderr
    assert "was trained on another state of mouths" in done.stdout
    assert "there is no run to read with" in done.stdout
    assert not list(place.glob("leaderboards/local/results/**/*.zip"))


@pytest.mark.slow
def test_a_board_that_was_killed_goes_on(place):
    board = until("[3/")  # dense is trained
    board.kill()
    board.wait()
    while (done := make("--models", "dense")).returncode:
        assert "another leaderboard is being made here" in done.stderr  # its last command may still be at work
        time.sleep(0.5)
    assert done.returncode == 0, done.stderr
    assert "done before" in next(line for line in done.stdout.splitlines() if line.startswith("train dense"))


@pytest.mark.slow
def test_ctrl_c_reaches_the_training_which_saves(place):
    board = place / "leaderboards/board.yaml"
    board.write_text(board.read_text().replace("train.steps=3", "train.steps=100000"))
    running = until("run: runs/mouths/dense-tiny-s0", "--models", "dense")
    checkpoint = place / "runs/mouths/dense-tiny-s0/last.ckpt"
    while not (place / "runs/mouths/dense-tiny-s0/metrics.csv").is_file():  # of the first update
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "avsr-bench: stopped by SIGINT; the same command continues from here"
    assert checkpoint.is_file()
    resumed = until("train dense: resuming runs/mouths/dense-tiny-s0 after", "--models", "dense")
    second = subprocess.run(command(), capture_output=True, text=True, check=False)
    assert second.returncode == 1 and "another leaderboard is being made here" in second.stderr
    resumed.send_signal(signal.SIGTERM)
    resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 143


@pytest.mark.slow
def test_two_trainings_at_once_are_stopped_together_and_both_resume(place, monkeypatch):
    board = place / "leaderboards/board.yaml"
    text = board.read_text().replace("train.steps=3", "train.steps=100000")
    text = text.replace("train.device=cpu", "train.device=cpu', 'train.threads=1")
    board.write_text(f"jobs: 2\n{text}")
    names = ("dense", "rigl-80")
    running = until("run: runs/mouths/", "--models", ",".join(names))
    folders = [place / f"runs/mouths/{name}-tiny-s0" for name in names]
    while not all((folder / "metrics.csv").is_file() for folder in folders):
        assert running.poll() is None
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "avsr-bench: stopped by SIGINT; the same command continues from here"
    assert all((folder / "last.ckpt").is_file() for folder in folders)
    assert not list(place.glob("leaderboards/local/results/**/failed.json"))  # stopped is not failed
    resumed = subprocess.Popen(command("--models", ",".join(names)), stderr=subprocess.PIPE, text=True)
    left = {f"train {name}: resuming runs/mouths/{name}-tiny-s0 after" for name in names}
    for line in resumed.stderr:
        left -= {each for each in left if each in line}
        if not left:
            break
    assert not left
    resumed.send_signal(signal.SIGTERM)
    resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 143
