"""Overlays of automatic labels: joined by key, with a fingerprint of their own; what does not belong is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mouths import make_shards

from avsr_bench import data, recipes
from avsr_bench.data import DataSettings, HideSettings, Label, LabelHeader
from avsr_bench.records import Misused, Refused


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Clips 0, 5, 10 ... have no text of their own."""
    silent = lambda number: None if number % 5 == 0 else f"word {number}"  # noqa: E731
    return make_shards(tmp_path_factory.mktemp("labels") / "small", {"train": 20, "valid": 4, "test": 3}, text=silent)


def header(corpus, **changes):
    known = {"labeller": "synth/dense-tiny-s0-audio", "licence": "CC0", "weights": "ab12"}
    known |= {"modality": "audio", "decoding": {"kind": "ctc"}}
    return LabelHeader(**{**known, "corpus": corpus.fingerprint, **changes})


def write(corpus, labels, name="asr", **changes):
    return data.write_labels(corpus, name, header(corpus, **changes), labels)


def lines(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def test_a_clips_own_text_goes_first_then_labels_above_the_threshold(corpus):
    write(corpus, {"train000": Label("from asr", 0.9), "train005": Label("unsure", 0.3), "train001": Label("no", 1.0)})
    chosen = data.choose(corpus, "video", DataSettings(labels="asr", min_confidence=0.6))
    found = {clip.place.entry.key: (clip.text, clip.kind) for clip in chosen.clips}
    assert found["train000"] == ("from asr", "automatic") and found["train001"] == ("word 1", "labelled")
    assert found["train005"] == found["train010"] == (None, "unlabelled")
    assert chosen.note == (
        "labels asr, by synth/dense-tiny-s0-audio: 1 clips are trained on them; 1 have a text of their own, and 1 are"
        " below data.min_confidence"
    )
    assert sum(map(chosen.hours, ("labelled", "automatic", "unlabelled"))) == pytest.approx(
        sum(clip.place.entry.frames for clip in chosen.clips) / 25 / 3600
    )


def test_what_decides_about_texts_has_a_fingerprint(corpus):
    def fingerprint(**settings):
        return data.choose(corpus, "video", DataSettings(**settings)).fingerprint

    write(corpus, {"train000": Label("a", 0.9)}, "one")
    write(corpus, {"train000": Label("b", 0.9)}, "other")
    hide = HideSettings(speakers=0.5)
    all_of_them = [
        fingerprint(labels="one"),
        fingerprint(labels="other"),
        fingerprint(labels="one", min_confidence=0.5),
        fingerprint(labels="one", hide=hide),
        fingerprint(hide=hide),
        fingerprint(hide=HideSettings(speakers=0.5, seed=1)),
        fingerprint(hide=HideSettings(clips=0.5)),
        fingerprint(hide=HideSettings(clips=0.5, seed=1)),
    ]
    assert len(set(all_of_them)) == 8 and fingerprint(labels="one") == all_of_them[0]
    assert fingerprint() == fingerprint(hide=HideSettings(speakers=0.1)) == ""  # 3 speakers: nobody is hidden


def test_hidden_speakers_are_whole_speakers_and_nested(corpus):
    def hidden(fraction, seed=0):
        chosen = data.choose(corpus, "video", DataSettings(hide=HideSettings(speakers=fraction, seed=seed)))
        return {clip.place.entry.speaker for clip in chosen.clips if clip.text is None and clip.place.entry.text}

    assert len(hidden(1 / 3)) == 1 and len(hidden(2 / 3)) == 2 and len(hidden(1.0)) == 3
    assert hidden(1 / 3) < hidden(2 / 3) < hidden(1.0)
    assert len({frozenset(hidden(1 / 3, seed)) for seed in range(8)}) > 1


def test_hidden_clips_have_a_text_of_their_own_and_are_nested(corpus):
    def hidden(fraction, seed=0):
        chosen = data.choose(corpus, "video", DataSettings(hide=HideSettings(clips=fraction, seed=seed)))
        return {clip.place.entry.key for clip in chosen.clips if clip.text is None and clip.place.entry.text}

    assert [len(hidden(fraction)) for fraction in (0.25, 0.5, 1.0)] == [4, 8, 16]  # of 20, 4 have no text
    assert hidden(0.25) < hidden(0.5) < hidden(1.0)
    assert len(hidden(0.99)) == 15  # below 1 one keeps it
    assert len({frozenset(hidden(0.25, seed)) for seed in range(8)}) > 1


def test_clips_of_one_speaker_can_be_hidden_and_clips_whose_speaker_is_unknown(tmp_path):
    for speaker in ("s1", ""):
        alone = make_shards(tmp_path / f"alone{speaker}", {"train": 10, "valid": 2, "test": 1})
        index = next((Path(alone.location) / "train").glob("*.jsonl"))
        index.write_text("".join(json.dumps(row | {"speaker": speaker}) + "\n" for row in lines(index)))
        chosen = data.choose(data.Prepared(alone.location), "video", DataSettings(hide=HideSettings(clips=0.8)))
        assert sorted(clip.kind for clip in chosen.clips) == ["labelled"] * 2 + ["unlabelled"] * 8


def test_speakers_and_clips_are_not_hidden_at_once():
    with pytest.raises(Misused, match=r"hide.speakers = 0.8 and hide.clips = 0.5 are two ways .*: give one of them"):
        recipes.build(DataSettings, {"hide": {"speakers": 0.8, "clips": 0.5}}, "models/x.yaml: data")


def test_nothing_is_hidden_of_clips_without_text(tmp_path):
    mute = make_shards(tmp_path / "mute", {"train": 4, "valid": 2, "test": 1}, text=lambda number: None)
    for hide in (HideSettings(clips=0.5), HideSettings(clips=1.0)):
        chosen = data.choose(mute, "video", DataSettings(hide=hide))
        assert [clip.kind for clip in chosen.clips] == ["unlabelled"] * 4


def damaged(content, number, **changes):
    rows = [json.loads(line) for line in content.splitlines()]
    rows[number] |= changes
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-9], "asr.jsonl is truncated in its last line"),
        (lambda text: damaged(text, 0, corpus="0123"), "was made for another corpus, or another state of this one"),
        (lambda text: damaged(text, 0, format=2), "line 1, is not the header of an overlay: format 2: this version"),
        (lambda text: damaged(text, 0, text_rule=9), "follows text rule 9, and this is rule 1"),
        (lambda text: text[text.index("\n") + 1 :], "line 1, is not the header of an overlay: it has no format"),
        (lambda text: damaged(text, 1, key="nobody"), "labels nobody, and 1 keys in all, that the corpus does not"),
        (
            lambda text: damaged(text, 1, key="test001"),
            "labels test001 of the split test: overlays are for",
        ),
        (lambda text: damaged(text, 1, key="valid001"), "labels valid001 of the split valid"),
        (lambda text: damaged(text, 1, key="train001"), "line 3: train001 has a label already"),
        (lambda text: damaged(text, 2, confidence=1.5), "line 3: confidence is 1.5: it lies between 0 and 1"),
        (lambda text: damaged(text, 2, confidence="high"), "line 3: confidence is 'high', not a number"),
        (lambda text: text.replace("0.5", "NaN"), "line 3: NaN is not a number"),
        (lambda text: damaged(text, 1, text=3), "line 2: text is 3, not a text"),
        (lambda text: damaged(text, 0, modality="smell"), "modality is 'smell': it should be one of video, audio, av"),
        (lambda text: damaged(text, 0, ancestors=[3]), "ancestors should be objects, one for each run"),
        (lambda text: damaged(text, 0, ancestors=[{"run": "a", "frames": -1}]), "ancestors: frames = -1"),
        (lambda text: damaged(text, 0, ancestors=[{"run": "a", "word": 1}]), "ancestors: .*word"),
        (lambda text: "", "is truncated in its last line"),
        (lambda text: "[" * 99 + "\n", "line 1, is not the header of an overlay"),
    ],
)
def test_an_overlay_that_does_not_belong_is_refused_in_one_line(corpus, damage, message):
    path = write(corpus, {"train000": Label("a", 0.9), "train001": Label("b", 0.5)})
    path.write_text(damage(path.read_text()))
    with pytest.raises(Refused, match=message) as caught:
        data.choose(corpus, "video", DataSettings(labels="asr"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["asr,other", "../asr", "asr.jsonl", "", "a" * 101, "[asr, other]"])
def test_names_that_are_none_and_two_overlays(corpus, name):
    with pytest.raises(Refused, match="two overlays cannot be joined"):
        data.read_labels(corpus, name)


def test_an_overlay_that_is_not_there(corpus):
    with pytest.raises(Refused, match=r"labels/none\.jsonl is not there: give the name of an overlay"):
        data.choose(corpus, "video", DataSettings(labels="none"))
    with pytest.raises(Misused, match=r"labels = \['asr', 'two'\]: it should be text, or null"):
        recipes.build(DataSettings, {"labels": ["asr", "two"]}, "x")


def test_labels_without_a_confidence_cannot_be_chosen_by_it(corpus):
    write(corpus, {"train000": Label("said", None)}, "unsaid")
    chosen = data.choose(corpus, "video", DataSettings(labels="unsaid"))
    assert [clip.text for clip in chosen.clips if clip.kind == "automatic"] == ["said"]
    with pytest.raises(Refused, match=r"data\.min_confidence=0\.5: the labels unsaid do not say how sure they are"):
        data.choose(corpus, "video", DataSettings(labels="unsaid", min_confidence=0.5))


def test_hiding_needs_speakers(tmp_path):
    bare = make_shards(tmp_path / "bare", {"train": 3, "valid": 1})
    index = next((Path(bare.location) / "train").glob("*.jsonl"))
    index.write_text("".join(json.dumps(row | {"speaker": ""}) + "\n" for row in lines(index)))
    with pytest.raises(Refused, match="does not say who speaks in every clip"):
        data.choose(data.Prepared(bare.location), "video", DataSettings(hide=HideSettings(speakers=0.5)))


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(
        st.sampled_from([f"train{number:03d}" for number in range(20)]),
        st.builds(Label, st.text(max_size=20), st.none() | st.floats(0, 1)),
    )
)
def test_what_is_written_is_read_back(corpus, labels):
    path = write(corpus, labels, "law")
    assert data.read_labels(corpus, "law").labels == labels
    assert [row["key"] for row in lines(path)[1:]] == sorted(labels)
