"""Directions, against what really happens to a sum."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.intnet import IntegerNetwork
from hwprm.intnet.reference import accumulators, run
from hwprm.verification.coverage.steer import Wish, directions
from tests.support.networks import SEVERAL_INPUTS, small_lenet
from tests.support.random_networks import random_network, random_products, random_residuals

from .networks import layer, one_layer


def test_the_first_layer_s_direction_is_its_weights_signs() -> None:
    net = one_layer(layer([[[[3, -1], [0, -7]]]]), (1, 3, 3))
    image = np.zeros((1, 1, 3, 3), np.int64)
    up = directions(net, image, [[Wish(layer="squash", filter=0, pixel=(1, 0), sign=1)]])
    assert up.tolist() == [[[[0, 0, 0], [1, -1, 0], [0, -1, 0]]]]
    down = directions(net, image, [[Wish(layer="squash", filter=0, pixel=(1, 0), sign=-1)]])
    assert np.array_equal(down, -up)


@pytest.mark.parametrize("make", [random_network, random_residuals, random_products])
def test_sums_follow(make) -> None:  # type: ignore[no-untyped-def]  # networks of any maker
    """Of many networks and layers: following the direction to the ends helps far more often than it harms."""
    better = worse = 0
    for seed in range(40):
        net = make(seed)
        low, high = net.image_limits
        image = ((low + high) // 2)[None]
        for each in net.layers:
            height, width = net.conv_size(each)
            wish = Wish(layer=each.name, filter=0, pixel=(height // 2, width // 2), sign=1)
            towards = directions(net, image, [[wish]])
            moved = np.where(towards > 0, high, np.where(towards < 0, low, image))
            before, after = (_sum(net, wish, one) for one in (image, moved))
            better, worse = better + (after > before), worse + (after < before)
    assert better > 5 * worse
    assert better > 30


def _sum(net: IntegerNetwork, wish: Wish, images: np.ndarray) -> int:
    one = next(each for each in net.layers if each.name == wish.layer)
    acc = accumulators(net, one, run(net, images))
    return int(acc[0, wish.filter, *wish.pixel])


def test_images_go_each_their_own_way() -> None:
    net = small_lenet()
    low, high = net.image_limits
    images = np.random.default_rng(1).integers(low, high, (2, *low.shape), endpoint=True)
    wishes = [[Wish(layer="fc2", filter=i, pixel=(0, 0), sign=1)] for i in (0, 1)]
    both = directions(net, images, wishes)
    assert np.array_equal(both[:1], directions(net, images[:1], wishes[:1]))
    assert np.array_equal(both[1:], directions(net, images[1:], wishes[1:]))


def test_inputs_that_nobody_reads_stay() -> None:
    net = SEVERAL_INPUTS["one-unread"]()
    low, _ = net.image_limits
    towards = directions(net, low[None], [[Wish(layer="out", filter=0, pixel=(0, 0), sign=1)]])
    assert towards.shape == (1, *low.shape)
    assert not towards[0, 3 : 3 + 18].any()
    assert towards.any()
