"""RESULTS.md: one section a benchmark, each with its command, machine and date; a benchmark rewrites only its own."""

from __future__ import annotations

import csv
import datetime
import os
import platform
import re
from pathlib import Path
from statistics import fmean

RESULTS = Path(__file__).with_name("RESULTS.md")
BOARD = Path("leaderboards/results.csv")
HEAD = "# Results\n\nMeasured, not promised. Ratios are taken in one run, because machines differ and are noisy.\n"


def machine() -> str:
    """The processor and how much of it this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return f"{found[1] if found else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def record(title: str, command: str, body: str) -> None:
    """Put a section into RESULTS.md in place of the one of the same title, and print it."""
    section = f"## {title}\n\n`{command}` · {machine()} · {datetime.date.today()}\n\n{body.strip()}\n"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    old = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.M | re.S)
    text = old.sub(lambda _: section + "\n", text) if old.search(text) else f"{text.rstrip()}\n\n{section}\n"
    RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(section)


def of_entry(entry: str, corpus: str = "synth", size: str = "tiny") -> list[dict[str, str]]:
    """The rows that the committed board has of an entry on clean clips, a row a seed."""
    with BOARD.open(encoding="utf-8") as file:
        clean = [row for row in csv.DictReader(file) if row["condition"] == "clean" and row["corpus"] == corpus]
    return [row for row in clean if row["row"].split("/")[1].rpartition("-s")[0] == f"{entry}-{size}"]


def wers(rows: list[dict[str, str]]) -> list[str]:
    """Two cells of a table: the mean WER in percent, and that of each seed."""
    found = [100 * float(row["wer"]) for row in rows]
    return [f"{fmean(found):.1f}", ", ".join(f"{wer:.1f}" for wer in found)]


def put_between(page: Path, begin: str, end: str, block: str) -> None:
    """Put a block between its marks on a page, or with them at the end of it."""
    text = page.read_text(encoding="utf-8")
    place = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    marked = f"{begin}\n\n{block}\n\n{end}"
    text = place.sub(lambda _: marked, text) if place.search(text) else f"{text.rstrip()}\n\n{marked}\n"
    page.write_text(text, encoding="utf-8")
