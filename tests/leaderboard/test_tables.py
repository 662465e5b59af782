from dataclasses import replace

import numpy as np
import pytest
from archives import put

from avsr_bench import noise
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.references import dense_of
from avsr_bench.leaderboard.rows import read_rows
from avsr_bench.leaderboard.tables import board_tables
from avsr_bench.records import Ancestor, Budget
from avsr_bench.scoring import compare, pool, read_archive, score


def tables(folder):
    boards, notes = make_boards(read_rows([folder]).rows)
    return [table for board in boards for table in board_tables(board)], notes


def column(table, name):
    place = [each.name for each in table.columns].index(name)
    return {line.rows[0].result.run: line.cells[place] for line in table.lines}


def test_the_best_come_first_with_their_intervals(full):
    found, _ = tables(full)
    clean = found[0]
    wers = [line.cells[1] for line in clean.lines]
    assert len(wers) == 12 and [cell.value for cell in wers] == sorted(cell.value for cell in wers)
    assert all(cell.low <= cell.value <= cell.high for cell in wers)
    assert "15 speakers" in clean.notes[0] and "So few words" in clean.notes[0]


def test_means_are_those_of_their_conditions(full):
    found, _ = tables(full)
    whole, few = (table for table in found if "mean WER over" in table.heading)
    assert whole.heading.endswith("levels 1 to 10") and few.heading.endswith("levels 5, 10")
    assert len(whole.lines) == 3 and len(few.lines) == 5  # whoever has all levels has these two as well
    rows = {row.name: row.result for row in read_rows([full]).rows}
    for table, levels in ((whole, range(1, 11)), (few, (5, 10))):
        for name, families in (("mean", noise.FAMILIES), ("seen", noise.SEEN), ("jpeg", ["jpeg"])):
            wers = [rows[f"synth/msrs-tiny-s0/test/{family}:{level}"].wer for family in families for level in levels]
            cell = column(table, name)["synth/msrs-tiny-s0"]
            (mine,) = (line for line in table.lines if line.rows[0].result.system == "msrs")
            assert len(mine.rows) == 7 * len(levels) and all(row.result.run in row.name for row in mine.rows)
            assert cell.value == pytest.approx(np.mean(wers)) and cell.low < cell.value < cell.high


def test_differences_are_paired_with_dense_of_the_same_seed(full):
    found, _ = tables(full)
    cell = column(found[0], "against dense")["synth/sparsevsr-tiny-s0/round-08"]
    first, second = (
        [score(each) for each in read_archive(full / run / "test.zip").utterances("clean")]
        for run in ("synth__dense-tiny-s0", "synth__sparsevsr-tiny-s0__round-08")
    )
    same = compare([first], [second])
    assert (cell.value, cell.low, cell.high) == (same.difference, same.interval.low, same.interval.high)
    assert cell.text.startswith("+")
    assert column(found[0], "against dense")["synth/dense-tiny-s0"].text == "–"


def test_dense_is_that_of_the_same_reading_and_training_corpus(results, make):
    few = make.sentences(5, 2)
    for run in ("grid/dense-tiny-s0", "synth/dense-tiny-s0", "synth/set-tiny-s0", "lrs/set-tiny-s0"):
        make.measure(results, run, texts=few)
    for run in ("synth/dense-tiny-s0", "synth/gmp-tiny-s0"):
        make.measure(results / "beam", run, texts=few, decoding={"kind": "beam", "beam": 40})
    ((board,), _) = make_boards(read_rows([results]).rows)
    compared = {(model.run, model.decoding): dense_of(board, model) for model in board.models}
    for run, reading, dense in (
        ("synth/set-tiny-s0", "greedy CTC", "synth/dense-tiny-s0"),
        ("synth/gmp-tiny-s0", "beam 40", "synth/dense-tiny-s0"),
    ):
        found = compared[run, reading]
        assert (found.run, found.decoding) == (dense, reading)
    assert compared["synth/dense-tiny-s0", "beam 40"] == ""
    assert compared["lrs/set-tiny-s0", "greedy CTC"] == "no dense run of this budget"  # none was trained on lrs


