from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from avsr_bench.corpora import READERS
from avsr_bench.prep.engine import run_local
from avsr_bench.prep.job import make_clip
from avsr_bench.records import Refused
from avsr_bench.synth import missing, render, utterances, write_manifest


def test_the_manifest_lists_every_clip_in_order(corpus, small):
    rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    assert rows == [{"path": u.path, "text": u.text, "split": u.split, "speaker": u.speaker} for u in utterances(small)]
    assert not missing(small, corpus)


def test_the_folder_reader_finds_all_of_it(corpus, small):
    reader = READERS["folder"]
    found = reader.read(corpus, reader.settings())
    assert {(c.split, c.speaker, c.text) for c in found.clips} == {
        (u.split, u.speaker, u.text) for u in utterances(small)
    }
    assert not [c for c in found.clips if c.problem]


def test_an_empty_folder_misses_everything(tmp_path, small):
    assert missing(small, tmp_path) == list(utterances(small))
    assert missing(small, tmp_path / "not there") == list(utterances(small))


def test_making_goes_on_where_it_was_broken_off(tmp_path, small):
    first, second, *_ = utterances(small)
    write_manifest(small, tmp_path)
    for utterance in (first, second):
        render(utterance, tmp_path, small)
    kept = (tmp_path / first.path).stat()
    redone = (tmp_path / second.path).read_bytes()
    (tmp_path / second.path).unlink()
    assert missing(small, tmp_path) == list(utterances(small))[1:]
    todo = missing(small, tmp_path)[::-1]
    assert list(run_local(partial(make_clip, tmp_path, small), todo, workers=2)) == [None] * len(todo)
    assert not missing(small, tmp_path)
    assert (tmp_path / first.path).stat().st_mtime_ns == kept.st_mtime_ns
    assert (tmp_path / second.path).read_bytes() == redone  # made in another process, in another order
    (tmp_path / second.truth_path).unlink()
    assert missing(small, tmp_path) == [second]


@pytest.mark.parametrize("other", [{"seed": 5}, {"test_clips": 2}, {"motion": 0.5}, {"sentences": "grid"}])
def test_other_settings_in_the_folder_are_refused(tmp_path, small, other):
    write_manifest(small, tmp_path)
    before = (tmp_path / "manifest.jsonl").read_bytes()
    (name,) = other
    for ask in (write_manifest, missing):
        with pytest.raises(Refused, match=rf"with {name}=.*give another folder"):
            ask(replace(small, **other), tmp_path)
    assert (tmp_path / "manifest.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.csv", "holiday.MOV", "deep/inside/talk.mp4"])
def test_a_corpus_of_somebody_else_is_refused_and_left_alone(tmp_path, small, name):
    theirs = tmp_path / name
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("precious")
    (tmp_path / "notes.txt").write_text("no corpus")
    for ask in (write_manifest, missing):
        with pytest.raises(Refused, match=rf"{name} and no synth\.json.*--root"):
            ask(small, tmp_path)
    assert theirs.read_text() == "precious" and not (tmp_path / "synth.json").exists()
    theirs.unlink()
    write_manifest(small, tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"version": 0}'])
def test_a_spoilt_recipe_in_the_folder_is_refused(tmp_path, small, content):
    (tmp_path / "synth.json").write_text(content)
    with pytest.raises(Refused, match="synthetic corpus with version="):
        missing(small, tmp_path)
