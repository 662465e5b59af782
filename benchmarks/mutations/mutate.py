"""Seeded damage to one file: to its bytes, whatever they mean, and to what its format says, so that parsers pass it."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import yaml

Form = Literal["bytes", "text", "json", "jsonl", "yaml", "csv", "safetensors", "torch", "npz", "archive"]

LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
DEEP = 100_000  # brackets: any parser that calls itself for each runs out of stack
OUTSIDE = "/nonexistent-avsr"  # an absolute path that no test machine has; `isolation` looks whether it was made
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 2**31, 2**63, -(2**63), 10**30, 10**400, 1e308, 1e-320),
    *(float("nan"), float("inf"), -float("inf"), "nan", "inf", "1e999", "0x10", "1_000", "yes", "null"),
    *("", " ", "\0", "a\0b", "\x1b[2J\x1b[31m", "a\r\nb", "a\tb", "\u202e\u2028", "\ufeff", "\ud800", "é" * 300),
    *("../decoy/kept.txt", "../../outside", f"{OUTSIDE}/x", "~/x", "a/../../b", "-h", "--out", "%s%n{0}", "$(id)"),
    *([], {}, [[]], [None], {"": ""}, ["a"] * 1000, {"a": {"b": {"c": 1}}}, "x" * 100_000, "9" * 5000),
)
YAML_LINES = (
    "? [a]\n: b",
    "!!python/object/apply:os.system ['true']",
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]",
    "&loop self: *loop",
    "x: &x {x: *x}",
    "<<: 1",
    "2001-01-01: 2001-13-99",
    "\tkey: 1",
    "- - - -",
    "---\nsecond: document",
    "? ? ? a",
    "key: !!binary =",
    "1: 2\nnull: 3\n.nan: 4\n[1, 2]: 5",
    "x: 0o777777777777777777777",
    "%YAML 9.9\n---",
)


def mutate(data: bytes, form: Form, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    """A damaged copy of `data`, and what was done; `other` is a second good file, to splice with."""
    structured = STRUCTURED.get(form)
    done = []
    if structured is not None and draw.random() < 0.6:
        changed, what = structured(data, draw)
        done.append(what)
        if changed != data and draw.random() < 0.9:
            return changed, what
        data = changed
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data, what = draw.choice(BYTES)(data, other, draw)
        done.append(what)
    return data, ", ".join(done)


# Bytes.


def _place(data: bytes, draw: random.Random) -> int:
    """Anywhere; as often as not near an end, where headers and indexes stand."""
    edge = min(len(data), 2048)
    return draw.choice(
        (draw.randrange(len(data) or 1), draw.randrange(edge or 1), len(data) - draw.randrange(edge or 1))
    )


def _run(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = min(_place(data, draw), max(len(data) - 1, 0))
    return start, min(len(data), start + min(draw.choice((1, 2, 4, 16, 100, 1000)), 1 + len(data) // 4))


def _flip(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    changed = bytearray(data)
    count = draw.choice((1, 1, 2, 8, 64))
    for _ in range(count if data else 0):
        changed[min(_place(data, draw), len(data) - 1)] ^= 1 << draw.randrange(8)
    return bytes(changed), f"{count} bits flipped"


def _overwrite(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    start, end = _run(data, draw)
    new = draw.choice((bytes(end - start), b"\xff" * (end - start), draw.randbytes(end - start)))
    return data[:start] + new + data[end:], f"{end - start} bytes overwritten at {start}"


def _delete(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    start, end = _run(data, draw)
    return data[:start] + data[end:], f"{end - start} bytes deleted at {start}"


def _insert(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    start, end = _run(data, draw)
    return data[:start] + draw.randbytes(end - start) + data[start:], f"{end - start} bytes inserted at {start}"


def _duplicate(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    start, end = _run(data, draw)
    times = draw.choice((1, 2, 50))
    return data[:end] + data[start:end] * times + data[end:], f"bytes {start} to {end} repeated {times} times"


def _truncate(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    end = draw.choice((0, 1, draw.randrange(len(data) or 1), max(len(data) - draw.randrange(1, 64), 0)))
    return data[:end], f"cut to {end} bytes"


def _length(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    """A number in a header becomes an extreme one: before or behind a four-letter name where the format has them."""
    width = draw.choice((1, 2, 4, 4, 8))
    names = [match.start() for match in re.finditer(rb"[A-Za-z][A-Za-z0-9]{3}", data[:65536] + data[-65536:])]
    if names and draw.random() < 0.7:
        start = draw.choice(names) + draw.choice((-4, 4, 8, 12, 16, 20))
    else:
        start = _place(data, draw)
    start = max(0, min(start, len(data) - width))
    value = draw.choice(LENGTHS) & (2 ** (8 * width) - 1)
    new = value.to_bytes(width, draw.choice(("big", "little")))
    return data[:start] + new + data[start + width :], f"{width} bytes at {start} set to {value:#x}"


def _splice(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    here, there = _place(data, draw), _place(other, draw)
    return data[:here] + other[there:], f"spliced at {here} with another from {there}"


def _swap(data: bytes, other: bytes, draw: random.Random) -> tuple[bytes, str]:
    start, end = _run(data, draw)
    size = end - start
    return data[:start] + data[end : end + size] + data[start:end] + data[
        end + size :
    ], f"{size} bytes at {start} swapped"


BYTES: tuple[Callable[[bytes, bytes, random.Random], tuple[bytes, str]], ...] = (
    *(_flip, _overwrite, _delete, _insert, _duplicate, _truncate, _length, _splice, _swap, _length, _flip),
)

# What formats say.


def _hostile(old: Any, draw: random.Random) -> Any:
    """Another value in place of one: something else altogether, or nearly the same."""
    if isinstance(old, bool) or draw.random() < 0.5:
        return draw.choice(VALUES)
    if isinstance(old, int | float):
        return draw.choice((-old, old + 1, old - 1, old * 1_000_000, old / 3, str(old), [old], float(old), 0))
    if isinstance(old, str):
        return draw.choice(
            (
                *(f"../{old}", f"../../{old}", f"{OUTSIDE}/{old}", old * 500, f"{old}\n{old}", old.upper(), f"\0{old}"),
                *(old[: len(old) // 2], [old], {old: old}, f" {old} ", f"{old}\u0301", f"\x1b]0;{old}\x07"),
            )
        )
    if isinstance(old, list):
        return draw.choice(([*old, *old], old[:-1], {str(n): value for n, value in enumerate(old)}, old[::-1], [old]))
    if isinstance(old, dict):
        return draw.choice((list(old.items()), list(old), {"": old}, {str(key).upper(): old[key] for key in old}))
    return draw.choice(VALUES)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a value."""
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in inner:
        found += _places(item, (*path, key))
    return found


