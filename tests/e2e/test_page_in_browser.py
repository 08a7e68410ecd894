"""The page in a real browser, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.reporting.page import write_page
from tests.support.browser import Browser, Tab, browser
from tests.support.silicon import make_bundle, silicon_facts

CHECKS = Path(__file__).with_name("page_checks.js").read_text()
FLOAT = ["network", "matrices", "compression", "removals", "accuracy", "training", "residuals"]
SECTIONS = [*FLOAT, "quality", "confusion", "cycles", "memory", "rom", "verification", "proof", "run"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "report.html"
    write_page(finished, target)
    return target


def test_a_missing_browser_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssertionError, match=r"need Chromium .*; install the package chromium"), browser(tmp_path):
        pass


def _complaints(tab: Tab) -> list[str]:
    """Everything wrong with a page: what the checks see, what the browser logged, what it fetched."""
    found = list(tab.evaluate(CHECKS))
    found += [f"log: {event['entry']['text']}" for event in tab.events("Log.entryAdded")]
    found += [f"exception: {event['exceptionDetails']['text']}" for event in tab.events("Runtime.exceptionThrown")]
    found += [f"console: {event['type']}" for event in tab.events("Runtime.consoleAPICalled")]
    urls = [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")]
    return found + [f"fetched: {url}" for url in urls[1:] if not url.startswith("data:")]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_page_is_drawn(chromium: Browser, page: Path, width: int, dark: bool) -> None:
    tab = chromium.open(page, width, dark=dark)
    assert tab.evaluate("innerWidth") == width
    assert _complaints(tab) == []
    assert tab.evaluate("[...document.querySelectorAll('section')].map(s => s.id)") == SECTIONS
    # Folded parts too.
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert _complaints(tab) == []
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") != dark
    # What is wider than the screen has a shade at the side where there is more; paper scrolls over it at the end.
    of_all = "[...document.querySelectorAll('.scroll')]"
    shades = tab.evaluate(f"{of_all}.map(s => getComputedStyle(s).backgroundAttachment)")
    assert shades and set(shades) == {"local, local, scroll, scroll"}


def test_pictures_are_those_of_the_build(chromium: Browser, page: Path, finished: Path) -> None:
    tab = chromium.open(page, 1280)
    counts = {
        kind: tab.evaluate(f"document.querySelectorAll('{kind}').length")
        for kind in ("svg.matrix", "svg.memory", "svg.curves")
    }
    assert counts == {"svg.matrix": 3, "svg.memory": 1, "svg.curves": 6}
    # A curve is as wide as its plot: six epochs of training, four of ADMM, two of retraining, two stages behind them.
    share = """(() => {
        const box = (e) => e.getBoundingClientRect();
        const plot = document.querySelector("#training svg.curves");
        const lines = [...plot.querySelectorAll("path.curve:not(.dots)")].map((e) => box(e).width / box(plot).width);
        return lines.map((part) => Math.round(14 * part));
    })()"""
    assert tab.evaluate(share) == [5, 3, 1]
    assert tab.evaluate("document.querySelectorAll('svg.rail .dot').length") == 5
    assert tab.evaluate("document.querySelectorAll('.network li').length") == 5
    # Each dot stands beside its step.
    apart = """(() => {
        const middle = (box) => box.top + box.height / 2;
        const rail = document.querySelector("svg.rail").getBoundingClientRect();
        const steps = [...document.querySelectorAll(".network li")].map((e) => middle(e.getBoundingClientRect()));
        return steps.map((y, i) => Math.abs(rail.top + rail.height * (i + 0.5) / steps.length - y));
    })()"""
    for width in (1280, 360):
        assert max(chromium.open(page, width).evaluate(apart)) < 1


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("<script>nonesuch()</script>", "exception: Uncaught"),
        ("<script>console.error(1)</script>", "console: error"),
        ("<div style='width: 2000px; height: 1px'></div>", "pixels wide, the screen 360"),
        ("<svg width='0' height='9' aria-hidden='true'><rect width='9' height='9'/></svg>", "svg"),
        ("<svg width='9' height='9' aria-hidden='true'></svg>", "draws nothing"),
        ("<svg width='9' height='9'><rect width='9' height='9'/></svg>", "has no title"),
        ("<section id='hollow' style='padding: 0'></section>", "section hollow is empty"),
        ("<p style='font-size: 9px'>small</p>", "9px high"),
        ("<p style='color: #999; background: #aaa'>pale</p>", "contrast"),
        ("<p style='width: 3em; overflow: hidden; white-space: nowrap'>far too long</p>", "is cut off"),
        ("<img src='nonesuch.png' alt='' aria-hidden='true' width='9' height='9'>", "fetched: file:"),
    ],
)
def test_faults_are_seen(chromium: Browser, page: Path, tmp_path: Path, fault: str, complaint: str) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("</main>", f"{fault}</main>"))
    assert complaint in "\n".join(_complaints(chromium.open(broken, 360)))


def test_the_dial_tells_images_at_every_clock(chromium: Browser, tmp_path: Path) -> None:
    bundle = Bundle.load(make_bundle(tmp_path / "bundle"))
    facts = silicon_facts(bundle.manifest.design_hash)
    (tmp_path / "ecp5").mkdir()
    (tmp_path / "ecp5" / "silicon.json").write_text(json.dumps(facts))
    write_page(bundle.folder, tmp_path / "page.html")
    tab = chromium.open(tmp_path / "page.html", 360)
    told = "document.querySelector('.dial output').value"
    assert tab.evaluate(told) == "48 MHz: 2,400 images per second"
    move = "d = document.querySelector('.dial input'); d.value = 125; d.dispatchEvent(new Event('input'))"
    tab.evaluate(f"(() => {{ const {move}; }})()")
    assert tab.evaluate(told) == "125 MHz: 6,250 images per second"
    assert _complaints(tab) == []
