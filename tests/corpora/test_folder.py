import json
import os
from collections import Counter
from pathlib import Path

import pytest

from avsr_bench import corpora
from avsr_bench.corpora import FolderSettings
from avsr_bench.corpora.files import VIDEOS
from avsr_bench.records import Refused, make_key


def read(root, **settings):
    return corpora.read("folder", root, FolderSettings(**settings))


def by_key(corpus):
    return {clip.key: clip for clip in corpus.clips}


def problems(corpus):
    return {clip.key: clip.problem.code for clip in corpus.clips if clip.problem}


def test_a_tree_of_videos(tree):
    root = tree(
        {
            "ann/one.mp4": "",
            "ann/one.txt": " hello\n  there ",
            "bob/deep/two.MOV": "",
            "three.webm": "",
            "README.md": "",
        }
    )
    clips = by_key(read(root))
    assert sorted(clips) == ["ann%2Fone", "bob%2Fdeep%2Ftwo", "three"]
    assert clips["ann%2Fone"].text == "hello there"
    assert clips["ann%2Fone"].video == root / "ann/one.mp4"
    assert [clips[key].speaker for key in sorted(clips)] == ["ann", "bob/deep", "."]
    assert clips["three"].text is None
    assert not problems(read(root))


@pytest.mark.parametrize("suffix", sorted(VIDEOS))
def test_every_suffix_in_any_case(tree, suffix):
    assert len(read(tree({f"a/x{suffix}": "", f"a/y{suffix.upper()}": ""})).clips) == 2


def test_text_in_the_form_of_lrs(tree):
    root = tree({"a/x.mp4": "", "a/x.txt": "Text:  HELLO {WORLD}\nConf:  4\n\nWORD START END\nHELLO bad\n"})
    assert read(root).clips[0].text == "HELLO WORLD"


@pytest.mark.parametrize("text", ["", " \n", b"caf\xe9", b"\xff\xfeh\0i\0", "Text:\nConf: 4"])
def test_a_text_that_cannot_be_used_has_a_reason(tree, text):
    assert problems(read(tree({"a/x.mp4": "", "a/x.txt": text}))) == {"a%2Fx": "bad-text"}


def test_text_is_needed_only_where_asked(tree):
    root = tree({"a/x.mp4": "", "a/y.mp4": "", "a/y.txt": "hi"})
    assert problems(read(root)) == {}
    assert problems(read(root, need_text=True)) == {"a%2Fx": "no-text"}


def test_sound_of_its_own(tree):
    root = tree({"a/x.mp4": "", "a/x.wav": "", "a/y.mp4": "", "a/y.FLAC": "", "a/z.mp4": ""})
    assert [clip.audio for clip in read(root).clips] == [root / "a/x.wav", root / "a/y.FLAC", None]


NAMES = [
    "with space",
    "dots.in.it",
    "naïve",
    "日本",
    "100%",
    "a&b;c",
    "-dash",
    "tab\there",
    "new\nline",
    os.fsdecode(b"raw\xe9"),
]


@pytest.mark.parametrize("name", NAMES)
def test_keys_of_odd_names(tree, name):
    root = tree({})
    (root / name).mkdir()
    (root / name / f"{name}.mp4").touch()
    corpus = read(root)
    (clip,) = corpus.clips
    assert clip.key == make_key(f"{name}/{name}")
    assert clip.key.isascii()
    assert clip.video.is_file()
    json.dumps([clip.speaker, clip.source, *corpus.notes], ensure_ascii=False).encode("utf-8")


def test_files_that_differ_in_suffix_alone_keep_it(tree):
    root = tree({"a/x.mp4": "", "a/x.mov": "", "a/x.txt": "both", "b/x.mp4": ""})
    clips = by_key(read(root))
    assert sorted(clips) == ["a%2Fx%2Emov", "a%2Fx%2Emp4", "b%2Fx"]
    assert clips["a%2Fx%2Emov"].text == "both"


def test_splits_keep_speakers_apart(tree):
    root = tree({f"speaker{s:02d}/clip{n}.mp4": "" for s in range(20) for n in range(10)})
    corpus = read(root)
    of = {}
    for clip in corpus.clips:
        assert of.setdefault(clip.speaker, clip.split) == clip.split
    assert Counter(of.values()) == {"train": 16, "valid": 2, "test": 2}
    silent, apart = corpus.notes
    assert "200 of 200 clips have no text, speaker00%2Fclip0 first" in silent and "need_text=true" in silent
    assert apart == "no speaker has clips in two splits"
    assert not any("have no text" in note for note in read(root, need_text=True).notes)


