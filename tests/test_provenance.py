import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from avsr_bench import provenance

ROOT = Path(__file__).parents[1]
RELEASED = f"avsr-bench {version('avsr-bench')}"


def test_the_commit_is_that_of_this_checkout():
    if not (ROOT / ".git").exists():
        assert provenance.commit() == RELEASED
        return
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert re.fullmatch(re.escape(head.stdout.strip()) + "(-dirty)?", provenance.commit())


@pytest.mark.parametrize(
    ("file", "behind"),
    [
        ("avsr_bench/a.py", "-dirty"),
        ("leaderboards/board.yaml", "-dirty"),
        ("leaderboards/README.md", ""),
        ("leaderboards/results/synth/dense-tiny-s0/recipe.yaml", ""),
        ("new", ""),
    ],
)
def test_changed_code_makes_a_commit_dirty_and_a_written_page_does_not(file, behind, tmp_path, monkeypatch):
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    recipe = "leaderboards/results/synth/dense-tiny-s0/recipe.yaml"
    for name in ("avsr_bench/a.py", "leaderboards/board.yaml", "leaderboards/README.md", recipe, "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("before")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run([*git, *words], check=True)
    (tmp_path / file).write_text("after")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "avsr_bench")
    provenance.commit.cache_clear()
    assert re.fullmatch(f"[0-9a-f]{{40}}{behind}", provenance.commit())
    provenance.commit.cache_clear()


def test_a_package_in_somebody_elses_checkout_has_its_version(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGE", ROOT / "avsr_bench" / "nn")
    provenance.commit.cache_clear()
    assert provenance.commit() == RELEASED
    provenance.commit.cache_clear()


def test_the_processor_has_a_name():
    assert provenance.device_name("cpu")
