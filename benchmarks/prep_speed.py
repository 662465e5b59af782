"""How fast prep is: against the straightforward pipeline, against decoding alone, by stage, in larger pictures, and two
processes against one.

python -m benchmarks prep_speed [GRID FOLDER]
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from avsr_bench import faces, media
from avsr_bench.faces import FaceSettings

from . import straightforward
from .results import record, table

CLIPS = 40  # a turn; 3,000 frames
TURNS = 5  # each of the three once a turn, so that what slows the machine slows all of them
LARGER = {"1280x720": (1280, 720), "1920x1080": (1920, 1080)}
LARGER_CLIPS = 10
WHOLE = 600  # clips of the comparison of processes: starting them must not weigh


def main(grid: Path) -> None:
    """Measure and record."""
    videos = sorted((grid / "s1").glob("*.mp4"))[:CLIPS]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    detector = straightforward.load_detector()
    turns = _turns(
        videos, {"straightforward": functools.partial(_straightforward, detector), "ours": _ours, "floor": _floor}
    )
    stages = [_stages(videos) for _ in range(TURNS)]
    larger = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, size in LARGER.items():
            drawn = [_enlarged(video, size, Path(folder) / f"{name}-{video.name}") for video in videos[:LARGER_CLIPS]]
            larger[name] = _turns(drawn, {"ours": _ours, "floor": _floor})
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    frames = {name: statistics.median(times) for name, times in turns.items()}
    to_reference = statistics.median(r / o for r, o in zip(turns["straightforward"], turns["ours"], strict=True))
    to_floor = _to_floor(turns)
    one, two = (min(_whole_run(grid, workers) for _ in range(2)) for workers in (1, 2))
    rows = [
        [
            "straightforward: RGB, full-range detection of every frame, 256x256, 96x96",
            f"{frames['straightforward']:.2f}",
            f"{1 / to_reference:.2f}",
        ],
        ["avsr-bench prep", f"{frames['ours']:.2f}", "1"],
        ["floor: decoding luma and sound alone", f"{frames['floor']:.2f}", f"{1 / to_floor:.2f}"],
    ]
    by_stage = {name: statistics.median(each[name] for each in stages) for name in stages[0]}
    by_stage["the rest: the tar, records, collecting garbage"] = frames["ours"] - sum(by_stage.values())
    record(
        "prep: speed on GRID clips",
        "make bench ONLY=prep_speed",
        table(["one core, end to end (decode, detect, crop, encode, sound, write)", "ms a frame", "of ours"], rows)
        + f"\n\n- **{to_reference:.1f}x** the speed of the straightforward pipeline (goal: 7x)."
        + f"\n- **{to_floor:.2f}x** the time of decoding alone (goal: at most 1.7x)."
        + f"\n- {40 / frames['ours']:.0f}x real time on one core."
        + f"\n- Two processes: **{one / two:.2f}x** one (goal: 1.8x); {WHOLE} clips in {one:.1f} and {two:.1f} s."
        + f"\n- Memory of the process that did the work: {_peak_memory(videos):.0f} MB (goal: under 500 MB).\n\n"
        + table(
            ["stage", "ms a frame", "of the floor"],
            [[name, f"{each:.3f}", f"{each / frames['floor']:.2f}"] for name, each in by_stage.items()],
        )
        + "\n\n"
        + table(
            ["the same clips, enlarged", "prep, ms a frame", "decoding alone", "ratio"],
            [
                [name, *(f"{statistics.median(each[way]):.2f}" for way in ("ours", "floor")), f"{_to_floor(each):.2f}"]
                for name, each in larger.items()
            ],
        )
        + f"\n\nMedians of {TURNS} turns over {CLIPS} clips ({LARGER_CLIPS} where they are enlarged: scaled to the"
        + " height, mirrored at both sides, x264 veryfast crf 20); in each turn all run one after another. CPU time.",
    )


def _turns(videos: list[Path], ways: dict[str, Callable[[list[Path]], int]]) -> dict[str, list[float]]:
    """Milliseconds a frame of each way, turn by turn."""
    for way in ways.values():
        way(videos[:2])  # models load, caches fill
    turns: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            start = time.process_time()
            frames = way(videos)
            turns[name].append((time.process_time() - start) / frames * 1e3)
    return turns


def _to_floor(turns: dict[str, list[float]]) -> float:
    return statistics.median(o / f for o, f in zip(turns["ours"], turns["floor"], strict=True))


def _stages(videos: list[Path]) -> dict[str, float]:
    """Milliseconds a frame of each stage, one after another on the same clips."""
    spent: dict[str, float] = {}
    frames = 0

    def timed(stage: str, work: Callable[..., Any], *given: Any) -> Any:
        start = time.process_time()
        done = work(*given)
        spent[stage] = spent.get(stage, 0.0) + (time.process_time() - start) * 1e3
        return done

    def cropped(pictures: list[media.Picture], matrices: np.ndarray) -> list[np.ndarray]:
        return [each.warp(matrix, faces.MOUTH, "grey") for each, matrix in zip(pictures, matrices, strict=True)]

    for path in videos:
        pictures = timed("decoding pictures", list, media.Video(path))
        track = timed("looking for faces", faces.find_track, pictures, FaceSettings())
        matrices = timed("smoothing, matrices", faces.crop_matrices, track.points, faces.MOUTH)
        mouths = timed("cropping", cropped, pictures, matrices)
        timed("encoding mouths", media.encode_mouth, mouths)
        sound = timed("decoding and resampling sound", media.read_sound, path, len(mouths))
        timed("encoding sound", media.encode_flac, sound.samples)
        frames += len(mouths)
    return {stage: milliseconds / frames for stage, milliseconds in spent.items()}


def _enlarged(video: Path, size: tuple[int, int], path: Path) -> Path:
    """A clip at a larger size: scaled to its height, what lacks in width mirrored; the sound as it is."""
    width, height = size
    with av.open(str(video)) as source, av.open(str(video)) as heard, av.open(str(path), "w") as target:
        drawn = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        assert isinstance(drawn, VideoStream)
        drawn.width, drawn.height, drawn.pix_fmt = width, height, "yuv420p"
        sound = target.add_stream_from_template(heard.streams.audio[0])
        for frame in source.decode(video=0):
            scaled = height * frame.width // frame.height
            picture: Any = frame.to_ndarray(format="rgb24", width=scaled, height=height)
            left = (width - scaled) // 2
            picture = cv2.copyMakeBorder(picture, 0, 0, left, width - scaled - left, cv2.BORDER_REFLECT)
            target.mux(drawn.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        target.mux(drawn.encode(None))
        for packet in heard.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                target.mux(packet)
    return path


def _straightforward(detector: Any, videos: list[Path]) -> int:
    with tempfile.NamedTemporaryFile(suffix=".tar") as file, tarfile.open(fileobj=file, mode="w") as tar:
        return sum(straightforward.prepare(video, detector, tar) for video in videos)


def _floor(videos: list[Path]) -> int:
    return sum(straightforward.decode_only(video) for video in videos)


def _ours(videos: list[Path]) -> int:
    from avsr_bench import shards
    from avsr_bench.prepare_clip import ClipJob, SampleSettings, make_sample
    from avsr_bench.records import Clip

    clips = tuple(Clip(video.stem, video, "train", "s1", "") for video in videos)
    with tempfile.TemporaryDirectory() as folder:
        with shards.ShardWriter(Path(folder), shards.PlannedShard("train", 0, clips)) as writer:
            for clip in clips:
                writer.add(make_sample(ClipJob(clip, clip.video.name), SampleSettings()))
            writer.commit()
        entries = shards.read_index(Path(folder) / "train/train-000000.jsonl")
    assert all(entry.reason is None for entry in entries)
    return sum(entry.frames for entry in entries)


def _whole_run(grid: Path, workers: int) -> float:
    """Seconds of the command itself."""
    with tempfile.TemporaryDirectory() as out:
        command = ["prep", "grid", "--root", grid, "--out", out, "--workers", workers, "--limit", WHOLE // 3]
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "avsr_bench", *map(str, command)], check=True, capture_output=True)
        return time.monotonic() - start


def _peak_memory(videos: list[Path]) -> float:
    """MB resident at most of a fresh process that prepares the clips."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.prep_speed import _ours;"
        "_ours([Path(name) for name in sys.argv[1:]]);"
        # getrusage's ru_maxrss would be this bench's own peak, which a process inherits over exec.
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, videos)], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024
