"""The page in the browser that people have, with a mouse, a keyboard and fingers."""

import json
import re

import pytest
from browser import CHROMIUM, Browser
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.leaderboard import read_rows
from avsr_bench.leaderboard.page import about, changes

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
SHOWN = "[...document.querySelectorAll('main tbody tr:not(.more)')].filter(row => row.checkVisibility())"


def column(table, name):
    """The cells of a column from top to bottom, as people read them; a table by its number."""
    return f"""(() => {{
      const table = document.querySelectorAll("table")[{table}];
      const place = [...table.tHead.rows[0].cells].findIndex(head => head.innerText.trim() === "{name}");
      return [...table.tBodies[0].rows].map(row => row.cells[place].innerText.split(/[\\n ]/)[0]);
    }})()"""


ODD = [
    [("row", "嘴 a\U0001f600b"), ("run", "x")],
    [("row", "嘴 a\U0001f601b"), ("run", "y"), ("lips", "of others"), ("lips", "hidden")],
    [("run", "x"), ("row", "</script>],[")],
    [("row", "嘴 \U0001f601"), ("run", "y"), ("lips", "of others"), ("lips", "")],
]
words = st.text(max_size=6)
facts = st.lists(st.tuples(st.sampled_from(["row", "run", "lips"]), words), max_size=4)


def tell(names, rows):
    """Facts again from their changes."""
    found = []
    for kind, base, *changed in rows:
        before = dict(found[base]) if base >= 0 else {}
        told = []
        for name, change in zip(names[kind], changed, strict=True):
            old = before.get(name, "")
            told.append((name, old[: change[0]] + change[1] + old[len(old) - change[2] :] if change else old))
        found.append(told)
    return found


@given(st.lists(facts, max_size=8))
def test_changes_tell_all_facts_again(told):
    assert tell(**changes(told)) == told


def test_a_row_of_the_same_run_is_told_by_what_it_changes():
    told = [[("run", run), ("weights", run * 9), ("noise", noise)] for noise in ("a:1", "a:2") for run in "xy"]
    assert changes(told)["rows"][2:] == [[0, 0, 0, 0, [2, "2", 0]], [0, 1, 0, 0, [2, "2", 0]]]


@needs_chromium
def test_the_page_tells_every_fact_of_every_row(pages, full, tmp_path):
    with Browser(tmp_path / "profile") as tab:
        tab.open(pages[0] / "index.html")
        assert tab.run(f"read({json.dumps(changes(ODD))})") == [[[*fact] for fact in row] for row in ODD]
        shown = {row[0][1]: row for row in tab.run("rows") if row[0][0] == "row"}
        assert shown == {row.name: [[*fact] for fact in about(row)] for row in read_rows([full]).rows}
        several = [dict(row) for row in tab.run("rows") if row[0][0] == "rows"]
        assert several and all("avsr-bench train" in row["trained by"] for row in several)
        assert tab.run("all('tbody tr').every(row => FILTERS.every(name => name in row.dataset))")
        assert tab.run("all('td button').every(button => button.ariaExpanded === 'false')")
        assert tab.problems == []


