"""Goals of small networks, those that no image can reach, and that nothing is said to be so that is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.bundle.images import extreme_images, random_images
from hwprm.intnet import IntegerNetwork, Pool, Residual
from hwprm.intnet.reference import accumulators, run
from hwprm.verification.coverage.bounds import network_bounds
from hwprm.verification.coverage.goals import goals_of
from hwprm.verification.coverage.measure import measure
from tests.support.random_networks import random_inputs, random_network, random_products, random_residuals

from .networks import layer, one_layer

MAKERS = (random_network, random_inputs, random_residuals, random_products)
POOL = Pool(kernel=(2, 2), stride=(2, 2))


def impossible(net: IntegerNetwork, owner: str = "squash") -> set[str]:
    return {
        name
        for family in goals_of(net)
        if family.owner == owner
        for name, out in zip(family.names, family.impossible, strict=True)
        if out
    }


def test_half_of_a_signed_pixel_never_fills_its_clamp() -> None:
    """-64..64 in 0..127: below and 0 can be, 127 and more cannot; half a pixel is a tie or nothing."""
    net = one_layer(layer([[[[1]]]]))
    assert impossible(net) == {"above", "highest", "rounded up", "rounded down"}


def test_a_pixel_as_it_is_has_nothing_to_round() -> None:
    net = one_layer(layer([[[[1]]]], factor=(1 << 15, 15), clamp=(-128, 127)))
    assert impossible(net) == {"below", "above", "rounded up", "rounded down"}
    assert "tie above 0" not in {name for family in goals_of(net) for name in family.names}


def test_a_third_filter_alone_reaches_its_end() -> None:
    """Goals are of the layer, filters are counted beside."""
    net = one_layer(layer([[[[1]]], [[[-1]]], [[[3]]]]))
    families = {family.kind: family for family in goals_of(net) if family.owner == "squash"}
    assert not families["above"].impossible[0]
    assert families["above"].filters is not None
    assert families["above"].filters.tolist() == [True, True, False]


def test_padding_reads_zeros() -> None:
    """Two taps over one pixel of -128..127: the first never lies inside, whatever its weight."""
    net = one_layer(layer([[[[9, 1]]]], padding=(0, 0, 1, 0)), (1, 1, 1))
    bounds = network_bounds(net)[1]["squash"]
    assert (int(bounds.low[0]), int(bounds.high[0])) == (-128, 127)


def test_taps_of_a_pool_that_never_decide() -> None:
    """A window of 2 x 2 over a row of two: its lower row lies in the padding."""
    pool = Pool(kernel=(2, 2), stride=(2, 2), padding=(0, 1, 0, 0))
    net = one_layer(layer([[[[1]]]], pool=pool), (1, 1, 2))
    assert {name for name in impossible(net) if "decided" in name} == {"decided at 1,0", "decided at 1,1"}
    constant = one_layer(layer([[[[1]]]], pool=POOL, clamp=(5, 5)))
    assert {f"decided at {y},{x}" for y in (0, 1) for x in (0, 1)} <= impossible(constant)


def test_codes_beyond_the_sums() -> None:
    net = one_layer(layer([[[[1]]]], table=np.arange(256) % 100, clamp=(-128, 127)))
    codes = {int(name.split()[1]) for name in impossible(net) if name.startswith("code ")}
    assert codes == set(range(-128, 128)) - set(range(-64, 65))


def test_a_residual_of_an_unsigned_tensor_only_adds() -> None:
    one = np.array([0])
    added = Residual(source="image", channel=one, mult=np.array([3]))
    assert "adds -" in impossible(one_layer(layer([[[[1]]]], residual=added), signed=False))
    assert not {"adds +", "adds -"} & impossible(one_layer(layer([[[[1]]]], residual=added)))


@pytest.mark.parametrize("make", MAKERS)
@given(seed=st.integers(0, 10_000))
def test_no_image_is_outside_the_bounds(make: Callable[[int], IntegerNetwork], seed: int) -> None:
    """Sound: what is called unreachable is reached by no image, extreme and random ones, and no sum is beyond."""
    net = make(seed)
    images = np.concatenate([extreme_images(net.image_limits), random_images(12, net.image_limits, seed)])
    families = goals_of(net)
    reached = measure(net, families, images)
    assert not (reached.goals.any(axis=0) & np.concatenate([family.impossible for family in families])).any()
    counted = [family.filters for family in families if family.filters is not None]
    assert not (reached.filters.any(axis=0) & np.concatenate(counted)).any()
    tensors, sums = network_bounds(net)
    made = run(net, images)
    for each in net.layers:
        acc, ends = accumulators(net, each, made), sums[each.name]
        assert (acc.min(axis=(0, 2, 3)) >= ends.low).all()
        assert (acc.max(axis=(0, 2, 3)) <= ends.high).all()
    for name, ends in tensors.items():
        assert (made[name].min(axis=(0, 2, 3)) >= ends.low).all()
        assert (made[name].max(axis=(0, 2, 3)) <= ends.high).all()
