"""Sums, views, averages and clamps: the integers that docs/numerics.md defines, and what is refused."""

import numpy as np
import pytest

from hwprm.config import QuantizeConfig
from hwprm.core.errors import UnsupportedError
from hwprm.graph import Add, AvgPool2d, Channels, Clamp, Concat, Conv2d, Flatten, Graph, Input, Linear, Node, Relu
from hwprm.intnet import IntegerNetwork
from hwprm.quantization import crosscheck, lower, quantize_network
from hwprm.quantization.calibrate import float_tensors
from hwprm.quantization.lowering import averages

RNG = np.random.default_rng(0)


def conv(name: str, source: str, m: int = 2, c: int = 2, k: int = 1, **fields: object) -> Conv2d:
    return Conv2d(name=name, inputs=(source,), weight=RNG.normal(size=(m, c, k, k)), bias=np.zeros(m), **fields)


def make(*nodes: Node, outputs: tuple[str, ...] = (), shape: tuple[int, ...] = (2, 6, 6)) -> Graph:
    return Graph((Input(name="x", inputs=(), shape=shape), *nodes), outputs or (nodes[-1].name,))


def quantised(graph: Graph, **bits: int) -> IntegerNetwork:
    x = np.random.default_rng(1).normal(size=(4, *graph.input.shape))
    return quantize_network(graph, x, 1.0, QuantizeConfig(**bits))


def layer(net: IntegerNetwork, name: str):
    return next(layer for layer in net.layers if layer.name == name)


def test_a_sum_of_what_others_read_is_a_layer_of_scaled_ones_with_what_follows() -> None:
    net = quantised(
        make(
            conv("a", "x"),
            conv("b", "x"),
            Add(name="s", inputs=("a", "b")),
            Relu(name="r", inputs=("s",)),
            Concat(name="j", inputs=("a", "b", "r")),
            conv("o", "j", c=6),
        )
    )
    made = layer(net, "s")
    scales = [net.tensor[name].scale for name in "ab"]
    assert [term.source for term in made.terms] == ["a", "b"] and [term.groups for term in made.terms] == [2, 2]
    for term, scale in zip(made.terms, scales, strict=True):
        assert np.all(term.weight == np.floor(127 * scale / max(scales) + 0.5))
    assert made.clamp == (0, 255) and not made.bias.any()
    factor = max(scales) / 127 / net.tensor["s"].scale
    np.testing.assert_allclose(made.mult / 2.0**made.shift, factor, rtol=2**-16)


def test_a_tensor_added_to_itself_is_one_term() -> None:
    fused = lower(make(conv("a", "x"), Add(name="s", inputs=("a", "a")), conv("o", "s")))
    assert [float(term.weight.max()) for term in fused.layers[1].terms] == [2.0]


def test_weights_on_a_view_share_one_scale_per_filter() -> None:
    net = quantised(make(conv("a", "x"), conv("b", "x"), Concat(name="j", inputs=("a", "b")), conv("o", "j", 3, 4)))
    made = layer(net, "o")
    assert [term.source for term in made.terms] == ["a", "b"]
    largest = np.max([np.abs(term.weight).max(axis=(1, 2, 3)) for term in made.terms], axis=0)
    assert np.all(largest == 127)


def test_channel_choices_scatter_the_columns() -> None:
    weight = np.arange(1.0, 4).reshape(1, 3, 1, 1)
    graph = make(
        conv("a", "x", 4),
        Channels(name="c", inputs=("a",), indices=(3, 0, 3)),
        Conv2d(name="o", inputs=("c",), weight=weight, bias=np.zeros(1)),
    )
    (term,) = lower(graph).layers[1].terms
    assert term.weight.ravel().tolist() == [2, 0, 0, 4] and term.source == "a"


def test_a_grouped_conv_on_a_view_becomes_dense() -> None:
    order = Channels(name="c", inputs=("a",), indices=(0, 2, 1, 3))
    (term,) = lower(make(conv("a", "x", 4), order, conv("o", "c", 2, 2, groups=2))).layers[1].terms
    assert term.groups == 1
    assert (term.weight[:, :, 0, 0] != 0).tolist() == [[True, False, True, False], [False, True, False, True]]


def test_all_channels_in_order_are_the_tensor_itself() -> None:
    parts = [Channels(name=name, inputs=("a",), indices=idx) for name, idx in (("l", (0, 1)), ("r", (2, 3)))]
    fused = lower(make(conv("a", "x", 4), *parts, Concat(name="j", inputs=("l", "r")), conv("o", "j", 4, 1, groups=4)))
    assert [(made.name, made.terms[0].source, made.terms[0].groups) for made in fused.layers] == [
        ("a", "x", 1),
        ("o", "a", 4),
    ]


def test_an_average_has_weights_of_one_and_divides_in_the_requantisation() -> None:
    mean = AvgPool2d(name="m", inputs=("x",), kernel=(3, 2), stride=(3, 2))
    net = quantised(make(mean, conv("o", "m")))
    made = layer(net, "m")
    assert made.terms[0].weight.shape == (2, 1, 3, 2) and np.all(made.terms[0].weight == 1)
    factor = net.tensor["x"].scale / 6 / net.tensor["m"].scale
    np.testing.assert_allclose(made.mult / 2.0**made.shift, factor, rtol=2**-16)


