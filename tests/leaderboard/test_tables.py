import numpy as np
import pytest
from archives import put

from avsr_bench import noise
from avsr_bench.leaderboard.boards import make_boards
from avsr_bench.leaderboard.rows import read_rows
from avsr_bench.leaderboard.tables import board_tables
from avsr_bench.scoring import compare, read_archive, score


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
    assert len(wers) == 13 and [cell.value for cell in wers] == sorted(cell.value for cell in wers)
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
    assert column(found[0], "against dense")["synth/dense-tiny-s1"].text == "–"


def test_dense_is_that_of_the_same_reading_and_training_corpus(results, make):
    few = make.sentences(5, 2)
    for run in ("grid/dense-tiny-s0", "synth/dense-tiny-s0", "synth/set-tiny-s0", "lrs/set-tiny-s0"):
        make.measure(results, run, texts=few)
    for run in ("synth/dense-tiny-s0", "synth/gmp-tiny-s0"):
        make.measure(results / "beam", run, texts=few, decoding={"kind": "beam", "beam": 40})
    ((board,), _) = make_boards(read_rows([results]).rows)
    compared = {(model.run, model.decoding): board.dense(model) for model in board.models}
    for run, reading, dense in (
        ("synth/set-tiny-s0", "greedy CTC", "synth/dense-tiny-s0"),
        ("synth/gmp-tiny-s0", "beam 40", "synth/dense-tiny-s0"),
        ("lrs/set-tiny-s0", "greedy CTC", "grid/dense-tiny-s0"),  # nobody is at home: the first by name
    ):
        found = compared[run, reading]
        assert (found.run, found.decoding) == (dense, reading)
    assert compared["synth/dense-tiny-s0", "beam 40"] is None


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


def test_seeds_have_a_table_of_their_own(full):
    found, _ = tables(full)
    (seeds,) = (table for table in found if "seeds" in table.heading)
    (line,) = seeds.lines
    assert [line.cells[0].text, line.cells[-1].text] == ["dense", "0, 1"] and " to " in line.cells[2].text


def test_sound_by_ratio(full):
    found, _ = tables(full)
    (sound,) = (table for table in found if "babble" in table.heading)
    assert [each.name for each in sound.columns][:5] == ["system", "clean", "10 dB", "0 dB", "-5 dB"]
    assert all(cell.low is not None for cell in sound.lines[0].cells[1:5])


def test_code_that_was_changed_is_told(results, make):
    make.measure(results, commit="3f9c2d1-dirty")
    found, _ = tables(results)
    assert "1 of the rows were measured by code that was changed" in found[0].notes[0]
