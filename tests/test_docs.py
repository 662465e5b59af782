"""Every command in the README and the docs is run as it stands there, in one empty folder, page by page."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Commands that need what a test machine has not: a corpus of the user's, another machine.
NOT_HERE = re.compile(r"\bDIR\b|lrs[23]|\.\.\.|--address|VIDEO|--workers N")


def commands(page):
    blocks = re.findall(r"(?:^    .*\n?)+|^```(?:sh|bash|console)\n.*?^```", page.read_text(), re.M | re.S)
    lines = (
        line.strip().partition("#")[0].strip().removeprefix("$ ") for block in blocks for line in block.splitlines()
    )
    return [line for line in lines if line.startswith("avsr-bench ") and not NOT_HERE.search(line)]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, tmp_path):
    for command in commands(page):
        words = shlex.split(command)
        if words[1] == "prep" and "--limit" not in words:
            words += ["--limit", "4"]
        done = subprocess.run(
            [sys.executable, "-m", "avsr_bench", *words[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "100"},
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_there_are_commands_to_run():
    assert len([command for page in PAGES for command in commands(page)]) >= 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_reason_is_explained():
    from avsr_bench.records import REASONS

    rows = (ROOT / "docs/prep.md").read_text()
    for code, (_, meaning) in REASONS.items():
        assert f"| `{code}` | {meaning} |" in rows


def test_every_setting_is_in_the_page():
    from avsr_bench import recipes
    from avsr_bench.prep.recipe import PrepSettings

    page = (ROOT / "docs/prep.md").read_text()
    for name in recipes._dotted_names(PrepSettings):
        assert f"`{name}`" in page or name.startswith("train."), name
