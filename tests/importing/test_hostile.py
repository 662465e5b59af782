"""Files of others that are no weights, or more than they seem: one line each, at once, and nothing is left of them."""

import json
import os
import re
import struct
import zipfile

import pytest
import safetensors.torch
import torch
from importing.test_importing import published
from small_runs import small_network, small_run, small_tokenizer, thinned

from avsr_bench.export import export_sparse
from avsr_bench.importing import import_weights
from avsr_bench.records import Refused
from avsr_bench.runs import open_run


@pytest.fixture
def spm(tmp_path):
    path = tmp_path / "SP.model"
    path.write_bytes(small_tokenizer().model)
    return path


def refusal(file, tokenizer, out, units=None):
    with pytest.raises(Refused) as caught:
        import_weights(file, tokenizer, out, units)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600
    assert not out.exists()
    return line


def deep(depth):
    content = {}
    for _ in range(depth):
        content = {"state_dict": content}
    return content


NAME = "ctc.ctc_lo.weight"
WRONG = {
    "integer keys": (lambda good: {1: torch.zeros(3), 2: torch.zeros(4)}, "holds no weights"),
    "an optimiser": (lambda good: {"state": {0: {"step": 1}}, "param_groups": []}, "holds no weights"),
    "a list": (lambda good: [torch.zeros(3)], "holds no weights"),
    "a tensor": (lambda good: torch.zeros(3), "holds no weights"),
    "nothing": (lambda good: {}, "holds no weights"),
    "no tensors": (lambda good: {"a": 1, "b": "text"}, "holds no weights"),
    "nested": (lambda good: deep(300), "holds no weights|not a whole file"),
    "a weight of NaN": (lambda good: good | {NAME: good[NAME] * torch.nan}, "not a number"),
    "a weight without end": (lambda good: good | {NAME: good[NAME] + torch.inf}, "without end"),
    "whole numbers": (lambda good: good | {NAME: good[NAME].to(torch.int8)}, "ctc.weight is of int8"),
    "one number seen often": (lambda good: good | {NAME: torch.zeros(1).expand(10**6, 10**6)}, "not a plain tensor"),
    "a sparse tensor": (lambda good: good | {NAME: torch.eye(3).to_sparse()}, "not a plain tensor"),
    "a tensor nowhere": (lambda good: good | {NAME: torch.empty(10**9, device="meta")}, "not a plain tensor"),
    "no dimension": (lambda good: good | {NAME: torch.tensor(1.0)}, "shapes of no network"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_pickle_that_is_no_network(tmp_path, spm, kind):
    make, says = WRONG[kind]
    torch.save(make(published(small_network())), tmp_path / "weights.pt")
    line = refusal(tmp_path / "weights.pt", spm, tmp_path / "out")
    assert re.search(says, line), line


def test_weights_beside_an_optimiser_with_integer_keys_are_read(tmp_path, spm):
    content = published(small_network()) | {0: torch.zeros(3)}
    torch.save(content, tmp_path / "weights.pt")
    assert import_weights(tmp_path / "weights.pt", spm, tmp_path / "out").report.loaded


@pytest.mark.parametrize("which", ["weights", "tokenizer", "units"])
def test_what_is_no_file_is_not_waited_for(tmp_path, spm, which):
    torch.save(published(small_network()), tmp_path / "weights.pt")
    given = {"weights": tmp_path / "weights.pt", "tokenizer": spm, "units": None}
    os.mkfifo(tmp_path / "pipe")
    given[which] = tmp_path / "pipe"
    assert "a pipe" in refusal(given["weights"], given["tokenizer"], tmp_path / "out", given["units"])
    if which != "tokenizer":  # which may be the folder of a run
        given[which] = tmp_path
        assert "a folder" in refusal(given["weights"], given["tokenizer"], tmp_path / "out", given["units"])


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"x" * 100, b"PK\x03\x04", b"\x80\x02.", struct.pack("<Q", 2**60)])
def test_a_file_of_a_few_bytes(tmp_path, spm, name, content):
    (tmp_path / name).write_bytes(content)
    assert "not a whole" in refusal(tmp_path / name, spm, tmp_path / "out")


def test_an_archive_that_unpacks_to_more_than_it_has(tmp_path, spm):
    torch.save(published(small_network()), tmp_path / "weights.pt")
    bomb = tmp_path / "bomb.pt"
    with zipfile.ZipFile(tmp_path / "weights.pt") as plain, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in plain.namelist():
            packed.writestr(part, plain.read(part))
        packed.writestr("archive/data/bomb", b"\0" * 50_000_000)
    assert "unpacks to 50," in refusal(bomb, spm, tmp_path / "out")


