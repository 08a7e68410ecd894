"""The numpy reference against plain Python loops that follow the sentence in `hwprm.intnet.network` word by word."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.core.errors import InputError
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Tensor, Term, reference
from tests.support.networks import small_lenet
from tests.support.rounds import examples


def loops(net: IntegerNetwork, layer: GemmLayer, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """One image's result of `layer`, one Python integer at a time."""
    height, width = net.conv_size(layer)
    m_count = len(layer.bias)
    acc = {(m, y, x): int(layer.bias[m]) for m in range(m_count) for y in range(height) for x in range(width)}
    for term in layer.terms:
        source = tensors[term.source]
        _, per_group, kh, kw = term.weight.shape
        for (m, y, x), _ in acc.items():
            group = m // (m_count // term.groups)
            for c in range(per_group):
                for ky in range(kh):
                    for kx in range(kw):
                        sy = y * term.stride[0] + ky * term.dilation[0] - term.padding[0]
                        sx = x * term.stride[1] + kx * term.dilation[1] - term.padding[2]
                        if 0 <= sy < source.shape[1] and 0 <= sx < source.shape[2]:
                            sample = int(source[group * per_group + c, sy, sx])
                            acc[m, y, x] += int(term.weight[m, c, ky, kx]) * sample
    out = np.empty(net.tensor[layer.name].shape, np.int64)
    for m, py, px in np.ndindex(out.shape):
        value = acc[m, py, px] if layer.pool is None else pooled(layer.pool, acc, (m, py, px))
        half = 1 << (int(layer.shift[m]) - 1)
        scaled = (value * int(layer.mult[m]) + half) >> int(layer.shift[m])
        out[m, py, px] = min(max(scaled, layer.clamp[0]), layer.clamp[1])
    return out


def pooled(pool: Pool, acc: dict[tuple[int, int, int], int], at: tuple[int, int, int]) -> int:
    m, py, px = at
    rows = [py * pool.stride[0] + k * pool.dilation[0] - pool.padding[0] for k in range(pool.kernel[0])]
    cols = [px * pool.stride[1] + k * pool.dilation[1] - pool.padding[2] for k in range(pool.kernel[1])]
    return max(acc[m, y, x] for y in rows for x in cols if (m, y, x) in acc)


