"""Work for engine tests, in a module that worker processes can import."""

import os
import signal
import time
from pathlib import Path


def work(folder, task, limit):
    """Do as the task says."""
    mark(folder, task)
    tries = len(list(folder.glob(f"{task}-*")))
    if task == "segfault":
        time.sleep(0.2 * (tries - 1))  # room for others to begin in, if the second try were not alone
        mark(folder, "segfault.end")
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
    mark(folder, f"{task}.end")
    return task.upper()


def mark(folder, what):
    """Leave behind that this happened, in which process, and when: the clock is the same for all of them."""
    (folder / f"{what}-{os.getpid()}-{time.monotonic_ns()}").touch()
