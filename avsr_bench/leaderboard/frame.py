"""Results as a pandas frame, a row each, and as the CSV of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pandas as pd

from ..records import Budget
from ..scoring import METRICS, Edits, Result
from .rows import CLEAN, Found, Row

BUDGET = (
    *("budget_frames", "own_frames", "teacher_frames", "updates", "train_seconds"),
    *("labelled_hours", "automatic_hours", "unlabelled_hours", "ancestors"),
)
INTEGERS = (
    *("noise_seed", "noise_version", "train_seed", "parameters", "nonzero", "budget_frames", "own_frames"),
    *("teacher_frames", "updates", "utterances", "scorer_version", "text_version", "faces_lost"),
    *(metric.counts for metric in METRICS.values() if metric.parts is Edits),
    "lips_seed",
)
FIELDS = {each.name for each in fields(Result)}
OF_SOUND = tuple(name for name, metric in METRICS.items() if metric.parts is not Edits)
# Of results that an enhancer has a part in; a table without any has no such columns.
OF_ENHANCERS = (
    *(f"{name}{end}" for name in OF_SOUND for end in ("", "_low", "_high", "_clips")),
    *("enhancer", "enhancer_weights", "reader", "reader_weights", "lips", "lips_seed"),
)
COLUMNS = (
    *("row", "corpus", "split", "modality", "condition", "family", "strength", "noise_on", "noise_seed"),
    *("noise_version", "system", "size", "trained_with_noise", "sparsity", "parameters", "nonzero", "train_seed"),
    *(f"{name}{end}" for name in METRICS if name not in OF_SOUND for end in ("", "_low", "_high")),
    *BUDGET,
    *("utterances", *(METRICS[name].counts for name in METRICS if name not in OF_SOUND)),
    *("decoding", "scorer_version", "text_version"),
    *("corpus_fingerprint", "weights", "faces_lost", "commit", "command", "recipe_command"),
    *OF_ENHANCERS,
    "apart",
)


def to_frame(found: Found) -> pd.DataFrame:
    """Every row; the last column says why a row stands apart, and is empty for all others."""
    reasons = {each.row.path: each.reason for each in found.apart}
    rows = sorted(found.every, key=lambda row: (row.name, row.path))
    records = [_values(row) | {"apart": reasons.get(row.path, "")} for row in rows]
    columns = {name: [record.get(name) for record in records] for name in COLUMNS}
    columns = {name: of for name, of in columns.items() if name not in OF_ENHANCERS or set(of) - {None, ""}}
    return pd.DataFrame({name: pd.array(values, dtype=_type(name)) for name, values in columns.items()})


def _type(name: str) -> Any:
    if name in INTEGERS:
        return "UInt64"
    if name == "trained_with_noise":
        return "boolean"
    numbers = ("strength", "sparsity", "train_seconds", *METRICS)
    return "Float64" if name in numbers or name.endswith(("_low", "_high", "_hours", "_clips")) else "string"


def to_csv(frame: pd.DataFrame) -> str:
    """The frame as text of which a spreadsheet runs nothing: a formula opens with an apostrophe, as they write it."""
    texts: pd.Index[str] = frame.select_dtypes("string").columns
    return frame.assign(**{name: frame[name].map(_cell) for name in texts}).to_csv(
        index=False, lineterminator="\n", float_format="%.6g"
    )


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _values(row: Row) -> dict[str, Any]:
    result = row.result
    metrics: dict[str, Any] = {}
    for name, measure in result.metrics.items():
        metrics |= zip((name, f"{name}_low", f"{name}_high"), measure.values, strict=True)
        metrics[f"{name}_clips" if name in OF_SOUND else METRICS[name].counts] = measure.parts.length
    return {
        **{name: getattr(result, name) for name in COLUMNS if name in FIELDS},
        "row": row.name,
        "lips": "" if result.lips == "own" else result.lips,
        "family": row.family,
        "strength": row.strength if row.family != CLEAN else None,
        "decoding": "; ".join(f"{name}={value}" for name, value in result.decoding.items()),
        **metrics,
        **(_budget(result.budget) if result.budget else {}),
    }


def _budget(budget: Budget) -> dict[str, Any]:
    same = {name: getattr(budget, name) for name in BUDGET if hasattr(budget, name)}
    ancestors = "; ".join(f"{of.run}={'' if of.frames is None else of.frames}" for of in budget.ancestors)
    named = {"budget_frames": budget.total, "own_frames": budget.frames, "train_seconds": budget.seconds}
    return same | named | {"ancestors": ancestors}
