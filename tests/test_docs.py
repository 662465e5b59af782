"""Every command in the README and the docs is run as it stands there, in one empty folder, page by page."""

import dataclasses
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import warm
from mouths import make_shards
from small_runs import small_network, small_run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Commands that need what a test machine has not: a corpus of the user's, another machine.
NOT_HERE = re.compile(r"\b(DIR|RUN|ENHANCER|FILE|VIDEO|NAME|ROW)\b|lrs[23]|\.\.\.|--address|--workers N")
# What keeps a command short: clips of two speakers in each split, two updates, one validation, conditions of two clips.
SHORTER = {
    "prep": ("--limit", "22"),
    "train": ("train.steps=2", "train.validate_every=2"),
    "robustness": ("--limit", "2"),
}
# What a command trains first where it is missing, and would train in full.
FIRST = {"avsr-bench train usr": "avsr-bench train usr-labelled"}


def commands(page):
    blocks = re.findall(r"(?:^    .*\n?)+|^```(?:sh|bash|console)\n.*?^```", page.read_text(), re.M | re.S)
    lines = (
        line.strip().partition("#")[0].strip().removeprefix("$ ") for block in blocks for line in block.splitlines()
    )
    return [line for line in lines if line.startswith("avsr-bench ") and not NOT_HERE.search(line)]


def to_run():
    """The README, and pages that have a command which is not in it."""
    return [page for page in PAGES if page == PAGES[0] or set(commands(page)) - set(commands(PAGES[0]))]


def run(command, folder):
    """A command as it stands on a page, made short."""
    words = shlex.split(command)
    shorter = SHORTER.get(words[1], ())
    words += [] if set(words) & set(shorter) else shorter
    done = subprocess.run(
        [*warm.avsr(), *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, worker_id):
    """A folder after the command that most pages begin with: there it runs again, and finds its work done.

    Of the processes that test, one makes it.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "docs"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made/data").exists():
            (folder / "made").mkdir(exist_ok=True)
            run("avsr-bench prep synth", folder / "made")
    return folder / "made"


@pytest.mark.parametrize("page", to_run(), ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, tmp_path, request):
    if "avsr-bench prep synth" in commands(page):
        shutil.copytree(request.getfixturevalue("prepared"), tmp_path, dirs_exist_ok=True)
    for command in commands(page):
        if command in FIRST:
            run(FIRST[command], tmp_path)
        run(command, tmp_path)


def test_there_are_commands_to_run():
    assert len([command for page in PAGES for command in commands(page)]) >= 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_promise_of_reliability_has_the_test_that_it_names():
    rows = [row for row in (ROOT / "docs/reliability.md").read_text().splitlines() if row.startswith("| ")]
    promises = [row for row in rows if "`tests/" in row]
    assert len(promises) > 30
    for row in promises:
        for name in re.findall(r"`(tests/[^`]+)`", row):
            path, _, function = name.partition("::")
            assert (ROOT / path).is_file(), name
            assert f"def {function}(" in (ROOT / path).read_text() or not function, name


def test_every_reason_is_explained():
    from avsr_bench.records import REASONS

    rows = (ROOT / "docs/prep.md").read_text()
    for code, (_, meaning) in REASONS.items():
        assert f"| `{code}` | {meaning} |" in rows


def rows_of(page):
    """The cells of every row of a page's tables, by the name in its first cell."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", (ROOT / "docs" / page).read_text(), re.M)
    return {name: [cell.strip() for cell in re.split(r"(?<!\\)\|", cells)] for name, cells in rows}


def written(value):
    """A default as the tables write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(written, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}" if value >= 1e-3 else f"{value:.10f}".rstrip("0").rstrip(".")
    return "none" if value is None or value == {} else str(value)


def defaults(settings, prefix=""):
    """Every setting of a dataclass with its default, sections gone into."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from defaults(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, written(value)


def check_settings(page, expected):
    """Every setting stands in a table of its page with its default, and no other of these sections does."""
    rows = rows_of(page)
    assert {name: rows.get(name, [""])[0] for name in expected} == expected
    sections = {name.partition(".")[0] for name in expected}
    assert {name for name in rows if name.partition(".")[0] in sections} == expected.keys()


def test_every_setting_of_prep_is_in_its_page_with_its_default():
    from avsr_bench.prep.recipe import PrepSettings

    # What stands under `train` is for the verb of that name.
    expected = {name: value for name, value in defaults(PrepSettings()) if not name.startswith("train.")}
    check_settings("prep.md", expected)


def test_every_setting_of_train_is_in_its_page_with_its_default():
    from avsr_bench.objectives import OBJECTIVES
    from avsr_bench.training.recipe import TrainRecipe

    expected = dict(defaults(TrainRecipe()))
    del expected["objective"]
    expected["objective.name"] = "recognise"
    for entry in OBJECTIVES.values():
        expected |= {f"objective.{name}": default for name, default in defaults(entry.settings())}
    check_settings("train.md", expected)


def test_every_setting_of_a_method_is_in_its_page_with_its_default():
    from avsr_bench.methods import METHODS

    def settings(method):
        return {f"method.{name}": value for name, value in defaults(METHODS[method].settings())}

    assert {name: cells[0] for name, cells in rows_of("msrs.md").items()} == settings("msrs")
    lines = (ROOT / "docs/zoo.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| setting |"))
    columns = [cell.strip() for cell in head.strip("|").split("|")][1:-1]
    rows = {name: cells for name, cells in rows_of("zoo.md").items() if name.startswith("method.")}
    named = {name for column in columns for name in column.split(", ")}
    assert named | {"msrs", "int8"} == METHODS.keys()
    for place, column in enumerate(columns):
        table = {name: cells[place] for name, cells in rows.items() if cells[place]}
        for method in column.split(", "):
            assert settings(method) == table, method


