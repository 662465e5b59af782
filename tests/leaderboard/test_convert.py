"""Results of the old form, carried over: nothing is lost, and nothing that is wrong goes in unseen."""

import json
import subprocess
from dataclasses import asdict

import pytest
import warm

from avsr_bench.leaderboard import convert, read_rows
from avsr_bench.scoring import read_archive


def flat(result):
    """The JSON of a result before metrics had names."""
    content = json.loads(result.to_json())
    metrics = content.pop("metrics")
    for name, unit in (("wer", "words"), ("cer", "characters")):
        content |= {name: metrics[name]["value"], unit: metrics[name]["parts"]}
        content[f"{name}_interval"] = metrics[name]["interval"]
    return json.dumps(content)


@pytest.fixture
def old(tmp_path, make):
    """Three results as they were kept before there were archives."""
    folder = tmp_path / "old"
    place = folder / "synth/dense-tiny-s0/test"
    place.mkdir(parents=True)
    for condition in ("clean", "jpeg:5", "jpeg:10"):
        row = make.measure(tmp_path / "made", condition=condition, errors=0.3, texts=make.sentences(5, 2))
        kept = read_archive(row.parent)
        (place / f"{row.name}.json").write_text(flat(kept.result(row.name)))
        lines = [json.dumps(asdict(each)) for each in kept.utterances(row.name)]
        (place / f"{row.name}.jsonl").write_text("".join(f"{each}\n" for each in lines))
    (place / "gradients.csv").write_text("step,norm\n1,2\n")
    return folder, read_rows([tmp_path / "made"])


def test_everything_is_carried_over(old):
    folder, made = old
    assert [problem for _, problem in convert(folder)] == ["", "", ""]
    found = read_rows([folder])
    assert [row.result for row in found.rows] == [row.result for row in made.rows] and not found.notes
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "guard"}
    assert files == {"synth/dense-tiny-s0/test.zip", "synth/dense-tiny-s0/gradients.csv"}
    assert list(convert(folder)) == []


def test_what_is_wrong_stays_where_it_is(old):
    folder, _ = old
    place = folder / "synth/dense-tiny-s0/test"
    lines = (place / "jpeg_5.jsonl").read_text()
    (place / "jpeg_5.jsonl").write_text("".join(lines.splitlines(keepends=True)[1:]))
    (place / "jpeg_10.jsonl").write_text("[]\n")
    (place / "blur_1.json").write_text('{"wer": 1}')
    (place / "blur_1.jsonl").write_text("")
    said = {path.stem: problem for path, problem in convert(folder)}
    assert said["clean"] == "" and "its 9 hypotheses" in said["jpeg_5"] and "line 1: not a record" in said["jpeg_10"]
    assert "blur_1.json is not a result" in said["blur_1"]
    assert read_archive(place.with_suffix(".zip")).names == ["clean"]
    assert (place / "jpeg_5.json").exists() and (place / "jpeg_10.jsonl").exists()


def test_results_that_are_there_are_not_replaced(old, make):
    folder, _ = old
    list(convert(folder))
    place = folder / "synth/dense-tiny-s0/test"
    place.mkdir()
    kept = read_archive(place.with_suffix(".zip"))
    (place / "clean.json").write_text(flat(kept.result("clean")))
    (place / "clean.jsonl").write_text("")
    [(_, problem)] = convert(folder)
    assert "has clean already" in problem and (place / "clean.json").exists()


def test_pages_say_what_to_do(old):
    folder, _ = old
    found = read_rows([folder])
    [note] = found.notes
    assert not found.rows and "3 results of the old form" in note and "leaderboard convert" in note


def test_the_command_line(old):
    folder, _ = old

    def run(*words):
        command = [*warm.avsr(), "leaderboard", "convert", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(folder)
    assert (done.returncode, done.stdout) == (0, "3 results carried over\n"), done.stderr
    done = run(folder / "nowhere")
    assert done.returncode == 1 and "there is no folder" in done.stderr
