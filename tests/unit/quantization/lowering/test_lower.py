"""Folding and fusing: structure, and equality with the float graph."""

import numpy as np
import pytest

from hwprm.core.errors import UnsupportedError
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu, Upsample, evaluate
from hwprm.quantization import fold_batchnorm, lower
from hwprm.quantization.calibrate import float_tensors
from tests.unit.quantization.random_graphs import random_branches, random_graph

RNG = np.random.default_rng(0)


def conv(name: str, source: str, m: int = 2, c: int = 2, k: int = 3, **fields: object) -> Conv2d:
    weight, bias = RNG.normal(size=(m, c, k, k)), RNG.normal(size=m)
    return Conv2d(name=name, inputs=(source,), weight=weight, bias=bias, **fields)


def norm(name: str, source: str, c: int = 2) -> BatchNorm:
    arrays = {key: RNG.normal(size=c) for key in ("weight", "bias", "mean")}
    return BatchNorm(name=name, inputs=(source,), **arrays, var=RNG.uniform(0.1, 1, c))


def relu(name: str, source: str) -> Relu:
    return Relu(name=name, inputs=(source,))


def pool(name: str, source: str) -> MaxPool2d:
    return MaxPool2d(name=name, inputs=(source,), kernel=(2, 2), stride=(2, 2))


def flat(name: str, source: str) -> Flatten:
    return Flatten(name=name, inputs=(source,))


def linear(name: str, source: str, k: int, m: int = 3) -> Linear:
    return Linear(name=name, inputs=(source,), weight=RNG.normal(size=(m, k)), bias=RNG.normal(size=m))


def make(*nodes: Node, outputs: tuple[str, ...] = (), shape: tuple[int, ...] = (2, 8, 8)) -> Graph:
    return Graph((Input(name="x", inputs=(), shape=shape), *nodes), outputs or (nodes[-1].name,))


def assert_same(graph: Graph) -> None:
    """Every tensor of the fused network equals a node's; checked for the outputs."""
    fused = lower(graph)
    rng = np.random.default_rng(1)
    x = {node.name: rng.normal(size=(2, *node.shape)) for node in graph.inputs}
    real = {name: array.reshape(2, *fused.shapes[name]) for name, array in x.items()}
    got, expected = float_tensors(fused, real), evaluate(graph, x)
    for name, tensor in zip(graph.outputs, fused.returned, strict=True):
        array = got[tensor]
        np.testing.assert_allclose(array.reshape(expected[name].shape), expected[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_compute_the_same_in_floats(seed: int) -> None:
    assert_same(random_graph(seed))


@pytest.mark.parametrize("seed", range(100))
def test_random_branches_compute_the_same_in_floats(seed: int) -> None:
    assert_same(random_branches(seed))


@pytest.mark.parametrize(
    "tail",
    [
        lambda: (relu("r", "c"), pool("p", "r")),
        lambda: (pool("p", "c"), relu("r", "p")),
        lambda: (norm("n", "c"), relu("r", "n"), pool("p", "r")),
        lambda: (relu("r", "c"), pool("p", "r"), flat("f", "p")),
        lambda: (flat("f", "c"), relu("r", "f")),
        lambda: (relu("q", "c"), relu("r", "q")),
    ],
)
def test_one_layer_takes_in_what_follows(tail: object) -> None:
    graph = make(conv("c", "x"), *tail())
    fused = lower(graph)
    assert [layer.name for layer in fused.layers] == ["c"] and fused.layers[0].relu
    assert fused.outputs == ("c",)
    assert_same(graph)


def test_pool_after_pool_and_pool_of_the_input_become_layers() -> None:
    graph = make(pool("p0", "x"), conv("c", "p0"), pool("p1", "c"), shape=(2, 16, 16))
    assert [(layer.name, layer.identity) for layer in lower(graph).layers] == [("p0", True), ("c", False)]
    assert_same(graph)
    twice = make(conv("c", "x"), pool("p1", "c"), pool("p2", "p1"), relu("r", "p2"), shape=(2, 16, 16))
    layers = lower(twice).layers
    assert [(layer.name, layer.identity, layer.terms[0].groups, layer.relu) for layer in layers] == [
        ("c", False, 1, False),
        ("p2", True, 2, True),
    ]
    assert_same(twice)


def test_a_branch_keeps_the_tensor_that_two_read() -> None:
    graph = make(conv("c", "x"), relu("r", "c"), conv("a", "r"), conv("b", "c"), pool("q", "b"), outputs=("a", "q"))
    fused = lower(graph)
    assert [(layer.name, layer.terms[0].source) for layer in fused.layers] == [
        ("c", "x"),
        ("r", "c"),
        ("a", "r"),
        ("c_copy", "c"),
        ("b", "c_copy"),
    ]
    assert fused.outputs == ("a", "b")
    assert_same(graph)


def test_nodes_that_no_output_needs_vanish_and_hinder_nothing() -> None:
    graph = make(conv("c", "x"), conv("dead", "c"), relu("r", "c"), outputs=("r",))
    assert [layer.name for layer in lower(graph).layers] == ["c"]


def test_linear_behind_a_flatten_is_a_convolution_of_the_whole_map() -> None:
    graph = make(
        conv("c", "x"), pool("p", "c"), flat("f", "p"), linear("l", "f", 18), relu("r", "l"), linear("o", "r", 3)
    )
    fused = lower(graph)
    assert [layer.terms[0].weight.shape for layer in fused.layers] == [(2, 2, 3, 3), (3, 2, 3, 3), (3, 3, 1, 1)]
    assert_same(graph)


def test_linear_on_a_flattened_image_and_on_a_vector() -> None:
    assert lower(make(flat("f", "x"), linear("l", "f", 128))).layers[0].terms[0].weight.shape == (3, 2, 8, 8)
    assert lower(make(linear("l", "x", 5), shape=(5,))).layers[0].terms[0].weight.shape == (3, 5, 1, 1)


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        (lambda: (conv("c", "x"), norm("n", "c")), 0),
        (lambda: (norm("n", "x"), conv("c", "n")), 0),
        (lambda: (norm("n", "x"), norm("m", "n"), conv("c", "m")), 0),
        (lambda: (norm("n", "x"), conv("c", "n", c=1, groups=2)), 0),
        (lambda: (norm("n", "x"), conv("c", "n", padding=(1, 1, 1, 1))), 1),
        (lambda: (conv("c", "x"), relu("r", "c"), norm("n", "r"), relu("s", "n"), conv("d", "s")), 1),
        (lambda: (flat("f", "x"), norm("n", "f", 128), linear("l", "n", 128)), 0),
        (lambda: (flat("f", "x"), linear("l", "f", 128), norm("n", "l", 3)), 0),
    ],
)
def test_batch_norms_fold_where_that_is_exact(nodes: object, left: int) -> None:
    graph = make(*nodes())
    assert sum(isinstance(node, BatchNorm) for node in fold_batchnorm(graph).nodes) == left
    assert_same(graph)


