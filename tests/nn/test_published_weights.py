import argparse
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from avsr_bench.nn import AVSR, load, our_name, published_name, read, settings_of
from avsr_bench.records import Refused

KINDS = [("video", "current"), ("audio", "current"), ("video", "first"), ("audio", "first"), ("av", "first")]


def published(network, release) -> dict[str, torch.Tensor]:
    """A network's weights by published names."""
    return {published_name(name, network.modality, release): value for name, value in network.state_dict().items()}


def changed(network: AVSR) -> AVSR:
    """Other weights than those a new network of these tests begins with."""
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1)
    return network


def assert_same(one: AVSR, other: AVSR, root: str = "") -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]) == name.startswith(root), name


@pytest.mark.parametrize(("modality", "release"), KINDS)
def test_names_go_there_and_back(modality, release, make_network):
    names = list(make_network(modality).state_dict())
    theirs = [published_name(name, modality, release) for name in names]
    assert len(set(theirs)) == len(names)
    assert None not in theirs
    assert [our_name(name, modality, release) for name in theirs] == names


def test_what_the_others_do_not_have_has_no_name(make_network):
    names = [name for name in make_network(layer_scale=0.1).state_dict() if name.endswith("factors")]
    assert names
    assert all(published_name(name, "video") is None for name in names)
    assert our_name("decoder.decoders.0.lightconv.weight", "video") is None
    assert our_name("ctc.ctc_lo_more.weight", "video") is None


@pytest.mark.parametrize(("modality", "release"), KINDS)
@pytest.mark.parametrize("wrapping", ["bare", "lightning", "parallel", "safetensors"])
def test_published_files_load_in_all_wrappings(modality, release, wrapping, make_network, tmp_path):
    source, target = changed(make_network(modality)), make_network(modality)
    weights = published(source, release)
    path = tmp_path / ("weights.safetensors" if wrapping == "safetensors" else "weights.pth")
    if wrapping == "safetensors":
        save_file(weights, path)
    elif wrapping == "parallel":
        torch.save({f"module.{name}": value for name, value in weights.items()}, path)
    elif wrapping == "lightning":
        inner = {f"model.{name}": value for name, value in weights.items()}
        options = {"args": argparse.Namespace(modality=modality), "lr": 1e-3}
        torch.save({"epoch": 3, "state_dict": inner, "hyper_parameters": options, "callbacks": {}}, path)
    else:
        torch.save(weights, path)
    found = read(path)
    report = load(target, found)
    assert_same(source, target)
    assert (found.modality, found.release) == (modality, release)
    assert report.unused == report.kept == ()
    assert report.parameters == sum(parameter.numel() for parameter in target.parameters())
    assert f"{len(weights)} entries loaded, {report.parameters:,} parameters" in str(report)


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_a_front_end_trained_on_words_gives_its_front_end(modality, make_network, tmp_path):
    source, target = changed(make_network(modality)), make_network(modality)
    trunk = {
        name.removeprefix("frontend."): value
        for name, value in published(source, "current").items()
        if name.startswith("frontend.")
    }
    path = tmp_path / "lrw.pth.tar"
    torch.save({"epoch_idx": 80, "model_state_dict": trunk | {"tcn.tcn_output.weight": torch.zeros(500, 9)}}, path)
    weights = read(path)
    with pytest.raises(Refused, match="its front-end alone can be loaded"):
        load(target, weights)
    report = load(target, weights, "frontend")
    assert_same(source, target, f"encoders.{modality}.frontend.")
    assert report.unused == ("tcn.tcn_output.weight",)
    assert "1 not used, under tcn" in str(report)
    assert "left as they were, under ctc, decoder, encoders" in str(report)


def test_an_audio_visual_network_takes_its_encoders_from_two_files(make_network, tmp_path):
    target = make_network("av")
    for modality in ("video", "audio"):
        torch.save(published(changed(make_network(modality)), "current"), tmp_path / modality)
        load(target, read(tmp_path / modality), "encoder")
    start = make_network("av").state_dict()
    for name, value in target.state_dict().items():
        assert torch.equal(value, start[name]) != name.startswith("encoders."), name


