"""The module that is trained computes the integers of its network: every layer, every operator; its gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from hwprm.config import QuantizeConfig
from hwprm.core.errors import ConfigError, UnsupportedError
from hwprm.data import load_dataset
from hwprm.frontend import to_graph
from hwprm.graph import WEIGHTED, Batch, Channels, Concat, Conv2d, Flatten, Graph, Input, Linear, Relu
from hwprm.nets import GraphModule, lenet5_graph
from hwprm.quantization import quantize_images, quantize_network, run_torch
from hwprm.quantization.aware.module import IntegerModule
from hwprm.training.masks import ZeroMasks
from tests.support.zoo import ZOO, zoo_images, zoo_module

from ..random_graphs import random_branches, random_graph
from ..test_residuals import SAME, add, conv, images, make

BITS = ((8, 8), (4, 4), (2, 3), (12, 10))


def as_tensors(x: Batch) -> list[torch.Tensor]:
    arrays = list(x.values()) if isinstance(x, Mapping) else [x]
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


def assert_same(module: IntegerModule, x: Batch, scale: float = 1.0) -> None:
    """The integers of `module` are those of the network that its weights make, in all layers."""
    net = quantize_network(module.to_graph(), x, scale, module.config, known=module.trained.calibration)
    wanted = run_torch(net, quantize_images(x, scale, net))
    found = module.integers(*(tensor * scale for tensor in as_tensors(x)))
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def moved(graph: Graph, x: Batch, bits: tuple[int, int], scale: float = 1.0) -> IntegerModule:
    """A module whose weights and ranges are no longer those that it began with."""
    config = QuantizeConfig(weight_bits=bits[0], act_bits=bits[1])
    module = IntegerModule(graph, x, scale, config, "learned")
    torch.manual_seed(0)
    zeros = ZeroMasks.of(module)
    with torch.no_grad():
        for parameter in (p for p in module.parameters() if p.requires_grad):
            spread = 1.0 if parameter.ndim == 1 else parameter.std(correction=0)
            parameter += torch.randn_like(parameter) * 0.1 * spread
        zeros.after_step(module)  # as in training
    return module


@pytest.mark.parametrize("bits", [pytest.param((8, 8), marks=pytest.mark.slow), (4, 4)], ids=str)
@pytest.mark.parametrize("name", ZOO)
def test_every_layer_of_every_kind_of_network_computes_the_integers(name: str, bits: tuple[int, int]) -> None:
    x = zoo_images(name, 3)
    shapes = {key: v.shape[1:] for key, v in x.items()} if isinstance(x, Mapping) else x.shape[1:]
    module = moved(to_graph(zoo_module(name), shapes), x, bits)
    assert_same(module, x)
    outputs = module(*(tensor.float() for tensor in as_tensors(x)))
    sum(out.square().sum() for out in (outputs if isinstance(outputs, tuple) else (outputs,))).backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in trained)
    assert any(bool(p.grad.any()) for p in trained)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_random_networks_compute_the_integers(seed: int) -> None:
    for draw in (random_graph, random_branches):
        graph = draw(seed)
        x = np.random.default_rng(seed).normal(size=(4, *graph.input.shape))
        for bits in BITS:
            try:
                module = moved(graph, x, bits)
            except UnsupportedError as error:
                assert "adds up or scales weights" in str(error)
                continue
            assert_same(module, x)


def test_real_images_are_those_that_the_hardware_gets() -> None:
    x = load_dataset("mnist").x_train[:40]
    for bits in BITS:
        assert_same(moved(lenet5_graph(seed=3), x, bits, 1 / 255), x, 1 / 255)


def test_float32_images_keep_their_integers_at_ties() -> None:
    # An integer of 7 bits is two bytes: every odd one lies half-way, where float32 alone decides wrongly.
    graph = make(conv("a", "x", c=1), shape=(1, 16, 16))
    x = np.minimum(np.arange(256), 254).astype(np.uint8).reshape(1, 1, 16, 16)
    module = IntegerModule(graph, x, 1 / 510, QuantizeConfig(act_bits=7))
    net = quantize_network(graph, x, 1 / 510, module.config)
    found = module.integers(torch.from_numpy(x).float() * (1 / 510))["x"]
    np.testing.assert_array_equal(found.ravel(), quantize_images(x, 1 / 510, net).ravel())


def test_with_many_bits_the_gradient_is_that_of_the_floats() -> None:
    graph = make(
        conv("a", "x", **SAME), Relu(name="r", inputs=("a",)), conv("b", "r", **SAME), add("b", "r"), conv("o", "s")
    )
    x = images(graph)
    config = QuantizeConfig(weight_bits=16, act_bits=16)
    modules = GraphModule(graph), IntegerModule(graph, x, 1.0, config)
    wanted = torch.from_numpy(np.random.default_rng(2).normal(size=(4, 2, 6, 6)))
    for module in modules:
        dtype = next(module.parameters()).dtype
        (module(torch.from_numpy(x).to(dtype)) * wanted.to(dtype)).sum().backward()
    for name, parameter in modules[0].named_parameters():
        own = modules[1].get_parameter(name).grad
        np.testing.assert_allclose(own, parameter.grad, rtol=5e-3, atol=5e-3 * float(parameter.grad.abs().max()))


def test_a_clamped_result_teaches_its_range_and_not_its_weights() -> None:
    graph = make(conv("a", "x", m=1, c=1), conv("o", "a", m=1, c=1), shape=(1, 1, 1))
    module = IntegerModule(graph, np.ones((1, 1, 1, 1)), 1.0, QuantizeConfig(), "learned")
    assert module.learned == ["a"]
    with torch.no_grad():
        module.weight("a").fill_(1.0)
        module.bias("a").fill_(0.0)
    largest = module.calibration.ranges["a"]
    for value, inside in ((3 * largest, False), (0.5 * largest, True)):
        module.calibration = module.calibration.__class__(
            ranges={**module.calibration.ranges, "x": value}, inputs=module.calibration.inputs
        )
        module.zero_grad()
        module(torch.full((1, 1, 1, 1), value)).sum().backward()
        slope = float(module.weight("o").detach())
        if inside:
            assert float(module.weight("a").grad) == pytest.approx(slope * value, rel=0.02)
            assert abs(float(module.swings.grad)) < abs(slope) * largest / 100  # what rounding alone leaves
        else:
            assert float(module.weight("a").grad) == 0
            assert float(module.swings.grad) == pytest.approx(slope * largest, rel=0.02)


def test_a_sum_that_no_longer_joins_becomes_a_layer() -> None:
    graph = make(conv("a", "x", **SAME), conv("b", "a", **SAME), add("a", "b"), conv("o", "s"))
    x = images(graph)
    module = IntegerModule(graph, x, 1.0, QuantizeConfig())
    assert "s" not in module.integers(*as_tensors(x))
    with torch.no_grad():
        module.weight("b").mul_(1000)
    assert "s" in module.integers(*as_tensors(x))
    assert_same(module, x)
    with torch.no_grad():  # and stays one, for its weights were trained so
        module.weight("b").div_(1000)
    assert_same(module, x)


def test_a_layer_may_have_fewer_bits() -> None:
    graph = make(conv("a", "x"), conv("o", "a"))
    config = QuantizeConfig(weight_bits=6, layer_bits={"o": 3})
    net = quantize_network(graph, images(graph), 1.0, config)
    assert [int(np.abs(layer.terms[0].weight).max()) for layer in net.layers] == [31, 3]
    assert net.weight_bits == 6
    assert_same(IntegerModule(graph, images(graph), 1.0, config), images(graph))
    with pytest.raises(ConfigError, match=r"layer_bits names 'oo'; did you mean 'o'\?, .* its layers are a, o"):
        quantize_network(graph, images(graph), 1.0, QuantizeConfig(layer_bits={"oo": 3}))
    with pytest.raises(ConfigError, match="o must have at most weight_bits = 4 bits, not 8"):
        QuantizeConfig(weight_bits=4, layer_bits={"o": 8})


def test_a_channel_that_is_read_twice_is_refused_by_name() -> None:
    twice = Channels(name="c", inputs=("a",), indices=(0, 0, 1))
    graph = make(conv("a", "x"), twice, conv("o", "c", c=3))
    with pytest.raises(UnsupportedError, match=r"layer 'o' adds up .* read each channel once"):
        IntegerModule(graph, images(graph), 1.0, QuantizeConfig())


def test_weights_behind_a_concatenation_are_found() -> None:
    joined = Concat(name="j", inputs=("b", "a"))
    rng = np.random.default_rng(0)
    head = Linear(name="o", inputs=("f",), weight=rng.normal(size=(3, 144)), bias=rng.normal(size=3))
    graph = make(conv("a", "x", **SAME), conv("b", "a", **SAME), joined, Flatten(name="f", inputs=("j",)), head)
    module = moved(graph, images(graph), (8, 8))
    assert_same(module, images(graph))
    module(*(tensor.float() for tensor in as_tensors(images(graph)))).sum().backward()
    assert [name for name in module.named if not module.weight(name).grad.any()] == []


def test_batch_norms_are_folded() -> None:
    graph = to_graph(zoo_module("resnet"), (2, 6, 6))
    module = IntegerModule(graph, zoo_images("resnet", 2), 1.0, QuantizeConfig())
    assert {type(node) for node in module.graph.nodes} & {*WEIGHTED} and not any(
        type(node).__name__ == "BatchNorm" for node in module.graph.nodes
    )
    assert isinstance(module.graph.inputs[0], Input) and isinstance(module.graph.nodes[1], Conv2d)
