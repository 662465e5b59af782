import csv
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from archives import write

from avsr_bench.files import MARK
from avsr_bench.leaderboard import read_rows, render
from avsr_bench.records import Ancestor, Budget, Refused
from avsr_bench.scoring import archive


class Strict(HTMLParser):
    """Tags that are closed in the order in which they were opened."""

    VOID = ("meta", "br", "link", "input", "img")

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def whole(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_what_is_written(pages):
    out, rendered = pages
    names = {str(name) for name in whole(out)}
    assert {"README.md", "index.html", "results.csv"} <= names
    for figure in ("sparsity-synth-test-video-tiny", "noise-synth-test-video-tiny", "published-sparsity"):
        assert {f"figures/{figure}.png", f"figures/{figure}.svg"} <= names
    assert (rendered.apart, rendered.published, rendered.notes) == (0, 113, ())
    assert rendered.rows == len(list(csv.DictReader((out / "results.csv").open())))


def test_the_same_bytes_every_time(pages, full, published, tmp_path):
    render([full], published, tmp_path / "again")
    assert whole(tmp_path / "again") == whole(pages[0])


def test_measured_and_published_are_never_in_one_table(pages):
    text = (pages[0] / "README.md").read_text()
    measured, published = text.split("## Published")
    assert "2307.04552" not in measured and "synth/" not in published
    assert "synth/msrs-tiny-s0/test/clean" in measured
    rows = (pages[0] / "results.csv").read_text()
    assert "arxiv" not in rows and "SparseVSR" not in rows


def test_every_table_of_text_is_whole(pages):
    text = (pages[0] / "README.md").read_text()
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(blocks) >= 8
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    for target in re.findall(r"\]\((?!https)([^)]+)\)", text):
        assert (pages[0] / target).exists()
    assert max(map(len, re.findall(r"^\d+\.\d$", text, re.M)), default=0) == 0


def test_intervals_are_always_shown(pages, full):
    rows = list(csv.DictReader((pages[0] / "results.csv").open()))
    assert all(float(row["wer_low"]) <= float(row["wer"]) <= float(row["wer_high"]) for row in rows)
    page = (pages[0] / "index.html").read_text()
    for row in read_rows([full]).rows:
        span = row.result.metrics["wer"].interval
        assert f"[{100 * span.low:.1f}, {100 * span.high:.1f}]" in page


def test_the_csv_has_the_budget_and_what_it_is_made_of(results, make, published, tmp_path):
    few = make.sentences(5, 2)
    hours = {"labelled_hours": 0.5, "automatic_hours": 2.0}
    ancestors = (Ancestor("synth/dense-tiny-s0", 5_000), Ancestor("=imported"))
    spent = Budget(frames=8_000, ancestors=ancestors[:1], teacher_frames=70, updates=9, seconds=1.5, **hours)
    make.measure(results, "synth/a", texts=few, budget=spent)
    make.measure(results, "synth/b", texts=few, budget=replace(spent, ancestors=ancestors))
    make.measure(results, "synth/c", texts=few, budget=None)
    render([results], published, tmp_path / "out")
    one, two, three = csv.DictReader((tmp_path / "out/results.csv").open())
    known = ("budget_frames", "own_frames", "teacher_frames", "updates", "labelled_hours", "automatic_hours")
    assert [one[name] for name in known] == ["13000", "8000", "70", "9", "0.5", "2"]
    assert one["ancestors"] == "synth/dense-tiny-s0=5000" and two["ancestors"].endswith("; =imported=")
    assert two["budget_frames"] == "" == three["budget_frames"] == three["own_frames"]


def test_the_page_stands_alone(pages):
    page = (pages[0] / "index.html").read_text()
    checked = Strict()
    checked.feed(page)
    assert not checked.open and len(set(checked.ids)) == len(checked.ids)
    assert not re.search(r"<(?:link|img|script|iframe)[^>]*\b(?:src|href)=", page)
    assert not re.search(r"@import|url\((?!#)", page)
    links = set(re.findall(r'href="([^"#]+)"', page))
    assert links and all(re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", link) for link in links)


def test_nothing_yet(published, tmp_path):
    rendered = render([tmp_path / "nowhere"], published, tmp_path / "out")
    assert (rendered.rows, rendered.figures) == (0, 1)
    assert "No results yet" in (tmp_path / "out/README.md").read_text()
    assert "No results yet" in (tmp_path / "out/index.html").read_text()
    assert "21.1" in (tmp_path / "out/README.md").read_text()


def test_all_that_can_be_wrong_at_once(results, make, published, tmp_path):
    few = make.sentences(5, 2)
    make.measure(results, "synth/dense-tiny-s0", texts=few)
    make.measure(results, "synth/lost-tiny-s0", texts=few, commit="")
    make.measure(results, "synth/odd-tiny-s0", "fog:3", 0.2, texts=few)
    make.measure(results / "a", "synth/twice-tiny-s0", texts=few)
    make.measure(results / "b", "synth/twice-tiny-s0", errors=0.5, texts=few)
    make.measure(results, "synth/other-tiny-s0", texts=few, corpus_fingerprint="ffff")
    write(results / "nan.zip", {archive.HEAD: '{"format": 1}', "nan.json": '{"wer": NaN, "cer": 0}'})
    (tmp_path / "runs/synth/dense-tiny-s0").mkdir(parents=True)
    rendered = render([results], published, tmp_path / "out", tmp_path / "runs")
    assert (rendered.rows, rendered.apart) == (2, 4)
    said = "\n".join(rendered.notes)
    assert "nan.zip/nan is not a result" in said
    assert "synth, test is 2 different tests" in said
    assert "other-tiny-s0 is gone: its results stand" in said
    for name in ("README.md", "index.html"):
        text = (tmp_path / "out" / name).read_text().replace("\\_", "_")
        for words in (
            "has no commit",
            "unknown family of noise",
            "disagree",
            "nan.zip/nan is not a result",
            "2 different",
        ):
            assert words in text, (name, words)
        assert "is gone" not in text  # the pages are the same on any machine
    reasons = {row["row"]: row["apart"] for row in csv.DictReader((tmp_path / "out/results.csv").open())}
    assert reasons["synth/dense-tiny-s0/test/clean"] == "" and "commit" in reasons["synth/lost-tiny-s0/test/clean"]


def test_names_that_mean_something_to_html_markdown_and_svg(results, make, published, tmp_path):
    few = make.sentences(5, 2)
    name = "a|b`<script>alert(1)</script>&\"'_*[x](y)"
    for condition in ("clean", "gaussian:5", "gaussian:10"):
        make.measure(
            results, "synth/evil", condition, 0.2, few, system=name, sparsity=0.5, command=f"avsr-bench {name}"
        )
    render([results], published, tmp_path / "out")
    page = (tmp_path / "out/index.html").read_text()
    assert page.count("<script") == 2 and "alert(1)" in page
    checked = Strict()
    checked.feed(page)
    assert not checked.open
    text = (tmp_path / "out/README.md").read_text()
    assert "<script" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_figures_of_earlier_pages_go(full, results, make, published, tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("noise-old.png", "sparsity-old.svg", "kept.txt", "losses.png", "sparsity.svg"):
        (tmp_path / "figures" / name).write_text(MARK)
    (tmp_path / "figures" / "noise-theirs.png").write_text("x")
    render([results], published, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        *("kept.txt", "losses.png", "sparsity.svg"),  # not made here: those of a run, for example
        "noise-theirs.png",
        "published-sparsity.png",
        "published-sparsity.svg",
    }


def test_a_figure_of_others_is_not_written_over(results, published, tmp_path):
    theirs = tmp_path / "figures" / "published-sparsity.svg"
    theirs.parent.mkdir()
    theirs.write_text("<svg/>")
    with pytest.raises(Refused, match=r"published-sparsity\.svg exists, and avsr-bench did not make it"):
        render([results], published, tmp_path)
    assert theirs.read_text() == "<svg/>"


@pytest.mark.parametrize("name", ["README.md", "index.html", "results.csv"])
def test_pages_of_others_are_not_written_over(results, published, tmp_path, name):
    (tmp_path / name).write_text("# Ours\n\n`avsr-bench leaderboard` makes pages.\n")
    with pytest.raises(Refused, match=f"{name} exists, and avsr-bench did not make it: pages go to"):
        render([results], published, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {name, "results"}
    (tmp_path / name).unlink()
    render([results], published, tmp_path)
    render([results], published, tmp_path)


def test_where_nothing_may_be_compared_the_pages_say_so(results, make, published, tmp_path):
    make.measure(results, texts=make.sentences(5, 2), commit="")
    render([results], published, tmp_path / "out")
    for name in ("README.md", "index.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "No results that may be compared" in text and "No results yet" not in text


def test_each_way_of_decoding_has_figures_of_its_own(results, make, published, tmp_path):
    few = make.sentences(5, 2)
    beam = {"kind": "beam", "beam": 40}
    for run, errors in (("synth/dense-tiny-s0", 0.2), ("grid/dense-tiny-s0", 0.6), ("synth/set-tiny-s0", 0.3)):
        make.sweep(results, run, errors, texts=few, sparsity=0.5 * ("set" in run))
    make.sweep(results / "beam", "synth/dense-tiny-s0", 0.1, texts=few, decoding=beam)
    render([results], published, tmp_path / "out")
    figures = sorted(path.stem for path in (tmp_path / "out/figures").glob("noise-*.svg"))
    assert len(figures) == 2 and figures[0] == "noise-synth-test-video-tiny"
    assert figures[1].startswith("noise-synth-test-video-tiny-beam-40-")


def test_no_place_to_write(results, published, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"cannot write .*/file: a file of that name is in the way; choose another --out"):
        render([results], published, tmp_path / "file")
