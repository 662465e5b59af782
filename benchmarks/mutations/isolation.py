"""One command in a process of its own, in a folder of its own, and how it ended.

A command costs what it does and not its imports: a server imports all that is heavy, stays single-threaded, and forks a
child for each case. `prep` and `validate` start their workers from one fork server, which the children share.
"""

from __future__ import annotations

import functools
import gc
import importlib
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import typer

from .mutate import OUTSIDE

CPU_SECONDS = 30  # a good file takes 1 to 3; of the processor's time, so that a busy machine fails none
WALL_SECONDS = 240  # for what waits and does not work; two time limits of a clip in `prep` are 120
MEMORY = 2 << 30  # bytes that a command may hold beyond the imports
ADDRESSES = 6 << 30  # ... and may ask for; a thread's stack and a memory map count here
FILE_BYTES = 256 << 20
LINES = 12  # on standard error, progress among them; more is a flood

HEAVY = (  # what commands import
    *("avsr_bench.prep.job", "avsr_bench.prep.inspect", "avsr_bench.prep.sheet", "avsr_bench.prep.validate"),
    *(
        "avsr_bench.training.job",
        "avsr_bench.labelling",
        "avsr_bench.evaluation",
        "avsr_bench.robustness",
        "avsr_bench.transcribe.files",
    ),
    *("avsr_bench.importing", "avsr_bench.export", "avsr_bench.leaderboard", "avsr_bench.noise_video.sheet"),
    *("avsr_bench.noise_video.video", "multiprocessing.popen_forkserver", "fsspec.implementations.chained"),
    *("fsspec.implementations.local", "safetensors.torch", "sentencepiece", "torchaudio.functional"),
    *("torch.utils.serialization.config", "pydantic.dataclasses", "annotated_types"),
    *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("mediapipe.tasks.python.vision.face_detector", "mediapipe.python.solutions.face_detection"),
)
PRELOADED = ("avsr_bench.prep.job", "avsr_bench.prep.validate", "mediapipe", "av")


@dataclass(frozen=True)
class Ended:
    """How a process ended, what it said, and what it took."""

    code: int  # negative: of the signal
    out: str
    err: str
    seconds: float  # of the processor
    bytes: int  # held at most, imports included
    late: bool  # ended by us, after `WALL_SECONDS`


def warm_up() -> None:
    """Import what commands import, and start nothing that a fork would break."""
    for name in HEAVY:
        importlib.import_module(name)
    # It would build all commands anew for each: 25 ms, a tenth of a case.
    typer.main.get_command = functools.cache(typer.main.get_command)
    with redirect_stdout(io.StringIO()):
        command_line(["list"])  # what is imported while a command line is parsed
    forkserver.set_forkserver_preload(list(PRELOADED))
    resource_tracker.ensure_running()
    forkserver.ensure_running()
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads > 1:
        raise RuntimeError(f"{threads} threads run after the imports: a fork would lose all but one")
    gc.collect()
    gc.freeze()


def held_bytes() -> int:
    """What this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def command_line(words: Sequence[str]) -> int:
    """`avsr-bench` with these words; the exit code."""
    from avsr_bench.cli import main

    sys.argv = ["avsr-bench", *words]
    try:
        main()
    except SystemExit as asked:
        return asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:  # noqa: BLE001  what Python itself would do at the top
        traceback.print_exc()
        return 1
    return 0


def run(work: Callable[[], int], folder: Path, said: Path, limited: bool = True) -> Ended:
    """`work` in a child whose working directory is `folder`; what it says goes to files beside `said`."""
    out, err = said.with_suffix(".out"), said.with_suffix(".err")
    child = os.fork()
    if child == 0:
        try:
            _settle(folder, out, err, limited)
            code = work()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:  # noqa: BLE001  of the harness itself
            traceback.print_exc()
            sys.stderr.flush()
            code = 99
        os._exit(code)
    late = _outlived(child)
    if late:
        os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    with suppress(ProcessLookupError):  # whatever it started and did not end
        os.killpg(child, signal.SIGKILL)
    return Ended(
        os.waitstatus_to_exitcode(status),
        out.read_text(errors="replace"),
        err.read_text(errors="replace"),
        used.ru_utime + used.ru_stime,
        used.ru_maxrss * 1024,
        late,
    )


def _outlived(child: int) -> bool:
    handle = os.pidfd_open(child)
    try:
        return not select.select([handle], [], [], WALL_SECONDS)[0]
    finally:
        os.close(handle)


def _settle(folder: Path, out: Path, err: Path, limited: bool) -> None:
    """In the child: its own group, its own folder, its own limits."""
    os.setsid()
    for number, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        handle = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  as Python opens them
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ |= {"HOME": str(folder.parent / "home"), "TMPDIR": str(folder.parent / "tmp"), "COLUMNS": "120"}
    # Ours, and of another process' children: it is there, and this child may not wait for it.
    forkserver.ensure_running = forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if limited:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + ADDRESSES, now + ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def build(template: Path, place: Path) -> Path:
    """A copy of the template, with files round it that nobody may touch."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place / "world")
    for name in ("decoy/kept.txt", "outside", "home/kept.txt", "tmp/kept.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("not yours\n")
    return place / "world"


def restore(template: Path, world: Path, names: Sequence[str]) -> None:
    """Put back what a case may have changed: files and folders, or nothing where the template has nothing."""
    for name in names:
        stale, good = world / name, template / name
        if stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale)
        else:
            stale.unlink(missing_ok=True)
        if good.is_dir():
            shutil.copytree(good, stale)
        elif good.is_file():
            shutil.copy(good, stale)


