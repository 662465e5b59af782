"""One of two processes that train together: `torchrun --nproc-per-node 2 two_ranks.py FOLDER METHOD RUN`.

METHOD is a recipe's section as JSON. Stops in the middle where RUN, the folder of the loop, has no checkpoint yet, and
is resumed where it has one. Saves what this rank has in FOLDER.
"""

import json
import os
import sys
from pathlib import Path

import torch
from methods.loop import Moment, fit, make_network, moments, stop_after

from avsr_bench.methods import MSRS, build
from avsr_bench.methods.masked import Masked
from avsr_bench.training.checkpoint import CHECKPOINT
from avsr_bench.training.signals import Stopped


def main(folder: Path, section: str, run: Path, stop: bool) -> None:
    """Train, look after every update, save."""
    torch.set_num_threads(1)
    network, method = make_network(), build(json.loads(section), "test")
    assert isinstance(method, Masked)
    rank = os.environ["RANK"]

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

    resume = (run / CHECKPOINT).exists()
    try:
        fit(network, method, 10, folder=run, look=look, resume=resume, strategy="ddp", devices=2)
    except Stopped:
        assert stop
    torch.save(network.state_dict(), folder / f"end-{rank}.pt")
    torch.save(method.masks, folder / f"masks-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:] == ["stop"])
