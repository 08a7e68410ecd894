"""Elements of SVG, the lanes of a network, and the rail that draws them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from hwprm.reporting.curves.svg import LENGTH, bar, element, number, picture, runs
from hwprm.reporting.page.rail import MARGIN, PITCH, STEP, lanes, rail


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12, "12"), (1.5, "1.5"), (1 / 3, "0.33"), (-0.001, "0"), (100.0, "100")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_text_is_escaped() -> None:
    made = element("text", '<script>"', class_='a"b', font_size=3.0)
    assert made == '<text class="a&#34;b" font-size="3">&lt;script&gt;&#34;</text>'
    assert element("rect", x=1) == '<rect x="1"/>'
    root = ET.fromstring(picture("a < b", made))
    assert (root.attrib["role"], root[0].tag, root[0].text) == ("img", "title", "a < b")


def _widths(svg: str) -> dict[str, tuple[float, float]]:
    """``{class: (x, width)}`` of each rectangle."""
    return {rect.attrib["class"]: (float(rect.get("x", 0)), float(rect.attrib["width"])) for rect in ET.fromstring(svg)}


def test_bar_is_as_long_as_its_numbers() -> None:
    found = _widths(bar(0.25, ghost=0.5, mark=0.75))
    assert found["track"] == (0, LENGTH)
    assert found["solid"] == (0, LENGTH / 4)
    assert found["ghost"] == (0, LENGTH / 2)
    x, width = found["mark"]
    assert x + width / 2 == 0.75 * LENGTH
    assert set(_widths(bar(1.0))) == {"track", "solid"}
    x, width = _widths(bar(1.0, mark=1.0))["mark"]
    assert x + width == LENGTH, "a mark at the end stays inside"


def test_bar_shows_little_but_not_nothing() -> None:
    assert _widths(bar(1e-6))["solid"][1] > 0
    assert _widths(bar(0.0))["solid"][1] == 0


@pytest.mark.parametrize(
    "shares", [{"solid": 1.01}, {"solid": -0.1}, {"solid": 0, "ghost": 2}, {"solid": 0, "mark": 1.5}]
)
def test_bar_refuses_shares_of_nothing(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"a bar's shares lie in 0\.\.1"):
        bar(**shares)


def test_runs() -> None:
    assert runs([]) == []
    assert runs([0, 1, 2, 5, 7, 8]) == [(0, 3), (5, 1), (7, 2)]


def test_a_chain_has_one_lane() -> None:
    assert lanes([(), (0,), (1,), (2,)]) == (0, 0, 0, 0)


def test_a_residual_branch_leaves_the_lane_and_returns() -> None:
    assert lanes([(), (0,), (1,), (2, 0), (3,)]) == (0, 1, 1, 0, 0)


def test_branches_of_a_concatenation_lie_side_by_side() -> None:
    assert lanes([(), (0,), (0,), (0,), (1, 2, 3)]) == (0, 1, 2, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_no_line_runs_through_another_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [(), *(tuple({int(j) for j in rng.integers(max(0, i - 6), i, rng.integers(1, 4))}) for i in range(1, 30))]
    chosen = lanes(inputs)
    for reader, sources in enumerate(inputs):
        for source in sources:
            between = {chosen[step] for step in range(source + 1, reader)}
            assert chosen[source] not in between, (source, reader)


def test_rail_draws_each_edge_and_each_dot() -> None:
    inputs = [(), (0,), (1, 0)]
    svg, width = rail(inputs, ["plain", "weighted", "joined"])
    paths = ET.fromstring(svg)
    edges = [path.attrib["d"] for path in paths if path.attrib["class"] == "edge"]
    dots = [path.attrib["d"] for path in paths if path.attrib["class"].startswith("dot ")]
    assert (len(edges), len(dots)) == (3, 3)
    assert width == 2 * MARGIN + PITCH
    for step, (lane, dot) in enumerate(zip(lanes(inputs), dots, strict=True)):
        assert dot == f"M{MARGIN + PITCH * lane} {STEP * step + STEP // 2}h0"
    ends = {(re.match(r"M(\S+ \S+?)V", edge)[1], edge.rpartition(" ")[0].rpartition(" ")[2]) for edge in edges}  # type: ignore[index]  # else the test fails
    assert len(ends) == 3
    assert rail(inputs, ["plain", "weighted", "joined"]) == (svg, width)
