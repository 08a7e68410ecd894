"""Filter tiles, shared lists, idle cycles: against plain loops and a queue stepped cycle by cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.compiler import Program
from hwprm.compiler.layout.geometry import layer_geometry
from hwprm.compiler.layout.memory import map_memory
from hwprm.compiler.layout.schedule import Schedule, Tile, build_schedule, row_segments
from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork, Residual, Term
from hwprm.isa.latencies import SPACING
from tests.support.networks import Spec, compiled, network, small_lenet, weights
from tests.support.random_networks import random_network
from tests.unit.compiler.cases import random_programs, residual_programs


def _schedule(net: IntegerNetwork, rows: int, cols: int) -> Schedule:
    geometry = tuple(layer_geometry(net, i) for i in range(len(net.layers)))
    return build_schedule(geometry, map_memory(net, geometry, rows), ArrayConfig(rows=rows, cols=cols))


@given(pixels=st.integers(1, 60), width=st.integers(1, 20), rows=st.integers(1, 20))
def test_row_segments(pixels, width, rows):
    want = [len({p // width for p in range(s, min(s + rows, pixels))}) for s in range(0, pixels, rows)]
    assert row_segments(pixels, width, rows) == want


def _rebuilt(net: IntegerNetwork, schedule: Schedule, layer: int) -> list[np.ndarray]:
    """The layer's weights, put together again from lists and weight words."""
    terms = net.layers[layer].terms
    result = [np.zeros_like(term.weight) for term in terms]
    for tile, words in zip(schedule.tiles, schedule.weights, strict=True):
        if tile.layer != layer:
            continue
        _, columns = schedule.lists[tile.list_index]
        for k in range(len(columns)):
            term, target = terms[columns.term[k]], result[columns.term[k]]
            group, channel = divmod(int(columns.channel[k]), term.weight.shape[1])
            per_group = len(target) // term.groups
            for f in range(tile.filters):
                m = tile.first_filter + f
                if m // per_group == group:
                    target[m, channel, columns.ky[k], columns.kx[k]] += words[k, f]
                else:
                    assert words[k, f] == 0, "a filter has a weight in another group's column"
        assert not words[len(columns) :].any(), "the guard has a weight"
        assert not words[:, tile.filters :].any(), "a filter past the last has a weight"
    return result


@pytest.mark.parametrize("cols", [1, 2, 3, 5, 16], ids=lambda c: f"C{c}")
def test_lists_and_weights_hold_the_matrix(cols):
    for seed in range(40):
        net = random_network(seed, largest=6)
        schedule = _schedule(net, 3, cols)
        for i, layer in enumerate(net.layers):
            for term, rebuilt in zip(layer.terms, _rebuilt(net, schedule, i), strict=True):
                assert np.array_equal(term.weight, rebuilt), (seed, layer.name)


def test_columns_are_those_in_use_and_no_others():
    for program in random_programs(range(40)):
        for tile in program.tiles:
            terms = program.geometry[tile.layer].layer.terms
            chosen = slice(tile.first_filter, tile.first_filter + tile.filters)
            used = 0
            for term in terms:
                per_group = len(term.weight) // term.groups
                groups = np.arange(tile.first_filter, tile.first_filter + tile.filters) // per_group
                part = term.weight[chosen]
                used += sum(int(part[groups == g].any(axis=0).sum()) for g in set(groups.tolist()))
            assert tile.columns == max(used, 1)
            assert tile.length == tile.columns + program.geometry[tile.layer].guarded


def test_residual_entries_stand_where_their_filters_are_drained():
    """From the end as many places as the array has columns, less the filter's number; no list is longer than needed."""
    seen = 0
    for program in residual_programs(range(60)):
        cols, memory_map = program.array.cols, program.memory_map
        schedule = build_schedule(program.geometry, memory_map, program.array)
        for tile, words in zip(schedule.tiles, schedule.weights, strict=True):
            geo, layer = program.geometry[tile.layer], program.geometry[tile.layer].layer
            (_, first), (_, own) = schedule.lists[tile.list_index], schedule.lists[tile.tail_index]
            mult = (
                layer.residual.mult[tile.first_filter :][: tile.filters] if layer.residual else np.zeros(tile.filters)
            )
            added = np.flatnonzero(mult)
            term, channel = (
                np.concatenate([getattr(first, key)[: tile.shared], getattr(own, key)]) for key in ("term", "channel")
            )
            assert tile.residuals == len(added) == int((term == len(layer.terms)).sum())
            if len(added):
                places = tile.length - cols + added
                assert len(own) == cols or not tile.shared
                assert np.all(term[places] == len(layer.terms)) and not words[places].any()
                read = channel[places] + memory_map.first_channel(geo, tile.first_filter)
                assert np.array_equal(read, layer.residual.channel[tile.first_filter + added])
                assert tile.length == len(term) == max(int(words.any(axis=1).sum()) + len(added), cols)
            seen += len(added)
    assert seen > 500


def test_tiles_that_differ_in_their_residuals_share_their_columns():
    """Three tiles of two filters over five columns: five entries in common, a tail of two each."""
    residual = Residual(source="image", channel=np.arange(6) % 5, mult=np.array([3, 4, 0, 5, 6, 7]))
    term = Term(source="image", weight=np.ones((6, 5, 1, 1), dtype=np.int64))
    net = network((5, 1, 1), (Spec(name="a", terms=(term,), residual=residual, wide=True),))
    schedule = _schedule(net, 1, 2)
    assert [(tile.length, tile.shared, tile.list_index) for tile in schedule.tiles] == [(7, 5, 0), (6, 4, 0), (7, 5, 0)]
    assert [tile.tail_index for tile in schedule.tiles] == [1, 2, 3]
    assert [len(columns) for _, columns in schedule.lists] == [5, 2, 2, 2]
    assert schedule.lists[2][1].channel.tolist() == [
        4,
        3,
    ]  # the last column in the place of filter 0, which adds nothing


