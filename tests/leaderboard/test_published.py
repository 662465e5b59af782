from collections import Counter

import pytest

from avsr_bench.leaderboard import read_published
from avsr_bench.leaderboard.published import published_tables
from avsr_bench.records import Misused, Refused
from avsr_bench.scoring import METRICS


@pytest.fixture(scope="module")
def papers(request):
    from pathlib import Path

    return read_published(Path(__file__).parents[2] / "leaderboards/published.yaml")


def test_every_paper_has_all_its_numbers(papers):
    counts = Counter((row.paper, row.modality) for row in papers.rows)
    assert counts == {
        ("MSRS", "video"): 1,
        ("MSRS", "av"): 1,
        ("SparseVSR", "video"): 25,
        ("Auto-AVSR", "video"): 8,
        ("Auto-AVSR", "audio"): 6,
        ("Auto-AVSR", "av"): 1,
        ("VSR for multiple languages", "video"): 1,
        ("VSR for multiple languages", "audio"): 1,
        ("VSR for multiple languages", "av"): 1,
        ("TorchAudio 2.1", "av"): 2,
        ("USR", "video"): 6,
        ("USR", "audio"): 6,
        ("USR", "av"): 6,
        ("BRAVEn", "video"): 12,
        ("BRAVEn", "audio"): 12,
        ("RAVEn", "video"): 10,
        ("RAVEn", "audio"): 10,
        ("DDP-ASR", "audio"): 2,
        ("RT-LA-VocE", "av"): 2,
    }
    assert all(row.arxiv and row.table and row.split for row in papers.rows)


@pytest.mark.parametrize(("size", "total", "prunable"), [("BASE-L", 250.383, 246.100), ("BASE-S", 56.351, 54.879)])
def test_sparsevsr_counts_follow_its_sparsity(papers, size, total, prunable):
    """What is pruned is every weight matrix: so counted, each row of Table 1 comes out to 0.1 M."""
    rows = [row for row in papers.rows if row.paper == "SparseVSR" and size in row.system and row.sparsity]
    assert len(rows) == (9 if size == "BASE-L" else 2)
    for row in rows:
        assert row.parameters == pytest.approx(total - row.sparsity * prunable, abs=0.11)


def test_numbers_that_two_sources_share(papers):
    def wer(**wanted):
        (row,) = (r for r in papers.rows if all(getattr(r, name) == value for name, value in wanted.items()))
        return row.value

    assert wer(paper="MSRS", modality="video") == wer(system="dense BASE-L", noise=False) == 21.1
    quoted = wer(paper="SparseVSR", system="RAVEn")
    assert quoted == wer(system="RAVEn Large, self-training", labelled_hours=433, modality="video") == 24.4
    sparse = wer(system="sparse BASE-L", sparsity=0.8)
    distilled = wer(system="distilled BASE-S", noise=False)
    assert distilled - sparse == pytest.approx(5.0)  # the paper's text


def test_tables_are_by_test_and_modality(papers):
    tables = published_tables(papers)
    assert {table.kind for table in tables} == {"published"}
    assert [table.heading for table in tables] == [
        "LRS3, test, video",
        "LRS3, test, video and sound",
        "LRS3, test, sound",
        "LibriSpeech, test-clean, sound",
        "AVSpeech, split not said, video and sound: input frame, ms",
        "AVSpeech, split not said, video and sound: compute, ms",
    ]
    assert sum(len(table.lines) for table in tables) == len(papers.rows)
    printed = [line.cells[1].text for line in tables[1].lines]
    assert "0.9" in printed and "0.93" in printed  # as printed


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("rows: []", Misused, "unknown setting rows"),
        ("tables: 3", Misused, "tables = 3"),
        ("tables: [{paper: X}]", Refused, "table 1: `rows` should be a list"),
        ("tables: [{paper: X, rows: [{valeu: 3}]}]", Refused, "unknown valeu. Did you mean value?"),
        ("tables: [{paper: X, rows: [{value: 3}]}]", Misused, "row 1: the setting arxiv is missing"),
        ("{", Refused, "not a file of settings"),
    ],
)
def test_bad_files(tmp_path, text, error, says):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(error, match=says):
        read_published(path)


@pytest.mark.parametrize(
    "value",
    [
        "value: 2110",
        "value: -1",
        "value: 20, sparsity: 50",
        "value: nan",
        "value: 5, metric: were",
        "metric: frame_compute, value: -3",
    ],
)
def test_numbers_in_another_unit(tmp_path, value):
    path = tmp_path / "published.yaml"
    same = 'paper: X, arxiv: "1", table: T, corpus: c, split: s, modality: video'
    path.write_text(f"tables: [{{{same}, rows: [{{system: a, {value}}}]}}]")
    with pytest.raises(Misused, match=value.split(",")[-1].split(":")[0].strip()):
        read_published(path)


@pytest.mark.parametrize(("metric", "ranked"), [("si_sdr", [8.1, 2.0]), ("frame_compute", [2.0, 8.1])])
def test_the_best_comes_first_whichever_way_the_metric_goes(tmp_path, metric, ranked):
    path = tmp_path / "published.yaml"
    same = 'paper: X, arxiv: "1", table: T, corpus: c, split: s, modality: av'
    path.write_text(
        f"tables: [{{{same}, metric: {metric}, rows: [{{system: a, value: 2}}, {{system: b, value: 8.1}}]}}]"
    )
    (table,) = published_tables(read_published(path))
    assert [line.cells[1].value for line in table.lines] == ranked
    assert METRICS[metric].unit in table.heading
