"""The prep command on real clips: what comes out, what is left out and why, and that nothing is lost or done twice."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import webdataset
from people import talking
from videos import tone, write_video

from avsr_bench import media, shards

SMALL = ("shards.max_samples=2", "corpus.valid_share=0.2", "corpus.test_share=0.2", "--workers", "2")


def skipped(out):
    return {unquote(line["key"]): line for line in map(json.loads, (out / "skipped.jsonl").read_text().splitlines())}


def samples(out):
    found = {}
    for split in shards.read_prep(out)["splits"]:
        for entry, members in shards.iterate(out, split):
            found[unquote(entry.key)] = members
    return found


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
        (("--engine", "ray", "--address", "127.0.0.1:1"), "ay"),  # no cluster there, or no Ray at all
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
    refused = avsr("prep", "folder", "--root", face_corpus, "--out", "steps", *SMALL, "--split", "tset", expect=1)
    assert "test" in refused.err


def kill_and_resume(command, out, moments):
    """Start the command again and again, killed with all its workers after so many seconds, then to its end."""
    environment = {**os.environ, "COLUMNS": "120"}
    killed = 0
    for moment in moments:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            process.wait(moment)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    return killed


def prep_command(face_corpus, out):
    return [sys.executable, "-m", "avsr_bench", "prep", "folder", "--root", str(face_corpus), "--out", str(out), *SMALL]


def check_killed(face_corpus, tmp_path, digest, moments):
    command = prep_command(face_corpus, tmp_path / "whole")
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - start
    killed = kill_and_resume(prep_command(face_corpus, tmp_path / "killed"), tmp_path / "killed", moments(whole))
    assert digest(tmp_path / "whole") == digest(tmp_path / "killed")
    assert not [path for path in (tmp_path / "killed").rglob("*") if path.name.endswith(".tmp")]
    counts = [json.loads((tmp_path / name / "prep.json").read_text())["splits"] for name in ("whole", "killed")]
    assert counts[0] == counts[1]
    return killed


def test_killed_and_resumed_gives_the_same_bytes(face_corpus, tmp_path, digest):
    assert check_killed(face_corpus, tmp_path, digest, lambda whole: [whole * share for share in (0.45, 0.6, 0.8)])


@pytest.mark.slow
def test_killed_two_hundred_times(face_corpus, tmp_path, digest):
    rng, killed, rounds = random.Random(1), 0, 0
    while killed < 200:
        rounds += 1
        assert rounds < 100, f"only {killed} kills"
        (tmp_path / str(rounds)).mkdir()
        killed += check_killed(
            face_corpus,
            tmp_path / str(rounds),
            digest,
            lambda whole: [rng.uniform(0.1, 0.8) * whole for _ in range(20)],
        )


def test_ctrl_c_stops_in_one_line_and_the_next_run_goes_on(face_corpus, tmp_path, digest):
    command = prep_command(face_corpus, tmp_path / "out")
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/*/*.tmp")) and not list(tmp_path.glob("out/*/*.tar")) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and to its workers
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "goes on" in err.splitlines()[-1]
    subprocess.run(command, check=True, capture_output=True)
    assert len(samples(tmp_path / "out")) == 9


def test_ctrl_c_while_workers_start_is_one_line_too(face_corpus, tmp_path):
    process = subprocess.Popen(
        prep_command(face_corpus, tmp_path / "out"), start_new_session=True, stderr=subprocess.PIPE, text=True
    )

    def imports():
        """Whether the server of the workers is there and at its imports."""
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getsid(int(path.name)) == process.pid and b"forkserver" in (path / "cmdline").read_bytes():
                    return "numpy" in (path / "maps").read_text()
        return False

    while not imports() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "goes on" in err.splitlines()[-1]


def test_a_run_on_the_same_shards_is_refused_and_names_the_other(avsr, face_corpus, tmp_path):
    with shards.hold_part(tmp_path / "out", 1, 2):
        refused = avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, expect=1)
        assert str(os.getpid()) in refused.err
        assert len(refused.err.strip().splitlines()) <= 6
        avsr("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, "--part", "2/2")


def test_crop_again_from_stored_tracks(avsr, face_corpus, tmp_path, digest):
    """`--only detect`, then crops from its tracks: the same mouths as in one go."""
    avsr("prep", "folder", "--root", face_corpus, "--out", "whole", *SMALL)
    avsr("prep", "folder", "--root", face_corpus, "--out", "tracks", *SMALL, "--only", "detect")
    assert not any(samples(tmp_path / "tracks").values())
    avsr("prep", "folder", "--root", face_corpus, "--out", "crops", *SMALL, "--landmarks", "tracks")
    assert digest(tmp_path / "whole") == digest(tmp_path / "crops")
    refused = avsr("prep", "folder", "--root", face_corpus, "--out", "x", *SMALL, "--landmarks", "nowhere", expect=1)
    assert "nowhere" in refused.err
    assert not (tmp_path / "x").exists()
    (tmp_path / "tracks/train/train-000000.jsonl").unlink()
    refused = avsr("prep", "folder", "--root", face_corpus, "--out", "x", *SMALL, "--landmarks", "tracks", expect=1)
    assert "shards of train are finished" in refused.err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


@pytest.fixture
def landmarks(avsr, face_corpus, tmp_path):
    """A folder with a landmark file for every clip, those of clip2 a frame too short."""
    avsr("prep", "folder", "--root", face_corpus, "--out", "tracks", *SMALL, "--only", "detect")
    folder = tmp_path / "landmarks"
    for split in shards.read_prep(tmp_path / "tracks")["splits"]:
        for path in (tmp_path / "tracks" / split).glob("*.npz"):
            for key, track in shards.read_tracks(path).items():
                name = folder / f"{unquote(key)}.npz"
                name.parent.mkdir(parents=True, exist_ok=True)
                points = track.points[:-1] if name.stem == "clip2" else track.points
                np.savez(name, points=points, width=track.width, height=track.height)
    return folder


def test_other_landmarks_are_another_plan(avsr, face_corpus, landmarks, tmp_path):
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, "--min-yield", "0.7", "--landmarks")
    away = (landmarks / "speaker0/clip0.npz").rename(tmp_path / "away.npz")
    avsr(*command, landmarks)
    away.rename(landmarks / "speaker0/clip0.npz")
    put_back = avsr(*command, landmarks, expect=1)
    assert "landmarks of" in put_back.err.splitlines()[-1]
    avsr(*command, landmarks, "--force")
    assert skipped(tmp_path / "out").keys() == {"speaker2/clip2"}
    other = shutil.copytree(landmarks, tmp_path / "other/landmarks")
    stored = dict(np.load(other / "speaker1/clip1.npz"))
    np.savez(other / "speaker1/clip1.npz", **{**stored, "points": stored["points"] + 1})
    assert "landmarks of" in avsr(*command, other, expect=1).err.splitlines()[-1]
    avsr(*command, landmarks)


def test_ready_landmarks_are_used_and_missing_ones_are_a_reason(avsr, face_corpus, landmarks, tmp_path):
    (landmarks / "speaker0" / "clip0.npz").unlink()
    command = ("prep", "folder", "--root", face_corpus, "--out", "out", *SMALL, "--min-yield", "0.7")
    avsr(*command, "--landmarks", landmarks)
    reasons = skipped(tmp_path / "out")
    assert {name: line["code"] for name, line in reasons.items()} == {
        "speaker0/clip0": "no-landmarks",
        "speaker2/clip2": "landmarks-mismatch",
    }


def test_mouths_that_were_cropped_before(avsr, tmp_path):
    root = tmp_path / "mouths"
    root.mkdir()
    rng = np.random.default_rng(0)
    frames = [np.repeat(np.repeat(rng.integers(60, 200, (12, 12), np.uint8), 8, 0), 8, 1) for _ in range(10)]
    write_video(root / "a.mp4", frames, options={"crf": "1"})
    avsr("prep", "folder", "--root", root, "--out", "out", "--already-cropped")
    mouths = media.decode_mouth(samples(tmp_path / "out")["a"]["mouth.mp4"])
    assert np.abs(mouths.astype(float) - np.stack(frames)).mean() < 4


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


def test_full_disk_is_one_line_and_the_next_run_finishes(face_corpus, tmp_path, digest):
    """A tmpfs of half the size that is needed, in a namespace of its own."""
    subprocess.run(prep_command(face_corpus, tmp_path / "whole"), check=True, capture_output=True)
    needed = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.is_file())
    command = " ".join(map(repr, prep_command(face_corpus, tmp_path / "small" / "out")))
    script = f"""
        mount -t tmpfs -o size={needed // 2} none {tmp_path}/small || exit 77
        {command} 2> {tmp_path}/errors; echo $? > {tmp_path}/code
        mount -o remount,size={needed * 4} {tmp_path}/small
        {command} > {tmp_path}/output 2>&1 || exit 1
        cp -r {tmp_path}/small/out {tmp_path}/copy
    """
    (tmp_path / "small").mkdir()
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a tmpfs: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr + (tmp_path / "output").read_text()
    errors = (tmp_path / "errors").read_text()
    assert (tmp_path / "code").read_text().strip() == "1"
    assert "Traceback" not in errors
    assert "disk" in errors.splitlines()[-1] or "space" in errors.splitlines()[-1]
    assert digest(tmp_path / "whole") == digest(tmp_path / "copy")


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


def test_ray_gives_the_same_bytes(avsr, face_corpus, tmp_path, digest):
    pytest.importorskip("ray", reason="the cluster extra is not installed")
    avsr("prep", "folder", "--root", face_corpus, "--out", "local", *SMALL)
    avsr("prep", "folder", "--root", face_corpus, "--out", "ray", *SMALL, "--engine", "ray")
    assert digest(tmp_path / "local") == digest(tmp_path / "ray")


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
