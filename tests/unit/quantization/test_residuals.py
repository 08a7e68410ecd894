"""Sums that join the layer of an operand: which, with what integers, and how near they come to the floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.config import QuantizeConfig
from hwprm.core.numerics import requantize
from hwprm.graph import Add, Channels, Clamp, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu
from hwprm.intnet import IntegerNetwork, reference
from hwprm.quantization import (
    FusedNetwork,
    crosscheck,
    lower,
    quantize_images,
    quantize_network,
    run_torch,
    signal_to_noise,
)
from hwprm.quantization.residuals import too_coarse, whole_steps
from tests.support.random_networks import random_residuals
from tests.support.rounds import examples

SAME = {"k": 3, "padding": (1, 1, 1, 1)}


def conv(
    name: str, source: str, m: int = 2, c: int = 2, k: int = 1, size: float = 1.0, seed: int = 0, **fields: object
) -> Conv2d:
    rng = np.random.default_rng([seed, *name.encode()])
    arrays = {"weight": size * rng.normal(size=(m, c, k, k)), "bias": size * rng.normal(size=m)}
    return Conv2d(name=name, inputs=(source,), **arrays, **fields)


def add(*inputs: str, name: str = "s") -> Add:
    return Add(name=name, inputs=inputs)


def make(*nodes: Node, outputs: tuple[str, ...] = (), shape: tuple[int, ...] = (2, 6, 6)) -> Graph:
    return Graph((Input(name="x", inputs=(), shape=shape), *nodes), outputs or (nodes[-1].name,))


def images(graph: Graph) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(4, *graph.input.shape))


def quantised(graph: Graph, **bits: int) -> IntegerNetwork:
    return quantize_network(graph, images(graph), 1.0, QuantizeConfig(**bits))


def joined(graph: Graph) -> list[tuple[str, str | None]]:
    """Layers in order with the tensors that they add."""
    return [(layer.name, layer.residual and layer.residual.source) for layer in lower(graph).layers]


def test_the_layer_made_last_takes_the_other_operand() -> None:
    assert joined(make(conv("a", "x"), conv("b", "x", **SAME), add("a", "b"), conv("o", "s"))) == [
        ("a", None),
        ("b", "a"),
        ("o", None),
    ]
    assert joined(make(conv("a", "x"), conv("b", "x", **SAME), add("b", "a"), conv("o", "s")))[1] == ("b", "a")


def test_a_block_adds_its_input_and_clamps_behind() -> None:
    block = (conv("a", "x"), Relu(name="r", inputs=("a",)), conv("b", "r", **SAME), add("x", "b"))
    fused = lower(make(*block, Clamp(name="k", inputs=("s",), low=0.0, high=2.0), conv("o", "k")))
    (_, made, _) = fused.layers
    assert made.residual and (made.residual.sum, made.residual.source, made.residual.channels) == ("s", "x", (0, 1))
    assert (made.low, made.high) == (0.0, 2.0) and fused.tensor_of["k"] == fused.tensor_of["s"] == "b"


def test_a_strided_shortcut_stays_a_layer_and_is_added() -> None:
    short, wide = conv("short", "x", stride=(2, 2)), conv("a", "x", k=3, padding=(1, 1, 1, 1), stride=(2, 2))
    graph = make(wide, conv("b", "a", **SAME), short, add("b", "short"), conv("o", "s"))
    assert joined(graph) == [("a", None), ("short", None), ("b", "short"), ("o", None)]


def test_sums_of_sums_join_one_layer_each() -> None:
    parts = [conv(name, "x") for name in "abc"]
    graph = make(*parts, add("a", "b", name="s"), add("s", "c", name="t"), conv("o", "t"))
    assert joined(graph) == [("a", None), ("b", "a"), ("c", "b"), ("o", None)]
    graph = make(*parts[:2], add("x", "a", name="s"), add("s", "b", name="t"), conv("o", "t"))
    assert joined(graph) == [("a", "x"), ("b", "a"), ("o", None)]


def test_a_linear_layer_and_an_output_join() -> None:
    flat, line = Flatten(name="f", inputs=("x",)), np.ones((3, 72))
    first, second = (Linear(name=n, inputs=("f",), weight=line, bias=np.zeros(3)) for n in "lm")
    assert joined(make(flat, first, second, add("l", "m"))) == [("l", None), ("m", "l")]
    net = quantised(make(flat, first, second, add("l", "m")))
    assert net.outputs == ("m",) and net.layers[1].wide and net.layers[1].residual


def test_a_choice_of_channels_is_added_channel_by_channel() -> None:
    choice = Channels(name="c", inputs=("a",), indices=(3, 0))
    fused = lower(make(conv("a", "x", 4), choice, conv("b", "a", 2, 4), add("b", "c"), conv("o", "s")))
    assert fused.layers[1].residual and fused.layers[1].residual.channels == (3, 0)


APART = {
    "read elsewhere": make(conv("a", "x"), add("a", "x"), conv("o", "s"), conv("p", "a"), outputs=("o", "p")),
    "clamped before": make(conv("a", "x"), Relu(name="r", inputs=("a",)), add("r", "x"), conv("o", "s")),
    "strided": make(
        conv("a", "x", stride=(2, 2)), conv("b", "x", stride=(2, 2)), add("a", "b"), conv("o", "s", stride=(2, 2))
    ),
    "pooled behind": make(
        conv("a", "x"), add("a", "x"), MaxPool2d(name="p", inputs=("s",), kernel=(2, 2), stride=(2, 2)), conv("o", "p")
    ),
    "doubled": make(conv("a", "x"), add("a", "a"), conv("o", "s")),
    "three": make(conv("a", "x"), conv("b", "x"), add("a", "b", "x"), conv("o", "s")),
}


@pytest.mark.parametrize("name", APART)
def test_sums_that_stay_layers(name: str) -> None:
    layers = {layer.name: layer for layer in lower(APART[name]).layers}
    assert "s" in layers and not any(layer.residual for layer in layers.values())


def test_sums_can_be_kept_apart_by_name() -> None:
    graph = make(conv("a", "x"), add("a", "x"), conv("o", "s"))
    assert [layer.name for layer in lower(graph).layers] == ["a", "o"]
    assert [layer.name for layer in lower(graph, separate={"s"}).layers] == ["a", "s", "o"]


def test_a_residual_counts_as_a_reader_at_its_row_ratio() -> None:
    """b reads a at rows of 5 where the sum reads it at rows of 7: a copy for b."""
    graph = make(
        conv("a", "x"), conv("b", "a", k=3), conv("c", "x"), add("c", "a"), outputs=("b", "s"), shape=(2, 7, 7)
    )
    made = {layer.name: layer for layer in lower(graph).layers}
    assert made["b"].terms[0].source == "a_copy" and made["c"].sources == ("x", "a")


def test_multipliers_are_exact_and_steps_at_most_that_much_coarser() -> None:
    graph = make(conv("a", "x", 4), conv("b", "x", 4, 2, **SAME), add("a", "b"), conv("o", "s", 2, 4))
    net = quantised(graph)
    made = next(layer for layer in net.layers if layer.name == "b")
    assert made.residual and made.residual.source == "a"
    acc_scales = net.tensor["a"].scale / made.residual.mult
    weight = lower(graph).layers[1].terms[0].weight
    finest = np.abs(weight).reshape(4, -1).max(axis=1) / 127 * net.tensor["x"].scale
    assert np.all(acc_scales >= finest * (1 - 1e-12))
    assert np.all(acc_scales <= finest * (1 + 1 / made.residual.mult))
    steps = (acc_scales / net.tensor["x"].scale).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(made.terms[0].weight, np.floor(weight / steps + 0.5))
    np.testing.assert_allclose(made.mult / 2.0**made.shift, acc_scales / net.tensor["b"].scale, rtol=2**-15)


def test_the_integers_are_those_of_the_definition() -> None:
    net = quantised(make(conv("a", "x"), conv("b", "x"), add("a", "b"), Relu(name="r", inputs=("s",)), conv("o", "r")))
    x = quantize_images(images(APART["three"]), 1.0, net)
    out, (_, b, _) = reference.run(net, x), net.layers
    assert b.residual
    acc = np.einsum("mc,ncyx->nmyx", b.terms[0].weight[:, :, 0, 0], x) + b.bias[:, None, None]
    total = acc + b.residual.mult[:, None, None] * out["a"]
    np.testing.assert_array_equal(out["b"], requantize(total, b.mult[:, None, None], b.shift[:, None, None], *b.clamp))
    assert b.clamp == (0, 255)


def test_accumulators_too_coarse_for_the_residual_leave_the_sum_apart() -> None:
    """Weights of 1000 on the image, whose small multiple a is added: a step of b's sums is worth many of a's."""
    graph = make(conv("a", "x", size=1e-3), conv("b", "x", size=1e3), add("a", "b"), conv("o", "s", size=1e-3))
    net = quantised(graph)
    assert [layer.name for layer in net.layers] == ["a", "b", "s", "o"]
    assert set(signal_to_noise(graph, net, images(graph), 1.0)) == {"x", "a", "b", "s", "o"}


def test_vanishing_weights_keep_the_multiplier_within_its_bits() -> None:
    graph = make(conv("a", "x"), conv("b", "x", size=1e-9), add("a", "b"), conv("o", "s"))
    for bits in (4, 8, 16):
        (_, b, _) = quantised(graph, weight_bits=bits, act_bits=bits).layers
        assert b.residual and np.all(b.residual.mult == 2 ** (bits + 8) - 1)


def test_a_branch_without_weights_passes_the_residual_on() -> None:
    graph = make(conv("a", "x"), conv("b", "x", size=0.0), add("a", "b"), conv("o", "s"))
    graph = graph.replace(Conv2d(name="b", inputs=("x",), weight=np.zeros((2, 2, 1, 1)), bias=np.zeros(2)))
    net = quantised(graph)
    assert net.layers[1].residual and np.all(net.layers[1].residual.mult == 256)
    x = quantize_images(images(graph), 1.0, net)
    out = reference.run(net, x)
    np.testing.assert_array_equal(out["b"], out["a"])


def test_whole_steps() -> None:
    scales = np.array([1e-9, 0.1, 0.26, 0.9999, 1.0, 3.0])
    assert whole_steps(1.0, scales, 8).tolist() == [65535, 10, 3, 1, 1, 1]
    assert not too_coarse(1.0, scales[:3]) and too_coarse(1.0, scales[:4])


def _apart(graph: Graph) -> set[str]:
    return {node.name for node in graph.nodes if isinstance(node, Add)}


@pytest.mark.parametrize("bits", [6, 10])
def test_joined_sums_are_nearer_to_the_floats_than_sums_apart(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rounding less, and no rounded weights of one: mean over blocks, in dB."""

    def noise(graph: Graph) -> float:
        net = quantised(graph, weight_bits=bits, act_bits=bits)
        return signal_to_noise(graph, net, images(graph), 1.0)["o"]

    def apart(graph: Graph, *, separate: object = ()) -> FusedNetwork:
        return lower(graph, separate=_apart(graph))

    graphs = [
        make(
            conv("a", "x", 8, seed=seed),
            conv("b", "a", 8, 8, seed=seed, size=72**-0.5, **SAME),
            Relu(name="r", inputs=("b",)),
            conv("c", "r", 8, 8, seed=seed, size=72**-0.5, **SAME),
            add("c", "a"),
            conv("o", "s", 4, 8, seed=seed),
        )
        for seed in range(3)
    ]
    together = [noise(graph) for graph in graphs]
    monkeypatch.setattr("hwprm.quantization.network.lower", apart)
    assert np.mean(together) > np.mean([noise(graph) for graph in graphs])


@examples(30)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_references_agree_on_any_residual(seed: int) -> None:
    net = random_residuals(seed)
    low, high = net.image_limits
    x = np.random.default_rng(seed).integers(low, high, (2, *low.shape), endpoint=True)
    assert crosscheck(net, x, reference.run(net, x)) == sum(v.size for v in run_torch(net, x).values())
