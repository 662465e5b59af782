"""A unified run is exported as one of its views, and packed whole."""

import onnxruntime
import pytest
import torch
from small_runs import small_network, small_run, small_unified, thinned

from avsr_bench import runs
from avsr_bench.export import export_onnx, export_sparse
from avsr_bench.export import onnx as exporter
from avsr_bench.importing import import_weights
from avsr_bench.nn import VIEWS
from avsr_bench.records import Misused, Refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    network = thinned(small_unified(encoder_blocks=1, decoder_blocks=1), 0.5)
    return small_run(tmp_path_factory.mktemp("runs") / "runs/synth/usr-tiny-s0", network)


@pytest.mark.parametrize("export", [export_onnx, export_sparse])
def test_which_view_has_to_be_said(folder, export):
    with pytest.raises(Misused, match="say which with --modality video, audio or av"):
        export(folder)
    assert not list(folder.glob("model*.onnx")) and not list(folder.glob("*.sparse.*"))


@pytest.mark.parametrize(
    "view", ["video", pytest.param("audio", marks=pytest.mark.slow), pytest.param("av", marks=pytest.mark.slow)]
)
def test_a_view_as_onnx_says_what_torch_says(folder, view):
    written = export_onnx(folder, modality=view)
    assert written.path == folder / f"model-{view}.onnx" and written.difference < 1e-5
    assert written.inputs == (("video", "audio") if view == "av" else (view,))
    facts = onnxruntime.InferenceSession(str(written.path)).get_modelmeta().custom_metadata_map
    assert (facts["avsr.run"], facts["avsr.modality"]) == (f"synth/usr-tiny-s0@{view}", view)
    assert ("avsr.side" in facts) == (view != "audio") and ("avsr.rate" in facts) == (view != "video")


def test_what_no_onnx_file_holds_is_counted_without_the_decoder(folder, monkeypatch):
    network = runs.open_run(folder).seen_as("video").load()
    whole = sum(of.nbytes for of in (*network.whole.parameters(), *network.whole.buffers()))
    said = sum(
        of.nbytes for part in (network.whole.decoder, network.whole.outputs["video"]) for of in part.parameters()
    )
    monkeypatch.setattr(exporter, "MOST_BYTES", whole - said)
    exporter._check_size(network, folder)
    monkeypatch.setattr(exporter, "MOST_BYTES", whole - said - 1)
    with pytest.raises(Refused, match="GiB of weights beside its decoder"):
        exporter._check_size(network, folder)


def test_packed_weights_are_all_of_the_network_and_one_view_is_counted(folder, tmp_path):
    packed = {view: export_sparse(folder, tmp_path / f"{view}.safetensors", modality=view) for view in VIEWS}
    assert len({each.bytes for each in packed.values()}) == 1
    assert all(each.sparsity == pytest.approx(0.5, abs=0.01) for each in packed.values())
    work = {view: each.second.dense for view, each in packed.items()}
    assert max(work["video"], work["audio"]) < work["av"] < work["video"] + work["audio"]
    assert len({each.token.dense for each in packed.values()}) == 1
    for each in packed.values():
        assert each.second.share == pytest.approx(0.5, abs=0.1) == each.token.share
    before = runs.open_run(folder)
    after = import_weights(packed["video"].path, folder, tmp_path / "back").run
    assert (after.about, after.network) == (before.about, before.network)
    theirs, ours = before.whole().state_dict(), after.whole().state_dict()
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_a_view_that_a_run_has_not(tmp_path):
    plain = small_run(tmp_path / "plain", small_network())
    with pytest.raises(Misused, match="--modality audio: plain reads lips"):
        export_onnx(plain, modality="audio")
    assert not list(plain.glob("*.onnx"))
