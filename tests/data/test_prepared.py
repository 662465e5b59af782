import json
import sys
from pathlib import Path

import pytest
from mouths import make_shards
from web import serving

from avsr_bench import data
from avsr_bench.data import Prepared
from avsr_bench.records import Misused, Refused


@pytest.fixture
def corpus(tmp_path):
    return make_shards(tmp_path / "data" / "small", {"train": 8, "test": 3})


def test_a_corpus_behind_a_web_server_is_the_same(corpus):
    folder = Path(corpus.location)
    with serving(folder.parent) as server:
        remote = data.find_data(f"{server.url}/small/")
        assert (remote.name, remote.fingerprint) == ("small", corpus.fingerprint)
        assert remote.shards("train") == corpus.shards("train")
        both = (data.examples(each, data.places(each, "train", "av"), "av") for each in (corpus, remote))
        for near, far in zip(*both, strict=True):
            assert near.key == far.key and (near.mouth == far.mouth).all() and (near.sound == far.sound).all()
        with pytest.raises(Refused, match=r"prep\.json is not there"):
            Prepared(f"{server.url}/nothing").shards("train")


def test_the_only_prepared_corpus_is_found(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data.find_data().fingerprint == corpus.fingerprint
    make_shards(tmp_path / "data" / "other", {"train": 1})
    with pytest.raises(Misused, match=r"several prepared corpora.*--data \(data/other, data/small\)"):
        data.find_data()


def test_no_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="no prepared corpus is under data/: make one with `avsr-bench prep synth`"):
        data.find_data()
    with pytest.raises(Refused, match=r"--data nowhere: there is no prepared corpus"):
        data.find_data("nowhere")


def test_the_fingerprint_is_of_the_clips_not_of_the_place(corpus, tmp_path):
    assert make_shards(tmp_path / "elsewhere", {"train": 8, "test": 3}).fingerprint == corpus.fingerprint
    assert make_shards(tmp_path / "fewer", {"train": 7, "test": 3}).fingerprint != corpus.fingerprint


def test_a_split_that_is_not_there(corpus):
    with pytest.raises(Refused, match="has no split valid: it has test, train"):
        corpus.shards("valid")


def test_a_shard_that_is_not_finished(corpus):
    (Path(corpus.location) / "train" / "train-000001.jsonl").unlink()
    with pytest.raises(Refused, match=r"train-000001.jsonl is not there: the shard is not finished; run the same prep"):
        corpus.shards("train")


def test_an_empty_split(corpus):
    index = Path(corpus.location) / "test" / "test-000000.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    reason = {"kind": "clip", "code": "no-face", "detail": "none"}
    empty = [{**{name: row[name] for name in ("key", "text", "speaker")}, "reason": reason} for row in rows]
    index.write_text("".join(json.dumps(row) + "\n" for row in empty))
    with pytest.raises(Refused, match="the split test is empty: no clip came through prep"):
        corpus.shards("test")


def test_a_damaged_index(corpus):
    index = Path(corpus.location) / "test" / "test-000000.jsonl"
    index.write_text(index.read_text()[:-20])
    with pytest.raises(Refused, match=r"test-000000.jsonl is damaged: the last line breaks off"):
        corpus.shards("test")


def test_a_tar_cut_in_half_and_one_with_other_bytes(corpus):
    tar = Path(corpus.location) / "test" / "test-000000.tar"
    whole = tar.read_bytes()
    places = data.places(corpus, "test", "video")
    tar.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match=r"test-000000.tar is cut short: see `avsr-bench validate`"):
        list(data.examples(corpus, places, "video"))
    tar.write_bytes(bytes(len(whole)))
    with pytest.raises(Refused, match=r"test-000000.tar: test000"):
        list(data.examples(corpus, places, "video"))


def test_clips_without_text_or_sound(tmp_path):
    mute = make_shards(tmp_path / "mute", {"train": 3}, text=lambda n: None if n == 1 else "now")
    with pytest.raises(Refused, match=r"1 of 3 clips have no text, the first is train001"):
        data.places(mute, "train", "video")
    silent = make_shards(tmp_path / "silent", {"train": 3}, sound=lambda number: False)
    assert len(data.places(silent, "train", "video")) == 3
    with pytest.raises(Refused, match=r"3 of 3 clips have no flac, the first is train000.*--modality av"):
        data.places(silent, "train", "av")


def test_a_store_that_needs_what_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "google.auth", None)
    for location, extra in (("s3://bucket/small", "s3"), ("gs://bucket/small", "gcs")):
        with pytest.raises(Refused, match=rf"{location} cannot be opened: install avsr-bench\[{extra}\]"):
            Prepared(location).shards("train")