def with_header(path, out, change):
    """A safetensors file with its header changed."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    out.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return out


def test_a_header_that_claims_more_than_the_file_has(tmp_path, spm):
    safetensors.torch.save_file(published(small_network()), tmp_path / "good.safetensors")

    def claim(header):
        header[NAME] = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}

    file = with_header(tmp_path / "good.safetensors", tmp_path / "bad.safetensors", claim)
    assert "not a whole safetensors file" in refusal(file, spm, tmp_path / "out")


HEADERS = {
    "shapes that are huge": ("shapes", lambda shapes: {name: [10**6, 10**6] for name in shapes}, "do not fit together"),
    "shapes below 0": ("shapes", lambda shapes: {name: [-1] for name in shapes}, "do not fit together"),
    "shapes nested": ("shapes", lambda shapes: {name: [[1]] for name in shapes}, "do not fit together"),
    "shapes of text": ("shapes", lambda shapes: dict.fromkeys(shapes, "12"), "do not fit together"),
    "shapes in a list": ("shapes", lambda shapes: list(shapes), "do not fit together"),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    home = tmp_path_factory.mktemp("packed")
    folder = small_run(home / "dense", thinned(small_network("video"), 0.7))
    return folder, export_sparse(folder, home / "packed.safetensors").path


@pytest.mark.parametrize("kind", HEADERS)
def test_packed_weights_whose_shapes_are_none(tmp_path, packed, kind):
    folder, good = packed
    key, make, says = HEADERS[kind]

    def change(header):
        header["__metadata__"][key] = json.dumps(make(json.loads(header["__metadata__"][key])))

    assert says in refusal(with_header(good, tmp_path / "bad.safetensors", change), folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("shapes", "says"), [("[" * 100_000, "deep"), ("{", "fit together"), ('{"a": [1], "a": [1]}', "twice")]
)
def test_packed_weights_whose_header_is_no_json(tmp_path, packed, shapes, says):
    folder, good = packed
    file = with_header(good, tmp_path / "bad.safetensors", lambda header: header["__metadata__"].update(shapes=shapes))
    assert says in refusal(file, folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("width: 16", "width: 96000000", "width = 96000000"),
        ("width: 16", "width: 16384", "numbers, and a network of its settings has"),
        ("encoder_blocks: 2", "encoder_blocks: 200", "numbers, and a network of its settings has"),
        ("encoder_blocks: 2", "encoder_blocks: yes", "encoder_blocks = 'yes'"),
        ("run:", "run: &a", "for a recipe is none"),
        ("run:", "run: {a: [" + "[" * 50_000, "for a recipe is none"),
    ],
)
def test_the_recipe_in_a_header(tmp_path, packed, old, new, says):
    folder, good = packed

    def change(header):
        recipe = header["__metadata__"]["recipe"]
        assert old in recipe
        header["__metadata__"]["recipe"] = recipe.replace(old, new, 1)

    assert says in refusal(with_header(good, tmp_path / "bad.safetensors", change), folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("width: 16", "width: 96000000", "width = 96000000"),
        ("width: 16", "width: 16384", "numbers, and a network of its settings has"),
        ("run:", "run:\n" + "  a:\n" * 3, "not a file of settings"),
    ],
)
def test_a_run_whose_recipe_says_something_else(tmp_path, old, new, says):
    folder = small_run(tmp_path / "run", small_network())
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(recipe.replace(old, new, 1))
    with pytest.raises(Refused, match=says) as caught:
        open_run(folder).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "units", ["[" * 100_000, '{"text_version": 1, "units": ' + "[" * 5000, "[1]", "NaN", '{"units": 3}']
)
def test_a_list_of_units_that_is_none(tmp_path, units):
    folder = small_run(tmp_path / "run", small_network())
    (folder / "tokenizer.json").write_text(units)
    with pytest.raises(Refused, match=r"tokenizer\.json is damaged: it should hold text_version and units"):
        open_run(folder).tokenizer()


def test_a_model_of_too_many_bytes(tmp_path):
    (tmp_path / "large.model").touch()
    os.truncate(tmp_path / "large.model", 2**40)
    torch.save(published(small_network()), tmp_path / "weights.pt")
    assert "more than the" in refusal(tmp_path / "weights.pt", tmp_path / "large.model", tmp_path / "out")
