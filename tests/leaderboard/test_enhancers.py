"""Enhancers on the pages: what cannot be shown first, then tables, the noisy sound, the figure and sentences."""

import json
import shutil
from statistics import fmean

import pytest
import torch
from archives import change, put, text
from enhancers import enhancer_run
from heard import Silence, make_run
from mouths import make_shards

from avsr_bench.evaluation import EvaluateRequest, evaluate_enhancer
from avsr_bench.leaderboard import read_rows, render, to_frame
from avsr_bench.leaderboard.boards import CLEAN_KEY, key_of
from avsr_bench.leaderboard.enhancer_findings import enhancer_findings
from avsr_bench.leaderboard.enhancer_tables import NOISY, enhancer_tables
from avsr_bench.leaderboard.enhancers import make_enhancer_boards, noisy_sound
from avsr_bench.robustness import RobustnessRequest, robustness
from avsr_bench.scoring import read_archive, sound

READER = "small/hears-tiny-s1"
SOUND = "white:0,-5"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two seeds that watch lips, one also shown those of others, one that hears alone; and what their reader hears."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("enhanced")
    corpus = make_shards(place / "data/small", {"train": 1, "valid": 1, "test": 6})
    reader = make_run(place / "runs" / READER, corpus, "audio")
    out = place / "results"
    for kind, seed, lips in (("av", 1, "own"), ("av", 2, "own"), ("av", 1, "other"), ("audio", 1, "own")):
        run = place / f"runs/small/enhance-{kind}-tiny-s{seed}"
        if not run.exists():
            enhancer_run(run, kind, seed)
        words = f"avsr-bench evaluate {run.name} --sound {SOUND} --read {READER} --lips {lips}"
        known = {"run": str(run), "data": corpus.location, "sound": SOUND, "lips": lips, "command": words}
        evaluate_enhancer(EvaluateRequest(**known, out=out / run.name, read=str(reader), workers=2), Silence())
    plain = RobustnessRequest(noise="none", sounds=(SOUND,), models=(str(reader),), data=corpus.location, out=out)
    robustness(plain, Silence())
    torch.set_num_threads(threads)
    return out


@pytest.fixture
def results(measured, tmp_path):
    return shutil.copytree(measured, tmp_path / "results")


def rows_of(results):
    found = read_rows([results])
    assert not found.notes
    return found


def archive_of(results, run="enhance-av-tiny-s1"):
    (path,) = (results / run).glob("*.zip")
    return path


def tables(results):
    (board,) = make_enhancer_boards(read_rows([results]))
    return board, list(enhancer_tables(board))


def line_of(table, name, lips="own"):
    (line,) = (each for each in table.lines if (each.cells[0].text, each.cells[1].text) == (name, lips))
    return line


# What cannot be shown


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"command": ""}, "it has no command"),
        ({"scorer_version": 0}, "scored by version 0 of the scorer"),
        ({"noise_on": "mouth"}, "its noise is on mouth"),
        ({"noise_version": 0}, "made with version 0 of the noise"),
        ({"noise_seed": None}, "does not say where its noise was applied"),
        ({"condition": "white"}, "not of the form FAMILY:LEVEL"),
        ({"reader": ""}, "it has a WER, but does not say who read"),
        ({"weights": "ffff"}, "of other weights than"),
    ],
)
def test_results_that_stand_apart(results, changed, reason):
    change(archive_of(results) / "white_0", **changed)
    (apart,) = read_rows([results]).apart
    assert reason in apart.reason


def test_a_result_without_any_metric_of_sound(results):
    path = archive_of(results) / "white_0"
    metrics = json.loads(text(path))["metrics"]
    change(path, metrics={"wer": metrics["wer"], "cer": metrics["cer"]})
    (apart,) = read_rows([results]).apart
    assert apart.reason == f"it is of an enhancer, read by {READER}, but its sound was not measured"
    change(path, metrics={name: of for name, of in metrics.items() if name not in ("wer", "cer")})
    (apart,) = read_rows([results]).apart
    assert apart.reason == f"{READER} read nothing"


def test_two_measurements_that_disagree(results):
    copy = results / "again" / archive_of(results).name
    copy.parent.mkdir()
    shutil.copy(archive_of(results, "enhance-av-tiny-s2"), copy)
    change(copy / "white_0", run="small/enhance-av-tiny-s1")
    reasons = [each.reason for each in read_rows([results]).apart]
    assert len(reasons) == 2 and all("results of one row disagree" in reason for reason in reasons)


