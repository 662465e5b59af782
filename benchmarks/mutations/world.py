"""A small world of good files of every kind that is read, made by the commands that write them."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from .isolation import command_line, run

FRAMES, SIDES = 12, (320, 240)
# Containers and codecs that people have: name -> file, video codec and pixel format, sound codec and rate, options.
VIDEOS: dict[str, tuple[str, str, str, str, int, dict[str, str]]] = {
    "mp4": ("clip.mp4", "libx264", "yuv420p", "aac", 44_100, {}),
    "fragments": ("clip.mp4", "libx264", "yuv420p", "aac", 44_100, {"movflags": "frag_keyframe+empty_moov"}),
    "first": ("clip.mp4", "libx265", "yuv420p", "aac", 44_100, {"movflags": "faststart"}),
    "mov": ("clip.mov", "mjpeg", "yuvj420p", "pcm_s16le", 44_100, {}),
    "mkv": ("clip.mkv", "libx264", "yuv420p", "flac", 44_100, {}),
    "lossless": ("clip.mkv", "ffv1", "yuv420p", "pcm_s16le", 44_100, {}),
    "webm": ("clip.webm", "libvpx-vp9", "yuv420p", "libopus", 48_000, {}),
    "avi": ("clip.avi", "mpeg4", "yuv420p", "libmp3lame", 44_100, {}),
    "mpg": ("clip.mpg", "mpeg1video", "yuv420p", "mp2", 44_100, {}),
    "ts": ("clip.ts", "libx264", "yuv420p", "aac", 44_100, {}),
    "flv": ("clip.flv", "flv", "yuv420p", "libmp3lame", 44_100, {}),
    "wmv": ("clip.wmv", "wmv2", "yuv420p", "wmav2", 44_100, {}),
}
SAID = ("bin blue", "at f two", "now", "two now", "bin f two", "blue at")
NETWORK = """\
# A network that trains in a moment.
network:
  mouth: 16
  width: 16
  heads: 2
  feed_forward: 24
  kernel: 5
  encoder_blocks: 2
  decoder_blocks: 1
  fusion: 16
  video: {channels: [4, 6, 8, 10], blocks: 1, stem: [3, 3, 3]}
  audio: {channels: [4, 6, 8, 10], blocks: 1}
"""
SYSTEM = (
    NETWORK
    + """\
text:
  kind: characters
data:
  frames: 60
  group: 2
train:
  steps: 3
  lr: 0.001
  threads: 1
  workers: 0
  average: 2
  average_fraction: 0.5
  validate_every: 2
  validate_clips: 1
method:
  name: magnitude
  sparsity: 0.5
"""
)


def make_world(root: Path) -> None:
    """Make all of it in `root`; each command in a child of this process."""
    root.mkdir(parents=True)
    said = root.parent / "making"
    steps: list[tuple[str, Any]] = [
        ("videos", lambda: _videos(root)),
        ("lists", lambda: _lists(root)),
        (
            "prep",
            _words("prep", "folder", "--root", "listed", "--out", "data/small", "--workers", "1", "--min-yield", "0"),
        ),
        ("landmarks", lambda: _landmarks(root)),
        ("recipes", lambda: _recipes(root)),
        ("train", _words("train", "mine", "--size", "mine", "--modality", "av", "--out", "runs/small/mine")),
        ("begun", lambda: _begun(root)),
        ("labels", _words("label", "data/small", "--with", "runs/small/mine", "--decode", "ctc", "--name", "asr")),
        ("half labelled", lambda: _half_labelled(root / "data/small/labels")),
        ("sparse", _words("export", "runs/small/mine", "--format", "sparse", "--out", "weights/packed.safetensors")),
        ("published", lambda: _published(root)),
    ]
    for noise in ((), ("--noise", "blur:3"), ("--sound", "white:0")):
        words = ("evaluate", "runs/small/mine", "--decode", "ctc", *noise, "--out", "results/small/mine")
        steps.append((" ".join(("evaluate", *noise)), _words(*words)))
    for name, work in steps:
        ended = run(work, root, said, limited=False)
        if ended.code:
            raise RuntimeError(f"{name} of the good files ended with {ended.code}:\n{ended.out}{ended.err}")


def _words(*words: str) -> Any:
    return lambda: command_line(words)


def _videos(root: Path) -> int:
    for name, how in VIDEOS.items():
        write_video(root / "videos" / name / how[0], *how[1:])
    beside = root / "videos/sound"
    write_video(beside / "clip.mp4", *VIDEOS["mp4"][1:], sound=False)
    _write_sound(beside / "clip.wav", "pcm_s16le")
    _write_sound(root / "videos/flac/clip.flac", "flac")
    shutil.copy(root / "videos/mp4/clip.mp4", root / "videos/flac/clip.mp4")
    (root / "weights").mkdir()
    return 0


def _frames() -> Iterator[np.ndarray]:
    """A real face (the astronaut of scikit-image, NASA, public domain), moving a little."""
    from skimage.data import astronaut

    face = astronaut()[: SIDES[1], 64 : 64 + SIDES[0]]
    for number in range(FRAMES):
        yield np.ascontiguousarray(np.roll(face, number // 2, axis=1))


def write_video(
    path: Path, codec: str, pixels: str, sound_codec: str, rate: int, options: dict[str, str], sound: bool = True
) -> None:
    """Twelve frames with sound; the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"fflags": "+bitexact", **options}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=_OPTIONS.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt = *SIDES, pixels
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        track: Any = container.add_stream(sound_codec, rate=rate, layout="mono") if sound else None
        if sound_codec == "wmav2":
            track.bit_rate = 64_000
        for number, picture in enumerate(_frames()):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            _encode_sound(container, track, rate)