def test_dense_that_began_elsewhere_or_lacks_texts_is_no_reference(results, make):
    few = make.sentences(5, 2)
    whole = Budget(frames=8_000_000, updates=800, labelled_hours=0.5)
    runs = {
        "dense-tiny-s0": whole,
        "dense-fifth-tiny-s0": replace(whole, labelled_hours=0.1),
        "dense-labels-tiny-s0": replace(whole, labelled_hours=0.1, automatic_hours=0.4),
        "dense-begun-tiny-s0": replace(whole, ancestors=(Ancestor("synth/braven-tiny-av-s0", 1000, "ab"),)),
        "set-tiny-s0": whole,
    }
    for run, budget in runs.items():
        make.measure(results, f"synth/{run}", texts=few, budget=budget, system=run.partition("-")[0])
    ((board,), _) = make_boards(read_rows([results]).rows)
    compared = {model.run: dense_of(board, model) for model in board.models}
    assert compared.pop("synth/dense-tiny-s0") == ""
    assert {run: dense.run for run, dense in compared.items()} == {
        f"synth/{run}": "synth/dense-tiny-s0" for run in runs if run != "dense-tiny-s0"
    }


def test_rounds_are_compared_with_as_many_rounds_that_remove_nothing(results, make):
    few = make.sentences(5, 2)
    dense = Ancestor("synth/dense-tiny-s0", 8_000_000, "ab")
    make.measure(results, dense.run, texts=few, budget=Budget(frames=dense.frames))
    for system, removed in (("sparsevsr", 0.1), ("dense-continued", 0.0)):
        before: tuple[Ancestor, ...] = (dense,)
        for number in (1, 2):
            run = f"synth/{system}-tiny-s0/round-0{number}"
            spent = Budget(frames=2_000_000, ancestors=before)
            make.measure(results, run, texts=few, budget=spent, system=system, sparsity=removed * number)
            before = (Ancestor(run, 2_000_000, f"c{number}"), *before)
    at_once = Budget(frames=4_000_000, ancestors=(dense,))
    elsewhere = Budget(frames=2_000_000, ancestors=(Ancestor("synth/braven-tiny-s0", 8_000_000, "cd"),))
    for system, spent in (("int8", at_once), ("gmp", elsewhere)):
        make.measure(results, f"synth/{system}-tiny-s0", texts=few, budget=spent, system=system, sparsity=0.016)
    ((board,), _) = make_boards(read_rows([results]).rows)
    assert {model.system for model in board.models if model.sparse} == {"sparsevsr"}  # rounding makes some zero
    compared = {model.run: dense_of(board, model) for model in board.models}
    for system in ("int8", "gmp"):  # as many frames as two rounds in one, and as one round from another start
        assert compared[f"synth/{system}-tiny-s0"] == "no dense run of this budget"
    for number in (1, 2):
        control = f"synth/dense-continued-tiny-s0/round-0{number}"
        assert compared[f"synth/sparsevsr-tiny-s0/round-0{number}"].run == control
        assert compared[control] == ""
    assert compared["synth/dense-tiny-s0"] == ""


def test_what_may_not_share_a_table_does_not(results, make):
    few = make.sentences(6, 3)
    for run in ("synth/dense-tiny-s0", "synth/msrs-tiny-s0"):
        make.measure(results / "a", run, texts=few)
        for place, more in (("b", {}), ("c", {"noise_on": "frame"}), ("d", {"noise_seed": 1})):
            make.measure(results / place, run, "gaussian:5", 0.3, few, **more)
        make.measure(results / "e", run, "babble:0", 0.3, few)
        make.measure(results / "f", run, corpus_fingerprint="other", texts=few)
        make.measure(results / "g", run, texts=few[:-1])
        make.measure(results / "h", run, modality="av", corpus_fingerprint="other", texts=few)
    found, notes = tables(results)
    for table in found:
        kinds = {
            (row.result.corpus_fingerprint, row.result.utterances, row.result.modality)
            for line in table.lines
            for row in line.rows
        }
        assert len(kinds) == 1, table.heading
    assert len({table.heading for table in found}) == len(found)
    said = " ".join(table.heading for table in found)
    assert all(words in said for words in ("on mouth crops", "on full frames", "noise seed 1", "babble in the sound"))
    (note,) = notes
    assert "synth, test is 3 different tests" in note and "17 utterances" in note and "other" in note


