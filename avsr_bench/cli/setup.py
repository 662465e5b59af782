"""`avsr-bench list` and `doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..records import Misused, Refused

KINDS = {"pipelines": "prep", "models": "train"}  # kind of recipe -> the verb that reads it


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("list")(list_recipes)
    app.command("doctor")(doctor)


def list_recipes(
    copy: Annotated[str | None, typer.Option(metavar="NAME", help="Copy a recipe here, to change it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The recipes there are: corpora to prepare, systems to train."""
    from .. import recipes

    found = {kind: recipes.names(kind) for kind in KINDS}
    if copy is not None and as_json:
        raise Misused("--copy copies a recipe, and --json prints what there is: ask for them one by one")
    if copy is not None:
        print(_copy(copy, found))
    elif as_json:
        rows = {kind: [_told(name, path) for name, path in paths.items()] for kind, paths in found.items()}
        print(json.dumps(rows, indent=1))
    else:
        from rich.table import Table

        from .terminal import console as open_console

        for kind, paths in found.items():
            if not paths:
                continue
            table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
            table.add_column(f"avsr-bench {KINDS[kind]}", no_wrap=True)
            table.add_column(f"{kind}/", overflow="fold")
            table.add_column("", no_wrap=True)
            for name, path in paths.items():
                mine = "" if path.is_relative_to(recipes.shipped(kind)) else f" [yours: {path}]"
                table.add_row(name, recipes.headline(path) + mine, recipes.paper(path) if kind == "models" else "")
            console = open_console()
            console.print(table)
            console.print()


def _told(name: str, path: Path) -> dict[str, str]:
    from .. import recipes

    return {"name": name, "path": str(path), "what": recipes.headline(path), "paper": recipes.paper(path)}


def _copy(name: str, found: dict[str, dict[str, Path]]) -> str:
    from .. import recipes
    from ..bounded import read_bytes
    from ..files import make_folder, nothing, write_whole

    for kind, paths in found.items():
        if name in paths:
            target = Path(kind) / f"{name}.yaml"
            if target.exists():
                raise Refused(f"{target} is there already: remove it, or change it as it is")
            make_folder(target.parent)
            write_whole(target, read_bytes(paths[name]), nothing)
            return f"{target}: it now goes before the shipped recipe of that name, as long as you work in this folder"
    every = {name for paths in found.values() for name in paths}
    raise Misused(f"no recipe is called {name!r}.{recipes.nearest(name, every)}")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check Python, torch and its device, face models, codecs and disk, and say what to do."""
    from ..doctor import examine

    findings = []
    for finding in examine(Path.cwd()):
        findings.append(finding)
        if not as_json:
            print(f"{finding.state:<5} {finding.name:<14} {finding.found}", flush=True)
            if finding.remedy:
                print(f"{'':<20} -> {finding.remedy}")
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)
