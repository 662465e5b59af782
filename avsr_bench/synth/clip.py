"""Make one clip: an MP4 with picture and sound, and beside it what is known about its picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..files import whole
from .mouth import inner_edge
from .portrait import LEFT_EYE, LOWER_OUTER, NOSE, RIGHT_EYE, UPPER_OUTER
from .scene import Drawing, compose, draw, make_scene
from .settings import SynthSettings, Utterance, rng_for
from .speaker import make_speaker
from .speech import RATE, Phone, Speech, speak
from .visemes import articulate

_H264 = {"preset": "veryfast", "crf": "24", "x264-params": "mbtree=0"}  # with mbtree the bytes differ from run to run
_PEAK = 0.5  # the loudest sample, before a clip's own level of -6 to 0 dB
_ROOM = 10 ** (-65 / 20)  # a quiet room, against full scale: digital silence is not found in recordings


def render(utterance: Utterance, folder: Path, settings: SynthSettings) -> None:
    """Make one clip of the corpus in `folder`, whole or not at all; no other clip or process matters to it."""
    rng = rng_for(settings.seed, utterance.name, "clip")
    speaker = make_speaker(settings, utterance.speaker)
    rate = round(speaker.voice.rate * rng.uniform(0.93, 1.07))
    speech = speak(utterance.text, replace(speaker.voice, rate=rate))
    lead, tail = rng.uniform(0.2, 0.45, 2)
    frames = int(np.ceil((lead + len(speech.sound) / RATE + tail) * settings.fps))
    phones = tuple(Phone(p.label, p.start + lead, p.end + lead) for p in speech.phones)
    moments = (np.arange(frames) + 0.5) / settings.fps  # the middle of each frame's exposure
    care = rng.uniform(0.75, 1.15)  # how clearly this sentence is spoken
    jaw, part, width = (care * s for s in speaker.strength)
    mouth = articulate(phones, moments, (jaw, part, width), speaker.fade)
    scene = make_scene(speaker, frames, settings.fps, settings.size, settings.motion, settings.light, rng)
    drawing = compose(speaker, scene, mouth)
    sound = _lay_out(speech, lead, round(frames * RATE / settings.fps), rng)

    video, truth = folder / utterance.path, folder / utterance.truth_path
    video.parent.mkdir(parents=True, exist_ok=True)
    # The video goes into place last: where it is, the truth is too.
    with whole(truth) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **_truth(drawing, phones, settings.fps))
    with whole(video) as unfinished:
        pictures = (draw(drawing, frame) for frame in range(frames))
        _write_mp4(unfinished, pictures, sound, settings.size, settings.fps)


def _lay_out(speech: Speech, lead: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    """The sound of the clip, with its pauses, a level of its own and the noise of a quiet room."""
    sound = rng.normal(0, _ROOM, samples)
    start = round(lead * RATE)
    level = _PEAK * 10 ** (rng.uniform(-6, 0) / 20) / np.abs(speech.sound).max()
    sound[start : start + len(speech.sound)] += level * speech.sound
    return sound.astype(np.float32)


def _truth(drawing: Drawing, phones: tuple[Phone, ...], fps: int) -> dict[str, np.ndarray]:
    """Where things are, in pixels (the middle of the first one is 0, 0) and seconds; left and right of the picture."""
    places = drawing.places
    outline = [*UPPER_OUTER, *LOWER_OUTER[1:-1]]
    edge = inner_edge(places)
    return {
        "mouth": places[:, outline].mean(1).astype(np.float32),  # T, 2: middle of the outline of the lips
        "corners": places[:, [UPPER_OUTER[0], UPPER_OUTER[-1]]].astype(np.float32),  # T, 2, 2
        "eyes": np.stack([places[:, eye].mean(1) for eye in (LEFT_EYE, RIGHT_EYE)], 1).astype(np.float32),  # T, 2, 2
        "nose": places[:, NOSE].astype(np.float32),  # T, 2: its tip
        "opening": np.linalg.norm(edge[:, 15] - edge[:, 5], axis=1).astype(np.float32),  # T: between the lips
        "controls": drawing.mouth,  # T, 5: visemes.CONTROLS
        "phones": np.array([p.label for p in phones]),
        "phone_times": np.array([(p.start, p.end) for p in phones]),  # seconds from the first frame
        "fps": np.array(fps),
    }


def _write_mp4(path: Path, pictures: Iterable[np.ndarray], sound: np.ndarray, size: int, fps: int) -> None:
    """H.264 in BT.601 yuv420p and AAC; nothing in the file depends on the clock or on the number of cores."""
    import av
    import cv2
    from av.codec.context import Flags

    with av.open(path, "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=fps, options=_H264)
        video.width = video.height = size
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=64_000)
        for stream in (video, audio):
            stream.codec_context.flags |= Flags.bitexact
            stream.codec_context.thread_count = 1
        whole = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
        whole.sample_rate = RATE
        whole.pts = 0
        container.mux(audio.encode(whole))
        container.mux(audio.encode(None))
        for number, picture in enumerate(pictures):
            # OpenCV's is BT.601 in the range of television, what untagged video is taken for.
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
