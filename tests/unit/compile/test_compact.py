"""Exact removal on integer networks, against a plain int64 reference written here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprm.compile.compact import compact_network, compaction
from hwprm.errors import ModelError
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term
from hwprm.numerics import requantise
from hwprm.verify import reference
from tests.support.networks import SEVERAL_INPUTS

LOW = -(2**62)


def _pad(x, padding, value):
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)


def _term(x, term):
    x, (oh, ow) = _pad(x, term.padding, 0), term.output_size(x.shape[1:])
    m, width, kh, kw = term.weight.shape
    acc = np.zeros((m, oh, ow), dtype=np.int64)
    for f in range(m):
        first = f // (m // term.groups) * width
        for y in range(oh):
            for x0 in range(ow):
                rows = y * term.stride[0] + np.arange(kh) * term.dilation[0]
                cols = x0 * term.stride[1] + np.arange(kw) * term.dilation[1]
                acc[f, y, x0] = (x[first : first + width][:, rows][:, :, cols] * term.weight[f]).sum()
    return acc


def _pool(acc, pool):
    oh, ow = pool.output_size(acc.shape[1:])
    padded = _pad(acc, pool.padding, LOW)
    padded = np.pad(padded, ((0, 0), (0, 8), (0, 8)), constant_values=LOW)  # ceil mode
    out = np.empty((len(acc), oh, ow), dtype=np.int64)
    for y in range(oh):
        for x in range(ow):
            rows = y * pool.stride[0] + np.arange(pool.kernel[0]) * pool.dilation[0]
            cols = x * pool.stride[1] + np.arange(pool.kernel[1]) * pool.dilation[1]
            out[:, y, x] = padded[:, rows][:, :, cols].max(axis=(1, 2))
    return out


def run(net, image):
    values = {net.inputs[0]: image}
    for layer in net.layers:
        acc = sum(_term(values[term.source], term) for term in layer.terms) + layer.bias[:, None, None]
        acc = _pool(acc, layer.pool) if layer.pool else acc
        if layer.residual:
            acc = acc + layer.residual.mult[:, None, None] * values[layer.residual.source][layer.residual.channel]
        values[layer.name] = requantise(acc, layer.mult[:, None, None], layer.shift[:, None, None], *layer.clamp)
    return values


def assert_same(net, images=2):
    done = compaction(net)
    rng = np.random.default_rng(0)
    for _ in range(images):
        image = rng.integers(-128, 128, net.input.shape)
        before, after = run(net, image), run(done.network, image)
        assert list(after) == list(done.kept)
        for name, value in after.items():
            np.testing.assert_array_equal(value, before[name][list(done.kept[name])])
    return done


def make_layer(rng, name, sources, m, *, kernel, padding=0, stride=1, dilation=1, groups=1, pool=None, wide=False):
    terms = tuple(
        Term(
            source=s.name,
            weight=rng.integers(-128, 128, (m, s.shape[0] // groups, *kernel)),
            stride=(stride, stride),
            padding=(padding,) * 4,
            dilation=(dilation, dilation),
            groups=groups,
        )
        for s in sources
    )
    return GemmLayer(
        name=name,
        terms=terms,
        bias=rng.integers(-3000, 3000, m),
        mult=rng.integers(1 << 15, 1 << 16, m),
        shift=rng.integers(24, 28, m),
        clamp=(-(2**31), 2**31 - 1) if wide else (0, 127),
        pool=pool,
        wide=wide,
    )


def tensor_of(layer, sources):
    size = layer.terms[0].output_size(sources[0].shape[1:])
    size = layer.pool.output_size(size) if layer.pool else size
    return Tensor(name=layer.name, shape=(len(layer.bias), *size), bits=32 if layer.wide else 8, scale=1.0)


def make_net(tensors, layers, outputs):
    return IntegerNetwork(
        name="t",
        tensors=tuple(tensors),
        layers=tuple(layers),
        inputs=("x",),
        outputs=outputs,
        weight_bits=8,
        act_bits=8,
    )


def sparsify(rng, layer):
    """Random zero rows, channels, columns, multipliers and biases."""
    terms = []
    rows = rng.random(len(layer.bias)) < 0.25
    for term in layer.terms:
        weight = term.weight.copy()
        weight[rows] = 0
        weight[:, rng.random(weight.shape[1]) < 0.15] = 0
        weight *= (rng.random(weight.shape[1:]) < 0.8)[None]
        terms.append(replace(term, weight=weight))
    bias = layer.bias * (rng.random(len(rows)) < 0.6) - 4000 * (rng.random(len(rows)) < 0.2)
    mult = layer.mult * (rng.random(len(rows)) < 0.95)
    return replace(layer, terms=tuple(terms), bias=bias, mult=mult)


def add_residual(rng, layer, source):
    m = len(layer.bias)
    mult = rng.integers(1, 5000, m) * (rng.random(m) < rng.choice([0.2, 0.8]))
    residual = Residual(source=source.name, channel=rng.integers(0, source.shape[0], m), mult=mult)
    return replace(layer, residual=residual)


@st.composite
def networks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tensors = [Tensor(name="x", shape=(draw(st.integers(1, 3)), 7, 6), bits=8, scale=1.0)]
    layers = []
    for i in range(draw(st.integers(1, 4))):
        source = tensors[-1]
        c, h, w = source.shape
        groups = draw(st.sampled_from([1, 1, c]))
        kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (h, w)]))
        padding, stride, dilation = draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        if draw(st.booleans()):  # a layer that keeps the map's size, so that residuals fit
            kernel, padding, stride, dilation = draw(st.sampled_from([((1, 1), 0, 1, 1), ((3, 3), 1, 1, 1)]))
        fits = all(s + 2 * padding > dilation * (k - 1) for s, k in zip((h, w), kernel, strict=True))
        padding, dilation = (padding, dilation) if fits else (max(kernel) // 2, 1)
        sources = [source]
        if len(tensors) > 1 and draw(st.booleans()):
            other = draw(st.sampled_from(tensors))
            sources += [other] if other.shape == source.shape else []
        layer = make_layer(
            rng,
            f"l{i}",
            sources,
            groups * draw(st.integers(2, 4)),
            kernel=kernel,
            padding=padding,
            stride=stride,
            dilation=dilation,
            groups=groups,
        )
        pool = Pool(
            kernel=(2, 2),
            stride=(draw(st.integers(1, 2)),) * 2,
            padding=draw(st.sampled_from([(0,) * 4, (1,) * 4, (1, 0, 0, 1)])),
            ceil_mode=draw(st.booleans()),
        )
        size = layer.terms[0].output_size((h, w))
        if min(size) >= 2 and draw(st.booleans()):
            layer = replace(layer, pool=pool)
        layer = sparsify(rng, layer)
        fits = [t for t in tensors if t.shape[1:] == size]
        if not layer.pool and fits and draw(st.booleans()):
            layer = add_residual(rng, layer, draw(st.sampled_from(fits)))
        layers.append(layer)
        tensors.append(tensor_of(layer, sources))
    head = make_layer(rng, "y", [tensors[-1]], 3, kernel=tensors[-1].shape[1:], wide=True)
    return make_net([*tensors, tensor_of(head, [tensors[-1]])], [*layers, head], ("y",))


@settings(max_examples=150, deadline=None)
@given(networks())
def test_outputs_stay_equal_and_nothing_more_can_go(net):
    try:
        done = assert_same(net)
    except ModelError as error:
        assert "does not depend on the input" in str(error)
        rng = np.random.default_rng(1)
        first, second = (run(net, rng.integers(-128, 128, net.input.shape))["y"] for _ in range(2))
        np.testing.assert_array_equal(first, second)
        return
    small = done.network
    again = compaction(small)
    assert [t.shape for t in again.network.tensors] == [t.shape for t in small.tensors]
    assert [len(layer.terms) for layer in again.network.layers] == [len(layer.terms) for layer in small.layers]
    readers = {
        t.name: [term for la in small.layers for term in la.terms if term.source == t.name] for t in small.tensors
    }
    for layer in small.layers:
        if (
            layer.wide
            or not any(t.weight.any() for t in readers[layer.name])  # read for want of anything else
            or any(t.groups > 1 for t in [*layer.terms, *readers[layer.name]])
        ):
            continue
        added = [la.residual for la in small.layers if la.residual and la.residual.source == layer.name]
        for m in range(len(layer.bias)):  # every channel left is read by somebody
            assert any(term.weight[:, m].any() for term in readers[layer.name]) or any(
                r.mult[r.channel == m].any() for r in added
            )


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
    constant = int(requantise(90000, a.mult[2], a.shift[2], *a.clamp))
    assert constant > 0
    expected = b.bias + constant * b.terms[0].weight[:, 2].sum(axis=(1, 2))
    np.testing.assert_array_equal(compact_network(net).layers[1].bias, expected)


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
    constant = int(requantise(90000, a.mult[1], a.shift[1], *a.clamp))
    assert constant > 0
    small = assert_same(net).network.layers[1]
    inner = b.terms[0].weight[:, 1, 1, 1]  # the centre tap never falls on padding, so that it is folded, too
    assert small.bias[1] == b.bias[1] + constant * (inner[1] + 200)
    assert small.residual.mult.tolist() == [300, 0, 100]
    a.terms[0].weight[:2] = 0  # only channel 2 varies, which y does not read
    net.layers[2].terms[0].weight[:, 2] = 0
    assert assert_same(net).network.layers[1].residual is None


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


def test_network_without_a_weight_is_refused():
    net = _chain(np.random.default_rng(1), 0, 0)
    net.layers[1].terms[0].weight[:] = 0
    with pytest.raises(ModelError, match=r"output 'y' does not depend on the input: .* left in 'b', 'y'; prune"):
        compact_network(net)


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
    small = compact_network(net)
    assert [term.source for term in small.layers[0].terms] == ["a"]
    assert small.input_shapes == net.input_shapes == {"a": (2, 5, 6), "b": (1, 5, 6)}
    images = np.random.default_rng(0).integers(-128, 128, (2, 90))
    np.testing.assert_array_equal(reference.run(small, images)["out"], reference.run(net, images)["out"])
    deaf = replace(layer.terms[0], weight=np.zeros_like(layer.terms[0].weight))
    with pytest.raises(ModelError, match="output 'out' does not depend on the input"):
        compact_network(replace(net, layers=(replace(layer, terms=(deaf, silent)), net.layers[1])))


def test_nothing_to_do_changes_nothing():
    net = _chain(np.random.default_rng(2), 1, 0)
    net.layers[0].terms[0].weight[2] = 1
    small = compact_network(net)
    for old, new in zip(net.layers, small.layers, strict=True):
        np.testing.assert_array_equal(old.bias, new.bias)
        np.testing.assert_array_equal(old.terms[0].weight, new.terms[0].weight)
