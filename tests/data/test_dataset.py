"""A split through WebDataset: the same clips as read one by one, whatever the workers, and nothing that is damaged."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from mouths import make_shards
from web import serving

from avsr_bench import data
from avsr_bench.data import Prepared
from avsr_bench.records import Refused


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "small", {"train": 10, "test": 1})


def test_every_clip_as_it_is_read_one_by_one(corpus):
    found = list(data.dataset(corpus, "train", "av"))
    alone = list(data.examples(corpus, data.places(corpus, "train", "av"), "av"))
    assert [sample["__key__"] for sample in found] == [example.key for example in alone]
    for sample, example in zip(found, alone, strict=True):
        assert np.array_equal(sample["mouth"], example.mouth) and np.array_equal(sample["sound"], example.sound)
        assert (sample["text"], sample["speaker"]) == (example.text, example.speaker)
        assert sample["frames"] == len(sample["mouth"])
    assert "sound" not in next(iter(data.dataset(corpus, "train", "video")))


def test_shuffled_batches_from_several_workers_have_every_clip_once(corpus):
    shuffled = data.dataset(corpus, "train", "audio").compose(webdataset.shuffle(8, seed=1))
    loader = webdataset.WebLoader(shuffled, num_workers=2, batch_size=None)
    found = [
        sample["__key__"] for batch in loader.compose(webdataset.batched(3, collation_fn=None)) for sample in batch
    ]
    keys = [place.entry.key for place in data.places(corpus, "train", "audio")]
    assert sorted(found) == sorted(keys) and found != keys


def test_a_corpus_behind_a_web_server(corpus):
    with serving(Path(corpus.location)) as server:
        found = {sample["__key__"] for sample in data.dataset(Prepared(server.url), "train", "audio")}
    assert found == {place.entry.key for place in data.places(corpus, "train", "audio")}


@pytest.fixture
def damaged(corpus, tmp_path):
    """A copy of the corpus, the tar of its first shard, and where the mouth of that shard's last clip begins."""
    folder = shutil.copytree(corpus.location, tmp_path / "small")
    offsets = [
        place.entry.members["mouth.mp4"].offset for place in data.places(corpus, "train", "video") if place.shard == 0
    ]
    return Prepared(str(folder)), folder / "train" / "train-000000.tar", max(offsets)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_tar_is_refused_in_one_line(damaged, damage):
    corpus, tar, offset = damaged
    content = bytearray(tar.read_bytes())
    content[offset + 5] ^= damage == "flipped"
    tar.write_bytes(content[: offset - 512] if damage == "cut" else content)  # cut between two clips
    if damage == "gone":
        tar.unlink()
    with pytest.raises(Refused, match=r"train-000000\.tar") as refused:
        list(data.dataset(corpus, "train", "video"))
    assert "\n" not in str(refused.value)


def test_why_tars_are_not_read_by_webdataset(damaged, tmp_path):
    """What docs/shards.md says of its reader: shards that are damaged or hostile are read without a word."""

    def read(tar, content):
        tar.write_bytes(content)
        return list(webdataset.WebDataset([str(tar)], shardshuffle=False))

    corpus, tar, offset = damaged
    content = tar.read_bytes()
    assert len(read(tar, content)) == 6
    assert len(read(tar, content[: offset - 512])) == 5  # cut between two clips
    damaged_header = bytearray(content)
    damaged_header[offset - 512] ^= 1
    assert len(read(tar, damaged_header)) == 5  # that of the last clip
    assert len(list(data.dataset(corpus, "train", "video"))) == 10  # ours has its place from the index
    sparse = tarfile.TarInfo("key.json")  # a file of holes
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % 2**24  # of so many bytes when it is read
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * ord(" ") + sum(header[156:]))
    assert len(read(tmp_path / "holes.tar", header + bytes(1024))[0]["json"]) == 2**24


def test_why_tars_are_not_written_by_webdataset(tmp_path):
    """What docs/shards.md says of its writer."""
    tars = []
    for name in ("one.tar", "other.tar"):
        with webdataset.TarWriter(str(tmp_path / name), format="GNU_FORMAT") as writer:
            assert writer.write({"__key__": "k" * 120, "json": b"{}"}) == 2  # bytes of the members, and no place
        tars.append((tmp_path / name).read_bytes())
    assert tars[0] != tars[1]  # the time, where no mtime is given
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert tar.getmembers()[0].pax_headers  # GNU tars have none: the format asked for is not the one written


def test_a_split_that_is_not_there(corpus):
    with pytest.raises(Refused, match="has no split valid"):
        data.dataset(corpus, "valid", "video")