def test_intervals_of_one_speaker_or_of_few_are_told(results, make):
    one = [("s1", f"s1-{number}", "one two three") for number in range(20)]
    make.measure(results, texts=one)
    (clean, *_), _ = tables(results)
    assert "intervals draw 20 utterances" in clean.notes[0] and "of one speaker" in clean.notes[0]
    make.measure(results, texts=make.sentences(5, 2))
    (clean, *_), _ = tables(results)
    assert "Intervals of so few speakers (5) are too narrow" in clean.notes[0]


def test_an_unfinished_sweep_has_no_mean(results, make):
    few = make.sentences(6, 3)
    make.sweep(results, "synth/dense-tiny-s0", 0.05, texts=few, levels=(5, 10))
    make.sweep(results, "synth/msrs-tiny-s0", 0.05, texts=few, levels=(5,))
    make.sweep(results, "synth/rigl-tiny-s0", 0.05, texts=few, levels=(5, 10), families=("jpeg", "blur"))
    put(results / "synth__dense-tiny-s0/test.zip/jpeg_10", None)
    found, _ = tables(results)
    means = [table for table in found if "mean WER" in table.heading]
    assert [table.heading.rpartition("over ")[2] for table in means] == ["levels 5, 10", "level 5"]
    both, five = means
    assert column(both, "mean")["synth/dense-tiny-s0"].text == "–"
    assert column(both, "blur")["synth/dense-tiny-s0"].value is not None
    assert column(five, "mean")["synth/rigl-tiny-s0"].text == "–" and column(five, "jpeg")["synth/rigl-tiny-s0"].low
    assert set(column(five, "mean")) == {f"synth/{name}-tiny-s0" for name in ("dense", "msrs", "rigl")}


def test_without_hypotheses_rows_stay_and_means_say_why_not(results, make):
    make.sweep(results, "synth/dense-tiny-s0", 0.05, texts=make.sentences(6, 3), levels=(5, 10))
    put(results / "synth__dense-tiny-s0/test.zip/jpeg_10", None, ".jsonl")
    found, _ = tables(results)
    (means,) = (table for table in found if "mean WER" in table.heading)
    assert column(means, "mean")["synth/dense-tiny-s0"].text == "–"
    assert column(means, "blur")["synth/dense-tiny-s0"].low is not None
    assert "jpeg_10 are gone" in means.notes[0]
    assert len(found[-1].lines) == 15 and found[-1].long


def budget(frames, ancestors=(), **more):
    return Budget(frames=frames, ancestors=tuple(Ancestor(*each) for each in ancestors), **more)


FEW = 10**6


def test_dense_of_another_budget_is_no_measure(results, make):
    """Within 5 % of the larger one, ancestors included; who says nothing is not compared."""
    few = make.sentences(6, 3)
    make.measure(results, "synth/dense-tiny-s0", texts=few, budget=budget(100 * FEW))
    for name, spent in (
        ("near", budget(96 * FEW)),
        ("less", budget(94 * FEW)),
        ("more", budget(106 * FEW)),
        ("whole", budget(40 * FEW, [("synth/x", 30 * FEW), ("synth/y", 31 * FEW)])),
        ("parts", budget(100 * FEW, [("synth/x", 30 * FEW)])),
        ("taught", budget(100 * FEW, teacher_frames=100 * FEW)),
        ("imported", budget(100 * FEW, [("others", None)])),
        ("none", None),
    ):
        make.measure(results, f"synth/{name}-tiny-s0", texts=few, budget=spent, errors=0.3)
    (clean, *_), _ = tables(results)
    compared = {run.split("/")[1][:-8]: cell.text for run, cell in column(clean, "against dense").items()}
    assert {name for name, text in compared.items() if text.startswith("+")} == {"near", "whole", "taught"}
    assert {name for name, text in compared.items() if "no dense run of this budget" in text} == {
        "less",
        "more",
        "parts",
    }
    assert {name for name, text in compared.items() if text == "budget unknown"} == {"imported", "none"}
    shown = {run.split("/")[1][:-8]: cell.text for run, cell in column(clean, "M frames").items()}
    assert (shown["whole"], shown["parts"], shown["none"], shown["imported"]) == (
        "101.0",
        "130.0",
        "unknown",
        "unknown",
    )


