"""Cases by number: which file is damaged how, read by which command, and what became of it."""

from __future__ import annotations

import json
import os
import random
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from . import isolation, world
from .kinds import KINDS, Command, Target
from .mutate import mutate

KEPT = Path(tempfile.gettempdir()) / "mutations-kept"
ENVIRONMENT = {  # one thread each, and none that waits: a fork keeps only the thread that forks
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "PASSIVE",
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
}


@dataclass(frozen=True)
class Outcome:
    """One case: what was done to which file, the command, and how it ended; `verdict` is empty where all is well."""

    kind: str
    seed: int | None
    number: int
    path: str
    damage: str
    command: str
    verdict: str
    why: str
    code: int
    seconds: float  # of the processor
    megabytes: int  # at most, imports included


Case = tuple[str, int]  # a kind, and a number


def good_files(scratch: Path) -> Path:
    """The folder of the good files, made on the first call."""
    template = scratch / "template"
    if not template.is_dir():
        _server({"make": str(template)}, scratch).wait()
    if not template.is_dir():
        raise RuntimeError("the good files could not be made: see above")
    return template


def run_cases(
    scratch: Path, cases: Sequence[Case], seed: int | None, jobs: int, keep: Path = KEPT, show: bool = False
) -> Iterator[Outcome]:
    """The outcomes of some cases as they come, from several servers; the good files are made in `scratch` once.

    Without a seed nothing is damaged, and the numbers of a kind go through all its files and commands.
    """
    template = good_files(scratch)
    asked = {"template": str(template), "keep": str(keep), "seed": seed, "show": show}
    servers = [
        _server({**asked, "place": str(scratch / f"case{job}"), "cases": cases[job::jobs]}, scratch)
        for job in range(min(jobs, len(cases)))
    ]
    with selectors.DefaultSelector() as waiting:
        for server in servers:
            waiting.register(server.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        while waiting.get_map():
            for ready, _ in waiting.select():
                line = ready.fileobj.readline()  # type: ignore[union-attr]
                if line:
                    yield Outcome(**json.loads(line))
                else:
                    waiting.unregister(ready.fileobj)
    if any(server.wait() for server in servers):
        raise RuntimeError("a server of cases ended before its time: see above")


def _server(order: dict[str, object], scratch: Path) -> subprocess.Popen[bytes]:
    # Not `-m`: workers of `prep` would import the main module of a program once more.
    command = [sys.executable, "-c", "from benchmarks.mutations.cases import serve; serve()"]
    environment = {**os.environ, **ENVIRONMENT, "MPLCONFIGDIR": str(scratch / "matplotlib")}
    (scratch / "matplotlib").mkdir(exist_ok=True)
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0)
    assert server.stdin is not None
    with server.stdin as orders:
        orders.write(json.dumps(order).encode())
    return server


def serve() -> None:
    """In a server: make the good files, or run cases and print their outcomes."""
    order = json.load(sys.stdin)
    isolation.warm_up()
    if "make" in order:
        unfinished = Path(order["make"] + ".unfinished")
        world.make_world(unfinished)
        unfinished.rename(order["make"])
        return
    template, place, keep = Path(order["template"]), Path(order["place"]), Path(order["keep"])
    warm = isolation.held_bytes()
    for kind, number in order["cases"]:
        outcome = run_case(template, place, kind, order["seed"], number, keep, warm, order["show"])
        print(json.dumps(asdict(outcome)), flush=True)


def undamaged(kind: str) -> list[Case]:
    """The cases that show that good files pass."""
    return [(kind, number) for number in range(len(_readings(kind)))]


def _readings(kind: str) -> list[tuple[Target, Command]]:
    """Every file of a kind with every command that reads it."""
    return list(dict.fromkeys((target, command) for target in KINDS[kind] for command in target.commands))


def pick(kind: str, seed: int, number: int) -> tuple[Target, Command, random.Random]:
    """The file and the command of a case, and the draws for the damage."""
    draw = random.Random(f"{kind}/{seed}/{number}")
    target = draw.choice(KINDS[kind])
    return target, draw.choice(target.commands), draw


def run_case(
    template: Path, place: Path, kind: str, seed: int | None, number: int, keep: Path, warm: int, show: bool
) -> Outcome:
    """Damage a file, run the command, judge. The file and what was said are kept where something went wrong."""
    if seed is None:
        target, command = _readings(kind)[number]
        damaged, how = (template / target.path).read_bytes(), "none"
    else:
        target, command, draw = pick(kind, seed, number)
        good = (template / target.path).read_bytes()
        other = (template / draw.choice(KINDS[kind]).path).read_bytes()
        damaged, how = mutate(good, target.form, other, draw)
    outcome, said = read(template, place, target.path, damaged, command, warm)
    if seed is None and outcome[2] != 0 and not outcome[0]:
        outcome = ("refused", *outcome[1:])
    if outcome[0] or show:
        kept = keep / f"{kind}-{seed}-{number}"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        (kept / Path(target.path).name).write_bytes(damaged)
        (kept / "said.txt").write_text(
            f"avsr-bench {command.words}\n{target.path}: {how}\n{outcome[:2]}\n--\n{said}", errors="replace"
        )
        if show:
            print(f"{kept}:\n{said}", file=sys.stderr)
    verdict, why, code, seconds, held = outcome
    return Outcome(
        kind, seed, number, target.path, how, command.words, verdict, why, code, round(seconds, 2), held >> 20
    )


def read(
    template: Path, place: Path, path: str, content: bytes, command: Command, warm: int
) -> tuple[tuple[str, str, int, float, int], str]:
    """One file in place of a good one, read by a command in a copy of the world, which is as before afterwards."""
    here = place / "world"
    if not here.is_dir():
        isolation.build(template, place)
    (here / path).write_bytes(content)
    allowed = [here / name for name in command.writes] + [place / "tmp"]
    before = isolation.listing(place, allowed)
    ended = isolation.run(partial(isolation.command_line, command.split()), here, place.with_name(f"{place.name}-said"))
    wrote = [name.removeprefix(f"{place}/") for name in isolation.touched(before, isolation.listing(place, allowed))]
    verdict, why = isolation.judge(ended, isolation.unforeseen_in(*allowed), wrote, warm)
    if wrote or ended.late:
        isolation.build(template, place)
    else:
        isolation.restore(template, here, (*command.writes, path))
    why = why.replace(str(place), "")
    return (verdict, why[:500], ended.code, ended.seconds, ended.bytes), f"{ended.out}\n--\n{ended.err}"
