"""`avsr-bench export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .shared import Force, View, beside, replaceable

if TYPE_CHECKING:
    from ..export import SparseExport


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("export")(export)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or the name of its system.")],
    format_: Annotated[
        Literal["onnx", "sparse"], typer.Option("--format", help="ONNX of encoder and CTC head, or packed weights.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The file; - is standard output.  [default: RUN/model.onnx, RUN/model.sparse.safetensors]"),
    ] = None,
    modality: View = None,
    force: Force = False,
) -> None:
    """Write a run for other runtimes (onnx), or its sparse weights in less room (sparse)."""
    from ..files import STDOUT, marked
    from ..runs import find_run

    ours = replaceable(force, marked)

    folder = find_run(run)
    if format_ == "onnx":
        from ..export import export_onnx

        written = export_onnx(folder, out, ours, modality)
        lengths = "; ".join("+".join(map(str, batch)) for batch in written.checked)
        print(
            f"{written.path}: {_size(written.bytes)}, reads {' and '.join(written.inputs)}, clips of any length\n"
            f"largest difference from torch: {written.difference:.1g} in a log-probability,"
            f" batches of {lengths} frames",
            file=beside(out),
        )
    else:
        from ..export import export_sparse

        _print_sparse(export_sparse(folder, out, ours, modality), stderr=out == STDOUT)


def _print_sparse(written: SparseExport, stderr: bool) -> None:
    from rich.table import Table

    from .terminal import console as open_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "dense", "sparse", "share"):
        table.add_column(column, justify="right" if column else "left")
    second, token = written.second, written.token
    rows = [
        ("stored bytes", _size(written.dense_bytes), _size(written.bytes), written.share),
        ("multiply-adds a second of input, theory", _count(second.dense), _count(second.nonzero), second.share),
        ("multiply-adds a token and hypothesis, theory", _count(token.dense), _count(token.nonzero), token.share),
    ]
    for name, dense, sparse, share in rows:
        table.add_row(name, dense, sparse, f"{share:.3f}")
    table.add_row(
        "encoder and CTC head, a second of input, one core here",
        f"{written.seconds_filled * 1e3:.1f} ms",
        f"{written.seconds * 1e3:.1f} ms",
        f"{written.seconds / written.seconds_filled:.3f}",
    )
    console = open_console(stderr=stderr, soft_wrap=True)
    console.print(table)
    console.print(
        "Zeros without a pattern save no time in dense kernels; the multiply-adds are what a sparse one could."
    )
    console.print(f"{written.path}: {written.sparsity:.1%} of the prunable weights are zero, reads back to the bit")


def _size(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"


def _count(count: int) -> str:
    return f"{count / 1e9:.3f} G" if count >= 1e9 else f"{count / 1e6:.2f} M"
