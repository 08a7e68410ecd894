"""Functions become tables: where, at which scales, and how well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.core.errors import ModelError
from hwprm.core.formats import NETWORK, NETWORK_WITH_TABLES
from hwprm.core.numerics import integer_range, quantize
from hwprm.graph import Clamp, Concat, Conv2d, Graph, Input, MaxPool2d, Node, Pointwise, Relu
from hwprm.graph.rules.functions import Function
from hwprm.intnet import IntegerNetwork, reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network, signal_to_noise
from hwprm.quantization.tables import told_range
from tests.support.interpreter import Interpreter

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(20, 2, 6, 6))


def conv(name: str, source: str, channels: int = 3, filters: int = 3) -> Conv2d:
    weight = np.random.default_rng(len(name) + channels).normal(size=(filters, channels, 3, 3)) / channels
    return Conv2d(name=name, inputs=(source,), weight=weight, bias=np.full(filters, 0.1), padding=(1, 1, 1, 1))


def point(name: str, source: str, function: str = "silu", *numbers: float) -> Pointwise:
    return Pointwise(name=name, inputs=(source,), function=function, numbers=numbers)


def pool(name: str, source: str) -> MaxPool2d:
    return MaxPool2d(name=name, inputs=(source,), kernel=(2, 2), stride=(2, 2))


def graph(*nodes: Node, outputs: tuple[str, ...] = ("last",)) -> Graph:
    """`nodes` behind an input and a first convolution, `a`."""
    return Graph((Input(name="x", inputs=(), shape=(2, 6, 6)), conv("a", "x", 2), *nodes), outputs)


def made(given: Graph) -> IntegerNetwork:
    """The network, whose two references and ROM contents agree."""
    net = quantize_network(given, IMAGES, 1.0)
    stored = quantize_images(IMAGES, 1.0, net)
    found = reference.run(net, stored[:3])
    crosscheck(net, stored[:3], found)
    program = compile_network(net, ArrayConfig(rows=3, cols=2))
    words = [found[name][0].ravel() for name in program.layers if name in net.outputs]
    np.testing.assert_array_equal(Interpreter(program).run(stored[0])["output"], np.concatenate(words))
    return net


def shape(net: IntegerNetwork) -> list[tuple[str, bool, bool]]:
    """Each layer's name, whether it pools, and whether it has a table."""
    return [(layer.name, layer.pool is not None, layer.table is not None) for layer in net.layers]


def test_a_function_joins_the_layer_before_it() -> None:
    net = made(graph(point("f", "a"), conv("last", "f")))
    assert shape(net) == [("a", False, True), ("last", False, False)]
    assert net.tensor["a"].signed and net.layers[0].clamp == (-128, 127)


def test_functions_and_clamps_are_composed() -> None:
    relu = Relu(name="r", inputs=("a",))
    clamp = Clamp(name="c", inputs=("f",), high=0.7)
    net = made(graph(relu, point("f", "r", "tanh"), clamp, point("g", "c", "sigmoid"), conv("last", "g")))
    assert shape(net) == [("a", False, True), ("last", False, False)]
    layer = net.layers[0]
    assert layer.table is not None and layer.clamp == (0, 255) and not net.tensor["a"].signed
    assert net.limits("a") == (int(layer.table.min()), int(layer.table.max())) and layer.table.min() > 0
    top = layer.table[255] * net.tensor["a"].scale
    assert top == pytest.approx(1 / (1 + np.exp(-0.7)), abs=net.tensor["a"].scale)


@pytest.mark.parametrize(("function", "joins"), [("tanh", True), ("silu", False)])
def test_a_pool_passes_what_never_falls(function: str, joins: bool) -> None:
    net = made(graph(point("f", "a", function), pool("p", "f"), conv("last", "p")))
    alone = [("a", False, True), ("p", True, False)]
    assert shape(net)[:-1] == ([("a", True, True)] if joins else alone)


def test_a_pool_before_any_function_joins() -> None:
    net = made(graph(pool("p", "a"), point("f", "p", "cos"), conv("last", "f")))
    assert shape(net) == [("a", True, True), ("last", False, False)]


