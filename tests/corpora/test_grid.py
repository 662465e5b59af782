import itertools
from collections import Counter
from pathlib import Path

import pytest

from avsr_bench import corpora
from avsr_bench.corpora import GridSettings
from avsr_bench.corpora.grid import WORDS, spell
from avsr_bench.recipes import build
from avsr_bench.records import Refused

REAL = Path(__file__).parents[3] / "shared/data/grid"
ALIGN = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 sp\n35500 36000 at\n36000 37000 f\n"
ALIGN += "37000 41000 two\n41000 47250 now\n47250 74500 sil\n"
CODES = ["".join(code) for code in itertools.product(*([*words] for words in WORDS))]


def read(root, **settings):
    return corpora.read("grid", root, GridSettings(**settings))


def speakers(numbers, sentences):
    return {f"s{number}/{code}.mpg": b"" for number in numbers for code in CODES[:sentences]}


@pytest.mark.parametrize(
    "video",
    ["s1/bbaf2n.mpg", "s1/bbaf2n.mp4", "s1/video/bbaf2n.mpg", "video/s1/bbaf2n.mpg", "s1/video/mpg_6000/bbaf2n.mpg",
     "S1/bbaf2n.MPG"],
)  # fmt: skip
@pytest.mark.parametrize(
    "align", ["align/s1/bbaf2n.align", "s1/align/bbaf2n.align", "alignments/s1/bbaf2n.align", "s1/bbaf2n.align"]
)
def test_every_usual_layout(tree, video, align):
    root = tree({video: b"", align: ALIGN, "__MACOSX/s1/._bbaf2n.mpg": b""})
    corpus = read(root)
    (clip,) = corpus.clips
    assert (clip.key, clip.speaker, clip.text) == ("s1%2Fbbaf2n", "s1", "bin blue at f two now")
    assert clip.video == root / video
    assert clip.problem is None
    assert not any("spelt" in note for note in corpus.notes)


def test_the_root_may_be_the_speaker(tree):
    root = tree({"s7/bbaf2n.mpg": b""}) / "s7"
    (clip,) = read(root).clips
    assert (clip.key, clip.speaker) == ("s7%2Fbbaf2n", "s7")


def test_without_align_the_file_name_is_the_text_and_that_is_said(tree):
    corpus = read(tree({"s1/lgwz9s.mpg": b"", "s1/bbaf2n.mpg": b"", "align/s1/bbaf2n.align": ALIGN}))
    assert {clip.text for clip in corpus.clips} == {"lay green with z nine soon", "bin blue at f two now"}
    assert any(note.startswith("1 clips have no .align") for note in corpus.notes)


def test_spell_knows_the_grammar_and_nothing_else():
    assert spell("PRIV1A") == "place red in v one again"
    assert len(CODES) == 4 * 4 * 4 * 25 * 10 * 4
    assert len({spell(code) for code in CODES}) == len(CODES)
    for wrong in ("bbaw2n", "bbaf0n", "bbaf2", "bbaf2nn", "xbaf2n", ""):
        assert spell(wrong) is None


def test_an_align_that_differs_from_the_file_name_is_taken_and_said(tree):
    corpus = read(tree({"s1/bbaf3n.mpg": b"", "align/s1/bbaf3n.align": ALIGN}))
    assert corpus.clips[0].text == "bin blue at f two now"
    assert any("say different words" in note and "s1/bbaf3n" in note for note in corpus.notes)


@pytest.mark.parametrize(
    ("name", "align", "code"),
    [
        ("bbaf2n", "", "bad-text"),
        ("bbaf2n", b"0 100 caf\xe9", "bad-text"),
        ("bbaf2n", "0 100 sil\n100 200 sp\n", "bad-text"),
        ("bbaf2n", "bin blue at f two now", "bad-text"),
        ("bbaf2n", "start end word\n0 100 bin", "bad-text"),
        ("holiday", None, "no-text"),
    ],
)
def test_bad_text_has_a_reason(tree, name, align, code):
    files = {f"s1/{name}.mpg": b""} | ({f"align/s1/{name}.align": align} if align is not None else {})
    (clip,) = read(tree(files)).clips
    assert clip.problem.code == code
    assert clip.text is None