_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "30"},
    "libx265": {"preset": "ultrafast", "crf": "34", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def _write_sound(path: Path, codec: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        track = container.add_stream(codec, rate=16_000, layout="mono")
        _encode_sound(container, track, 16_000)


def _encode_sound(container: Any, track: Any, rate: int) -> None:
    tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(rate * FRAMES // 25) / rate)).astype(np.int16)
    resampler = av.AudioResampler(track.format.name, "mono", rate, frame_size=track.codec_context.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(track.encode(piece))
    container.mux(track.encode(None))


def _lists(root: Path) -> int:
    """The clips of three splits, under a manifest; and other folders that list the same in other ways."""
    rows = []
    for number, split in enumerate(("test", "test", "test", "valid", "train", "train")):
        name = f"ann{number}/clip{number}.mp4"
        (root / "listed" / name).parent.mkdir(parents=True)
        shutil.copy(root / "videos" / ("mp4" if number % 2 else "fragments") / "clip.mp4", root / "listed" / name)
        rows.append({"path": name, "text": SAID[number], "split": split, "speaker": f"ann{number}"})
    (root / "listed/ann5/broken.mp4").write_text("this is no video\n")
    rows.append({"path": "ann5/broken.mp4", "text": "now", "split": "train", "speaker": "ann5"})
    with (root / "listed/manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    # Short lists of one clip, so that a case is about the list.
    clip = root / "videos/mp4/clip.mp4"
    short = [{"path": "a/clip.mp4", "text": "bin blue", "start": 0.0, "end": 0.4, "split": "test", "speaker": "a"}]
    short.append({"path": "b/gone.mp4", "text": "now", "start": 0, "end": 1, "split": "train", "speaker": "b"})
    for name in ("table", "lines", "texts"):
        (root / name / "a").mkdir(parents=True)
        shutil.copy(clip, root / name / "a/clip.mp4")
    with (root / "table/manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(short[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(short)
    (root / "lines/manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in short))
    (root / "texts/a/clip.txt").write_text("bin blue at f two now\n")
    words = "WORD START END ASDSCORE\nBIN 0.04 0.20 9.1\nBLUE 0.20 0.40 8.7\n"
    lrs = root / "lrs2/mvlrs_v1"
    for part in ("main/100", "pretrain/200"):
        (lrs / part).mkdir(parents=True)
        shutil.copy(clip, lrs / part / "00001.mp4")
        (lrs / part / "00001.txt").write_text(f"Text:  BIN BLUE\nConf:  4\n\n{words}")
    for name, line in (("train", "100/00001"), ("val", ""), ("test", "100/00001 NF"), ("pretrain", "200/00001")):
        (lrs / f"{name}.txt").write_text(f"{line}\n")
    (root / "avspeech/videos").mkdir(parents=True)
    shutil.copy(clip, root / "avspeech/videos/21Uxsk56VDQ.mp4")
    (root / "avspeech/avspeech_train.csv").write_text("21Uxsk56VDQ,0.0,0.4,0.5,0.5\n-AbC_dE9f-0,1.0,4.0,0.3,0.2\n")
    vox2 = root / "vox2/mp4/id00012/21Uxsk56VDQ"
    vox2.mkdir(parents=True)
    shutil.copy(clip, vox2 / "00001.mp4")
    (root / "vox2/vox2_meta.csv").write_text("VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000001 ,m ,dev \n")
    (root / "vox2/en.id").write_text("dev/mp4/id00012/21Uxsk56VDQ/00001\n")
    grid = root / "grid"
    for folder in ("s1", "align/s1"):
        (grid / folder).mkdir(parents=True)
    shutil.copy(root / "videos/mpg/clip.mpg", grid / "s1/bbaf2n.mpg")
    spans = (
        (0, "sil"),
        (2000, "bin"),
        (4000, "blue"),
        (6000, "at"),
        (8000, "f"),
        (9000, "two"),
        (9500, "now"),
        (9900, "sil"),
    )
    ends = [start for start, _ in spans[1:]] + [12_000]
    lines = [f"{start} {end} {word}\n" for (start, word), end in zip(spans, ends, strict=True)]
    (grid / "align/s1/bbaf2n.align").write_text("".join(lines))
    return 0


def _landmarks(root: Path) -> int:
    """Points of the face in `table`, in every form that is known."""
    import pickle

    points = np.tile(np.array([[140, 105], [180, 105], [160, 125], [160, 150]], np.float32), (FRAMES, 1, 1))
    for suffix in (".npz", ".npy", ".json", ".pkl"):
        path = root / "points" / suffix[1:] / f"a/clip{suffix}"
        path.parent.mkdir(parents=True)
        if suffix == ".npz":
            np.savez(path, points=points, width=320, height=240)
        elif suffix == ".npy":
            np.save(path, points)
        elif suffix == ".json":
            path.write_text(json.dumps(points.tolist()))
        else:
            path.write_bytes(pickle.dumps(list(points)))
    return 0


def _recipes(root: Path) -> int:
    from avsr_bench import recipes

    for kind, name, text in (
        ("models", "mine", SYSTEM),
        ("models/sizes", "mine", NETWORK),
        ("pipelines", "mine", recipes.find("pipelines", "folder").read_text()),
        ("leaderboards", "published", recipes.find("leaderboards", "published").read_text()),
    ):
        (root / kind).mkdir(parents=True, exist_ok=True)
        (root / kind / f"{name}.yaml").write_text(text)
    return 0


def _begun(root: Path) -> int:
    """A run that Ctrl-C stopped after its second update, with a checkpoint."""
    from avsr_bench.training.job import train
    from avsr_bench.training.plan import TrainRequest
    from avsr_bench.training.signals import Stopped

    class Impatient:
        """Progress that has seen enough after two updates."""

        def say(self, line: str) -> None: ...

        def begin(self, what: str, total: int, unit: str = "clips", before: int = 0) -> None:
            self.seen = 0

        def step(self, outcome: object, status: str = "") -> None:
            self.seen += 1
            if self.seen == 2:
                os.kill(os.getpid(), signal.SIGINT)

    try:
        train(TrainRequest("mine", size="mine", modality="av", out=root / "runs/small/begun"), Impatient())
    except Stopped:
        return 0
    return 1


def _half_labelled(labels: Path) -> int:
    """Labels as a killed run leaves them, under another name; and a list of clips that were left out."""
    head, *rows = (labels / "asr.jsonl").read_text().splitlines()
    parts = labels / "begun.parts"
    parts.mkdir()
    header = json.loads(head)
    del header["format"]
    (parts / "header.json").write_text(json.dumps(header, ensure_ascii=False))
    left_out = labels / "asr.left_out.jsonl"
    reasons = left_out.read_text().splitlines() if left_out.exists() else []
    (parts / "train-000000.jsonl").write_text("".join(f"{row}\n" for row in (*rows, *reasons)))
    if not reasons:
        left_out.write_text(json.dumps({"key": json.loads(rows[0])["key"], "reason": "nothing was recognised"}) + "\n")
    return 0


def _published(root: Path) -> int:
    """The weights under the names of others, bare and as Lightning wraps them, and their tokenizer."""
    import safetensors.torch
    import torch

    from avsr_bench.nn import published_name

    run_folder, out = root / "runs/small/mine", root / "weights"
    ours = safetensors.torch.load_file(run_folder / "model.safetensors")
    theirs = {published_name(name, "av", "first"): value for name, value in ours.items()}
    known = {name: value.contiguous() for name, value in theirs.items() if name is not None}
    torch.save(known, out / "published.pth")
    options = {"args": argparse.Namespace(lr=1e-3)}
    inner = {f"model.{name}": value for name, value in known.items()}
    torch.save({"epoch": 3, "state_dict": inner, "hyper_parameters": options}, out / "lightning.ckpt")
    safetensors.torch.save_file(known, out / "published.safetensors")
    shutil.copy(run_folder / "tokenizer.model", out / "SP.model")
    return 0
