"""Archives of results: whole at any moment, and read within bounds whoever made them."""

import json
import random
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import replace
from multiprocessing import Process
from pathlib import Path

import pytest
from archives import members, put, text
from archives import write as write_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avsr_bench.records import Refused
from avsr_bench.scoring import (
    METRICS,
    Edits,
    Interval,
    Measure,
    Metric,
    Result,
    Sums,
    Utterance,
    archive,
    interval,
    read_archive,
    score,
    total,
)

INTERVAL = Interval(0.2, 0.6, "speakers", 2, 2000, 0)
RESULT = Result(
    run="synth/dense-tiny-s0",
    corpus="synth",
    split="test",
    condition="clean",
    corpus_fingerprint="0123abcd",
    utterances=2,
    metrics={"wer": Measure(Edits(3, 1), INTERVAL), "cer": Measure(Edits(10, 1), INTERVAL)},
    decoding={"kind": "ctc"},
    command="avsr-bench evaluate runs/synth/dense-tiny-s0",
    commit="abc",
    device="cpu",
    seconds=1.0,
)
HEARD = (
    Utterance("s1-a", "one é", "one e", "s1", "a", -1.23456789),
    Utterance("s2-b", "two three", "two", "s2", "b", None),
)
CLIPS = "clips/{}.jsonl"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run/test.zip"


def fill(path, *names, heard=HEARD):
    for name in names:
        archive.write(path, name, replace(RESULT, condition=name), heard)


TEXT = st.text(max_size=8)
UTTERANCES = st.lists(
    st.builds(
        Utterance,
        key=TEXT,
        reference=TEXT,
        hypothesis=TEXT,
        speaker=st.sampled_from(["s1", "s2"]),
        source=TEXT,
        score=st.none() | st.floats(width=16, allow_nan=False, allow_infinity=False),
    ),
    unique_by=lambda utterance: utterance.key,
    max_size=8,
)


@given(UTTERANCES, UTTERANCES)
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_holds_what_it_was_given(tmp_path, one, other):
    path = tmp_path / f"{time.monotonic_ns()}.zip"
    fill(path, "clean", heard=one)
    fill(path, "jpeg_7", heard=other)
    kept = read_archive(path)
    assert kept.names == ["clean", "jpeg_7"]
    for name, heard in (("clean", one), ("jpeg_7", other)):
        assert kept.result(name) == replace(RESULT, condition=name)
        short = [replace(u, score=None if u.score is None else float(f"{u.score:.6g}")) for u in heard]
        assert list(kept.utterances(name)) == sorted(short, key=lambda utterance: utterance.key)


def test_clips_are_kept_once_and_apart_where_they_differ(path):
    fill(path, "clean", "jpeg_7")
    assert len([name for name in members(path) if name.startswith("clips/")]) == 1
    others = (HEARD[0], replace(HEARD[1], reference="two four"))
    fill(path, "blur_3", heard=others)
    assert len([name for name in members(path) if name.startswith("clips/")]) == 2
    assert read_archive(path).utterances("blur_3")[1].reference == "two four"
    assert read_archive(path).utterances("clean")[1].reference == "two three"
    fill(path, "blur_3")  # and go with the last result that needs them
    assert len([name for name in members(path) if name.startswith("clips/")]) == 1


def test_lines_are_for_people_too(path):
    fill(path, "clean")
    clips, first, _ = text(path / "clean", ".jsonl").splitlines()
    assert first == '{"key": "s1-a", "hypothesis": "one e", "score": -1.23457}'
    member = CLIPS.format(json.loads(clips)["clips"])
    assert members(path)[member].decode().splitlines()[0] == (
        '{"key": "s1-a", "reference": "one é", "speaker": "s1", "source": "a"}'
    )
    assert members(path)[archive.HEAD] == b'{"format": 1}'


