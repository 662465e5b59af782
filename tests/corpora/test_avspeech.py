import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench import corpora
from avsr_bench.corpora import AvspeechSettings
from avsr_bench.records import Refused

ID, OTHER = "-AbC_dE9f-0", "21Uxsk56VDQ"
ROW = f"{ID},90.233333,95.300000,0.560937,0.188889\n"


def read(root, **settings):
    return corpora.read("avspeech", root, AvspeechSettings(**settings))


def listed(root_files, rows=ROW, test=None):
    return root_files | {"avspeech_train.csv": rows} | ({} if test is None else {"avspeech_test.csv": test})


def test_whole_videos_are_cut_by_the_times_of_the_list(tree):
    root = tree(listed({f"videos/{ID}.mp4": "", f"videos/{OTHER}.webm": ""}, test=f"{OTHER},1,4.5,0.5,0.25\n"))
    test, train = sorted(read(root).clips, key=lambda clip: clip.split)
    assert (train.key, train.split) == ("train%2F-AbC_dE9f-0_00090233-00095300", "train")
    assert (train.video, train.start, train.end) == (root / f"videos/{ID}.mp4", 90.233333, 95.3)
    assert (train.speaker, train.source, train.text, train.problem) == (ID, ID, None, None)
    assert train.face == (0.560937, 0.188889)
    assert (test.video, test.split, test.face) == (root / f"videos/{OTHER}.webm", "test", (0.5, 0.25))


@pytest.mark.parametrize(
    "times",
    [
        "_90.233333-95.300000",
        "_90.233333_95.300000",
        "-90.233333-95.300000",
        "_90.233333_95.3",
        "_90.23_95.3",
        "_90.24_95.30",
        "_90.233",
    ],
)
def test_pieces_that_are_cut_already_are_taken_as_they_are(tree, times):
    root = tree(listed({f"train/{ID}{times}.mp4": ""}))
    (clip,) = read(root).clips
    assert (clip.video, clip.start, clip.end) == (root / f"train/{ID}{times}.mp4", 0.0, None)
    assert clip.problem is None and clip.face == (0.560937, 0.188889)


@pytest.mark.parametrize("times", ["_90", "_91.23", "_90.23_96", "_0", "_90233", "_x", "_" + "9" * 40, "_90.23_95.3_1"])
def test_other_pieces_are_of_no_segment(tree, times):
    corpus = read(tree(listed({f"{ID}{times}.mp4": ""})))
    assert [clip.problem.code for clip in corpus.clips] == ["missing-file"]
    assert any(f"videos of no segment that is read: 1 (the first: {ID}{times}.mp4)" in n for n in corpus.notes)


def test_every_segment_finds_its_own_piece_and_whole_videos_go_first(tree):
    rows = f"{ID},1.0,4.0,0.1,0.1\n{ID},1.005,9.0,0.2,0.2\n{ID},0.995,5.0,0.3,0.3\n{OTHER},1,4,0,1\n"
    pieces = {f"p/{ID}_1.00-4.00.mp4": "", f"p/{ID}_1.005-9.mp4": "", f"q/{ID}_0.995-5.0.mp4": ""}
    root = tree(listed(pieces | {f"{OTHER}.mkv": "", f"{OTHER}_1-4.mp4": "", f"{OTHER}.wav": ""}, rows))
    found = {clip.face: clip for clip in read(root).clips}
    assert found[0.1, 0.1].video.name == f"{ID}_1.00-4.00.mp4"
    assert found[0.2, 0.2].video.name == f"{ID}_1.005-9.mp4"
    assert found[0.3, 0.3].video.name == f"{ID}_0.995-5.0.mp4"
    whole = found[0.0, 1.0]
    assert (whole.video.name, whole.start, whole.end) == (f"{OTHER}.mkv", 1.0, 4.0)
    assert whole.audio == root / f"{OTHER}.wav"


def test_segments_without_a_video_are_on_file_and_counted(tree):
    corpus = read(tree(listed({}, ROW + f"{OTHER},1,4,0.5,0.5\n")))
    assert [clip.problem.code for clip in corpus.clips] == ["missing-file", "missing-file"]
    assert f"neither {ID}.mp4 nor {ID}_90.23-95.3.mp4 is there" in {clip.problem.detail for clip in corpus.clips}
    assert any(re.search(r"no video in .* for 2 of them \(the first: -AbC", note) for note in corpus.notes)
    assert any("there is no avspeech_test.csv" in note for note in corpus.notes)


