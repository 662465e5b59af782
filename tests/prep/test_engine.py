"""Workers that really crash, hang and are killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial

import engine_work
import pytest
from patience import PATIENCE

from avsr_bench.prep.engine import run_local
from avsr_bench.records import Reason

TASKS = [f"t{number}" for number in range(20)]


def run(tmp_path, tasks, workers=2):
    return list(run_local(partial(engine_work.work, tmp_path), tasks, workers))


def test_results_come_in_the_order_of_the_tasks(tmp_path):
    assert run(tmp_path, TASKS) == [task.upper() for task in TASKS]


def test_no_tasks():
    assert list(run_local(partial(engine_work.work, None), [], 2)) == []


@pytest.mark.parametrize(
    ("task", "code", "says"),
    [
        ("segfault", "worker-died", "SIGSEGV"),
        ("exit", "worker-died", "exit code 3"),
        ("killed", "worker-died", "memory"),
        ("hangs", "time-limit", "60 s"),
        ("memory", "out-of-memory", "memory"),
        ("error", "failed", "ValueError: several lines (engine_work.py:"),
    ],
)
def test_one_bad_task_costs_itself_and_nothing_else(tmp_path, task, code, says):
    tasks = [*TASKS[:7], task, *TASKS[7:]]
    results = run(tmp_path, tasks)
    reason = results.pop(7)
    assert isinstance(reason, Reason)
    assert (reason.code, reason.kind) == (code, "machine")
    assert says in reason.detail
    assert results == [t.upper() for t in TASKS]
    tries = len(list(tmp_path.glob(f"{task}-*")))
    assert tries == (2 if code in ("worker-died", "time-limit") else 1)


def test_a_worker_that_died_by_bad_luck_is_forgiven(tmp_path):
    assert run(tmp_path, [*TASKS, "once"]) == [task.upper() for task in [*TASKS, "once"]]


def test_many_deaths_at_once(tmp_path):
    tasks = ["segfault", "t1", "hangs", "t2", "killed", "once", "t3"]
    results = run(tmp_path, tasks, workers=4)
    assert [getattr(result, "code", result) for result in results] == [
        "worker-died", "T1", "time-limit", "T2", "worker-died", "ONCE", "T3",
    ]  # fmt: skip


def test_the_second_try_is_alone(tmp_path):
    """While a task that died is tried again nothing else is in hand: all that began has ended, and nothing begins."""
    run(tmp_path, ["t0", "segfault", *TASKS[1:]], workers=2)
    began, ended = {}, {}
    for path in tmp_path.iterdir():
        name, _, moment = path.name.split("-")
        (ended if name.endswith(".end") else began).setdefault(name.removesuffix(".end"), []).append(int(moment))
    first, start = sorted(began.pop("segfault"))
    end = max(ended.pop("segfault"))
    assert first < start < end
    assert all(ended[task][0] < start or begun > end for task, (begun,) in began.items())
    assert any(begun > end for (begun,) in began.values())


def test_leaving_early_leaves_no_process_behind(tmp_path):
    before = set(multiprocessing.active_children())
    results = run_local(partial(engine_work.work, tmp_path), (f"t{number}" for number in range(10**6)), 2)
    assert next(results) == "T0"
    results.close()
    assert set(multiprocessing.active_children()) <= before


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    code = f"""
        import functools, os, sys
        sys.path.insert(0, {os.path.dirname(engine_work.__file__)!r})
        import engine_work
        from pathlib import Path
        from avsr_bench.prep.engine import run_local
        if __name__ == "__main__":
            for number, _ in enumerate(run_local(functools.partial(engine_work.work, Path(sys.argv[1])), (f"t{{n}}" for n in range(10**6)), 2)):
                if number == 5:
                    os.kill(os.getpid(), {int(signal.SIGKILL)})
    """  # noqa: PTH120, E501
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    folder = tmp_path / "folder"
    folder.mkdir()
    done = subprocess.run([sys.executable, script, folder], timeout=PATIENCE, check=False)
    assert done.returncode == -signal.SIGKILL
    pids = {int(path.name.split("-")[1]) for path in folder.iterdir()}
    deadline = 100
    while deadline and any(_alive(pid) for pid in pids):
        deadline -= 1
        signal.sigtimedwait([], 0.1)
    assert deadline, "workers outlived their parent"


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
