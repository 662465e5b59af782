from collections import Counter
from pathlib import Path

import pytest

from avsr_bench import corpora, recipes
from avsr_bench.corpora import Lrs3Settings
from avsr_bench.records import Misused, Refused

PRETRAIN = "Text:  A B C\nConf:  4\nRef:   x\n\nWORD START END ASDSCORE\nA 1 2 1\nB 12 13 1\nC 28 29 1\n"


def utterance(name, text="Text:  HELLO WORLD\n"):
    return {f"{name}.mp4": b"", f"{name}.txt": text}


def read(root, **settings):
    return corpora.read("lrs3", root, Lrs3Settings(**settings))


def by_key(corpus):
    return {clip.key: clip for clip in corpus.clips}


def test_the_layout(tree):
    root = tree(
        utterance("pretrain/aaa/00001", PRETRAIN)
        | utterance("trainval/bbb/50001")
        | utterance("trainval/ccc/50001")
        | utterance("test/ddd/00001")
    )
    clips = by_key(read(root))
    assert sorted(clips) == [
        "pretrain%2Faaa%2F00001_00",
        "pretrain%2Faaa%2F00001_01",
        "pretrain%2Faaa%2F00001_02",
        "test%2Fddd%2F00001",
        "trainval%2Fbbb%2F50001",
        "trainval%2Fccc%2F50001",
    ]
    test = clips["test%2Fddd%2F00001"]
    assert (test.text, test.split, test.speaker, test.source) == ("HELLO WORLD", "test", "ddd", "ddd")
    assert (test.start, test.end, test.problem) == (0.0, None, None)
    assert test.video == root / "test/ddd/00001.mp4"
    cut = clips["pretrain%2Faaa%2F00001_01"]
    assert (cut.text, cut.start, cut.end, cut.split) == ("B", 11.8, 13.2, "train")
    assert cut.video == root / "pretrain/aaa/00001.mp4"


def test_segment_seconds_is_a_setting(tree):
    words = "".join(f"W {n} {n + 1} 1\n" for n in range(30))
    root = tree(utterance("pretrain/aaa/00001", "Text: W\n\nWORD START END ASDSCORE\n" + words))
    for seconds in (5.0, 16.0):
        corpus = read(root, segment_seconds=seconds)
        assert max(clip.end - clip.start for clip in corpus.clips) <= seconds + 0.001
        assert len(corpus.clips) == -(-30 // seconds)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"test/a/1.mp4": b""}, "no-text"),
        ({"test/a/1.txt": "Text: HELLO"}, "missing-file"),
        (utterance("test/a/1", ""), "bad-text"),
        (utterance("test/a/1", b"Text:  CAF\xc9"), "bad-text"),
        (utterance("test/a/1", "HELLO WORLD"), "bad-text"),
        (utterance("test/a/1", "Text:  \n"), "bad-text"),
        (utterance("pretrain/a/1", "Text:  HELLO\n"), "bad-text"),
        (utterance("pretrain/a/1", "Text: A\n\nWORD START END ASDSCORE\nA 2 1 1\n"), "bad-times"),
        (utterance("pretrain/a/1", "Text: A\n\nWORD START END ASDSCORE\nA 0 0 1\n"), "bad-times"),
        ({"pretrain/a/1.mp4": b""}, "no-text"),
    ],
)
def test_bad_input_stays_on_file_with_a_reason(tree, files, code):
    corpus = read(tree(utterance("trainval/good/1") | files))
    bad = [clip for clip in corpus.clips if clip.problem]
    assert [clip.problem.code for clip in bad] == [code]
    assert bad[0].text is None or code == "bad-times"
    assert len(corpus.clips) == 2


def test_one_word_without_length_leaves_its_neighbours_alone(tree):
    text = "Text: A\n\nWORD START END ASDSCORE\nA 0 1 1\nB 60 60 1\nC 120 121 1\n"
    corpus = read(tree(utterance("pretrain/a/1", text)))
    assert [clip.problem for clip in corpus.clips] == [None, None, None]  # B has room round it
    assert all(clip.end > clip.start for clip in corpus.clips)


