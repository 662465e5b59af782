"""Published files in every wrapping become runs; what is none is refused in one line, and nothing is left of it."""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from small_runs import small_network, small_run, small_tokenizer, thinned

from avsr_bench import runs
from avsr_bench.decoding import DecodeSettings, decode
from avsr_bench.export import export_sparse
from avsr_bench.importing import import_weights
from avsr_bench.nn import FrontendSettings, published_name
from avsr_bench.records import Misused, Refused


@pytest.fixture
def spm(tmp_path):
    """The SentencePiece model of the small tokenizer, alone."""
    path = tmp_path / "SP.model"
    path.write_bytes(small_tokenizer().model)
    return path


def published(network, release="current"):
    return {published_name(name, network.modality, release): value for name, value in network.state_dict().items()}


def wrapped(kind, weights, folder):
    path = folder / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    if kind == "safetensors":
        safetensors.torch.save_file(weights, path)
    elif kind == "lightning":
        options = {"args": argparse.Namespace(lr=1e-3)}
        inner = {f"model.{name}": value for name, value in weights.items()}
        torch.save({"epoch": 3, "state_dict": inner, "hyper_parameters": options}, path)
    else:
        torch.save(weights, path)
    return path


class Malice:
    def __reduce__(self):
        return os.system, ("true",)


def refused(tmp_path, file, tokenizer, message, units=None, out=None):
    with pytest.raises(Refused, match=message) as caught:
        import_weights(file, tokenizer, out or tmp_path / "runs" / "name", units)
    assert "\n" not in str(caught.value)
    assert out is not None or not (tmp_path / "runs" / "name").exists()
    return caught.value


def test_a_pickle_with_code_in_it_is_refused(tmp_path, spm):
    torch.save({"state_dict": Malice()}, tmp_path / "weights.pth")
    refused(tmp_path, tmp_path / "weights.pth", spm, r"would run (posix|os)\.system")


def test_half_a_file_is_refused(tmp_path, spm):
    file = wrapped("bare", published(small_network()), tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    refused(tmp_path, file, spm, "not a whole file of weights")


def test_a_file_that_is_not_there_is_refused(tmp_path, spm):
    refused(tmp_path, tmp_path / "nothing.pth", spm, r"cannot read .*nothing\.pth: No such file")


def test_a_wrong_tokenizer_is_refused(tmp_path, spm):
    file = wrapped("bare", published(small_network(tokens=40)), tmp_path)
    refused(tmp_path, file, spm, r"has 40 tokens, and .*SP\.model has \d+: they do not belong together; .*--units")
    refused(tmp_path, file, tmp_path / "none.model", r"cannot read .*none\.model")
    (tmp_path / "text.model").write_text("no model")
    refused(tmp_path, file, tmp_path / "text.model", "not a SentencePiece model")
    with pytest.raises(Misused, match="its own list of units"):
        import_weights(file, small_run(tmp_path / "run", small_network()), tmp_path / "x", tmp_path / "units.txt")


def test_the_first_shape_that_differs_is_named(tmp_path, spm):
    weights = published(small_network())
    weights["encoder.encoders.1.feed_forward.w_1.weight"] = torch.zeros(99, 16)
    message = r"encoders\.video\.blocks\.1\.feed_forward_out\.expand\.weight is \(99, 16\) in the file and \(24, 16\)"
    refused(tmp_path, wrapped("bare", weights, tmp_path), spm, message)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("encoder.encoders.1.norm_final.bias", r"has no encoders\.video\.blocks\.1\.norm\.bias \(16,\)"),
        ("encoder.encoders.0.self_attn.pos_bias_u", r"has no encoders\.video\.blocks\.0\.attention\.content_bias"),
        ("ctc.ctc_lo.weight", "a part of a network"),
    ],
)
def test_what_a_file_lacks_is_named(tmp_path, spm, gone, message):
    weights = published(small_network())
    del weights[gone]
    refused(tmp_path, wrapped("bare", weights, tmp_path), spm, message)


