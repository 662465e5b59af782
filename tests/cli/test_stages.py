"""How a board shows itself, with several stages at work: in a terminal of any height, and in a log."""

import io
import re

import pytest
from rich.console import Console

from avsr_bench.cli.stages import _Lines, _Table, in_all
from avsr_bench.workflow import Announced, Outcome


def screen(table, width=100):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(table.__rich__())
    return out.getvalue().splitlines()


def board(count):
    return [Announced(f"train entry-{number:02d}", 60.0 + number) for number in range(count)] + [Announced("pages")]


def test_two_at_work_with_their_lines_and_times():
    table = _Table(24)
    table.begin(board(5), 300.0, 2)
    table.start("train entry-00")
    table.end(Outcome("train entry-00", "failed", 12.0, "the loss is not a number"))
    for number in (1, 2):
        table.start(f"train entry-0{number}")
        table.say(f"train entry-0{number}", f"dense {number}0/100 updates")
    lines = screen(table)
    assert re.search(r"entry-00 +failed +0:12 +the loss is not a number", lines[0])
    assert re.search(r"entry-01 +now +0:00 of ~1:01 +dense 10/100 updates", lines[1])
    assert re.search(r"entry-02 +now +0:00 of ~1:02 +dense 20/100 updates", lines[2])
    assert re.search(r"entry-03 +~1:03", lines[3])
    assert "about 5 min in all, two at once" in lines[-1]


@pytest.mark.parametrize("height", [8, 12, 24, 60])
@pytest.mark.parametrize("done", [0, 1, 30, 64, 66])
def test_a_long_board_fits_the_terminal(height, done):
    """What is at work is always there; the rest is counted."""
    table = _Table(height)
    stages = board(66)
    table.begin(stages, None, 2)
    for stage in stages[:done]:
        table.start(stage.name)
        table.end(Outcome(stage.name, "failed" if stage.name.endswith("07") else "done", 1.0))
    working = [stage.name for stage in stages[done : done + 2]]
    for name in working:
        table.start(name)
    lines = screen(table)
    assert len(lines) <= height
    assert all(any(line.startswith(name) and " now " in line for line in lines) for name in working)
    assert done <= 8 or any("failed" in line for line in lines)
    shown = [line for line in lines[:-1] if not line.startswith("...")]
    counted = sum(int(number) for line in lines for number in re.findall(r"(\d+) (?:done|to come)", line))
    assert len(shown) + counted == len(stages)
    assert "how long it takes is not known" in lines[-1]


def test_a_log_says_whose_line_it_is(capsys):
    lines = _Lines()
    lines.begin(board(2), 121.0, 2)
    lines.start("train entry-00")
    lines.start("train entry-01")
    lines.say("train entry-01", "x\x1b[2J\ny")
    lines.end(Outcome("train entry-01", "done", 61.0))
    said = capsys.readouterr().err.splitlines()
    assert said[:4] == [
        "    train entry-00      ~1:00",
        "    train entry-01      ~1:01",
        "    pages",
        "about 2 min in all, two at once",
    ]
    assert said[4:] == [
        "[1/3] train entry-00",
        "[2/3] train entry-01",
        "    train entry-01: x\\u001b[2J y",
        "    train entry-01: done, 1:01",
    ]


@pytest.mark.parametrize(("seconds", "said"), [(20, "1 min"), (1100, "18 min"), (9000, "2.5 h")])
def test_in_all(seconds, said):
    assert said in in_all(seconds, 2)