def test_a_metric_that_clips_lack_is_no_traceback(results, published, tmp_path):
    """Two seeds are pooled clip by clip; where the clips of one have no value, a note says so."""
    path = archive_of(results) / "white_0"
    head, *clips = text(path, ".jsonl").splitlines()
    records = [json.loads(each) for each in clips]
    for record in records:
        del record["parts"]["estoi"]
    put(path, "\n".join([head, *map(json.dumps, records)]) + "\n", ".jsonl")
    _, found = tables(results)
    (table,) = (each for each in found if "ESTOI against" in each.heading)
    assert line_of(table, "enhance").cells[3].value is None
    assert any("has a value of ESTOI, but none of" in note for note in table.notes)
    render([results], published, tmp_path / "out")


def test_without_gains_there_is_no_noisy_sound_to_compare_with(results):
    for path in sorted(results.glob("enhance-*/*.zip")):
        for name in read_archive(path).names:
            metrics = json.loads(text(path / name))["metrics"]
            change(path / name, metrics={key: of for key, of in metrics.items() if not key.endswith("_gain")})
    _, found = tables(results)
    shown = {table.heading.partition("sound: ")[2]: [line.cells[0].text for line in table.lines] for table in found}
    assert NOISY not in shown["ESTOI against white"] and len(shown["ESTOI against white"]) == 3
    assert shown[f"WER against white, read by {READER}, greedy CTC"].count(NOISY) == 1  # that was read, not derived


def test_what_nobody_read_has_no_wer(results):
    for path in sorted(results.glob("enhance-*/*.zip")):
        for name in read_archive(path).names:
            content = json.loads(text(path / name))
            kept = {key: of for key, of in content["metrics"].items() if key not in ("wer", "cer")}
            head, *clips = text(path / name, ".jsonl").splitlines()
            mute = [json.dumps({**json.loads(each), "hypothesis": None}) for each in clips]
            put(path / name, "\n".join([head, *mute]) + "\n", ".jsonl")
            change(path / name, metrics=kept, reader="", reader_weights="", decoding={})
    board, found = tables(results)
    assert not rows_of(results).apart and board.readers == [] and enhancer_findings(board) == ()
    assert not any("WER" in table.heading for table in found)
    (table,) = (each for each in found if "sound: ESTOI against" in each.heading)
    assert [line.cells[0].text for line in table.lines] == [NOISY, *["enhance"] * 3]


# What is shown


def test_rows_of_enhancers_are_rows(results):
    found = rows_of(results)
    assert len(found.enhanced) == 4 * 3 and not found.apart
    assert {row.result.run for row in found.rows} == {READER}
    frame = to_frame(found)
    assert len(frame) == 4 * 3 + 3 and set(frame["apart"]) == {""}
    assert frame["si_sdr"].notna().sum() == 12


def test_seeds_are_pooled_and_lips_are_not(results):
    board, found = tables(results)
    who = {(model.about.modality, model.about.lips_seed): len(model.runs) for model in board.models}
    assert who == {("av", None): 2, ("av", 0): 1, ("audio", None): 1}
    rows = {row.name: row.result for row in rows_of(results).enhanced}
    for metric, label in (("wer", "WER"), ("estoi", "ESTOI"), ("si_sdr", "SI-SDR")):
        (table,) = (each for each in found if f"sound: {label} against" in each.heading)
        assert [column.name for column in table.columns[2:5]] == ["clean", "0 dB", "-5 dB"]
        cells = line_of(table, "enhance").cells
        for cell, condition in zip(cells[2:5], ("clean", "white:0", "white:-5"), strict=True):
            names = (f"small/enhance-av-tiny-s{seed}/test/{condition}@read-by-small-hears-tiny-s1" for seed in (1, 2))
            assert cell.value == pytest.approx(fmean(rows[name].metrics[metric].value for name in names))
            assert cell.low <= cell.value <= cell.high
        assert cells[-1].text.startswith("2: ")
        assert line_of(table, "enhance", "of others") and line_of(table, "enhance", "none (sound alone)")