def shared(padded: bool, *tail: Node) -> Graph:
    pool = AvgPool2d(
        name="m", inputs=("j",), kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1), count_include_pad=padded
    )
    parts = conv("a", "x", 3), conv("b", "x", 2)
    nodes = Channels(name="p", inputs=("a",), indices=(2, 0)), Concat(name="j", inputs=("p", "b", "a"))
    return make(*parts, *nodes, pool, *tail)


@pytest.mark.parametrize("padded", [True, False])
def test_a_large_average_of_several_tensors_is_a_layer_for_each_of_them(
    monkeypatch: pytest.MonkeyPatch, padded: bool
) -> None:
    graph = shared(padded, Relu(name="r", inputs=("m",)), conv("o", "r", c=7))
    x = {"x": np.random.default_rng(2).normal(size=(2, 2, 6, 6))}
    whole = lower(graph)
    monkeypatch.setattr(averages, "MOST_WEIGHTS", 0)
    apart = lower(graph)
    assert [layer.name for layer in whole.layers] == ["a", "b", "m", "o"]
    assert [layer.name for layer in apart.layers] == ["a", "b", "m_1", "m_2", "o"]
    of = {layer.name: layer for layer in apart.layers}
    assert of["m_1"].sources == ("a",) and of["m_2"].sources == ("b",)
    assert all(of[name].low == 0 and of[name].divisors for name in ("m_1", "m_2"))
    assert apart.shapes["m_1"] == (5, 6, 6) and of["m_2"].terms[0].groups == 2
    wanted, got = float_tensors(whole, x), float_tensors(apart, x)
    np.testing.assert_allclose(got["o"], wanted["o"], rtol=1e-12, atol=1e-12)
    net = quantised(graph)
    assert crosscheck(net, np.random.default_rng(3).integers(-128, 128, (2, 2, 6, 6))) > 0


def test_a_large_average_that_leaves_stays_one_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averages, "MOST_WEIGHTS", 0)
    assert [layer.name for layer in lower(shared(True)).layers] == ["a", "b", "m"]


def test_what_an_average_of_several_tensors_takes_decides_whether_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = shared(False, conv("o", "m", c=7))  # 7 filters of 5 channels; edges, and what lies between: 3 kernels of 3
    for most, names in ((7 * 5 * 81, ["a", "b", "m", "o"]), (7 * 5 * 81 - 1, ["a", "b", "m_1", "m_2", "o"])):
        monkeypatch.setattr(averages, "MOST_WEIGHTS", most)
        assert [layer.name for layer in lower(graph).layers] == names


def test_clamps_fuse_into_the_layer_before_them() -> None:
    six, low = Clamp(name="k", inputs=("a",), low=-0.5, high=0.25), Clamp(name="l", inputs=("k",), low=-0.25)
    net = quantised(make(conv("a", "x"), six, low, conv("o", "l")))
    scale = net.tensor["a"].scale
    assert [made.name for made in net.layers] == ["a", "o"]
    assert scale == pytest.approx(0.25 / 127) and layer(net, "a").clamp == (-127, 127)


def test_a_clamp_of_the_input_is_an_exact_layer() -> None:
    net = quantised(make(Clamp(name="k", inputs=("x",), low=0.0, high=1.0), conv("o", "k")))
    made, scale = layer(net, "k"), net.tensor["x"].scale
    assert net.tensor["k"].scale == scale and made.clamp == (0, int(np.floor(1 / scale + 0.5)))
    assert np.all(made.mult == 2**15) and np.all(made.shift == 15)


def test_a_view_that_leaves_becomes_a_layer() -> None:
    net = quantised(make(conv("a", "x", 3), Channels(name="c", inputs=("a",), indices=(2, 0))))
    assert net.outputs == ("c",) and layer(net, "c").wide and net.tensor["c"].scale == net.tensor["a"].scale


def test_readers_at_another_row_ratio_get_a_copy() -> None:
    graph = make(
        conv("a", "x"),
        conv("b", "a", k=3),
        conv("c", "a", k=3),
        conv("d", "a"),
        outputs=("b", "c", "d"),
        shape=(2, 7, 7),
    )
    assert [(made.name, made.terms[0].source) for made in lower(graph).layers] == [
        ("a", "x"),
        ("a_copy", "a"),
        ("b", "a_copy"),
        ("c", "a_copy"),
        ("d", "a"),
    ]


def test_refusals() -> None:
    empty = AvgPool2d(name="m", inputs=("x",), kernel=(1, 1), stride=(1, 1), padding=(1,) * 4, count_include_pad=False)
    with pytest.raises(UnsupportedError, match="average pool 'm' has a window of nothing but padding; use less"):
        lower(make(empty))
    flat = Flatten(name="f", inputs=("x",))
    join = Concat(name="j", inputs=("f", "f"))
    with pytest.raises(UnsupportedError, match="output 'j' joins flattened maps; return each of them instead"):
        lower(make(flat, join))
    with pytest.raises(
        UnsupportedError, match="'r' reads flattened maps that are joined, which only a linear layer can"
    ):
        lower(make(flat, join, Relu(name="r", inputs=("j",))))
    with pytest.raises(
        UnsupportedError, match="'c' cuts flattened maps, whose channels lie apart; slice channels before"
    ):
        lower(make(flat, Channels(name="c", inputs=("f",), indices=(3, 1))))
    line = Linear(name="l", inputs=("f",), weight=np.ones((72, 72)), bias=np.zeros(72))
    with pytest.raises(UnsupportedError, match="'s' adds maps .* after flattening; add maps of one shape"):
        lower(make(flat, line, Add(name="s", inputs=("f", "l"))))
