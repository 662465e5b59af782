"""The board that the repository carries."""

from pathlib import Path

BOARD = Path(__file__).parents[2] / "leaderboards"


def test_it_stays_under_20_mb():
    files = [path for path in BOARD.rglob("*") if path.is_file() and "local" not in path.relative_to(BOARD).parts]
    assert 1e6 < sum(path.stat().st_size for path in files) < 20e6


def test_no_file_of_it_has_5_mb():
    assert max(path.stat().st_size for path in BOARD.rglob("*") if path.is_file()) < 5e6
