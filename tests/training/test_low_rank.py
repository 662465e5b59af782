import pytest
import safetensors.torch
import torch

from avsr_bench import runs
from avsr_bench.nn.low_rank import factored, layers_of
from avsr_bench.records import Refused

THIN = ("network.low_rank.attention=[0.25, 0.25]", "network.low_rank.feed_forward=[0.5, 0.2]")
STILL = ("train.lr=1e-12", "train.weight_decay=0", "train.average=1")


def test_it_begins_with_the_factors_of_a_trained_dense_network(run, tmp_path):
    dense = run("dense", out=tmp_path / "dense", seed=5)
    thin = run("dense", *THIN, *STILL, f"init.run={dense}", steps=1, out=tmp_path / "thin")
    network = runs.open_run(thin).load()
    expected = factored(safetensors.torch.load_file(dense / runs.WEIGHTS), network)
    for name, value in network.named_parameters():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0)
    assert f"{len(layers_of(network))} of its layers as two factors" in "\n".join(run.view.said)
    whole, less = (runs.open_run(folder).about for folder in (dense, thin))
    assert less.parameters < whole.parameters and less.sparsity == 0
    assert less.budget.ancestors[0].run.endswith("dense")


def test_a_run_is_resumed_with_its_ranks_and_no_others(run, tmp_path):
    def stop(step):
        if step == 4:
            raise KeyboardInterrupt

    straight = run("lr-sms", *THIN, out=tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        run("lr-sms", *THIN, "train.save_minutes=0", out=tmp_path / "run", act=stop)
    with pytest.raises(
        Refused, match=r"was begun with network\.low_rank\.attention=\[0\.25, 0\.25\], not \[0\.25, 0\.5\]"
    ):
        run("lr-sms", "network.low_rank.attention=[0.25, 0.5]", THIN[1], out=tmp_path / "run", resume=True)
    resumed = run("lr-sms", *THIN, "train.save_minutes=0", out=tmp_path / "run", resume=True)
    first, second = (safetensors.torch.load_file(folder / runs.WEIGHTS) for folder in (straight, resumed))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("system", ["msrs-sparse", "rigl", "chase", "int8"])
def test_it_goes_together_with_methods(run, tmp_path, system):
    given = ("method.search=4", "method.norm_batches=1") if system == "msrs-sparse" else ("method.every=1",)
    if system == "int8":
        given = (f"init.run={run('lr-sms', *THIN, out=tmp_path / 'thin')}",)
    about = runs.open_run(run(system, *THIN, *given, out=tmp_path / "run")).about
    assert about.sparsity == pytest.approx(0.0 if system == "int8" else 0.5, abs=0.03)