def test_every_system_is_in_the_zoo():
    from avsr_bench import recipes

    page = (ROOT / "docs/zoo.md").read_text()
    table = page[page.index("| system |") : page.index("## What is prunable")]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.M)) == sorted(recipes.names("models"))


def test_the_rooms_stand_on_the_floors_that_are_checked():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    page = (ROOT / "docs/architecture.md").read_text()
    floors = {room: int(floor) for floor, room in re.findall(r"^\| (\d) \| `(\w+)` \|", page, re.M)}
    assert floors.keys() == {room for layer in layers for room in layer} - {"__main__"}
    found = [{floors[room] for room in layer} for layer in layers[1:]]
    assert all(len(floor) == 1 for floor in found), found
    assert [max(floor) for floor in found] == sorted((max(floor) for floor in found), reverse=True)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A prepared corpus and a run on it, in the working directory."""
    import torch

    monkeypatch.chdir(tmp_path)
    make_shards(tmp_path / "data/small", {"train": 8, "valid": 3, "test": 6})
    small_run(tmp_path / "runs/small/dense-tiny-s0", small_network())
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_blocks_of_the_python_page_run(small, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.S)
    names = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert len(blocks) == 10
    assert names["blurred"].shape == names["mouth"].shape and (names["blurred"] != names["mouth"]).any()
    assert names["log_probs"].shape[0] == 4 and names["losses"].total > 0
    assert [len(hypotheses) for hypotheses in names["found"]] == [3] * 4
    assert names["sums"]["wer"].length == 8
    assert (names["folder"] / "model.safetensors").is_file()
    assert "REF: bin blue at" in capsys.readouterr().out


def test_the_numbers_of_the_readme_come_from_files_of_the_repository():
    readme = (ROOT / "README.md").read_text()
    measured = [ROOT / "benchmarks/RESULTS.md", ROOT / "leaderboards/README.md", ROOT / "docs/msrs.md"]
    known = "\n".join(path.read_text() for path in [*measured, *(ROOT / "tests/nn").glob("*.py")])
    known = known.replace("_", ",")  # 250_383_410 of a test
    figures = re.findall(r"\d[\d.,]*\d ?%|\d+ ?%|\d+(?:,\d{3})+|\d+\.\d+(?= to )", readme)
    assert len(figures) > 5
    assert not [figure for figure in figures if not re.search(rf"(?<![\d.,]){re.escape(figure)}", known)]
    shown = [line for line in readme.splitlines() if re.match(r" {4}(WER|CER|words:|REF:|HYP:) ", line)]
    assert shown and all(line in known for line in shown)
