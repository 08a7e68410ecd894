"""Hardware parameters, and the accumulator width against every activation there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from hwprm.compiler import compile_network
from hwprm.compiler.layout.hardware import accumulator_bits, sum_bits
from hwprm.config import ArrayConfig
from hwprm.core.errors import ConfigError
from hwprm.core.numerics import signed_range
from hwprm.intnet import IntegerNetwork, Residual, Term
from tests.support.networks import Spec, compiled, network, small_lenet
from tests.unit.compiler.cases import random_programs


def _one_layer(weight: np.ndarray, bias: list[int], act_bits: int) -> IntegerNetwork:
    term = Term(source="image", weight=weight.reshape(*weight.shape, 1, 1))
    net = network((weight.shape[1], 1, 1), (Spec(name="a", terms=(term,), wide=True),), act_bits=act_bits)
    return replace(net, layers=(replace(net.layers[0], bias=np.array(bias)),))


def _brute_force(weight: np.ndarray, bias: list[int], act_bits: int) -> int:
    """Bits of the narrowest signed word for every partial sum of every activation vector, bias added or not."""
    low, high = signed_range(act_bits)
    values = set()
    for row, b in zip(weight, bias, strict=True):
        for x in product((low, 0, high), repeat=len(row)):
            for size in range(len(row) + 1):
                for part in combinations(range(len(row)), size):
                    total = sum(int(row[k]) * x[k] for k in part)
                    values |= {total, total + b}
    return next(n for n in range(1, 64) if all(-(1 << n - 1) <= v < 1 << n - 1 for v in values))


def test_accumulator_bits_by_enumeration():
    rng = np.random.default_rng(0)
    for _ in range(30):
        shape, act_bits = (int(rng.integers(1, 4)), int(rng.integers(1, 4))), int(rng.integers(2, 9))
        weight = rng.integers(-20, 21, shape)
        bias = rng.integers(-(10 ** int(rng.integers(1, 6))), 10 ** int(rng.integers(1, 6)), shape[0]).tolist()
        assert accumulator_bits(_one_layer(weight, bias, act_bits)) == {"a": _brute_force(weight, bias, act_bits)}


@pytest.mark.parametrize(
    ("weight", "bias", "bits"),
    [([[127]], [0], 15), ([[-1]], [0], 9), ([[1]], [0], 8), ([[1]], [1], 9), ([[1, -1]], [-1], 9)],
    ids=["largest", "negative", "one", "bias", "two-sided"],
)
def test_accumulator_bits_at_edges(weight, bias, bits):
    assert accumulator_bits(_one_layer(np.array(weight), bias, 8)) == {"a": bits}


def test_a_clamp_before_the_layer_saves_bits():
    """Behind a ReLU an activation has one sign: weights -1, 1 reach -255..255, not -383..383."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=np.ones((2, 1, 1, 1), dtype=np.int64)),), relu=True),
        Spec(name="b", terms=(Term(source="a", weight=np.array([[1, -1]]).reshape(1, 2, 1, 1)),), wide=True),
    )
    net = network((1, 1, 1), layers)
    net = replace(net, layers=(net.layers[0], replace(net.layers[1], bias=np.zeros(1, dtype=np.int64))))
    assert net.limits("a") == (0, 255) and accumulator_bits(net)["b"] == 9
    narrow = replace(net, layers=(replace(net.layers[0], clamp=(0, 127)), net.layers[1]))
    assert accumulator_bits(narrow)["b"] == 8


def test_residual_and_bias_widen_the_sum_alone():
    """1 x -128..127 in the accumulator; 4 x -128..127 and a bias of 1000 in the sum; the multiplier takes 3 bits."""
    net = _one_layer(np.ones((1, 1), int), [1000], 8)
    residual = Residual(source="image", channel=np.zeros(1, np.int64), mult=np.array([4]))
    net = replace(net, layers=(replace(net.layers[0], residual=residual),))
    assert (accumulator_bits(net)["a"], sum_bits(net)["a"]) == (8, 12)
    hw = compiled(net, 1, 1).hardware
    assert (hw.acc_bits, hw.sum_bits, hw.residual_bits) == (8, 12, 3)


def test_too_narrow_an_accumulator():
    net = _one_layer(np.full((1, 4), 100), [0], 8)
    need = accumulator_bits(net)["a"]
    assert compiled(net, 1, 1, acc_bits=need).hardware.acc_bits == need
    with pytest.raises(
        ConfigError,
        match=rf"^array\.acc_bits = {need - 1} is too narrow: layer 'a' can reach {need} bits; "
        rf"set it to {need} or leave it out$",
    ):
        compile_network(net, ArrayConfig(rows=1, cols=1, acc_bits=need - 1))


def test_every_rom_has_the_depth_that_the_hardware_says():
    for program in random_programs(range(500, 540)):
        hw = program.hardware
        depths = {rom.name: rom.depth for rom in program.roms}
        assert depths == {
            "entries": hw.entries,
            "weights": hw.weights,
            "params": hw.params,
            "tiles": hw.tiles,
            "layers": hw.layers,
            "stores": hw.stores,
            **({"posts": hw.post_words} if hw.posts else {}),
        }


def test_strides_are_coprime_with_the_banks():
    for program in random_programs(range(500, 540)):
        hw = program.hardware
        for stride in hw.strides:
            lanes = [r * stride % hw.banks for r in range(hw.rows)]
            assert len(set(lanes)) == hw.rows


def test_lenet_parameters():
    hw = compiled(small_lenet(), 4, 3).hardware
    assert (hw.rows, hw.cols, hw.inputs[0].shape, hw.output_words) == (4, 3, (1, 14, 14), 4)
    assert hw.pooling
    assert hw.layers == 4
    assert hw.stores == 3
    assert hw.passes_max == 4
    assert hw.wide_pixels_max == 1
