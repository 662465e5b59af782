"""Packed weights come back to the bit, whatever their shapes, types and zeros; a damaged file is refused."""

import json
import zlib

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avsr_bench.nn import header_of, load, load_packed, prunable, read, save_packed
from avsr_bench.records import Refused


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    sparsity=st.floats(0, 1),
    kind=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
    seed=st.integers(0, 2**20),
)
def test_what_is_packed_comes_back_to_the_bit(tmp_path_factory, shape, sparsity, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    weight[torch.rand(shape, generator=generator) < sparsity] = 0.0
    special = torch.tensor([-0.0, float("nan"), float("inf"), 1e-45])
    few = min(len(special), weight.numel())
    weight.view(-1)[:few] = special[:few]
    weight = weight.to(kind)
    path = tmp_path_factory.mktemp("packed") / "x.safetensors"
    save_packed(path, {"a.weight": weight, "a.bias": weight[0].clone()}, ["a.weight"], {"note": "é"})
    found = load_packed(path)
    assert found.keys() == {"a.weight", "a.bias"}
    assert found["a.weight"].shape == weight.shape and found["a.weight"].dtype == kind
    assert torch.equal(bits(found["a.weight"]), bits(weight)) and torch.equal(bits(found["a.bias"]), bits(weight[0]))
    assert header_of(path)["note"] == "é"


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.9, 1.0])
def test_what_is_stored_is_a_mask_and_the_values(tmp_path, sparsity):
    weight = torch.arange(1.0, 8001.0).view(80, 100)
    weight.view(-1)[: round(8000 * sparsity)] = 0
    save_packed(tmp_path / "x.safetensors", {"weight": weight}, ["weight"], {})
    stored = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert stored["weight.values"].nbytes == 4 * round(8000 * (1 - sparsity))
    assert stored["weight.mask"].nbytes < 60  # the zeros are one block: runs


def test_a_bit_of_the_mask_is_where_the_page_says(tmp_path):
    weight = torch.zeros(2, 9)
    weight[0, 3], weight[1, 8] = 5.0, -1.0
    save_packed(tmp_path / "x.safetensors", {"weight": weight}, ["weight"], {})
    stored = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert list(zlib.decompress(stored["weight.mask"].numpy())) == [1 << 3, 0, 1 << (17 - 16)]
    assert stored["weight.values"].tolist() == [5.0, -1.0]


def test_what_would_grow_stays_dense(tmp_path):
    weights = {"full": torch.ones(40, 40), "thin": torch.eye(40), "other": torch.eye(40)}
    save_packed(tmp_path / "x.safetensors", weights, ["full", "thin"], {})
    stored = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert stored.keys() == {"full", "thin.mask", "thin.values", "other"}


def test_packed_weights_are_read_like_any_other(make_network, tmp_path):
    source, target = make_network("av"), make_network("av")
    with torch.no_grad():
        for weight in prunable(source).values():
            weight[weight.abs() < weight.abs().median()] = 0.0
    save_packed(tmp_path / "model.safetensors", source.state_dict(), prunable(source), {})
    weights = read(tmp_path / "model.safetensors")
    load(target, weights)
    assert (weights.release, weights.modality) == ("ours", "av")
    for name, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[name]), name


def rewritten(path, change):
    """The same file with its tensors or its header changed."""
    header, tensors = header_of(path), safetensors.torch.load_file(path)
    change(header, tensors)
    safetensors.torch.save_file(tensors, path, header)


def deflated(*content):
    return torch.tensor(list(zlib.compress(bytes(content))), dtype=torch.uint8)


DAMAGE = {
    "a value too few": lambda header, tensors: tensors.update({"w.values": tensors["w.values"][1:].clone()}),
    "a mask too short": lambda header, tensors: tensors.update({"w.mask": tensors["w.mask"][1:].clone()}),
    "a bit behind the end": lambda header, tensors: tensors.update({"w.mask": deflated(0x41, 0x10, 4, 0x81)}),
    "bits for too few weights": lambda header, tensors: tensors.update({"w.mask": deflated(0x1F)}),
    "bits for too many": lambda header, tensors: tensors.update({"w.mask": deflated(*[0] * 999_999, 0x1F)}),
    "no mask": lambda header, tensors: tensors.pop("w.mask"),
    "no shapes": lambda header, tensors: header.pop("shapes"),
    "shapes that are none": lambda header, tensors: header.update(shapes="{"),
    "another shape": lambda header, tensors: header.update(shapes=json.dumps({"w": [100, 100]})),
    "a shape of words": lambda header, tensors: header.update(shapes=json.dumps({"w": "many"})),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused(damage, tmp_path):
    path = tmp_path / "x.safetensors"
    save_packed(path, {"w": torch.eye(5)}, ["w"], {})
    rewritten(path, DAMAGE[damage])
    with pytest.raises(Refused, match=r"x\.safetensors is damaged: its packed weights do not fit together"):
        load_packed(path)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_packed(path, {"w": torch.eye(5)}, ["w"], {})
    rewritten(path, lambda header, tensors: header.update(version="2"))
    with pytest.raises(Refused, match="packed by version 2, and this reads 1"):
        load_packed(path)


@given(share=st.floats(0, 0.999))
@settings(max_examples=20, deadline=None)
def test_a_packed_file_cut_anywhere_is_refused(share, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "x.safetensors"
    save_packed(path, {"ctc.weight": torch.eye(9)}, ["ctc.weight"], {})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Refused, match="not a whole safetensors file"):
        read(path)
    assert header_of(path) == {}
