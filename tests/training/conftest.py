import pytest
import torch
from mouths import make_shards
from training_settings import SMALL

from avsr_bench.training.job import train
from avsr_bench.training.plan import TrainRequest


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class View:
    """Progress that keeps what it is told, and may act at a step."""

    def __init__(self, act=lambda step: None):
        self.said, self.status, self.steps, self.act = [], [], 0, act

    def say(self, line):
        self.said.append(line)

    def begin(self, what, total, unit="clips", before=0):
        self.total, self.steps = total, before

    def step(self, outcome, status=""):
        self.steps += 1
        self.status.append(status)
        self.act(self.steps)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("training") / "data" / "small", {"train": 20, "valid": 5, "test": 5})


@pytest.fixture
def run(corpus, tmp_path, monkeypatch):
    """Trains a small network in an empty folder: run("dense", "train.steps=6", out=...) gives the run and its view."""
    monkeypatch.chdir(tmp_path)

    def start(system, *assignments, act=lambda step: None, steps=8, **request):
        view = View(act)
        settings = (*SMALL, f"train.steps={steps}", *assignments)
        request = {"data": corpus.location, "size": "tiny", "assignments": settings, **request}
        start.view = view
        return train(TrainRequest(system, **request), view)[-1]

    return start
