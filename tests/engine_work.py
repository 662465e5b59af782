"""Work for engine tests, in a module that worker processes can import."""

import os
import signal
import time
from pathlib import Path


def work(folder, task, limit):
    """Do as the task says."""
    with (folder / f"{task}-{os.getpid()}-{time.monotonic_ns()}").open("w"):
        pass
    tries = len(list(folder.glob(f"{task}-*")))
    if task == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "exit":
        os._exit(3)
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "once" and tries == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "hangs":
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # what `limit` does, without the wait of a minute
        while True:
            pass
    if task == "memory":
        raise MemoryError
    if task == "error":
        raise ValueError("several\nlines")
    if task == "alone":
        Path(folder / "alone").touch()
    time.sleep(0.01)
    return task.upper()
