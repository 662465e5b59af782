"""`avsr-bench noise`: what it prints, and how it ends."""

import json

import pytest
from typer.testing import CliRunner
from videos import scene, write_video

from avsr_bench import media, noise
from avsr_bench.cli.noise import app
from avsr_bench.records import Misused, Refused


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_every_family():
    done = run("list")
    assert done.exit_code == 0
    for name, family in noise.FAMILIES.items():
        line = next(line for line in done.stdout.splitlines() if line.startswith(name))
        assert ("unseen" in line) != family.seen
        assert family.what in line


def test_list_as_json():
    found = json.loads(run("list", "--json").stdout)
    assert found["version"] == noise.VERSION
    assert list(found["families"]) == list(noise.FAMILIES)
    assert [name for name, row in found["families"].items() if row["seen"]] == list(noise.SEEN)
    assert found["families"]["jpeg"]["levels"] == list(noise.FAMILIES["jpeg"].levels)


def test_preview_draws_and_says_what(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("preview", "--out", "sheet.png", "--seed", 2)
    assert (done.exit_code, done.stdout) == (0, "sheet.png: every family and level on a drawn mouth\n")
    assert (tmp_path / "sheet.png").exists()


def test_apply_writes_and_says_what(tmp_path):
    source = write_video(tmp_path / "talk.mp4", [scene(n) for n in range(30)])
    done = run("apply", source, tmp_path / "out.mp4", "--noise", "jpeg:7")
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path}/out.mp4: 30 frames of 320x240 with jpeg:7, sound none\n"
    assert media.probe(tmp_path / "out.mp4").frames == 30


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ("jpeg", Misused, "noise is written FAMILY:LEVEL"),
        ("fog:3", Misused, "no noise is called 'fog'. There is: blockwise, blur"),
        ("blur:11", Misused, "whole number from 0"),
        ("blur:3", Refused, "talk.mp4 cannot be used: missing-file"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(tmp_path, asked, kind, said):
    done = run("apply", tmp_path / "talk.mp4", tmp_path / "out.mp4", "--noise", asked)
    assert type(done.exception) is kind
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_wrong_usage_ends_with_2(tmp_path):
    for words in (("apply", tmp_path / "talk.mp4", tmp_path / "out.mp4"), ("preview", "--seed", "-1")):
        assert type(run(*words).exception) is Misused