def test_tiles_with_the_same_columns_share_a_list():
    weight = np.ones((6, 2, 1, 1), dtype=np.int64)
    weight[2:4, 0] = 0
    layers = (Spec(name="a", terms=(Term(source="image", weight=weight),), wide=True),)
    schedule = _schedule(network((2, 1, 1), layers), 1, 2)
    assert [tile.list_index for tile in schedule.tiles] == [0, 1, 0]
    assert [len(columns) for _, columns in schedule.lists] == [2, 1]


def test_layers_do_not_share_lists():
    """Equal columns of another layer lie elsewhere."""
    one = np.ones((1, 1, 1, 1), dtype=np.int64)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=one),)),
        Spec(name="b", terms=(Term(source="a", weight=one),), wide=True),
    )
    assert [layer for layer, _ in _schedule(network((1, 2, 2), layers), 2, 2).lists] == [0, 1]


def test_a_tile_without_weights_still_runs():
    weight = np.ones((4, 1, 1, 1), dtype=np.int64)
    weight[2:] = 0
    layers = (Spec(name="a", terms=(Term(source="image", weight=weight),), wide=True),)
    schedule = _schedule(network((1, 1, 1), layers), 1, 2)
    assert [tile.columns for tile in schedule.tiles] == [1, 1]
    assert not schedule.weights[1].any()


def _queue_high_water(tiles: list[Tile], writes: list[int]) -> int:
    """Vectors waiting at the worst moment when every pixel tile's come `filters` cycles in a row, one a cycle.

    Raises AssertionError when a pixel tile ends while the one before is still draining.
    """
    arrivals: list[tuple[int, int]] = []  # cycle, writes
    now, free = 0, 0
    for tile in tiles:
        for i, count in enumerate(writes):
            now += tile.busy
            assert now >= free, "a pixel tile ends before the drain is through"
            free = now + tile.filters
            arrivals += [(now + f, count) for f in range(tile.filters)]
            now += tile.idle if i + 1 < len(writes) else tile.idle_last
    high = done = 0
    ends: list[int] = []
    for cycle, count in arrivals:
        done = max(done, cycle) + count
        ends.append(done)
        high = max(high, sum(end > cycle for end in ends))
    return high


def _layers_with_writes(program: Program):
    for geo in program.geometry:
        tiles = [tile for tile in program.tiles if tile.layer == geo.index]
        stored = not geo.layer.wide
        gap = program.memory_map[geo.layer.name].gap() if stored else 0
        rows = program.hardware.rows
        if geo.layer.wide:
            writes = [min(rows, geo.pixels - start) for start in range(0, geo.pixels, rows)]
        else:
            writes = row_segments(geo.pixels, geo.width, rows) if gap else [1] * geo.pixel_tiles(rows)
        assert max(writes) == tiles[0].writes
        assert writes[-1] == tiles[0].last_writes
        yield geo, tiles, writes


def test_stores_keep_up_and_idle_cycles_are_needed():
    idle = 0
    for program in [
        *random_programs(range(80)),
        *residual_programs(range(40)),
        *(compiled(small_lenet(), r, c) for r in (4, 9) for c in (3, 8)),
    ]:
        for _, tiles, writes in _layers_with_writes(program):
            assert _queue_high_water(tiles, writes) <= program.array.cols
            idle += sum(tile.idle for tile in tiles)
            for tile, after in zip(tiles, [*tiles[1:], None], strict=True):
                if tile.pixel_tiles > 1:
                    assert tile.idle == max(0, tile.filters * tile.writes - tile.busy)
                if after:
                    assert tile.idle_last == max(0, tile.filters * tile.last_writes - after.busy)
    assert idle > 0


def test_tiles_of_a_fast_design_end_apart():
    """At least the spacing apart, and no cycle more than drain, stores and spacing need."""
    short = 0
    for program in random_programs(range(40), pipeline="fast"):
        spacing = SPACING(program.hardware)
        for _, tiles, writes in _layers_with_writes(program):
            assert _queue_high_water(tiles, writes) <= program.array.cols
            for tile, after in zip(tiles, [*tiles[1:], None], strict=True):
                if tile.pixel_tiles > 1:
                    assert tile.idle == max(0, max(tile.filters * tile.writes, spacing) - tile.busy)
                if after:
                    assert tile.idle_last == max(0, max(tile.filters * tile.last_writes, spacing) - after.busy)
                    short += tile.idle_last > 0 and tile.filters * tile.last_writes < spacing
    assert short > 0


def test_without_idle_cycles_the_queue_overflows():
    """The check above must be able to fail."""

    rng = np.random.default_rng(0)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weights(rng, (8, 1, 1, 1))),)),
        Spec(name="b", terms=(Term(source="a", weight=weights(rng, (2, 8, 2, 2)), stride=(2, 2)),), wide=True),
    )
    program = compiled(network((1, 6, 6), layers), 4, 8)
    _, tiles, writes = next(_layers_with_writes(program))
    assert tiles[0].idle > 0
    with pytest.raises(AssertionError, match="^a pixel tile ends before the drain is through"):
        _queue_high_water([replace(tile, idle=0, idle_last=0) for tile in tiles], writes)
