"""`avsr-bench leaderboard`, and its verbs `make`, `render`, `verify`, `rerun` and `convert`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..inert import line
from .shared import listed, quiet_threads
from .words import App

if TYPE_CHECKING:
    from ..leaderboard.rows import Found, Row

LOCAL, SHARED = Path("leaderboards/local"), Path("leaderboards")

app = App("Tables, figures and a page of results, beside what the papers published.")

Results = Annotated[
    list[Path] | None,
    typer.Option(
        "--results", metavar="DIR", help="Folder of results; may be given again.  [default: leaderboards/local]"
    ),
]


def add_to(parent: typer.Typer) -> None:
    """Add this module's verbs."""
    parent.add_typer(app, name="leaderboard")


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """Make the pages of your own results; `render --help` tells how to make others."""
    if context.invoked_subcommand is None:
        render()


@app.command("make")
def make_all(
    corpus: Annotated[
        str, typer.Option(help="A recipe of pipelines/, or what is prepared already in data/CORPUS.")
    ] = "synth",
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the corpus.  [default: what its recipe says]")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B|all", help="Systems, and other entries of leaderboards/board.yaml.  [default: its models]"
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Training seeds of each.  [default: those of board.yaml]")
    ] = None,
    publish: Annotated[
        bool,
        typer.Option("--publish", help="Write what is committed: leaderboards/results, README.md and so on."),
    ] = False,
) -> None:
    """All of it: prepare, train, read under noise, render. Run it again to go on where it stopped."""
    from ..workflow import BoardRequest, Stopped, make_board
    from .stages import print_outcomes, shown

    request = BoardRequest(corpus, root, listed("--models", models), _seeds(seeds), publish)
    try:
        with shown() as view:
            made = make_board(request, view)
    except Stopped as stopped:
        print(f"avsr-bench: stopped by {stopped}; the same command continues from here", file=sys.stderr)
        raise typer.Exit(128 + stopped.number) from None
    except KeyboardInterrupt:
        print("avsr-bench: stopped; the same command continues from here", file=sys.stderr)
        raise typer.Exit(130) from None
    print_outcomes(made.outcomes, made.seconds)
    print(f"{made.rows:,} rows measured: {made.pages}/index.html and {made.pages}/README.md")
    if any(outcome.state in ("failed", "left out") for outcome in made.outcomes):
        raise typer.Exit(1)


def _seeds(text: str | None) -> tuple[int, ...]:
    from ..records import Misused

    words = listed("--seeds", text)
    if not all(word.isascii() and word.isdecimal() and len(word) < 19 for word in words) or len({*words}) < len(words):
        raise Misused(f"--seeds {text!r}: give whole numbers, each once, such as 0,1,2")
    return tuple(map(int, words))


@app.command()
def render(
    results: Results = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pages go.  [default: leaderboards/local]")
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Folder of runs, for gradients and layers.")] = Path("runs"),
    publish: Annotated[
        bool, typer.Option("--publish", help="The pages that are committed: from leaderboards/results to leaderboards.")
    ] = False,
) -> None:
    """Make README.md, index.html, results.csv and figures from results and from leaderboards/published.yaml."""
    from .. import recipes
    from ..leaderboard import render as make

    folders = _folders(results) or [SHARED / "results" if publish else LOCAL]
    place = out or (SHARED if publish else LOCAL)
    made = make(folders, recipes.find("leaderboards", "published"), place, runs if runs.is_dir() else None)
    for note in made.notes:
        print(f"note: {line(note)}")
    apart = f", {made.apart:,} apart" if made.apart else ""
    print(f"{made.rows:,} rows measured{apart}, {made.published:,} published, {made.figures:,} figures")
    print(f"{made.out}/index.html and {made.out}/README.md")


@app.command()
def verify(
    row: Annotated[str | None, typer.Argument(help="Name of a row, or ARCHIVE.zip/NAME.  [default: every row]")] = None,
    results: Results = None,
) -> None:
    """Score the kept hypotheses of a row again, and compare."""
    from ..leaderboard import verify as check
    from ..records import Refused

    found = _found(results)
    rows = [_row(row, results)] if row else found.every
    wrong = () if row else found.notes
    if not rows and not wrong:
        print("no results yet: nothing to verify")
    alike = not wrong
    for each in rows:
        try:
            done = check(each)
        except Refused as refused:
            print(line(f"{each.name}: {refused}"))
            alike = False
        else:
            print(line(done.said))
            alike &= done.alike
    for note in wrong:
        print(line(note))
    if not alike:
        raise typer.Exit(1)


@app.command()
def rerun(
    row: Annotated[str, typer.Argument(help="Name of a row, or ARCHIVE.zip/NAME.")],
    results: Results = None,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Its run.  [default: the one of that name in runs/]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Prepared corpus.  [default: the one of that name in data/]")
    ] = None,
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Source videos, for noise on frames.")] = None,
    sound: Annotated[Path | None, typer.Option(metavar="FILE", help="The recording, where the noise is one.")] = None,
) -> None:
    """Measure a row again, and print both numbers."""
    quiet_threads()
    from ..leaderboard.repeat import Places
    from ..leaderboard.repeat import rerun as again
    from ..leaderboard.verify import percent

    kept = _row(row, results)
    try:
        done = again(kept, Places(run, data, root, sound), lambda text: print(line(text), flush=True))
    except KeyboardInterrupt:
        print("avsr-bench: stopped; nothing was written", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"kept  {percent(kept.result)}  {kept.result.commit}, {kept.result.device}")
    print(f"now   {percent(done.now)}  {done.now.commit}, {done.now.device}")
    print("the same, count by count" if done.alike else "not the same")


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of results.")],
) -> None:
    """Carry results of the old form (.json and .jsonl files) over into one archive for each run and split."""
    from ..leaderboard import convert as carry_over

    [folder] = _folders([folder]) or []
    found = list(carry_over(folder))
    for _, problem in found:
        if problem:
            print(line(problem))
    left = sum(bool(problem) for _, problem in found)
    print(f"{len(found) - left:,} results carried over" + (f", {left:,} left as they were" if left else ""))
    if left:
        raise typer.Exit(1)


def _row(name: str, results: list[Path] | None) -> Row:
    """The row of a name: of your own results, as your page shows them, before those that are committed."""
    from ..leaderboard import find_row, read_rows

    own = read_rows([LOCAL])
    if not results and any(name == row.name for row in own.every):
        return find_row(name, own)
    return find_row(name, _found(results))


def _found(results: list[Path] | None) -> Found:
    from ..leaderboard import read_rows

    return read_rows(_folders(results) or [LOCAL, SHARED / "results"])


def _folders(results: list[Path] | None) -> list[Path] | None:
    """The folders of --results, which are there."""
    from ..records import Refused

    for folder in results or ():
        if not folder.is_dir():
            raise Refused(f"there is no folder {folder}: --results takes the folder that holds results")
    return results
