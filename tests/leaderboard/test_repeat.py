"""A row measured again: by its fields, whoever made it."""

import json
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main
import warm
from archives import members, put, text, write
from heard import Silence, make_corpus, make_run, make_videos, speaking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from videos import tone, write_video

from avsr_bench import evaluation
from avsr_bench.cli import app
from avsr_bench.leaderboard.repeat import Places, plan_rerun
from avsr_bench.leaderboard.rows import Found, find_row
from avsr_bench.noise.sound import KINDS
from avsr_bench.records import Misused, Refused


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder where people work: a corpus, runs of it, and beside it what is none of our business."""
    folder = tmp_path_factory.mktemp("work") / "here"
    (folder / "videos").mkdir(parents=True)
    corpus = make_corpus(make_videos(folder / "videos"), folder / "data/small")
    make_run(folder / "runs/small/video-s1", corpus)
    make_run(folder / "runs/small/audio-s1", corpus, "audio")
    make_run(folder.parent / "outside/run", corpus)
    (folder.parent / "kept").mkdir()
    (folder.parent / "kept/clean.jsonl").write_text("kept\n")
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def measured(here, run="small/video-s1", **asked):
    """A row as `evaluate` leaves it."""
    out = here / "results"
    request = evaluation.EvaluateRequest(run=f"runs/{run}", data="data/small", out=out, command="avsr-bench x", **asked)
    return find_row(str(evaluation.evaluate(request, Silence()).path), Found(()))


def asked_for(words):
    """What the command line understands by the words of a plan."""
    command = typer.main.get_command(app).commands["evaluate"]
    return command.make_context("evaluate", list(words[1:])).params


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def avsr(*words, cwd):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*warm.avsr(), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)


def test_the_words_of_a_result_are_never_run(here):
    # By the same command line: an untrained network is unsure of its letters, and threads decide.
    asked = ("--data", "data/small", "--limit", "4", "--noise", "jpeg:7", "--seed", "3", "--out", "results")
    assert avsr("evaluate", "runs/small/video-s1", *asked, cwd=here).returncode == 0
    row = find_row("results/test-some4.zip/jpeg_7.seed3", Found(()))
    content = json.loads(text(row.path))
    target = here.parent / "kept"
    content["command"] = shlex.join(["avsr-bench", "evaluate", "runs/small/video-s1", "--out", str(target), "--"])
    put(row.path, json.dumps(content))
    before = tree(here.parent)
    done = avsr("leaderboard", "rerun", row.path, cwd=here)
    assert done.returncode == 0, done.stderr
    assert tree(here.parent) == before
    command, *reads, writes, kept, now, verdict = done.stdout.splitlines()
    words = shlex.split(command)
    assert words[:3] == ["$", "avsr-bench", "evaluate"] and str(target) not in command
    asked = asked_for(words[2:])
    assert (asked["run"], asked["noise"], asked["seed"], asked["limit"]) == ("runs/small/video-s1", "jpeg:7", 3, 4)
    assert reads == [
        "reads runs/small/video-s1: the weights of the row",
        "reads data/small: as the row read it",
    ]
    assert writes == f"writes {asked['out']}, which is removed afterwards" and not asked["out"].exists()
    assert kept.startswith("kept  ") and now.startswith("now   ") and verdict == "the same, count by count"


def test_what_differs_is_said_beforehand(here):
    row = measured(here)
    result = replace(
        row.result, weights="0123", corpus_fingerprint="4567", decoding={"kind": "beam", "beam": 4, "nbest": 3}
    )
    plan = plan_rerun(replace(row, result=result), Places())
    said = "\n".join(plan.reads)
    assert "other weights than those of the row" in said and "another state than the row read" in said
    assert "nbest is 1, and was 3" in said and "--beam=4" in plan.words


@pytest.mark.parametrize(
    ("condition", "asked", "given"),
    [
        ("babble:-5", "babble:-5", ()),
        ("voice:-5", "voice:-5", ()),
        ("two-voices-synth:0", "two-voices:0", ("sound.babble=synth",)),
        ("babble-synth-over-speech:2.5", "babble:2.5", ("sound.snr_over=speech", "sound.babble=synth")),
        ("white-over-speech:0", "white:0", ("sound.snr_over=speech",)),
    ],
)
def test_sounds_by_their_names(here, condition, asked, given):
    row = measured(here, "small/audio-s1")
    noisy = replace(row.result, condition=condition, noise_on="sound", noise_seed=2, noise_version=1)
    found = asked_for(plan_rerun(replace(row, result=noisy), Places()).words)
    assert (found["sound"], tuple(found["settings"] or ()), found["seed"]) == (asked, given, 2)


def test_a_recording_is_given_by_its_file(here):
    write_video(here / "cafe.mp4", speaking(12, 0), sound=tone(1.0))
    row = measured(here, "small/audio-s1", sound="cafe.mp4:5")
    with pytest.raises(Refused, match="say which file it is with --sound FILE"):
        plan_rerun(row, Places())
    plan = plan_rerun(row, Places(sound=Path("cafe.mp4")))
    assert asked_for(plan.words)["sound"] == "cafe.mp4:5"
    with pytest.raises(Refused, match="was measured under cafe-"):
        plan_rerun(row, Places(sound=next((here / "videos").glob("*.mp4"))))


@pytest.mark.parametrize(
    ("changes", "places", "says"),
    [
        ({"run": "small/gone"}, Places(), "there is no run in runs/small/gone: say where .* is with --run DIR"),
        ({"corpus": "gone"}, Places(), "data/gone: there is no prepared corpus"),
        ({"split": "night"}, Places(), "has no split night"),
        ({"split": "test-some0"}, Places(), "has no split"),
        ({"decoding": {"kind": "--out=x"}}, Places(), "was decoded by '--out=x'"),
        ({"decoding": {"kind": "beam", "beam": True}}, Places(), "a beam of True"),
        ({"condition": "jpeg:3"}, Places(), "does not say where its noise was applied"),
        ({"condition": "jpeg:0", "noise_on": "mouth", "noise_seed": 0}, Places(), "no noise is called"),
        ({"condition": "jpeg:3", "noise_on": "frame", "noise_seed": 0}, Places(), "with --root DIR"),
        ({"condition": "white: 3", "noise_on": "sound", "noise_seed": 0}, Places(), "no sound is called"),
        ({"condition": "white:3,4", "noise_on": "sound", "noise_seed": 0}, Places(), "no sound is called"),
        ({"condition": "/etc/x.wav:3", "noise_on": "sound", "noise_seed": 0}, Places(), "say which file it is"),
        ({}, Places(root=Path("videos")), "--root is for noise on full frames"),
        ({}, Places(sound=Path("x.wav")), "--sound is for recorded noise"),
    ],
)
def test_what_cannot_be_measured_again_is_refused_beforehand(here, changes, places, says):
    row = measured(here)
    with pytest.raises((Refused, Misused), match=says):
        plan_rerun(replace(row, result=replace(row.result, **changes)), places)


TRICKS = [
    *("../outside/run", "../../outside/run", "/etc", "--out=/x", "-h", "--", "a\nb", "a\0b", "", ".", "..", "\x1b[2J"),
    *("small/video-s1", "small/../../../outside/run", "small", "test", "test-some2", "test-some0", "../kept", "valid"),
    *(
        "clean",
        "babble:0",
        "babble-synth:1",
        "x.wav:3",
        "/etc/passwd:1",
        "jpeg:3",
        "jpeg:0",
        "--noise=jpeg:3",
        "jpeg:03",
    ),
    *("beam", "ctc", "attention", "sound", "mouth", "frame", "\ud800", "\u202e", "=x", "a" * 10**5),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            ["run", "corpus", "split", "condition", "noise_on", "weights", "command", "kind", "beam", "noise_seed"]
        ),
        st.sampled_from(TRICKS) | st.text(max_size=8) | st.integers(-2, 2**70) | st.none() | st.floats(),
        max_size=6,
    )
)
def test_whatever_the_fields_say_a_command_stays_among_ours(place, changes):
    os.chdir(place)
    good = place / "good.zip/clean"
    if not good.parent.exists():
        write(good.parent, members(measured(place).path.parent))
    content = json.loads(text(good))
    content["decoding"].update({name: changes.pop(name) for name in ("kind", "beam") if name in changes})
    odd = place / "odd.zip/clean"
    write(odd.parent, members(good.parent))
    put(odd, json.dumps({**content, **changes}))
    before = tree(place.parent)
    try:
        words = plan_rerun(find_row(str(odd), Found(())), Places()).command("/tmp/out")
    except Refused as refused:
        assert "\n" not in str(refused).replace("\\n", "")
        return
    finally:
        assert tree(place.parent) == before
    asked = asked_for(words)
    assert asked["out"] == Path("/tmp/out")
    assert Path(asked["run"]).resolve().is_relative_to(place / "runs") and asked["run"].startswith("runs/")
    assert asked["data"] == "data/small" and asked["split"] in ("test", "train", "valid")
    assert asked["root"] is None and not asked["as_json"]
    assert (asked["sound"] or "white:0").partition(":")[0] in KINDS
    assert all(each.startswith("sound.") for each in asked["settings"] or ())