def test_two_encodings_of_one_sentence_are_said(tree):
    corpus = read(tree({"s1/video/bbaf2n.mpg": b"", "s1/video/mpg_6000/bbaf2n.mpg": b""}))
    assert [(clip.key, clip.problem and clip.problem.code) for clip in corpus.clips] == [
        ("s1%2Fbbaf2n", None),
        ("s1%2Fbbaf2n_dup2", "duplicate-key"),
    ]
    assert corpus.clips[0].split == corpus.clips[1].split


def test_videos_of_no_speaker_are_said(tree):
    corpus = read(tree({"s1/bbaf2n.mpg": b"", "intro.mp4": b"", "s35/bbaf2n.mpg": b""}))
    assert len(corpus.clips) == 1
    assert any(note.startswith("2 videos lie in no speaker's folder") for note in corpus.notes)


def test_sentences_without_a_video_are_said(tree):
    files = {"s1/bbaf2n.mpg": b"", "align/s1/bbaf2n.align": ALIGN, "align/s1/lgwz9s.align": ALIGN}
    corpus = read(tree(files | {"align/s21/bbaf2n.align": ALIGN}))  # a speaker with no video at all is not at hand
    assert any(note.startswith("1 .align files have no video (the first: s1/lgwz9s)") for note in corpus.notes)


def test_unseen_tests_the_four_speakers_of_the_literature(tree):
    corpus = read(tree(speakers((1, 2, 3, 4, 20, 22), 100)))
    splits = {
        speaker: Counter(c.split for c in corpus.clips if c.speaker == speaker) for speaker in ("s1", "s22", "s3")
    }
    assert splits["s1"] == splits["s22"] == {"test": 100}
    assert splits["s3"] == {"train": 95, "valid": 5}
    assert not any("overlapped" in note for note in corpus.notes)


def test_unseen_with_test_speakers_missing_is_said(tree):
    corpus = read(tree(speakers((1, 3, 4, 5, 6), 10)))
    assert any("test lacks s2, s20, s22" in note for note in corpus.notes)


@pytest.mark.parametrize("split", ["unseen", "overlapped"])
def test_under_five_speakers_there_is_only_overlapped(tree, split):
    corpus = read(tree(speakers((1, 2, 20, 22), 200)), split=split)
    for speaker in ("s1", "s22"):
        counts = Counter(clip.split for clip in corpus.clips if clip.speaker == speaker)
        assert counts == {"test": 51, "valid": 10, "train": 139}
    assert any("split `overlapped`" in note for note in corpus.notes) == (split == "unseen")


def test_overlapped_takes_255_of_1000(tree):
    corpus = read(tree(speakers((9,), 1000)), split="overlapped")
    assert Counter(clip.split for clip in corpus.clips) == {"test": 255, "valid": 50, "train": 695}


def test_a_share_that_cannot_be_is_refused():
    with pytest.raises(Refused, match=r"valid_share = 2\.0"):
        build(GridSettings, {"valid_share": 2.0}, "grid.yaml")


def test_an_unreadable_speaker_stays_on_file(tree, reachable, read_as_nobody):
    root = tree(speakers((1, 2), 2), reachable / "root")
    (root / "s2").chmod(0)
    clips = read_as_nobody("grid", root)["clips"]
    assert clips == {"s1%2Fbbaaza": None, "s1%2Fbbaazn": None, "s2": "unreadable"}


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the GRID clips in ../shared/data/grid")
def test_the_real_corpus():
    corpus = read(REAL)
    assert len(corpus.clips) == 800
    assert Counter(clip.split for clip in corpus.clips) == {"test": 204, "valid": 40, "train": 556}
    assert not any(clip.problem for clip in corpus.clips)
    assert all(clip.text == spell(clip.video.stem) for clip in corpus.clips)
    assert all(clip.video.is_file() for clip in corpus.clips)
    # Too few speakers for `unseen`, part of the corpus, and the one speaker in each pair of splits.
    assert ["overlap: 1 speaker" in note for note in corpus.notes] == [False, False, True, True, True]