def test_validation_is_held_out_by_speaker_in_pretrain_too(tree):
    files = {}
    for speaker in range(40):
        for number in range(5):
            files |= utterance(f"trainval/id{speaker:02d}/{number:05d}")
        files |= utterance(f"pretrain/id{speaker:02d}/00000", PRETRAIN) | utterance(f"test/test{speaker:02d}/00000")
    corpus = read(tree(files), valid_share=0.1)
    splits = {
        split: {clip.speaker for clip in corpus.clips if clip.split == split} for split in ("train", "valid", "test")
    }
    assert not splits["train"] & splits["valid"]
    assert not splits["test"] & (splits["train"] | splits["valid"])
    trainval = Counter(clip.split for clip in corpus.clips if clip.key.startswith("trainval"))
    assert trainval == {"train": 180, "valid": 20}
    assert any("20 utterances of trainval, 4 speakers held out" in note for note in corpus.notes)
    assert "no recording has clips in two splits" in corpus.notes
    again = read(tree({}), valid_share=0.1)
    assert again == corpus


@pytest.mark.parametrize("lines", [["trainval/b/2"], ["b/2"], ["b/2.mp4", ""], ["\ufefftrainval/b/2\tNF"]])
def test_validation_by_a_list_of_clips(tree, lines):
    files = utterance("trainval/a/1") | utterance("trainval/b/1") | utterance("trainval/b/2") | utterance("test/b/2")
    root = tree(files | utterance("pretrain/b/2", PRETRAIN) | {"valid.id": "\n".join(lines)})
    corpus = read(root, valid_ids=Path("valid.id"))
    assert [clip.key for clip in corpus.clips if clip.split == "valid"] == ["trainval%2Fb%2F2"]
    assert [clip.key for clip in corpus.clips if clip.split == "test"] == ["test%2Fb%2F2"]
    assert any("overlap: 1 recording has clips in both train and valid" in note for note in corpus.notes)


def test_validation_by_a_list_of_speakers_says_which_are_lost_and_never_takes_test(tree):
    root = tree(
        utterance("trainval/a/1") | utterance("trainval/b/1") | utterance("test/t/1") | {"ids": "b\nt\nnobody\n"}
    )
    corpus = read(root, valid_ids=root / "ids")
    assert {clip.key: clip.split for clip in corpus.clips} == {
        "test%2Ft%2F1": "test",
        "trainval%2Fa%2F1": "train",
        "trainval%2Fb%2F1": "valid",
    }
    assert any(note.startswith("2 ids of") and "nobody" in note for note in corpus.notes)


def test_the_released_counts_are_silent_and_others_are_said(tree):
    files = {}
    for number in range(1321):  # 9,890 words: 642 utterances of eight, 679 of seven... counted out below
        files |= utterance(f"test/t/{number:05d}", "Text:  " + "W " * (8 if number < 643 else 7))
    root = tree(files)
    assert 643 * 8 + (1321 - 643) * 7 == 9890
    assert not any("results do not compare" in note for note in read(root, subsets=("test",)).notes)
    (root / "test/t/00000.txt").write_text("Text:  ONE WORD LESS IS HERE NOW")
    (note,) = [note for note in read(root, subsets=("test",)).notes if "results do not compare" in note]
    assert "1,321 utterances with 9,888 words; known are 1,321 with 9,890" in note


def test_subsets_and_what_is_not_there(tree):
    root = tree(utterance("trainval/a/1") | utterance("test/t/1"))
    assert {clip.split for clip in read(root, subsets=("test",)).clips} == {"test"}
    assert any("there is no pretrain/" in note for note in read(root).notes)


def test_a_recording_in_train_and_test_is_said(tree):
    corpus = read(tree(utterance("trainval/a/1") | utterance("test/a/1")), valid_share=0.0)
    assert any("overlap: 1 recording has clips in both test and train (a)" in note for note in corpus.notes)


@pytest.mark.parametrize("settings", [{"segment_seconds": 0}, {"segment_seconds": float("nan")}, {"valid_share": 1.5}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(Misused, match=f"corpus: {next(iter(settings))} = "):
        recipes.build(Lrs3Settings, settings, "corpus")


def test_a_list_that_is_not_there_is_refused(tree):
    with pytest.raises(Refused, match=r"corpus\.valid_ids = nowhere\.id"):
        read(tree(utterance("trainval/a/1")), valid_ids=Path("nowhere.id"))
