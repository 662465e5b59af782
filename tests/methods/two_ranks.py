"""One of two processes that train together: `torchrun --nproc-per-node 2 two_ranks.py FOLDER METHOD CHECKPOINT`.

METHOD is a recipe's section as JSON. Saves, in the middle and at the end, what this rank has; goes on from the
checkpoint where there is one.
"""

import json
import os
import sys
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from methods.loop import fit, make_network, moments

from avsr_bench.methods import MSRS, build
from avsr_bench.methods.masked import Masked


def main(folder: Path, section: str, checkpoint: Path) -> None:
    """Train, look after every batch, save."""
    torch.set_num_threads(1)
    network, method = make_network(), build(json.loads(section), "test")
    assert isinstance(method, Masked)
    rank, resume = os.environ["RANK"], checkpoint if checkpoint.exists() else None

    def look(run: Trainer) -> None:
        for name, mask in method.masks.items():
            assert bool((network.get_parameter(name)[~mask] == 0).all())
            assert all(bool((of[~mask] == 0).all()) for of in moments(run, network, name))
        if run.global_step == 5:
            searched = (
                {name: phi.detach().clone() for name, phi in method.gates.phi.items()}
                if isinstance(method, MSRS)
                else {}
            )
            torch.save(
                network.state_dict() | {f"phi.{k}": v for k, v in searched.items()}, folder / f"middle-{rank}.pt"
            )

    save = {} if resume else {5: checkpoint}
    parallel = {"strategy": "ddp", "devices": 2, "num_nodes": 1, "sync_batchnorm": False}
    fit(network, method, 10, look=look, save=save, resume=resume, **parallel)
    torch.save(network.state_dict(), folder / f"end-{rank}.pt")
    torch.save(method.masks, folder / f"masks-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
