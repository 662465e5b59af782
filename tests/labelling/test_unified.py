"""A unified run labels as one of its views; whoever learns from its labels has the run itself as an ancestor."""

import pytest
from heard import Silence
from labelling.test_label import lines
from mouths import make_shards
from small_runs import small_run, small_unified

from avsr_bench import data
from avsr_bench.data import DataSettings
from avsr_bench.labelling import LabelRequest, label
from avsr_bench.records import Misused


def test_labels_say_which_view_gave_them(tmp_path):
    corpus = make_shards(tmp_path / "small", {"train": 4, "valid": 1, "test": 2}, text=lambda number: None)
    run = small_run(tmp_path / "runs/synth/usr-tiny-s0", small_unified())
    request = {"data": corpus.location, "labeller": str(run), "device": "cpu"}
    with pytest.raises(Misused, match="say which with --modality video, audio or av"):
        label(LabelRequest(**request, name="none"), Silence())
    assert not (tmp_path / "small/labels").exists()
    found = {view: label(LabelRequest(**request, name=view, modality=view), Silence()) for view in ("audio", "video")}
    for view, each in found.items():
        header, *_ = lines(each.path)
        assert (header["labeller"], header["modality"]) == (f"synth/usr-tiny-s0@{view}", view)
        assert [ancestor["run"] for ancestor in header["ancestors"]] == ["synth/usr-tiny-s0"]
    assert found["audio"].labels.texts != found["video"].labels.texts
    chosen = data.choose(corpus, "video", DataSettings(labels="audio"))
    assert [ancestor.run for ancestor in chosen.labellers] == ["synth/usr-tiny-s0"]
    with pytest.raises(Misused, match="--modality video is for runs, and pocketsphinx is a program"):
        label(LabelRequest(**{**request, "labeller": "pocketsphinx"}, name="x", modality="video"), Silence())
