"""prep that is run again, by parts, by splits or elsewhere: what is made anew, what is kept, and the same bytes."""

import json

import pytest
from prepared import SMALL, samples

from avsr_bench import media


def test_a_second_run_redoes_nothing_and_another_plan_is_refused(avsr, face_corpus, tmp_path, digest):
    command = ("prep", "folder", "--root", face_corpus, "--out", "out")
    avsr(*command, *SMALL)
    out = tmp_path / "out"
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}
    before = digest(out)
    again = avsr(*command, *SMALL)
    assert "9 clips are in finished shards" in again.err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")} == times

    other = avsr(*command, *SMALL, "crop.size=64", expect=1)
    said = other.err.strip().splitlines()
    assert "crop.size" in said[-1] and "--force" in said[-1]
    assert sum(line.startswith("avsr-bench: ") for line in said) == 1
    assert digest(out) == before
    avsr(*command, *SMALL, "crop.size=64", "--force")
    assert digest(out).keys() == before.keys()
    assert media.decode_mouth(samples(out)["speaker1/clip4"]["mouth.mp4"]).shape == (16, 64, 64)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (("--split", "test", "crop.size=64"), "start all of it over"),
        (("--part", "1/2", "crop.size=64"), "start all of it over"),
        (("--landmarks", "trakcs"), "trakcs"),
        (("--engine", "ray", "--address", "127.0.0.1:1"), "Ray"),  # no cluster there, or no Ray at all
    ],
)
def test_force_removes_nothing_for_a_request_that_is_refused(avsr, face_corpus, tmp_path, digest, wrong, says):
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL)
    avsr(*command)
    before = digest(tmp_path / "out")
    refused = avsr(*command, *wrong, "--force", expect=1)
    assert says in refused.err.splitlines()[-1]
    assert digest(tmp_path / "out") == before
    avsr(*command)


def test_force_of_a_part_starts_over_that_part_alone(avsr, face_corpus, tmp_path, digest):
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL)
    avsr(*command)
    out = tmp_path / "out"
    before = digest(out)
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}
    avsr(*command, "--force", "--part", "1/2")
    assert digest(out) == before
    again = {path for path, time_made in made.items() if path.stat().st_mtime_ns != time_made}
    assert 0 < len(again) < len(made)


def test_one_worker_or_three_give_the_same_bytes(avsr, face_corpus, tmp_path, digest):
    for workers in (1, 3):
        avsr("prep", "folder", "--root", face_corpus, "--out", f"out{workers}", *SMALL[:3], "--workers", workers)
    assert digest(tmp_path / "out1") == digest(tmp_path / "out3")


def test_the_union_of_parts_is_the_whole(avsr, face_corpus, tmp_path, digest):
    avsr("prep", "folder", "--root", face_corpus, "--out", "whole", *SMALL)
    for part in ("2/3", "1/3", "3/3"):
        avsr("prep", "folder", "--root", face_corpus, "--out", "parts", *SMALL, "--part", part)
    assert digest(tmp_path / "whole") == digest(tmp_path / "parts")
    whole, parts = (json.loads((tmp_path / name / "prep.json").read_text()) for name in ("whole", "parts"))
    assert whole["splits"] == parts["splits"]
    assert (tmp_path / "whole/skipped.jsonl").read_bytes() == (tmp_path / "parts/skipped.jsonl").read_bytes()


def test_a_part_without_a_shard_is_done(avsr, face_corpus, tmp_path, digest):
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", "--split", "test", *SMALL)
    runs = [avsr(*command, "--part", f"{part}/3") for part in (1, 2, 3)]
    assert sum("has no shard of its own" in run.out for run in runs) == 2
    avsr(*command)
    assert len(digest(tmp_path / "out")) == 3


def test_a_split_now_and_the_rest_later(avsr, face_corpus, tmp_path, digest):
    avsr("prep", "folder", "--root", face_corpus, "--out", "whole", *SMALL)
    avsr("prep", "folder", "--root", face_corpus, "--out", "steps", *SMALL, "--split", "test")
    assert {path.name for path in (tmp_path / "steps").iterdir() if path.is_dir()} - {".locks"} == {"test"}
    avsr("prep", "folder", "--root", face_corpus, "--out", "steps", *SMALL)
    assert digest(tmp_path / "whole") == digest(tmp_path / "steps")
    refused = avsr("prep", "folder", "--root", face_corpus, "--out", "steps", *SMALL, "--split", "tset", expect=2)
    assert "test" in refused.err


def test_ray_gives_the_same_bytes(avsr, face_corpus, tmp_path, digest):
    pytest.importorskip("ray", reason="the cluster extra is not installed")
    avsr("prep", "folder", "--root", face_corpus, "--out", "local", *SMALL)
    avsr("prep", "folder", "--root", face_corpus, "--out", "ray", *SMALL, "--engine", "ray")
    assert digest(tmp_path / "local") == digest(tmp_path / "ray")
