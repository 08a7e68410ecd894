"""Blocks of real networks, all the way: float module, integers twice, accelerator; bit-exact, with exact cycles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, QuantizeConfig
from hwprm.frontend import check, to_graph
from hwprm.graph import by_input
from hwprm.intnet import reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network, signal_to_noise
from tests.support.bench import run_checked
from tests.support.rounds import long_round
from tests.support.zoo import ZOO, zoo_images, zoo_module


@pytest.mark.parametrize(("rows", "cols", "count"), long_round([(4, 3, 1), (5, 8, 2)], quick=1))
@pytest.mark.parametrize("name", ZOO)
def test_block_on_the_accelerator(name: str, rows: int, cols: int, count: int) -> None:
    module, shape = zoo_module(name), ZOO[name][1]
    graph = to_graph(module, shape)
    x = zoo_images(name, 4)
    net = quantize_network(graph, x, 1.0)
    images = quantize_images(x, 1.0, net)
    assert crosscheck(net, images, reference.run(net, images)) > 0
    run_checked(compile_network(net, ArrayConfig(rows=rows, cols=cols)), images[:count])


@pytest.mark.parametrize(
    ("name", "residuals"),
    [("resnet", ["b.0", "d.0"]), ("preactivation", ["b", "short"]), ("mobilenet", ["block.6"]), ("shufflenet", [])],
)
def test_sums_join_the_layer_of_an_operand(name: str, residuals: list[str]) -> None:
    module, shape = zoo_module(name), ZOO[name][1]
    net = quantize_network(to_graph(module, shape), np.random.default_rng(1).normal(size=(4, *shape)), 1.0)
    assert [layer.name for layer in net.layers if layer.residual] == residuals


@pytest.mark.parametrize("name", ZOO)
def test_block_in_sixteen_bits_is_close_to_the_float_module(name: str) -> None:
    module, shape = zoo_module(name), ZOO[name][1]
    assert check(module, shape) == []
    graph = to_graph(module, shape)
    x = zoo_images(name, 4)
    net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=16, act_bits=16))
    for tensor, ratio in signal_to_noise(graph, net, x, 1.0).items():
        assert ratio > 55, tensor
    with torch.no_grad():
        wanted = module.double()(*map(torch.from_numpy, by_input(x, [node.name for node in graph.inputs]).values()))
    got = reference.run(net, quantize_images(x, 1.0, net))
    for tensor, array in zip(net.outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        real = got[tensor] * net.tensor[tensor].scale
        np.testing.assert_allclose(real.reshape(array.shape), array.numpy(), atol=2e-3 * float(array.abs().max()))
