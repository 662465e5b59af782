"""One of two processes that train together: `torchrun --nproc-per-node 2 two_ranks.py FOLDER SYSTEMS PART`.

SYSTEMS are recipes' sections `method`, as JSON by name. Where PART is `first`, each trains whole, and once more until
it is stopped in the middle; where it is `then`, what was stopped is resumed. Saves what this rank has in FOLDER/NAME.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from methods.loop import Moment, fit, make_network, moments, stop_after

from avsr_bench.methods import MSRS, build
from avsr_bench.methods.masked import Masked
from avsr_bench.training.signals import Stopped


def train(folder: Path, section: dict[str, Any], run: Path, *, stop: bool = False, resume: bool = False) -> None:
    """Train in the folder `run`, look after every update, save in `folder`."""
    network, method = make_network(), build(section, "test")
    assert isinstance(method, Masked)
    rank = os.environ["RANK"]
    folder.mkdir(parents=True, exist_ok=True)

    def look(moment: Moment) -> None:
        for name, mask in method.masks.items():
            assert bool((network.get_parameter(name)[~mask] == 0).all())
            assert all(bool((of[~mask] == 0).all()) for of in moments(moment.optimizer, network, name))
        if moment.update == 5:
            phi = method.gates.phi if isinstance(method, MSRS) else {}
            searched = {f"phi.{name}": of.detach().clone() for name, of in phi.items()}
            torch.save(network.state_dict() | searched, folder / f"middle-{rank}.pt")
            if stop and rank == "1":  # one rank alone hears the signal
                stop_after(5)(moment)

    try:
        fit(network, method, 10, folder=run, look=look, resume=resume, strategy="ddp", devices=2)
        assert not stop
    except Stopped:
        assert stop
    torch.save(network.state_dict(), folder / f"end-{rank}.pt")
    torch.save(method.masks, folder / f"masks-{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, section in json.loads(sys.argv[2]).items():
        place = Path(sys.argv[1]) / name
        if sys.argv[3] == "first":
            train(place / "whole", section, place / "whole-run")
            train(place / "stopped", section, place / "stopped-run", stop=True)
        else:
            train(place / "resumed", section, place / "stopped-run", resume=True)