def test_the_same_results_give_the_same_bytes(path, tmp_path):
    fill(path, "clean", "jpeg_7")
    other = tmp_path / "other.zip"
    fill(other, "clean")
    time.sleep(0.01)
    fill(other, "jpeg_7")
    assert path.read_bytes() == other.read_bytes()
    fill(path, "clean")  # replaced: in order, whatever the order before
    fill(other, "jpeg_7")
    assert path.read_bytes() == other.read_bytes()


def test_a_result_is_replaced_and_what_is_damaged_is_dropped(path):
    fill(path, "clean", "jpeg_7", "jpeg_8")
    put(path / "jpeg_8", '{"clips": 3}\n', ".jsonl")
    archive.write(path, "clean", replace(RESULT, seconds=9.0), HEARD)
    kept = read_archive(path)
    assert kept.names == ["clean", "jpeg_7"] and kept.result("clean").seconds == 9.0
    assert kept.utterances("jpeg_7")


def add(path, first):
    for number in range(first, 40, 2):
        fill(path, f"jpeg_{number}")


def test_several_processes_add_to_one_archive(path):
    at_work = [Process(target=add, args=(path, first)) for first in (0, 1)]
    for process in at_work:
        process.start()
    for process in at_work:
        process.join()
    assert len(read_archive(path).names) == 40


