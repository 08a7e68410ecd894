"""Outputs that are maps: the words of all lanes leave through one requantiser, as many cycles as there are words."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.intnet import IntegerNetwork, Pool, Residual, Term
from tests.support.bench import random_images, random_pause, run_checked
from tests.support.networks import Spec, compiled, network, seeded_weights
from tests.support.rounds import long_round

#: Rows and columns: fewer, as many and more lanes than the map has pixels, one filter a tile, two drain levels.
ARRAYS = [(1, 1), (4, 1), (3, 4), (7, 2), (13, 3), (2, 17)]


def head(filters: int, size: tuple[int, int] = (3, 4), *, kernel: int = 1) -> IntegerNetwork:
    """A convolution of `filters` filters whose map of `size` is the output."""
    term = Term(source="image", weight=seeded_weights(filters, 2, kernel, kernel))
    shape = (2, size[0] + kernel - 1, size[1] + kernel - 1)
    return network(shape, (Spec(name="map", terms=(term,), wide=True),))


@pytest.mark.parametrize(("rows", "cols"), long_round(ARRAYS, quick=3), ids=str)
def test_maps_on_any_array(rows: int, cols: int) -> None:
    for filters in {1, cols, cols + 1}:
        program = compiled(head(filters), rows, cols, pipeline=("short", "fast")[(filters + rows) % 2])
        assert program.hardware.wide_lanes == min(rows, 12)
        run_checked(program, random_images(program, 3))


def test_words_that_take_longer_than_the_list_and_lists_that_take_longer_than_the_words() -> None:
    """One word a cycle, or the array's own pace, whichever is slower; never both."""
    short, long = compiled(head(4), 4, 4), compiled(head(4, kernel=5), 4, 4)
    assert [tile.idle for tile in short.tiles] == [4 * 4 - 2] and [tile.idle for tile in long.tiles] == [0]
    for program in (short, long):
        (layer,) = program.cycles.layers
        assert layer.promise == max(4 * 12, 3 * layer.listed)
        run_checked(program, random_images(program, 2))


def test_the_last_pixel_tile_waits_for_its_own_words_only() -> None:
    program = compiled(head(9, (1, 9)), 8, 4)
    assert [(tile.idle, tile.idle_last) for tile in program.tiles] == [(30, 2), (30, 2), (6, 6)]
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize(("rows", "cols"), [(3, 2), (5, 3)], ids=str)
def test_residuals_pools_and_several_outputs_under_back_pressure(rows: int, cols: int) -> None:
    """A residual into a map, a pooled map, logits, in one image; the host takes words when it likes."""
    pad = (1, 1, 1, 1)
    residual = Residual(source="a", channel=np.array([2, 0, 1]), mult=np.array([30, 0, 200]))
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 1, 3, 3), padding=pad),)),
        Spec(
            name="sum",
            terms=(Term(source="a", weight=seeded_weights(3, 3, 3, 3), padding=pad),),
            residual=residual,
            wide=True,
        ),
        Spec(name="b", terms=(Term(source="image", weight=seeded_weights(2, 1, 3, 3), padding=pad),)),
        Spec(
            name="pooled",
            terms=(Term(source="b", weight=seeded_weights(2, 2, 1, 1)),),
            pool=Pool(kernel=(2, 2), stride=(1, 1)),
            wide=True,
        ),
        Spec(name="logits", terms=(Term(source="a", weight=seeded_weights(4, 3, 4, 4)),), wide=True),
    )
    program = compiled(network((1, 4, 4), layers), rows, cols, pipeline={3: "fast", 5: "short"}[rows])
    assert program.hardware.residual_bits > 0 and program.hardware.wide_lanes > 1
    run_checked(program, random_images(program, 3), pause_in=random_pause(rows), pause_out=random_pause(cols, 30))


def test_outputs_of_one_pixel_need_no_queue() -> None:
    program = compiled(head(5, (1, 1), kernel=2), 4, 3)
    assert program.hardware.wide_lanes == 1
    run_checked(program, random_images(program, 2))
