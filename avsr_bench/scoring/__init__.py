"""Scoring: alignments and counts first, rates from them, and how far they can be trusted.

`score` one utterance at a time, wherever it was decoded; `merge` what the parts of an evaluation scored; then `total`,
`interval` and `compare`. Scores merged from parts give the same numbers as scores of the whole.
"""

from .archive import Archive, read_archive
from .bootstrap import Comparison, Interval, compare, interval, relative_loss
from .edits import Alignment, Edits, Step, align, count, show
from .metrics import METRICS, WER, Metric, Parts, Sums
from .result import SCORER_VERSION, Measure, Result, WhoseLips, parse_result, same_budget
from .utterances import Score, Utterance, merge, pool, score, total, worst

__all__ = [
    "METRICS",
    "SCORER_VERSION",
    "WER",
    "Alignment",
    "Archive",
    "Comparison",
    "Edits",
    "Interval",
    "Measure",
    "Metric",
    "Parts",
    "Result",
    "Score",
    "Step",
    "Sums",
    "Utterance",
    "WhoseLips",
    "align",
    "compare",
    "count",
    "interval",
    "merge",
    "parse_result",
    "pool",
    "read_archive",
    "relative_loss",
    "same_budget",
    "score",
    "show",
    "total",
    "worst",
]
