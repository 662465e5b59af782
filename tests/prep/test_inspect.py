import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from avsr_bench import media, shards
from avsr_bench.locks import hold_part
from avsr_bench.prep import sheet
from avsr_bench.prep.inspect import detection_histogram, inspect, length_histogram, render
from avsr_bench.prep.sheet import choose_strips, contact_sheet, evenly
from avsr_bench.records import Clip, Reason, Refused, Sample, Skipped, make_key
from avsr_bench.shards import ShardSettings, ShardWriter, finish, make_plan, open_store, read_index

TEXTS = ["bin blue at f two now", "Ελληνικά и русский naïve", "", None, "嘴唇 " * 80, "half \ud83d", "word" * 200]


def lips(frames, size=96, colour=False):
    """A mouth that opens and closes: a dark ellipse on skin."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    for frame in range(frames):
        height = 0.05 + 0.12 * abs(np.sin(frame / 4))
        grey = np.where((x / 0.3) ** 2 + (y / height) ** 2 < 1, 40, 170).astype(np.uint8)
        yield np.dstack([grey, grey // 2, grey // 2]) if colour else grey


def make_sample(clip, number):
    frames = 1 + 7 * (number % 9)
    crops = lips(frames, size=(96, 64, 128)[number % 3], colour=number % 2 == 1)
    faces = {"detected": (1.0, 0.62, 0.93)[number % 3]} if number % 5 else None
    members = {"mouth.mp4": media.encode_mouth(crops), "json": json.dumps({"faces": faces}).encode()}
    return Sample(clip.key, clip.split, frames, clip.text, clip.speaker, members)


def prepare(out, counts, outcome_of=make_sample, last=None):
    """Shards of made-up clips, all of them or the first `last` shards."""
    clips = [
        Clip(make_key(f"{split} clip {n:02d}"), Path(f"/c/{split}{n}"), split, f"s{n % 3}", TEXTS[n % len(TEXTS)])
        for split, count in counts.items()
        for n in range(count)
    ]
    plan = make_plan(clips, ShardSettings(5), {"crop": {"size": 96}}, Path("/c"), {})
    with hold_part(out, 1, 1):
        open_store(out, plan, {"av": "18.1.0"}, ["test has 7 clips, where 8 are known"])
        for shard in plan.shards[:last]:
            with ShardWriter(out, shard) as writer:
                for clip in shard.clips:
                    writer.add(outcome_of(clip, int(clip.video.name.removeprefix(clip.split))))
                writer.commit()
        finish(out)
    return clips


def no_face_in_every_third(clip, number):
    return Skipped(clip.key, clip.split, Reason("no-face", "0 of 9")) if number % 3 == 2 else make_sample(clip, number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "data [red]"  # brackets are markup to rich
    prepare(out, {"train": 20, "test": 7}, no_face_in_every_third)
    return out


def shown(inspection, width=80):
    text = io.StringIO()
    Console(file=text, width=width).print(render(inspection))
    return text.getvalue()


def test_numbers_are_those_of_the_clips(folder):
    found = json.loads(json.dumps(inspect(folder).to_json()))
    train, test = found["splits"]["train"], found["splits"]["test"]
    assert (train["clips"], train["samples"], train["skipped"]) == (20, 14, {"no-face": 6})
    assert (test["clips"], test["samples"], test["skipped"]) == (7, 5, {"no-face": 2})
    assert train["frames"] == sum(1 + 7 * (n % 9) for n in range(20) if n % 3 != 2)
    assert train["samples_of_speaker"] == {"s0": 7, "s1": 7}
    assert test["words"] == sum(len((TEXTS[n] or "").split()) for n in range(7) if n % 3 != 2)
    # Of TEXTS, the third and the fourth are none.
    textless = {n for n in range(20) if n % 3 != 2 and n % 7 in (2, 3)}
    assert (train["without_text"], test["without_text"]) == (len(textless), len([n for n in textless if n < 7]))
    assert found["shared_speakers"] == {"test, train": 2}
    assert sum(found["lengths"]["counts"]) == train["samples"] + test["samples"]
    assert found["notes"] == ["test has 7 clips, where 8 are known"]


def test_tables_fit_eighty_columns_and_say_everything(folder):
    text = shown(inspect(folder))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "data [red]" in text and "…" not in text
    for word in ("train", "no-face", "no face was found in any frame", "where 8 are known", "test and train 2", "█"):
        assert word in text
    assert "samples without text: 1 of test, 4 of train" in text


def test_where_every_sample_has_a_text_nothing_is_said_of_it(tmp_path):
    prepare(tmp_path, {"test": 2})
    assert "without text" not in shown(inspect(tmp_path))


def test_counts_of_a_large_corpus_fit_eighty_columns(folder):
    found = inspect(folder)
    large = replace(
        found.summary.splits["train"],
        clips=118_516, words=3_894_800, lengths=(325,) * 118_516, speakers={f"s{n}": 1 for n in range(5_090)},
        detected=(1.0,) * 118_516, skipped={}, without_text=0,
    )  # fmt: skip
    found = replace(found, summary=replace(found.summary, splits={"pretrain": large}))
    text = shown(found)
    assert "…" not in text
    for number in ("118,516", "3,894,800", "5,090", "427.97", "100.0%"):
        assert number in text


def test_a_half_made_folder_says_what_is_to_do(tmp_path):
    prepare(tmp_path, {"test": 12}, lambda clip, n: Skipped(clip.key, clip.split, Reason("no-face", "")), last=1)
    found = inspect(tmp_path)
    assert found.summary.splits["test"].waiting == 7
    assert "test: 1 of 3 shards are finished" in shown(found)
    assert found.lengths.counts == found.detection.counts == ()


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"no prep\.json"):
        inspect(tmp_path)
    with pytest.raises(Refused, match=r"no prep\.json"):
        contact_sheet(tmp_path, tmp_path / "sheet.png")


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=200))
def test_every_length_is_in_its_bar(frames):
    found = length_histogram(frames)
    assert 1 <= len(found.counts) <= 12 and len(found.edges) == len(found.counts) + 1
    bars = zip(found.edges, found.edges[1:], found.counts, strict=False)
    assert all(sum(low <= length / 25 < high for length in frames) == count for low, high, count in bars)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_every_detection_rate_is_in_its_bar(rates):
    found = detection_histogram(rates)
    assert sum(found.counts) == len(rates)
    assert found.counts[-1] == rates.count(1.0)


@given(st.integers(0, 500), st.integers(1, 60))
def test_evenly_takes_different_places_from_end_to_end(total, count):
    places = evenly(total, count)
    assert len(places) == min(total, count) and places == sorted(set(places))
    if places:
        assert places[0] == 0
    if len(places) > 1:
        assert places[-1] == total - 1
        gaps = np.diff(places)
        assert gaps.max() - gaps.min() <= 1


def test_sheet_shows_each_split_and_gives_what_one_lacks_to_the_other(folder):
    strips = list(choose_strips(folder, ["test", "train"], 14, 4))
    by_split = {split: [strip for strip in strips if strip.split == split] for split in ("test", "train")}
    assert (len(by_split["test"]), len(by_split["train"])) == (5, 9)
    for split, shown in by_split.items():
        indexes = shards.shard_indexes(folder, split)
        entries = [entry for index in indexes for entry in shards.read_index(index) if "mouth.mp4" in entry.members]
        assert len(indexes) > 1
        assert [strip.entry for strip in shown] == [entries[number] for number in evenly(len(entries), len(shown))]
    assert all(len(strip.mouths) == min(4, strip.entry.frames) for strip in strips)


def test_sheet_is_drawn_with_every_kind_of_mouth_and_text(folder, tmp_path):
    path = tmp_path / "sheet.png"
    contact_sheet(folder, path)
    first = path.read_bytes()
    image = np.asarray(Image.open(path).convert("RGB"))
    assert image.shape[1] == 2 * (8 * 96 + 7 * 2) + 3 * sheet.MARGIN
    assert (image.reshape(-1, 3) == sheet.WARNING).all(axis=1).any(), "a detection rate of 62 % is red"
    assert (image[-4:] == 255).all(), "nothing is cut off at the lower edge"
    contact_sheet(folder, path)
    assert path.read_bytes() == first


def test_sheet_holds_the_very_mouths_of_the_shards(tmp_path):
    out = tmp_path / "one"
    levels = 40 + np.arange(8, dtype=np.uint8) * 25

    def plain(clip, number):
        crops = np.broadcast_to(levels[:, None, None], (8, 96, 96))
        members = {"mouth.mp4": media.encode_mouth(crops, lossless=True), "json": b"{}"}
        return Sample(clip.key, clip.split, 8, "a", "s", members)

    prepare(out, {"test": 1}, plain)
    contact_sheet(out, tmp_path / "sheet.png")
    image = np.asarray(Image.open(tmp_path / "sheet.png").convert("L")).astype(int)
    row = next(y for y in range(len(image)) if image[y, sheet.MARGIN + 48] == levels[0])
    seen = [image[row + 48, sheet.MARGIN + 48 + number * (96 + sheet.GAP)] for number in range(8)]
    assert seen == levels.tolist()


def test_sheet_of_tracks_alone_is_refused(tmp_path):
    prepare(tmp_path / "out", {"test": 2}, lambda clip, number: Sample(clip.key, clip.split, 9, "a", "s", {}))
    with pytest.raises(Refused, match="no mouths to draw"):
        contact_sheet(tmp_path / "out", tmp_path / "sheet.png")


def test_sheet_of_damaged_mouths_is_refused(tmp_path):
    prepare(tmp_path / "out", {"test": 1})
    tar = tmp_path / "out/test/test-000000.tar"
    (member,) = (entry.members["mouth.mp4"] for entry in read_index(tar.with_suffix(".jsonl")))
    data = bytearray(tar.read_bytes())
    data[member.offset : member.offset + member.bytes] = b"\xff" * member.bytes
    tar.write_bytes(data)
    with pytest.raises(Refused, match=r"damaged.*avsr-bench validate"):
        contact_sheet(tmp_path / "out", tmp_path / "sheet.png")


@pytest.mark.parametrize("name", ["nowhere/sheet.png", ""])
def test_sheet_that_cannot_be_written_is_refused(folder, tmp_path, name):
    with pytest.raises(Refused, match="cannot write"):
        contact_sheet(folder, tmp_path / name, clips=2)


def test_a_transcript_of_ten_megabytes_takes_no_longer_than_another(tmp_path):
    """One word of 5 MB, and a million words: both were measured letter by letter until they fitted."""
    texts = ["w" * 5_000_000, "word " * 1_000_000, "嘴" * 3_000_000]

    def outcome(clip, number):
        return replace(make_sample(clip, number), text=texts[number])

    prepare(tmp_path / "out", {"test": 3}, outcome)
    inspection = inspect(tmp_path / "out")
    assert inspection.summary.splits["test"].words == 1_000_002
    contact_sheet(tmp_path / "out", tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height < 1000


@given(st.text(max_size=60), st.integers(0, 200))
def test_a_line_is_cut_where_it_no_longer_fits(text, width):
    font = sheet._font(13)
    line = sheet._fit(text, width, font)
    whole = sheet._drawable(text)
    assert line == whole or (line.endswith("…") and whole.startswith(line[:-1]))
    assert font.getlength(line) <= width or line == "…"
    assert line == whole or font.getlength(whole) > width
