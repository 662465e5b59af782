import csv
import json
import os
import subprocess

import pytest
import warm
from archives import put, text

from avsr_bench.leaderboard import read_rows, verify
from avsr_bench.records import Refused
from avsr_bench.scoring import Measure, Result, Sums, Utterance, archive, interval, score, total


def test_a_row_as_it_was_kept(results, make):
    make.measure(results, condition="gaussian:5", errors=0.3)
    (row,) = read_rows([results]).rows
    done = verify(row)
    assert done.alike and (done.metrics, done.utterances) == (row.result.metrics, 120)
    assert done.said.startswith("synth/dense-tiny-s0/test/gaussian:5: WER ") and "120 hypotheses" in done.said


def test_hypotheses_that_say_otherwise(results, make):
    path = make.measure(results)
    clips, first, *rest = text(path, ".jsonl").splitlines()
    put(path, "\n".join([clips, json.dumps({**json.loads(first), "hypothesis": ""}), *rest]) + "\n", ".jsonl")
    (row,) = read_rows([results]).rows
    done = verify(row)
    assert not done.alike and done.metrics != row.result.metrics
    assert f"kept are {row.result.metrics['wer'].parts.errors} errors of 600 words" in done.said


def test_one_utterance_more_or_less(results, make):
    path = make.measure(results)
    lines = text(path, ".jsonl")
    (row,) = read_rows([results]).rows
    for number, other in enumerate(
        ("".join(lines.splitlines(keepends=True)[:-1]), lines + lines.splitlines()[1] + "\n")
    ):
        put(path, other, ".jsonl")
        os.utime(path.parent, ns=(number, number))
        with pytest.raises(Refused, match="hypotheses that are not of its 120 clips"):
            verify(row)


@pytest.mark.parametrize("which", ["wer", "cer"])
def test_an_interval_that_hypotheses_do_not_make(results, make, which):
    path = make.measure(results, errors=0.3)
    content = json.loads(text(path))
    content["metrics"][which]["interval"]["low"] += 0.01
    put(path, json.dumps(content))
    (row,) = read_rows([results]).rows
    done = verify(row)
    assert done.counted_alike and not done.alike
    assert "kept is an interval of [" in done.said and "its hypotheses make [" in done.said