def test_the_noisy_sound_is_what_it_was_before_anybody_cleaned_it(results, measured):
    """White noise at 0 and -5 dB has about that SI-SDR, whoever it is derived from, and its WER is the reader's own."""
    board, found = tables(results)
    (where,) = board.noises
    for model in board.models:
        for metric in ("si_sdr", "estoi"):
            values = []
            for ratio in (0.0, -5.0):
                mean, row = noisy_sound([model], (where, "white", ratio), metric)
                of = row.result.metrics
                assert mean.value == pytest.approx(of[metric].value - of[f"{metric}_gain"].value)
                assert mean.interval.low <= mean.value <= mean.interval.high
                values.append(mean.value)
            assert values[0] > values[1]
            assert metric == "estoi" or values == pytest.approx([0, -5], abs=0.5)
    assert noisy_sound(board.models, CLEAN_KEY, "si_sdr") is None
    (table,) = (each for each in found if "sound: WER against" in each.heading)
    assert table.lines[0].cells[0].text == NOISY and table.lines[0].beside
    plain = {key_of(row): row.result.wer for row in rows_of(results).rows}
    shown = [cell.value for cell in table.lines[0].cells[2:5]]
    assert shown == [plain[key] for key in (CLEAN_KEY, (where, "white", 0.0), (where, "white", -5.0))]


def test_the_best_comes_first_whichever_way_the_metric_goes(results):
    _, found = tables(results)
    for label, descending in (("WER", False), ("ESTOI", True), ("SI-SDR", True)):
        (table,) = (each for each in found if f"sound: {label} against" in each.heading)
        values = [line.cells[4].value for line in table.lines[1:]]
        assert values == sorted(values, reverse=descending)


def test_pesq_is_shown_where_it_was_measured(results):
    if "pesq" not in sound.computable():
        pytest.skip("needs the extra `enhance`")
    for name in ("white_0", "white_-5", "clean"):
        path = archive_of(results, "enhance-audio-tiny-s1") / name
        metrics = json.loads(text(path))["metrics"]
        change(path, metrics={key: of for key, of in metrics.items() if not key.startswith("pesq")})
    _, found = tables(results)
    (table,) = (each for each in found if "sound: PESQ against" in each.heading)
    assert [line.cells[1].text for line in table.lines[1:]].count("none (sound alone)") == 0
    assert line_of(table, "enhance").cells[3].value is not None


def test_where_the_reader_was_not_measured_a_note_says_how(results):
    (plain,) = (path for path in results.rglob("*.zip") if not path.parent.name.startswith("enhance"))
    plain.unlink()
    board, found = tables(results)
    (table,) = (each for each in found if "sound: WER against" in each.heading)
    assert NOISY not in [line.cells[0].text for line in table.lines]
    assert any(f"robustness --models {READER} --noise none --sound white:-5" in note for note in table.notes)
    assert enhancer_findings(board) == ()


def test_a_reader_that_was_trained_anew_is_another_reader(results):
    for name in ("clean", "white_0", "white_-5"):
        change(archive_of(results, "enhance-av-tiny-s2") / name, reader_weights="0123")
    board, found = tables(results)
    read = [each for each in found if "sound: WER against" in each.heading]
    assert len(board.readers) == 2 and len(read) == 2 and len({each.heading for each in read}) == 2
    assert any(each.heading.endswith("weights 0123") for each in read)
    sounds = [each for each in found if "sound: SI-SDR against" in each.heading]
    assert len(sounds) == 1


def test_the_pages(results, published, tmp_path):
    made = render([results], published, tmp_path / "out")
    assert (made.rows, made.apart, made.notes) == (15, 0, ())
    page, readme = ((tmp_path / "out" / name).read_text() for name in ("index.html", "README.md"))
    assert "SI-SDR against white" in readme and NOISY in readme and 'class="beside"' in page
    (name,) = (path.stem for path in (tmp_path / "out/figures").glob("enhancers-*.png"))
    assert f"figures/{name}.svg" in readme and 'aria-label="WER and ESTOI of enhanced sound, small, test"' in page
    assert "small/enhance-av-tiny-s1/test/white:0@read-by-small-hears-tiny-s1@other-lips" in page
    (said,) = enhancer_findings(make_enhancer_boards(read_rows([results]))[0])
    assert said.startswith("Against white at -5 dB, small/hears-tiny-s1 reads the output of enhance, ")
    again = render([results], published, tmp_path / "again")
    assert "less their gains, clip by clip" in readme
    assert again.rows == 15 and (tmp_path / "again/index.html").read_text() == page