@needs_chromium
def test_the_page_in_chromium(pages, tmp_path):
    page = pages[0] / "index.html"
    with Browser(tmp_path / "profile") as tab:
        tab.open(page)
        rows = tab.run(f"{SHOWN}.length")

        # Sorting: WER up as it comes, down at the second click, text by its letters; cells without numbers stay last.
        first = [float(each) for each in tab.run(column(0, "WER"))]
        assert first == sorted(first) and len(first) == 12
        for _ in range(2):
            tab.click("th:nth-child(2) button")
        assert [float(each) for each in tab.run(column(0, "WER"))] == first[::-1]
        assert tab.run("document.querySelector('th:nth-child(2)').ariaSort") == "descending"
        tab.click("th:nth-child(1) button")
        names = tab.run(column(0, "system"))
        assert names == sorted(names)
        tab.click("th:nth-child(3) button")

        assert tab.run("[...document.querySelectorAll('td:nth-child(3)')].slice(11, 12).map(e => e.innerText)") == ["–"]

        # Filtering: what does not fit goes, headings and figures with it; a link keeps the choice.
        def choose(name, value):
            tab.run(
                f"(() => {{ const select = document.forms[0].elements.{name}; select.value = '{value}';"
                " select.dispatchEvent(new Event('change', { bubbles: true })) })()"
            )

        choose("system", "msrs")
        assert set(tab.run(f"{SHOWN}.map(row => row.dataset.system)")) == {"msrs"}
        choose("system", "")
        choose("corpus", "lrs3")
        assert tab.run("document.querySelector('#measured .board').checkVisibility()") is False
        assert tab.run("document.querySelector('#measured .none').checkVisibility()") is True
        assert tab.run("[...document.querySelectorAll('figure')].filter(e => e.checkVisibility()).length") == 1
        choose("modality", "av")
        assert set(tab.run(f"{SHOWN}.map(row => row.dataset.modality)")) == {"av"}
        assert tab.run("document.querySelector('output').value") == f"{tab.run(SHOWN + '.length')} rows"
        link = tab.run("location.hash")
        assert link == "#corpus=lrs3&modality=av"
        tab.click("button[type=reset]")
        tab.run("new Promise(done => setTimeout(done, 50))")
        assert tab.run(f"{SHOWN}.length") == rows and tab.run("location.hash") == ""
        tab.open(page.parent / "README.md")  # somewhere else, so that the page is read anew
        tab.open(page, link)
        assert set(tab.run(f"{SHOWN}.map(row => row.dataset.modality)")) == {"av"}
        tab.open(page.parent / "README.md")
        tab.open(page)

        # The command of a row: pointed at, by keyboard, opened.
        assert tab.run("tip.checkVisibility()") is False
        tab.point("tr[data-row] td:nth-child(4)")
        assert tab.run("tip.checkVisibility()") is True
        assert tab.run("tip.innerText").startswith("avsr-bench evaluate runs/synth/")
        tab.press("Escape")
        assert tab.run("tip.checkVisibility()") is False
        for _ in range(60):
            tab.press("Tab")
            if tab.run("document.activeElement.matches('td button')"):
                break
        assert tab.run("document.activeElement.matches('td button')") and tab.run("tip.checkVisibility()")
        tab.press("Enter")
        assert tab.run("document.activeElement.ariaExpanded") == "true"
        told = tab.run("document.querySelector('tr.more').innerText")
        for words in ("avsr-bench evaluate", "avsr-bench train", "3f9c2d1", "4be1c07a9d2f", "15 speakers"):
            assert words in told
        tab.press(" ")
        assert tab.run("document.querySelector('tr.more')") is None
        for _ in range(25):  # down the tables, which scrolls the page
            tab.press("Tab")
            tab.run("new Promise(done => setTimeout(done, 30))")
            if tab.run("document.activeElement.matches('td button')"):
                assert tab.run("tip.checkVisibility()")
        assert tab.run("scrollY") > 0
        tab.run(
            """(() => {
              const heading = [...document.querySelectorAll("h3")].find(each => each.innerText.includes("mean WER"));
              const table = heading.closest(".table").querySelector("table");
              table.id = "means";
              table.scrollIntoView({ block: "center" });
            })()"""
        )
        tab.point("#means tr[data-row] td:nth-child(4)")
        assert re.match(r"\d+, each with its command under", tab.run("tip.innerText"))
        tab.press("Escape")

        # Light and dark: text stands out from paper, in figures too.
        def ratio():
            return tab.run(
                """(() => {
                  const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
                    .map(c => c / 255).map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
                    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
                  const paper = light(getComputedStyle(document.body).backgroundColor);
                  const inks = [document.body, document.querySelector(".muted"), document.querySelector("td small"),
                    document.querySelector(".measured .tag"), document.querySelector(".published .tag")];
                  const found = inks.map(each => light(getComputedStyle(each).color));
                  found.push(light(getComputedStyle(document.querySelector("figure text")).fill));
                  return Math.min(...found.map(ink => (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05)));
                })()"""
            )

        papers = []
        for scheme in ("light", "dark"):
            tab.scheme(scheme)
            assert ratio() > 4.5
            papers.append(tab.run("getComputedStyle(document.body).backgroundColor"))
        tab.click("#theme")
        assert tab.run("getComputedStyle(document.body).backgroundColor") == papers[0] != papers[1]
        assert ratio() > 4.5

        # Points of figures say what they are.
        titles = tab.run("[...document.querySelectorAll('figure use > title')].map(title => title.textContent)")
        assert len(titles) > 200 and any(title.startswith("synth/msrs-tiny-s0, level 5: ") for title in titles)

        # A phone: nothing sticks out, targets are large, a finger opens a row.
        tab.size(390, 844, 2, phone=True)
        tab.open(page.parent / "README.md")
        tab.open(page)
        assert tab.run("document.documentElement.scrollWidth") == 390
        on_top = """(() => {
          const first = document.querySelector("tbody td");
          first.scrollIntoView({ block: "center" });  // the sentences of the board stand above it
          document.querySelector(".scroll").scrollLeft = 150;
          const box = first.getBoundingClientRect();
          return first.contains(document.elementFromPoint(box.right - 4, box.bottom - 12));
        })()"""
        assert tab.run(on_top) is True  # names of systems lie above what scrolls
        tab.run("document.querySelector('.scroll').scrollLeft = 0")
        tab.tap("td button")
        tab.run("new Promise(done => setTimeout(done, 400))")
        assert tab.run("document.querySelector('tr.more')?.checkVisibility()") is True
        box = tab.run("document.querySelector('tr.more dl').getBoundingClientRect().toJSON()")
        assert box["left"] >= 0 and box["right"] <= 390
        assert tab.run("document.querySelector('td button').getBoundingClientRect().height") >= 24

        assert tab.problems == []
        assert {url.partition("#")[0] for url in tab.requests} <= {
            page.as_uri(),
            (page.parent / "README.md").as_uri(),
        }
