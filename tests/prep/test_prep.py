"""The prep command on real clips: what comes out, and what is left out and why."""

import io
import json
import tarfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import webdataset
from people import talking
from prepared import SMALL, samples, skipped
from videos import tone, write_video

from avsr_bench import media


def test_every_kind_of_bad_file_has_its_reason(avsr, bad_corpus, tmp_path):
    root, expected = bad_corpus
    run = avsr("prep", "folder", "--root", root, "--out", "out", "--workers", "2", expect=1)
    assert "--min-yield" in run.err.splitlines()[-1]
    out = tmp_path / "out"
    reasons, made = skipped(out), samples(out)
    assert reasons.keys().isdisjoint(made)
    assert {name: reasons[name]["code"] if name in reasons else None for name in expected} == expected
    assert reasons.keys() | made.keys() == expected.keys()
    for reason in reasons.values():
        assert reason["kind"] == "clip"
        assert reason["detail"] and "\n" not in reason["detail"]

    about = {name: json.loads(members["json"]) for name, members in made.items()}
    assert about["short sound"]["sound"]["difference"] == pytest.approx(-2, abs=0.1)
    assert about["long sound"]["sound"]["difference"] == pytest.approx(4 - 16 / 25, abs=0.1)
    for name in ("short sound", "long sound"):
        assert len(media.decode_flac(made[name]["flac"])) == 640 * about[name]["frames"]
        assert "sound_longer_frames" in about[name]["notes"]
    odd = json.loads((out / "prep.json").read_text())["splits"]
    assert sum(split["counts"]["odd"].get("sound_longer_frames", 0) for split in odd.values()) == 2
    assert "sound and picture differ" in " ".join(avsr("inspect", "out").out.split())
    assert "flac" not in made["silent"]
    assert made["turned"]["mouth.mp4"]
    upright = media.decode_mouth(made["good"]["mouth.mp4"]).astype(float)
    turned = media.decode_mouth(made["turned"]["mouth.mp4"]).astype(float)
    assert np.abs(upright - turned).mean() < 6
    avsr("validate", "out")


def test_what_a_sample_holds(avsr, face_corpus, tmp_path):
    avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL)
    made = samples(tmp_path / "out")
    assert len(made) == 9
    members = made["speaker1/clip4"]
    assert list(members) == ["mouth.mp4", "flac", "json"]
    mouths = media.decode_mouth(members["mouth.mp4"])
    assert mouths.shape == (16, 96, 96)
    assert len(media.decode_flac(members["flac"])) == 16 * 640
    about = json.loads(members["json"])
    assert about["text"] == "words of clip 4"
    assert about["speaker"] == "speaker1"
    assert about["source"]["path"] == "speaker1/clip4.mp4"
    assert about["faces"]["detected"] == 1.0


def test_plain_webdataset_reads_the_shards(avsr, face_corpus, tmp_path):
    avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL)
    tars = sorted(map(str, (tmp_path / "out").rglob("*.tar")))
    found = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert len(found) == 9
    assert {unquote(sample["__key__"]) for sample in found} == samples(tmp_path / "out").keys()
    assert all({"mouth.mp4", "flac", "json"} <= sample.keys() for sample in found)


def test_a_sound_file_beside_the_video_and_times_in_a_manifest(avsr, face_corpus, tmp_path):
    root = tmp_path / "listed"
    root.mkdir()
    (root / "talk.mp4").write_bytes((face_corpus / "speaker0/clip0.mp4").read_bytes())
    rows = [
        ("talk.mp4", "first part", 0.0, 0.32),
        ("talk.mp4", "second part", 0.32, 0.64),
        ("talk.mp4", "no such time", 5, 6),
    ]
    lines = [json.dumps(dict(zip(("path", "text", "start", "end"), row, strict=True))) for row in rows]
    (root / "manifest.jsonl").write_text("\n".join(lines))
    avsr("prep", "folder", "--root", root, "--out", "out", "--min-yield", "0.6")
    texts = {json.loads(m["json"])["text"]: json.loads(m["json"])["frames"] for m in samples(tmp_path / "out").values()}
    assert texts == {"first part": 8, "second part": 8}
    (left_out,) = skipped(tmp_path / "out").values()
    assert left_out["code"] == "bad-times"


def test_tar_is_deterministic_and_plain(avsr, face_corpus, tmp_path):
    avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL)
    for path in (tmp_path / "out").rglob("*.tar"):
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.uname, member.mode) == (0, 0, "", 0o644)


def test_grid_as_it_is(avsr, tmp_path):
    grid = Path(__file__).parents[3] / "shared" / "data" / "grid"
    if not grid.is_dir():
        pytest.skip(f"the GRID clips are not at {grid}")
    run = avsr("prep", "grid", "--root", grid, "--limit", "3")
    assert "overlapped" in run.err
    assert len(samples(tmp_path / "data/grid")) == 9
    about = [json.loads(members["json"]) for members in samples(tmp_path / "data/grid").values()]
    assert all(item["frames"] == 75 and len(item["text"].split()) == 6 for item in about)
    avsr("inspect", "data/grid", "--out", "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 50_000


def test_sound_that_starts_late_stays_late(avsr, tmp_path):
    root = tmp_path / "late"
    root.mkdir()
    write_video(root / "late.mp4", talking(16), sound=tone(0.4), sound_start=0.24)
    avsr("prep", "folder", "--root", root, "--out", "out")
    sound = media.decode_flac(samples(tmp_path / "out")["late"]["flac"])
    assert np.abs(sound[:3200]).max() < 50  # 0.2 s
    assert np.abs(sound[4800:]).max() > 1000  # 0.3 s


def test_noise_on_the_picture_before_detection(avsr, face_corpus, tmp_path, digest):
    command = ("prep", "folder", "--root", face_corpus, *SMALL)
    avsr(*command, "--out", "clean")
    avsr(*command, "--out", "zero", "--noise", "blur:0")
    avsr(*command, "--out", "mild", "--noise", "gaussian:6")
    avsr(*command, "--out", "again", "--noise", "gaussian:6")
    assert digest(tmp_path / "mild") == digest(tmp_path / "again")
    clean, zero, mild = (samples(tmp_path / name) for name in ("clean", "zero", "mild"))
    assert json.loads(mild["speaker1/clip4"]["json"])["noise"]["frames"] == "gaussian:6"
    pictures = [media.decode_mouth(found["speaker1/clip4"]["mouth.mp4"]).astype(float) for found in (clean, zero, mild)]
    assert np.abs(pictures[1] - pictures[0]).mean() < 4  # the same, by way of RGB
    assert np.abs(pictures[2] - pictures[0]).mean() > 8
    refused = avsr(*command, "--out", "x", "--noise", "fog:3", expect=2)
    assert "blockwise" in refused.err
