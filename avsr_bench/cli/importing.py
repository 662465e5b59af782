"""`avsr-bench import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("import")(import_)


def import_(
    file: Annotated[
        Path, typer.Argument(help="Published weights of Auto-AVSR or USR, or what `export --format sparse` wrote.")
    ],
    tokenizer: Annotated[
        Path, typer.Option(metavar="SP.model", help="The SentencePiece model they belong to, or a run's folder.")
    ],
    out: Annotated[Path, typer.Option(metavar="runs/NAME", help="The run to make.")],
    units: Annotated[Path | None, typer.Option(help="The list of units that came with the tokenizer.")] = None,
) -> None:
    """Published weights become a run like any other."""
    from rich.table import Table

    from ..importing import import_weights
    from .terminal import console as open_console

    imported = import_weights(file, tokenizer, out, units)
    report, run = imported.report, imported.run
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    table.add_column("part", footer="loaded")
    table.add_column("entries", justify="right", footer=f"{len(report.loaded):,}")
    table.add_column("parameters", justify="right", footer=f"{report.parameters:,}")
    for part in imported.parts:
        table.add_row(part.name, f"{part.entries:,}", f"{part.parameters:,}")
    table.add_section()
    table.add_row("not used (in the file, without a place)", f"{len(report.unused):,}", "")
    table.add_row("kept (in the network, not in the file)", f"{len(report.kept):,}", "")
    console = open_console(soft_wrap=True)
    console.print(table)
    if report.unused:
        named = ", ".join(report.unused[:5]) + (", ..." if len(report.unused) > 5 else "")
        console.print(f"not used: {named}")
    size = f", size {run.about.size}" if run.about.size else ""
    sparse = f", {run.about.sparsity:.1%} sparse" if run.about.sparsity >= 0.0005 else ""
    console.print(f"{run.folder}: {run.about.modality}{size}{sparse}, {len(run.tokenizer()):,} tokens; try it with")
    view = " --modality video" if run.about.modality == "unified" else ""
    console.print(f"  avsr-bench evaluate {run.folder}{view}")