def test_own_weights_are_read_like_any_other(make_network, tmp_path):
    source, target = changed(make_network("av")), make_network("av")
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    weights = read(tmp_path / "model.safetensors")
    load(target, weights)
    assert_same(source, target)
    assert (weights.release, weights.modality) == ("ours", "av")


@pytest.mark.parametrize("modality", ["video", "audio", "av"])
def test_the_network_is_read_off_the_weights(modality, make_network, tmp_path):
    source = make_network(modality)
    torch.save(published(source, "first"), tmp_path / "weights.pth")
    inferred, tokens = settings_of(read(tmp_path / "weights.pth").tensors)
    assert tokens == 12
    network = AVSR(modality, inferred, tokens)
    load(network, read(tmp_path / "weights.pth"))
    assert_same(source, network)
    assert (inferred.heads, inferred.kernel, inferred.decoder_blocks) == (2, 5, 2)


def test_another_size_is_refused_by_the_first_shape_that_differs(make_network, tmp_path):
    torch.save(published(make_network(width=32), "current"), tmp_path / "weights.pth")
    target = make_network()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    message = r"encoders\.video\.project\.weight is \(32, 10\) in the file and \(16, 10\) in the network"
    with pytest.raises(Refused, match=message):
        load(target, read(tmp_path / "weights.pth"))
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_another_set_of_tokens_is_refused(make_network, tmp_path):
    torch.save(published(make_network(tokens=13), "current"), tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"decoder\.embed\.weight is \(13, 16\)"):
        load(make_network(), read(tmp_path / "weights.pth"))


def test_a_shallower_network_is_refused(make_network, tmp_path):
    torch.save(published(make_network(encoder_blocks=1), "current"), tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"has no encoders\.video\.blocks\.1\..* which the network needs"):
        load(make_network(), read(tmp_path / "weights.pth"))


def test_another_modality_is_refused(make_network, tmp_path):
    torch.save(published(make_network("audio"), "current"), tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"has no encoders\.video\.frontend\.stem\.weight"):
        load(make_network("video"), read(tmp_path / "weights.pth"))
    with pytest.raises(Refused, match="holds audio weights, and the network has no such encoder"):
        load(make_network("video"), read(tmp_path / "weights.pth"), "encoder")


class Malice:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_with_code_in_it_is_refused(tmp_path):
    torch.save({"state_dict": Malice()}, tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"would run (posix|os)\.system when opened, and only plain weights"):
        read(tmp_path / "weights.pth")


@given(share=st.floats(0, 0.999))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("new_format", [True, False])
def test_a_file_cut_anywhere_is_refused(share, new_format, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "weights.pth"
    weights = {"frontend.frontend3D.0.weight": torch.zeros(4, 1, 3, 3, 3), "ctc.ctc_lo.weight": torch.zeros(9, 4)}
    torch.save(weights, path, _use_new_zipfile_serialization=new_format)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Refused, match=r"not a whole file|damaged"):
        read(path)


def test_a_safetensors_file_cut_in_half_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"ctc.weight": torch.zeros(50)}, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Refused, match="not a whole safetensors file"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"", "not a whole file"),
    ],
)
def test_what_is_no_file_of_weights_is_named(content, message, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(Refused, match=message):
        read(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {}}])
def test_a_file_without_weights_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(Refused, match="holds no weights"):
        read(tmp_path / "weights.pth")


def test_somebody_elses_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(Refused, match=r"no network that we know: it holds bias, weight"):
        read(tmp_path / "weights.pth")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"cannot read .*: No such file"):
        read(Path(tmp_path / "nothing.pth"))


def test_a_front_end_alone_has_no_size(make_network, tmp_path):
    stem = {"frontend3D.0.weight": torch.zeros(4, 1, 3, 3, 3)}
    torch.save(stem, tmp_path / "lrw.pth")
    with pytest.raises(Refused, match="a part of a network"):
        settings_of(read(tmp_path / "lrw.pth").tensors)
