import json
import math
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import safetensors.torch
import torch
import yaml
from mouths import make_shards
from patience import PATIENCE
from training_settings import SMALL, small

from avsr_bench import data, evaluation, runs, scoring
from avsr_bench.decoding import DecodeSettings
from avsr_bench.records import Misused, Refused
from avsr_bench.training.average import Average
from avsr_bench.training.figures import draw
from avsr_bench.training.job import take_weights
from avsr_bench.training.optimiser import rate
from avsr_bench.training.report import read_metrics


def weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def test_a_run_is_all_that_it_takes_to_use_the_network(run, corpus, tmp_path):
    folder = run("dense", out=tmp_path / "runs" / "small" / "dense-tiny-s0")
    opened = runs.open_run(folder)
    assert opened.name == "small/dense-tiny-s0"
    assert (opened.about.system, opened.about.corpus, opened.about.seed) == ("dense", "small", 0)
    assert opened.about.corpus_fingerprint == corpus.fingerprint and opened.about.sparsity == 0
    network = opened.load()
    assert opened.about.parameters == opened.about.nonzero == sum(p.numel() for p in network.parameters())
    assert set(weights(folder)) == set(network.state_dict())
    rows = read_metrics(folder / "metrics.csv")
    assert [row["update"] for row in rows] == [str(k) for k in range(1, 9)]
    assert all(float(row["grad/first"]) > 0 and float(row["loss"]) > 0 for row in rows)
    assert [bool(row["valid/wer"]) for row in rows] == [False, False, False, True] * 2
    assert "loss" in run.view.status[-1] and "WER" in run.view.status[-1] and "frames/s" in run.view.status[-1]


def test_training_learns(run, tmp_path):
    easy = (
        "augment.flip=0",
        "augment.crop=false",
        "augment.video_mask=0",
        "network.dropout=0",
        "network.ctc_dropout=0",
    )
    folder = run("dense", *easy, "loss.ctc=1", "train.lr=0.01", steps=300, out=tmp_path / "run")
    rows = [row for row in read_metrics(folder / "metrics.csv") if row["valid/wer"]]
    assert float(rows[-1]["valid/wer"]) < 0.5 < float(rows[0]["valid/wer"])


def test_validation_scores_what_evaluate_scores(run, tmp_path):
    """Transcripts as the corpus has them: with words that no tokenizer of this run knows, and with punctuation."""
    odd = lambda number: f"Bin, {'zebra' if number % 2 else 'BLUE'}!"  # noqa: E731
    made = make_shards(tmp_path / "data" / "odd", {"train": 20, "valid": 5})
    valid = make_shards(tmp_path / "other" / "odd", {"train": 20, "valid": 5}, text=odd)
    shutil.rmtree(Path(made.location) / "valid")
    shutil.copytree(Path(valid.location) / "valid", Path(made.location) / "valid")
    folder = run("dense", "train.average=1", data=made.location, steps=4, out=tmp_path / "run")
    opened = runs.open_run(folder)
    places = data.places(data.Prepared(made.location), "valid", "video")
    clips = list(data.examples(data.Prepared(made.location), places, "video"))
    heard = evaluation.read(opened.load(), opened.tokenizer(), clips, DecodeSettings(kind="ctc"))
    words = scoring.total(map(scoring.score, heard))["wer"]
    assert words.length == 10
    assert float(read_metrics(folder / "metrics.csv")[-1]["valid/wer"]) == pytest.approx(words.rate)


def test_tensorboard_gets_every_figure_of_every_update(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run("dense", "train.log=[tensorboard]", steps=4, out=tmp_path / "run")
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    table = read_metrics(folder / "metrics.csv")
    assert set(events.Tags()["scalars"]) >= {name for name, value in table[-1].items() if value} - {"update"}
    logged = [(event.step, event.value) for event in events.Scalars("loss")]
    assert logged == [(int(row["update"]), pytest.approx(float(row["loss"]), rel=1e-5)) for row in table]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(run, tmp_path):
    one, again, other = (
        run("dense", steps=3, seed=seed, out=tmp_path / name) for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert all(torch.equal(weights(one)[name], weights(again)[name]) for name in weights(one))
    assert not all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))


@pytest.mark.parametrize("modality", ["audio", "av"])
def test_networks_that_hear(run, tmp_path, modality):
    folder = run("dense", "augment.babble=false", steps=2, modality=modality, out=tmp_path / "run")
    assert runs.open_run(folder).load().modality == modality


