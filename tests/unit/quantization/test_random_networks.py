"""The whole of quantisation on random networks: the twin references agree, the integers follow the floats."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.quantize import QuantizeConfig
from hwprm.core.errors import ModelError
from hwprm.core.numerics import signed_range
from hwprm.intnet import reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network, run_torch, signal_to_noise
from tests.support.rounds import examples

from .random_graphs import random_branches, random_graph

seeds = st.integers(0, 2**32 - 1)


@examples(40)
@given(seed=seeds, weight_bits=st.integers(2, 16), act_bits=st.integers(2, 16))
def test_both_references_agree_on_every_tensor(seed: int, weight_bits: int, act_bits: int) -> None:
    graph = random_graph(seed)
    x = np.random.default_rng(seed).normal(size=(3, *graph.input.shape))
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=weight_bits, act_bits=act_bits))
    images = quantize_images(x, 1.0, net)
    assert crosscheck(net, images, reference.run(net, images)) == sum(v.size for v in run_torch(net, images).values())
    for name, values in reference.run(net, images).items():
        low, high = net.limits(name)
        assert low <= values.min() and values.max() <= high


@pytest.mark.parametrize("seed", range(40))
def test_sixteen_bits_are_close_to_the_float_network(seed: int) -> None:
    graph = random_graph(seed)
    x = np.random.default_rng(seed).normal(size=(4, *graph.input.shape))
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=16, act_bits=16))
    for name, ratio in signal_to_noise(graph, net, x, 1.0).items():
        assert ratio > 45 or ratio == -np.inf, name


@examples(30)
@given(seed=seeds, weight_bits=st.integers(2, 16), act_bits=st.integers(2, 16), rows=st.integers(1, 9))
def test_branches_agree_on_every_tensor_and_compile(seed: int, weight_bits: int, act_bits: int, rows: int) -> None:
    graph = random_branches(seed)
    x = np.random.default_rng(seed).normal(size=(3, *graph.input.shape))
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=weight_bits, act_bits=act_bits))
    images = quantize_images(x, 1.0, net)
    assert crosscheck(net, images, reference.run(net, images)) == sum(v.size for v in run_torch(net, images).values())
    for name, values in reference.run(net, images).items():
        low, high = net.limits(name)
        assert low <= values.min() and values.max() <= high
    try:
        compile_network(net, ArrayConfig(rows=rows, cols=3))
    except ModelError as error:  # two or three bits may leave no weight that matters
        assert weight_bits < 4 or act_bits < 4, error


@pytest.mark.parametrize("seed", range(30))
def test_branches_in_sixteen_bits_are_close_to_the_float_network(seed: int) -> None:
    graph = random_branches(seed)
    x = np.random.default_rng(seed).normal(size=(4, *graph.input.shape))
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=16, act_bits=16))
    for name, ratio in signal_to_noise(graph, net, x, 1.0).items():
        assert ratio > 45 or ratio == -np.inf, name


@examples(40)
@given(seed=seeds, bits=st.integers(2, 16))
def test_outputs_never_saturate_and_share_a_scale_no_factor_of_which_exceeds_one(seed: int, bits: int) -> None:
    graph = random_graph(seed)
    x = np.random.default_rng(seed).normal(size=(2, *graph.input.shape))
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=bits, act_bits=bits))
    layer = net.layers[-1]
    assert layer.wide and np.all(layer.mult <= 2.0**layer.shift)
    low, high = net.accumulator_limits(layer)
    wide_low, wide_high = signed_range(32)
    for mult, shift in zip(layer.mult.tolist(), layer.shift.tolist(), strict=True):
        if layer.pool is None and len(layer.bias) == 1:
            assert wide_low <= (low * mult >> shift) and (high * mult >> shift) + 1 <= wide_high


@pytest.mark.parametrize("seed", range(5))
def test_quantising_twice_gives_the_same_files(seed: int, tmp_path: Path) -> None:
    graph = random_graph(seed)
    x = np.random.default_rng(seed).normal(size=(3, *graph.input.shape))
    for name in ("a", "b"):
        quantize_network(graph, x, 1.0).save(tmp_path / name)
    for file in ("network.json", "weights.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
