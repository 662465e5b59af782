from dataclasses import replace

import pytest
import torch
from heard import make_run

from avsr_bench import data, runs
from avsr_bench.evaluation import (
    CLEAN,
    Clips,
    Decoded,
    Provenance,
    Task,
    corrupted,
    engine,
    make_result,
    open_reader,
    open_sound,
    sweep,
    visual,
)
from avsr_bench.evaluation import clips as clips_module
from avsr_bench.records import Refused

CONDITIONS = [CLEAN, visual("gaussian", 8), visual("blockwise", 9), visual("motion", 10)]


@pytest.fixture(scope="module")
def readers(corpus, run_of, tmp_path_factory):
    second = make_run(tmp_path_factory.mktemp("runs") / "second", corpus, seed=2)
    return tuple(open_reader(runs.open_run(folder), torch.device("cpu")) for folder in (run_of(), second, run_of("av")))


@pytest.fixture(scope="module")
def places(corpus):
    return data.places(corpus, "test", "av")


@pytest.fixture(scope="module")
def show(corpus, places):
    clips = Clips(corpus, places, "av")
    return lambda place, condition: corrupted(clips(place), condition, 0)


def texts(heard):
    return {(each.condition.name, each.reader): [(u.key, u.hypothesis) for u in each.utterances] for each in heard}


def test_together_is_as_one_by_one(readers, places, show):
    steps = []
    together = list(sweep([Task(c, readers) for c in CONDITIONS], places, show, 2, lambda: steps.append(1)))
    assert len(steps) == len(CONDITIONS) * len(readers) * len(places)
    assert len(together) == len(CONDITIONS) * len(readers)
    alone = [h for c in CONDITIONS for r in readers for h in sweep([Task(c, (r,))], places, show)]
    assert texts(together) == texts(alone)
    assert len({str(heard) for heard in texts(together).values()}) > 6  # conditions and readers differ
    assert all(heard.seconds > 0 and heard.lost == 0 for heard in together)


def test_each_reader_its_own_conditions(readers, places, show, corpus):
    [white] = open_sound(["white:-5"], corpus, "test", 0)
    tasks = [Task(CLEAN, readers), Task(white, readers[2:]), Task(CONDITIONS[1], readers[:1]), Task(CONDITIONS[2], ())]
    found = texts(sweep(tasks, places, show, 2))
    assert set(found) == {*((CLEAN.name, r) for r in readers), (white.name, readers[2]), ("gaussian:8", readers[0])}
    assert found[white.name, readers[2]] != found["clean", readers[2]]
    alone = texts(h for task in tasks for r in task.readers for h in sweep([Task(task.condition, (r,))], places, show))
    assert found == alone


def test_many_conditions_fill_a_batch(readers, places, show, monkeypatch):
    """As many batches as the frames make, not one for each condition."""
    sizes = []

    def counting(reader, clips):
        sizes.append(len(clips))
        return [Decoded((), "now", None, torch.zeros(0))] * len(clips)

    monkeypatch.setattr(engine, "read_clips", counting)
    list(sweep([Task(c, readers[:1]) for c in CONDITIONS], places, show))
    assert sum(sizes) == len(places) * len(CONDITIONS) > 2 * len(places) > len(sizes)
    assert max(sizes) > len(places)


def test_lost_faces_are_read_as_nothing(readers, places, show):
    gone = {places[2].entry.key, places[7].entry.key}
    frames = visual("blur", 3, "frame")

    def blind(place, condition):
        example = show(place, condition)
        return replace(example, mouth=None) if place.entry.key in gone else example

    [heard] = sweep([Task(frames, readers[:1])], places, blind, 2)
    [whole] = sweep([Task(frames, readers[:1])], places, show, 2)
    assert heard.lost == 2 and whole.lost == 0
    for some, all_ in zip(heard.utterances, whole.utterances, strict=True):
        assert all_.source and (some.key, some.reference, some.speaker, some.source) == (
            *(all_.key, all_.reference, all_.speaker, all_.source),
        )
        assert some.hypothesis == ("" if some.key in gone else all_.hypothesis)
    gone = {place.entry.key for place in places}
    [none] = sweep([Task(frames, readers[:1])], places, blind)
    assert none.lost == len(places)


def test_parts_merge_to_the_same_result(readers, places, show, corpus, run_of):
    about = Provenance(run=runs.open_run(run_of()), weights="w", corpus=corpus, split="test", seed=0)
    [whole] = sweep([Task(CONDITIONS[1], readers[:1])], places, show)
    parts = [h for some in (places[::2], places[1::2]) for h in sweep([Task(CONDITIONS[1], readers[:1])], some, show)]
    merged = type(whole)(whole.condition, whole.reader, parts[1].utterances + parts[0].utterances, 0, whole.seconds)
    assert make_result(merged, about) == make_result(whole, about)
    with pytest.raises(Refused, match="scored twice"):
        doubled = type(whole)(whole.condition, whole.reader, whole.utterances + parts[0].utterances, 0, 0.0)
        make_result(doubled, about)


def test_a_clip_that_fails_ends_the_sweep(readers, places, show):
    shown = []

    def breaks(place, condition):
        shown.append(place)
        if place == places[4]:
            raise Refused("the clip is broken")
        return show(place, condition)

    tasks = [Task(c, readers) for c in CONDITIONS * 50]
    with pytest.raises(Refused, match="the clip is broken"):
        list(sweep(tasks, places, breaks, 2))
    assert len(shown) < len(tasks) * len(places) / 10


def test_the_number_of_torch_threads_is_as_before(readers, places, show):
    before = torch.get_num_threads()
    list(sweep([Task(CLEAN, readers[:1])], places, show, 2))
    assert torch.get_num_threads() == before


def test_clips_that_do_not_fit_are_decoded_each_time(corpus, places, monkeypatch):
    kept = Clips(corpus, places, "av")
    assert kept(places[0]) is kept(places[0])
    monkeypatch.setattr(clips_module, "KEPT", 10_000)
    streamed = Clips(corpus, places, "av")
    assert streamed(places[0]) is not streamed(places[0])
    assert (streamed(places[0]).mouth == kept(places[0]).mouth).all()
    assert (streamed(places[0]).sound == kept(places[0]).sound).all()


def test_nothing_to_do(places, show):
    assert list(sweep([Task(CLEAN, ())], places, show)) == []