def listing(place: Path, leaving_out: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Every file and folder of a place, but for what a command may write.

    Of a file its kind, size, number and the kernel's time of its last change, which no program can set back.
    """
    found: dict[str, tuple[int, ...]] = {}
    out, folders = {str(path) for path in leaving_out}, [str(place)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.path in out:
                    continue
                about = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    found[entry.path] = (about.st_mode,)
                else:
                    found[entry.path] = (about.st_mode, about.st_size, about.st_ino, about.st_ctime_ns)
    if Path(OUTSIDE).exists():
        found[OUTSIDE] = ()
        shutil.rmtree(OUTSIDE)
    return found


def touched(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> list[str]:
    """What was made, changed or removed between two listings."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


UNFORESEEN = re.compile(r"\bfailed\b\W+(?:detail\W+)?(\w+(?:Error|Exception|Exit|Iteration)\b.{0,200})")


def judge(ended: Ended, unforeseen: str, wrote: list[str], warm: int) -> tuple[str, str]:
    """A verdict, "" where all is as it should be, and what speaks for it."""
    last = (ended.err.strip().splitlines() or [""])[-1]
    if ended.late or ended.code == -signal.SIGXCPU:
        return "hang", f"{ended.seconds:.0f} s of the processor: {last}"
    if ended.code < 0:
        return "crash", f"{signal.Signals(-ended.code).name}: {last}"
    if "MemoryError" in ended.err or ended.bytes > warm + MEMORY:
        return "memory", f"{ended.bytes / 1e9:.1f} GB held: {last}"
    if "Traceback (most recent call last)" in ended.err:
        return "traceback", f"{last} {_where(ended.err)}"
    if unforeseen or (found := UNFORESEEN.search(ended.out + ended.err)):
        return "unforeseen", unforeseen or found[1]  # type: ignore[index]
    if wrote:
        return "touched", ", ".join(wrote[:5])
    if ended.code not in (0, 1, 2):
        return "exit code", f"{ended.code}: {last}"
    if ended.code and not (ended.err.strip() or ended.out.strip()):
        return "silent", f"exit code {ended.code} and not a line"
    if len(ended.err.splitlines()) > LINES:
        return "flood", f"{len(ended.err.splitlines())} lines on standard error, the last: {last}"
    return "", last


def _where(err: str) -> str:
    """The innermost line of ours in a traceback."""
    ours = re.findall(r'File "[^"]*?(avsr_bench/[^"]+)", line (\d+)', err)
    return f"({ours[-1][0]}:{ours[-1][1]})" if ours else ""


def unforeseen_in(*folders: Path) -> str:
    """What `prep` wrote down as the machine's: an error, a worker that crashed, a clip that took too long."""
    for path in (folder / "skipped.jsonl" for folder in folders):
        if not path.is_file():
            continue
        for line in path.read_bytes().splitlines():
            try:
                reason = json.loads(line)["reason"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if isinstance(reason, dict) and reason.get("code") in (
                "failed",
                "worker-died",
                "time-limit",
                "out-of-memory",
            ):
                return f"{reason['code']}: {reason.get('detail')}"
    return ""
