from __future__ import annotations

import pytest

from avsr_bench.synth import SynthSettings, missing, render, write_manifest

SMALL = SynthSettings(
    train_clips=2, valid_clips=1, test_clips=1, train_speakers=2, valid_speakers=1, test_speakers=1, min_digits=4
)


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Four clips of four speakers, made once; tests only read it."""
    pytest.importorskip("espeakng_loader", reason="the synth extra is not installed")
    folder = tmp_path_factory.mktemp("synth")
    write_manifest(SMALL, folder)
    for utterance in missing(SMALL, folder):
        render(utterance, folder, SMALL)
    return folder
