"""A disk that is full at any write: one line, exit code 1, the old file whole and nothing half written beside it."""

import json
import subprocess
import sys

import pytest
from mouths import make_shards
from people import talking
from small_runs import small_enhancer, small_network, small_run
from videos import tone, write_video

COMMANDS = {
    "text": "transcribe VIDEO --model RUN --out DISK/out.json --force --device cpu",
    "preview": "transcribe VIDEO --model RUN --preview DISK/out.mp4 --force --device cpu",
    "clean sound": "enhance VIDEO --model ENHANCER --out DISK/out.wav --force --device cpu",
    "clean video": "enhance VIDEO --model ENHANCER --out DISK/out.mp4 --force --device cpu",
    "noisy video": "noise apply VIDEO DISK/out.mkv --noise jpeg:3 --force",
    "noise sheet": "noise preview --out DISK/out.png --force",
    "contact sheet": "inspect DATA --out DISK/out.png --force",
    "packed": "export RUN --format sparse --out DISK/out.safetensors --force",
    "onnx": "export RUN --format onnx --out DISK/out.onnx --force",
    "result": "evaluate RUN --data DATA --device cpu --out DISK",
    "results": "robustness --models RUN --data DATA --noise none --levels 0 --device cpu --out DISK",
    "pages": "leaderboard render --results RESULTS --out DISK/pages",
    "shards": "prep folder --root VIDEOS --out DISK/shards --workers 1",
    "labels": "label DATA --with RUN --name asr --device cpu",
    "run": "train dense --data DATA --size tiny --out DISK/run train.steps=1",
}
# Runs every command on a disk of its own in one process, and says how each ended.
SCRIPT = """
import contextlib, io, json, subprocess, sys
from pathlib import Path
from avsr_bench.cli import main
disk, size, commands = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
if __name__ == "__main__":
    ended = {}
    for name, words in commands.items():
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], check=True)
        targets = [disk / Path(word).name for word in words if word.startswith(f"{disk}/out")]
        for target in targets:
            target.write_bytes(b"old")
        if size == "4k" and not targets:
            (disk / "full").write_bytes(bytes(4096))
        said = io.StringIO()
        sys.argv = ["avsr-bench", *words]
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                main()
            except SystemExit as end:
                code = end.code
        half = [str(path) for path in disk.rglob("*.tmp")]
        ended[name] = code, said.getvalue(), half, [target.read_bytes() == b"old" for target in targets]
        subprocess.run(["umount", "-l", str(disk)], check=True)
    print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the commands read, by the word that stands for it."""
    folder = tmp_path_factory.mktemp("inputs")
    make_shards(folder / "data", {"train": 6, "valid": 2, "test": 3})
    (folder / "data" / "labels").symlink_to(folder / "disk")
    (folder / "videos").mkdir()
    video = write_video(folder / "videos" / "talk.mp4", talking(30), sound=tone(1.2))
    (folder / "results").mkdir()
    return {
        "VIDEO": video,
        "VIDEOS": video.parent,
        "RUN": small_run(folder / "run", small_network()),
        "ENHANCER": small_run(folder / "enhancer", small_enhancer()),
        "DATA": folder / "data",
        "RESULTS": folder / "results",
        "DISK": folder / "disk",
    }


@pytest.fixture(scope="module")
def ended(places):
    """How each command ended on a full disk of one page and on one of four: some write one file and not the next."""
    places["DISK"].mkdir()

    def fill(words):
        head, slash, rest = words.partition("/")
        return f"{places.get(head, head)}{slash}{rest}"

    commands = {name: [fill(word) for word in words.split()] for name, words in COMMANDS.items()}
    found = {}
    for size in ("4k", "16k"):
        given = [str(places["DISK"]), size, json.dumps(commands)]
        script = places["DISK"].with_name("script.py")
        script.write_text(SCRIPT)
        done = subprocess.run(
            ["unshare", "-rm", sys.executable, str(script), *given], capture_output=True, text=True, check=False
        )
        if "unshare" in done.stderr or "mount" in done.stderr.rpartition("Error: ")[2]:
            pytest.skip(f"this machine lets nobody mount a tmpfs: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr
        found[size] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_the_old_file_stays(ended, name):
    for size, outcomes in ended.items():
        code, said, half, old = outcomes[name]
        assert not half and "Traceback" not in said, (size, half, said)
        if size == "16k" and code == 0:  # it had room
            continue
        last = said.strip().splitlines()[-1]
        assert code == 1 and last.startswith("avsr-bench: ") and "cannot write" in said, (size, code, said)
        assert all(old), (size, old)
