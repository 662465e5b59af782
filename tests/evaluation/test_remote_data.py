"""Evaluation over a network: the same result, and one line where it cannot be."""

from pathlib import Path

import pytest
import web
from heard import Silence

from avsr_bench.data import remote
from avsr_bench.evaluation import EvaluateRequest, evaluate
from avsr_bench.records import Refused


@pytest.fixture
def measure(corpus, run_of, tmp_path):
    def run(modality="video", data=corpus.location, **request):
        known = {"run": str(run_of(modality)), "data": data, "out": tmp_path / "out", "workers": 2}
        return evaluate(EvaluateRequest(**{**known, **request}), Silence())

    return run


@pytest.fixture
def folder(corpus):
    return Path(corpus.location).parent


def test_over_http_the_result_is_the_same(measure, folder):
    near = measure(noise="blur:5")
    with web.serving(folder) as server:
        far = measure(noise="blur:5", data=f"{server.url}/small")
    assert far.utterances == near.utterances
    assert (far.result.corpus, far.result.corpus_fingerprint) == (near.result.corpus, near.result.corpus_fingerprint)


def test_babble_is_of_voices_of_a_local_corpus(measure, folder):
    with web.serving(folder) as server:
        far = {"modality": "av", "data": f"{server.url}/small"}
        with pytest.raises(Refused, match=r"babble is made from voices of a local corpus: set sound\.babble=synth"):
            measure(sound="babble:0", **far)
        assert measure(sound="white:0", **far).utterances == measure("av", sound="white:0").utterances


def test_a_server_that_is_busy_for_ever(measure, folder, monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    with (
        web.serving(folder, web.busy, ".tar") as server,
        pytest.raises(
            Refused, match=r"cannot read .*\.tar: the server answers 503 Service Unavailable, 3 times in a row"
        ),
    ):
        measure(data=f"{server.url}/small")
