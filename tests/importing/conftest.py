import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Work this small gains nothing from threads, and loses much where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
