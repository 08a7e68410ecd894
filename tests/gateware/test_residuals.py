"""Residuals through the array: the activation that leaves in the east meets the sum of its filter, on every array."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.core.errors import MismatchError
from hwprm.intnet import IntegerNetwork, Residual, Term
from hwprm.isa import entry_format, param_format, tile_format
from tests.support.bench import random_images, rom_contents, run_checked
from tests.support.networks import Spec, compiled, network, weights
from tests.support.random_networks import random_residuals
from tests.support.rounds import long_round

ARRAYS = [(1, 1), (2, 17), (3, 20), (4, 3), (5, 8), (1, 6), (7, 1)]


def block(*, filters: int = 5, pruned: float = 0.5, factor: int = 300) -> IntegerNetwork:
    """A basic block: a stem, a convolution, another that adds the stem's result, and one that is the output."""
    rng = np.random.default_rng(filters)
    shape = (filters, filters, 3, 3)
    mult = rng.integers(1, factor, filters)
    mult[filters // 2] = 0
    residual = Residual(source="stem", channel=rng.permutation(filters), mult=mult)

    def term(source: str, *size: int) -> tuple[Term, ...]:
        pad = (size[2] // 2,) * 4
        return (Term(source=source, weight=weights(rng, size, pruned=pruned), padding=pad),)

    return network(
        (2, 2, 3),
        (
            Spec(name="stem", terms=term("image", filters, 2, 3, 3)),
            Spec(name="a", terms=term("stem", *shape)),
            Spec(name="b", terms=term("a", *shape), residual=residual, relu=False),
            Spec(name="c", terms=term("b", 3, filters, 1, 1), wide=True),
        ),
    )


@pytest.mark.parametrize(("rows", "cols"), ARRAYS, ids=str)
def test_block_on_any_array(rows: int, cols: int) -> None:
    program = compiled(block(pruned=0.9), rows, cols)
    assert program.hardware.residual_bits > 0
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize("stages", long_round([1, 4, 2], quick=2))
def test_any_number_of_multiplier_stages(stages: int) -> None:
    program = compiled(block(filters=4), 2, 3, multiplier_stages=stages)
    run_checked(program, random_images(program, 1))


@pytest.mark.parametrize(("rows", "cols"), long_round(ARRAYS, quick=3), ids=str)
@pytest.mark.parametrize("seed", long_round([13, 3], quick=1))
def test_random_networks(rows: int, cols: int, seed: int) -> None:
    program = compiled(random_residuals(seed, largest=3), rows, cols)
    assert program.hardware.residual_bits > 0
    run_checked(program, random_images(program, 1, seed))


def test_an_entry_a_filter_and_nothing_else() -> None:
    """Beside the block without the residual: one cycle per pixel tile and filter that has one, same tail."""
    program = compiled(block(pruned=0.0), 2, 3, phases="off")
    cycles = {layer.name: layer for layer in program.cycles.layers}
    tiles = [tile for tile in program.tiles if tile.layer == 2]
    assert [(tile.filters, tile.residuals, tile.length - tile.columns) for tile in tiles] == [(3, 2, 2), (2, 2, 2)]
    assert cycles["b"].busy - cycles["a"].busy == 4 * 3 and cycles["b"].columns == cycles["a"].columns
    assert cycles["b"].bound == cycles["b"].weights and cycles["b"].promise - cycles["a"].promise == 4 * 3
    assert cycles["b"].cycles - cycles["a"].cycles == 4 * 3


def test_wide_sums_do_not_widen_the_array() -> None:
    narrow, wide = (compiled(block(factor=factor), 2, 2).hardware for factor in (2, 1 << 20))
    assert narrow.acc_bits == wide.acc_bits and wide.sum_bits > narrow.sum_bits
    program = compiled(block(factor=1 << 20), 2, 2)
    run_checked(program, random_images(program, 1))


def _first_residual(program: Program) -> int:
    form = param_format(program.hardware)
    return next(i for i, word in enumerate(rom_contents(program)["params"]) if form.decode(word)["residual"])


def test_a_wrong_multiplier_is_seen() -> None:
    program = compiled(block(), 4, 3)
    form, index, words = param_format(program.hardware), _first_residual(program), rom_contents(program)
    values = form.decode(words["params"][index])
    words["params"][index] = form.encode(values | {"residual": values["residual"] ^ 0x60})
    with pytest.raises(MismatchError, match=r"^image 0, tensor 'b'\[0, "):
        run_checked(program, random_images(program, 1), contents=words)


def test_swapped_residuals_are_seen() -> None:
    """Two filters of one tile get each other's residual."""
    program = compiled(block(), 4, 3)
    words, form = rom_contents(program), entry_format(program.hardware)
    index = next(i for i, tile in enumerate(program.tiles) if tile.residuals == 2)
    tile = tile_format(program.hardware).decode(words["tiles"][index])
    assert tile["shared"] and tile["length"] + 1 - tile["shared"] == 3
    first, second = tile["tail_base"], tile["tail_base"] + 1
    assert form.decode(words["entries"][first]) != form.decode(words["entries"][second])
    words["entries"][first], words["entries"][second] = words["entries"][second], words["entries"][first]
    with pytest.raises(MismatchError, match="^image 0, tensor 'b'"):
        run_checked(program, random_images(program, 1), contents=words)
