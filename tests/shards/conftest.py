import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("small_run.py")


@pytest.fixture(scope="session")
def small():
    """The functions of small_run.py."""
    spec = importlib.util.spec_from_file_location("small_run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def start():
    """Start small_run.py as a process of its own."""

    def start(*arguments, command=(sys.executable, str(SCRIPT))):
        return subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start