def test_shapes_of_no_network_are_refused(tmp_path, spm):
    for entry, value in {
        "ctc.ctc_lo.weight": torch.zeros(9),
        "encoder.encoders.0.self_attn.pos_bias_u": torch.zeros(5, 1),
    }.items():
        file = wrapped("bare", published(small_network()) | {entry: value}, tmp_path)
        refused(tmp_path, file, spm, "shapes of no network|even multiple of heads")


def test_a_front_end_alone_says_what_it_is_good_for(tmp_path, spm):
    trunk = {name.removeprefix("frontend."): value for name, value in published(small_network()).items()}
    trunk = {name: value for name, value in trunk.items() if name.startswith(("trunk", "frontend3D"))}
    torch.save({"model_state_dict": trunk}, tmp_path / "lrw.pth.tar")
    refused(
        tmp_path, tmp_path / "lrw.pth.tar", spm, r"a front-end alone, .* init\.run=\S+lrw\.pth\.tar init\.part=frontend"
    )


def test_the_weights_of_a_run_are_no_published_file(tmp_path, spm):
    folder = small_run(tmp_path / "own", small_network())
    refused(tmp_path, folder / "model.safetensors", spm, "copy all of it")


def test_what_is_there_is_not_touched(tmp_path, spm):
    file = wrapped("bare", published(small_network()), tmp_path)
    out = tmp_path / "there"
    out.mkdir()
    refused(tmp_path, file, spm, r"--out .*there is there already", out=out)
    (tmp_path / "file").touch()
    refused(
        tmp_path,
        file,
        spm,
        r"cannot make .*file/name: Not a directory; choose another --out",
        out=tmp_path / "file" / "name",
    )