def test_an_order_does_not_mix_budgets_in_silence(results, make):
    few = make.sentences(6, 3)
    for name, spent, errors in (
        ("long", budget(200 * FEW), 0.02),
        ("worse", budget(101 * FEW), 0.5),
        ("better", budget(100 * FEW), 0.2),
        ("lost", None, 0.01),
        ("found", None, 0.4),
    ):
        make.measure(results, f"synth/{name}-tiny-s0", texts=few, budget=spent, errors=errors)
    (clean, *_), _ = tables(results)
    assert [line.cells[0].text for line in clean.lines] == ["better", "worse", "long", "lost", "found"]
    said = " ".join(clean.notes)
    assert "2 of these systems, which come last, were trained is unknown" in said and "within each budget" in said
    make.measure(results / "two", "grid/a-tiny-s0", corpus="grid", texts=few)
    make.measure(results / "two", "grid/b-tiny-s0", corpus="grid", texts=few)
    clean = next(table for table in tables(results)[0] if table.lines[0].corpus == "grid")
    assert "budget" not in " ".join(clean.notes)


class TestSeeds:
    @pytest.fixture
    def three(self, results, make):
        """Three seeds of two systems, with clips of six speakers."""
        few = make.sentences(6, 3)
        for system, errors in (("dense", 0.1), ("msrs", 0.3)):
            for seed in range(3):
                more = {"train_seed": seed, "budget": budget((100 + seed) * FEW), "system": system, "texts": few}
                make.measure(results, f"synth/{system}-tiny-s{seed}", errors=errors + 0.1 * seed, **more)
        return results

    def test_are_one_row(self, three):
        (clean, *_), _ = tables(three)
        _, msrs = clean.lines
        kept = [read_archive(three / f"synth__msrs-tiny-s{seed}/test.zip") for seed in range(3)]
        wers = [each.result("clean").wer for each in kept]
        by_speaker = {}
        for each in kept:
            for scored in map(score, each.utterances("clean")):
                by_speaker.setdefault(scored.speaker, []).append(scored.parts["wer"])
        sums = np.array([[sum(p.errors for p in of), sum(p.length for p in of)] for of in by_speaker.values()])
        picked = np.random.default_rng(0).integers(0, 6, (2000, 6))
        rates = sums[picked].sum(1)[:, 0] / sums[picked].sum(1)[:, 1]
        cell = msrs.cells[1]
        assert cell.value == pytest.approx(np.mean(wers))
        assert (cell.low, cell.high) == pytest.approx(tuple(np.quantile(rates, [0.025, 0.975])))
        seeds = column(clean, "seeds")["synth/msrs-tiny-s0"].text
        assert seeds == f"3: {100 * min(wers):.1f}–{100 * max(wers):.1f}"
        assert msrs.cells[-1].text == "synth/msrs-tiny-s0/test/clean and 2 more" and len(msrs.rows) == 3

    def test_are_compared_with_those_of_dense(self, three):
        (clean, *_), _ = tables(three)
        cell = column(clean, "against dense")["synth/msrs-tiny-s0"]
        systems = [
            [
                pool(
                    [[*map(score, read_archive(three / f"synth__{system}-tiny-s{seed}/test.zip").utterances("clean"))]]
                )
                for seed in range(3)
            ]
            for system in ("dense", "msrs")
        ]
        same = compare(*([pool(runs)] for runs in systems))
        assert (cell.value, cell.low, cell.high) == (same.difference, same.interval.low, same.interval.high)

    def test_one_seed_is_compared_with_that_seed(self, three, make):
        few = make.sentences(6, 3)
        for seed in (1, 7):
            more = {"train_seed": seed, "budget": budget(100 * FEW), "system": f"set{seed}", "texts": few}
            make.measure(three, f"synth/set{seed}-tiny-s{seed}", errors=0.6, **more)
        (clean, *_), _ = tables(three)
        found = column(clean, "against dense")
        dense, mine = (
            read_archive(three / f"synth__{run}/test.zip").result("clean").wer
            for run in ("dense-tiny-s1", "set1-tiny-s1")
        )
        assert found["synth/set1-tiny-s1"].value == pytest.approx(mine - dense)
        assert found["synth/set7-tiny-s7"].text == "no dense run of these seeds"

    @pytest.mark.parametrize(
        "more",
        [
            {"sparsity": 0.7},
            {"size": "small"},
            {"budget": budget(200 * FEW)},
            {"budget": None},
            {"decoding": {"kind": "attention"}},
            {"recipe_command": "avsr-bench train msrs --size tiny --seed 9 train.rate=1"},
            {"train_seed": 1},
            {"train_seed": None},
            {"run": "synth/msrs-tiny-s9/round-02"},
            {"run": "grid/msrs-tiny-s9"},
        ],
    )
    def test_of_another_system_are_another_row(self, three, make, more):
        about = {"train_seed": 9, "budget": budget(100 * FEW), "system": "msrs", **more}
        make.measure(three, about.pop("run", "synth/msrs-tiny-s9"), texts=make.sentences(6, 3), **about)
        assert len(tables(three)[0][0].lines) == 3

    def test_of_one_name_say_in_what_they_differ(self, three, make):
        given = (
            "'network.low_rank.attention=[0.1, 0.2]' train.lr=1e-3 method.lr=2",
            "train.lr=1e-3 train.steps=5",
            "train.lr=1e-3",
            "train.lr=1e-3 init.run=runs/synth/dense-half-tiny-s0",
        )
        for number, words in enumerate(given):
            about = {"budget": budget((100 + 50 * number) * FEW), "system": "msrs", "train_seed": 0}
            command = f"avsr-bench train msrs --size tiny --seed 0 --out runs/x {words}"
            run = f"synth/other{number}-tiny-s0"
            make.measure(three, run, texts=make.sentences(6, 3), recipe_command=command, **about)
        found = column(tables(three)[0][0], "system")
        assert found["synth/other0-tiny-s0"].text == "msrs, attention=[0.1, 0.2], method.lr=2, train.lr=1e-3"
        assert found["synth/other1-tiny-s0"].text == found["synth/other2-tiny-s0"].text == "msrs, train.lr=1e-3"
        assert found["synth/other3-tiny-s0"].text == "msrs, begun with dense-half-tiny, train.lr=1e-3"
        assert found["synth/msrs-tiny-s0"].text == "msrs" and found["synth/dense-tiny-s0"].text == "dense"

    def test_where_some_lack_a_condition_means_are_of_the_others(self, three, make):
        few = make.sentences(6, 3)
        for seed in range(2):
            more = {"train_seed": seed, "budget": budget((100 + seed) * FEW), "system": "msrs", "texts": few}
            make.sweep(three, f"synth/msrs-tiny-s{seed}", 0.3, levels=(5,), **more)
        found, _ = tables(three)
        means = next(table for table in found if "mean WER" in table.heading)
        (line,) = means.lines
        assert column(means, "seeds")["synth/msrs-tiny-s0"].text.startswith("2: ") and len(line.rows) == 14
        clean = column(means, "clean")["synth/msrs-tiny-s0"].value
        wers = [read_archive(three / f"synth__msrs-tiny-s{seed}/test.zip").result("clean").wer for seed in range(2)]
        assert clean == pytest.approx(np.mean(wers))


def test_sound_by_ratio(full):
    found, _ = tables(full)
    (sound,) = (table for table in found if "babble" in table.heading)
    assert [each.name for each in sound.columns][:5] == ["system", "clean", "10 dB", "0 dB", "-5 dB"]
    assert all(cell.low is not None for cell in sound.lines[0].cells[1:5])


def test_code_that_was_changed_is_told(results, make):
    make.measure(results, commit="3f9c2d1-dirty")
    found, _ = tables(results)
    assert "1 of the rows were measured by code that was changed" in found[0].notes[0]
