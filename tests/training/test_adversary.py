"""The step of discriminators: it moves them, and an update of the network does not."""

import torch
from lightning_fabric import Fabric
from objectives.test_vocode import AGAINST, batches, make

from avsr_bench.training.adversary import Adversary
from avsr_bench.training.recipe import TrainSettings


def moved(before, module):
    return [name for name, weight in module.named_parameters() if not torch.equal(before[name], weight)]


def test_discriminators_move_in_their_own_step_and_in_no_other():
    objective = make(AGAINST)
    adversary = Adversary(objective, TrainSettings(), Fabric(accelerator="cpu", devices=1))
    of_them, of_network = objective.discriminators, objective.network
    before = {name: weight.clone() for name, weight in of_them.named_parameters()}
    optimiser = torch.optim.SGD(objective.parameters(), lr=0.1)
    objective(batches())["total"].backward()
    optimiser.step()
    optimiser.zero_grad()
    assert not moved(before, of_them)
    still = {name: weight.clone() for name, weight in of_network.named_parameters()}
    assert adversary.backward(last=True)["discriminators"] > 0
    assert all(weight.grad is None for weight in of_network.parameters())
    adversary.step(1.0)
    assert len(moved(before, of_them)) > 0.9 * len(before) and not moved(still, of_network)


def test_an_objective_without_discriminators_has_no_adversary():
    adversary = Adversary(make(), TrainSettings(), Fabric(accelerator="cpu", devices=1))
    assert adversary.backward(last=True) == {} == adversary.state_dict()
    adversary.step(1.0)
