"""The examples of docs/shards.md run as they stand there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from avsr_bench import media
from avsr_bench.records import Sample

PAGE = Path(__file__).parents[2] / "docs" / "shards.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def folder(small, tmp_path, monkeypatch):
    """data/grid with two shards of real media in the working directory."""

    def encoded(clip):
        frames = 12
        crops = np.full((frames, 96, 96), 90, np.uint8) + np.arange(frames, dtype=np.uint8)[:, None, None]
        members = {
            "mouth.mp4": media.encode_mouth(crops),
            "flac": media.encode_flac(np.arange(640 * frames, dtype=np.int16)),
            "json": json.dumps({"text": clip.text, "frames": frames}).encode(),
        }
        return Sample(clip.key, clip.split, frames, clip.text, clip.speaker, members)

    small.prepare(tmp_path / "data" / "grid", small.make_small_plan(small.make_clips({"test": 5})), outcome_of=encoded)
    monkeypatch.chdir(tmp_path)


def test_plain_webdataset_reads_what_the_page_says(small, folder, capsys):
    exec(EXAMPLES[0], {})
    printed = capsys.readouterr().out.splitlines()
    clips = small.make_clips({"test": 5})
    assert sorted(printed) == sorted(f"{clip.key} (12, 96, 96) {clip.text}" for clip in clips)


def test_one_member_is_read_by_its_index(folder):
    names = {}
    exec(EXAMPLES[1], names)
    assert names["frames"].shape == (12, 96, 96)
    assert np.abs(names["frames"].mean(axis=(1, 2)) - np.arange(90, 102)).max() < 2


def test_every_example_is_run():
    assert len(EXAMPLES) == 2
