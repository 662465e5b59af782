"""Videos of digits being said and a small network that knows them by heart; and a network that knows nothing."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import small_network, small_run

from avsr_bench import data, media, runs, text
from avsr_bench.decoding import DecodeSettings
from avsr_bench.nn import AVSR, FrontendSettings, NetworkSettings
from avsr_bench.nn.inputs import normalised
from avsr_bench.prepare_clip import ClipJob, SampleSettings, make_sample
from avsr_bench.records import Clip
from avsr_bench.synth import SynthSettings, missing, render, write_manifest
from avsr_bench.synth.settings import DIGITS
from avsr_bench.synth.speaker import make_speaker
from avsr_bench.synth.speech import speak

SETTINGS = SynthSettings(
    train_clips=4, valid_clips=1, test_clips=1, train_speakers=1, valid_speakers=1, test_speakers=1, min_digits=4
)
FRONT = FrontendSettings(channels=(8, 16, 24, 48), blocks=1, stem=(3, 5, 5))
NETWORK = NetworkSettings(
    mouth=32,
    video=FRONT,
    audio=FRONT,
    width=48,
    heads=2,
    feed_forward=96,
    kernel=7,
    encoder_blocks=1,
    decoder_blocks=1,
    fusion=64,
    dropout=0.0,
    ctc_dropout=0.0,
)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """More would wait for one another where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Spoken:
    """A clip: where it lies, what is said, and when."""

    def __init__(self, utterance, folder: Path) -> None:
        self.path, self.text = folder / utterance.path, utterance.text
        voice = make_speaker(SETTINGS, utterance.speaker).voice
        phones = np.load(folder / utterance.truth_path)["phone_times"]
        ends = np.cumsum([len(speak(word, voice).phones) for word in self.text.split()])
        assert ends[-1] == len(phones)
        self.times = [(phones[a, 0], phones[b - 1, 1]) for a, b in zip([0, *ends], ends, strict=False)]  # of each word
        clip = Clip("clip", self.path, "train", "somebody")
        sample = make_sample(ClipJob(clip, "clip"), SampleSettings())
        self.mouth = media.decode_mouth(sample.members["mouth.mp4"])
        self.sound = media.decode_flac(sample.members["flac"])
        self.track = sample.track


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """Four clips of one speaker."""
    pytest.importorskip("espeakng_loader", reason="the synth extra is not installed")
    folder = tmp_path_factory.mktemp("spoken")
    write_manifest(SETTINGS, folder)
    made = [utterance for utterance in missing(SETTINGS, folder) if utterance.split == "train"]
    for utterance in made:
        render(utterance, folder, SETTINGS)
    return [Spoken(utterance, folder) for utterance in made]


def learn(spoken, modality, folder, steps):
    """A run of a network that has learnt these clips by heart, each word in the three frames in its middle.

    It is shown pieces of all clips in a row, so that it knows them in windows that begin and end anywhere.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    tokenizer, _ = text.learn_tokenizer([" ".join(DIGITS)] * 5, text.TokenizerSettings(kind="words"))
    network = AVSR(modality, NETWORK, len(tokenizer))
    mouths = np.concatenate([clip.mouth for clip in spoken])
    sounds = np.concatenate([clip.sound for clip in spoken])
    said = np.zeros(len(mouths), np.int64)
    first = 0
    for clip in spoken:
        for word, (start, end) in zip(clip.text.split(), clip.times, strict=True):
            middle = first + round((start + end) / 2 * 25)
            said[middle - 1 : middle + 2] = tokenizer.encode(word)[0]
        first += len(clip.mouth)
    optimiser = torch.optim.AdamW(network.parameters())
    for step in range(steps):
        frames = int(rng.integers(30, 70))
        starts = [0, len(said) - frames, *rng.integers(0, len(said) - frames, 4)]
        pieces = [
            data.Clip(
                key=str(start),
                frames=frames,
                video=None if modality == "audio" else data.shown(mouths[start : start + frames], NETWORK.mouth),
                audio=None if modality == "video" else data.levelled(sounds[640 * start : 640 * (start + frames)]),
            )
            for start in starts
        ]
        batch = data.collate(pieces)
        if batch.video is not None:
            batch = replace(batch, video=normalised(batch.video, batch.lengths))
        for seen in (batch.video, batch.audio):  # another encoder makes small differences
            if seen is not None:
                shape = (len(starts), *[1] * (seen.ndim - 1))
                seen += 0.1 * torch.randn_like(seen) + 0.1 * torch.randn(shape)
        if batch.video is not None:  # ... and in a larger picture the face is found a pixel further
            batch.video[:] = batch.video.roll(tuple(rng.integers(-1, 2, 2).tolist()), (2, 3))
        log_probs = network.ctc_log_probs(network.encode(batch.inputs, batch.lengths)[0])
        target = torch.from_numpy(np.stack([said[start : start + frames] for start in starts]))
        loss = torch.nn.functional.nll_loss(log_probs.flatten(0, 1), target.flatten())
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1, (step + 1) / 20, (steps - step) / 40)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    folder.mkdir(parents=True)
    tokenizer.save(folder)
    about = runs.About(system="heart", corpus="synth", size="tiny", modality=modality, seed=0)
    runs.write_recipe(folder, about, {"network": asdict(NETWORK), "decode": asdict(DecodeSettings(kind="ctc"))})
    runs.write_weights(folder, network.state_dict())
    return folder


@pytest.fixture(scope="session")
def lips(spoken, tmp_path_factory):
    """A run that reads the lips of these clips."""
    return learn(spoken, "video", tmp_path_factory.mktemp("runs") / "lips", 260)


@pytest.fixture(scope="session")
def ears(spoken, tmp_path_factory):
    """A run that hears these clips."""
    return learn(spoken, "audio", tmp_path_factory.mktemp("runs") / "ears", 90)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """A run of random weights."""
    return small_run(tmp_path_factory.mktemp("runs") / "stranger", small_network())
