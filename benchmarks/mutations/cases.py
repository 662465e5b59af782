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


def run_cases(
    scratch: Path, kind: str, numbers: Sequence[int], seed: int | None, jobs: int, keep: Path = KEPT, show: bool = False
) -> Iterator[Outcome]:
    """The outcomes of some cases as they come, from several servers; the good files are made in `scratch` once."""
    template = scratch / "template"
    if not template.is_dir():
        _server({"make": str(template)}, scratch).communicate()
    if not template.is_dir():
        raise RuntimeError("the good files could not be made")
    servers = []
    for job in range(min(jobs, len(numbers))):
        asked = {"template": str(template), "place": str(scratch / f"case{job}"), "kind": kind, "seed": seed}
        servers.append(
            _server({**asked, "numbers": list(numbers[job::jobs]), "keep": str(keep), "show": show}, scratch)
        )
    with selectors.DefaultSelector() as waiting:
        for server in servers:
            waiting.register(server.stdout, selectors.EVENT_READ, server)  # type: ignore[arg-type]
        while waiting.get_map():
            for ready, _ in waiting.select():
                line = ready.fileobj.readline()  # type: ignore[union-attr]
                if line:
                    yield Outcome(**json.loads(line))
                else:
                    waiting.unregister(ready.fileobj)
    if any(server.wait() for server in servers):
        raise RuntimeError("a server of cases ended before its time: see above")


def _server(asked: dict[str, object], scratch: Path) -> subprocess.Popen[bytes]:
    # Not `-m`: workers of `prep` would import the main module of a program once more.
    program = f"from benchmarks.mutations.cases import serve; serve({json.dumps(json.dumps(asked))})"
    environment = {**os.environ, **ENVIRONMENT, "MPLCONFIGDIR": str(scratch / "matplotlib")}
    (scratch / "matplotlib").mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, bufsize=0)


def serve(asked: str) -> None:
    """In a server: make the good files, or run cases and print their outcomes."""
    order = json.loads(asked)
    isolation.warm_up(isolation.IMPORTED.get(order.get("kind"), isolation.TRAINING))
    if "make" in order:
        unfinished = Path(order["make"] + ".unfinished")
        world.make_world(unfinished)
        unfinished.rename(order["make"])
        return
    template, place, keep = Path(order["template"]), Path(order["place"]), Path(order["keep"])
    warm = isolation.held_bytes()
    for number in order["numbers"]:
        outcome = run_case(template, place, order["kind"], order["seed"], number, keep, warm, order["show"])
        print(json.dumps(asdict(outcome)), flush=True)


def whole(kind: str) -> list[tuple[Target, Command]]:
    """Every file of a kind with every command that reads it: undamaged, each must end with 0."""
    return list(dict.fromkeys((target, command) for target in KINDS[kind] for command in target.commands))


def pick(kind: str, seed: int, number: int) -> tuple[Target, Command, random.Random]:
    """The file and the command of a case, and the draws for the damage."""
    draw = random.Random(f"{kind}/{seed}/{number}")
    target = draw.choice(KINDS[kind])
    return target, draw.choice(target.commands), draw


def run_case(
    template: Path, place: Path, kind: str, seed: int | None, number: int, keep: Path, warm: int, show: bool
) -> Outcome:
    """Damage a file, run the command, judge. The file and what was said are kept where something went wrong.

    Without a seed nothing is damaged, and numbers go through all files and commands.
    """
    if seed is None:
        target, command = whole(kind)[number]
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
    verdict, why = isolation.judge(ended, isolation.unforeseen_in(here), wrote, warm)
    if wrote or ended.late:
        isolation.build(template, place)
    else:
        isolation.restore(template, here, (*command.writes, path))
    why = why.replace(str(place), "")
    return (verdict, why[:500], ended.code, ended.seconds, ended.bytes), f"{ended.out}\n--\n{ended.err}"