BAD = [
    (f"{ID},nan,4,0.5,0.5", "bad-times"),
    (f"{ID},1,inf,0.5,0.5", "bad-times"),
    (f"{ID},4,1,0.5,0.5", "bad-times"),
    (f"{ID},4,4,0.5,0.5", "bad-times"),
    (f"{ID},-1,4,0.5,0.5", "bad-times"),
    (f"{ID},1,1e308,0.5,0.5", "bad-times"),
    (f"{ID},1,1e999,0.5,0.5", "bad-times"),
    (f"{ID},1_0,40,0.5,0.5", "bad-times"),
    (f"{ID},,4,0.5,0.5", "bad-times"),
    (f"{ID},{'9' * 5000},4,0.5,0.5", "bad-times"),
    ("youtube_id,start,end,x,y", "bad-row"),
    (f"{ID},1,4,1.01,0.5", "bad-row"),
    (f"{ID},1,4,0.5,-0.1", "bad-row"),
    (f"{ID},1,4,nan,0.5", "bad-row"),
    (f"{ID},1,4,0.5", "bad-row"),
    (f"{ID},1,4,0.5,0.5,0.5", "bad-row"),
    (ID, "bad-row"),
    (",1,4,0.5,0.5", "bad-row"),
    ("#NAME?,1,4,0.5,0.5", "bad-row"),
    ("../../../etc,1,4,0.5,0.5", "bad-row"),
    ("AbC_dE9f-嘴嘴,1,4,0.5,0.5", "bad-row"),
    (f'"{ID}",1,4,0.5,0.5', "bad-row"),
    ("\x1b[2J\x1b[31m,1,4,0.5,0.5", "bad-row"),
]


@pytest.mark.parametrize(("row", "code"), BAD)
def test_a_bad_row_stays_on_file_with_its_line(tree, row, code):
    corpus = read(tree(listed({f"{ID}.mp4": ""}, f"{ROW}\n{row}\n")))
    bad = [clip for clip in corpus.clips if clip.problem]
    assert [clip.problem.code for clip in bad] == [code] and len(corpus.clips) == 2
    assert bad[0].problem.detail.startswith("avspeech_train.csv line 3")
    assert len(bad[0].problem.detail) < 200 and bad[0].key.startswith("avspeech_train%2Ecsv%20line%203")


def test_doubled_rows_are_taken_once(tree):
    rows = ROW * 3 + ROW.replace("0.56", "0.36") + ROW.replace("95.3", "96.3")
    corpus = read(tree(listed({f"{ID}.mp4": ""}, rows)))
    assert Counter(clip.problem and clip.problem.code for clip in corpus.clips) == {None: 2, "duplicate-key": 3}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x00\x01\x02\xff" * 99, "UTF-8"),
        (ROW.encode("utf-16"), "UTF-8"),
        (b"\x00" * 2_000_000, "line 1"),
        ((ROW * 30_000).replace("\n", " "), "longer than"),
    ],
)
def test_a_list_that_is_no_text_is_refused_in_one_line(tree, content, says):
    with pytest.raises(Refused, match=says) as caught:
        read(tree(listed({f"{ID}.mp4": ""}, content)))
    assert "\n" not in str(caught.value) and "list" in str(caught.value) and "avspeech_train.csv" in str(caught.value)


def test_lists_that_are_empty_or_none_are_said(tree):
    root = tree(listed({f"{ID}.mp4": ""}, "", ""))
    with pytest.raises(Refused, match=r"expected avspeech_train\.csv or avspeech_test\.csv"):
        read(root)
    (root / "avspeech_train.csv").write_text("\ufeff" + ROW.replace("\n", "\r\n"))
    corpus = read(root)
    assert len(corpus.clips) == 1 and "avspeech_test.csv is empty" in corpus.notes
    (root / "avspeech_train.csv").unlink()
    (root / "avspeech_train.csv").mkdir()
    with pytest.raises(Refused, match=r"list .*avspeech_train\.csv is a folder"):
        read(root)


