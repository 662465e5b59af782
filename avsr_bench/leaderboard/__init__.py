"""Leaderboards: results and the papers' numbers become tables, figures and a page, and any row can be made again.

    render([Path("leaderboards/local")], Path("leaderboards/published.yaml"), Path("leaderboards/local"))

Results are read by `rows`, grouped by `boards`, compared by `comparisons`, laid out by `tables` and `figures`, written
by `render`; `repeat`, which needs torch, measures a row again.
"""

from .convert import convert
from .failures import Failed, forget_failure, keep_failure
from .frame import to_csv, to_frame
from .published import Papers, Published, Statement, read_published
from .render import Rendered, render
from .rows import Apart, Found, Row, find_row, read_rows, row_name
from .verify import Verified, verify

__all__ = [
    "Apart",
    "Failed",
    "Found",
    "Papers",
    "Published",
    "Rendered",
    "Row",
    "Statement",
    "Verified",
    "convert",
    "find_row",
    "forget_failure",
    "keep_failure",
    "read_published",
    "read_rows",
    "render",
    "row_name",
    "to_csv",
    "to_frame",
    "verify",
]
