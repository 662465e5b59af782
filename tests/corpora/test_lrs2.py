import pytest

from avsr_bench import corpora
from avsr_bench.records import Refused

TIMED = "Text:  A B\nConf:  5\n\nWORD START END ASDSCORE\nA 1 2 1\nB 12 13 1\n"


def utterance(name, text="Text:  HELLO WORLD\n"):
    return {f"{name}.mp4": b"", f"{name}.txt": text}


CLIPS = (
    utterance("mvlrs_v1/main/11/00001")
    | utterance("mvlrs_v1/main/22/00002")
    | utterance("mvlrs_v1/main/33/00003")
    | utterance("mvlrs_v1/pretrain/44/00004", TIMED)
)
LISTS = {"train.txt": "11/00001\n", "val.txt": "22/00002\n", "test.txt": "33/00003 NF\n", "pretrain.txt": "44/00004\n"}


def splits(corpus):
    return {clip.key: clip.split for clip in corpus.clips}


@pytest.mark.parametrize("where", ["", "mvlrs_v1/"])
@pytest.mark.parametrize("root", [".", "mvlrs_v1"])
def test_the_lists_may_lie_beside_or_inside(tree, where, root):
    corpus = corpora.read("lrs2", tree(CLIPS | {where + name: text for name, text in LISTS.items()}) / root)
    assert splits(corpus) == {
        "main%2F11%2F00001": "train",
        "main%2F22%2F00002": "valid",
        "main%2F33%2F00003": "test",
        "pretrain%2F44%2F00004_00": "train",
        "pretrain%2F44%2F00004_01": "train",
    }
    assert not any(clip.problem for clip in corpus.clips)


def test_clips_on_one_side_only(tree):
    lists = LISTS | {"test.txt": "33/00003 NF\n33/00009 MV\n\n", "train.txt": ""}
    corpus = corpora.read("lrs2", tree(CLIPS | lists))
    assert {clip.key: clip.problem.code for clip in corpus.clips if clip.problem} == {
        "main%2F33%2F00009": "missing-file"
    }
    assert any(
        note.startswith("1 clips are in no list and left out (the first: main/11/00001)") for note in corpus.notes
    )
    assert any("known are 1,243 with 6,663" in note for note in corpus.notes)


def test_a_clip_that_is_listed_twice_is_said(tree):
    corpus = corpora.read("lrs2", tree(CLIPS | LISTS | {"train.txt": "11/00001\n11/00001\n"}))
    problems = {clip.key: clip.problem.code for clip in corpus.clips if clip.problem}
    assert problems == {"main%2F11%2F00001_dup2": "duplicate-key"}


def test_no_lists_at_all_is_refused_and_one_missing_is_said(tree):
    root = tree(CLIPS)
    with pytest.raises(Refused, match=r"none of train\.txt"):
        corpora.read("lrs2", root)
    corpus = corpora.read("lrs2", tree({"test.txt": "33/00003 NF"}))
    assert list(splits(corpus).values()) == ["test"]
    assert any("there is no train.txt" in note for note in corpus.notes)


def test_a_list_that_is_not_text_is_refused(tree):
    with pytest.raises(Refused, match="not UTF-8"):
        corpora.read("lrs2", tree(CLIPS | LISTS | {"val.txt": b"\xff\xfe1"}))


@pytest.mark.parametrize(("text", "code"), [("", "bad-text"), (b"Text: \xff", "bad-text"), ("no header", "bad-text")])
def test_bad_text_has_a_reason(tree, text, code):
    corpus = corpora.read("lrs2", tree(CLIPS | LISTS | utterance("mvlrs_v1/main/11/00001", text)))
    assert {clip.key: clip.problem.code for clip in corpus.clips if clip.problem} == {"main%2F11%2F00001": code}


def test_an_unreadable_folder_has_a_reason(tree, reachable, read_as_nobody):
    root = tree(CLIPS | LISTS, reachable / "root")
    (root / "mvlrs_v1/main/11").chmod(0)
    assert read_as_nobody("lrs2", root)["clips"] == {
        "main%2F11%2F00001": "unreadable",
        "main%2F22%2F00002": None,
        "main%2F33%2F00003": None,
        "pretrain%2F44%2F00004_00": None,
        "pretrain%2F44%2F00004_01": None,
    }
