"""Recognisers of open vocabulary whose models lie in their packages, so that nothing is fetched: extra `label`.

They hear the sound of a clip as the shards have it, one clip at a time and in this process: several processes share a
corpus by `--part`.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Label, LabelHeader, Place
from ..records import RATE, Ancestor, Refused
from .labeller import Labeller, Show

SHORTEST = RATE // 2  # samples: both end in an error on a few hundred, and are given silence behind the sound


class Pocketsphinx:
    """CMU Pocketsphinx with the US English models of its package.

    Its confidence is the posterior of the best path in the lattice, as the geometric mean over words, since it falls
    with every word.
    """

    def __init__(self) -> None:
        from pocketsphinx import Decoder, get_model_path

        self.decoder = Decoder(loglevel="FATAL", samprate=float(RATE))
        self.header = _header("pocketsphinx", "BSD-2-Clause", Path(get_model_path()) / "en-us", {"model": "en-us"})

    def label(self, places: Sequence[Place], show: Show, workers: int) -> Iterator[tuple[Place, Label]]:
        """One clip after another."""
        for place in places:
            with warnings.catch_warnings():
                # Deprecated as unnecessary in 5.1. Without it the posterior of every clip depends on those before it:
                # of 24 clips in two orders none had the same, with it all.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.decoder.start_stream()
            self.decoder.start_utt()
            self.decoder.process_raw(_sound(place, show).astype("<i2").tobytes(), full_utt=True)
            self.decoder.end_utt()
            found = self.decoder.hyp()
            text = found.hypstr if found is not None else ""
            sure = min(found.prob, 1.0) ** (1 / max(len(text.split()), 1)) if found is not None else 0.0
            yield place, Label(text, round(sure, 4))


class Moonshine:
    """Moonshine's tiny English model, 0.1.0: later packages carry none. It does not say how sure it is.

    Its voice detector is off: it carries a state from clip to clip, so that the text of a clip would depend on the one
    before, and prepared clips are utterances already.
    """

    OPTIONS: Mapping[str, str] = {"vad_threshold": "0.0"}

    def __init__(self) -> None:
        import moonshine_voice

        model = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
        if not model.is_dir():
            raise Refused(
                f"moonshine-voice {importlib.metadata.version('moonshine-voice')} carries no model:"
                " pip install 'moonshine-voice==0.1.0'"
            )
        self.transcriber = moonshine_voice.Transcriber(
            model, moonshine_voice.ModelArch.TINY, options=dict(self.OPTIONS)
        )
        self.header = _header("moonshine-voice", "MIT", model, {"model": "tiny-en", **self.OPTIONS})

    def label(self, places: Sequence[Place], show: Show, workers: int) -> Iterator[tuple[Place, Label]]:
        """One clip after another; it computes on several threads of its own."""
        for place in places:
            sound = (_sound(place, show) / 2**15).astype(np.float32)
            heard = self.transcriber.transcribe_without_streaming(sound.tolist(), RATE)
            yield place, Label(" ".join(line.text for line in heard.lines).strip(), None)


PROGRAMS: Mapping[str, Callable[[], Labeller]] = {"pocketsphinx": Pocketsphinx, "moonshine": Moonshine}


def open_program(name: str) -> Labeller:
    """A recogniser of `PROGRAMS`."""
    try:
        return PROGRAMS[name]()
    except ImportError as error:
        raise Refused(f"--with {name} needs {error.name}: pip install 'avsr-bench[label]'") from None


def _sound(place: Place, show: Show) -> np.ndarray:
    sound = show(place).sound
    assert sound is not None  # the job leaves clips without sound out
    return np.pad(sound, (0, max(SHORTEST - len(sound), 0)))


def _header(package: str, licence: str, model: Path, decoding: Mapping[str, Any]) -> LabelHeader:
    digest = blake2b(digest_size=8)
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        digest.update(file.relative_to(model).as_posix().encode())
        digest.update(file.read_bytes())
    name = f"{package} {importlib.metadata.version(package)}"
    return LabelHeader(
        labeller=name,
        licence=licence,
        weights=digest.hexdigest(),
        modality="audio",
        decoding=decoding,
        ancestors=(Ancestor(name, None, digest.hexdigest()),),
    )
