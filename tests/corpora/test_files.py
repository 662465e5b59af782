import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.corpora import files
from avsr_bench.records import Refused, Unusable, make_key


def names(root):
    return sorted(folder.inside(file) for folder in files.walk(root) for file in folder.files)


def test_walk_passes_over_hidden_files_and_folders(tree):
    root = tree({"a/x.mp4": "", "a/.hidden.mp4": "", ".git/y.mp4": "", "top.mp4": "", "__MACOSX/s1/._x.mpg": ""})
    assert names(root) == ["a/x.mp4", "top.mp4"]


def test_links_that_loop_end_and_list_nothing_twice(tree):
    root = tree({"a/x.mp4": "", "b/y.mp4": ""})
    (root / "a/up").symlink_to(root)
    (root / "a/b").symlink_to(root / "b")
    (root / "b/a").symlink_to(root / "a")
    (root / "0").symlink_to(root / "a")  # sorts before the real folder and must not take its name
    (root / "self").symlink_to("self")
    assert names(root) == ["a/x.mp4", "b/y.mp4", "self"]


def test_a_link_out_of_the_corpus_is_followed(tree, tmp_path):
    root = tree({"a/x.mp4": ""})
    (root / "more").symlink_to(tree({"c/z.mp4": ""}, tmp_path / "elsewhere"))
    assert names(root) == ["a/x.mp4", "more/c/z.mp4"]


def test_a_dangling_link_and_a_pipe_are_listed_to_be_named(tree):
    root = tree({"a/x.mp4": ""})
    (root / "a/gone.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(root / "a/pipe.mp4")
    assert names(root) == ["a/gone.mp4", "a/pipe.mp4", "a/x.mp4"]


def test_files_come_in_one_order_whatever_the_order_on_disk(tree):
    root = tree({f"{folder}/{file}.mp4": "" for folder in "cab" for file in "zyx"})
    listed = [folder.inside(file) for folder in files.walk(root) for file in folder.files]
    assert listed == sorted(listed)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/talk.v2.MP4", ("a/talk.v2", ".mp4")),
        ("a.b/talk", ("a.b/talk", "")),
        ("a/.mp4", ("a/.mp4", "")),
        (".mp4", (".mp4", "")),
        ("talk.", ("talk", ".")),
    ],
)
def test_split_suffix(name, parts):
    assert files.split_suffix(name) == parts


def test_a_suffix_stays_only_where_it_tells_two_files_apart():
    listed = ["a.mp4", "a.mov", "b.mp4", "a.mp4.mkv"]
    assert files.short_names(listed) == {
        "a.mp4": "a.mp4",
        "a.mov": "a.mov",
        "b.mp4": "b",
        "a.mp4.mkv": "a.mp4.mkv",
    }


@given(
    st.sets(st.text("ab.~ %é/", min_size=1, max_size=8).map(lambda name: name + ".mp4") | st.text("ab.", min_size=1))
)
def test_short_names_and_their_keys_never_collide(listed):
    short = files.short_names(listed)
    assert short.keys() == listed
    assert len({make_key(name) for name in short.values()}) == len(listed)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"\xff\xfeH\x00I\x00", "bad-text", "byte 0 is 0xff"),  # UTF-16 with its mark
        (b"H\x00I\x00", "bad-text", "zero bytes"),  # and without
        (b"caf\xe9", "bad-text", "byte 3 is 0xe9"),  # Latin-1
        (None, "no-text", "is not there"),
    ],
)
def test_text_that_cannot_be_read_has_a_reason(tmp_path, content, code, says):
    path = tmp_path / "x.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unusable) as caught:
        files.read_text(path)
    assert caught.value.reason.code == code
    assert says in caught.value.reason.detail
    assert str(tmp_path) not in caught.value.reason.detail  # indexes are the same wherever a corpus lies


def test_a_folder_in_place_of_a_text_has_a_reason(tmp_path):
    with pytest.raises(Unusable, match="unreadable"):
        files.read_text(tmp_path)


def test_a_video_that_is_called_a_text_is_not_read_into_memory(tmp_path):
    path = tmp_path / "x.txt"
    with path.open("wb") as file:
        file.truncate(10**11)  # sparse: no disk is that full
    with pytest.raises(Unusable, match="longer than any transcript"):
        files.read_text(path)


def test_a_byte_order_mark_is_taken_off(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfna\xc3\xafve")
    assert files.read_text(tmp_path / "x.txt") == "naïve"


def test_a_setting_may_name_a_file_here_or_in_the_root(tree, tmp_path):
    root = tree({"ids.txt": ""})
    assert files.named_file(root / "ids.txt", tmp_path, "corpus.x") == root / "ids.txt"
    with pytest.raises(Refused, match=r"corpus\.x = nowhere\.txt"):
        files.named_file(Path("nowhere.txt"), root, "corpus.x")


def test_printable_keeps_different_names_different():
    odd = [os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe8"), "café", "caf\ud800"]
    assert len({files.printable(name).encode() for name in odd}) == len(odd)
