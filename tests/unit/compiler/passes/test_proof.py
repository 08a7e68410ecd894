"""Passes are proven: faults planted in each are caught, with the place where they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwprm.compiler import compile_network, estimate
from hwprm.compiler.passes import ordering, pools, proof, unneeded
from hwprm.compiler.passes.ordering import order_filters
from hwprm.compiler.passes.pools import split_pools
from hwprm.compiler.passes.proof import Proof, rewrite, sample_images
from hwprm.compiler.passes.rewritten import Rewritten, all_channels, as_it_is
from hwprm.compiler.passes.rules import RULES
from hwprm.compiler.passes.unneeded import remove_unneeded
from hwprm.compiler.program import PASSES
from hwprm.config import ArrayConfig
from hwprm.core.errors import MismatchError, PassError
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual, Term
from tests.support.networks import SEVERAL_INPUTS, Spec, network, small_lenet, weights

ARRAY = ArrayConfig(rows=16, cols=4)


def subject() -> IntegerNetwork:
    """Something for every pass: unread and constant filters, a pool that is better apart, two families of filters."""
    rng = np.random.default_rng(0)
    stem = weights(rng, (10, 2, 3, 3))
    stem[8] = 0  # a constant
    both = weights(rng, (8, 10, 3, 3))
    both[:, 9] = 0  # unread
    for m in range(8):
        both[m, (m + 1) % 2 * 4 : (m + 1) % 2 * 4 + 4] = 0
    sized = weights(rng, (8, 8, 1, 1))
    residual = Residual(source="both", channel=np.arange(8)[::-1].copy(), mult=np.full(8, 3))
    layers = (
        Spec(name="stem", terms=(Term(source="image", weight=stem, padding=(1,) * 4),)),
        Spec(name="both", terms=(Term(source="stem", weight=both, padding=(1,) * 4),)),
        Spec(name="sum", terms=(Term(source="both", weight=sized),), residual=residual),
        Spec(
            name="pool",
            terms=(Term(source="sum", weight=weights(rng, (5, 8, 1, 1))),),
            pool=Pool(kernel=(3, 3), stride=(2, 2), padding=(1,) * 4),
        ),
        Spec(name="y", terms=(Term(source="pool", weight=weights(rng, (3, 5, 5, 5))),), wide=True),
    )
    return network((2, 9, 9), layers)


def test_the_subject_keeps_every_pass_busy() -> None:
    net = subject()
    rewritten, given = rewrite(net, ARRAY, PASSES, sample_images(net))
    # All but `spread_gates`, which is for batches, and `split_remainders`, which is to be asked for.
    assert len({id(each) for each in (*given, rewritten.network)}) == len(PASSES) - 1
    program = compile_network(net, ARRAY)
    assert program.proof == Proof(passes=tuple(one.__name__ for one in PASSES), images=8)
    assert len(program.kept["stem"]) == 8
    assert "pool_map" in program.layers
    assert program.kept["both"] != tuple(range(8))


def _deaf(need: Callable[..., Any]) -> Callable[..., Any]:
    """Channel 3 of ``stem`` is forgotten."""

    def needed(net: IntegerNetwork) -> dict[str, Any]:
        masks = need(net)
        masks["stem"][3:4] = len(masks["stem"]) < 10  # the first time only
        return dict(masks)

    return needed


def _unpadded(fold: Callable[..., Any]) -> Callable[..., Any]:
    """Constants are moved into biases as if no tap ever fell on padding."""

    def folded(net: IntegerNetwork, layer: GemmLayer, constants: Any) -> GemmLayer:
        made: GemmLayer = fold(net, layer, constants)
        return replace(made, bias=made.bias + (layer.name == "both"))

    return folded


def _halved(pooling: Callable[..., GemmLayer]) -> Callable[..., GemmLayer]:
    """The identity behind a map that is pooled apart halves its integers."""
    return lambda layer, source: replace(made := pooling(layer, source), shift=made.shift + 1)


def _still(reorder: Callable[..., Term]) -> Callable[..., Term]:
    """Readers keep their columns where the channels that they read move."""
    return lambda term, filters, channels: reorder(term, filters, np.arange(len(channels)))


def _same_residual(reorder: Callable[..., GemmLayer]) -> Callable[..., GemmLayer]:
    """Residuals name the channels that they named before."""

    def reordered(layer: GemmLayer, full: Any) -> GemmLayer:
        made = reorder(layer, full)
        if layer.residual is None or made.residual is None:
            return made
        return replace(made, residual=replace(made.residual, channel=layer.residual.channel[full[layer.name]]))

    return reordered


@pytest.mark.parametrize(
    ("module", "name", "plant", "found"),
    [
        (unneeded, "_needed_channels", _deaf, r"^the compiler's pass remove_unneeded changed tensor 'both', channel "),
        (unneeded, "_fold_layer", _unpadded, r"^the compiler's pass remove_unneeded changed tensor 'both', channel "),
        (pools, "_pooling", _halved, r"^the compiler's pass split_pools changed tensor 'pool', channel 0 \(now 0\), "),
        (ordering, "_reorder_term", _still, r"^the compiler's pass order_filters changed tensor "),
        (ordering, "_reorder_layer", _same_residual, r"^the compiler's pass order_filters changed tensor 'sum', "),
    ],
    ids=["channel-forgotten", "constant-folded-wrong", "pool-halves", "columns-stay", "residual-stays"],
)
def test_a_fault_in_a_pass_is_caught(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, plant: Callable[..., Any], found: str
) -> None:
    monkeypatch.setattr(module, name, plant(getattr(module, name)))
    with pytest.raises(PassError, match=found) as caught:
        compile_network(subject(), ARRAY)
    assert caught.value.name in found
    assert caught.value.exit_code == MismatchError.exit_code == 1


def test_a_wrong_map_is_caught() -> None:
    """The network is right, but the map has two channels of ``both`` the wrong way round."""

    def confused(net: IntegerNetwork, array: ArrayConfig) -> Rewritten:
        made = order_filters(net, array)
        first, second, *rest = made.kept["both"]
        return replace(made, kept={**made.kept, "both": (second, first, *rest)})

    net = subject()
    with pytest.raises(PassError, match=r"^the compiler's pass confused changed tensor 'both', channel \d+ \(now 0\)"):
        rewrite(net, ARRAY, (remove_unneeded, split_pools, confused), sample_images(net))


def test_the_message_names_the_place_and_both_integers() -> None:
    before = {"a": np.arange(24).reshape(1, 4, 2, 3)}
    after = {"a": before["a"][:, [2, 0]].copy()}
    proof.compare("p", before, after, {"a": (2, 0)})
    after["a"][0, 1, 1, 2] = 99
    with pytest.raises(
        PassError,
        match=r"^the compiler's pass p changed tensor 'a', channel 0 \(now 1\), row 1, column 2: 5 before, 99 after "
        r"\(sample image 0; 1 integers differ\); this is a fault of hwprm, please report it$",
    ):
        proof.compare("p", before, after, {"a": (2, 0)})


def test_estimates_are_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_pooling", _halved(pools._pooling))
    assert estimate(subject(), ARRAY).total > 0


def _narrowed(net: IntegerNetwork) -> Rewritten:
    return Rewritten(network=replace(net, act_bits=9), kept=all_channels(net))


def _nothing(net: IntegerNetwork) -> Rewritten:
    return Rewritten(network=net, kept={})


def _twice(net: IntegerNetwork) -> Rewritten:
    return Rewritten(network=net, kept=all_channels(net) | {"stem": (0,) * 10})


def _short(net: IntegerNetwork) -> Rewritten:
    return Rewritten(network=net, kept=all_channels(net) | {"stem": (0,)})


def _swapped_output(net: IntegerNetwork) -> Rewritten:
    return Rewritten(network=net, kept=all_channels(net) | {"y": (1, 0, 2)})


def _rescaled(net: IntegerNetwork, name: str = "both") -> Rewritten:
    tensors = tuple(replace(each, scale=2.0) if each.name == name else each for each in net.tensors)
    return Rewritten(network=replace(net, tensors=tensors), kept=all_channels(net))


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (_narrowed, r"broke the rule same_widths: weight and activation bits are \(8, 9\), they were \(8, 8\)"),
        (_nothing, r"broke the rule honest_map: the map names \[\], left are \['both', "),
        (_twice, r"broke the rule honest_map: the map's channels of 'stem' repeat, or are none of its 10"),
        (_short, r"broke the rule honest_map: the map names 1 channels of 'stem', which has 10"),
        (_swapped_output, r"broke the rule same_ends: the channels of 'y' have moved"),
        (lambda net: _rescaled(net, "image"), r"broke the rule same_ends: 'image' is Tensor\("),
        (_rescaled, r"broke the rule same_tensors: 'both' is Tensor\("),
    ],
)
def test_every_rule_is_kept(made: Callable[[IntegerNetwork], Rewritten], found: str) -> None:
    def broken(net: IntegerNetwork, _: ArrayConfig) -> Rewritten:
        return made(net)

    with pytest.raises(PassError, match=rf"^the compiler's pass broken {found}"):
        rewrite(subject(), ARRAY, (broken,), None)


def test_rules_have_names() -> None:
    assert {rule.__name__ for rule in RULES} == {"same_widths", "honest_map", "same_ends", "same_tensors"}


def test_maps_of_passes_are_composed() -> None:
    net = subject()
    orders = {"stem": np.array([*range(8), 9, 8]), "both": np.array([7, 6, 5, 4, 3, 2, 1, 0])}

    def turned(net: IntegerNetwork, _: ArrayConfig) -> Rewritten:
        kept = all_channels(net) | {name: tuple(map(int, order)) for name, order in orders.items()}
        return Rewritten(network=ordering.reorder(net, orders), kept=kept)

    done, _ = rewrite(net, ARRAY, (turned, remove_unneeded, split_pools), sample_images(net))
    assert done.kept["both"] == (7, 6, 5, 4, 3, 2, 1, 0)
    assert done.kept["stem"] == tuple(range(8))
    assert "pool_map" not in done.kept


def test_a_network_that_needs_nothing_is_left_alone() -> None:
    net = small_lenet()
    once = remove_unneeded(net).network
    assert remove_unneeded(once).network is once
    assert as_it_is(net).network is net


@pytest.mark.parametrize("name", SEVERAL_INPUTS)
def test_several_inputs_are_sampled_packed(name: str) -> None:
    net = SEVERAL_INPUTS[name]()
    assert sample_images(net).shape[1:] == (sum(int(np.prod(shape)) for shape in net.input_shapes.values()),)
    assert compile_network(net, ARRAY).proof is not None


def test_samples_are_the_same_every_time_and_mix_given_with_made_up_ones() -> None:
    net = subject()
    given = np.full((3, 2, 9, 9), 5)
    one, other = sample_images(net, given), sample_images(net, given)
    np.testing.assert_array_equal(one, other)
    ends = {-128, 127}
    kinds = ["given" if set(np.unique(x)) == {5} else "extreme" if set(np.unique(x)) == ends else "random" for x in one]
    assert kinds == ["given", "extreme", "given", "random", "given", "extreme", "random", "random"]
    assert len(sample_images(net)) == 8
