"""What single images reach, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.intnet import IntegerNetwork, Pool, Residual
from hwprm.verification.coverage.goals import goals_of
from hwprm.verification.coverage.measure import measure
from tests.support.random_networks import random_products

from .networks import layer, one_layer


def names(net: IntegerNetwork, *images: object, owner: str = "squash") -> list[set[str]]:
    """The goals of `owner` that each image reaches."""
    families = goals_of(net)
    reached = measure(net, families, np.array(images, np.int64))
    labels = [(family.owner, name) for family in families for name in family.names]
    return [
        {name for (place, name), hit in zip(labels, row, strict=True) if hit and place == owner}
        for row in reached.goals
    ]


def image(*pixels: int) -> list[list[list[int]]]:
    return [[list(pixels[:2]), list(pixels[2:])]]


def test_clamps_ends_and_ties() -> None:
    net = one_layer(layer([[[[1]]]], clamp=(0, 20)))
    found = names(
        net, image(-2, 2, 2, 2), image(40, 4, 4, 4), image(42, 0, 4, 4), image(1, 2, 2, 2), image(-1, 2, 2, 2)
    )
    assert found == [{"below"}, {"highest"}, {"above", "lowest"}, {"tie above 0"}, {"lowest", "tie below 0"}]


def test_rounding() -> None:
    net = one_layer(layer([[[[1]]]], factor=(1 << 14, 16), clamp=(-9, 9)))
    found = names(
        net, image(3, 4, 4, 4), image(5, 4, 4, 4), image(2, 4, 4, 4), image(-1, -4, -4, -4), image(99, 4, 4, 4)
    )
    assert found == [{"rounded up"}, {"rounded down"}, {"tie above 0"}, {"rounded up"}, {"above"}]


def test_inputs_hold_their_ends() -> None:
    net = one_layer(layer([[[[1]]]]))
    assert names(net, image(-128, 0, 0, 0), image(0, 0, 0, 127), image(-127, 126, 0, 0), owner="image") == [
        {"lowest"},
        {"highest"},
        set(),
    ]


def test_pool_decisions() -> None:
    """A winner counts where the second would have made another integer; one beside the padding decides nothing."""
    net = one_layer(layer([[[[1]]]], pool=Pool(kernel=(2, 2), stride=(2, 2))))
    kinds = ("decided", "tie")
    found = [
        {name for name in each if name.startswith(kinds) and not name.endswith(" 0")}
        for each in names(
            net, image(9, 1, 1, 1), image(1, 1, 1, 9), image(9, 9, 1, 1), image(9, 1, 8, 1), image(4, 3, 1, 1)
        )
    ]
    assert found == [{"decided at 0,0"}, {"decided at 1,1"}, {"tie"}, {"decided at 0,0"}, set()]
    padded = one_layer(layer([[[[1]]]], pool=Pool(kernel=(2, 2), stride=(2, 2), padding=(1, 1, 1, 1))))
    assert not {name for name in names(padded, image(9, 1, 1, 1))[0] if name.startswith("decided")}


def test_codes_and_signs() -> None:
    table = np.zeros(256, np.int64)
    net = one_layer(layer([[[[1]]]], table=table, clamp=(-128, 127)))
    codes = {name for name in names(net, image(-8, 20, 20, 20))[0] if name.startswith("code")}
    assert codes == {"code -4", "code 10"}
    residual = Residual(source="image", channel=np.array([0]), mult=np.array([2]))
    net = one_layer(layer([[[[0]]]], residual=residual))
    signs = [
        {name for name in each if name.startswith("adds")} for each in names(net, image(1, 0, 0, 0), image(0, 0, 0, -1))
    ]
    assert signs == [{"adds +"}, {"adds -"}]


def test_filters_are_counted() -> None:
    net = one_layer(layer([[[[1]]], [[[-1]]]], clamp=(0, 20)))
    families = goals_of(net)
    reached = measure(net, families, np.array([image(-2, 2, 2, 2)]))
    first = {
        family.kind: i for i, family in enumerate(f for f in families if f.owner == "squash" and f.filters is not None)
    }
    by_kind = reached.filters[0][:8].reshape(4, 2)
    assert by_kind[first["below"]].tolist() == [True, True]
    assert by_kind[first["above"]].tolist() == [False, False]


def test_products_have_four_signs() -> None:
    net = random_products(0)
    made = [family for family in goals_of(net) if family.kind == "product"]
    assert made
    assert all(family.places == ("++", "+-", "-+", "--") for family in made)


def test_images_are_measured_one_by_one_whatever_stands_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_products(1)
    low, high = net.image_limits
    images = np.random.default_rng(0).integers(low, high, (5, *low.shape), endpoint=True)
    families = goals_of(net)
    whole = measure(net, families, images)
    monkeypatch.setattr("hwprm.verification.coverage.measure.batch_of", lambda net: 2)
    parts = measure(net, families, images)
    assert np.array_equal(whole.goals, parts.goals)
    assert np.array_equal(whole.filters, parts.filters)
    for name, ends in whole.sums.items():
        assert np.array_equal(ends.low, parts.sums[name].low)
        assert np.array_equal(ends.high, parts.sums[name].high)
