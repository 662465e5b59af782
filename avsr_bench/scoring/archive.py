"""Results on disk: one compressed file for each run and split, the only place that reads and writes them.

RUN/SPLIT.zip
    avsr-bench-results.json    the number of this format
    clips/DIGEST.jsonl         key, reference, speaker and source of every clip: once for all conditions that share them
    jpeg_7.json                the result of a condition
    jpeg_7.jsonl               the digest of its clips, then key, hypothesis and score of each; the parts of metrics
                               that no text tells, as SI-SDR, where there are any

A plain zip, so `unzip -p test.zip jpeg_7.jsonl` shows hypotheses. It is replaced in one step with each result that is
added, under a lock, so that several processes may add to one file and a killed one leaves it whole.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .. import recipes
from ..bounded import parse_json, read_bytes
from ..files import check_target, make_folder, refusing, sweep_temporaries, whole
from ..inert import inert
from ..locks import guard
from ..records import Refused
from .metrics import METRICS, Sums
from .result import LARGEST as LARGEST_RESULT
from .result import Result, parse_result
from .utterances import Utterance

FORMAT = 1
HEAD = "avsr-bench-results.json"
SUFFIX = ".zip"
ADVICE = "remove it, or choose another --out"
LARGEST = 2**28  # bytes of an archive; 71 conditions of LRS3's test take 3 MB
LARGEST_MEMBER = 2**28  # bytes of the clips, or the hypotheses of one condition: a million utterances
MOST_MEMBERS = 10_000
CLIP, HEARD = ("key", "reference", "speaker", "source"), ("key", "hypothesis", "score")
DIGITS = 6  # of a score: it is a 32-bit number, and more digits would be a third of the file

_ENTRY = b"PK\x01\x02"  # opens each entry of a zip's table: counted, it bounds what `zipfile` makes of it
_MEMBER = re.compile(r"clips/[0-9a-f]{12}\.jsonl|[^/]{1,250}\.jsonl?")
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, ValueError),
    *(OSError, KeyError, IndexError, OverflowError),
)


@dataclass(frozen=True, slots=True)
class Archive:
    """The members of an archive, which are unpacked and checked when they are asked for."""

    path: Path
    members: Mapping[str, zipfile.ZipInfo]
    opened: zipfile.ZipFile

    @property
    def names(self) -> list[str]:
        """The names of its results."""
        return sorted(name[:-5] for name in self.members if name.endswith(".json") and name != HEAD)

    def result(self, name: str) -> Result:
        """The result of a name."""
        return parse_result(self.text(f"{name}.json", LARGEST_RESULT), f"{self.path / name}")

    def utterances(self, name: str) -> tuple[Utterance, ...]:
        """What was said and heard in every clip of a result."""
        where = f"{self.path / name}.jsonl"
        lines = self._lines(f"{name}.jsonl")
        digest = _clips_of(next(lines, None), where)
        clips = [_record(line, CLIP, where) for line in self._clips(digest)]
        heard = [_heard(line, where) for line in lines]
        if [clip["key"] for clip in clips] != [each["key"] for each in heard]:
            raise Refused(f"{where} holds {len(heard):,} hypotheses that are not of its {len(clips):,} clips")
        return tuple(Utterance(**(clip | each)) for clip, each in zip(clips, heard, strict=True))

    def digest(self, name: str) -> str:
        """The digest of the clips of a result."""
        return _clips_of(next(self._lines(f"{name}.jsonl"), None), f"{self.path / name}.jsonl")

    def text(self, member: str, most: int = LARGEST_MEMBER) -> str:
        """A member as text; one line where that cannot be."""
        try:
            return self.read(member, most).decode()
        except KeyError:
            raise Refused(f"the hypotheses of {self.path / Path(member).stem} are gone: it has no {member}") from None
        except _DAMAGED as error:
            raise Refused(f"{self.path / member} is damaged: {_why(error)}") from None

    def read(self, member: str, most: int = LARGEST_MEMBER) -> bytes:
        """The bytes of a member; no more are unpacked than it may have."""
        info = self.members[member]
        if info.file_size > most:
            raise ValueError(f"it has {info.file_size:,} bytes, more than the {most:,} that it may have")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is packed otherwise than by deflate, whose unpacking can be bounded")
        with self.opened.open(info) as file:
            return file.read(most + 1)

    def _lines(self, member: str) -> Iterator[str]:
        lines = self.text(member).split("\n")
        if lines.pop():
            raise Refused(f"{self.path / member} breaks off in line {len(lines) + 1}: measure it again")
        return iter(lines)

    def _clips(self, digest: str) -> Iterator[str]:
        member = f"clips/{digest}.jsonl"
        if _digest(self.text(member)) != digest:
            raise Refused(f"{self.path / member} was changed by hand: its digest is another")
        return self._lines(member)


def read_archive(path: Path) -> Archive:
    """The archive in a file, whoever wrote it."""
    content = read_bytes(path, LARGEST)
    try:
        if content.count(_ENTRY) > MOST_MEMBERS:
            raise ValueError(f"it has more than {MOST_MEMBERS:,} members")
        opened = zipfile.ZipFile(io.BytesIO(content))
        members = {info.filename: info for info in opened.infolist()}
        if len(members) < len(opened.infolist()):
            raise ValueError("one member is in it twice")
        archive = Archive(path, members, opened)
        if HEAD not in members:
            raise ValueError(f"it has no {HEAD}")
        found = parse_json(archive.read(HEAD, 1_000))
        number = found.get("format") if isinstance(found, dict) else None
        if number == FORMAT:
            _check_members(members)
            return archive
    except _DAMAGED as error:
        raise Refused(f"{path} is not an archive of results, or is damaged: {_why(error)}; {ADVICE}") from None
    raise Refused(f"{path} is of format {str(number)[:20]}, and this version of avsr-bench reads {FORMAT}: update it")


def write(path: Path, name: str, result: Result, utterances: Iterable[Utterance]) -> None:
    """Add a result and its hypotheses to an archive, in place of those of the same name."""
    digest, clips, heard = _packed(utterances)
    added = {f"clips/{digest}.jsonl": clips, f"{name}.jsonl": heard, f"{name}.json": result.to_json()}
    _check_members(added)
    make_folder(path.parent)
    with guard(path.parent) as alone:
        if alone:
            sweep_temporaries(path.parent, path.name)  # of a killed run: nobody else writes now
        old = check(path)
        with whole(path, is_archive, ADVICE) as unfinished, refusing(path):
            if old is not None and not {f"{name}.json", f"{name}.jsonl"} & old.members.keys():
                with path.open("rb") as before, unfinished.open("wb") as copy:
                    shutil.copyfileobj(before, copy)
                added = {member: text for member, text in added.items() if member not in old.members}
            else:
                head = {HEAD: json.dumps({"format": FORMAT})}
                unfinished.unlink()
                added = head | dict(sorted(((_without(old, name) if old else {}) | added).items()))
            _append(unfinished, added)


def check(path: Path) -> Archive | None:
    """The archive that would be added to; `Refused` where another file is in the way, or one that is damaged."""
    return read_archive(path) if check_target(path, is_archive, ADVICE).exists() else None


def is_archive(path: Path) -> bool:
    """Whether a file opens as our archives do, of whatever format, damaged as it may be."""
    with path.open("rb") as file:
        head = file.read(100)
    return head.startswith(b"PK\x03\x04") and HEAD.encode() in head


def is_old(path: Path) -> bool:
    """Whether a .jsonl file holds the hypotheses of a result as they were kept before there were archives."""
    return path.suffix == ".jsonl" and path.with_suffix(".json").is_file()


def _without(old: Archive, name: str) -> dict[str, str]:
    """What an archive holds beside a result, as far as it can be read: what is damaged is measured again."""
    found: dict[str, str] = {}
    for other in old.names:
        if other != name:
            with suppress(Refused):
                members = (f"clips/{old.digest(other)}.jsonl", f"{other}.jsonl", f"{other}.json")
                found |= {member: old.text(member) for member in members}
    return found


def _append(path: Path, members: Mapping[str, str]) -> None:
    """Add members, whose bytes depend on nothing but their text."""
    with zipfile.ZipFile(path, "a") as file:
        for member, text in members.items():
            info = zipfile.ZipInfo(member)  # dated 1980
            info.external_attr = 0o644 << 16
            file.writestr(info, text.encode(), zipfile.ZIP_DEFLATED, 9)


def _packed(utterances: Iterable[Utterance]) -> tuple[str, str, str]:
    """The digest of the clips, the clips and what was heard in them, as members hold them."""
    found = sorted(utterances, key=lambda each: each.key)
    clips = _json_lines(
        [{name: getattr(each, name) for name in ("key", "reference", "speaker", "source")} for each in found]
    )
    digest = _digest(clips)
    heard = [
        {"key": each.key, "hypothesis": each.hypothesis, "score": _rounded(each.score)}
        | ({"parts": {name: asdict(of) for name, of in each.parts.items()}} if each.parts else {})
        for each in found
    ]
    return digest, clips, _json_lines([{"clips": digest}, *heard])


def _rounded(score: float | None) -> float | None:
    return None if score is None else float(f"{score:.{DIGITS}g}")


def _json_lines(records: Sequence[Mapping[str, object]]) -> str:
    return "".join(f"{inert(json.dumps(record, ensure_ascii=False))}\n" for record in records)


def _digest(clips: str) -> str:
    return blake2b(clips.encode(), digest_size=6).hexdigest()


def _check_members(members: Iterable[str]) -> None:
    for member in members:
        if not _MEMBER.fullmatch(member) or inert(member) != member:
            raise ValueError(f"{inert(member)[:60]!r} is none of its members")


def _clips_of(line: str | None, where: str) -> str:
    try:
        found = parse_json(line or "")
        digest = found["clips"] if isinstance(found, dict) else None
    except (ValueError, KeyError):
        digest = None
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{12}", digest):
        raise Refused(f"{where}, line 1: it does not say which clips were read")
    return digest


def _heard(line: str, where: str) -> dict[str, Any]:
    """What was heard in a clip, and the parts of metrics that the texts do not tell, where there are any."""
    record = _record(line, HEARD, where, ("parts",))
    parts = record.get("parts", {})
    if not isinstance(parts, dict) or not all(
        name in METRICS and METRICS[name].parts is Sums and isinstance(of, dict) for name, of in parts.items()
    ):
        raise Refused(f"{where}: parts of a metric that is none: {inert(line)[:60]!r}")
    return {**record, "parts": {name: recipes.build(Sums, of, where) for name, of in parts.items()}}


def _record(line: str, fields: Sequence[str], where: str, more: Sequence[str] = ()) -> dict[str, Any]:
    """One line of a member, which has these fields, and maybe `more`."""
    try:
        record = parse_json(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not set(fields) <= record.keys() <= {*fields, *more}:
        raise Refused(f"{where}: not a record of {', '.join(fields)}: {inert(line)[:60]!r}")
    for name in fields:
        kind = {"score": float | int | None, "hypothesis": str | None}.get(name, str)
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            raise Refused(f"{where}: a score is a number, and everything else is text: {inert(line)[:60]!r}")
    return record


def _why(error: Exception) -> str:
    return inert(" ".join(str(error).split()))[:200] or type(error).__name__