def command(*words, cwd):
    return subprocess.run(
        [*warm.avsr(), "leaderboard", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line(make, tmp_path):
    local = tmp_path / "leaderboards/local"
    make.measure(local, texts=make.sentences(5, 2))
    done = command(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1 rows measured, 113 published, 1 figures",
        "leaderboards/local/index.html and leaderboards/local/README.md",
    ]
    again = command(cwd=tmp_path)  # its own pages beside the results disturb nothing
    assert again.stdout == done.stdout
    done = command("verify", "synth/dense-tiny-s0/test/clean", cwd=tmp_path)
    assert done.returncode == 0 and "10 hypotheses" in done.stdout
    path = local / "synth__dense-tiny-s0/test.zip/clean"
    put(path, text(path, ".jsonl").replace('"hypothesis": "', '"hypothesis": "ten ', 1), ".jsonl")
    done = command("verify", cwd=tmp_path)
    assert done.returncode == 1 and "kept are" in done.stdout
    done = command("verify", "synth/nobody", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("avsr-bench: no row is called")
    done = command("render", "--results", "nowhere", cwd=tmp_path)
    assert done.returncode == 1 and "there is no folder nowhere" in done.stderr
    done = command("render", "--publish", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "leaderboards/index.html").exists()
    assert "0 rows measured" in done.stdout


def test_a_result_without_its_wer(make, tmp_path):
    results = tmp_path / "leaderboards/local/results"
    path = make.measure(results)
    content = json.loads(text(path))
    del content["metrics"]["wer"]
    put(path, json.dumps(content))
    done = command("verify", "--results", str(results), cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "it was kept without its WER, which its hypotheses do make" in done.stdout + done.stderr


def test_verify_goes_through_all_that_is_wrong(make, tmp_path):
    local = tmp_path / "leaderboards/local"
    few = make.sentences(5, 2)
    wrong = make.measure(local, "synth/wrong", texts=few)
    put(wrong, text(wrong).replace('"value": 0', '"value": 1', 1))
    done = command("verify", cwd=tmp_path)
    assert done.returncode == 1 and "it was changed by hand" in done.stdout and "no results yet" not in done.stdout
    put(make.measure(local, "synth/gone", texts=few), None, ".jsonl")
    make.measure(local, "synth/whole", texts=few)
    done = command("verify", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == ""
    gone, whole, changed = done.stdout.splitlines()
    assert gone.startswith("synth/gone/test/clean: ") and "are gone" in gone
    assert whole.startswith("synth/whole/test/clean: WER ") and "changed by hand" in changed
    done = command("verify", "--results", "nowhere", cwd=tmp_path)
    assert done.returncode == 1 and "there is no folder nowhere" in done.stderr


def test_a_name_is_looked_for_among_ones_own_results_first(make, tmp_path):
    few = make.sentences(5, 2)
    for place, errors in (("leaderboards/results", 0.1), ("leaderboards/local", 0.4)):
        make.measure(tmp_path / place, texts=few, errors=errors)
    make.measure(tmp_path / "leaderboards/results", "synth/theirs", texts=few)
    (mine,) = read_rows([tmp_path / "leaderboards/local"]).rows
    done = command("verify", mine.name, cwd=tmp_path)
    assert done.returncode == 0 and f"WER {100 * mine.result.wer:.2f} %" in done.stdout, done.stderr
    assert command("verify", "synth/theirs/test/clean", cwd=tmp_path).returncode == 0


@pytest.fixture
def cleaned(tmp_path):
    """The result of an enhancer, which nobody read."""
    heard = [
        Utterance(
            f"c{n}",
            "one",
            None,
            f"s{n % 5}",
            parts={"si_sdr": Sums(n - 9.5, 1.0), "estoi": Sums(*((0.5, 1.0) if n > 3 else ()))},
        )
        for n in range(20)
    ]
    scores = [score(each) for each in heard]
    result = Result(
        *(),
        run="synth/enhance-tiny-s0",
        corpus="synth",
        split="test",
        condition="voice:-5",
        corpus_fingerprint="4be1c07a9d2f",
        utterances=20,
        metrics={name: Measure(parts, interval([scores], name)) for name, parts in total(scores).items()},
        decoding={},
        noise_seed=0,
        noise_on="sound",
        noise_version=1,
        command="avsr-bench evaluate runs/synth/enhance-tiny-s0 --sound voice:-5",
        commit="3f9c2d1",
        device="cpu",
        seconds=1.0,
        modality="av",
    )
    path = tmp_path / "leaderboards/local/results/enhance/test.zip"
    archive.write(path, "voice_-5", result, heard)
    return path / "voice_-5"


def test_a_result_of_an_enhancer(cleaned):
    (row,) = read_rows([cleaned.parents[1]]).enhanced
    done = verify(row)
    assert done.alike
    assert done.said == "synth/enhance-tiny-s0/test/voice:-5: SI-SDR 0.00 dB, ESTOI 0.50 as its 20 clips say"
    clips, first, *rest = text(cleaned, ".jsonl").splitlines()
    changed = {**json.loads(first), "parts": {"si_sdr": {"errors": 50.5, "length": 1.0}, "estoi": {}}}
    put(cleaned, "\n".join([clips, json.dumps(changed), *rest]) + "\n", ".jsonl")
    os.utime(cleaned.parent, ns=(1, 1))
    done = verify(row)
    assert not done.alike
    assert "kept are SI-SDR 0.00 dB, ESTOI 0.50; its clips make SI-SDR 3.00 dB, ESTOI 0.50" in done.said


def test_an_interval_of_sound_that_its_clips_do_not_make(cleaned):
    content = json.loads(text(cleaned))
    content["metrics"]["si_sdr"]["interval"]["low"] -= 1
    put(cleaned, json.dumps(content))
    (row,) = read_rows([cleaned.parents[1]]).enhanced
    done = verify(row)
    assert done.counted_alike and not done.alike
    low, high = (content["metrics"]["si_sdr"]["interval"][end] for end in ("low", "high"))
    assert f"kept is an interval of [{low:.2f}, {high:.2f}] over 5 speakers" in done.said


def test_a_wer_that_nobody_read(results, make):
    path = make.measure(results, texts=make.sentences(5, 2))
    clips, *rest = text(path, ".jsonl").splitlines()
    mute = [json.dumps({**json.loads(each), "hypothesis": None}) for each in rest]
    put(path, "\n".join([clips, *mute]) + "\n", ".jsonl")
    (row,) = read_rows([results]).rows
    done = verify(row)
    assert not done.alike and done.said.endswith("its clips make no metrics")


def test_the_commands_take_results_of_enhancers(cleaned, tmp_path):
    done = command("verify", cwd=tmp_path)
    assert done.returncode == 0 and "SI-SDR 0.00 dB" in done.stdout
    done = command("rerun", "synth/enhance-tiny-s0/test/voice:-5", cwd=tmp_path)
    assert done.returncode == 1
    assert "is of an enhancer: `avsr-bench evaluate synth/enhance-tiny-s0` measures it again" in done.stderr
    done = command("render", cwd=tmp_path)
    assert done.returncode == 0 and "1 rows measured" in done.stdout
    assert "ESTOI against voice" in (tmp_path / "leaderboards/local/README.md").read_text()
    page = (tmp_path / "leaderboards/local/index.html").read_text()
    assert "none (sound alone)" not in page and "mean of 16 clips" in page
    [row] = csv.DictReader((tmp_path / "leaderboards/local/results.csv").open())
    assert (row["wer"], row["si_sdr"], row["estoi_clips"], row["apart"]) == ("", "0", "16", "")
