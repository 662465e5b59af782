"""Our commands as processes without their start: forked from one that has imported what they import.

A command imports torch and the rest for three seconds of a processor; a board runs one to sixty of them, a fork takes
20 ms. The words of `Forks` start a client, which is what its parent sees: it hands its folder, environment and streams
to the fork, passes signals on, holds what its parent gave it open, and ends as the fork ends.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PLAIN = (sys.executable, "-m", "avsr_bench")
SERVER = "avsr_bench.workflow.fork_server"
CLIENT = Path(__file__).with_name("fork_client.py")
# What the stages of a board import.
IMPORTED = ("avsr_bench.cli", "avsr_bench.prep.job", "avsr_bench.training.job", "avsr_bench.robustness.job")


class Forks:
    """The server, from which processes are forked until it is closed or whoever made it is gone.

    Where a process like this one cannot be forked, its words start each command as a user starts it.
    """

    def __init__(self, imported: Sequence[str] = IMPORTED) -> None:
        self.words: tuple[str, ...] = PLAIN
        self.server: subprocess.Popen[bytes] | None = None
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="avsr-bench-"))
        except OSError:  # no room
            return
        place = str(self.folder / "socket")
        self.server = subprocess.Popen(
            [sys.executable, "-m", SERVER, place, *imported],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the commands, and reaches them through their clients
        )
        assert self.server.stdout is not None
        if self.server.stdout.readline() == b"ready\n":
            self.words = (sys.executable, "-I", "-S", str(CLIENT), place)
        else:
            shutil.rmtree(self.folder)

    def close(self) -> None:
        """No more commands; those that run go on."""
        if self.server is None:
            return
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.close()
        self.server.stdout.close()
        if self.server.poll() is not None:  # it was killed
            shutil.rmtree(self.folder, ignore_errors=True)