def test_a_full_disk_leaves_nothing(tmp_path, spm):
    file = wrapped("bare", published(small_network()), tmp_path)
    (tmp_path / "disk").mkdir()
    script = f"""
        mount -t tmpfs -o size=64k none {tmp_path}/disk || exit 77
        {sys.executable} -m avsr_bench import {file} --tokenizer {spm} --out {tmp_path}/disk/name
        code=$?; ls -A {tmp_path}/disk; exit $code
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a tmpfs: {done.stderr.strip()}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "No space left" in done.stderr
    assert done.stdout == ""


KINDS = [
    ("video", "current", "bare"),
    ("audio", "current", "lightning"),
    ("video", "first", "lightning"),
    ("audio", "first", "safetensors"),
    ("av", "first", "bare"),
]


@pytest.mark.parametrize(("modality", "release", "wrapping"), KINDS)
def test_a_published_file_becomes_a_run(modality, release, wrapping, tmp_path, spm):
    network = small_network(modality)
    file = wrapped(wrapping, published(network, release), tmp_path)
    imported = import_weights(file, spm, tmp_path / "runs" / "name")
    run = runs.open_run(tmp_path / "runs" / "name")
    for name, value in run.load().state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert (run.name, run.about.system, run.about.modality, run.about.size) == ("name", "name", modality, "")
    assert run.about.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert 0 < run.about.nonzero < run.about.parameters  # new biases are zero
    assert run.about.sparsity == 0
    assert run.network.mask_padding and run.network.attention_dropout == (0.1 if release == "first" else 0)
    assert run.decode == DecodeSettings(beam=40, ctc_weight=0.1)
    assert run.recipe["imported"]["names"] == release and len(run.recipe["imported"]["sha256"]) == 64
    assert run.tokenizer().encode("two") == small_tokenizer().encode("two")
    assert sum(part.parameters for part in imported.parts) == imported.report.parameters == run.about.parameters
    assert sum(part.entries for part in imported.parts) == len(network.state_dict())
    assert imported.report.unused == imported.report.kept == ()


def test_a_list_of_units_gives_the_numbers(tmp_path, spm):
    units = ["<unk>", "0123", *reversed(small_tokenizer().units[2:-1])]
    (tmp_path / "units.txt").write_text("".join(f"{unit} {number}\n" for number, unit in enumerate(units, 1)))
    file = wrapped("bare", published(small_network(tokens=len(units) + 2)), tmp_path)
    run = import_weights(file, spm, tmp_path / "out", tmp_path / "units.txt").run
    assert run.tokenizer().units == ("<blank>", *units, "<eos>")
    refused(tmp_path, file, spm, r"has \d+ tokens, and")


def test_what_has_no_place_is_reported(tmp_path, spm):
    weights = published(small_network()) | {"language_model.weight": torch.zeros(3)}
    report = import_weights(wrapped("bare", weights, tmp_path), spm, tmp_path / "out").report
    assert report.unused == ("language_model.weight",)


def test_packed_weights_become_the_run_they_were(tmp_path):
    folder = small_run(tmp_path / "dense", thinned(small_network("av"), 0.7))
    packed = export_sparse(folder, tmp_path / "packed.safetensors").path
    run = import_weights(packed, folder, tmp_path / "back").run
    assert asdict(run.about) == asdict(runs.open_run(folder).about)
    assert (run.network, run.decode) == (runs.open_run(folder).network, runs.open_run(folder).decode)
    for name in ("model.safetensors", "tokenizer.model", "tokenizer.json"):
        there, back = (root / name for root in (folder, tmp_path / "back"))
        if name == "model.safetensors":
            one, other = safetensors.torch.load_file(there), safetensors.torch.load_file(back)
            assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
        else:
            assert there.read_bytes() == back.read_bytes()


def test_the_command_prints_what_matched(tmp_path, spm):
    file = wrapped("bare", published(small_network("av"), "first"), tmp_path)
    command = [sys.executable, "-m", "avsr_bench", "import", file, "--tokenizer", spm, "--out", tmp_path / "name"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["ctc", "2", f"{16 * len(small_tokenizer()) + len(small_tokenizer()):,}"] in rows
    assert any(row[0] == "encoders.audio.frontend" for row in rows) and any(row[:1] == ["loaded"] for row in rows)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1) and "is there already" in again.stderr


PARITY = Path(__file__).parents[2] / "../shared/parity"


@pytest.mark.skipif(not PARITY.is_dir(), reason=f"{PARITY} is missing")
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_an_imported_network_answers_as_the_published_one(modality, tmp_path, spm):
    """From a file of the published names to the best hypothesis, through the run alone."""
    shape = {
        "width": 64,
        "heads": 4,
        "feed_forward": 128,
        "kernel": 31,
        "video": FrontendSettings(),
        "audio": FrontendSettings(),
    }
    weights = published(small_network(modality, tokens=60, **shape))
    for seed, (name, value) in enumerate(sorted(weights.items())):  # the rule of the folder's README
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed))
            if name.endswith("running_var"):
                drawn = drawn.abs() * 0.1 + 1
            elif value.ndim == 1:
                drawn = drawn * 0.05 + (1 if name.endswith("weight") else 0)
            else:
                drawn = drawn / value[0].numel() ** 0.5
            weights[name] = drawn
    units = ["<unk>", *small_tokenizer().units[2:-1]]
    units += [f"u{number}" for number in range(58 - len(units))]
    (tmp_path / "units.txt").write_text("\n".join(units))
    file = wrapped("lightning", weights, tmp_path)
    run = runs.open_run(import_weights(file, spm, tmp_path / "run", tmp_path / "units.txt").run.folder)
    network = run.load()
    clips = safetensors.torch.load_file(PARITY / f"auto_avsr_{modality}_tiny.safetensors")
    figures = json.loads((PARITY / f"auto_avsr_{modality}_tiny_beams.json").read_text())
    for figure in figures:
        if figure["beam"] != run.decode.beam:
            continue
        clip = figure["utterance"]
        frames = (29, 17)[clip]
        inputs = clips["input"].float()[clip : clip + 1, : frames * (640 if modality == "audio" else 1)]
        inputs = inputs[:, :, 0] if modality == "video" else inputs[..., 0]
        with torch.no_grad():
            memory, lengths = network.encode(inputs, torch.tensor([frames]))
        (best,) = decode(network, memory, lengths, run.decode)[0]
        expected = figure["nbest"][0]
        assert list(best.tokens) == [token for token in expected["tokens"] if token != 59]
        assert best.score == pytest.approx(expected["score"], abs=1e-3)
