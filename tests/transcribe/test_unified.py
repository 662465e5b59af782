"""A unified run reads a video as lips, as ears or as both, and the transcript says as which."""

import json

import pytest
from people import talking
from small_runs import small_run, small_unified
from transcribe.test_files import ask
from videos import tone, write_video

from avsr_bench.records import Misused


def test_a_video_is_read_as_the_view_that_is_asked_for(tmp_path):
    model = small_run(tmp_path / "runs/synth/usr-tiny-s0", small_unified())
    talk = write_video(tmp_path / "talk.mp4", talking(30), sound=tone(1.2))
    mute = write_video(tmp_path / "mute.mp4", talking(20))
    with pytest.raises(Misused, match="synth/usr-tiny-s0 reads lips, hears and does both: say which with --modality"):
        ask(talk, model=model)
    said = {}
    for view in ("video", "audio", "av"):
        shown, failures, _ = ask(talk, model=model, modality=view, format="json")
        assert failures == []
        said[view] = json.loads(shown)
        about = said[view]["model"]
        assert (about["run"], about["modality"]) == (f"synth/usr-tiny-s0@{view}", view)
    assert len({json.dumps(each["utterances"]) for each in said.values()}) == 3
    assert ask(mute, model=model, modality="video")[1] == []
    [why] = ask(mute, model=model, modality="av")[1]
    assert "has no sound, and synth/usr-tiny-s0@av listens" in why
