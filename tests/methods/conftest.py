import logging
import warnings
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Work this small gains nothing from threads, and loses much where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lightning's advice on data loaders and devices is not about tests."""
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning_fabric")
        yield
    logger.setLevel(before)
