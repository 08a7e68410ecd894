"""The page of a study in a real browser: what is drawn, how the views hang together, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hwprm.exploration.study import Study
from hwprm.reporting.page import write_study
from tests.e2e.test_page_in_browser import _complaints
from tests.support.browser import Browser, Tab, browser
from tests.support.explored import grid_study

HOSTILE = "</script><script>window.broken = 1</script><b>net</b>"
#: Marks drawn: every one is a move of the pen in one of the paths of its picture.
DRAWN = """[...document.querySelectorAll("svg.scatter")].map((e) => [...e.querySelectorAll("path.points")]
    .map((p) => p.getAttribute("d").match(/M/g).length).reduce((a, b) => a + b, 0))"""
MARKED = """[".scatter .hit", ".map .hit", ".parallel .hit", "tr.hit-row", "#point dl"]
    .map((name) => document.querySelectorAll(name).length)"""
NUMBERS = "[...document.querySelectorAll('#points-view tbody tr')].map((e) => Number(e.dataset.number))"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return grid_study(tmp_path_factory.mktemp("study"), name=HOSTILE)


@pytest.fixture(scope="module")
def page(study: Study) -> Path:
    write_study(study.to_json(), study.folder / "study.html")
    return study.folder / "study.html"


def _press(tab: Tab, key: str, *, shift: bool = False) -> None:
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 if shift else 0)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_study_is_drawn(chromium: Browser, page: Path, study: Study, width: int, dark: bool) -> None:
    tab = chromium.open(page, width, dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert _complaints(tab) == []
    measured = sum(bool(point.values) for point in study.points)
    assert tab.evaluate(DRAWN) == [measured] * 4, "three pairs of objectives, and two chosen"
    assert tab.evaluate("document.querySelectorAll('.map .cell').length") == 6 * 5 - 1
    assert tab.evaluate("document.querySelectorAll('.map .cell-refused').length") == 1
    assert tab.evaluate("Number(document.querySelector('svg.parallel').dataset.drawn)") == measured
    assert tab.evaluate("document.querySelectorAll('.scatter .limit').length") == 2, "in both pairs with LUTs"
    assert len(tab.evaluate(NUMBERS)) == len(study.front())
    assert tab.evaluate("[document.querySelector('h1').textContent, window.broken === undefined]") == [HOSTILE, True]


def test_views_are_linked(chromium: Browser, page: Path, study: Study) -> None:
    tab = chromium.open(page, 1280)
    assert tab.evaluate(MARKED) == [0, 0, 0, 0, 0]
    best = study.front()[3]
    tab.evaluate(f"""(() => {{
        const row = document.querySelector('tr[data-number="{best.number}"]');
        row.dispatchEvent(new PointerEvent("pointerenter"));
    }})()""")
    assert tab.evaluate(MARKED) == [4, 1, 1, 1, 1]
    told = tab.evaluate("document.querySelector('#point').textContent")
    assert f"Point {best.number}front" in told and f"{best.values['cycles']:,}" in told
    assert "--build" not in told
    # The pointer where that ring is finds a point with the same place; outside there is none.
    ring = tab.evaluate("""(() => {
        const box = document.querySelector(".scatter .hit").getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2];
    })()""")
    tab.evaluate("document.querySelector('tbody tr').dispatchEvent(new PointerEvent('pointerleave'))")
    assert tab.evaluate(MARKED) == [0, 0, 0, 0, 0]
    for kind, extra in (("mouseMoved", {}), ("mousePressed", {"button": "left", "clickCount": 1})):
        tab.call("Input.dispatchMouseEvent", type=kind, x=ring[0], y=ring[1], **extra)
    tab.call("Input.dispatchMouseEvent", type="mouseReleased", x=ring[0], y=ring[1], button="left", clickCount=1)
    assert tab.evaluate(MARKED)[:3] == [4, 1, 1]
    number = tab.evaluate("document.querySelector('tr.pin-row').dataset.number")
    assert tab.evaluate("document.querySelector('#point code').textContent") == (
        f"hwprm explore STUDY --build {number} -o best"
    )
    _press(tab, "Escape")
    assert tab.evaluate(MARKED) == [0, 0, 0, 0, 0]
    assert _complaints(tab) == []


def test_table_sorts_and_shows_all(chromium: Browser, page: Path, study: Study) -> None:
    tab = chromium.open(page, 1280)
    cycles = {point.number: point.values.get("cycles") for point in study.points}
    click = (
        "[...document.querySelectorAll('#points-view th button')].find((e) => e.textContent.startsWith('%s')).click()"
    )
    tab.evaluate(click % "cycles")
    rising = tab.evaluate(NUMBERS)
    assert rising == sorted((p.number for p in study.front()), key=lambda number: (cycles[number], number))
    tab.evaluate(click % "cycles")
    assert [cycles[n] for n in tab.evaluate(NUMBERS)] == [cycles[n] for n in reversed(rising)]
    assert tab.evaluate("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    tab.evaluate("document.querySelector('#points-controls input').click()")
    numbers = tab.evaluate(NUMBERS)
    assert sorted(numbers) == list(range(len(study.points)))
    assert [cycles[n] for n in numbers[-2:]] == [None, None], "what was refused stands last"
    why = tab.evaluate("document.querySelector('#points-view td.why').textContent")
    assert why.startswith("refused: ") and "<b>" in why


def test_keyboard_moves_keeps_and_brushes(chromium: Browser, page: Path, study: Study) -> None:
    tab = chromium.open(page, 1280)
    tab.evaluate("document.querySelector('.scatter').focus()")
    _press(tab, "ArrowRight")
    first = tab.evaluate("document.querySelector('tr.hit-row').dataset.number")
    _press(tab, "ArrowRight")
    assert tab.evaluate("document.querySelector('tr.hit-row').dataset.number") != first
    _press(tab, "Enter")
    assert tab.evaluate("document.querySelectorAll('#point code').length") == 1
    _press(tab, "Escape")
    # Half of the rows: the lower end goes up by twentieths of the axis.
    tab.evaluate("document.querySelector('.axis-hit[data-key=\"array.rows\"]').focus()")
    for _ in range(10):
        _press(tab, "ArrowUp")
    kept = [p for p in study.points if p.values and p.options["array.rows"] >= 4]
    assert f"{len(kept)} of " in tab.evaluate("document.querySelector('#parallel-controls [role=status]').textContent")
    inside = "[...document.querySelectorAll('.scatter')].map((e) => Number(e.dataset.drawn))"
    assert tab.evaluate(inside) == [len(kept)] * 4
    assert len(tab.evaluate(NUMBERS)) == sum(p.options["array.rows"] >= 4 for p in study.front())
    _press(tab, "Escape")
    assert tab.evaluate(inside) == [sum(bool(point.values) for point in study.points)] * 4


def test_ten_thousand_points_stay_usable(chromium: Browser, tmp_path: Path) -> None:
    large = grid_study(tmp_path, rows=50, cols=40, bits=5)
    assert len(large.points) == 10_000
    write_study(large.to_json(), tmp_path / "study.html")
    assert (tmp_path / "study.html").stat().st_size < 2e6
    tab = chromium.open(tmp_path / "study.html", 1280)
    assert _complaints(tab) == []
    lines = tab.evaluate("Number(document.querySelector('svg.parallel').dataset.drawn)")
    assert len(large.front()) < lines < 4000
    note = tab.evaluate("document.querySelector('#parallel-controls [role=status]').textContent")
    measured = sum(bool(point.values) for point in large.points)
    assert f"; {measured - lines:,} lines of points off the front are not drawn" in note
    tab.evaluate("document.querySelector('#points-controls input').click()")
    assert len(tab.evaluate(NUMBERS)) == 500
    assert "500 of 10,000 rows" in tab.evaluate("document.querySelector('#points-controls').textContent")
