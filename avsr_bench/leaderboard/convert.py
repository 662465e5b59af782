"""Results of the old form, a .json and a .jsonl for each condition in RUN/SPLIT/, carried over into archives.

A result is scored again before and after: counts and intervals have to be those that it has. Only then are the old
files removed; what cannot be carried over stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..bounded import parse_json, read_text
from ..files import refusing
from ..records import Refused
from ..scoring import Utterance, archive, merge, parse_result, score
from .rows import Row, row_name
from .verify import verify

GRADIENTS_AND_LAYERS = ("gradients.csv", "layers.csv")  # lay beside the results of a split; now beside its archive
LARGEST = 2**30  # bytes of hypotheses


def convert(folder: Path) -> Iterator[tuple[Path, str]]:
    """Carry over every result of the old form below a folder: its place, and why it stays there if it does."""
    for path in sorted(path.with_suffix(".json") for path in folder.rglob("*.jsonl") if archive.is_old(path)):
        try:
            _carry_over(path)
        except Refused as refused:
            yield path, str(refused)
        else:
            yield path, ""


def _carry_over(path: Path) -> None:
    result = parse_result(_of_today(read_text(path, archive.LARGEST_RESULT), path), str(path))
    heard = tuple(_utterances(path.with_suffix(".jsonl")))
    target = path.parent.with_name(f"{path.parent.name}{archive.SUFFIX}")
    if target.exists() and path.stem in archive.read_archive(target).names:
        raise Refused(f"{target} has {path.stem} already: remove what is not wanted, {path} or that")
    before = verify(Row(row_name(result), path, result), merge(map(score, heard)))
    if not before.alike:
        raise Refused(before.said)
    archive.write(target, path.stem, result, heard)
    after = verify(Row(row_name(result), target / path.stem, archive.read_archive(target).result(path.stem)))
    if not after.alike:
        raise Refused(after.said)
    with refusing(path):
        for name in GRADIENTS_AND_LAYERS:
            if (beside := path.with_name(name)).is_file():
                beside.replace(path.parent.with_name(name))
        path.with_suffix(".jsonl").unlink()
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _of_today(text: str, path: Path) -> str:
    """The JSON of a result with its metrics by name: before, those of WER and CER stood beside one another."""
    try:
        content = parse_json(text)
        if "metrics" not in content:
            content["metrics"] = {
                name: {
                    "value": content.pop(name),
                    "parts": content.pop(unit),
                    "interval": content.pop(f"{name}_interval"),
                }
                for name, unit in (("wer", "words"), ("cer", "characters"))
            }
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is not a result: {error}") from None
    return json.dumps(content)


def _utterances(path: Path) -> Iterator[Utterance]:
    for number, line in enumerate(read_text(path, LARGEST).splitlines(), start=1):
        try:
            yield Utterance(**parse_json(line))
        except (ValueError, TypeError):
            raise Refused(f"{path}, line {number}: not a record of an utterance") from None
