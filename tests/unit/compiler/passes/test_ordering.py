"""Filter order: the same integers, fewer cycles or none, depthwise and grouped layers respected."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.compiler import compile_network, estimate
from hwprm.compiler.passes.cluster import tile_order, union_weight
from hwprm.compiler.passes.ordering import channel_bonds, reorder
from hwprm.compiler.passes.unneeded import remove_unneeded
from hwprm.config import ArrayConfig
from hwprm.core.errors import ConfigError, ModelError, UnsupportedError
from hwprm.intnet import Term
from tests.support.bench import random_images, run_checked
from tests.support.networks import Spec, network, weights
from tests.support.rounds import examples
from tests.unit.compiler.plain import run
from tests.unit.compiler.random_dags import networks


def _array(rows, cols, order=True):
    return ArrayConfig(rows=rows, cols=cols, order_filters=order)


def _families(rng, filters, channels, kernel=(3, 3), families=2):
    """Weights of `families` kinds of filters, one after the other, each with channels of its own."""
    weight = weights(rng, (filters, channels, *kernel))
    weight[weight == 0] = 1
    share = channels // families
    for m in range(filters):
        own = m % families
        weight[m, : own * share] = 0
        weight[m, (own + 1) * share :] = 0
    return weight


def _net(rng, middle=()):
    """Filters of two families in ``a``, then `middle` layers, then a head on the last of them."""
    layers = [
        Spec(name="stem", terms=(Term(source="image", weight=weights(rng, (8, 1, 3, 3)), padding=(1,) * 4),)),
        Spec(name="a", terms=(Term(source="stem", weight=_families(rng, 8, 8), padding=(1,) * 4),)),
        *middle,
    ]
    last = layers[-1]
    head = Term(source=last.name, weight=weights(rng, (3, len(last.terms[0].weight), 5, 4)))
    return network((1, 5, 4), [*layers, Spec(name="y", terms=(head,), wide=True)])


def _compiles(case):
    """Whether every output depends on the input, and one layout of memory serves all readers, ordered or not."""
    net, rows, cols = case
    try:
        return all(estimate(net, _array(rows, cols, order=order)) for order in (False, True))
    except (ModelError, UnsupportedError):
        return False


@examples(60)
@given(st.tuples(networks(largest=5), st.integers(1, 4), st.integers(1, 4)).filter(_compiles))
def test_compiled_network_computes_the_same_in_no_more_cycles(case):
    net, rows, cols = case
    program = compile_network(net, _array(rows, cols))
    plain = estimate(net, _array(rows, cols, order=False))
    image = np.random.default_rng(0).integers(-128, 128, net.input.shape)
    before, after = run(net, image), run(program.network, image)
    for name, kept in program.kept.items():
        np.testing.assert_array_equal(after[name], before[name][list(kept)])
    for name in (*net.inputs, *net.outputs):
        assert list(program.kept[name]) == list(range(net.tensor[name].shape[0]))
    ordered = program.cycles
    assert ordered.unordered == plain.total >= ordered.total
    assert [layer.unordered_listed for layer in ordered.layers] == [layer.listed for layer in plain.layers]
    assert (ordered.total < plain.total) == (
        program.kept != {name: tuple(index) for name, index in remove_unneeded(net).kept.items()}
    )


@examples(60)
@given(networks(largest=5), st.integers(0, 2**32))
def test_any_order_that_keeps_the_bonds_computes_the_same(net, seed):
    rng = np.random.default_rng(seed)
    orders = {}
    for bond in channel_bonds(net):
        order = np.arange(len(bond.block))
        for number in np.unique(bond.block):
            place = np.flatnonzero(bond.block == number)
            order[place] = rng.permutation(place)
        orders |= dict.fromkeys(bond.names, order)
    image = rng.integers(-128, 128, net.input.shape)
    before, after = run(net, image), run(reorder(net, orders), image)
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name][orders[name]] if name in orders else before[name])


def test_every_tensor_but_inputs_and_outputs_is_bound_once():
    net = _net(np.random.default_rng(0))
    assert Counter(name for bond in channel_bonds(net) for name in bond.names) == {"stem": 1, "a": 1}


def test_families_of_filters_get_tiles_of_their_own_and_the_rtl_agrees():
    net = _net(np.random.default_rng(1))
    program = compile_network(net, _array(4, 4))
    layer = next(layer for layer in program.cycles.layers if layer.name == "a")
    assert (layer.listed, layer.unordered_listed) == (2 * 36, 2 * 72)
    assert layer.regular == layer.listed
    assert sorted(program.kept["a"][:4]) in ([0, 2, 4, 6], [1, 3, 5, 7])
    assert program.cycles.total < program.cycles.unordered
    run_checked(program, random_images(program, 2))


def test_depthwise_layers_follow_and_are_simulated():
    rng = np.random.default_rng(2)
    depthwise = Term(source="a", weight=weights(rng, (8, 1, 3, 3)), groups=8, padding=(1,) * 4)
    net = _net(rng, (Spec(name="d", terms=(depthwise,)),))
    assert ("a", "d") in {bond.names for bond in channel_bonds(net)}
    program = compile_network(net, _array(3, 4))
    assert program.kept["a"] == program.kept["d"] != tuple(range(8))
    assert program.network.layers[2].terms[0].groups == 8
    run_checked(program, random_images(program, 2))


def test_summands_bind_nothing():
    """Both summands take orders of their own, the sum keeps its."""
    rng = np.random.default_rng(3)
    again = Spec(
        name="b",
        terms=(Term(source="a", weight=_families(rng, 8, 8)[::-1][[0, 1, 4, 5, 2, 3, 6, 7]], padding=(1,) * 4),),
    )
    summed = tuple(Term(source=s, weight=weights(rng, (8, 1, 1, 1)), groups=8) for s in ("a", "b"))
    net = _net(rng, (again, Spec(name="s", terms=summed)))
    program = compile_network(net, _array(3, 4))
    assert program.kept["a"] != tuple(range(8)) != program.kept["b"]
    assert [t.groups for t in program.network.layers[3].terms] == [1, 1]
    sums = next(layer for layer in program.cycles.layers if layer.name == "s")
    assert sums.listed == sums.unordered_listed == 16
    run_checked(program, random_images(program, 2))


def test_channels_of_grouped_layers_stay_in_their_groups():
    rng = np.random.default_rng(4)
    grouped = Term(source="a", weight=weights(rng, (8, 4, 3, 3)), groups=2, padding=(1,) * 4)
    net = _net(rng, (Spec(name="g", terms=(grouped,)),))
    bonds = {bond.names: bond.block for bond in channel_bonds(net)}
    np.testing.assert_array_equal(bonds["a",], [1, 1, 1, 1, 2, 2, 2, 2])
    program = compile_network(net, _array(3, 2))
    assert program.kept["a"] == (0, 2, 1, 3, 4, 6, 5, 7)
    run_checked(program, random_images(program, 2))


def test_shared_columns_keep_the_order():
    """Structured pruning has nothing to gain, and nothing is touched."""
    rng = np.random.default_rng(5)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weights(rng, (16, 2, 3, 3), pruned=0.5)),)),
        Spec(name="y", terms=(Term(source="a", weight=weights(rng, (3, 16, 4, 4))),), wide=True),
    )
    program = compile_network(network((2, 6, 6), layers), _array(4, 4))
    assert program.kept["a"] == tuple(range(16))
    assert program.cycles.total == program.cycles.unordered


@pytest.mark.parametrize("cols", [2, 4, 5])
def test_tile_order_finds_planted_tiles(cols):
    rng = np.random.default_rng(cols)
    kinds = rng.random((6, 200)) < 0.3
    used = np.repeat(kinds, cols, axis=0)[rng.permutation(6 * cols)]
    order = tile_order(used, np.ones(200, int), np.zeros(len(used), int), cols)
    assert union_weight(used[order], np.ones(200, int), cols) == kinds.sum()


def test_tile_order_minds_weights():
    """Rows that share the dear column go together, although they share no other."""
    used = np.array([[1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=bool)
    block = np.zeros(4, int)
    assert {frozenset(pair) for pair in np.split(tile_order(used, np.array([9, 1, 1, 9]), block, 2), 2)} == {
        frozenset({0, 2}),
        frozenset({1, 3}),
    }


@examples(80)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 30), st.integers(1, 7))
def test_tile_order_is_a_permutation_within_blocks_and_never_worse(seed, rows, columns, cols):
    rng = np.random.default_rng(seed)
    used = rng.random((rows, columns)) < rng.random()
    weight, block = rng.integers(1, 50, columns), np.sort(rng.integers(0, 3, rows))
    order = tile_order(used, weight, block, cols)
    assert sorted(order) == list(range(rows))
    np.testing.assert_array_equal(block[order], block)
    assert union_weight(used[order], weight, cols) <= union_weight(used, weight, cols)
    np.testing.assert_array_equal(order, tile_order(used, weight, block, cols))


def test_option_must_be_a_bool():
    with pytest.raises(ConfigError, match="^array.order_filters must be true or false, not 1$"):
        ArrayConfig(order_filters=1)
