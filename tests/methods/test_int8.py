from pathlib import Path

import pytest
import torch
from methods.loop import fit, logged, make_batches, make_network
from torch import nn

from avsr_bench.methods import Int8, build
from avsr_bench.nn import prunable
from avsr_bench.records import Misused

pytest.importorskip("torchao", reason="int8 needs torchao: pip install 'avsr-bench[int8]'")


def int8() -> Int8:
    method = build({"name": "int8"}, "models/int8.yaml")
    assert isinstance(method, Int8)
    return method


def test_a_setting_it_does_not_have_is_refused() -> None:
    with pytest.raises(Misused, match=r"models/int8.yaml: method: unknown setting sparsity"):
        build({"name": "int8", "sparsity": 0.5}, "models/int8.yaml")


def test_saved_weights_are_those_that_the_network_computed_with(tmp_path: Path) -> None:
    network, method = make_network(dropout=0.0, ctc_dropout=0.0), int8()
    fit(network, method, 3)
    plain = make_network()
    saved = method.settled(network.state_dict())
    plain.load_state_dict(saved)
    batch = make_batches(1)[0]
    network.eval(), plain.eval()
    with torch.no_grad():
        ours, theirs = (of.encode(batch.inputs, batch.lengths)[0] for of in (network, plain))
    assert torch.equal(ours, theirs)


def test_rows_of_all_prunable_weights_have_at_most_256_evenly_spaced_values_and_nothing_else_changes() -> None:
    network, method = make_network(width=64, heads=4), int8()
    with torch.no_grad():
        network.ctc.weight.copy_(torch.randn(12, 64, generator=torch.Generator().manual_seed(0)))
    method.attach(network, 4)
    before = network.state_dict()
    saved = method.settled(before)
    assert set(method.names) == set(prunable(network))
    for name, tensor in saved.items():
        if name not in method.names:
            assert torch.equal(tensor, before[name])
            continue
        assert tensor.shape == before[name].shape
        step = before[name].abs().flatten(1).amax(1).view(-1, *[1] * (tensor.dim() - 1)) / 127.5
        steps = tensor / step
        assert torch.allclose(steps, steps.round(), atol=1e-3)
        assert bool((steps.round().abs() <= 128).all())
        assert bool(((tensor - before[name]).abs() <= step * 0.51).all())


def test_gradients_go_to_the_weights_as_if_they_were_not_rounded() -> None:
    layer = nn.ModuleDict({"ctc": nn.Linear(8, 4)})
    method = int8()
    method.attach(layer, 4)  # type: ignore[arg-type]
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    layer["ctc"](x).sum().backward()
    weight = layer["ctc"].weight
    assert isinstance(weight, nn.Parameter)
    assert weight.grad is not None
    plain = x.sum(0).expand(4, 8)
    within = torch.isclose(weight.grad, plain, atol=1e-6) | (weight.grad == 0)  # 0: the largest, which 127 bounds
    assert bool(within.all())
    assert int((weight.grad == 0).sum()) <= 4


def test_it_trains_in_bf16_too(tmp_path: Path) -> None:
    network, method = make_network(), int8()
    fit(network, method, 20, folder=tmp_path, batches=make_batches(1), precision="bf16")
    losses = [float(row["loss"]) for row in logged(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]
