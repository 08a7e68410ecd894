"""Pools apart: the same integers, fewer cycles, and only where that is so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.compiler.passes.ordering import order_filters
from hwprm.compiler.passes.pools import split_pools
from hwprm.compiler.passes.unneeded import remove_unneeded
from hwprm.compiler.program import compile_network
from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork, Pool, Term, reference
from tests.support.networks import Spec, compiled, network, seeded_weights


def pooled(size: int, pool: Pool, filters: int = 6, *, wide: bool = False) -> IntegerNetwork:
    """A 3 x 3 convolution with `pool` on a `size` x `size` map, then a 1 x 1 output layer unless the pool is one."""
    conv = Spec(
        name="conv", terms=(Term(source="image", weight=seeded_weights(filters, 4, 3, 3)),), pool=pool, wide=wide
    )
    head = Spec(name="head", terms=(Term(source="conv", weight=seeded_weights(3, filters, 1, 1)),), wide=True)
    return network((4, size, size), (conv,) if wide else (conv, head))


HALVE = Pool(kernel=(2, 2), stride=(2, 2))
OVERLAP = Pool(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("size", "pool", "rows", "apart"),
    [
        (6, HALVE, 16, True),  # 2 x 2 pixels are left: 4 passes of 4 lanes against one of 16
        (18, HALVE, 16, False),  # 8 x 8 pixels: every lane works either way
        (17, OVERLAP, 8, True),  # every pixel would be computed 9 / 4 times
    ],
)
def test_pools_go_apart_where_that_is_faster(size, pool, rows, apart):
    net = pooled(size, pool)
    program = compiled(net, rows, 4)
    assert program.layers == (("conv_map", "conv", "head") if apart else ("conv", "head"))
    assert set(program.kept) == {"image", "conv", "head"}


def test_apart_is_predicted_to_be_faster(monkeypatch):
    net = pooled(17, OVERLAP, 16)
    apart = compiled(net, 8, 8).cycles
    monkeypatch.setattr("hwprm.compiler.program.PASSES", (remove_unneeded, order_filters))
    fused = compiled(net, 8, 8).cycles
    assert apart.total < 0.75 * fused.total
    assert fused.layers[0].macs == apart.layers[0].macs == apart.layers[0].weights * 15 * 15


@given(
    size=st.integers(5, 10),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.integers(0, 1),
    ceil_mode=st.booleans(),
)
def test_the_integers_stay(size, kernel, stride, pad, ceil_mode):
    padding = tuple(pad if k > 1 else 0 for k in (kernel[0], kernel[0], kernel[1], kernel[1]))
    net = pooled(size, Pool(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode))
    apart = split_pools(net, ArrayConfig(rows=64, cols=2)).network
    images = np.random.default_rng(size).integers(-128, 128, (3, 4, size, size))
    before, after = reference.run(net, images), reference.run(apart, images)
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])


def test_outputs_keep_their_pools():
    net = pooled(6, HALVE, wide=True)
    assert split_pools(net, ArrayConfig(rows=16, cols=4)).network is net


def test_a_name_that_is_taken():
    conv = Spec(name="a_map", terms=(Term(source="image", weight=seeded_weights(3, 4, 1, 1)),))
    pool = Spec(name="a", terms=(Term(source="a_map", weight=seeded_weights(6, 3, 3, 3)),), pool=HALVE)
    head = Spec(name="head", terms=(Term(source="a", weight=seeded_weights(3, 6, 1, 1)),), wide=True)
    program = compile_network(network((4, 6, 6), (conv, pool, head)), ArrayConfig(rows=16, cols=2))
    assert program.layers == ("a_map", "a_map_", "a", "head")
