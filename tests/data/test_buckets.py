"""Buckets: moto's server speaks the protocol of S3, and ours what little of Google's is asked for."""

from pathlib import Path

import pytest
from buckets import bucket_of
from mouths import make_shards
from web import serving

from avsr_bench import data
from avsr_bench.data import Prepared, transport
from avsr_bench.records import Refused

pytest.importorskip("moto.server", reason="the extra dev brings it")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "small", {"train": 14})


@pytest.fixture(scope="module")
def store(corpus):
    with bucket_of(Path(corpus.location), "lips", "data 1/a#b?c%20/small") as client:
        yield client


def test_a_bucket_holds_the_same_corpus(corpus, store):
    there = Prepared("s3://lips/data 1/a#b?c%20/small/")
    assert (there.name, there.fingerprint) == ("small", corpus.fingerprint)
    both = (data.examples(each, data.places(each, "train", "av"), "av") for each in (corpus, there))
    for near, far in zip(*both, strict=True):
        assert near.key == far.key and (near.mouth == far.mouth).all() and (near.sound == far.sound).all()


def test_what_is_not_there_and_what_may_not_be_read(store, monkeypatch):
    with pytest.raises(Refused, match=r"s3://lips/nothing/prep\.json is not there"):
        Prepared("s3://lips/nothing").prep  # noqa: B018
    with pytest.raises(Refused, match=r"s3://nobucket/small/prep\.json is not there"):
        Prepared("s3://nobucket/small").prep  # noqa: B018
    with pytest.raises(Refused, match=r"s3://host/x names no bucket: write s3://BUCKET/PATH"):
        Prepared("s3://key:secret@host/x").prep  # noqa: B018
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Refused, match=r"s3://lips/x cannot be opened: .*nobody.*; see to AWS_PROFILE"):
        Prepared("s3://lips/x").prep  # noqa: B018


def test_a_store_that_is_not_there(store, monkeypatch):
    monkeypatch.setattr(transport, "TIMEOUT", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Refused, match=r"s3://lips/y cannot be opened: Could not connect to the endpoint"):
        Prepared("s3://lips/y").prep  # noqa: B018


def test_googles_paths(corpus, monkeypatch):
    with serving(Path(corpus.location).parents[1]) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        bucket = Path(corpus.location).parent.name
        there = Prepared(f"gs://{bucket}/small")
        assert there.fingerprint == corpus.fingerprint
        assert len(list(data.examples(there, data.places(there, "train", "video"), "video"))) == 14
        assert server.asked[0][0] == f"/{bucket}/small/prep.json"
