"""Pixels, windows, steps and guards, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.compiler.layout.geometry import LayerGeometry, layer_geometry
from hwprm.core.errors import UnsupportedError
from hwprm.intnet import Pool, Term
from tests.support.networks import Spec, network, weights
from tests.support.random_networks import random_network


def _geometry(term: Term, pool: Pool | None, shape: tuple[int, int, int], *, wide: bool = True) -> LayerGeometry:
    return layer_geometry(network(shape, (Spec(name="a", terms=(term,), pool=pool, wide=wide),)), 0)


def _term(kernel: tuple[int, int] = (3, 3), **options) -> Term:
    return Term(source="image", weight=weights(np.random.default_rng(0), (2, 1, *kernel)), **options)


def test_plain_convolution():
    geo = _geometry(_term(stride=(2, 3)), None, (1, 9, 10))
    assert (geo.height, geo.width, geo.pixels, geo.filters) == (4, 3, 12, 2)
    assert (geo.step_y, geo.step_x) == (2, 3)
    assert geo.windows == ((0, 0),)
    assert geo.conv_stride == (1, 1)
    assert not geo.guarded


def test_pooled_convolution():
    geo = _geometry(_term(stride=(2, 1)), Pool(kernel=(2, 3), stride=(3, 2), dilation=(1, 2)), (1, 17, 12))
    assert (geo.conv_height, geo.conv_width) == (8, 10)
    assert (geo.height, geo.width) == (3, 3)
    assert (geo.step_y, geo.step_x) == (6, 2)
    assert geo.windows == ((0, 0), (0, 2), (0, 4), (1, 0), (1, 2), (1, 4))
    assert geo.conv_stride == (3, 2)


def test_padded_windows_start_outside():
    geo = _geometry(_term((1, 1)), Pool(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)), (1, 6, 6))
    assert geo.windows == tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))
    assert geo.guarded


@pytest.mark.parametrize("wide", [False, True], ids=["stored", "wide"])
def test_pixel_tiles_are_as_wide_as_the_array(wide):
    rng = np.random.default_rng(0)
    layers = [Spec(name="a", terms=(_term(),), wide=wide)]
    if not wide:
        layers.append(Spec(name="b", terms=(Term(source="a", weight=weights(rng, (1, 2, 1, 1))),), wide=True))
    geo = layer_geometry(network((1, 5, 6), layers), 0)
    assert geo.pixels == 12
    assert geo.pixel_tiles(5) == 3


def _leaves_the_map(geo: LayerGeometry) -> bool:
    positions = [
        (y * geo.conv_stride[0] + wy, x * geo.conv_stride[1] + wx)
        for y in range(geo.height)
        for x in range(geo.width)
        for wy, wx in geo.windows
    ]
    return any(not (0 <= y < geo.conv_height and 0 <= x < geo.conv_width) for y, x in positions)


def test_guard_exactly_where_a_window_leaves_the_map():
    seen = set()
    for seed in range(150):
        net = random_network(seed)
        for i in range(len(net.layers)):
            geo = layer_geometry(net, i)
            assert geo.guarded == _leaves_the_map(geo), (seed, i)
            seen.add(geo.guarded)
    assert seen == {True, False}


def test_sum_of_different_strides():
    term = _term((1, 1), stride=(2, 1))
    other = _term((2, 1), padding=(0, 0, 0, 0), stride=(1, 1), dilation=(2, 1))
    net = network((1, 3, 4), (Spec(name="a", terms=(_term((2, 1), stride=(1, 1)),), wide=True),))
    assert layer_geometry(net, 0).step_y == 1
    net = network((1, 4, 4), (Spec(name="a", terms=(term, other), wide=True),))
    with pytest.raises(
        UnsupportedError,
        match=r"^layer 'a' sums convolutions of different strides \[\(1, 1\), \(2, 1\)\]; "
        r"give the strided one a layer of its own$",
    ):
        layer_geometry(net, 0)
