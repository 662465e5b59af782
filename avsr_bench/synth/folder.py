"""The corpus on disk: its manifest for the `folder` reader, and which clips are still to be made."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..bounded import parse_json, read_bytes
from ..corpora.files import VIDEOS, split_suffix, walk
from ..corpora.manifest import NAMES
from ..files import write_whole
from ..records import Refused
from .settings import SynthSettings, Utterance, utterances

SETTINGS_FILE = "synth.json"
MANIFEST = "manifest.jsonl"
VERSION = 1  # of the drawing: raised when the same settings give other clips than before


def write_manifest(settings: SynthSettings, folder: Path) -> None:
    """Claim `folder` for these settings and list in `manifest.jsonl` all that will be in it, made or not.

    A folder that holds a corpus of other settings is refused.
    """
    _check(settings, folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ({"path": u.path, "text": u.text, "split": u.split, "speaker": u.speaker} for u in utterances(settings))
    write_whole(folder / SETTINGS_FILE, json.dumps({"version": VERSION, **asdict(settings)}, indent=1) + "\n")
    write_whole(folder / MANIFEST, "".join(json.dumps(row) + "\n" for row in rows))


def missing(settings: SynthSettings, folder: Path) -> list[Utterance]:
    """The clips that are not in `folder` yet, in the order of `utterances`."""
    _check(settings, folder)
    there = {str(p.relative_to(folder)) for p in folder.glob("*/*/*") if not p.name.startswith(".")}
    return [u for u in utterances(settings) if not (u.path in there and u.truth_path in there)]


def _check(settings: SynthSettings, folder: Path) -> None:
    path = folder / SETTINGS_FILE
    if not path.exists():
        _check_free(folder)
        return
    try:
        found = parse_json(read_bytes(path))
    except ValueError:
        found = {}
    wanted = {"version": VERSION, **asdict(settings)}
    differ = [name for name in wanted if not isinstance(found, dict) or found.get(name) != wanted[name]]
    if differ:
        name = differ[0]
        have = found.get(name) if isinstance(found, dict) else None
        raise Refused(
            f"{folder} holds a synthetic corpus with {name}={have!r}, not {wanted[name]!r}: "
            "give another folder, the old settings, or remove it"
        )


def _check_free(folder: Path) -> None:
    """Refuse a folder in which somebody else's corpus lies."""
    for inner in walk(folder) if folder.exists() else ():
        for name in inner.files:
            if (inner.name == "" and name.lower() in NAMES) or split_suffix(name)[1] in VIDEOS:
                raise Refused(
                    f"{folder} holds {inner.inside(name)} and no {SETTINGS_FILE}: it is not a synthetic corpus; "
                    "give an empty folder with --root, or prepare what is there with `avsr-bench prep folder`"
                )
