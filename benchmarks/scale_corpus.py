"""Corpora of any number of clips, cheaply: two dozen short clips of the synthetic corpus, again and again.

The raw folder has a video of its own for every clip, as a hard link, and a manifest. The prepared folder is written by
the shard writer from samples that `prep` made, under other keys; its plan is that of `avsr-bench prep folder`, which
therefore finds everything done.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avsr_bench import corpora, shards
from avsr_bench.prep.job import versions
from avsr_bench.prep.recipe import deciding, load_recipe
from avsr_bench.records import FPS, Sample
from avsr_bench.shards.tracks import read_tracks

from .scale import FRAMES

SOURCES = 24  # ext4 allows 65,000 links to a file
SPEAKER = 50  # clips of one
SHARES = ("train",) * 18 + ("valid", "test")  # of the speakers


@dataclass(frozen=True)
class Source:
    """A short clip as prep left it, and the video that it was cut from."""

    video: Path
    text: str
    sample: Sample


def serve() -> None:
    """Make what the arguments name: the raw clips to repeat, a folder, and how many clips go into it."""
    raw, place, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    sources = make_sources(raw, place)
    make_raw(place / "raw", sources, count)
    make_prepared(place / "raw", place / "data", sources)


def make_sources(raw: Path, scratch: Path) -> list[Source]:
    """Some clips of a raw corpus, cut short and prepared by the command itself."""
    lines = [json.loads(line) for line in (raw / "manifest.jsonl").read_text().splitlines()]
    root, out = scratch / "sources", scratch / "prepared-sources"
    rows = []
    for number, line in enumerate([line for line in lines if (raw / line["path"]).is_file()][:SOURCES]):
        video = root / f"{number:02d}.mp4"
        video.parent.mkdir(exist_ok=True)
        shutil.copy(raw / line["path"], video)
        rows.append((video, line["text"]))
    _write_manifest(root, [(video.name, text, "train", "anybody") for video, text in rows])
    command = ["prep", "folder", "--root", str(root), "--out", str(out)]
    subprocess.run([sys.executable, "-m", "avsr_bench", *command], check=True, capture_output=True)
    [index] = shards.shard_indexes(out, "train")
    tracks = read_tracks(index.with_suffix("").with_suffix(".tracks.npz"))
    made = {entry.key: (entry, members) for entry, members in shards.iterate(out, "train")}
    found = []
    for video, text in rows:
        entry, members = made[video.stem]
        sample = Sample(entry.key, "train", entry.frames, entry.text, entry.speaker, members, tracks[entry.key])
        found.append(Source(video, text, sample))
    return found


def make_raw(root: Path, sources: Sequence[Source], count: int) -> None:
    """A corpus as it lies before prep: a folder a speaker, and a manifest."""
    rows = []
    for number in range(count):
        speaker, source = number // SPEAKER, sources[number % len(sources)]
        name = f"s{speaker:05d}/clip{number:07d}.mp4"
        if number % SPEAKER == 0:
            (root / name).parent.mkdir(parents=True)
        os.link(source.video, root / name)
        rows.append((name, source.text, SHARES[speaker % len(SHARES)], f"s{speaker:05d}"))
    _write_manifest(root, rows)


def make_prepared(root: Path, out: Path, sources: Sequence[Source]) -> None:
    """What `avsr-bench prep folder --root ROOT --out OUT` leaves, without preparing any clip again."""
    recipe = load_recipe("folder", root, ())
    corpus = corpora.read(recipe.reader, recipe.root, recipe.corpus)
    settings = {**deciding(recipe, only_detect=False), "landmarks": None}
    plan = shards.make_plan(
        corpus.clips, recipe.settings.shards, settings, recipe.root, shards.file_sizes(corpus.clips)
    )
    shards.open_store(out, plan, versions(), corpus.notes)
    for shard in plan.shards:
        with shards.ShardWriter(out, shard) as writer:
            for sample in _samples(shard, sources):
                writer.add(sample)
            writer.commit()
    shards.finish(out)


def _samples(shard: shards.PlannedShard, sources: Sequence[Source]) -> Iterator[Sample]:
    for clip in shard.clips:
        sample = sources[int(clip.video.stem.removeprefix("clip")) % len(sources)].sample
        record = json.loads(sample.members["json"])
        record["speaker"], record["source"]["path"] = clip.speaker, f"{clip.source}.mp4"
        members = {**sample.members, "json": json.dumps(record).encode()}
        yield replace(sample, key=clip.key, split=clip.split, speaker=clip.speaker, members=members)


def _write_manifest(root: Path, rows: Sequence[tuple[str, str, str, str]]) -> None:
    with (root / "manifest.csv").open("w", encoding="utf-8") as file:
        file.write("path,text,split,speaker,start,end\n")
        for path, text, split, speaker in rows:
            file.write(f"{path},{text},{split},{speaker},0,{FRAMES / FPS}\n")
