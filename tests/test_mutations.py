"""Damaged files of every kind, each read by its command in a process of its own: see benchmarks/mutations."""

import faulthandler
import mmap
import os
import random
import signal
import time
from pathlib import Path

import pytest

from benchmarks.mutations import isolation
from benchmarks.mutations.cases import run_cases, undamaged
from benchmarks.mutations.kinds import KINDS
from benchmarks.mutations.mutate import BYTES, STRUCTURED, mutate
from benchmarks.mutations.world import VIDEOS

SAMPLES = {
    "json": b'{"a": [1, 2.5, "x"], "b": {"c": null}}',
    "jsonl": b'{"a": 1}\n{"a": 2}\n',
    "yaml": b"a: [1, 2]\nb: {c: x}\n",
    "csv": b"path,text\na.mp4,bin blue\n",
    "text": b"Text:  BIN BLUE\n",
}


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """Where the good files are made, once."""
    return tmp_path_factory.mktemp("mutations")


@pytest.mark.parametrize("form", ["bytes", *SAMPLES])
def test_damage_is_drawn_from_the_number(form):
    good, other = SAMPLES.get(form, bytes(range(256)) * 20), b"something else" * 50
    damaged = [mutate(good, form, other, random.Random(number)) for number in range(300)]
    assert damaged == [mutate(good, form, other, random.Random(number)) for number in range(300)]
    assert len({content for content, _ in damaged}) > 150
    assert sum(content == good for content, _ in damaged) < 15


@pytest.mark.parametrize("change", BYTES)
def test_damage_to_bytes_takes_any_file(change):
    for content in (b"", b"x", b"ab", os.urandom(5000)):
        for number in range(50):
            change(content, b"other", random.Random(number))


def judged(tmp_path, work, may_write=()):
    """The verdict on a piece of work in a folder of its own."""
    template = tmp_path / "template"
    (template / "given").mkdir(parents=True)
    (template / "given/file").write_text("good")
    place = tmp_path / "case"
    world = isolation.build(template, place)
    allowed = [world / name for name in may_write] + [place / "tmp"]
    before = isolation.listing(place, allowed)
    ended = isolation.run(work, world, tmp_path / "said")
    wrote = isolation.touched(before, isolation.listing(place, allowed))
    return isolation.judge(ended, isolation.unforeseen_in(world), wrote, isolation.held_bytes())[0]


def fail():
    raise KeyError("of nobody")


def damaged_word():
    return isolation.command_line(["inspect", "none", "--json", "--out"])


def work_on():
    while True:
        pass


def hold(size):
    with mmap.mmap(-1, size) as memory:  # not from what an earlier test gave back to the allocator
        memory[:: mmap.PAGESIZE] = b"x" * (size // mmap.PAGESIZE)
    return 0


def write(name, content="new"):
    Path(name).write_text(content)
    return 0


def change_back():
    about = Path("given/file").stat()
    write("given/file", "evil")
    os.utime("given/file", ns=(about.st_atime_ns, about.st_mtime_ns))
    return 0


def crash(number):
    faulthandler.disable()  # pytest's prints two pages into the output of a test that passes
    os.kill(os.getpid(), number)


def say(text, code=1):
    os.write(2, text.encode())
    return code


@pytest.mark.parametrize(
    ("verdict", "work"),
    [
        ("", lambda: 0),
        ("", lambda: say("avsr-bench: it is damaged: fetch it again\n")),
        ("", damaged_word),
        ("", lambda: write("out")),
        ("", lambda: write(f"{os.environ['TMPDIR']}/x")),
        ("crash", lambda: crash(signal.SIGSEGV)),
        ("crash", lambda: crash(signal.SIGABRT)),
        ("traceback", fail),
        ("hang", work_on),
        ("hang", lambda: time.sleep(60)),
        ("memory", lambda: hold(1500 << 20)),
        ("memory", lambda: len(bytearray(60 << 30))),
        ("silent", lambda: 1),
        ("exit code", lambda: say("what?\n", 3)),
        ("flood", lambda: say("again\n" * 40)),
        ("unforeseen", lambda: say("could not be checked, failed: KeyError: 'x'\n")),
        ("unforeseen", lambda: write("skipped.jsonl", '{"reason": {"code": "failed", "detail": "KeyError: 1"}}\n')),
        ("touched", lambda: write("../decoy/kept.txt")),
        ("touched", lambda: write("../new")),
        ("touched", lambda: Path("../outside").unlink() or 0),
        ("touched", change_back),
    ],
)
def test_what_goes_wrong_is_seen(tmp_path, monkeypatch, verdict, work):
    monkeypatch.setattr(isolation, "MEMORY", 200 << 20)
    if verdict == "hang":
        monkeypatch.setattr(isolation, "CPU_SECONDS", 1)
        monkeypatch.setattr(isolation, "WALL_SECONDS", 5)
    assert judged(tmp_path, work, ("out", "skipped.jsonl")) == verdict


def test_every_kind_and_every_form_has_files():
    assert {"video", "manifest", "shard", "index", "recipe", "result", "weights", "labels"} == KINDS.keys()
    assert {target.form for targets in KINDS.values() for target in targets} == {"bytes", *STRUCTURED}
    assert len(VIDEOS) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_good_files_pass(scratch, tmp_path, kind):
    """So that a case that fails fails for its damage: every command on every file, undamaged, ends with 0."""
    outcomes = list(run_cases(scratch, undamaged(kind), None, 2, tmp_path))
    assert [outcome for outcome in outcomes if outcome.verdict or outcome.code] == []
    assert len(outcomes) == len(undamaged(kind))