def test_validation_is_held_out_by_recording(tree):
    ids = [f"recording{n:02d}" for n in range(40)]
    rows = "".join(f"{name},{start},{start + 3},0.5,0.5\n" for name in ids for start in range(0, 30, 6))
    files = {f"v/{name}.mp4": "" for name in ids}
    corpus = read(tree(listed(files, rows, "testing_it1,0,3,0.5,0.5\n") | {"v/testing_it1.mp4": ""}), valid_share=0.1)
    assert Counter(clip.split for clip in corpus.clips) == {"train": 180, "valid": 20, "test": 1}
    sources = {split: {clip.source for clip in corpus.clips if clip.split == split} for split in ("train", "valid")}
    assert not sources["train"] & sources["valid"] and len(sources["valid"]) == 4


def test_a_recording_in_both_lists_is_said(tree):
    corpus = read(tree(listed({f"{ID}.mp4": ""}, ROW, ROW + f"{ID},1,4,0.5,0.5\n")))
    assert len(corpus.clips) == 3 and not any(clip.problem for clip in corpus.clips)
    assert any("overlap: 1 recording has clips in both test and train" in note for note in corpus.notes)


def test_a_list_of_ids_keeps_their_segments(tree):
    files = {f"{ID}.mp4": "", f"{OTHER}.mp4": "", "mine.txt": f"{ID}\nnotthereatA\n"}
    corpus = read(tree(listed(files, ROW + f"{OTHER},1,4,0.5,0.5\n{OTHER},5,9,0.5,0.5\n")), only_ids=Path("mine.txt"))
    assert [clip.source for clip in corpus.clips] == [ID]
    assert "2 segments are of videos that mine.txt does not name: left out" in corpus.notes
    assert "1 ids of mine.txt are in no list (the first: notthereatA)" in corpus.notes


@pytest.mark.parametrize("content", ["", "short\n", f"{OTHER}\n", ROW, b"\xff\x00"])
def test_a_list_of_ids_that_is_none_is_refused(tree, content):
    with pytest.raises(Refused, match=r"corpus\.only_ids = .*mine\.txt[: ]"):
        read(tree(listed({"mine.txt": content})), only_ids=Path("mine.txt"))


def test_the_listed_face_may_be_left_aside(tree):
    (clip,) = read(tree(listed({f"{ID}.mp4": ""})), listed_face=False).clips
    assert clip.face is None


def test_odd_names_and_links_in_circles(tree):
    root = tree(listed({f"a b/嘴\n/{ID}.mp4": "", "a b/Talk [21Uxsk56VDQ].mp4": "", ".hidden/x.mp4": ""}))
    (root / "a b/again").symlink_to(root)
    (root / "itself").symlink_to("itself")
    (root / f"{OTHER}.mp4").symlink_to("nowhere.mp4")
    (root / os.fsdecode(b"\xff.mp4")).touch()
    corpus = read(root)
    assert [clip.problem for clip in corpus.clips] == [None]
    assert any("videos of no segment that is read: 3" in note for note in corpus.notes)


def test_a_folder_that_may_not_be_read_is_on_file(tree, reachable, read_as_nobody):
    root = tree(listed({"closed/x.mp4": ""}), reachable / "root")
    (root / "closed").chmod(0)
    assert read_as_nobody("avspeech", root)["clips"]["closed"] == "unreadable"


CELLS = st.sampled_from([ID, OTHER, "", "0.5", "1", "4", "-1", "nan", "1e308", '"', "é", "\t", " 2 ", "x" * 50])


@given(st.lists(st.lists(CELLS, max_size=7), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_rows_are_read_or_refused(tmp_path_factory, rows, end):
    root = tmp_path_factory.mktemp("a")
    (root / f"{ID}.mp4").touch()
    (root / "avspeech_train.csv").write_bytes(end.join(",".join(row) for row in rows).encode())
    with suppress(Refused):
        corpus = read(root)
        lines = [row for row in rows if ",".join(row).strip(",\t ")]
        assert len(corpus.clips) == len(lines)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("a")
    (root / "avspeech_train.csv").write_bytes(ROW.encode() + content)
    with suppress(Refused):
        read(root)
