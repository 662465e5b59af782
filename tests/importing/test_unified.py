"""Published USR files become unified runs; what training had beside the network is reported, damage is refused."""

import subprocess
import sys

import pytest
import torch
from importing.test_importing import wrapped
from mouths import make_shards
from small_runs import small_tokenizer, small_unified

from avsr_bench import runs
from avsr_bench.importing import import_weights
from avsr_bench.nn import VIEWS, published_name
from avsr_bench.records import Refused


@pytest.fixture
def spm(tmp_path):
    path = tmp_path / "SP.model"
    path.write_bytes(small_tokenizer().model)
    return path


@pytest.fixture(scope="module")
def network():
    return small_unified(block="transformer", layer_scale=0.1)


def published(network, root=""):
    return {f"{root}{published_name(name, 'unified', 'usr')}": of for name, of in network.state_dict().items()}


def of_training(network):
    """A checkpoint of training: the network, the average that teaches it, and heads for what that one says."""
    heads = {f"ctc_pseudo.{view}.weight": torch.zeros(3, 3) for view in VIEWS}
    return published(network, "backbone.") | published(network, "target_backbone.") | heads


@pytest.mark.parametrize("wrapping", ["bare", "lightning", "safetensors"])
def test_a_published_file_becomes_a_run(network, wrapping, tmp_path, spm):
    assert None not in {published_name(name, "unified", "usr") for name in network.state_dict()}
    imported = import_weights(wrapped(wrapping, published(network), tmp_path), spm, tmp_path / "runs" / "usr-base")
    run = runs.open_run(tmp_path / "runs" / "usr-base")
    found = run.whole().state_dict()
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(of, network.state_dict()[name]) for name, of in found.items())
    assert (run.about.system, run.about.modality, run.recipe["imported"]["names"]) == ("usr-base", "unified", "usr")
    assert (run.network.block, run.network.layer_scale) == ("transformer", 0.1)
    assert run.about.parameters == sum(part.parameters for part in imported.parts) == imported.report.parameters
    assert sum(part.entries for part in imported.parts) == len(found)
    assert {"frontends.video", "frontends.audio", "entrances", "blocks", "outputs", "ctc"} < {
        p.name for p in imported.parts
    }
    assert imported.report.unused == imported.report.kept == ()


def test_a_checkpoint_of_training_gives_the_network_and_not_its_teacher(network, tmp_path, spm):
    imported = import_weights(wrapped("bare", of_training(network), tmp_path), spm, tmp_path / "out")
    assert torch.equal(imported.run.whole().ctc["audio"].weight, network.ctc["audio"].weight)
    assert {name.split(".")[0] for name in imported.report.unused} == {"target_backbone", "ctc_pseudo"}
    assert len(imported.report.unused) == len(network.state_dict()) + 3


DAMAGE = {
    "ctc_av.ctc_lo.weight": "a part of a network",
    "encoder.linear_av.weight": "is no network that we know",
    "encoder.frontend_a.trunk.bn1.weight": r"has no frontends\.audio\.norm\.weight \(4,\)",
    "encoder.encoders.1.self_attn.linear_q.weight": r"has no blocks\.1\.attention\.query\.weight|holds .* numbers",
    "decoder.out_layer_v.bias": r"has no outputs\.video\.bias",
}


@pytest.mark.parametrize("root", ["", "backbone."])
@pytest.mark.parametrize("gone", DAMAGE)
def test_what_a_file_lacks_is_named(network, gone, root, tmp_path, spm):
    weights = published(network, root)
    del weights[root + gone]
    refused(wrapped("bare", weights, tmp_path), spm, tmp_path / "out", rf"{DAMAGE[gone]}|holds [\d,]+ numbers")


def refused(file, tokenizer, out, says):
    with pytest.raises(Refused, match=says) as caught:
        import_weights(file, tokenizer, out)
    assert "\n" not in str(caught.value) and not out.exists()


def wrong_shape(of):
    return torch.zeros(9, *of.shape[1:])


def not_a_number(of):
    return of * torch.nan


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("ctc_v.ctc_lo.weight", wrong_shape, r"ctc\.video\.weight is \(9, 16\) in the file|holds [\d,]+ numbers"),
        ("encoder.linear_a.weight", not_a_number, r"entrances\.audio\.weight holds what is not a number"),
        ("encoder.encoders.0.self_attn.pos_bias_u", lambda of: torch.zeros(5, 1), "even multiple of heads|no network"),
        ("ctc_av.ctc_lo.weight", lambda of: torch.tensor(1.0), "shapes of no network"),
        ("encoder.frontend_v.frontend3D.0.weight", lambda of: of[0], r"shapes of no network|holds [\d,]+ numbers"),
    ],
)
def test_shapes_and_numbers_of_no_network(network, name, change, says, tmp_path, spm):
    weights = published(network)
    weights[name] = change(weights[name])
    refused(wrapped("bare", weights, tmp_path), spm, tmp_path / "out", says)


def test_the_command_says_how_to_use_it(network, tmp_path, spm):
    file = wrapped("bare", of_training(network), tmp_path)
    corpus = make_shards(tmp_path / "small", {"test": 2})

    def avsr(*words):
        command = [sys.executable, "-m", "avsr_bench", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = avsr("import", file, "--tokenizer", spm, "--out", tmp_path / "usr-base").splitlines()
    assert any(line.startswith("not used: ") and "target_backbone" in line for line in said)
    assert "unified" in said[-2] and said[-1].strip() == f"avsr-bench evaluate {tmp_path}/usr-base --modality video"
    out = avsr(*said[-1].split()[1:], "--data", corpus.location, "--decode", "ctc")
    assert out.startswith("usr-base@video on small test, clean: 2 utterances")
