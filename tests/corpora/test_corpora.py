from pathlib import Path

import pytest

from avsr_bench import corpora, recipes
from avsr_bench.corpora import READERS, _unique
from avsr_bench.records import Clip, Corpus, Reason, Refused

EMPTY_VIDEO = {
    "lrs3": {"trainval/a/1.mp4": "", "trainval/a/1.txt": "Text: A"},
    "lrs2": {"main/a/1.mp4": "", "main/a/1.txt": "Text: A", "train.txt": "a/1"},
    "grid": {"s1/bbaf2n.mpg": ""},
    "vox2": {"dev/mp4/id00012/21Uxsk56VDQ/00001.mp4": ""},
    "avspeech": {"avspeech_train.csv": "21Uxsk56VDQ,1,4,0.5,0.5", "21Uxsk56VDQ.mp4": ""},
    "folder": {"a.mp4": ""},
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_reader_reads_with_its_defaults(tree, name):
    corpus = corpora.read(name, tree(EMPTY_VIDEO[name]))
    assert len(corpus.clips) == 1
    assert corpus.clips[0].problem is None
    assert isinstance(corpus, Corpus)


@pytest.mark.parametrize("name", sorted(READERS))
def test_roots_that_are_no_corpus_are_refused_in_one_line(tree, name):
    root = tree({"notes.pdf": "", "x/y.doc": ""})
    with pytest.raises(Refused, match="not there"):
        corpora.read(name, root / "nowhere")
    with pytest.raises(Refused, match="is a file"):
        corpora.read(name, root / "notes.pdf")
    with pytest.raises(Refused) as caught:
        corpora.read(name, root)
    message = str(caught.value)
    assert READERS[name].layout in message
    assert "notes.pdf, x" in message
    assert "\n" not in message
    (root / "empty").mkdir()
    with pytest.raises(Refused, match="it is empty"):
        corpora.read(name, root / "empty")


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("mode", [0o000, 0o744, 0o711])
def test_a_root_that_may_not_be_read_is_refused(tree, reachable, read_as_nobody, name, mode):
    root = tree(EMPTY_VIDEO[name], reachable / "root")
    root.chmod(mode)
    assert str(root) in read_as_nobody(name, root)["refused"]


def test_an_unknown_reader_is_refused(tmp_path):
    with pytest.raises(Refused, match="lrs3, lrs2, vox2, avspeech, grid, folder"):
        corpora.read("lrs4", tmp_path)


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_shipped_recipe_gives_the_default_settings(name):
    content = recipes.load(recipes.shipped("pipelines") / f"{name}.yaml")
    settings = dict(content["corpus"])
    reader = READERS[settings.pop("reader")]
    assert Path(settings.pop("root")) == Path("data/raw") / name
    assert recipes.build(reader.settings, settings, name) == reader.settings()
    assert content["train"]["size"] == ("tiny" if name in ("grid", "folder") else "large")


def clip(key, video="x.mp4", problem=None):
    return Clip(key, Path(video), "train", "someone", problem=problem)


def test_clips_that_share_a_key_are_told_apart_and_left_out():
    clips = _unique([clip("b"), clip("a", "2.mp4"), clip("a", "1.mp4"), clip("a_dup2"), clip("a", "3.mp4")])
    assert [(c.key, c.video.name, c.problem and c.problem.code) for c in clips] == [
        ("a", "1.mp4", None),
        ("a_dup2", "x.mp4", None),
        ("a_dup3", "2.mp4", "duplicate-key"),
        ("a_dup4", "3.mp4", "duplicate-key"),
        ("b", "x.mp4", None),
    ]


def test_of_two_clips_with_one_key_the_usable_one_is_kept():
    gone = Reason("missing-file", "gone")
    assert [(c.key, c.problem) for c in _unique([clip("a", "1.mp4", gone), clip("a", "2.mp4")])] == [
        ("a", None),
        ("a_dup2", gone),
    ]


def test_clips_come_sorted_by_key(tree):
    corpus = corpora.read("folder", tree({f"{name}.mp4": "" for name in ("b", "a", "ä", "C", "a b")}))
    keys = [c.key for c in corpus.clips]
    assert keys == sorted(keys)


def test_the_order_of_files_on_disk_changes_nothing(tree, tmp_path):
    names = [f"s{s}/{n}.mp4" for s in range(6) for n in range(6)]
    one = corpora.read("folder", tree(dict.fromkeys(names, ""), tmp_path / "one"))
    other = corpora.read("folder", tree(dict.fromkeys(reversed(names), ""), tmp_path / "other"))
    assert [(c.key, c.split) for c in one.clips] == [(c.key, c.split) for c in other.clips]