def test_a_function_that_nothing_can_take_in_is_a_layer() -> None:
    """Of what something else reads too, and of a concatenation."""
    both = Concat(name="both", inputs=("f", "a"))
    net = made(graph(point("f", "a"), both, point("g", "both", "gelu"), conv("last", "g", 6)))
    assert shape(net) == [("a", False, False), ("f", False, True), ("g", False, True), ("last", False, False)]
    assert [term.source for term in net.layers[2].terms] == ["f", "a"]


def test_a_function_that_leaves_is_copied() -> None:
    net = made(graph(point("last", "a", "elu", 1.0, 1.0, 1.0)))
    assert shape(net) == [("a", False, True), ("last_out", False, False)]
    assert net.outputs == ("last_out",)


def test_codes_do_not_go_where_the_function_is_flat() -> None:
    step = 1 / 255
    assert told_range([Function("sigmoid")], 100.0, step) == pytest.approx(np.log(2 / step), rel=0.02)
    assert told_range([Function("silu")], 100.0, step) == 100.0
    assert told_range([Function("sigmoid")], 2.0, step) == pytest.approx(2.0, rel=0.02)
    assert told_range([Function("tanh")], 0.0, step) == 0.0


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "silu", "hardswish", "gelu", "mish", "softplus"])
def test_as_good_as_plain_fake_quantisation(function: str) -> None:
    """Against rounding what goes into the function and what comes out of it to 8 bits each, in float64."""
    numbers = (1.0, 20.0) if function == "softplus" else ()
    given = graph(point("f", "a", function, *numbers), conv("last", "f"))
    net = quantize_network(given, IMAGES, 1.0)
    ratio = signal_to_noise(given, net, IMAGES, 1.0)["a"]
    plain = quantize_network(graph(conv("last", "a")), IMAGES, 1.0)
    codes = reference.run(plain, quantize_images(IMAGES, 1.0, plain))["a"] * plain.tensor["a"].scale
    wanted = Function(function, numbers)(codes)
    tensor = net.tensor["a"]
    scale = np.abs(wanted).max() / integer_range(8, tensor.signed)[1]
    noise = wanted - quantize(wanted, scale, *tensor.limits) * scale
    # Rounding of inputs, weights and codes is in both; what the table adds is the rounding of the result.
    through = reference.run(net, quantize_images(IMAGES, 1.0, net))["a"] * tensor.scale
    assert np.square(through - wanted).mean() < 4 * np.square(noise).mean() + np.square(0.5 * plain.tensor["a"].scale)
    assert ratio > 25


def test_files_with_tables_have_a_format_of_their_own(tmp_path: Path) -> None:
    net = made(graph(point("f", "a"), conv("last", "f")))
    net.save(tmp_path / "tables")
    loaded = IntegerNetwork.load(tmp_path / "tables")
    np.testing.assert_array_equal(loaded.layers[0].table, net.layers[0].table)
    assert loaded.layers[1].table is None
    assert NETWORK_WITH_TABLES in (tmp_path / "tables" / "network.json").read_text()
    made(graph(conv("last", "a"))).save(tmp_path / "plain")
    assert NETWORK in (tmp_path / "plain" / "network.json").read_text()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (np.zeros(255, np.int64), r"its table has the shape \(255,\), not \(256,\)"),
        (np.full(256, 128), r"its table holds integers outside -128\.\.127"),
    ],
)
def test_tables_are_checked(table: np.ndarray, text: str) -> None:
    net = made(graph(point("f", "a"), conv("last", "f")))
    with pytest.raises(ModelError, match=text):
        replace(net, layers=(replace(net.layers[0], table=table), net.layers[1]))


def test_words_of_outputs_have_no_table() -> None:
    net = made(graph(conv("last", "a")))
    with pytest.raises(ModelError, match="network output 'last' has a table"):
        replace(net, layers=(net.layers[0], replace(net.layers[1], table=np.zeros(256, np.int64))))
