import pytest
import torch
from heard import make_corpus, make_run, make_videos


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Networks this small are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def corpus(videos, tmp_path_factory):
    return make_corpus(videos, tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="session")
def run_of(corpus, tmp_path_factory):
    """The folder of the one run of a modality."""
    made = {}

    def of(modality="video"):
        if modality not in made:
            folder = tmp_path_factory.mktemp("runs") / "runs" / "small" / f"{modality}-s1"
            made[modality] = make_run(folder, corpus, modality)
        return made[modality]

    return of
