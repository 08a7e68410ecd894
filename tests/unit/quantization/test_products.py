"""Products of two tensors: which layers they become, at what scales, and what fuses behind them."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.core.errors import UnsupportedError
from hwprm.graph import (
    AdaptiveAvgPool2d,
    Add,
    Concat,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Multiply,
    Node,
    Pointwise,
    Relu,
)
from hwprm.intnet import reference
from hwprm.quantization import crosscheck, lower, quantize_images, quantize_network

MAP = (2, 6, 6)


def conv(name: str, source: str, m: int = 2, c: int = 2) -> Conv2d:
    rng = np.random.default_rng([*name.encode()])
    return Conv2d(name=name, inputs=(source,), weight=rng.normal(size=(m, c, 1, 1)), bias=rng.normal(size=m))


def node(kind: type[Node], name: str, *inputs: str, **fields: object) -> Node:
    return kind(name=name, inputs=inputs, **fields)


def graph(*nodes: Node, outputs: tuple[str, ...] = ()) -> Graph:
    return Graph((Input(name="x", inputs=(), shape=MAP), *nodes), outputs or (nodes[-1].name,))


def products(made: Graph) -> dict[str, tuple[str, str, bool]]:
    """Of each layer that multiplies: its two tensors, and whether one of them is a pixel."""
    found = {}
    for layer in lower(made).layers:
        if layer.residual and layer.residual.gate:
            found[layer.name] = (layer.residual.source, layer.residual.gate.source, layer.residual.gate.spread)
    return found


POOLED = (
    node(AdaptiveAvgPool2d, "mean", "a", size=(1, 1)),
    conv("g", "mean"),
    node(Pointwise, "s", "g", function="sigmoid"),
)


@pytest.mark.parametrize("factors", [("a", "s"), ("s", "a")])
def test_a_channel_gate_is_one_pixel(factors: tuple[str, str]) -> None:
    made = graph(conv("a", "x"), *POOLED, node(Multiply, "p", *factors), conv("o", "p"))
    assert products(made) == {"p": ("a", "g", True)}
    net = quantize_network(made, (x := np.random.default_rng(1).normal(size=(4, *MAP))), 1.0)
    layer = next(layer for layer in net.layers if layer.name == "p")
    residual = layer.residual
    assert residual and residual.gate and residual.mult.tolist() == [1, 1] and not layer.terms[0].weight.any()
    assert net.tensor["g"].signed is False and net.tensor["p"].signed is True
    scale = net.tensor["a"].scale * net.tensor["g"].scale / net.tensor["p"].scale
    assert layer.mult / 2.0**layer.shift == pytest.approx(np.full(2, scale), rel=2**-16)
    images = quantize_images(x, 1.0, net)
    assert crosscheck(net, images, reference.run(net, images)) > 0


def test_what_is_never_negative_is_unsigned() -> None:
    made = graph(
        conv("a", "x"),
        node(Relu, "r", "a"),
        conv("b", "x"),
        node(Relu, "q", "b"),
        node(Multiply, "p", "r", "q"),
        conv("o", "p"),
    )
    net = quantize_network(made, np.random.default_rng(1).normal(size=(4, *MAP)), 1.0)
    assert products(made) == {"p": ("a", "b", False)} and not net.tensor["p"].signed


def test_a_square_reads_one_tensor_twice() -> None:
    assert products(graph(conv("a", "x"), node(Multiply, "p", "a", "a"), conv("o", "p"))) == {"p": ("a", "a", False)}


def test_clamps_and_functions_fuse_and_pools_and_sums_do_not() -> None:
    made = graph(
        conv("a", "x"),
        node(Multiply, "p", "a", "x"),
        node(Pointwise, "t", "p", function="tanh"),
        node(MaxPool2d, "m", "t", kernel=(2, 2), stride=(2, 2)),
        node(Multiply, "q", "m", "m"),
        node(Add, "s", "q", "m"),
        node(Relu, "r", "s"),
        conv("o", "r"),
    )
    layers = {layer.name: layer for layer in lower(made).layers}
    assert list(layers) == ["a", "p", "m", "q", "s", "o"]
    assert layers["p"].functions and layers["p"].pool is None and layers["m"].pool
    assert layers["s"].residual is None and len(layers["s"].terms) == 2


def test_a_view_of_several_tensors_is_copied_once() -> None:
    made = graph(
        conv("a", "x"),
        node(Concat, "c", "a", "x"),
        conv("b", "x", m=4),
        node(Multiply, "p", "c", "b"),
        node(Multiply, "q", "b", "c"),
        node(Add, "s", "p", "q"),
        conv("o", "s", c=4),
    )
    assert products(made) == {"p": ("p_joined", "b", False), "q": ("b", "p_joined", False)}


def test_a_product_that_leaves_is_wide() -> None:
    made = graph(conv("a", "x"), node(Multiply, "p", "a", "x"))
    net = quantize_network(made, np.random.default_rng(1).normal(size=(4, *MAP)), 1.0)
    assert net.outputs == ("p",) and net.layers[-1].wide


def test_joined_flattened_maps_are_refused() -> None:
    made = graph(
        conv("a", "x"),
        node(Flatten, "f", "a"),
        node(Flatten, "h", "x"),
        node(Concat, "c", "f", "h"),
        node(Multiply, "p", "c", "c"),
        node(Linear, "o", "p", weight=np.ones((2, 144)), bias=np.zeros(2)),
    )
    with pytest.raises(UnsupportedError, match="'p' reads flattened maps that are joined"):
        lower(made)
