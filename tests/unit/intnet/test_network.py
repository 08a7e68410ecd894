"""The rules an integer network keeps, its limits, and its files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprm.core.errors import ModelError
from hwprm.intnet import Gate, GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term


def network() -> IntegerNetwork:
    """x (2, 6, 5) -> a: 3x3 conv to 4 channels, pooled -> b: a 1x1 conv on a plus a strided conv on x."""
    rng = np.random.default_rng(0)

    def layer(name: str, terms: tuple[Term, ...], m: int, **fields: object) -> GemmLayer:
        return GemmLayer(
            name=name,
            terms=terms,
            bias=rng.integers(-99, 100, m),
            mult=np.full(m, 40000),
            shift=np.full(m, 20),
            **fields,
        )

    first = Term(source="x", weight=rng.integers(-127, 128, (4, 1, 3, 3)), padding=(1, 1, 1, 1), groups=2)
    second = Term(source="a", weight=rng.integers(-127, 128, (3, 4, 1, 1)))
    third = Term(source="x", weight=rng.integers(-127, 128, (3, 2, 2, 1)), stride=(2, 2), dilation=(1, 1))
    return IntegerNetwork(
        name="net",
        tensors=(
            Tensor(name="x", shape=(2, 6, 5), bits=8, scale=1 / 127),
            Tensor(name="a", shape=(4, 3, 3), bits=8, scale=0.5),
            Tensor(name="b", shape=(3, 3, 3), bits=32, scale=0.25),
        ),
        layers=(
            layer("a", (first,), 4, clamp=(0, 127), pool=Pool(kernel=(2, 2), stride=(2, 2), ceil_mode=True)),
            layer("b", (second, third), 3, clamp=(-(2**31), 2**31 - 1), wide=True),
        ),
        inputs=("x",),
        outputs=("b",),
        weight_bits=8,
        act_bits=8,
    )


def changed(index: int, **fields: object) -> IntegerNetwork:
    net = network()
    layers = list(net.layers)
    layers[index] = replace(layers[index], **fields)
    return replace(net, layers=tuple(layers))


def changed_sign(name: str, **fields: object) -> IntegerNetwork:
    """The network with an unsigned tensor `name`, and `fields` of the layer that makes it."""
    net = network()
    tensors = tuple(replace(tensor, signed=tensor.name != name) for tensor in net.tensors)
    layers = tuple(replace(layer, **fields) if layer.name == name else layer for layer in net.layers)
    return replace(net, tensors=tensors, layers=layers)


def changed_term(index: int, **fields: object) -> IntegerNetwork:
    term = network().layers[index].terms[0]
    return changed(index, terms=(replace(term, **fields), *network().layers[index].terms[1:]))


def residual(**fields: object) -> Residual:
    """What layer b adds: channels of a."""
    return Residual(**{"source": "a", "channel": np.array([3, 0, 1]), "mult": np.array([1000, 0, 70000])} | fields)


def gated(channel: list[int] | None = None, source: str = "a", mult: int = 1) -> Residual:
    """A product of channels of a."""
    gate = Gate(source=source, channel=np.array(channel or [0, 2, 1]))
    return residual(mult=np.full(3, mult), gate=gate)


BROKEN = {
    "weight_bits": (lambda: replace(network(), weight_bits=1), r"weight_bits must be in 2\.\.16, not 1"),
    "act_bits": (lambda: replace(network(), act_bits=17), r"act_bits must be in 2\.\.16, not 17"),
    "names": (
        lambda: replace(network(), tensors=(*network().tensors, network().tensors[0])),
        "two tensors share a name",
    ),
    "no filters": (lambda: changed(0, bias=np.zeros(0, np.int64)), "'a' has no filters left; prune it less"),
    "no terms": (lambda: changed(0, terms=()), "'a' has no filters left"),
    "later layer": (lambda: replace(network(), layers=network().layers[::-1]), "'b' reads 'a', which no earlier layer"),
    "unknown output": (lambda: replace(network(), outputs=("b", "c")), "output 'c' is no layer of the network"),
    "input as output": (lambda: replace(network(), outputs=("b", "x")), "output 'x' is no layer"),
    "channels": (lambda: changed_term(0, groups=1), r"weight \(4, 1, 3, 3\) in 1 groups does not fit 2 channels"),
    "filters": (lambda: changed(0, bias=np.zeros(5, np.int64)), "in 2 groups does not fit 2 channels and 5 filters"),
    "weight range": (
        lambda: changed_term(1, weight=np.full((3, 4, 1, 1), 128)),
        "layer 'b': a weight does not fit 8 bits",
    ),
    "term sizes": (lambda: changed_term(1, padding=(1, 1, 1, 1)), r"maps of different sizes \[\(3, 3\), \(5, 5\)\]"),
    "tensor shape": (
        lambda: changed(0, pool=None),
        r"'a' makes \(4, 6, 5\), its tensor says \(4, 3, 3\)",
    ),
    "pool of padding": (
        lambda: changed(0, pool=Pool(kernel=(2, 2), stride=(2, 2), padding=(2, 0, 0, 0))),
        "layer 'a': a pooling window lies wholly in the padding; use less padding",
    ),
    "mult length": (lambda: changed(0, mult=np.ones(3, np.int64)), "must have one entry per filter"),
    "negative mult": (lambda: changed(0, mult=np.full(4, -1)), r"a multiplier is outside 0\.\.65535"),
    "large mult": (lambda: changed(0, mult=np.full(4, 1 << 16)), r"a multiplier is outside 0\.\.65535"),
    "no shift": (lambda: changed(0, shift=np.zeros(4, np.int64)), r"a shift is outside 1\.\.47"),
    "large shift": (lambda: changed(0, shift=np.full(4, 48)), r"a shift is outside 1\.\.47"),
    "wide inside": (lambda: changed(0, wide=True), "`wide` belongs to network outputs"),
    "narrow output": (lambda: changed(1, wide=False), "`wide` belongs to network outputs"),
    "clamp too large": (lambda: changed(0, clamp=(0, 128)), r"clamp \(0, 128\) must lie in -128\.\.127"),
    "clamp of an unsigned tensor": (
        lambda: changed_sign("a", clamp=(-1, 255)),
        r"clamp \(-1, 255\) must lie in 0\.\.255",
    ),
    "unsigned clamp too large": (lambda: changed_sign("a", clamp=(0, 256)), r"clamp \(0, 256\) must lie in 0\.\.255"),
    "unsigned output": (lambda: changed_sign("b"), "words of a network output are signed, its tensor is not"),
    "clamp upside down": (lambda: changed(0, clamp=(5, 4)), r"clamp \(5, 4\) must lie in"),
    "accumulator": (
        lambda: changed(0, bias=np.full(4, 1 << 45)),
        "layer 'a' needs a 47-bit accumulator, 46 is the most; use fewer weight or activation bits",
    ),
    "residual length": (
        lambda: changed(1, residual=residual(mult=np.ones(2, np.int64))),
        "layer 'b': the residual's channel and mult must have one entry per filter",
    ),
    "residual channel": (
        lambda: changed(1, residual=residual(channel=np.array([0, 1, 4]))),
        r"layer 'b': a residual channel is outside 0\.\.3",
    ),
    "residual mult": (
        lambda: changed(1, residual=residual(mult=np.array([0, 1, 1 << 24]))),
        r"layer 'b': a residual multiplier is outside 0\.\.16777215",
    ),
    "residual size": (
        lambda: changed(1, residual=residual(source="x", channel=np.zeros(3, np.int64))),
        r"layer 'b' makes a map \(3, 3\), the residual 'x' is \(6, 5\)",
    ),
    "gate length": (
        lambda: changed(1, residual=gated([0])),
        "layer 'b': the gate's channel must have one entry per filter",
    ),
    "gate channel": (lambda: changed(1, residual=gated([0, 1, 4])), r"layer 'b': a gate's channel is outside 0\.\.3"),
    "gate size": (
        lambda: changed(1, residual=gated([0, 0, 0], "x")),
        r"layer 'b' makes a map \(3, 3\), the gate 'x' is \(6, 5\); it may be as large, or one pixel",
    ),
    "gate and multiplier": (lambda: changed(1, residual=gated(mult=2)), "of a residual with a gate is neither 0 nor 1"),
    "residual and pool": (
        lambda: changed(1, residual=residual(), pool=Pool(kernel=(1, 1), stride=(1, 1))),
        "layer 'b': a layer that pools adds no residual; make the sum a layer of its own",
    ),
    "residual of a later layer": (
        lambda: changed(1, residual=residual(source="b")),
        "layer 'b' reads 'b', which no earlier layer makes",
    ),
    "sum": (
        lambda: changed(1, residual=residual(), bias=np.full(3, 1 << 45)),
        "layer 'b' needs a 47-bit accumulator, 46 is the most",
    ),
    "reading an output": (
        lambda: replace(
            network(), layers=(replace(network().layers[0], wide=True), network().layers[1]), outputs=("a", "b")
        ),
        "layer 'b' reads the network output 'a', whose words are too wide",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_networks_are_refused(name: str) -> None:
    make, message = BROKEN[name]
    with pytest.raises(ModelError, match=message):
        make()


def test_several_inputs_have_no_single_one() -> None:
    net = network()
    two = replace(net, inputs=("x", "y"), tensors=(*net.tensors, Tensor(name="y", shape=(1, 1, 1), bits=8, scale=1.0)))
    with pytest.raises(ModelError, match="the network has 2 inputs, one is needed here"):
        _ = two.input


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), r"the network's inputs are \[\]; it needs at least one"),
        (("x", "x"), r"inputs are \['x', 'x'\]; it needs at least one, each named once"),
        (("x", "z"), "input 'z' is no tensor of the network"),
    ],
    ids=["none", "twice", "unknown"],
)
def test_inputs_that_are_none(inputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(network(), inputs=inputs)


def test_limits() -> None:
    net = network()
    assert [net.limits(name) for name in "xab"] == [(-128, 127), (0, 127), (-(2**31), 2**31 - 1)]
    assert net.input.name == "x"
    assert net.conv_size(net.layers[0]) == (6, 5)


def test_accumulator_limits_cover_every_input_and_are_reached_by_one_term() -> None:
    net = network()
    layer = net.layers[0]
    weight, bias = layer.terms[0].weight.reshape(4, -1), layer.bias
    highs = [sum(w * (127 if w > 0 else -128) for w in row) + max(b, 0) for row, b in zip(weight, bias, strict=True)]
    lows = [sum(w * (-128 if w > 0 else 127) for w in row) + min(b, 0) for row, b in zip(weight, bias, strict=True)]
    assert net.accumulator_limits(layer) == (min(lows), max(highs))


def test_accumulator_limits_add_over_terms() -> None:
    net = network()
    both = net.accumulator_limits(net.layers[1])
    parts = [
        changed(1, terms=(term,), bias=bias).accumulator_limits(replace(net.layers[1], terms=(term,), bias=bias))
        for term, bias in zip(net.layers[1].terms, (net.layers[1].bias, np.zeros(3, np.int64)), strict=True)
    ]
    assert both == (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1])


def test_a_residual_counts_with_the_bias_behind_the_accumulator() -> None:
    plain, layer = network(), changed(1, residual=residual()).layers[1]
    assert layer.sources == ("a", "x") and plain.layers[1].sources == ("a", "x")
    assert plain.sum_limits(plain.layers[1]) == plain.accumulator_limits(plain.layers[1])
    without_bias = replace(plain.layers[1], bias=np.zeros(3, np.int64))
    assert plain.accumulator_limits(layer) == plain.accumulator_limits(without_bias)
    low, high = plain.accumulator_limits(plain.layers[1])
    assert plain.sum_limits(layer) == (low, high + 70000 * 127)  # a is 0..127


def test_a_product_is_bounded_by_its_factors() -> None:
    plain, layer = network(), changed(1, residual=gated()).layers[1]
    low, high = plain.accumulator_limits(plain.layers[1])
    assert plain.sum_limits(layer) == (low, high + 127 * 127)  # a is 0..127


@pytest.mark.parametrize("added", [None, residual(), gated()], ids=["plain", "residual", "product"])
def test_round_trip_and_same_bytes(tmp_path: Path, added: Residual | None) -> None:
    net = changed(1, residual=added)
    net.save(tmp_path / "a")
    version = 5 if added and added.gate else 3
    assert f'"format": "hwprm-intnet-{version}"' in (tmp_path / "a" / "network.json").read_text()
    loaded = IntegerNetwork.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    for name in ("network.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (loaded.tensors, loaded.inputs, loaded.outputs, loaded.name) == (
        net.tensors,
        net.inputs,
        net.outputs,
        net.name,
    )
    for old, new in zip(net.layers, loaded.layers, strict=True):
        assert (old.name, old.clamp, old.pool, old.wide) == (new.name, new.clamp, new.pool, new.wide)
        assert (old.residual is None) == (new.residual is None)
        if old.residual and new.residual:
            assert old.residual.source == new.residual.source
            np.testing.assert_array_equal(old.residual.channel, new.residual.channel)
            np.testing.assert_array_equal(old.residual.mult, new.residual.mult)
            assert (old.residual.gate is None) == (new.residual.gate is None)
            if old.residual.gate and new.residual.gate:
                assert old.residual.gate.source == new.residual.gate.source
                np.testing.assert_array_equal(old.residual.gate.channel, new.residual.gate.channel)
        for a, b in zip(old.terms, new.terms, strict=True):
            assert (a.source, a.stride, a.padding, a.dilation, a.groups) == (
                b.source,
                b.stride,
                b.padding,
                b.dilation,
                b.groups,
            )
            np.testing.assert_array_equal(a.weight, b.weight)
            assert b.weight.dtype == np.int64


def test_the_record_of_the_crosscheck_is_optional(tmp_path: Path) -> None:
    net = replace(network(), crosschecked=4)
    net.save(tmp_path / "new")
    assert IntegerNetwork.load(tmp_path / "new").crosschecked == 4
    network().save(tmp_path / "old")
    plan = json.loads((tmp_path / "old" / "network.json").read_text())
    assert "crosschecked" not in plan
    assert IntegerNetwork.load(tmp_path / "old").crosschecked == 0
    assert json.loads((tmp_path / "new" / "network.json").read_text()) == plan | {"crosschecked": 4}


def test_an_unsigned_tensor_reaches_twice_as_far(tmp_path: Path) -> None:
    net = changed_sign("a", clamp=(0, 255))
    assert (net.limits("a"), net.tensor["a"].limits, net.tensor["x"].limits) == ((0, 255), (0, 255), (-128, 127))
    assert net.accumulator_limits(net.layers[1])[1] > network().accumulator_limits(network().layers[1])[1]
    low, high = replace(net, tensors=(replace(net.tensors[0], signed=False), *net.tensors[1:])).image_limits
    assert (low.shape, low.max(), high.min()) == ((2, 6, 5), 0, 255)
    net.save(tmp_path)
    assert IntegerNetwork.load(tmp_path).tensors == net.tensors


def test_networks_of_the_version_before_have_signed_tensors(tmp_path: Path) -> None:
    network().save(tmp_path)
    plan = json.loads((tmp_path / "network.json").read_text())
    assert plan["format"] == "hwprm-intnet-3" and all(tensor.pop("signed") for tensor in plan["tensors"])
    (tmp_path / "network.json").write_text(json.dumps(plan | {"format": "hwprm-intnet-2"}))
    assert IntegerNetwork.load(tmp_path).tensors == network().tensors


def test_unreadable_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no readable integer network .*; quantise again"):
        IntegerNetwork.load(tmp_path)
    network().save(tmp_path)
    plan = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps(plan | {"format": "other"}))
    with pytest.raises(
        ModelError, match="format 'other', this version reads 'hwprm-intnet-3' and .*'hwprm-intnet-2'; quantise again"
    ):
        IntegerNetwork.load(tmp_path)
    (tmp_path / "network.json").write_text(json.dumps(plan)[:99])
    with pytest.raises(ModelError, match="holds no readable integer network"):
        IntegerNetwork.load(tmp_path)
    plan["tensors"][0]["shape"] = []
    (tmp_path / "network.json").write_text(json.dumps(plan))
    with pytest.raises(ModelError, match="holds no readable integer network"):
        IntegerNetwork.load(tmp_path)
    network().save(tmp_path)
    data = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(data[:-4])
    with pytest.raises(ModelError, match="holds no readable integer network"):
        IntegerNetwork.load(tmp_path)
