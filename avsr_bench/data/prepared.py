"""A prepared corpus: the shards that `avsr-bench prep` made, in a folder or behind s3://, gs:// or http(s)://."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .. import recipes, shards
from ..bounded import open_file, read_file
from ..records import Misused, Refused
from .remote import LARGEST, Missing, Remote
from .sources import name_of, open_source, without_secrets
from .waiting import waiting

ROOT = Path("data")


@dataclass(frozen=True)
class Prepared:
    """Where the shards lie. Nothing is listed: `prep.json` and the indexes say what there is."""

    location: str  # without passwords and tokens: it is shown, and written into recipes and results
    access: str = field(default="", repr=False)  # with them

    def __post_init__(self) -> None:
        object.__setattr__(self, "access", self.access or self.location)
        location = without_secrets(self.access)
        object.__setattr__(self, "location", location.rstrip("/") if "://" in location else location)

    @property
    def is_remote(self) -> bool:
        """Whether it lies behind a network."""
        return "://" in self.location

    @cached_property
    def name(self) -> str:
        """A prepared corpus is called as its folder."""
        return name_of(self.location) if self.is_remote else Path(self.location).resolve().name

    @cached_property
    def prep(self) -> dict[str, Any]:
        """What `prep.json` says."""
        if not self.is_remote:
            return shards.read_prep(Path(self.location))
        try:
            return shards.parse_prep(self.read("prep.json"))
        except ValueError as error:  # an error page, or anything else
            raise Refused(f"{self.location}/prep.json is not one that `avsr-bench prep` wrote: {error}") from None

    @cached_property
    def fingerprint(self) -> str:
        """What two copies of a corpus share: the same clips, texts, times and settings of preparation."""
        splits = {name: split["fingerprint"] for name, split in self.prep["splits"].items()}
        content = json.dumps({"recipe": self.prep["recipe"], "splits": splits}, sort_keys=True)
        return blake2b(content.encode(), digest_size=8).hexdigest()

    @property
    def default_size(self) -> str:
        """The size that the corpus recipe names for its models; tiny where there is no recipe of that name."""
        if self.name not in recipes.names("pipelines"):
            return "tiny"
        path = recipes.find("pipelines", self.name)
        return str(recipes.section(recipes.load(path), "train", path).get("size", "tiny"))

    def shards(self, split: str) -> tuple[tuple[shards.Entry, ...], ...]:
        """The clips of every shard of a split, by number; a split that is not there, unfinished or empty is refused."""
        splits = self.prep["splits"]
        if split not in splits:
            raise Refused(f"{self.location} has no split {split}: it has {', '.join(splits) or 'none'}")
        found = []
        for number in range(splits[split]["shards"]):
            name = f"{split}/{shards.shard_name(split, number)}.jsonl"
            try:
                entries = shards.parse_index(self.read(name))
            except ValueError as error:
                raise Refused(f"{self.location}/{name} is damaged: {error}; run the same prep command again") from None
            found.append(tuple(entry for entry in entries if entry.reason is None))
        if not any(found):
            raise Refused(f"{self.location}: the split {split} is empty: no clip came through prep (see skipped.jsonl)")
        return tuple(found)

    def read(self, name: str, missing: str | None = None) -> bytes:
        """A whole file of the corpus; `missing` is the line where it is not there."""
        try:
            if self.is_remote:
                with waiting():
                    return _remote(self.access, self.location, os.getpid()).read(name)
            return read_file(Path(self.location) / name, LARGEST)
        except (Missing, FileNotFoundError):
            what = "shard" if name.endswith(".jsonl") else "file"
            unfinished = f"the {what} is not finished; run the same prep command again"
            raise Refused(missing or f"{self.location}/{name} is not there: {unfinished}") from None
        except OSError as error:
            raise Refused(f"cannot read {self.location}/{name}: {error.strerror}") from error

    def read_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of one file, (offset, bytes) each in rising order: read forward once."""
        try:
            if self.is_remote:
                with waiting():
                    return _remote(self.access, self.location, os.getpid()).read_ranges(name, ranges)
            pieces = []
            with open_file(Path(self.location) / name) as file:
                for offset, length in ranges:
                    file.seek(offset)
                    pieces.append(file.read(length))
        except Missing:
            raise Refused(f"cannot read {self.location}/{name}: it is not there") from None
        except (OSError, ValueError) as error:
            raise Refused(f"cannot read {self.location}/{name}: {error}") from error
        for piece, (_, length) in zip(pieces, ranges, strict=True):
            if len(piece) < length:
                raise Refused(f"{self.location}/{name} is cut short: see `avsr-bench validate`")
        return pieces

    def __getstate__(self) -> dict[str, Any]:  # what was read does not travel to workers
        return {"location": self.location, "access": self.access}


@lru_cache(maxsize=8)
def _remote(access: str, location: str, process: int) -> Remote:
    """Opened once in each process: what a library holds for its credentials may not survive a fork."""
    return Remote(open_source(access), location)


def find_data(data: str | None = None) -> Prepared:
    """The prepared corpus at the place given, else the only one under data/."""
    if data is not None:
        if "://" not in data and not (Path(data) / "prep.json").is_file():
            raise Refused(f"--data {data}: there is no prepared corpus (no prep.json): make it with `avsr-bench prep`")
        return Prepared(data if "://" in data else data.rstrip("/"))
    found = sorted(path.parent for path in ROOT.glob("*/prep.json"))
    if not found:
        raise Refused("no prepared corpus is under data/: make one with `avsr-bench prep synth`, or give --data DIR")
    if len(found) > 1:
        raise Misused(f"several prepared corpora are under data/: say which with --data ({', '.join(map(str, found))})")
    return Prepared(str(found[0]))