def test_kill_9_leaves_it_whole(path):
    """Killed at any moment of a write, again and again: what was written stays, and nothing is left beside it."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; import pathlib, test_archive as t, itertools\n"
        "[t.fill(pathlib.Path(sys.argv[3]), f'jpeg_{n}') for n in itertools.count(int(sys.argv[4]))]"
    )
    tests = Path(__file__).resolve().parents[1]
    draw, least = random.Random(0), 0
    for turn in range(4):
        words = list(map(str, (sys.executable, "-c", code, tests, tests / "scoring", path, 1000 * turn)))
        process = subprocess.Popen(words)
        while not path.exists() or len(read_archive(path).names) < least + 3:
            assert process.poll() is None
        time.sleep(draw.random() / 20)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = read_archive(path)
        assert all(kept.utterances(name) == kept.utterances("jpeg_0") for name in kept.names)
        least = len(kept.names)
    fill(path, "last")
    assert [each.name for each in path.parent.iterdir() if each.name.endswith(".tmp")] == []


class TestOfOthers:
    @pytest.fixture
    def whole(self, path):
        fill(path, "clean", "jpeg_7")
        return path

    def refused(self, path, says):
        with pytest.raises(Refused, match=says) as refused:
            kept = read_archive(path)
            for name in kept.names:
                kept.result(name), kept.utterances(name)
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 600

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({archive.HEAD: None}, f"has no {archive.HEAD}"),
            ({archive.HEAD: "[]"}, "of format None"),
            ({archive.HEAD: '{"format": 2}'}, r"test\.zip is of format 2, and this version .* reads 1: update it"),
            ({archive.HEAD: '{"format": "' + "9" * 500 + '"}'}, "of format 9999"),
            ({archive.HEAD: b"\xff"}, "is not an archive"),
            ({archive.HEAD: "x" * 2_000}, "more than the 1,000"),
            ({"../outside.json": "{}"}, r"'\.\./outside\.json' is none of its members"),
            ({"/etc/passwd": "x"}, "is none of its members"),
            ({"clean.exe": "x"}, "is none of its members"),
            ({"clips/x.json": "{}"}, "is none of its members"),
            ({"\x1b[2Jred.json": "{}"}, "is none of its members"),
            ({"clean.json": "x" * (2**20 + 1)}, r"clean\.json is damaged: it has 1,048,577 bytes, more than"),
            ({"clean.json": b"\xff\xfe"}, r"clean\.json is damaged: 'utf-8'"),
            ({"clean.jsonl": None}, r"the hypotheses of .*clean are gone"),
            ({"clean.jsonl": ""}, "breaks off in line 1|line 1: it does not say"),
            ({"clean.jsonl": "[]\n"}, "line 1: it does not say which clips"),
            ({"clean.jsonl": '{"clips": "../../../../etc"}\n'}, "line 1: it does not say which clips"),
            ({"clean.jsonl": '{"clips": "000000000000"}\n'}, r"it has no clips/000000000000\.jsonl"),
        ],
    )
    def test_members(self, whole, changes, says):
        found = {**members(whole), **changes}
        write_zip(whole, {name: content for name, content in found.items() if content is not None})
        self.refused(whole, says)

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ('{"key": "s1-a", "hypothesis": "x"}', "not a record of key, hypothesis, score"),
            ('{"key": "s1-a", "hypothesis": "x", "score": 1, "more": 1}', "not a record of"),
            ("[]", "not a record of"),
            ("hello", "not a record of"),
            ("", "not a record of"),
            ("[" * 5_000, "not a record of"),
            ('{"key": "s1-a", "hypothesis": 3, "score": 1}', "a score is a number, and everything else is text"),
            ('{"key": "s1-a", "hypothesis": "x", "score": "1"}', "a score is a number"),
            ('{"key": "s1-a", "hypothesis": "x", "score": true}', "a score is a number"),
            ('{"key": "s1-a", "hypothesis": "x", "score": 1e999}', "not a record of"),
            ('{"key": "other", "hypothesis": "x", "score": 1}', "2 hypotheses that are not of its 2 clips"),
        ],
    )
    def test_hypotheses(self, whole, line, says):
        head, _, last = text(whole / "clean", ".jsonl").splitlines()
        put(whole / "clean", f"{head}\n{line}\n{last}\n", ".jsonl")
        self.refused(whole, says)

    def test_clips_that_were_changed(self, whole):
        found = members(whole)
        [clips] = [name for name in found if name.startswith("clips/")]
        write_zip(whole, {**found, clips: found[clips].replace(b"three", b"four")})
        self.refused(whole, "changed by hand: its digest is another")

    def test_a_bomb_is_not_unpacked(self, whole):
        """300 MB of zeros, and the same with a size that is a lie."""
        found = members(whole)
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in found.items():
                file.writestr(name, content)
            with file.open("bomb.json", "w") as bomb:
                for _ in range(300):
                    bomb.write(bytes(2**20))
        self.refused(whole, "bomb.json is damaged: it has 314,572,800 bytes")
        lie = whole.read_bytes().replace(struct.pack("<I", 300 * 2**20), struct.pack("<I", 1_000))
        whole.write_bytes(lie)
        self.refused(whole, "bomb.json is damaged: Bad CRC-32")

    def test_a_table_without_end_is_not_read(self, whole):
        whole.write_bytes(whole.read_bytes() + b"PK\x01\x02" * 20_000)
        self.refused(whole, "more than 10,000 members")

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_packed_otherwise(self, whole, method):
        found = members(whole)
        with zipfile.ZipFile(whole, "w", method) as file:
            for name, content in found.items():
                file.writestr(name, content)
        self.refused(whole, "is packed otherwise than by deflate")

    def test_a_member_twice_or_with_a_password(self, whole):
        content = whole.read_bytes()
        with zipfile.ZipFile(whole, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("clean.json", "{}")
        self.refused(whole, "one member is in it twice")
        at = content.index(b"PK\x01\x02") + 8
        locked = bytearray(content)
        locked[at] |= 1
        whole.write_bytes(locked)
        self.refused(whole, "damaged")

    def test_any_damage_ends_in_one_line_or_in_the_same(self, whole):
        good = whole.read_bytes()
        kept = read_archive(whole)
        known = {name: (kept.result(name), kept.utterances(name)) for name in kept.names}
        draw = random.Random(0)
        refused = 0
        for _ in range(500):
            bad = bytearray(good)
            for _ in range(draw.choice((1, 1, 3))):
                bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
            if draw.random() < 0.3:
                del bad[draw.randrange(len(bad)) :]
            whole.write_bytes(bad)
            try:
                kept = read_archive(whole)
                found = {name: (kept.result(name), kept.utterances(name)) for name in kept.names}
            except Refused as error:
                assert "\n" not in str(error)
                refused += 1
            else:
                assert all(found[name] == known[name] for name in found.keys() & known.keys())
        assert refused > 300

    def test_a_file_that_is_not_ours_is_not_replaced(self, path):
        path.parent.mkdir()
        for theirs in (b"theirs", b"PK\x03\x04 a photograph"):
            path.write_bytes(theirs)
            with pytest.raises(Refused, match="exists, and avsr-bench did not make it: remove it"):
                fill(path, "clean")
            assert path.read_bytes() == theirs

    def test_an_archive_that_is_damaged_or_newer_is_not_replaced(self, whole):
        write_zip(whole, {**members(whole), archive.HEAD: '{"format": 2}'})
        newer = whole.read_bytes()
        with pytest.raises(Refused, match="of format 2"):
            fill(whole, "clean")
        whole.write_bytes(newer[:-10])
        with pytest.raises(Refused, match="damaged"):
            fill(whole, "clean")
        assert whole.read_bytes() == newer[:-10]


def test_crc_is_that_of_the_text(path):
    fill(path, "clean")
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        info = file.getinfo("clean.json")
        assert zlib.crc32(file.read(info)) == info.CRC and info.date_time == (1980, 1, 1, 0, 0, 0)


def test_a_metric_that_texts_do_not_tell(path, monkeypatch):
    """Its parts are kept with each clip, and are summed, drawn and checked as those of any other."""
    monkeypatch.setitem(METRICS, "snr", Metric("SNR", "signal over noise", "clips", Sums, "dB", False))
    heard = tuple(replace(each, parts={"snr": Sums(3.5 + n, 1.0)}) for n, each in enumerate(HEARD))
    scores = tuple(map(score, heard))
    sums = total(scores)
    assert sums["snr"] == Sums(8.0, 2.0) and set(sums) == {"wer", "cer", "snr"}
    found = interval([scores], "snr")
    assert 3.5 <= found.low <= 4.0 <= found.high <= 4.5
    result = replace(RESULT, metrics={name: Measure(parts, interval([scores], name)) for name, parts in sums.items()})
    archive.write(path, "clean", result, heard)
    kept = read_archive(path)
    assert kept.result("clean") == result and kept.result("clean").metrics["snr"].value == 4.0
    assert total(map(score, kept.utterances("clean"))) == sums
    assert METRICS["snr"].said(4.0) == "4.00 dB"
    some = (heard[0], HEARD[1])
    assert set(total(map(score, some))) == {"wer", "cer"}  # not of clips of which some lack it
    for name, of in (("loudness", {"errors": 1.0, "length": 1.0}), ("wer", {}), ("snr", 3), ("snr", {"errors": "x"})):
        head, first, *rest = text(path / "clean", ".jsonl").splitlines()
        changed = json.dumps({**json.loads(first), "parts": {name: of}})
        put(path / "clean", "\n".join([head, changed, *rest]) + "\n", ".jsonl")
        with pytest.raises(Refused):
            read_archive(path).utterances("clean")


def test_clips_that_nobody_read(path):
    """Their sound was measured: there is no text in them, and no WER."""
    heard = tuple(replace(each, hypothesis=None, parts={"si_sdr": Sums(-2.5, 1.0)}) for each in HEARD)
    measures = {
        name: Measure(parts, interval([tuple(map(score, heard))], name))
        for name, parts in total(map(score, heard)).items()
    }
    assert set(measures) == {"si_sdr"} and measures["si_sdr"].value == -2.5
    archive.write(path, "clean", replace(RESULT, metrics=measures, decoding={}), heard)
    kept = read_archive(path)
    assert [each.hypothesis for each in kept.utterances("clean")] == [None] * len(heard)
    assert kept.result("clean").metrics == measures
    assert total(map(score, kept.utterances("clean"))) == {"si_sdr": measures["si_sdr"].parts}
