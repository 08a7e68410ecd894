"""The filters that fill no tile, as a layer of their own: equal integers, fewer cycles, and only where both hold."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.bundle.images import random_images
from hwprm.compiler import estimate
from hwprm.compiler.passes import remainders
from hwprm.compiler.passes.remainders import split_remainders
from hwprm.config import ArrayConfig
from hwprm.core.errors import PassError
from hwprm.intnet import IntegerNetwork, Pool, Residual, Term, reference
from tests.support.measures import assert_measures
from tests.support.networks import Spec, compiled, lenet, network, seeded_weights, weights

HALVE = Pool(kernel=(2, 2), stride=(2, 2))


def two_convolutions(first: int = 10, second: int = 20, **of_first: object) -> IntegerNetwork:
    """A LeNet-5's head: 5 x 5 kernels and pools."""
    return network(
        (1, 28, 28),
        (
            Spec(
                name="conv1",
                terms=(Term(source="image", weight=seeded_weights(first, 1, 5, 5) | 1),),
                pool=HALVE,
                **of_first,  # type: ignore[arg-type]  # fields of a Spec
            ),
            Spec(
                name="conv2", terms=(Term(source="conv1", weight=seeded_weights(second, first, 5, 5) | 1),), pool=HALVE
            ),
            Spec(name="fc", terms=(Term(source="conv2", weight=seeded_weights(10, second, 4, 4)),), wide=True),
        ),
    )


def test_the_last_filters_run_with_phases():
    """10 = 8 + 2 filters: 25 columns for the eight; the two with 4 phases list 5 rows of 5 + 2 * 3, for a quarter of
    the pixels. 20 = 8 + 8 + 4: 10 channels of 5 rows of 5 + 2, for half of them."""
    program, plain = compiled(two_convolutions(), 8, 8, phases="split"), compiled(two_convolutions(), 8, 8)
    assert plain.layers == ("conv1", "conv2", "fc")
    assert program.layers == ("conv1", "conv1_rest", "conv2", "conv2_rest", "fc")
    busy = {layer.name: layer.busy for layer in program.cycles.layers}
    of_rest = next(geo for geo in program.geometry if geo.layer.name == "conv1_rest")
    lanes = -(-144 // (8 * of_rest.phases))
    assert busy["conv1"] == 25 * 4 * 18
    assert busy["conv1_rest"] == 5 * (5 + 2 * (of_rest.phases - 1)) * 4 * lanes
    assert busy["conv2_rest"] == 10 * 5 * (5 + 2) * 4 * 1
    assert program.cycles.total < 0.9 * plain.cycles.total
    assert program.cycles.total == estimate(two_convolutions(), program.array).total
    assert_measures(program.cycles)


def test_every_integer_is_there_still():
    net = two_convolutions()
    program = compiled(net, 8, 8, phases="split")
    images = random_images(3, net.image_limits, seed=0)
    before, after = reference.run(net, images), reference.run(program.network, images)
    for name, first in (("conv1", 8), ("conv2", 16)):
        joined = np.concatenate([after[name], after[f"{name}_rest"]], axis=1)
        order = [*program.kept[name], *range(first, joined.shape[1])]
        assert sorted(order) == list(range(joined.shape[1]))
    assert np.array_equal(before["fc"], after["fc"])


@pytest.mark.parametrize("phases", ["auto", "off"])
def test_only_where_it_is_asked_for(phases):
    net = two_convolutions()
    assert split_remainders(net, ArrayConfig(rows=8, cols=8, phases=phases)).network is net


@pytest.mark.parametrize(
    ("first", "second", "cols"),
    [
        (16, 32, 8),  # every tile is full
        (14, 30, 8),  # six of eight columns: no room for a second phase
        (3, 5, 8),  # one tile: the whole layer takes its phases
    ],
)
def test_not_without_idle_columns(first, second, cols):
    net = two_convolutions(first, second)
    assert compiled(net, 8, cols, phases="split").layers == ("conv1", "conv2", "fc")


def _read_by(how: str) -> IntegerNetwork:
    """Ten filters, whose reader wants all of them in one tensor."""
    rng = np.random.default_rng(0)
    first = Spec(name="first", terms=(Term(source="image", weight=weights(rng, (10, 2, 3, 3)) | 1),))
    whole = Term(source="first", weight=weights(rng, (8, 10, 1, 1)))
    added = Residual(source="first", channel=np.arange(8), mult=np.full(8, 3))
    readers = {
        "matrix": (Spec(name="second", terms=(whole,)),),
        "residual": (Spec(name="second", terms=(whole,), residual=added),),
        "groups": (Spec(name="second", terms=(Term(source="first", weight=weights(rng, (8, 5, 1, 1)), groups=2),)),),
    }[how]
    out = Spec(name="out", terms=(Term(source="second", weight=weights(rng, (2, 8, 14, 14))),), wide=True)
    return network((2, 16, 16), (first, *readers, out))


@pytest.mark.parametrize(("how", "split"), [("matrix", True), ("residual", False), ("groups", False)])
def test_readers_that_name_channels_keep_the_tensor_whole(how, split):
    net = _read_by(how)
    made = split_remainders(net, ArrayConfig(rows=4, cols=8, phases="split")).network
    assert ("first_rest" in made.tensor) == split


def test_random_networks_are_equal_and_never_slower():
    """The passes' own proof compares every tensor that is left; outputs are."""
    fewer = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = (*(int(v) for v in rng.integers(2, 24, 3)), 4)
        net = lenet(sizes, image=14 + 2 * (seed % 2), kernel=3, pruned=0.3 * (seed % 3))
        rows, cols = int(rng.integers(1, 9)), int(rng.integers(2, 9))
        options = {
            "batch": 1 + seed % 3,
            "weights": ("rom", "axi")[seed % 2],
            "pipeline": ("short", "fast")[seed // 2 % 2],
        }
        plain, program = compiled(net, rows, cols, **options), compiled(net, rows, cols, phases="split", **options)
        assert program.cycles.total <= plain.cycles.total
        assert_measures(program.cycles)
        assert estimate(program.network, program.array, as_is=True).total <= program.cycles.total
        fewer += len(program.layers) > len(plain.layers)
    assert fewer > 4


def test_a_fault_is_found(monkeypatch):
    """The proof sees a remainder that was read as the wrong channels."""
    right = remainders._parts

    def swapped(term, rests):
        return tuple(Term(**{**part.__dict__, "weight": part.weight[:, ::-1]}) for part in right(term, rests))

    monkeypatch.setattr(remainders, "_parts", swapped)
    with pytest.raises(PassError, match="^the compiler's pass split_remainders changed tensor "):
        compiled(lenet((10, 20, 30, 10)), 8, 8, phases="split")
