"""Small corpora of a real face, made once, and the command line as a user runs it."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import warm
from patience import PATIENCE
from people import clip, place, talking
from videos import tone, write_sound, write_video

FRAMES = 16


@pytest.fixture(scope="session")
def face_corpus(tmp_path_factory):
    """A folder of nine short clips of three speakers with sound and text."""
    root = tmp_path_factory.mktemp("corpus")
    for number in range(9):
        folder = root / f"speaker{number % 3}"
        folder.mkdir(exist_ok=True)
        sound = tone(FRAMES / 25, pitch=200 + 30 * number)
        write_video(folder / f"clip{number}.mp4", talking(FRAMES, shift=3 * number), sound=sound)
        (folder / f"clip{number}.txt").write_text(f"words of clip {number}\n")
    return root


@dataclass
class Run:
    """A finished command."""

    code: int
    out: str
    err: str


@pytest.fixture
def avsr(tmp_path):
    """Runs `avsr-bench` in an empty folder: avsr("prep", "folder", ...)."""

    def run(*arguments, expect=0, **kwargs):
        command = [*warm.avsr(), *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "120"}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=PATIENCE,
            **kwargs,
        )
        if expect is not None:
            assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def digest():
    """A digest of every file that the shards of a folder consist of."""

    def of(out):
        files = sorted(path for path in out.rglob("*-[0-9]*.*") if path.suffix in (".tar", ".npz", ".jsonl"))
        assert files, f"no shards in {out}"
        return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of


@pytest.fixture
def bad_corpus(tmp_path):
    """One of every kind of file that people have, and what must become of it: name -> reason code, or none."""
    root = tmp_path / "bad"
    root.mkdir()
    good = root / "good.mp4"
    write_video(good, talking(FRAMES), sound=tone(FRAMES / 25))
    data = good.read_bytes()
    fast = root / "fast.mp4"
    write_video(fast, talking(50), sound=tone(2), file_options={"movflags": "+faststart"})
    expected = {"good": None, "fast": None}

    def add(name, code, content=None):
        expected[name.rpartition(".")[0]] = code
        if content is not None:
            (root / name).write_bytes(content)
        return root / name

    add("empty.mp4", "empty-file", b"")
    add("words.mp4", "not-video", b"this is a text, not a video\n" * 20)
    add("half.mp4", "damaged", data[: len(data) // 2])
    streamed = fast.read_bytes()
    for percent in (10, 50, 90):
        add(f"cut{percent}.mp4", "damaged", streamed[: len(streamed) * percent // 100])
    flipped = bytearray(streamed)
    for place_ in range(len(flipped) // 3, len(flipped), 97):
        flipped[place_] ^= 0x55
    add("flipped.mp4", "damaged", bytes(flipped))
    write_video(add("one frame.mp4", "too-short"), talking(1))
    write_video(add("four.mp4", "too-small"), [np.full((4, 4, 3), 90, np.uint8)] * 8)
    write_video(add("wall.mp4", "no-face"), clip(12, lambda t: []))
    write_video(add("leaves.mp4", "face-lost"), clip(60, lambda t: [("astronaut", place((160 + 6 * t, 120), 90))]))
    write_video(
        add("comes back.mp4", "cut"),
        clip(60, lambda t: [] if 15 < t < 45 else [("astronaut", place((160, 120), 90))]),
    )
    # The mouth is at row 150: the picture ends above it.
    write_video(add("cut at the lips.mp4", "mouth-outside"), [frame[:144] for frame in talking(FRAMES)])
    write_video(
        add("two faces.mp4", None),
        clip(16, lambda t: [("astronaut", place((90, 110), 60)), ("other", place((230, 120), 85))]),
    )
    write_video(add("turned.mp4", None), [np.rot90(frame) for frame in talking(FRAMES)], rotation=-90)
    write_video(add("short sound.mp4", None), talking(75), sound=tone(1.0))
    write_video(add("long sound.mp4", None), talking(FRAMES), sound=tone(4.0))
    write_video(add("silent.mp4", None), talking(FRAMES))
    write_video(add("dotted.name.v2.mp4", None), talking(FRAMES))
    write_video(add("Ünï cödé ☃.mp4", None), talking(FRAMES))
    shutil.copy(good, add("empty text.mp4", "bad-text"))
    (root / "empty text.txt").write_text(" \n")
    shutil.copy(good, add("latin text.mp4", "bad-text"))
    (root / "latin text.txt").write_bytes("café".encode("latin-1"))
    sound_only = root / "sound only.mp4"
    write_sound(root / "sound.wav", tone(1.0))
    (root / "sound.wav").rename(sound_only)
    expected["sound only"] = "no-video-stream"
    return root, expected
