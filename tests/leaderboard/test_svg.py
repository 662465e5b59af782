"""SVG without what nobody sees: the same places to a hundredth of a point, and nothing that refers to nothing."""

import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from avsr_bench.leaderboard.svg import for_file, for_page, short_path, told

points = st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 2), min_size=1, max_size=20)


def places(path):
    """The ends of a path's segments, from steps."""
    found, place, start = [], (0.0, 0.0), (0.0, 0.0)
    for command, numbers in re.findall(r"([mlqcz])([^mlqcz]*)", path):
        steps = [float(each) for each in re.findall(r"-?[\d.]+", numbers)]
        size = {"q": 4, "c": 6}.get(command, 2)
        for at in range(0, len(steps), size):
            place = (place[0] + steps[at + size - 2], place[1] + steps[at + size - 1])
            start = place if command == "m" and at == 0 else start
            found.append(place)
        place = start if command == "z" else place
    return found


@given(st.lists(points, min_size=1, max_size=4))
def test_a_path_of_steps_goes_where_it_went(parts):
    path = "".join(
        "".join(f"{'L' if at else 'M'} {x:f} {y:f} " for at, (x, y) in enumerate(part)) + "z " for part in parts
    )
    ends = [end for part in parts for end in part]
    assert [each for end in places(short_path(path)) for each in end] == pytest.approx(
        [each for end in ends for each in end], abs=0.0051
    )


def test_curves_of_a_path_are_told_from_where_they_begin():
    assert short_path("M 1 1 C 2 2 3 3 4 4 C 5 5 6 6 7 7 Q 8 8 9 9 z ") == "m1 1c1 1 2 2 3 3 1 1 2 2 3 3q1 1 2 2z"


@pytest.fixture
def svg():
    drawing = Figure(figsize=(4, 3))
    axes = drawing.subplots()
    (line,) = axes.plot([1, 2, 3], [3.14159265, 1, 2], color="#2a78d6", marker="o", label="a < b")
    line.set_gid(told(["one", "two", "</svg>"]))
    axes.fill_between([1, 2, 3], [1, 1, 1], [2, 2, 2], hatch="//")
    axes.set_ylabel("y")
    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


@pytest.mark.parametrize("name", ["", "noise-x"])
def test_what_is_referred_to_is_there_once(svg, name):
    text = for_page(svg, name, {}) if name else for_file(svg)
    assert len(text) < 0.7 * len(svg)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert used and len(ids) == len(set(ids)) and set(ids) == used | ({name} if name else set())
    classes = set(re.findall(r'class="([^"]+)"', text))
    assert classes and classes == set(re.findall(r"\.(s\d+){", text))


def test_a_page_has_titles_at_points_and_its_own_colours(svg):
    text = for_page(svg, "noise-x", {"#2a78d6": "var(--line-1)"})
    root = ElementTree.fromstring(text)
    assert [title.text for title in root.iter("title")] == ["one", "two", "</svg>"]
    assert "var(--line-1)" in text and "#2a78d6" not in text and root.get("viewBox") == "0 0 288 216"
    assert all(line.startswith("#noise-x .s") for line in root.find("style").text.splitlines())


def test_a_file_says_nothing_of_points_and_who_made_it(svg):
    text = for_file(svg)
    assert "told:" not in text and "</svg>" not in text[:-6] and "Made by avsr-bench" in text[:200]
    assert ElementTree.fromstring(text.encode()).get("width") == "288pt"
