from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.records import Refused
from avsr_bench.synth import SynthSettings, utterances
from avsr_bench.synth.settings import DIGITS, GRID, SPLITS, rng_for


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"min_digits": 7}, r"max_digits is 6, below min_digits 7"),
        ({"test_clips": 1}, r"synth\.test_clips is 1, fewer than its 15 speakers"),
        ({"train_clips": 10}, r"synth\.train_clips is 10, fewer than its 40 speakers"),
    ],
)
def test_impossible_settings_are_refused(wrong, line):
    with pytest.raises(Refused, match=line):
        SynthSettings(**wrong)


def test_the_default_has_enough_to_measure_with():
    listed = utterances(SynthSettings())
    test = [u for u in listed if u.split == "test"]
    assert len(test) >= 200
    assert len({u.speaker for u in test}) >= 10


@given(st.integers(0, 2**40), st.integers(1, 5), st.integers(0, 30), st.sampled_from(["digits", "grid"]))
def test_every_split_has_its_clips_and_its_own_speakers(seed, speakers, more, sentences):
    counts = {
        f"{split}_{what}": n for split in SPLITS for what, n in (("clips", speakers + more), ("speakers", speakers))
    }
    settings = SynthSettings(seed=seed, sentences=sentences, **counts)
    listed = utterances(settings)
    assert len({u.path for u in listed}) == len({u.name for u in listed}) == len(listed) == 3 * (speakers + more)
    people = {split: {u.speaker for u in listed if u.split == split} for split in SPLITS}
    assert all(len(found) == speakers for found in people.values())
    assert len(set.union(*people.values())) == 3 * speakers
    for u in listed:
        words = u.text.split()
        if sentences == "digits":
            assert settings.min_digits <= len(words) <= settings.max_digits
            assert set(words) <= set(DIGITS)
        else:
            assert all(word in choices for word, choices in zip(words, GRID, strict=True))


def test_words_belong_to_a_name_and_a_seed_and_to_nothing_else():
    few = {u.name: u.text for u in utterances(SynthSettings(train_clips=80))}
    many = {u.name: u.text for u in utterances(SynthSettings(train_clips=400, valid_clips=77))}
    other = {u.name: u.text for u in utterances(replace(SynthSettings(), seed=1))}
    shared = few.keys() & many.keys()
    assert len(shared) > 300
    assert all(few[name] == many[name] for name in shared)
    assert sum(few[name] == other[name] for name in few.keys() & other.keys()) < 10


def test_the_shipped_recipe_says_the_defaults():
    recipe = yaml.safe_load((Path(__file__).parents[2] / "pipelines/synth.yaml").read_text())
    assert recipe["synth"] == asdict(SynthSettings())
    assert recipe["corpus"]["reader"] == "folder"


def test_draws_are_the_same_on_every_machine():
    assert rng_for(7, "test001-0001", "words").integers(0, 1000, 4).tolist() == [888, 912, 714, 913]