def test_what_is_left_behind_is_the_mean_of_the_last_snapshots(run, tmp_path):
    last = weights(run("dense", "train.average=1", out=tmp_path / "last"))
    mean = weights(run("dense", out=tmp_path / "mean"))
    name = "ctc.weight"
    assert not torch.equal(last[name], mean[name])


def test_the_average_is_the_mean_of_evenly_spaced_moments():
    assert Average(8, 3, 0.5).moments == {8, 7, 5}
    assert Average(1600, 5, 0.1).moments == {1600, 1568, 1536, 1504, 1472}
    assert Average(8, 1, 0.5).moments == Average(8, 3, 0).moments == {8}
    assert Average(2, 5, 1).moments == {1, 2}
    average, module, seen = Average(8, 3, 0.5), torch.nn.BatchNorm1d(2), []
    for step in range(1, 9):
        with torch.no_grad():
            module.weight += step
            module.running_mean -= step
            module.num_batches_tracked += 1
        average.add(step, module)
        if step in (5, 7, 8):
            seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
    mean = average.weights()
    assert average.count == 3
    for name in ("weight", "running_mean"):
        torch.testing.assert_close(mean[name], sum(each[name] for each in seen) / 3)
    assert int(mean["num_batches_tracked"]) == 8


@pytest.mark.parametrize(
    "part, same", [("all", ("encoders.video", "decoder")), ("frontend", ("encoders.video.frontend",))]
)
def test_beginning_with_the_weights_of_a_run(run, tmp_path, part, same):
    first = run("dense", out=tmp_path / "first", seed=5)
    still = ("train.lr=1e-12", "train.weight_decay=0", "train.average=1")
    second = run("dense", *still, f"init.run={first}", f"init.part={part}", steps=1, out=tmp_path / "second")
    before, after = weights(first), weights(second)
    for name in before:
        if before[name].is_floating_point() and "running" not in name:
            kept = torch.allclose(before[name], after[name], atol=1e-9)
            assert kept or not name.startswith(same), name
    assert part == "all" or not torch.allclose(before["ctc.weight"], after["ctc.weight"])
    assert f"begins with {part}" in "\n".join(run.view.said)


def test_rounds_are_runs_that_begin_with_the_one_before(run, tmp_path):
    run("dense", out=tmp_path / "runs" / "small" / "dense-tiny-s0")
    last = run("sparsevsr", "rounds.sparsities=[0.3, 0.6]", steps=3)
    assert last == runs.ROOT / "small" / "sparsevsr-tiny-s0" / "round-02"
    first, second = (runs.open_run(last.parent / name) for name in ("round-01", "round-02"))
    assert first.about.sparsity == pytest.approx(0.3, abs=1e-3) and second.about.sparsity == pytest.approx(
        0.6, abs=1e-3
    )
    assert second.recipe["init"]["run"].endswith("round-01")
    said = "\n".join(run.view.said)
    assert "begins with the last weights of" in said and "round-01: " in said
    last_of_first = safetensors.torch.load_file(first.folder / runs.LAST)
    network = first.load()
    take_weights(network, first.folder, "all", said.join, runs.LAST)
    assert all(torch.equal(of, last_of_first[name]) for name, of in network.state_dict().items())
    assert not (second.folder / runs.LAST).exists()  # nothing begins with these
    assert any(not torch.equal(of, weights(first.folder)[name]) for name, of in last_of_first.items())
    gone = {name: value == 0 for name, value in weights(first.folder).items()}
    assert all(torch.equal(last_of_first[name] == 0, zero) for name, zero in gone.items() if zero.dim() > 1)
    assert all(bool((weights(second.folder)[name][zero] == 0).all()) for name, zero in gone.items() if zero.dim() > 1)
    again = run("sparsevsr", "rounds.sparsities=[0.3, 0.6]", steps=3, resume=True)
    assert again == last and run.view.steps == 0
    shutil.rmtree(last)
    (first.folder / runs.LAST).unlink()
    with pytest.raises(Refused, match=r"round-01 has no last.safetensors, which the next round begins with: delete"):
        run("sparsevsr", "rounds.sparsities=[0.3, 0.6]", steps=3, resume=True)


