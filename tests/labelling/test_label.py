"""`label`: an overlay from a run; what was stopped goes on; nothing of others is replaced, no test speaker leaks in."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from heard import Silence
from mouths import make_shards
from small_runs import small_network, small_run

from avsr_bench import data, runs
from avsr_bench.data import DataSettings, Prepared
from avsr_bench.labelling import LabelRequest, job, label
from avsr_bench.records import Ancestor, Budget, Refused
from avsr_bench.text import plain

TRAIN, SHARDS = 20, 4  # clips, and shards of six of them


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every fifth clip has no text."""
    silent = lambda number: None if number % 5 == 0 else "bin blue" if number % 2 else "bin"  # noqa: E731
    return make_shards(tmp_path_factory.mktemp("made") / "small", {"train": TRAIN, "valid": 2, "test": 3}, text=silent)


@pytest.fixture
def corpus(made, tmp_path):
    shutil.copytree(made.location, tmp_path / "small")
    return Prepared(str(tmp_path / "small"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("runs") / "runs/synth/mine", small_network())


@pytest.fixture
def ask(corpus, run):
    def of(progress=None, **changes):
        known = {"data": corpus.location, "labeller": str(run), "name": "asr", "device": "cpu", "workers": 2}
        return label(LabelRequest(**{**known, **changes}), progress or Silence())

    return of


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def contents(corpus):
    folder = Path(corpus.location) / "labels"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class StopAfter(Silence):
    """Ctrl-C after so many clips."""

    def __init__(self, clips):
        super().__init__()
        self.clips = clips

    def step(self, outcome, status=""):
        super().step(outcome, status)
        if self.steps == self.clips:
            raise KeyboardInterrupt


def test_every_training_clip_has_a_label_or_a_reason(ask, corpus, run):
    progress = Silence()
    found = ask(progress)
    header, *rows = lines(found.path)
    assert header["labeller"] == "synth/mine" and header["modality"] == "video" and header["decoding"]["kind"] == "ctc"
    assert header["corpus"] == corpus.fingerprint and header["ancestors"][0]["run"] == "synth/mine"
    keys = {entry.key for shard in corpus.shards("train") for entry in shard}
    assert {row["key"] for row in rows} | found.labels.reasons.keys() == keys and len(rows) > TRAIN // 2
    assert all(row["text"] == plain(row["text"]) and 0 < row["confidence"] <= 1 for row in rows)
    assert progress.steps == TRAIN and not found.path.with_suffix(".parts").exists()
    chosen = data.choose(corpus, "video", DataSettings(labels="asr"))
    kinds = {clip.place.entry.key: clip.kind for clip in chosen.clips}
    assert kinds["train005"] == "automatic" and kinds["train001"] == "labelled"
    assert [ancestor.run for ancestor in chosen.labellers] == ["synth/mine"]
    assert data.choose(corpus, "video", DataSettings(labels="asr", min_confidence=1.0)).labellers == ()


def test_what_labels_are_worth_is_told_from_the_texts_that_are_known(ask):
    found = ask()
    assert found.seen is None and found.unseen.clips == sum(
        number % 5 != 0 and f"train{number:03d}" in found.labels.texts for number in range(TRAIN)
    )
    assert sum(band.clips for band in found.unseen.bands) == found.unseen.clips


def test_the_same_command_again_changes_nothing_and_reads_nothing(ask, corpus):
    ask()
    before, progress = contents(corpus), Silence()
    found = ask(progress)
    assert contents(corpus) == before and progress.steps == 0 and "is whole already" in progress.said[-1]
    assert set(found.labels.texts) == {row["key"] for row in lines(found.path)[1:]}


def test_labels_of_another_are_kept_without_force(ask, corpus, tmp_path):
    ask()
    before = contents(corpus)
    other = small_run(tmp_path / "runs/synth/other", small_network(seed=2))
    with pytest.raises(Refused, match=r"asr\.jsonl is there already, of another labeller, decoding or state"):
        ask(labeller=str(other))
    with pytest.raises(Refused, match="is there already"):
        ask(decode="attention")
    assert contents(corpus) == before
    assert lines(ask(labeller=str(other), force=True).path)[0]["labeller"] == "synth/other"


@pytest.mark.parametrize("clips", [1, 6, 7, TRAIN - 1])
def test_stopped_and_run_again_it_is_as_if_nothing_had_happened(ask, corpus, clips):
    whole = contents(corpus) if ask() else None
    shutil.rmtree(Path(corpus.location) / "labels")
    with pytest.raises(KeyboardInterrupt):
        ask(StopAfter(clips))
    assert not (Path(corpus.location) / "labels/asr.jsonl").exists()
    progress = Silence()
    ask(progress)
    assert contents(corpus) == whole and progress.steps == TRAIN - (clips - 1) // 6 * 6


def test_a_damaged_piece_is_made_again_and_one_of_another_labeller_refused(ask, corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        ask(StopAfter(13))
    pieces = sorted((Path(corpus.location) / "labels/asr.parts").glob("*.jsonl"))
    assert len(pieces) == 2
    other = small_run(tmp_path / "runs/synth/other", small_network(seed=2))
    with pytest.raises(Refused, match=r"asr\.parts has labels of another labeller"):
        ask(labeller=str(other))
    pieces[0].write_bytes(pieces[0].read_bytes()[:-20])
    pieces[1].write_text("[]\n")
    progress = Silence()
    ask(progress)
    assert progress.steps == TRAIN


def test_parts_together_are_the_whole(ask, corpus):
    ask()
    whole = contents(corpus)
    shutil.rmtree(Path(corpus.location) / "labels")
    first = ask(part=(1, 2))
    assert first.path is None and 0 < len(first.waiting) < SHARDS
    assert ask(part=(1, 2)).waiting == first.waiting
    assert ask(part=(2, 2)).path is not None and contents(corpus) == whole
    assert ask(part=(1, 2)).waiting == ()


def test_a_second_run_beside_the_first_is_refused(ask):
    refused = []

    class Second(Silence):
        def step(self, outcome, status=""):
            if not refused:
                with pytest.raises(
                    Refused, match=r"another run is at work .* or give each a --part of its own"
                ) as caught:
                    ask()
                refused.append(caught)

    ask(Second())
    assert refused


def test_labels_of_a_test_are_a_file_to_score_and_no_overlay(ask, corpus):
    found = ask(split="test")
    header, *rows = lines(found.path)
    assert found.path.name == "asr.test.jsonl" and header["split"] == "test"
    assert {row["reference"] for row in rows} <= {"bin", "bin blue", None}
    for name in ("asr", "asr.test"):
        with pytest.raises(Refused):
            data.choose(corpus, "video", DataSettings(labels=name))
    shutil.copy(found.path, found.path.with_name("sly.jsonl"))
    with pytest.raises(Refused, match="overlays are for train alone"):
        data.choose(corpus, "video", DataSettings(labels="sly"))


def test_clips_without_sound_are_left_out_with_a_reason(tmp_path):
    corpus = make_shards(tmp_path / "mute", {"train": 7, "valid": 1}, sound=lambda number: False)
    hears = small_run(tmp_path / "hears", small_network("audio"))
    found = label(LabelRequest(data=corpus.location, labeller=str(hears), name="asr", device="cpu"), Silence())
    assert set(found.labels.reasons.values()) == {"it has no flac"} and len(found.labels.reasons) == 7
    assert [row["reason"] for row in lines(found.path.with_suffix(".left_out.jsonl"))] == ["it has no flac"] * 7


def test_clips_longer_than_any_network_can_hold_are_left_out(ask, monkeypatch):
    monkeypatch.setattr(job, "LONGEST", 15)
    found = ask()
    long = [reason for reason in found.labels.reasons.values() if "more than the 15 that are read at once" in reason]
    assert 0 < len(long) < TRAIN


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "trian"}, "--split trian: .* has no such split.* train"),
        ({"name": "../asr"}, "is no name of an overlay"),
        ({"name": "a.test"}, "is no name of an overlay"),
        ({"labeller": "nobody"}, "no run 'nobody'"),
        ({"labeller": "moonshine", "decode": "ctc"}, "--decode ctc is for runs, and moonshine is a program"),
        ({"labeller": "pocketsphinx", "beam": 4}, "--beam 4 is for runs"),
        ({"labeller": "moonshine", "device": "cuda"}, "--device cuda is for runs"),
        ({"data": "nowhere"}, "nowhere: there is no prepared corpus"),
        ({"data": "http://127.0.0.1:9/small"}, "is not a folder, and labels are written beside the shards"),
        ({"beam": 4}, "--beam 4 is for beam search"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(ask, corpus, changes, message):
    with pytest.raises(Refused, match=message) as refused:
        ask(**changes)
    assert "\n" not in str(refused.value) and contents(corpus) == {}


def test_a_run_that_is_not_finished(ask, run, tmp_path):
    shutil.copytree(run, tmp_path / "begun")
    (tmp_path / "begun" / runs.WEIGHTS).unlink()
    with pytest.raises(Refused, match="is not finished"):
        ask(labeller=str(tmp_path / "begun"))


class TestTrainedOnTheTest:
    """A labeller must not have been trained on those by whom what learns from it is tested."""

    @pytest.fixture
    def trained_on(self, corpus, run, tmp_path):
        """A run of another corpus: `speaker` speaks in its training clips, whose pictures this corpus has too."""

        def of(speaker, clips=8, ancestor=False):
            other = make_shards(tmp_path / "other", {"train": clips, "valid": 1})
            for index in (tmp_path / "other/train").glob("*.jsonl"):
                rows = [row | {"speaker": speaker} for row in lines(index)]
                index.write_text("".join(json.dumps(row) + "\n" for row in rows))
            folder = shutil.copytree(run, tmp_path / "runs/other/labeller")
            self.change(folder, corpus="other", corpus_fingerprint=Prepared(other.location).fingerprint)
            if not ancestor:
                return folder
            young = shutil.copytree(run, tmp_path / "runs/small/young")
            budget = Budget(frames=1, ancestors=(Ancestor(str(folder), 1),))
            self.change(young, corpus="small", corpus_fingerprint=corpus.fingerprint, budget=budget)
            return young

        return of

    def change(self, folder, **changes):
        from dataclasses import asdict, replace

        found = runs.open_run(folder)
        sections = {"network": asdict(found.network), "decode": asdict(found.decode)}
        runs.write_recipe(folder, replace(found.about, **changes), sections)

    @pytest.mark.parametrize("ancestor", [False, True])
    def test_a_labeller_trained_on_speakers_of_the_test_is_refused(self, ask, trained_on, ancestor):
        with pytest.raises(Refused, match=r"was trained on 1 speakers of the test of .*, test-0 first, by way of"):
            ask(labeller=str(trained_on("test-0", ancestor=ancestor)))

    def test_other_speakers_are_fine(self, ask, trained_on):
        assert ask(labeller=str(trained_on("train-0"))).path is not None

    def test_a_corpus_that_is_gone_is_said(self, ask, trained_on, tmp_path):
        folder = trained_on("test-0")
        shutil.rmtree(tmp_path / "other")
        progress = Silence()
        ask(progress, labeller=str(folder))
        assert "is not at hand as it was then" in progress.said[0]


def test_clips_that_the_labeller_knows_are_told_apart(corpus, run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "runs/small/own")
    TestTrainedOnTheTest().change(folder, corpus="small", corpus_fingerprint=corpus.fingerprint)
    found = label(LabelRequest(data=corpus.location, labeller=str(folder), name="asr", device="cpu"), Silence())
    assert found.unseen is None and found.seen.clips > 0