def test_under_five_speakers_clips_are_split_one_by_one_and_that_is_said(tree):
    corpus = read(tree({f"s{s}/{n}.mp4": "" for s in range(4) for n in range(25)}))
    assert Counter(clip.split for clip in corpus.clips) == {"train": 80, "valid": 10, "test": 10}
    assert any("split clip by clip" in note for note in corpus.notes)
    assert any("4 speakers have clips in both test and train (s0, s1, s2, ...)" in note for note in corpus.notes)


@pytest.mark.parametrize("count", range(1, 12))
def test_train_is_never_empty(tree, count):
    files = {f"{n}.mp4": "" for n in range(count)} | {f"{n}.txt": "hi" if n == 1 else "" for n in range(1, count, 2)}
    corpus = read(tree(files), valid_share=0.45, test_share=0.45)
    assert any(clip.split == "train" and not clip.problem for clip in corpus.clips)


# --- manifests ---


def test_a_manifest_in_the_root(tree):
    root = tree(
        {
            "v/a.mp4": "",
            "v/b.mp4": "",
            "v/left out.mp4": "",
            "manifest.csv": "path,text,split,speaker,mood\n"
            'v/a.mp4,"hello, you",train,ann,sad\n./v/b.mp4,,validation,,\n',
        }
    )
    corpus = read(root)
    clips = by_key(corpus)
    assert {key: (c.text, c.split, c.speaker) for key, c in clips.items()} == {
        "v%2Fa": ("hello, you", "train", "ann"),
        "v%2Fb": (None, "valid", "v"),
    }
    assert any("1 videos under" in note and "v/left out.mp4" in note for note in corpus.notes)


def test_synth_writes_such_a_manifest(tree):
    rows = [
        {"path": f"{speaker}/{n:04d}.mp4", "text": "bin blue", "split": split, "speaker": speaker}
        for speaker, split in (("v01", "train"), ("v02", "valid"), ("v03", "test"))
        for n in range(3)
    ]
    files = {row["path"]: "" for row in rows} | {"manifest.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}
    corpus = read(tree(files), need_text=True)
    assert Counter((clip.speaker, clip.split) for clip in corpus.clips) == {
        ("v01", "train"): 3,
        ("v02", "valid"): 3,
        ("v03", "test"): 3,
    }
    assert corpus.clips[0].key == "v01%2F0000"
    assert not problems(corpus)
    assert corpus.notes[1:] == ("no speaker has clips in two splits",)


def test_a_manifest_elsewhere(tree, tmp_path):
    root = tree({"a.mp4": "", "lists/mine.csv": "path,text\na.mp4,hi\n"})
    for path in (root / "lists/mine.csv", Path("lists/mine.csv")):
        assert by_key(read(root, manifest=path))["a"].text == "hi"
    with pytest.raises(Refused, match=r"corpus\.manifest = nowhere\.csv"):
        read(root, manifest=Path("nowhere.csv"))


def test_one_video_cut_by_times(tree):
    rows = "talk.mp4,one,0,1.5\ntalk.mp4,two,1.5,3\ntalk.mp4,three,61.25,\nother.mp4,four,2,3\n"
    corpus = read(tree({"talk.mp4": "", "other.mp4": "", "manifest.csv": "path,text,start,end\n" + rows}))
    assert {key: (clip.start, clip.end) for key, clip in by_key(corpus).items()} == {
        "talk_00000000": (0.0, 1.5),
        "talk_00001500": (1.5, 3.0),
        "talk_00061250": (61.25, None),
        "other": (2.0, 3.0),
    }
    assert {clip.source for clip in corpus.clips} == {"talk", "other"}


def test_recordings_are_kept_apart_where_there_are_several(tree):
    rows = "".join(f"{video}.mp4,{second}\n" for video in "abcdefghij" for second in range(20))
    corpus = read(tree({f"{video}.mp4": "" for video in "abcdefghij"} | {"manifest.csv": "path,start\n" + rows}))
    assert any("split by recording" in note for note in corpus.notes)
    assert "no recording has clips in two splits" in corpus.notes
    assert {clip.split for clip in corpus.clips} == {"train", "valid", "test"}


def test_paths_that_lead_out_of_the_root(tree, tmp_path):
    tree({"x.mp4": ""}, tmp_path / "elsewhere")
    rows = [
        "../elsewhere/x.mp4",
        f"{tmp_path}/elsewhere/x.mp4",
        f"{tmp_path}/root/in.mp4",
        "../../gone.mp4",
        "../elsewhere",
    ]
    root = tree({"in.mp4": "", "manifest.csv": "path\n" + "\n".join(rows)})
    corpus = read(root)
    assert by_key(corpus).keys() == {
        make_key("../elsewhere/x"),
        make_key(f"{tmp_path}/elsewhere/x"),
        "in",
        make_key("../../gone"),
        make_key("../elsewhere"),
    }
    assert problems(corpus) == {make_key("../../gone"): "missing-file", make_key("../elsewhere"): "not-video"}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("gone.mp4,hi,,", "missing-file"),
        (",hi,,", "missing-file"),
        ("a.mp4/x.mp4,hi,,", "missing-file"),
        ("a\0.mp4,hi,,", None),  # csv refuses it or the file is missing: never a crash
        ("x" * 300 + ".mp4,hi,,", "unreadable"),
        ("a.mp4,hi,2,1", "bad-times"),
        ("a.mp4,hi,2,2", "bad-times"),
        ("a.mp4,hi,-1,", "bad-times"),
        ("a.mp4,hi,nan,", "bad-times"),
        ("a.mp4,hi,,inf", "bad-times"),
        ("a.mp4,hi,0:01,", "bad-times"),
        ("a.mp4,hi,1,2,3", "bad-text"),
    ],
)
def test_a_bad_row_stays_on_file_with_a_reason(tree, row, code):
    root = tree({"a.mp4": "", "good.mp4": "", "manifest.csv": f"path,text,start,end\ngood.mp4,hi,,\n{row}\n"})
    if code is None:
        with pytest.raises(Refused, match="zero bytes"):
            read(root)
        return
    corpus = read(root)
    assert len(corpus.clips) == 2
    assert list(problems(corpus).values()) == [code]