@pytest.mark.parametrize(
    ("system", "given", "message"),
    [
        ("msrs", ("method.search=0.95",), r"method.search=0.95 is too long: it would end while the snapshots"),
        ("msrs", ("method.search=0.95", "method.rescale=true"), r"method.search=0.95 is too long"),
        ("msrs", ("method.search=92",), r"method.search=92 is too long"),
        ("rigl", ("method.stop=0.95",), r"method.stop=0.95 is too late: .* in its last 8.0%"),
        ("rigl", ("method.stop=0.95", "train.steps=null", "train.epochs=3"), r"method.stop=0.95 is too late"),
    ],
)
def test_masks_that_would_change_between_snapshots_are_refused_before_anything_is_read(
    run, monkeypatch, system, given, message
):
    monkeypatch.setattr("avsr_bench.data.choose", None)  # whoever reads fails otherwise
    snapshots = ("train.average=5", "train.average_fraction=0.1")
    with pytest.raises(Refused, match=message) as caught:
        run(system, *snapshots, *given, steps=100)
    assert "\n" not in str(caught.value) and "train.average=1" in str(caught.value)


@pytest.fixture
def own_recipes(tmp_path):
    """A size and a system of the working folder, which go first: networks that train in a moment."""
    small: dict[str, dict[str, object]] = {}
    for given in SMALL:
        section, _, rest = given.partition(".")
        name, _, value = rest.partition("=")
        small.setdefault(section, {})[name] = yaml.safe_load(value)
    small["train"] |= {"steps": 2}
    (tmp_path / "models/sizes").mkdir(parents=True)
    (tmp_path / "models/sizes/tiny.yaml").write_text("# Small.\n" + yaml.safe_dump(small))


class TestNeededRuns:
    """Runs that another begins with, or learns from."""

    def test_one_that_is_missing_is_trained_first_by_its_own_recipe(self, run, own_recipes, tmp_path):
        run("one-shot", assignments=("train.steps=3", "augment.noise=true", "train.average=1"))
        dense = runs.open_run(tmp_path / "runs/small/dense-tiny-s0")
        assert dense.recipe["augment"]["noise"] is False and dense.recipe["train"]["steps"] == 2
        assert dense.about.command.startswith("avsr-bench train dense --data ")
        assert any("one-shot needs dense, which is not trained yet" in line for line in run.view.said)

    @pytest.mark.parametrize("given", ["network.width=32", "text.kind=characters"])
    def test_with_another_form_it_has_to_be_trained_first(self, run, own_recipes, tmp_path, given):
        with pytest.raises(Refused, match=rf"train it first, with `avsr-bench train dense .*{given}`"):
            run("one-shot", assignments=(given,))
        assert not (tmp_path / "runs").exists()

    def test_one_of_another_state_of_the_corpus_is_refused(self, run, own_recipes, tmp_path):
        folder = run("dense", assignments=())
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
        recipe["run"]["corpus_fingerprint"] = "0123"
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        for given in ((), (f"init.run={folder}",)):
            with pytest.raises(Refused, match="was trained on another state of small"):
                run("one-shot", assignments=given)
        with pytest.raises(Refused, match="was trained on another state of small"):
            run("distilled", assignments=())

    def test_one_that_is_not_finished_is_refused(self, run, own_recipes, tmp_path):
        folder = run("dense", assignments=(), out=tmp_path / "first")
        (folder / "model.safetensors").unlink()
        with pytest.raises(Refused, match="is not finished"):
            run("dense", assignments=(f"init.run={folder}",), out=tmp_path / "second")

    def test_weights_without_a_place_are_refused_and_so_are_other_tokens(self, run, own_recipes, tmp_path):
        folder = run("dense", assignments=("network.layer_scale=0.1",), out=tmp_path / "first")
        with pytest.raises(Refused, match=r"without a place in this network.*network\.layer_scale"):
            run("dense", assignments=(f"init.run={folder}",), out=tmp_path / "second")
        with pytest.raises(Refused, match=r"text\.kind=characters is for new tokens"):
            run("dense", assignments=(f"init.run={folder}", "text.kind=characters"), out=tmp_path / "third")
        run("dense", assignments=(f"init.run={folder}", "init.part=frontend"), out=tmp_path / "fourth")

    def test_a_teacher_changes_nothing_of_what_the_seed_draws(self, run, own_recipes, tmp_path):
        first = run("distilled", assignments=(), out=tmp_path / "first")  # trains its teacher
        second = run("distilled", assignments=(), out=tmp_path / "second")  # finds it
        one, two = weights(first), weights(second)
        assert all(torch.equal(one[name], two[name]) for name in one)

    def test_a_teacher_of_other_tokens_is_refused(self, run, own_recipes, tmp_path):
        teacher = run("dense", assignments=(), out=tmp_path / "teacher")
        content = json.loads((teacher / "tokenizer.json").read_text())
        content["units"][2:-1] = reversed(content["units"][2:-1])
        (teacher / "tokenizer.json").write_text(json.dumps(content))
        with pytest.raises(Refused, match="writes other tokens"):
            run("distilled", assignments=(f"objective.teacher.run={teacher}",), out=tmp_path / "student")