def _changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """A copy in which the value at a place is another."""
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(copy[path[0]], path[1:], change)
    return copy


def _without(value: Any, key: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    kept = {name: item for name, item in items if name != key}
    return kept if isinstance(value, dict) else list(kept.values())


def _renamed(value: Any, key: Any, new: str) -> Any:
    return {**_without(value, key), new: value[key]} if isinstance(value, dict) else value


def _tree(value: Any, draw: random.Random, hostile: Callable[[Any, random.Random], Any] = _hostile) -> tuple[Any, str]:
    """One to three values replaced, removed, renamed or put deep inside others."""
    done = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = _places(value)
        path = draw.choice(places if draw.random() < 0.1 or len(places) == 1 else places[1:])
        name = ".".join(map(str, path)) or "all"
        way = draw.choice(("value", "value", "value", "remove", "rename", "deep")) if path else "value"
        if way == "value":
            value = _changed(value, path, lambda old: hostile(old, draw))
        elif way == "remove":
            value = _changed(value, path[:-1], partial(_without, key=path[-1]))
        elif way == "rename":
            new = draw.choice(("", "../x", str(path[-1]) + "x", "__class__", "\0", f"{OUTSIDE}/x"))
            value = _changed(value, path[:-1], partial(_renamed, key=path[-1], new=new))
        else:
            value = _changed(value, path, lambda old: _nested(old, draw.choice((3, 60))))
        done.append(f"{name}: {way}")
    return value, "; ".join(done)


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _dumped(value: Any, draw: random.Random) -> str:
    text = json.dumps(value, ensure_ascii=draw.random() < 0.5)
    if isinstance(value, dict) and value and draw.random() < 0.1:  # a key that stands twice
        text = text[:-1] + ", " + json.dumps({draw.choice(list(value)): draw.choice(VALUES[:20])})[1:]
    return text


def _deep_text(draw: random.Random) -> str:
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}"), ("{a: ", "}")))
    return opening * DEEP + draw.choice(("", "1" + closing * DEEP))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _json(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    if draw.random() < 0.05:
        return _encoded(_deep_text(draw)), "deep nesting"
    value, what = _tree(json.loads(data), draw)
    return _encoded(_dumped(value, draw) + "\n"), what


def _jsonl(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    lines = data.splitlines(keepends=True)
    number = draw.randrange(len(lines))
    way = draw.choice(("change", "change", "change", "change", "repeat", "remove", "swap", "blank"))
    if way == "change":
        lines[number], way = _json(lines[number], draw)
    elif way == "repeat":
        lines += [lines[number]] * draw.choice((1, 1000))
    elif way == "remove":
        del lines[number]
    elif way == "swap":
        lines.reverse()
    else:
        lines.insert(number, draw.choice((b"\n", b" \n", b"null\n", b"[]\n", b"{}\n", b"\xef\xbb\xbf\n", b"\r\n")))
    return b"".join(lines), f"line {number + 1}: {way}"


def _yaml(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    if draw.random() < 0.05:
        return _encoded(_deep_text(draw)), "deep nesting"
    if draw.random() < 0.25:
        lines, line = data.splitlines(keepends=True), draw.choice(YAML_LINES)
        lines.insert(draw.randrange(len(lines) + 1), _encoded(line + "\n"))
        return b"".join(lines), f"line put in: {line[:30]!r}"
    value, what = _tree(yaml.safe_load(data), draw)
    try:
        return _encoded(yaml.safe_dump(value, sort_keys=False, allow_unicode=draw.random() < 0.5)), what
    except yaml.YAMLError:
        return _encoded(json.dumps(value)), what


def _csv(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    rows = list(csv.reader(io.StringIO(data.decode())))
    row = draw.randrange(len(rows))
    column = draw.randrange(len(rows[row]))
    way = draw.choice(("cell", "cell", "cell", "more cells", "fewer cells", "repeat", "remove", "quote", "delimiter"))
    if way == "cell":
        new = _hostile(rows[row][column], draw)
        rows[row][column] = new if isinstance(new, str) else json.dumps(new)
    elif way == "more cells":
        rows[row] += ["x"] * draw.choice((1, 10_000))
    elif way == "fewer cells":
        rows[row] = rows[row][:column]
    elif way == "repeat":
        rows += [rows[row]] * draw.choice((1, 500))
    elif way == "remove":
        del rows[row]
    text = io.StringIO()
    csv.writer(text, delimiter=";" if way == "delimiter" else ",", lineterminator="\n").writerows(rows)
    content = text.getvalue()
    if way == "quote":
        place = draw.randrange(len(content) + 1)
        content = content[:place] + '"' + content[place:]
    return _encoded(content), f"row {row + 1}, column {column + 1}: {way}"


def _text(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    words = data.decode("utf-8", "replace").split(" ")
    place = draw.randrange(len(words))
    words[place] = str(_hostile(words[place], draw))
    return _encoded(" ".join(words)), f"word {place + 1}"


def _safetensors(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Its header is JSON: names, types, shapes and offsets that lie."""
    size = int.from_bytes(data[:8], "little")
    header, what = _json(data[8 : 8 + size], draw)
    return len(header).to_bytes(8, "little") + header + data[8 + size :], f"header {what}"


def _tensor(old: Any, draw: random.Random) -> Any:
    import torch

    if not isinstance(old, torch.Tensor):
        return _hostile(old, draw)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: old.reshape(-1),
        lambda: old[None],
        lambda: old.double(),
        lambda: old.to(torch.complex64),
        lambda: old.to(torch.uint8),
        lambda: old.bool(),
        lambda: old.float() * float("nan"),
        lambda: old.float() * 1e38,
        lambda: old.float() + float("inf"),
        lambda: torch.zeros(0),
        lambda: torch.tensor(1.0),
        lambda: torch.zeros((1,)).expand(10**9),
        lambda: torch.cat([old.reshape(-1), old.reshape(-1)]),
        lambda: old.reshape(-1)[: old.numel() // 2],
        lambda: old.float().to_sparse() if old.dim() else old,
        lambda: old.tolist(),
        lambda: None,
    )
    return draw.choice(ways)()


def _torch(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """A file that loads, and holds something else."""
    import torch

    value, what = _tree(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), draw, _tensor)
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue(), what


def _npz(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    with np.load(io.BytesIO(data)) as file:
        arrays = {name: file[name] for name in file.files}
    name = draw.choice(list(arrays))
    old = np.atleast_1d(arrays[name])
    ways: dict[str, Callable[[], Any]] = {
        "removed": lambda: None,
        "shorter": lambda: old[: len(old) // 2],
        "twice": lambda: np.concatenate([old, old]),
        "flat": lambda: old.ravel(),
        "text": lambda: np.array(["x"] * len(old)),
        "one number": lambda: np.array(1),
        "negative": lambda: -old if old.dtype.kind in "if" else old,
        "huge": lambda: old * 10**6 if old.dtype.kind in "if" else old,
        "not a number": lambda: old * np.nan if old.dtype.kind in "if" else old,
        "infinite": lambda: old + np.inf if old.dtype.kind in "if" else old,
        "complex": lambda: old.astype(complex) if old.dtype.kind in "if" else old,
        "objects": lambda: np.array([None] * len(old), object),
        "another name": lambda: None,
    }
    way = draw.choice(list(ways))
    new = ways[way]()
    arrays = {other: value for other, value in arrays.items() if other != name}
    if new is not None:
        arrays[name] = new
    elif way == "another name":
        arrays["../x"] = old
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue(), f"{name}: {way}"


def _archive(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """A zip of JSON: one member changed inside, taken out, renamed, put in, or with a size that is a lie."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        found = {name: file.read(name) for name in file.namelist()}
    name = draw.choice(list(found))
    way = draw.choice(("change", "change", "change", "change", "remove", "rename", "add", "empty", "bomb", "lie"))
    if way == "change":
        found[name], way = (_jsonl if name.endswith("l") else _json)(found[name], draw)
    elif way == "remove":
        del found[name]
    elif way in ("rename", "add"):
        new = draw.choice(("../decoy/kept.txt", f"{OUTSIDE}/x.json", "clean.exe", "x.json", "\x1b[2J.jsonl", "é" * 300))
        found[new] = found.pop(name) if way == "rename" else b"{}"
    elif way in ("empty", "bomb"):
        found[name] = b"" if way == "empty" else bytes(300 << 20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for each, content in found.items():
            file.writestr(each, content)
    if way == "lie":
        size = len(found[name]).to_bytes(4, "little")
        return packed.getvalue().replace(size, draw.choice(LENGTHS[:10]).to_bytes(4, "little")), f"{name}: size"
    return packed.getvalue(), f"{name}: {way}"


STRUCTURED: dict[Form, Callable[[bytes, random.Random], tuple[bytes, str]]] = {
    "text": _text,
    "json": _json,
    "jsonl": _jsonl,
    "yaml": _yaml,
    "csv": _csv,
    "safetensors": _safetensors,
    "torch": _torch,
    "npz": _npz,
    "archive": _archive,
}