def test_a_row_that_stands_twice_is_said(tree):
    corpus = read(tree({"a.mp4": "", "manifest.csv": "path,text\na.mp4,hi\n./a.mp4,hi\n"}))
    assert problems(corpus) == {"a_00000000_dup2": "duplicate-key"}
    assert len(corpus.clips) == 2


def test_a_manifest_without_text_takes_it_from_beside(tree):
    files = {"a.mp4": "", "a.txt": "hi", "b.mp4": "", "c.mp4": "", "c.txt": b"\xff"}
    corpus = read(tree(files | {"manifest.csv": "path\na.mp4\nb.mp4\nc.mp4\n"}))
    assert [clip.text for clip in corpus.clips] == ["hi", None, None]
    assert problems(corpus) == {"c": "bad-text"}


def test_some_rows_without_a_split_train(tree):
    corpus = read(tree({"a.mp4": "", "b.mp4": "", "manifest.csv": "path,split\na.mp4,test\nb.mp4,\n"}))
    assert {clip.key: clip.split for clip in corpus.clips} == {"a": "test", "b": "train"}
    assert any("1 rows of the manifest have no split" in note for note in corpus.notes)


@pytest.mark.parametrize("split", ["../up", "a/b", "te st", ".", "x" * 300])
def test_a_split_that_is_no_word_is_refused(tree, split):
    with pytest.raises(Refused, match="line 2: the split"):
        read(tree({"a.mp4": "", "manifest.csv": f"path,split\na.mp4,{split}\n"}))


# --- what may not be read ---


def test_unreadable_folders_and_texts_stay_on_file(tree, reachable, read_as_nobody):
    root = tree({"ann/a.mp4": "", "ann/a.txt": "hi", "bob/b.mp4": "", "eve/c.mp4": ""}, reachable / "root")
    (root / "ann/a.txt").chmod(0)
    (root / "bob").chmod(0)
    assert read_as_nobody("folder", root)["clips"] == {"ann%2Fa": "unreadable", "bob": "unreadable", "eve%2Fc": None}


def test_a_folder_that_may_be_listed_and_not_entered(tree, reachable, read_as_nobody):
    root = tree({"ann/a.mp4": "", "ann/a.txt": "hi", "eve/c.mp4": ""}, reachable / "root")
    (root / "ann").chmod(0o744)
    clips = read_as_nobody("folder", root)["clips"]
    assert clips["ann%2Fa"] == "unreadable"
    assert clips["eve%2Fc"] is None


def test_a_row_in_an_unreadable_folder(tree, reachable, read_as_nobody):
    files = {"ann/a.mp4": "", "eve/c.mp4": "", "manifest.csv": "path\nann/a.mp4\neve/c.mp4\n"}
    root = tree(files, reachable / "root")
    (root / "ann").chmod(0)
    assert read_as_nobody("folder", root)["clips"] == {"ann%2Fa": "unreadable", "eve%2Fc": None}
