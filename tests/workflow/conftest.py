"""A folder to work in, with a corpus that is prepared, and a board of networks that train in a moment."""

import pytest
from mouths import make_shards

NETWORK = [
    *("network.width=16", "network.heads=2", "network.feed_forward=24", "network.kernel=5", "network.encoder_blocks=2"),
    *("network.mouth=16", "network.video.channels=[4,6,8,10]", "network.video.stem=[3,3,3]"),
    *("network.audio.channels=[4,6,8,10]", "train.steps=3", "train.average=1", "train.workers=0", "train.device=cpu"),
    *("data.frames=60", "data.group=1"),
]
BOARD = f"""
models: [dense, sparsevsr]
entries:
  rigl-80: {{system: rigl, settings: [method.sparsity=0.8]}}
  dense-noise: {{system: dense, settings: [augment.noise=true]}}
  one-shot-noise: {{system: one-shot, settings: [init.run=dense-noise, augment.noise=true]}}
  dense-half: {{system: dense, settings: [train.steps=2], read: false}}
  one-shot-half: {{system: one-shot, settings: [init.run=dense-half]}}
  ear: {{system: dense, modality: audio, settings: ["data.hide={{speakers: 0.34}}"], read: false}}
  dense-labels: {{system: dense, settings: ["data.hide={{speakers: 0.34}}"], labels_by: ear}}
  cleans: {{system: enhance, sound: ["white:0,-5"], read_by: ear}}
  cleans-blind: {{system: enhance, modality: audio, sound: ["white:0"]}}
noise: blur
levels: 0,5
levels_of:
  dense: 0,5,10
settings:
  default: {NETWORK!r}
  sparsevsr: {[*NETWORK, "rounds.sparsities=[0.2, 0.4]"]!r}
corpora:
  mouths:
    limit: 4
    levels_of:
      sparsevsr/round-02: 0,5
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory with data/mouths and a board.yaml of its own."""
    monkeypatch.chdir(tmp_path)
    make_shards(tmp_path / "data/mouths", {"train": 12, "valid": 4, "test": 6})
    (tmp_path / "leaderboards").mkdir()
    (tmp_path / "leaderboards/board.yaml").write_text(BOARD)
    return tmp_path
