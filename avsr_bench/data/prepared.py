"""A prepared corpus: the shards that `avsr-bench prep` made, in a folder or behind s3://, gs:// or http(s)://."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .. import recipes, shards
from ..records import Misused, Refused

ROOT = Path("data")
EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs"}  # protocol -> the extra that brings what it takes


@dataclass(frozen=True)
class Prepared:
    """Where the shards lie. Nothing is listed: `prep.json` and the indexes say what there is."""

    location: str

    @cached_property
    def name(self) -> str:
        """A prepared corpus is called as its folder."""
        return (
            Path(self.location.split("://")[-1]).name if "://" in self.location else Path(self.location).resolve().name
        )

    @cached_property
    def prep(self) -> dict[str, Any]:
        """What `prep.json` says."""
        if "://" not in self.location:
            return shards.read_prep(Path(self.location))
        try:
            prep = json.loads(self.read("prep.json"))
        except ValueError:
            prep = {}
        if not isinstance(prep, dict) or "splits" not in prep:
            raise Refused(f"{self.location}/prep.json is not one that `avsr-bench prep` of this version wrote")
        return prep

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

    def read(self, name: str) -> bytes:
        """A whole file of the corpus."""
        try:
            return bytes(self._files[0].cat_file(f"{self._files[1]}/{name}"))
        except FileNotFoundError:
            what = "shard" if name.endswith(".jsonl") else "file"
            raise Refused(
                f"{self.location}/{name} is not there: the {what} is not finished; run the same prep command again"
            ) from None
        except (OSError, ValueError) as error:
            raise Refused(f"cannot read {self.location}/{name}: {error}") from error

    def read_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of one file, (offset, bytes) each in rising order: read forward once; over a network, side by side."""
        files, root = self._files
        path = f"{root}/{name}"
        try:
            if "://" not in self.location:
                pieces = []
                with Path(path).open("rb") as file:
                    for offset, length in ranges:
                        file.seek(offset)
                        pieces.append(file.read(length))
            else:
                starts, ends = [offset for offset, _ in ranges], [offset + length for offset, length in ranges]
                pieces = list(files.cat_ranges([path] * len(ranges), starts, ends, on_error="raise"))
        except (OSError, ValueError) as error:
            raise Refused(f"cannot read {self.location}/{name}: {error}") from error
        for piece, (_, length) in zip(pieces, ranges, strict=True):
            if len(piece) < length:
                raise Refused(f"{self.location}/{name} is cut short: see `avsr-bench validate`")
        return pieces

    @cached_property
    def _files(self) -> tuple[Any, str]:
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self.location)
        except (ImportError, ValueError) as error:
            protocol = self.location.split("://")[0]
            extra = f": install avsr-bench[{EXTRAS[protocol]}]" if protocol in EXTRAS else f": {error}"
            raise Refused(f"{self.location} cannot be opened{extra}") from None
        return files, root.rstrip("/")

    def __getstate__(self) -> dict[str, Any]:  # connections do not travel to workers
        return {"location": self.location}


def find_data(data: str | None = None) -> Prepared:
    """The prepared corpus at the place given, else the only one under data/."""
    if data is not None:
        if "://" not in data and not (Path(data) / "prep.json").is_file():
            raise Refused(f"--data {data}: there is no prepared corpus (no prep.json): make it with `avsr-bench prep`")
        return Prepared(data.rstrip("/"))
    found = sorted(path.parent for path in ROOT.glob("*/prep.json"))
    if not found:
        raise Refused("no prepared corpus is under data/: make one with `avsr-bench prep synth`, or give --data DIR")
    if len(found) > 1:
        raise Misused(f"several prepared corpora are under data/: say which with --data ({', '.join(map(str, found))})")
    return Prepared(str(found[0]))
