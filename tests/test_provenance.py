import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from avsr_bench import provenance

ROOT = Path(__file__).parents[1]
RELEASED = f"avsr-bench {version('avsr-bench')}"


def test_the_commit_is_that_of_this_checkout():
    if not (ROOT / ".git").exists():
        assert provenance.commit() == RELEASED
        return
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert re.fullmatch(re.escape(head.stdout.strip()) + "(-dirty)?", provenance.commit())


def test_a_package_in_somebody_elses_checkout_has_its_version(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGE", ROOT / "avsr_bench" / "nn")
    provenance.commit.cache_clear()
    assert provenance.commit() == RELEASED
    provenance.commit.cache_clear()


def test_the_processor_has_a_name():
    assert provenance.device_name("cpu")
