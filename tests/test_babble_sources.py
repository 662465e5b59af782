"""Voices of prepared shards: from which splits, of whom, how much, and always the same."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mouths import make_shards
from videos import tone, write_sound

from avsr_bench import media
from avsr_bench.babble_sources import corpus_voices, open_source, open_sources, synth_voices
from avsr_bench.locks import hold_part
from avsr_bench.noise.sound import SoundSettings, mix
from avsr_bench.records import Clip, Reason, Refused, Sample, Skipped, make_key, rng_for
from avsr_bench.shards import ShardSettings, ShardWriter, finish, make_plan, open_store

PAGE = Path(__file__).parents[1] / "docs" / "sound.md"


def spoken(pitch, seconds=1.2):
    """A tone with pauses before and after it, as int16 in whole frames."""
    sound = np.zeros(round(seconds * 25) * 640, np.int16)
    sound[3200 : len(sound) - 3200] = tone(seconds, 16_000, pitch)[: len(sound) - 6400]
    return sound


def prepare(out, said, max_samples=4):
    """Shards of clips, given as (split, speaker, sound); without sound where that is None."""
    clips, sounds = [], {}
    for number, (split, speaker, sound) in enumerate(said):
        name = f"{split}/{speaker}/{number:03d}"
        clips.append(Clip(make_key(name), Path(f"{name}.mp4"), split, speaker, text="bin blue"))
        sounds[clips[-1].key] = sound
    plan = make_plan(clips, ShardSettings(max_samples=max_samples), {"corpus": "folder"}, Path("/corpus"), {})
    with hold_part(out, 1, 1):
        open_store(out, plan, {"avsr-bench": "0"})
        for shard in plan.shards:
            with ShardWriter(out, shard) as writer:
                for clip in shard.clips:
                    writer.add(make_sample(clip, sounds[clip.key]))
                writer.commit()
        finish(out)
    return out


def make_sample(clip, sound):
    if isinstance(sound, Reason):
        return Skipped(clip.key, clip.split, sound)
    members = {"mouth.mp4": b"picture", "json": json.dumps({"text": clip.text}).encode()}
    if sound is not None:
        members = {"mouth.mp4": b"picture", "flac": media.encode_flac(sound), "json": members["json"]}
    return Sample(clip.key, clip.split, 30, clip.text, clip.speaker, members)


PITCHES = {"ann": 300, "bob": 500, "cat": 700, "dan": 900, "eve": 1100, "fay": 1300}
SPLITS = {"ann": "train", "bob": "train", "cat": "valid", "dan": "valid", "eve": "test", "fay": "test"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six speakers with a tone each, two in every split, three clips of each; one clip was skipped."""
    said = [(SPLITS[who], who, spoken(pitch)) for who, pitch in PITCHES.items() for _ in range(3)]
    return prepare(tmp_path_factory.mktemp("voices") / "corpus", [*said, ("test", "eve", Reason("no-face", "0 of 30"))])


