"""What the search finds, in what order, and that it finds the same again."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.bundle.images import extreme_images, random_images
from hwprm.core.numerics import choose_multiplier
from hwprm.intnet import IntegerNetwork, Pool
from hwprm.verification.coverage import search as searching
from hwprm.verification.coverage.choose import as_stored, choose, ranges
from hwprm.verification.coverage.goals import goals_of
from hwprm.verification.coverage.measure import measure
from hwprm.verification.coverage.search import evaluations, search
from tests.support.networks import SEVERAL_INPUTS, small_lenet
from tests.support.random_networks import random_products

from .networks import layer, one_layer


def names(net: IntegerNetwork, images: np.ndarray) -> set[str]:
    """The goals of `net` that `images` reach."""
    families = goals_of(net)
    labels = [f"{family.owner} {name}" for family in families for name in family.names]
    hits = measure(net, families, images).goals.any(axis=0)
    return {name for name, hit in zip(labels, hits, strict=True) if hit}


def picky() -> IntegerNetwork:
    """A filter of 6 x 6 random signs whose clamp acts from 97 per cent of its largest sum on."""
    weight = np.random.default_rng(3).choice([-100, 100], (1, 1, 6, 6))
    bound = int((weight > 0).sum()) * 100 * 127 + int((weight < 0).sum()) * 100 * 128
    return one_layer(layer(weight, factor=choose_multiplier(127.5 / 0.97 / bound)), (1, 8, 8))


def test_only_a_made_image_reaches_this_clamp() -> None:
    net = picky()
    plain = np.concatenate([extreme_images(net.image_limits), random_images(2_000, net.image_limits, 1)])
    assert "squash above" not in names(net, plain)
    found = search(net, random_images(4, net.image_limits, 2), 100, 1)
    assert "squash above" in names(net, found.images)
    assert len(found.images) < 100


def test_what_is_missing_is_reached_where_it_can() -> None:
    """A small LeNet: stored images of little contrast reach no upper clamp, the search leaves nothing open."""
    net = small_lenet()
    low, high = net.image_limits
    dim = random_images(40, (low // 8, high // 8), 5)
    stored = names(net, dim)
    assert not {f"{name} above" for name in ("conv1", "conv2", "fc1")} & stored
    found = search(net, dim, 100, 1)
    possible = np.concatenate([~family.impossible for family in found.families])
    reached = found.reached.goals.any(axis=0)
    assert not (possible & ~reached).any()
    assert len(found.images) <= evaluations(net, 100)


@pytest.mark.parametrize("make", [small_lenet, lambda: random_products(4), SEVERAL_INPUTS["two-sizes"]])
def test_same_images_every_time(make) -> None:  # type: ignore[no-untyped-def]  # networks of any maker
    net = make()
    stored = random_images(3, net.image_limits, 7)
    first, again, other = (search(net, stored, 100, seed).images for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    low, high = net.image_limits
    assert (first >= low).all()
    assert (first <= high).all()


def test_what_it_says_of_its_candidates_is_true() -> None:
    net = small_lenet()
    found = search(net, random_images(3, net.image_limits, 7), 100, 1)
    alone = measure(net, found.families, found.images)
    assert np.array_equal(found.reached.goals, alone.goals)
    assert np.array_equal(found.reached.filters, alone.filters)


def test_candidates_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    net = picky()
    assert evaluations(net, 1) == searching.MOST
    monkeypatch.setattr(searching, "WORK", 1)
    counts = {2: searching.FEWEST, 40: 10, 1_000: searching.LARGE}
    for count, most in counts.items():
        assert evaluations(net, count) == most
        assert len(search(net, random_images(50, net.image_limits, 2), count, 1).images) <= most


def test_order_begins_with_a_stored_image_and_leaves_nothing_out() -> None:
    net = small_lenet()
    found = search(net, random_images(5, net.image_limits, 7), 100, 1)
    order = found.order(1_000)
    assert order[0] < found.stored == 5
    assert len(set(order)) == len(order)
    hits = found.reached.goals
    assert (hits[order].any(axis=0) == hits.any(axis=0)).all()
    assert (found.reached.filters[order].any(axis=0) == found.reached.filters.any(axis=0)).all()
    gains = [(hits[order[: i + 1]].any(axis=0)).sum() for i in range(len(order))]
    steps = np.diff(gains)[1:]
    assert (np.diff(steps) <= 0).all(), "no image adds more than the one before it"
    assert len(found.order(1)) < len(order)
    assert (hits[found.order(1)].any(axis=0) == hits.any(axis=0)).all(), "goals are never left out"


def test_chosen_images_come_first_then_all_stored_ones() -> None:
    net = small_lenet()
    stored = random_images(5, net.image_limits, 7)
    chosen = choose(net, stored, 40, 1)
    assert len(chosen.images) == 40
    kinds = dict(chosen.groups)
    assert list(kinds) == ["chosen", "stored", "random"]
    rows = {image.tobytes() for image in chosen.images}
    assert {image.tobytes() for image in stored} <= rows
    assert any(np.array_equal(chosen.images[0], image) for image in stored)
    assert kinds["stored"] == 5 - chosen.own.sum()
    own, counts = chosen.own.sum(), (kinds["stored"], kinds["random"])
    assert chosen.told(40) == f"{kinds['chosen']} chosen ({own} of them stored), {counts[0]} stored, {counts[1]} random"
    assert chosen.told(1) == "1 chosen (1 of them stored)"
    whole, two = chosen.coverage(40, 2), chosen.coverage(2, 2)
    assert sum(layer.reached for layer in whole) >= sum(layer.reached for layer in two)
    assert [layer.compared for layer in whole] == [layer.reached for layer in two]
    assert all(layer.goals == layer.reached + layer.ruled_out + layer.left for layer in whole)


def test_without_a_search_images_come_as_they_are_stored() -> None:
    net = small_lenet()
    stored = random_images(5, net.image_limits, 7)
    chosen = as_stored(net, stored, 12, 1)
    assert np.array_equal(chosen.images[:5], stored)
    assert np.array_equal(chosen.images[5:9], extreme_images(net.image_limits))
    assert (chosen.groups, chosen.told(6)) == ((("stored", 5), ("random", 7)), "5 stored, 1 random")
    assert as_stored(net, stored, 3, 1).groups == (("stored", 5),)


def test_ranges() -> None:
    groups = (("chosen", 2), ("stored", 0), ("random", 5))
    assert ranges(groups, 4) == [("chosen", 0, 2), ("random", 2, 4)]
    assert ranges(groups, 1) == [("chosen", 0, 1)]


def test_a_decision_that_random_images_never_take() -> None:
    """The last tap of a window of 5 x 5 is looked for by lighting it alone."""
    pool = Pool(kernel=(5, 5), stride=(5, 5))
    net = one_layer(layer([[[[1]]]], pool=pool, factor=(1 << 10, 16), clamp=(-2, 2)), (1, 5, 5))
    found = search(net, extreme_images(net.image_limits)[:1], 100, 1)
    decided = {name for name in names(net, found.images) if "decided" in name}
    assert len(decided) == 25
