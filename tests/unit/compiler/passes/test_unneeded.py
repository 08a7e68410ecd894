"""Exact removal on integer networks, against plain int64 loops and a brute-force search for what could still go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from hwprm.compiler.passes.unneeded import remove_unneeded
from hwprm.core.errors import ModelError
from hwprm.core.numerics import requantize
from hwprm.intnet import Gate, Pool, Residual, Tensor, reference
from tests.support.networks import SEVERAL_INPUTS
from tests.support.rounds import examples
from tests.unit.compiler.oracle import removable
from tests.unit.compiler.plain import run
from tests.unit.compiler.random_dags import make_layer, make_net, networks, tensor_of


def assert_same(net, images=2):
    done = remove_unneeded(net)
    rng = np.random.default_rng(0)
    for _ in range(images):
        image = rng.integers(-128, 128, net.input.shape)
        before, after = run(net, image), run(done.network, image)
        assert list(after) == list(done.kept)
        for name, value in after.items():
            np.testing.assert_array_equal(value, before[name][list(done.kept[name])])
    return done


@examples(40)
@given(networks())
def test_outputs_stay_equal_and_nothing_more_can_go(net):
    assert_smallest(net)


@pytest.mark.slow
@examples(200)
@given(networks())
def test_the_same_of_many_networks(net):
    assert_smallest(net)


def assert_smallest(net):
    try:
        done = assert_same(net)
    except ModelError as error:
        assert "does not depend on the input" in str(error)
        rng = np.random.default_rng(1)
        first, second = (run(net, rng.integers(-128, 128, net.input.shape)) for _ in range(2))
        assert any(np.array_equal(first[name], second[name]) for name in net.outputs)
        return
    assert removable(done.network) == []
    again = remove_unneeded(done.network)
    assert again.kept == {t.name: tuple(range(t.shape[0])) for t in done.network.tensors}
    assert [len(la.terms) for la in again.network.layers] == [len(la.terms) for la in done.network.layers]


def _chain(rng, padding, bias):
    x = Tensor(name="x", shape=(1, 8, 8), bits=8, scale=1.0)
    a = make_layer(rng, "a", [x], 4, kernel=(3, 3))
    a.terms[0].weight[2] = 0
    a.bias[2] = bias
    ta = tensor_of(a, [x])
    b = make_layer(rng, "b", [ta], 5, kernel=(3, 3), padding=padding, pool=Pool(kernel=(2, 2), stride=(2, 2)))
    tb = tensor_of(b, [ta])
    y = make_layer(rng, "y", [tb], 3, kernel=tb.shape[1:], wide=True)
    return make_net([x, ta, tb, tensor_of(y, [tb])], [a, b, y], ("y",))


@pytest.mark.parametrize(
    ("padding", "bias", "left"),
    [(0, 90000, 3), (0, -500, 3), (1, -500, 3), (1, 0, 3), (1, 90000, 4)],
    ids=["folded", "relu", "relu-padded", "zero-padded", "kept"],
)
def test_zero_filter(padding, bias, left):
    net = _chain(np.random.default_rng(3), padding, bias)
    done = assert_same(net)
    assert done.network.tensor["a"].shape[0] == left
    if left == 4:  # the inner tap never touches the padding: folded, the outer ones stay
        weight = done.network.layers[1].terms[0].weight
        assert not weight[:, 2, 1, 1].any()
        assert weight[:, 2, 0, 0].any()


def test_folding_adds_constant_times_weights_to_the_bias():
    net = _chain(np.random.default_rng(3), 0, 90000)
    a, b = net.layers[:2]
    constant = int(requantize(90000, a.mult[2], a.shift[2], *a.clamp))
    assert constant > 0
    expected = b.bias + constant * b.terms[0].weight[:, 2].sum(axis=(1, 2))
    np.testing.assert_array_equal(remove_unneeded(net).network.layers[1].bias, expected)


def test_unread_filter_goes_and_frees_what_it_read():
    net = _chain(np.random.default_rng(5), 0, 0)
    net.layers[2].terms[0].weight[:, 1:] = 0  # only b's filter 0 is read
    net.layers[1].terms[0].weight[0, [0, 3]] = 0  # and that one reads only a's filter 1 (2 is zero)
    done = assert_same(net)
    assert done.kept == {"x": (0,), "a": (1,), "b": (0,), "y": (0, 1, 2)}


def test_channel_of_a_residual_sum_goes_only_when_all_readers_agree():
    rng = np.random.default_rng(7)
    x = Tensor(name="x", shape=(2, 5, 5), bits=8, scale=1.0)
    a = make_layer(rng, "a", [x], 3, kernel=(1, 1))
    ta = tensor_of(a, [x])
    b = make_layer(rng, "b", [ta], 3, kernel=(3, 3), padding=1)
    tb = tensor_of(b, [ta])
    s = make_layer(rng, "s", [tb, ta], 3, kernel=(1, 1))
    s.terms[1].weight[:] = np.eye(3, dtype=np.int64)[:, :, None, None] * 64
    ts = tensor_of(s, [tb, ta])
    y = make_layer(rng, "y", [ts], 2, kernel=(5, 5), wide=True)
    b.terms[0].weight[:, 1] = 0  # b ignores a's channel 1, the identity path still reads it
    net = make_net([x, ta, tb, ts, tensor_of(y, [ts])], [a, b, s, y], ("y",))
    assert assert_same(net).network.tensor["a"].shape[0] == 3
    y.terms[0].weight[:, 1] = 0  # now nobody needs channel 1 of the sum
    assert assert_same(net).kept["a"] == (0, 2)
    s.terms[0].weight[:] = 0  # the whole branch b is gone, its term too
    b.bias[:] = -500
    small = assert_same(net).network
    assert [layer.name for layer in small.layers] == ["a", "s", "y"]
    assert len(small.layers[1].terms) == 1


def _block(rng):
    """a, then b on a with a as its residual, channel for channel; y reads b."""
    x = Tensor(name="x", shape=(2, 5, 5), bits=8, scale=1.0)
    a = make_layer(rng, "a", [x], 3, kernel=(1, 1))
    ta = tensor_of(a, [x])
    residual = Residual(source="a", channel=np.arange(3), mult=np.array([300, 200, 100]))
    b = replace(make_layer(rng, "b", [ta], 3, kernel=(3, 3), padding=1), residual=residual)
    tb = tensor_of(b, [ta])
    y = make_layer(rng, "y", [tb], 2, kernel=(5, 5), wide=True)
    return make_net([x, ta, tb, tensor_of(y, [tb])], [a, b, y], ("y",))


def test_a_residual_keeps_its_channel_until_the_sum_is_not_needed():
    net = _block(np.random.default_rng(7))
    _, b, y = net.layers
    b.terms[0].weight[:, 1] = 0  # b's weights ignore a's channel 1, its residual still adds it
    assert assert_same(net).kept["a"] == (0, 1, 2)
    y.terms[0].weight[:, 1] = 0  # now nobody needs channel 1 of the sum
    done = assert_same(net)
    assert done.kept["a"] == done.kept["b"] == (0, 2)
    assert done.network.layers[1].residual.channel.tolist() == [0, 1]


def test_constant_residuals_move_to_the_bias():
    net = _block(np.random.default_rng(7))
    a, b, _ = net.layers
    a.terms[0].weight[1] = 0
    a.bias[1] = 90000
    constant = int(requantize(90000, a.mult[1], a.shift[1], *a.clamp))
    assert constant > 0
    small = assert_same(net).network.layers[1]
    inner = b.terms[0].weight[:, 1, 1, 1]  # the centre tap never falls on padding, so that it is folded, too
    assert small.bias[1] == b.bias[1] + constant * (inner[1] + 200)
    assert small.residual.mult.tolist() == [300, 0, 100]
    a.terms[0].weight[:2] = 0  # only channel 2 varies, which y does not read
    net.layers[2].terms[0].weight[:, 2] = 0
    assert assert_same(net).network.layers[1].residual is None


def _gated(rng):
    """a, a pixel of a, and their product b; y reads b."""
    x = Tensor(name="x", shape=(2, 5, 5), bits=8, scale=1.0)
    a = make_layer(rng, "a", [x], 3, kernel=(1, 1))
    ta = tensor_of(a, [x])
    g = make_layer(rng, "g", [ta], 4, kernel=(5, 5))
    gate = Gate(source="g", channel=np.array([2, 0, 1]))
    residual = Residual(source="a", channel=np.arange(3), mult=np.ones(3, np.int64), gate=gate)
    b = make_layer(rng, "b", [ta], 3, kernel=(1, 1))
    b = replace(b, terms=(replace(b.terms[0], weight=np.zeros((3, 3, 1, 1), np.int64)),), residual=residual)
    tb = tensor_of(b, [ta])
    y = make_layer(rng, "y", [tb], 2, kernel=(5, 5), wide=True)
    return make_net([x, ta, tensor_of(g, [ta]), tb, tensor_of(y, [tb])], [a, g, b, y], ("y",))


def test_a_product_keeps_the_channels_of_both_factors():
    net = _gated(np.random.default_rng(7))
    assert assert_same(net).kept == {"x": (0, 1), "a": (0, 1, 2), "g": (0, 1, 2), "b": (0, 1, 2), "y": (0, 1)}
    net.layers[3].terms[0].weight[:, 1] = 0  # nobody needs channel 1 of the product
    done = assert_same(net)
    assert done.kept["g"] == (1, 2) and done.kept["b"] == (0, 2)
    assert done.network.layers[2].residual.gate.channel.tolist() == [1, 0]


@pytest.mark.parametrize(("factor", "both"), [(0, False), (90000, False), (90000, True)])
def test_a_constant_factor(factor, both):
    """Nothing is left of a product with 0, or of two constants; one with another constant stays."""
    net = _gated(np.random.default_rng(7))
    a, g, _, _ = net.layers
    g.terms[0].weight[0] = 0
    g.bias[0] = factor
    if both:
        a.terms[0].weight[1] = 0
        a.bias[1] = factor
    done = assert_same(net)
    gone = both or not factor  # y takes in what is constant
    assert done.kept["b"] == ((0, 2) if gone else (0, 1, 2))
    assert done.kept["g"] == ((1, 2) if gone else (0, 1, 2))


def test_a_branch_without_weights_leaves_its_residual():
    net = _block(np.random.default_rng(7))
    x, *rest = net.tensors
    mid = make_layer(np.random.default_rng(1), "mid", [rest[0]], 3, kernel=(1, 1))
    b = replace(
        net.layers[1], terms=(replace(net.layers[1].terms[0], source="mid", weight=np.zeros((3, 3, 3, 3), int)),)
    )
    layers = (net.layers[0], mid, b, net.layers[2])
    net = make_net([x, rest[0], tensor_of(mid, [rest[0]]), *rest[1:]], layers, ("y",))
    small = assert_same(net).network
    assert [layer.name for layer in small.layers] == ["a", "b", "y"]
    assert small.layers[1].sources == ("a",) and not small.layers[1].terms[0].weight.any()


def test_depthwise_channels_go_together_with_their_filters():
    rng = np.random.default_rng(9)
    x = Tensor(name="x", shape=(1, 6, 6), bits=8, scale=1.0)
    a = make_layer(rng, "a", [x], 4, kernel=(3, 3))
    ta = tensor_of(a, [x])
    d = make_layer(rng, "d", [ta], 4, kernel=(3, 3), groups=4)
    td = tensor_of(d, [ta])
    y = make_layer(rng, "y", [td], 2, kernel=td.shape[1:], wide=True)
    y.terms[0].weight[:, 2] = 0
    small = assert_same(make_net([x, ta, td, tensor_of(y, [td])], [a, d, y], ("y",)))
    assert small.kept["a"] == small.kept["d"] == (0, 1, 3)
    assert small.network.layers[1].terms[0].groups == 3


def test_a_copy_holds_the_channels_that_are_read_of_it():
    """Others read all of what it copies. A copy of all channels stays one of groups."""
    rng = np.random.default_rng(9)
    x = Tensor(name="x", shape=(1, 6, 6), bits=8, scale=1.0)
    a = make_layer(rng, "a", [x], 4, kernel=(3, 3))
    ta = tensor_of(a, [x])
    copy = make_layer(rng, "copy", [ta], 4, kernel=(1, 1), groups=4, pool=Pool(kernel=(2, 2), stride=(2, 2)))
    copy.terms[0].weight[:] = 1
    tc = tensor_of(copy, [ta])
    y = make_layer(rng, "y", [ta], 2, kernel=ta.shape[1:], wide=True)
    z = make_layer(rng, "z", [tc], 2, kernel=tc.shape[1:], wide=True)
    for layer in (y, z):
        layer.terms[0].weight[layer.terms[0].weight == 0] = 1
    net = make_net([x, ta, tc, tensor_of(y, [ta]), tensor_of(z, [tc])], [a, copy, y, z], ("y", "z"))
    assert assert_same(net).network.layers[1].terms[0].groups == 4
    z.terms[0].weight[:, [0, 2]] = 0
    small = assert_same(net)
    assert small.kept["a"] == (0, 1, 2, 3) and small.kept["copy"] == (1, 3)
    assert small.network.layers[1].terms[0].weight[:, :, 0, 0].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]


def test_network_without_a_weight_is_refused():
    net = _chain(np.random.default_rng(1), 0, 0)
    net.layers[1].terms[0].weight[:] = 0
    with pytest.raises(ModelError, match=r"output 'y' does not depend on the input: .* left in 'b', 'y'; prune"):
        remove_unneeded(net)


def test_a_grouped_layer_that_nobody_reads_goes_though_its_channels_stay():
    rng = np.random.default_rng(0)
    x = Tensor(name="x", shape=(4, 5, 5), bits=8, scale=1.0)
    dead = make_layer(rng, "dead", [x], 4, kernel=(3, 3), groups=2)
    live = make_layer(rng, "live", [x], 2, kernel=(3, 3))
    a, b = tensor_of(dead, [x]), tensor_of(live, [x])
    out = make_layer(rng, "out", [a, b], 2, kernel=(3, 3), wide=True)
    silent = replace(out.terms[0], weight=np.zeros_like(out.terms[0].weight))
    out = replace(out, terms=(silent, out.terms[1]))
    net = make_net((x, a, b, tensor_of(out, [a])), (dead, live, out), ("out",))
    small = assert_same(net).network
    assert [layer.name for layer in small.layers] == ["live", "out"]


def test_an_input_that_nobody_reads_stays():
    net = SEVERAL_INPUTS["sum"]()
    layer = net.layers[0]
    silent = replace(layer.terms[1], weight=np.zeros_like(layer.terms[1].weight))
    net = replace(net, layers=(replace(layer, terms=(layer.terms[0], silent)), net.layers[1]))
    small = remove_unneeded(net).network
    assert [term.source for term in small.layers[0].terms] == ["a"]
    assert small.input_shapes == net.input_shapes == {"a": (2, 5, 6), "b": (1, 5, 6)}
    images = np.random.default_rng(0).integers(-128, 128, (2, 90))
    np.testing.assert_array_equal(reference.run(small, images)["out"], reference.run(net, images)["out"])
    deaf = replace(layer.terms[0], weight=np.zeros_like(layer.terms[0].weight))
    with pytest.raises(ModelError, match="output 'out' does not depend on the input"):
        remove_unneeded(replace(net, layers=(replace(layer, terms=(deaf, silent)), net.layers[1])))


def test_nothing_to_do_changes_nothing():
    net = _chain(np.random.default_rng(2), 1, 0)
    net.layers[0].terms[0].weight[2] = 1
    small = remove_unneeded(net).network
    for old, new in zip(net.layers, small.layers, strict=True):
        np.testing.assert_array_equal(old.bias, new.bias)
        np.testing.assert_array_equal(old.terms[0].weight, new.terms[0].weight)