def heard(samples):
    """Who of the corpus is heard."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    powers = {who: spectrum[round(pitch * len(samples) / 16_000)] for who, pitch in PITCHES.items()}
    return {who for who, power in powers.items() if power > 0.1 * max(powers.values())}


# What is refused


def test_a_folder_that_was_not_prepared_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"holds no prep\.json"):
        corpus_voices(tmp_path, "test", 0)


def test_one_speaker_is_refused_by_the_names_of_the_splits(tmp_path):
    said = [("test", "ann", spoken(300)), ("train", "bob", spoken(500)), ("train", "cat", spoken(700))]
    out = prepare(tmp_path / "corpus", said)
    with pytest.raises(Refused) as refusal:
        open_source("babble", SoundSettings(), out, "test", 0)
    line = str(refusal.value)
    assert "corpus, test: babble needs at least two speakers and there is ann:" in line and "\n" not in line
    assert "FILE.wav:DB" in line and "sound.babble=synth" in line
    assert corpus_voices(out, "train", 0).speakers == ("bob", "cat")


def test_a_corpus_without_sound_is_refused(tmp_path):
    out = prepare(tmp_path / "corpus", [("test", who, None) for who in ("ann", "bob", "cat")])
    with pytest.raises(Refused, match="at least two speakers and there is none"):
        corpus_voices(out, "test", 0)


def test_a_damaged_clip_is_named(tmp_path):
    out = prepare(tmp_path / "corpus", [("test", who, spoken(300)) for who in ("ann", "bob")])
    tar = out / "test" / "test-000000.tar"
    data = bytearray(tar.read_bytes())
    at = data.index(b"fLaC")
    data[at : at + 4] = b"flac"
    tar.write_bytes(data)
    with pytest.raises(Refused, match=r"test-000000\.tar: test%2Fann%2F000\.flac is not what .*avsr-bench validate"):
        corpus_voices(out, "test", 0)


# Whose voices


@pytest.mark.parametrize(
    ("split", "speakers"),
    [("train", {"ann", "bob"}), ("test", {"cat", "dan", "eve", "fay"}), ("valid", {"cat", "dan", "eve", "fay"})],
)
def test_a_test_hears_no_voice_of_the_training(corpus, split, speakers):
    voices = corpus_voices(corpus, split, 0)
    assert set(voices.speakers) == speakers
    for clip in range(10):
        assert heard(voices.draw(16_000, rng_for(0, str(clip)), "nobody")) == speakers
    for own in speakers:
        assert heard(voices.draw(16_000, rng_for(0, "clip"), own)) == speakers - {own}


def test_a_speaker_without_sound_lends_no_voice(tmp_path):
    silence = np.zeros(32_000, np.int16)
    said = [("test", "ann", None), ("test", "bob", silence), ("test", "cat", spoken(700)), ("test", "cat", silence)]
    out = prepare(tmp_path / "corpus", [*said, ("test", "dan", spoken(900))])
    assert corpus_voices(out, "test", 0).speakers == ("cat", "dan")


def test_pauses_at_the_ends_of_clips_are_left_out(corpus):
    babble = corpus_voices(corpus, "train", 0).draw(32_000, rng_for(0, "clip"), "bob")
    loudness = np.sqrt(np.square(babble[: 320 * 100]).reshape(100, 320).mean(axis=1))
    assert loudness.min() > 0.5 * loudness.max()


def test_a_pool_takes_forty_voices_and_a_minute_of_each(tmp_path):
    rng = np.random.default_rng(0)
    crowd = [("test", f"s{n:02d}", rng.integers(-900, 900, 6400).astype(np.int16)) for n in range(45)]
    out = prepare(tmp_path / "corpus", crowd)
    pools = [set(corpus_voices(out, "test", seed).speakers) for seed in range(3)]
    assert [len(pool) for pool in pools] == [40, 40, 40]
    assert len(set.union(*pools)) == 45 and pools[0] != pools[1]

    talker = [("test", "ann", rng.integers(-900, 900, 13 * 16_000).astype(np.int16)) for _ in range(7)]
    out = prepare(tmp_path / "talker", [*talker, ("test", "bob", spoken(500))])
    minute = 60 * 16_000 - 160  # 10 ms go into the seam
    voices = corpus_voices(out, "test", 0)
    assert voices.name != corpus_voices(out, "test", 1).name  # another minute
    drawn = voices.draw(2 * minute, rng_for(0, "clip"), "bob")
    assert np.array_equal(drawn[:minute], drawn[minute:])


# Always the same


def digest(folder):
    """Names and samples of all voices that there are."""
    voices = [corpus_voices(Path(folder), split, 5) for split in ("train", "test")]
    return " ".join(f"{v.name} {v.draw(99, rng_for(5, 'clip', v.name), 'eve').sum():.9f}" for v in voices)


def test_other_processes_mix_the_same_babble(corpus):
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_babble_sources as t; print(t.digest({str(corpus)!r}))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, env={"PYTHONHASHSEED": seed}, capture_output=True
        )
        assert done.stdout.decode().strip() == digest(corpus), done.stderr.decode()


def test_the_size_of_the_shards_does_not_matter(corpus, tmp_path):
    said = [(SPLITS[who], who, spoken(pitch)) for who, pitch in reversed(PITCHES.items()) for _ in range(3)]
    again = prepare(tmp_path / "corpus", said, max_samples=2)
    assert digest(again) == digest(corpus)


@pytest.mark.parametrize(("kind", "number"), [("voice", 1), ("two-voices", 2), ("three-voices", 3), ("babble", 3)])
def test_one_two_or_three_others_speak(corpus, kind, number):
    voices = open_source(kind, SoundSettings(), corpus, "test", 0)
    assert voices.name.startswith(f"{kind}-")
    crowds = [heard(voices.draw(16_000, rng_for(0, str(clip), voices.name), "eve")) for clip in range(12)]
    assert {len(crowd) for crowd in crowds} == {number}
    assert set.union(*crowds) == {"cat", "dan", "fay"}  # not always the same, and never her own


def test_babble_is_what_it_was_before_there_were_voices(corpus):
    voices = open_source("babble", SoundSettings(), corpus, "test", 5)
    drawn = voices.draw(16_000, rng_for(5, "clip", voices.name), "eve")
    assert voices.name == "babble-84e0d3ce"
    assert hashlib.blake2b(drawn.tobytes(), digest_size=8).hexdigest() == "0a29fbcafca82701"


# Other sources


def test_other_kinds_need_no_corpus(tmp_path):
    path = write_sound(tmp_path / "cafe.wav", tone(1.0, 16_000, 700), rate=16_000)
    nowhere = tmp_path / "nowhere"
    assert open_source("pink", SoundSettings(), nowhere, "test", 0).name == "pink"
    assert heard(open_source(str(path), SoundSettings(), nowhere, "test", 0).draw(16_000, rng_for(0, "c"))) == {"cat"}


def test_espeak_makes_babble_for_a_single_speaker(tmp_path):
    pytest.importorskip("espeakng_loader")
    voices = open_source("babble", SoundSettings(babble="synth"), tmp_path / "nowhere", "test", 3)
    assert len(voices.speakers) == 30
    one = open_source("voice", SoundSettings(babble="synth"), tmp_path / "nowhere", "test", 3)
    assert one.speakers == voices.speakers and one.together == 1
    assert voices.name == synth_voices(3).name  # a second later: espeak draws some of its noise by the clock
    speech = spoken(300)
    noisy = mix(speech, voices, -2.5, rng_for(0, "clip", voices.name), "ann")
    clean = speech / 32768
    assert 10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2)) == pytest.approx(-2.5, abs=0.01)
    babble = voices.draw(160_000, rng_for(0, "clip"), "ann").astype(float)
    assert 2.5 < (babble**4).mean() / (babble**2).mean() ** 2 < 4.5  # one voice has far more: it is near a Gaussian
    power = np.abs(np.fft.rfft(babble)) ** 2
    assert power[: 4000 * 10].sum() > 0.9 * power.sum()  # and lies where speech does


def test_the_examples_of_the_page_run(corpus, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "grid").symlink_to(corpus)
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 2
    names = {}
    for example in examples:
        exec(example, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["12.5 12.5", "-7.5 -7.5"]
    assert len(printed) == 8 and all(line.endswith("babble:0") for line in printed[2:])


def test_kinds_of_voices_share_the_voices(tmp_path):
    place = make_shards(tmp_path / "data" / "small", {"train": 9})
    opened = open_sources(
        ("white", "voice", "three-voices", "voice"), SoundSettings(), Path(place.location), "train", 0
    )
    alone = [
        open_source(kind, SoundSettings(), Path(place.location), "train", 0)
        for kind in ("white", "voice", "three-voices")
    ]
    assert [each.name for each in opened] == [each.name for each in (*alone, alone[1])]
    for one, other in zip(opened, alone, strict=False):
        drawn = [each.draw(8000, np.random.default_rng(3), "train-0") for each in (one, other)]
        assert np.array_equal(*drawn)