def test_a_norm_on_a_tensor_that_something_else_reads_is_not_folded_backwards() -> None:
    graph = make(
        conv("c", "x"), norm("n", "c"), conv("a", "c"), conv("b", "n", padding=(1, 1, 1, 1)), outputs=("a", "b")
    )
    assert any(isinstance(node, BatchNorm) for node in fold_batchnorm(graph).nodes)
    assert_same(graph)


def test_a_norm_behind_a_flatten_with_nobody_to_fold_it_is_refused() -> None:
    graph = make(flat("f", "x"), norm("n", "f", 128), relu("r", "n"))
    with pytest.raises(UnsupportedError, match="batch norm 'n' follows a flatten and has 128 entries for 2 channels"):
        lower(graph)


def test_an_output_that_is_read_inside_leaves_through_an_identity_layer() -> None:
    graph = make(conv("c", "x"), relu("c_out", "c"), conv("d", "c_out"), outputs=("c", "d", "c_out"))
    fused = lower(graph)
    assert fused.outputs == ("c_out_2", "d", "c_out_out") == fused.returned
    assert [(layer.name, layer.identity) for layer in fused.layers][-2:] == [("c_out_2", True), ("c_out_out", True)]
    assert_same(graph)


def test_an_output_that_is_upsampled_leaves_through_an_identity_layer() -> None:
    up = Upsample(name="u", inputs=("c",), factors=(2, 3))
    graph = make(conv("c", "x"), up, relu("r", "u"), flat("f", "r"), outputs=("f",))
    fused = lower(graph)
    assert [(layer.name, layer.upsample, layer.relu) for layer in fused.layers] == [
        ("c", (2, 3), True),
        ("f_out", (1, 1), False),
    ]
    assert_same(graph)


def test_an_upsampling_of_what_others_read_is_a_layer_of_its_own() -> None:
    up = Upsample(name="u", inputs=("c",), factors=(2, 1))
    graph = make(conv("c", "x"), up, pool("p", "u"), conv("d", "c", padding=(1, 1, 1, 1)), outputs=("p", "d"))
    assert [layer.name for layer in lower(graph).layers] == ["c", "u", "p", "d"]
    assert_same(graph)


def test_a_network_that_returns_its_input_copies_it() -> None:
    fused = lower(make(flat("f", "x")))
    assert [layer.name for layer in fused.layers] == ["f_out"]
    assert fused.layers[0].identity


def test_outputs_that_are_one_tensor_leave_once() -> None:
    graph = make(conv("c", "x"), flat("f", "c"), flat("g", "f"), outputs=("g",))
    assert lower(graph).outputs == ("c",)
    twice = Graph(graph.nodes, ("f", "g"))
    assert lower(twice).outputs == ("c",) and lower(twice).returned == ("c", "c")