def random_term(rng: np.random.Generator, source: Tensor, m: int, size: tuple[int, int], limit: int) -> Term | None:
    """A term over `source` that makes a map of `size`, or None when the dice do not allow one."""
    c, h, w = source.shape
    groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0 and m % g == 0]))
    kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, 4, 2)) for _ in range(3))
    padding = []
    for axis, length in enumerate((h, w)):
        missing = (size[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 - length
        if missing < 0:
            missing = 0
        before = int(rng.integers(0, missing + 1))
        padding += [before, missing - before]
    weight = rng.integers(-limit, limit + 1, (m, c // groups, *kernel))
    term = Term(
        source=source.name, weight=weight, stride=stride, padding=tuple(padding), dilation=dilation, groups=groups
    )
    return term if term.output_size((h, w)) == size else None


def random_network(seed: int, bits: int) -> IntegerNetwork:
    """Two layers; the second may add the first's result to the input, as a residual network does."""
    rng = np.random.default_rng(seed)
    limit = (1 << (bits - 1)) - 1
    m = int(rng.integers(1, 5))
    size = tuple(int(v) for v in rng.integers(1, 5, 2))
    image = Tensor(name="x", shape=(int(rng.integers(1, 4)), *map(int, rng.integers(1, 7, 2))), bits=bits, scale=1.0)
    while (first := random_term(rng, image, m, size, limit)) is None:
        pass
    pool = None
    if rng.random() < 0.6:
        kernel = (int(rng.integers(1, min(3, size[0]) + 1)), int(rng.integers(1, min(3, size[1]) + 1)))
        pad = tuple(int(rng.integers(0, k // 2 + 1)) for k in (kernel[0], kernel[0], kernel[1], kernel[1]))
        strides = tuple(int(v) for v in rng.integers(1, 4, 2))
        pool = Pool(kernel=kernel, stride=strides, padding=pad, ceil_mode=bool(rng.integers(2)))
    inner = Tensor(name="a", shape=(m, *(pool.output_size(size) if pool else size)), bits=bits, scale=1.0)
    out_size = tuple(int(v) for v in rng.integers(1, 4, 2))
    out = Tensor(name="b", shape=(2, *out_size), bits=32, scale=1.0)
    second = None
    while second is None:
        second = random_term(rng, inner, 2, out_size, limit)
    skip = random_term(rng, image, 2, out_size, limit)

    def layer(name: str, terms: tuple[Term, ...], filters: int, **fields: object) -> GemmLayer:
        return GemmLayer(
            name=name,
            terms=terms,
            bias=rng.integers(-(10**6), 10**6, filters),
            mult=rng.integers(0, 1 << 16, filters),
            shift=rng.integers(1, 48, filters),
            **fields,
        )

    low = int(rng.choice([0, -limit - 1]))
    return IntegerNetwork(
        name="random",
        tensors=(image, inner, out),
        layers=(
            layer("a", (first,), m, clamp=(low, limit), pool=pool),
            layer("b", (second, skip) if skip else (second,), 2, clamp=(-(2**31), 2**31 - 1), wide=True),
        ),
        inputs=("x",),
        outputs=("b",),
        weight_bits=bits,
        act_bits=bits,
    )


@examples(60)
@given(seed=st.integers(0, 2**32 - 1), bits=st.sampled_from([2, 8, 16]))
def test_every_tensor_equals_the_loops(seed: int, bits: int) -> None:
    net = random_network(seed, bits)
    low, high = net.limits("x")
    images = np.random.default_rng(seed).integers(low, high + 1, (2, *net.input.shape))
    got = reference.run(net, images)
    for i in range(2):
        tensors = {"x": images[i]}
        for layer in net.layers:
            tensors[layer.name] = loops(net, layer, tensors)
            np.testing.assert_array_equal(got[layer.name][i], tensors[layer.name])


@pytest.mark.parametrize("chunk", [None, 1, 2, 5])
def test_logits_are_the_outputs_of_run_whatever_the_chunk(chunk: int | None) -> None:
    net = random_network(7, 8)
    images = np.random.default_rng(0).integers(-128, 128, (5, *net.input.shape))
    outs = reference.logits(net, images, chunk=chunk)
    assert list(outs) == ["b"]
    np.testing.assert_array_equal(outs["b"], reference.run(net, {"x": images})["b"])


def test_extreme_values_do_not_lose_a_bit() -> None:
    """The largest sums of 16-bit operands, which float32 cannot hold."""
    k = 1 << 15
    weight = np.full((1, k, 1, 1), 32767)
    net = IntegerNetwork(
        name="wide",
        tensors=(
            Tensor(name="x", shape=(k, 1, 1), bits=16, scale=1.0),
            Tensor(name="y", shape=(1, 1, 1), bits=32, scale=1.0),
        ),
        layers=(
            GemmLayer(
                name="y",
                terms=(Term(source="x", weight=weight),),
                bias=np.array([1]),
                mult=np.array([1]),
                shift=np.array([15]),
                clamp=(-(2**31), 2**31 - 1),
                wide=True,
            ),
        ),
        inputs=("x",),
        outputs=("y",),
        weight_bits=16,
        act_bits=16,
    )
    x = np.full((1, k, 1, 1), -32768)
    x[0, 0] = -32767
    acc = reference.accumulators(net, net.layers[0], {"x": x})
    assert int(acc[0, 0, 0, 0]) == 32767 * (-32768 * (k - 1) - 32767) + 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 9, 9, 9), np.int64), r"input 'x' must be \(n, "),
        (np.zeros((2, 2), np.int64), r"input 'x' must be \(n, "),
        (None, "must hold integers, not float64; quantise the images first"),
        (128, r"must lie in -128\.\.127, not 128\.\.128"),
        (-129, r"must lie in -128\.\.127, not -129\.\.-129"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: object, message: str) -> None:
    net = random_network(3, 8)
    shape = (1, *net.input.shape)
    if images is None:
        images = np.zeros(shape)
    elif isinstance(images, int):
        images = np.full(shape, images)
    with pytest.raises(InputError, match=message):
        reference.run(net, images)


def test_an_unknown_input_name_is_refused() -> None:
    net = random_network(3, 8)
    with pytest.raises(InputError, match=r"images are given for \['y'\]; the network's inputs are \['x'\]"):
        reference.run(net, {"y": np.zeros((1, *net.input.shape), np.int64)})


def test_no_images_give_empty_tensors() -> None:
    net = random_network(3, 8)
    outs = reference.run(net, np.zeros((0, *net.input.shape), np.int64))
    assert {name: array.shape for name, array in outs.items()} == {t.name: (0, *t.shape) for t in net.tensors}


def test_whoever_watches_sees_every_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accumulators before and after pooling, a few images at a time, whose windows `pool_taps` takes apart."""
    net = small_lenet()
    low, high = net.image_limits
    images = np.random.default_rng(2).integers(low, high, (5, *low.shape), endpoint=True)
    monkeypatch.setattr(reference, "_batch", lambda net, layers: 2)
    seen: list[tuple[str, int, int]] = []

    def watch(layer: GemmLayer, first: int, acc: np.ndarray, best: np.ndarray) -> None:
        seen.append((layer.name, first, len(acc)))
        tensors = {name: tensor[first : first + len(acc)] for name, tensor in plain.items()}
        assert np.array_equal(acc, reference.accumulators(net, layer, tensors))
        if layer.pool:
            assert np.array_equal(best, np.maximum.reduce(list(reference.pool_taps(layer.pool, acc))))
            assert len(list(reference.pool_taps(layer.pool, acc))) == layer.pool.kernel[0] * layer.pool.kernel[1]
        else:
            assert best is acc

    plain = reference.run(net, images)
    watched = reference.run(net, images, watch=watch)
    assert seen == [(layer.name, first, count) for layer in net.layers for first, count in ((0, 2), (2, 2), (4, 1))]
    assert all(np.array_equal(plain[name], watched[name]) for name in plain)
