"""Figures as SVG, as matplotlib writes them and then without what nobody sees: for a file, and for a place in a page.

Half of what matplotlib writes are millionths of a point, names that nothing refers to and the same styles again.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ..files import MARK

FINE = 100  # steps in a point, which is 1/72 inch: a tenth of the pixels of a dense screen
PLACES = ("x", "y", "width", "height")  # attributes with one number
TOLD = "told:"  # an id that begins so holds what points say
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_ID = re.compile(r"(?:^|(?<=url\())#([^)]+)")  # what an attribute refers to


def told(said: Sequence[str]) -> str:
    """What points say, as the id of their group; XML has no other place that matplotlib lets one write to."""
    return TOLD + json.dumps(list(said))


def for_file(svg: str) -> str:
    """An SVG that stands alone."""
    root = _read(svg)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {MARK} -->\n{_written(root, "", "")}'


def for_page(svg: str, name: str, colours: Mapping[str, str]) -> str:
    """An SVG that stands in a page: its colours by name, ids of its own, and what each point is as its title."""
    root = _read(svg)
    for group in root.iter(f"{{{_SVG}}}g"):
        said = group.get("id", "")
        if said.startswith(TOLD):
            points = list(group.iter(f"{{{_SVG}}}use"))
            for point, words in zip(points, json.loads(said.removeprefix(TOLD)), strict=True):
                ElementTree.SubElement(point, f"{{{_SVG}}}title").text = words
    for size in ("width", "height"):
        root.attrib.pop(size)
    for defs in root.iter(f"{{{_SVG}}}defs"):
        for style in defs.findall(f"{{{_SVG}}}style"):  # of every line, which the page has once
            defs.remove(style)
    root.set("role", "img")
    root.set("id", name)
    text = _written(root, f"#{name} ", f"x{zlib.crc32(name.encode()):x}-")
    text = re.sub(r"font: ([^;\"}]*?)'DejaVu Sans'[^;\"}]*", r"font: \1var(--font)", text)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda match: colours.get(match.group(), match.group()), text)
    return text.replace(f' xmlns="{_SVG}"', "").replace(f' xmlns:xlink="{_XLINK}"', "").replace("xlink:href", "href")


def _read(svg: str) -> Element:
    for space, place in (("", _SVG), ("xlink", _XLINK)):
        ElementTree.register_namespace(space, place)
    root = ElementTree.fromstring(svg)
    for junk in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(junk)
    return root


def _written(root: Element, scope: str, prefix: str) -> str:
    """The text of a figure; its classes hold within the scope, and its ids begin with the prefix."""
    _round(root)
    _name(root, prefix)
    _flatten(root)
    _share_styles(root, scope)
    for element in root.iter():
        element.text = (element.text or "").strip() or None
        element.tail = "\n"
    for text in root.iter(f"{{{_SVG}}}text"):  # where a line break is a space
        for part in text:
            part.tail = None
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>").strip()


def _round(root: Element) -> None:
    """Numbers to what can be seen, and no turn by nothing."""
    for element in root.iter():
        for name in PLACES:
            if name in element.attrib and element is not root:
                element.set(name, _short(round(FINE * float(element.attrib[name]))))
        if "d" in element.attrib:
            element.set("d", short_path(element.attrib["d"]))
        moved = element.attrib.pop("transform", "")
        moved = re.sub(r"translate\(([^ )]*) ([^ )]*)\)", _moved, moved)
        moved = re.sub(r"rotate\(-?0(?:\.0*)?(?: [^)]*)?\)", "", moved).strip()
        if moved:
            element.set("transform", moved)


def _moved(translate: re.Match[str]) -> str:
    return "translate({} {})".format(*(_short(round(FINE * float(of))) for of in translate.groups()))


def _short(steps: int) -> str:
    """A number of steps in points.

    >>> _short(4615), _short(-50), _short(100), _short(0)
    ('46.15', '-.5', '1', '0')
    """
    return f"{steps / FINE:.2f}".rstrip("0").rstrip(".").replace("0.", ".", abs(steps) < FINE) or "0"


def short_path(path: str) -> str:
    """A path of M, L, Q, C and z in steps, each point seen from the one before it.

    >>> short_path("M 46.151423 140.78047 L 199.538147 140.78047 L 199.5 31.599861 z M 46.15 0 ")
    'm46.15 140.78 153.39 0-.04-109.18zm0-140.78'
    """
    said: list[str] = []
    before = ""
    place, start = (0, 0), (0, 0)
    for command, numbers in re.findall(r"([MLQCz])([^MLQCz]*)", path):
        steps = [round(FINE * float(each)) for each in numbers.split()]
        points = list(zip(steps[::2], steps[1::2], strict=True))
        away = [_short(of - at) for point in points for of, at in zip(point, place, strict=True)]
        follows = (before, command) in (("M", "L"), ("L", "L"), ("Q", "Q"), ("C", "C"))
        said.append("" if follows else command.lower())
        for number, each in enumerate(away):
            said.append(f" {each}" if (follows or number) and each[0] != "-" else each)
        place = points[-1] if points else start
        start = place if command == "M" else start
        before = command
    return "".join(said)


def _name(root: Element, prefix: str) -> None:
    """Short ids, and none where nothing refers to it."""
    used = dict.fromkeys(of for each in root.iter() for value in each.attrib.values() for of in _ID.findall(value))
    names = {of: f"{prefix}{number}" for number, of in enumerate(used)}
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _ID.sub(lambda found: f"#{names[found[1]]}", value))
        if element is not root and (of := element.attrib.pop("id", "")) in names:
            element.set("id", names[of])


def _flatten(element: Element) -> None:
    """Groups of which nothing is said are their parts."""
    parts: list[Element] = []
    for part in element:
        _flatten(part)
        if part.tag == f"{{{_SVG}}}g" and not part.attrib:
            parts += part
        elif len(part) or part.tag != f"{{{_SVG}}}defs":
            parts.append(part)
    element[:] = parts


def _share_styles(root: Element, scope: str) -> None:
    """A class for every style that several elements have."""
    for element in root.iter():
        if clip := element.attrib.pop("clip-path", ""):
            element.set("style", f"{element.get('style', '')}; clip-path: {clip}".lstrip("; "))
    counts = Counter(style for element in root.iter() if (style := element.get("style")))
    names = {style: f"s{number}" for number, style in enumerate(each for each in counts if counts[each] > 1)}
    for element in root.iter():
        if (style := element.get("style", "")) in names:
            element.attrib.pop("style")
            element.set("class", names[style])
    if names:
        shared = Element(f"{{{_SVG}}}style")
        shared.text = "\n".join(f"{scope}.{name}{{{style}}}" for style, name in names.items())
        root.insert(0, shared)
