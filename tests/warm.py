"""`avsr-bench` as a process of its own without its seconds of imports: forked, as the stages of a board are.

    subprocess.run([*warm.avsr(), "evaluate", ...])      in place of      [sys.executable, "-m", "avsr_bench", ...]

Tests of the start itself, of locales, of limits and of memory, and of who is killed, start `python -m avsr_bench`.
"""

import functools
import pkgutil

import avsr_bench
from avsr_bench.workflow.forks import Forks


@functools.cache
def forks():
    """One server for each process that tests; it ends with that process."""
    modules = (module.name for module in pkgutil.walk_packages(avsr_bench.__path__, "avsr_bench."))
    return Forks(["torch._dynamo", *(name for name in modules if not name.endswith(("__main__", "fork_server")))])


def avsr():
    """The words that stand for `avsr-bench`."""
    return forks().words