def test_the_rate_rises_and_falls():
    rates = [rate(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1 and rates[-1] < 0.001
    assert all(0 < each <= 1 for each in rates)


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_clips(run, tmp_path):
    with pytest.raises(Refused, match=r"the loss is (nan|inf) after \d+ updates, with the clips train\d+.*train\.lr"):
        run("dense", "train.lr=1000", "train.warmup=0", "train.clip=0", steps=20, out=tmp_path / "run")


@pytest.mark.parametrize(
    "given, message",
    [
        (["train.step=3"], r"unknown setting train\.step\. Did you mean train\.steps\?"),
        (["train.lr=fast"], r"train\.lr = 'fast'"),
        (["train.warmup=2"], "warmup"),
        *(
            ([f"train.{name}={value}"], rf"train\.{name} = .*: it should be a")
            for name, value in (
                *(("devices", 0), ("nodes", 0), ("workers", -1), ("threads", 0), ("lr", -1), ("lr", ".nan")),
                *(("epochs", ".inf"), ("clip", -1), ("steps", 0), ("average", 0), ("validate_every", 0)),
            )
        ),
        (["network.heads=0"], r"network\.heads = 0"),
        (["network.mouth=0"], r"network\.mouth = 0"),
        (["network.dropout=2"], r"network\.dropout = 2"),
        (["method.sparsity=0.5"], r"unknown method\.name ''"),
        (["train.device=cuda"], r"train\.device=cuda: torch sees no GPU here"),
        (["train.log=[wandb]"], r"is not installed: pip install"),
    ],
)
def test_settings_that_are_wrong(run, tmp_path, given, message):
    if "cuda" in given[0] and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(Misused, match=message):
        run("dense", *given, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_system_or_size_that_is_not_there(run):
    with pytest.raises(Misused, match=r"no recipe 'denze' in models/\. Did you mean dense\?"):
        run("denze")
    with pytest.raises(Misused, match=r"--size huge: no such size"):
        run("dense", size="huge")


def test_clips_that_cannot_be_trained_on_are_left_out_with_the_reason(run, tmp_path):
    lengths = lambda number: 2 if number == 3 else 20 + number  # noqa: E731
    small = make_shards(tmp_path / "data" / "odd", {"train": 20, "valid": 2}, length=lengths)
    folder = run("dense", "text.kind=characters", "data.longest=38", data=small.location, steps=2, out=tmp_path / "run")
    reasons = {row["key"]: row["reason"] for row in map(json.loads, (folder / "left_out.jsonl").open())}
    assert reasons == {"train003": "2 frames for 8 tokens", "train019": "39 frames, data.longest is 38"}
    assert any("2 clips are left out" in line for line in run.view.said)
    with pytest.raises(Refused, match=r"train019 has 39 frames \(2 s\), and a batch takes data\.frames=38"):
        run("dense", "data.frames=38", data=small.location, out=tmp_path / "other")
    with pytest.raises(Refused, match=r"15 of the 20 clips .* cannot be trained on .*data\.longest"):
        run("dense", "data.longest=24", data=small.location, out=tmp_path / "third")


def test_a_corpus_without_validation_or_with_another_tokenizer(run, tmp_path):
    small = make_shards(tmp_path / "data" / "bare", {"train": 6})
    with pytest.raises(Refused, match="has no split valid to validate on"):
        run("dense", data=small.location, out=tmp_path / "run")
    first = run("dense", steps=1, out=tmp_path / "first")
    other = make_shards(tmp_path / "data" / "other", {"train": 6, "valid": 1}, text=lambda number: "entirely else")
    with pytest.raises(Refused, match=r"would become <unk>"):
        run("dense", f"init.run={first}", data=other.location, out=tmp_path / "second")


def test_a_run_is_not_resumed_on_another_state_of_its_corpus(run, tmp_path):
    from avsr_bench.training.signals import Stopped

    def stop(step):
        raise Stopped(2)

    with pytest.raises(Stopped):
        run("dense", out=tmp_path / "run", act=stop)
    other = make_shards(tmp_path / "small", {"train": 19, "valid": 5})
    with pytest.raises(Refused, match="was trained on another state of small"):
        run("dense", data=other.location, out=tmp_path / "run", resume=True)


def test_a_disk_that_is_full_keeps_what_is_there(corpus, tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    command = [sys.executable, "-m", "avsr_bench", "train", "dense", "--data", corpus.location, "--size", "tiny"]
    command += ["--out", "run", *small("network.width=32", "train.steps=3", "train.save_minutes=0")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=small_files)
    assert done.returncode == 1, done.stderr
    assert "last.ckpt" in done.stderr and "there is none to resume from yet" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("avsr-bench: cannot write run/model.safetensors")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "run").glob(".*.tmp"))


def test_a_network_that_the_machine_cannot_hold_is_refused_before_it_is_made(corpus, tmp_path):
    limit = """if True:
        import resource, sys
        import avsr_bench.training.job, avsr_bench.cli
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, now + 2**30))
        avsr_bench.cli.main()
    """
    words = ["train", "dense", "--data", corpus.location, "--size", "large", "--out", "run", "train.device=cpu"]
    command = [sys.executable, "-c", limit, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "parameters takes at least 4.0 GB while it trains, and 1.1 GB are free" in done.stderr
    assert not (tmp_path / "run").exists()


def test_memory_that_runs_out_in_training_is_one_line(run, tmp_path):
    with pytest.raises(Refused, match=r"run: memory ran out: start again, in another --out, with smaller batches"):
        run("dense", out=tmp_path / "run", act=lambda step: torch.empty(2**50))


@pytest.mark.parametrize("section", ["method", "augment", "loss", "data"])
def test_a_section_of_a_run_that_is_none_is_refused(run, tmp_path, section):
    folder = run("dense", out=tmp_path / "first", steps=1)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe | {section: ["a"]}))
    with pytest.raises(Refused, match=rf"recipe\.yaml: {section} is no section: it is damaged or of another version"):
        run("rigl", f"init.run={folder}", "method.every=2", out=tmp_path / "second")


@pytest.mark.slow
def test_two_processes_train_one_network(corpus, tmp_path):
    command = [sys.executable, "-m", "avsr_bench", "train", "dense", "--data", corpus.location, "--size", "tiny"]
    command += ["--out", "run", *small("train.steps=6", "train.device=cpu", "train.devices=2")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert len(rows) == 6 and all(math.isfinite(float(row["loss"])) for row in rows)
    assert runs.open_run(tmp_path / "run").load()


def test_what_falls_below_zero_is_in_the_picture(tmp_path):
    rows = "".join(f"{step},{-step / 100}\n" for step in range(1, 50))
    (tmp_path / "metrics.csv").write_text(f"update,penalty\n{rows}")
    (path,) = draw(tmp_path)
    picture = cv2.imread(str(path)).astype(int)
    assert (picture.max(2) - picture.min(2) > 60).sum() > 500  # pixels of a coloured line; all else is grey


@pytest.mark.slow
def test_two_processes_that_were_stopped_go_on_as_if_nothing_had_happened(corpus, tmp_path):
    command = [sys.executable, "-m", "avsr_bench", "train", "dense", "--data", corpus.location, "--size", "tiny"]
    command += [*small("train.steps=60", "train.device=cpu", "train.devices=2"), "--resume", "--out"]
    ask = {"cwd": tmp_path, "capture_output": True, "text": True, "check": False, "timeout": PATIENCE}
    whole = subprocess.run([*command, "whole"], **ask)
    assert whole.returncode == 0, whole.stderr
    figures = tmp_path / "parts/metrics.csv"
    stopped = subprocess.Popen([*command, "parts"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not figures.is_file() or figures.read_text().count("\n") < 6:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(PATIENCE) == 143 and (tmp_path / "parts/last.ckpt").is_file()
    rest = subprocess.run([*command, "parts"], **ask)
    assert rest.returncode == 0 and "resuming" in rest.stderr, rest.stderr
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(one[name], two[name]) for name in one)
