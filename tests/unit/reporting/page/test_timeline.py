"""Every cycle of every layer is accounted for."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from hwprm.compiler import Program
from hwprm.reporting.curves.svg import stacked
from hwprm.reporting.page.parts import Bars, Table
from hwprm.reporting.page.timeline import spent, timeline
from tests.support.networks import compiled, lenet, small_lenet


@pytest.fixture(scope="module", params=[(2, 3), (8, 8), (3, 16)], ids=str)
def program(request: pytest.FixtureRequest) -> Program:
    return compiled(small_lenet(), *request.param)


def test_parts_add_up_to_what_is_predicted(program: Program) -> None:
    parts = spent(program.record)
    assert [sum(astuple(part)) for part in parts] == [layer.cycles for layer in program.cycles.layers]
    assert all(value >= 0 for part in parts for value in astuple(part))
    assert [part.ideal + part.issue for part in parts] == [layer.busy for layer in program.cycles.layers]


def test_idle_cycles_are_those_of_the_schedule() -> None:
    # One filter of few columns a tile: the drain of 16 filters takes longer than a tile.
    program = compiled(lenet((16, 5, 7, 4), image=14, kernel=3), 2, 16)
    first = spent(program.record)[0]
    tiles = [tile for tile in program.record.tiles if tile.layer == 0]
    assert first.idle == sum(tile.idle * (tile.pixel_tiles - 1) for tile in tiles) + sum(
        tile.idle_last for tile in tiles[:-1]
    )


def test_page_has_a_bar_and_a_row_a_layer(program: Program) -> None:
    bars, table = timeline(program.record)
    assert isinstance(bars, Bars)
    assert isinstance(table, Table)
    names = [layer.name for layer in program.cycles.layers]
    assert [bar.label for bar in bars.charts[0][1]] == names
    assert [row[0] for row in table.rows] == [*names, "Image"]
    total = sum(int(cell.replace(",", "")) for cell in table.rows[-1][1:])
    assert total == program.cycles.total


def test_a_stacked_bar_is_not_longer_than_its_track() -> None:
    assert 'class="idle" x="250" width="500"' in stacked({"ideal": 0.25, "idle": 0.5, "wait": 0.0})
    with pytest.raises(ValueError, match="together"):
        stacked({"ideal": 0.75, "idle": 0.5})
