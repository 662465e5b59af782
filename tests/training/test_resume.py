import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch
import yaml
from training_settings import small

from avsr_bench import runs
from avsr_bench.records import Refused
from avsr_bench.training.checkpoint import CHECKPOINT, seal
from avsr_bench.training.signals import Stopped


def rows(folder):
    """The figures of each update that are computed; not how long they took."""
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def stop_at(*steps, number=signal.SIGTERM):
    return lambda step: os.kill(os.getpid(), number) if step in steps else None


@pytest.mark.parametrize("system", ["dense", "msrs", "rigl", "static-erk"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_resumed_is_as_if_nothing_had_happened(run, tmp_path, system, number):
    if number == signal.SIGINT and system != "dense":
        pytest.skip("the signal makes no difference to a method")
    method = ["method.every=3"] if system == "rigl" else []
    undisturbed = run(system, *method, steps=14, out=tmp_path / "whole")
    out = tmp_path / "parts"
    resume = False
    for stop in (3, 9):  # in the middle of the first epoch, and of the second
        with pytest.raises(Stopped) as stopped:
            run(system, *method, steps=14, out=out, act=stop_at(stop, number=number), resume=resume)
        assert stopped.value.number == number and run.view.steps == stop
        assert (out / CHECKPOINT).exists() and not (out / "model.safetensors").exists()
        resume = True
    run(system, *method, steps=14, out=out, resume=True)
    assert any("resuming" in line for line in run.view.said)
    assert rows(out) == rows(undisturbed)
    assert same(weights(out), weights(undisturbed))
    assert not (out / CHECKPOINT).exists()


def test_stopped_after_its_last_update_a_run_is_finished_by_resuming_it(run, tmp_path):
    undisturbed = run("dense", out=tmp_path / "whole")
    with pytest.raises(Stopped):
        run("dense", out=tmp_path / "parts", act=stop_at(8))
    run("dense", out=tmp_path / "parts", resume=True)
    assert rows(tmp_path / "parts") == rows(undisturbed)
    assert same(weights(tmp_path / "parts"), weights(undisturbed))


def test_with_workers_accumulation_and_a_validation_in_between(run, tmp_path):
    more = ("train.workers=2", "train.accumulate=3")
    undisturbed = run("dense", *more, steps=7, out=tmp_path / "whole")
    with pytest.raises(Stopped):
        run("dense", *more, steps=7, out=tmp_path / "parts", act=stop_at(4))
    run("dense", *more, steps=7, out=tmp_path / "parts", resume=True)
    assert rows(tmp_path / "parts") == rows(undisturbed)
    assert same(weights(tmp_path / "parts"), weights(undisturbed))


def test_rows_that_a_killed_run_did_not_save_are_taken_back(run, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        run("dense", out=out, act=stop_at(4))
    kept = rows(out)
    with (out / "metrics.csv").open("a") as file:  # as if it had gone on after the checkpoint and was killed in a line
        file.write((out / "metrics.csv").read_text().splitlines()[-1].replace("4,", "5,", 1) + "\n6,0,5,1.2,3.")
    run("dense", out=out, resume=True)
    assert rows(out)[:4] == kept and [int(row["update"]) for row in rows(out)] == list(range(1, 9))


def test_a_run_that_is_there_is_not_touched(run, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        run("dense", out=out, act=stop_at(2))
    with pytest.raises(Refused, match=r"is a run that was begun: resume it with --resume, or choose another --out"):
        run("dense", out=out)
    with pytest.raises(Refused, match=r"was begun with train\.lr=0\.002, not 0\.1: resume it as it was"):
        run("dense", "train.lr=0.1", out=out, resume=True)
    with pytest.raises(Refused, match=r"was begun with .*train\.steps=8, not 9"):
        run("dense", steps=9, out=out, resume=True)
    run("dense", "train.save_minutes=9", out=out, resume=True)
    assert run("dense", "train.save_minutes=9", out=out, resume=True) == out
    assert [line for line in run.view.said if str(out) in line] == [f"{out} is finished already"]
    with pytest.raises(Refused, match="is a run that was finished"):
        run("dense", out=out)


@pytest.mark.parametrize("damage", ["half", "empty", "code", "a flipped bit", "moments of another shape"])
def test_a_checkpoint_that_is_not_what_was_written(run, tmp_path, damage):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        run("dense", out=out, act=stop_at(2))
    path = out / CHECKPOINT
    whole = path.read_bytes()
    if damage == "code":
        torch.save({"format": 2, "update": 2, "run": os.system}, path)
    elif damage == "a flipped bit":  # in the middle of a weight: torch itself would load it
        path.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
        assert torch.load(path, weights_only=True)["update"] == 2
    elif damage == "moments of another shape":  # AdamW reads and writes past their ends
        content = torch.load(path, weights_only=True)
        content["optimizer"]["state"][0]["exp_avg"] = torch.zeros(1)
        torch.save(content, path)
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "half" else b"")
    with pytest.raises(
        Refused, match=r"last\.ckpt is not what was written .*: delete it to start again, with --resume"
    ):
        run("dense", out=out, resume=True)
    path.unlink()
    run("dense", out=out, resume=True)
    assert any("no checkpoint yet: it begins again" in line for line in run.view.said)


def test_a_checkpoint_of_an_earlier_version_is_refused(run, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        run("dense", out=out, act=stop_at(2))
    torch.save({"global_step": 2, "state_dict": {}, "pytorch-lightning_version": "2.6.0"}, out / CHECKPOINT)
    seal(out / CHECKPOINT)
    with pytest.raises(Refused, match=r"last\.ckpt was written by an earlier version of avsr-bench: .* delete the"):
        run("dense", out=out, resume=True)


def test_a_run_of_an_earlier_version_is_read_and_known_as_what_it_is(run, tmp_path):
    """Until objectives were an axis of their own, distillation was a method and its teacher a section."""
    first = run("dense", steps=2, out=tmp_path / "teacher")
    given = (f"objective.teacher.run={first}", "objective.temperature=3.0")
    out = run("distilled", *given, steps=2, out=tmp_path / "student")
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    objective = recipe.pop("objective")
    recipe["teacher"] = objective["teacher"]
    recipe["method"] = {"name": "distilled", "weight": objective["weight"], "temperature": objective["temperature"]}
    recipe["train"]["average_share"] = recipe["train"].pop("average_fraction")
    for name in ("labels", "min_confidence", "hide", "streams"):
        del recipe["data"][name]
    for name in ("labels", "budget"):
        del recipe["run"][name]
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run("distilled", *given, steps=2, out=out, resume=True)
    assert run.view.said[-1] == f"{out} is finished already"
    assert runs.open_run(out).about.budget is None and runs.open_run(out).load()
    with pytest.raises(Refused, match=r"was begun with objective\.temperature=3\.0, not 2\.0"):
        run("distilled", given[0], steps=2, out=out, resume=True)
    run("dense", f"init.run={out}", steps=2, out=tmp_path / "heir")
    assert runs.open_run(tmp_path / "heir").about.budget.total is None  # nobody knows what went before


def test_nothing_to_resume_begins(run, tmp_path):
    run("dense", steps=2, out=tmp_path / "new", resume=True)
    assert any("nothing to resume" in line for line in run.view.said)


@pytest.mark.slow
def test_killed_at_any_time_and_resumed(corpus, tmp_path, run):
    undisturbed = run("dense", "train.workers=1", steps=60, out=tmp_path / "whole")
    out = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "avsr_bench",
        "train",
        "dense",
        "--data",
        corpus.location,
        "--size",
        "tiny",
        "--resume",
    ]
    command += ["--out", str(out), *small("train.steps=60", "train.workers=1", "train.save_minutes=0.002")]
    kills = 0
    while not (out / "model.safetensors").exists():
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        done = len(rows(out)) if (out / "metrics.csv").exists() else 0
        while process.poll() is None:
            time.sleep(0.05)
            if kills < 5 and (out / "metrics.csv").exists() and len(rows(out)) > done + 7:
                process.kill()
                kills += 1
                break
        error = process.communicate()[1]
        assert process.returncode in (0, -signal.SIGKILL), error
    assert kills == 5
    assert rows(out) == rows(undisturbed) and same(weights(out), weights(undisturbed))
