"""What a corpus of 1, 10 and 100 thousand clips costs beside the work on its clips, and what many workers could give.

    make bench ONLY=scale

Each command runs in a process of its own, on corpora of repeated clips (scale_corpus.py) in a temporary folder: 3 GB.
The serial part of a job is measured with one and two workers; what 8, 64 and 512 would give is arithmetic.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .results import record, table
from .scale_serial import Timeline, reap, timed

RAW, DATA = Path("data/raw/synth"), Path("data/synth")
COUNTS = (1_000, 10_000, 100_000)
WORKERS = (8, 64, 512)
LIMIT = 150  # clips of each split of the jobs whose serial part is measured
FRAMES = 15  # of each clip: a fifth of GRID's, so that 100,000 take 3 GB
NOBODYS = "999999/999999"  # a part to which no shard of these corpora belongs: prep plans, and makes nothing
SUBREAPER = 36  # prctl: processes whose parent has ended become ours, so that theirs counts as well
ONE, TWO, ALL = (f"{count:,}" for count in COUNTS)
LRS3 = 1321  # utterances of its test
CONDITIONS = 71  # of a whole sweep
PLANNED, RANKS = (10_000, 100_000, 1_000_000), (1, 64, 512)  # clips and processes of an epoch of training

# What each command does, and its words; RAW, DATA, NEW and RUN stand for places.
COMMANDS: dict[str, tuple[str, ...]] = {
    "`prep`: planning alone": ("prep", "folder", "--root", "RAW", "--out", "NEW", "--part", NOBODYS),
    "`prep`: everything is done": ("prep", "folder", "--root", "RAW", "--out", "DATA"),
    "`inspect`": ("inspect", "DATA"),
    "`inspect --out sheet.png`": ("inspect", "DATA", "--out", "NEW.png"),
    "`validate`": ("validate", "DATA"),
    "`train dense --dry-run`": ("train", "dense", "--size", "tiny", "--data", "DATA", "--dry-run"),
    "`evaluate --limit 20`": ("evaluate", "RUN", "--data", "DATA", "--limit", "20", "--device", "cpu", "--out", "NEW"),
}


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float  # of the clock
    parent: float  # seconds of the processor, of the command's own process
    processor: float  # ... of all its processes
    megabytes: float  # resident at most, of the process that had most


def main(grid: Path) -> None:
    """Measure and record; GRID is not read."""
    if not RAW.is_dir():
        print(f"scale: left out, it needs the raw clips of the synthetic corpus in {RAW}: avsr-bench prep synth")
        return
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    costs: dict[tuple[str, int], Cost] = {}
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        scratch = Path(folder)
        run = scratch / "run"
        train = ["train", "dense", "--size", "tiny", "--data", str(DATA), "--out", str(run), "train.steps=2"]
        measure(train)
        timelines = {
            (job, workers): timed(job, workers, LIMIT, {"root": RAW, "data": DATA, "run": run}, scratch)
            for job in ("prep", "robustness")
            for workers in (1, 2)
        }
        for count in COUNTS:
            place = scratch / str(count)
            place.mkdir()
            costs |= {(name, count): cost for name, cost in _costs(place, count, run).items()}
            shutil.rmtree(place)
    record("Many clips, many workers", "make bench ONLY=scale", _section(costs, timelines))


def _costs(place: Path, count: int, run: Path) -> dict[str, Cost]:
    """What each command takes on a corpus of so many clips."""
    raw, data = place / "raw", place / "data"
    # Elsewhere: a process begins with the memory of the one that starts it, so this one loads nothing large.
    program = "from benchmarks.scale_corpus import serve; serve()"
    subprocess.run([sys.executable, "-c", program, str(RAW), str(place), str(count)], check=True)
    found = {}
    for number, (name, words) in enumerate(COMMANDS.items()):
        new = place / f"new{number}"
        named = {"RAW": raw, "DATA": data, "RUN": run, "NEW": new, "NEW.png": f"{new}.png"}
        found[name] = measure([str(named.get(word, word)) for word in words])
        print(f"scale: {count:,} clips, {name}: {found[name]}", file=sys.stderr)
    return found


def measure(words: list[str]) -> Cost:
    """Run a command to its end, and to that of all its processes."""
    reap()
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", "avsr_bench", *words], stdout=said, stderr=said)
        parent, processor, megabytes, seconds, code = 0.0, 0.0, 0.0, 0.0, 0
        while True:
            try:
                pid, status, used = os.wait4(-1, 0)
            except ChildProcessError:  # all have ended
                break
            processor += used.ru_utime + used.ru_stime
            megabytes = max(megabytes, used.ru_maxrss / 1024)
            if pid == process.pid:
                parent, seconds = used.ru_utime + used.ru_stime, time.monotonic() - begun
                code = process.returncode = os.waitstatus_to_exitcode(status)
        if code:
            said.seek(0)
            raise RuntimeError(f"{' '.join(words)} ended with {code}:\n{said.read()[-2000:]}")
    return Cost(seconds, parent, processor, megabytes)


def _section(costs: Mapping[tuple[str, int], Cost], timelines: Mapping[tuple[str, int], Timeline]) -> str:
    load = os.getloadavg()[2]
    return (
        _growth(costs)
        + "\n\nSeconds are of the processor, of all processes of a command; MB are those of the process that had most."
        f" Per clip: the difference of two columns, divided by that of their clips, so a straight line has one figure"
        " twice, but for the first being a difference of tenths of a second, and for the 2.6 GB of the largest corpus"
        " coming from the disk: read from there, counting takes twice the processor's time that it takes from memory."
        f" The clips are {FRAMES} frames long, two dozen of them again and again, in train, valid and test as"
        f" 18 : 1 : 1; a clip of another length costs another `validate`, and nothing else. Planning alone is"
        f" `--part {NOBODYS}`, which has no shard. A tiny network is tried by"
        " `train --dry-run`, which plans one epoch of its clips.\n\n"
        f"{_epochs()}\n\n{_before_and_after(timelines)}\n\n{_amdahl(costs, timelines)}\n\n"
        f"Other work ran on the two cores (load average of 15 minutes at the end: {load:.1f}): seconds of the clock say"
        " little, and those of the processor are more than on an idle machine."
    )


def _growth(costs: Mapping[tuple[str, int], Cost]) -> str:
    rows = []
    for name in COMMANDS:
        small, middle, large = (costs[name, count] for count in COUNTS)
        rows.append(
            [
                name,
                *(f"{cost.processor:.1f}" for cost in (small, middle, large)),
                *(f"{each:,.0f}" for each in (_slope(costs, name, 0), _slope(costs, name, 1))),
                f"{large.processor / middle.processor:.1f}x",
                *(f"{cost.megabytes:,.0f}" for cost in (small, middle, large)),
                f"{(large.megabytes - middle.megabytes) / (COUNTS[2] - COUNTS[1]) * 1e3:.1f}",
                f"{large.seconds:.0f}",
            ]
        )
    header = ["clips", f"{ONE}, s", f"{TWO}, s", f"{ALL}, s", f"µs a clip to {TWO}", f"to {ALL}", "10 times as many"]
    header += [f"{ONE}, MB", f"{TWO}, MB", f"{ALL}, MB", "kB a clip", f"{ALL}, clock, s"]
    return table(header, rows)


def _epochs() -> str:
    """What the plan of an epoch of training takes, in this process."""
    import numpy as np

    from avsr_bench.data import BatchSettings, plan_epoch

    rows, settings = [], BatchSettings()
    for count in PLANNED:
        lengths = np.random.default_rng(0).integers(15, 150, count)
        seconds = []
        for ranks in RANKS:
            begun = time.process_time()
            plan_epoch(lengths, np.arange(count) // 250, settings, 0, 0, ranks)
            seconds.append(f"{time.process_time() - begun:.2f}")
        rows.append([f"{count:,} clips", *seconds])
    header = ["plan of an epoch of `train`, s", *(f"{ranks} ranks" if ranks > 1 else "1 rank" for ranks in RANKS)]
    return table(header, rows)


def _slope(costs: Mapping[tuple[str, int], Cost], name: str, step: int = 1, parent: bool = False) -> float:
    """Microseconds of the processor that a clip more takes, from one size of corpus to the next."""
    few, many = (costs[name, count] for count in COUNTS[step : step + 2])
    more = many.parent - few.parent if parent else many.processor - few.processor
    return more / (COUNTS[step + 1] - COUNTS[step]) * 1e6


def _before_and_after(timelines: Mapping[tuple[str, int], Timeline]) -> str:
    rows = []
    for (job, workers), line in timelines.items():
        rows.append(
            [
                f"`{job} --workers {workers}`",
                f"{line.count:,}",
                f"{line.before:.2f}",
                f"{line.first:.2f}",
                f"{line.between:.1f}",
                f"{line.after:.2f}",
                f"{1e6 * line.parent / line.count:,.0f}" if job == "prep" else "-",
                f"{1e3 * line.work / line.count:.1f}",
            ]
        )
    header = [
        "clock, s",
        "steps",
        "before",
        "to the first",
        "to the last",
        "after",
        "parent, µs a step",
        "work, ms a step",
    ]
    return (
        "Where the time of a job goes, measured:\n\n"
        + table(header, rows)
        + "\n\nBefore: from the start of Python until the first clip is handed out, with imports, listing, plan,"
        " locks and indexes. To the first: until its outcome is there, with the start of workers. After: from the last"
        " outcome to the end, with counting and the release of locks. Parent: what the process that hands out clips"
        " and writes shards takes of the processor for each; work: what all others take. A step is a clip, or an"
        " utterance under a condition."
    )


def _amdahl(costs: Mapping[tuple[str, int], Cost], timelines: Mapping[tuple[str, int], Timeline]) -> str:
    """Speed-ups by Amdahl's law: the serial seconds of each job, and the seconds that workers share."""
    prep, sweep = timelines["prep", 1], timelines["robustness", 1]
    resume, count = "`prep`: everything is done", COUNTS[2]
    parent, work = prep.parent / prep.count, prep.work / prep.count
    listed = costs[resume, count].processor + prep.first
    checking = costs["`validate`", count]
    steps, each = CONDITIONS * LRS3, (sweep.between + sweep.first) / sweep.count
    jobs = {
        f"`prep`, {count:,} clips, one machine": (listed + parent * count, work * count),
        f"`prep --part i/n`, {count:,} clips, n machines": (listed, (parent + work) * count),
        f"`validate`, {count:,} clips": (checking.parent, checking.processor - checking.parent),
        f"`robustness --part i/n`, {CONDITIONS} conditions, {LRS3:,} utterances": (
            sweep.before + sweep.after,
            each * steps,
        ),
    }
    rows = []
    for name, (serial, shared) in jobs.items():
        limits = [(serial + shared) / (serial + shared / workers) for workers in WORKERS]
        most = f"{(serial + shared) / serial:,.0f}"
        rows.append([name, f"{serial:.1f}", f"{shared:,.0f}", *(f"{each:.1f}" for each in limits), most])
    header = ["", "serial, s", "shared, s", *(f"{workers} workers" for workers in WORKERS), "at most"]
    return (
        "What that allows, **by arithmetic and not measured** (Amdahl: all seconds over the serial ones and a worker's"
        " part of the others), from the seconds above: `prep` for clips of the synthetic corpus, of 2.2 s, `validate`"
        f" for those of {FRAMES} frames, `robustness` for utterances of 2.2 s and a tiny network:\n\n"
        + table(header, rows)
        + "\n\nSerial in `prep` are listing, planning and counting, as measured for so many clips, and on one machine"
        " also what the parent does for each clip; that goes on beside the work where a core is left for it. With"
        " --part every machine lists and plans everything. Discs, networks and file servers are not in this, and a"
        f" sweep has no more parts with work than conditions, so {WORKERS[2]} workers are then threads of"
        f" {CONDITIONS} machines."
    )
