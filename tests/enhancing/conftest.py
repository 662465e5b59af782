"""Enhancers that let everything through, so that what comes out can be compared sample by sample."""

import pytest
import torch
from people import talking
from small_runs import open_wide, small_enhancer, small_run
from sounds import carried
from videos import write_video

from avsr_bench.nn import VocoderSettings


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """More would wait for one another where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def passing(tmp_path_factory):
    """Runs that let everything through, by modality."""
    folder = tmp_path_factory.mktemp("runs")
    return {kind: small_run(folder / kind, open_wide(small_enhancer(kind))) for kind in ("av", "audio")}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A run of random weights, which watches lips."""
    return small_run(tmp_path_factory.mktemp("runs") / "drawn", small_enhancer("av"))


@pytest.fixture(scope="session")
def vocoding(tmp_path_factory):
    """Another, whose head is a vocoder."""
    vocoder = VocoderSettings(16, (3,), (1, 3), wait=3)
    network = small_enhancer("av", head="vocoder", vocoder=vocoder)
    return small_run(tmp_path_factory.mktemp("runs") / "vocoding", network)


@pytest.fixture(scope="session")
def talk(tmp_path_factory):
    """A face and noise, 2.4 s of both."""
    folder = tmp_path_factory.mktemp("videos")
    return write_video(folder / "talk.mkv", talking(60), sound=carried(2.4), sound_rate=16_000, sound_codec="pcm_s16le")
