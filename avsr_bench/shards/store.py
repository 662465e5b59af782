"""`prep.json`: what a folder of shards was made from, so that a second run resumes and another plan is refused.

{"format": 1, "recipe": {...}, "versions": [{...}], "notes": [...],
 "splits": {"test": {"fingerprint": ..., "clips": 1321, "shards": 6, "keys": [...], "counts": {...}}}}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..bounded import read_file
from ..files import json_bytes, refusing, sweep_temporaries, write_whole
from ..locks import guard
from ..records import Refused
from .checked import count, items, load_json, section, text
from .plan import Plan, PlannedShard, SplitPlan, check_split, in_part

FORMAT = 1  # of the folder as a whole; raised when an older reader would go wrong
PREP = "prep.json"
SKIPPED = "skipped.jsonl"


def read_prep(out: Path) -> dict[str, Any]:
    """The contents of `prep.json`."""
    path = out / PREP
    try:
        return parse_prep(read_file(path))
    except FileNotFoundError as error:
        raise Refused(f"{out} holds no {PREP}: it is not a folder made by `avsr-bench prep`") from error
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"{path} is damaged ({error}): put it back from a copy, or choose another --out") from error


def parse_prep(data: bytes) -> dict[str, Any]:
    """The contents of a `prep.json`, every field of its type; `ValueError` says what is wrong, whoever wrote it."""
    prep = load_json(data)
    if prep.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}, so another version or another program made it")
    section(prep, "recipe")
    if not all(isinstance(note, str) for note in items(prep, "notes")):
        raise ValueError("a note in it is no text")
    if not all(isinstance(versions, dict) for versions in items(prep, "versions")):
        raise ValueError("versions in it are no objects")
    for name in section(prep, "splits"):
        check_split(name)
        split = section(prep["splits"], name)
        text(split, "fingerprint")
        keys = items(split, "keys")
        if len(keys) != count(split, "shards") or not all(isinstance(key, str) for key in keys):
            raise ValueError(f"{name} has {split['shards']} shards and the digests of {len(keys)}")
        if count(split, "clips") < len(keys):
            raise ValueError(f"{name} has more shards than clips")
        if split.get("counts") is not None:
            section(split, "counts")
    return prep


def write_prep(out: Path, prep: Mapping[str, Any]) -> None:
    """Replace `prep.json` in one step."""
    write_whole(out / PREP, json_bytes(prep, indent=1) + b"\n")


def open_store(out: Path, plan: Plan, versions: Mapping[str, str], notes: Sequence[str] = ()) -> None:
    """Make `out` the home of `plan`, or refuse if it is the home of another.

    Called with a part held (`hold_part`). Versions do not decide whether a plan fits; each set of them that wrote here
    is listed.
    """
    with guard(out) as alone:
        if alone:
            sweep_temporaries(out, PREP)
            sweep_temporaries(out, SKIPPED)
        if (out / PREP).exists():
            prep = read_prep(out)
            changed = _changed(prep, plan)
            if changed:
                raise Refused(f"{out} was made {changed}: choose another --out, or start it over with --force")
        else:
            _check_not_foreign(out, plan)
            prep = {"format": FORMAT, "recipe": dict(plan.recipe), "versions": [], "notes": [], "splits": {}}
        before = json.dumps(prep)
        prep["versions"] += [dict(versions)] if dict(versions) not in prep["versions"] else []
        prep["notes"] += [note for note in notes if note not in prep["notes"]]
        for name, split in plan.splits.items():
            prep["splits"][name] = {
                "fingerprint": split.fingerprint,
                "clips": split.clips,
                "shards": len(split.shards),
                "keys": list(split.keys),
                "counts": prep["splits"].get(name, {}).get("counts"),
            }
        prep["splits"] = dict(sorted(prep["splits"].items()))
        if json.dumps(prep) != before:
            write_prep(out, prep)


def _changed(prep: Mapping[str, Any], plan: Plan) -> str:
    """How the folder was made if not by this plan; empty if it was."""
    changed = _differences(prep["recipe"], plan.recipe)
    if changed:
        return (
            f"with other settings ({'; '.join(changed[:3])}{f'; and {len(changed) - 3} more' if changed[3:] else ''})"
        )
    other = [split for split in plan.splits.values() if _is_other(prep["splits"].get(split.split), split)]
    told = "; ".join(_clips_changed(prep["splits"][split.split], split) for split in other)
    return f"from other clips ({told})" if other else ""


def _is_other(known: Mapping[str, Any] | None, split: SplitPlan) -> bool:
    return known is not None and known["fingerprint"] != split.fingerprint


def _clips_changed(known: Mapping[str, Any], split: SplitPlan) -> str:
    if known["clips"] != split.clips:
        return f"{split.split} had {known['clips']:,} clips, now {split.clips:,}"
    if known["keys"] != list(split.keys):
        return f"{split.split} has as many clips but not the same ones"
    return f"files, texts, times, speakers, faces or landmarks of {split.split} changed"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    then, now = _flat(old), _flat(new)
    missing = object()
    names = [name for name in sorted(then | now) if then.get(name, missing) != now.get(name, missing)]
    return [f"{name} was {_shown(then, name)}, now {_shown(now, name)}" for name in names]


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in recipe.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _shown(recipe: Mapping[str, Any], name: str) -> str:
    return json.dumps(recipe[name], ensure_ascii=False) if name in recipe else "not set"


def _check_not_foreign(out: Path, plan: Plan) -> None:
    ours = [f"{shard.split}/{shard.name}.{kind}" for shard in plan.shards for kind in ("tar", "jsonl", "tracks.npz")]
    for name in (SKIPPED, *ours):
        if os.path.lexists(out / name):
            raise Refused(f"{out} has {name} but no {PREP}, so prep did not make it: choose another --out")


def is_whole(out: Path, shard: PlannedShard) -> bool:
    """Whether the shard was finished: its index is there, and so are the tar and the tracks that it stands for."""
    stem = out / shard.split / shard.name
    return all(stem.with_name(f"{shard.name}.{extension}").exists() for extension in ("jsonl", "tar", "tracks.npz"))


def missing_shards(out: Path, shards: Sequence[PlannedShard]) -> tuple[PlannedShard, ...]:
    """Those of `shards` that are still to be made or to be made again."""
    return tuple(shard for shard in shards if not is_whole(out, shard))


def clear_store(out: Path, plan: Plan, splits: Sequence[str] = (), part: tuple[int, int] = (1, 1)) -> None:
    """Remove the shards of `splits` (none: of all) that belong to `part`, and nothing that prep did not make.

    `--force` begins with it. Called with the part held. Shards that stay must be of `plan`: where they are not, all is
    left as it was and refused.
    """
    if not (out / PREP).exists():
        return
    with guard(out), refusing(out):
        prep = read_prep(out)
        whole = part[1] == 1
        going = splits or list(prep["splits"])
        staying = {name: split for name, split in prep["splits"].items() if not whole or name not in going}
        changed = _changed({**prep, "splits": staying}, plan) if staying else ""
        if changed:
            raise Refused(
                f"{out} was made {changed}, and with --split or --part some of its shards stay: choose another --out, "
                "or start all of it over with --force and neither of the two"
            )
        for split in going:
            _remove_shards(out / split, split, part)
            if whole:
                prep["splits"].pop(split, None)
        (out / SKIPPED).unlink(missing_ok=True)
        if prep["splits"]:
            write_prep(out, prep)
        else:  # last, so that a folder with anything of ours in it always says so
            (out / PREP).unlink()


def _remove_shards(folder: Path, split: str, part: tuple[int, int]) -> None:
    if not folder.is_dir():
        return
    stem = rf"{re.escape(split)}-(\d{{6,}})"
    kinds = r"(?:unfinished\.jsonl|jsonl|tar|tracks\.npz)"
    ours = re.compile(rf"{stem}\.{kinds}|\.{stem}\.{kinds}\.[0-9a-f]{{32}}\.tmp")
    found = ((path, ours.fullmatch(path.name)) for path in folder.iterdir())
    files = [path for path, match in found if match and in_part(split, int(match[1] or match[2]), *part)]
    for path in sorted(files, key=lambda path: path.suffix != ".jsonl"):  # an index never outlives its tar
        path.unlink()
    if part[1] == 1:  # else another part may be about to write in there
        with suppress(OSError):  # something else lies in there: it stays
            folder.rmdir()
