"""Column phases: taken where the whole network takes fewer cycles, and nowhere else; what they do to the lists."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.config import ArrayConfig
from hwprm.core.errors import ConfigError
from hwprm.intnet import IntegerNetwork, Pool, Residual, Term
from tests.support.measures import assert_measures
from tests.support.networks import Spec, compiled, lenet, network, weights
from tests.support.phased_networks import depthwise, phased_network


def _inverted(
    size: int, channels: int, *, stride: int = 1, kernel: int = 3, residual: bool = False, **term: object
) -> IntegerNetwork:
    """The block of a MobileNetV2: expand, a depthwise convolution, project; an output of one pixel behind it."""
    rng = np.random.default_rng(0)
    pad = kernel // 2
    middle = depthwise(
        rng, "expand", channels, (kernel, kernel), stride=(stride, stride), padding=(pad, pad, pad, pad), **term
    )
    added = Residual(source="expand", channel=np.arange(channels), mult=np.full(channels, 3)) if residual else None
    layers = (
        Spec(name="expand", terms=(Term(source="image", weight=weights(rng, (channels, 4, 1, 1))),)),
        Spec(name="middle", terms=(middle,), residual=added),
        Spec(name="project", terms=(Term(source="middle", weight=weights(rng, (4, channels, 1, 1))),)),
        Spec(
            name="out", terms=(Term(source="project", weight=weights(rng, (2, 4, 1, 1)), stride=(99, 99)),), wide=True
        ),
    )
    return network((4, size, size), layers)


def _phases(program: Program) -> dict[str, int]:
    return {geo.layer.name: geo.phases for geo in program.geometry}


def _issued(program: Program, name: str) -> int:
    return next(layer.busy for layer in program.cycles.layers if layer.name == name)


@pytest.mark.parametrize(
    ("size", "stride", "rows", "cols", "phases", "columns", "pixel_tiles"),
    [
        (16, 1, 8, 8, 8, 3 * 10, 4),  # 3 (P + 2) columns serve P pixels of a row
        (16, 2, 8, 8, 8, 3 * 16, 1),  # a step of 2; the tap on the left edge lies beside the map for every lane
        (8, 1, 8, 8, 8, 3 * 8, 1),  # whole rows: neither edge is ever inside
        (4, 1, 8, 8, 2, 3 * 4, 1),
        (2, 1, 8, 8, 2, 3 * 2, 1),
        (16, 1, 16, 16, 16, 3 * 16, 1),
        (14, 1, 8, 8, 7, 3 * 9, 4),  # 7 divides 14, 8 does not
    ],
)
def test_depthwise_layers_share_what_they_read(size, stride, rows, cols, phases, columns, pixel_tiles):
    """Channels times columns times pixel tiles, to the cycle; without phases 9 columns a channel."""
    channels = 24
    net = _inverted(size, channels, stride=stride)
    program, plain = compiled(net, rows, cols), compiled(net, rows, cols, phases="off")
    assert _phases(program)["middle"] == phases
    assert set(_phases(plain).values()) == {1}
    assert _issued(program, "middle") == channels * columns * pixel_tiles
    out = -(-size // stride)
    assert _issued(plain, "middle") == channels * 9 * -(-out * out // rows)
    assert program.cycles.total < plain.cycles.total
    assert_measures(program.cycles)


def test_all_channels_share_one_list():
    """Tiles differ by their base, a whole number of words; parameters and weights stay each channel's own."""
    program = compiled(_inverted(8, 24), 4, 4)
    layer = program.geometry[1]
    tiles = [tile for tile in program.tiles if tile.layer == layer.index]
    place = program.memory_map["expand"]
    assert layer.phases == 4
    assert len({tile.list_index for tile in tiles}) == 1
    assert place.channel % program.hardware.banks == 0
    assert [tile.base for tile in tiles] == [c * place.channel // program.hardware.banks for c in range(24)]
    assert program.hardware.params == sum(len(layer.bias) for layer in program.network.layers)


def test_a_residual_of_phases_is_read_at_their_pixels():
    program = compiled(_inverted(8, 6, residual=True), 8, 8)
    assert _phases(program)["middle"] > 1
    assert_measures(program.cycles)


def test_few_filters_fill_the_array():
    """Three filters on eight columns: six with two phases each."""
    rng = np.random.default_rng(0)
    layers = (
        Spec(name="first", terms=(Term(source="image", weight=weights(rng, (3, 1, 5, 5)) | 1),)),
        Spec(name="out", terms=(Term(source="first", weight=weights(rng, (10, 3, 24, 24))),), wide=True),
    )
    net = network((1, 28, 28), layers)
    program, plain = compiled(net, 8, 8), compiled(net, 8, 8, phases="off")
    assert _phases(program) == {"first": 2, "out": 1}
    assert _issued(program, "first") == 5 * 6 * 36 < _issued(plain, "first") == 25 * 72


@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (8, 8), (8, 16), (16, 16)])
def test_plain_convolutions_stay_as_they_are(rows, cols):
    """Filters that fill the array: not a cycle, not a byte of a ROM, and the same hardware."""
    net = lenet((16, 32, 48, 10))
    auto, plain = compiled(net, rows, cols), compiled(net, rows, cols, phases="off")
    assert set(_phases(auto).values()) == {1}
    assert auto.design_hash == plain.design_hash
    assert auto.cycles == plain.cycles


def test_no_network_takes_longer_and_measures_stay_true():
    fewer = 0
    for seed in range(60):
        net, rng = phased_network(seed), np.random.default_rng(seed)
        rows, cols = (int(v) for v in rng.integers(1, 10, 2))
        weights_at, pipeline = ("rom", "axi")[seed % 2], ("short", "fast")[seed // 2 % 2]
        program = compiled(net, rows, cols, weights=weights_at, pipeline=pipeline)
        plain = compiled(net, rows, cols, weights=weights_at, pipeline=pipeline, phases="off")
        assert_measures(program.cycles)
        assert program.cycles.total <= plain.cycles.total
        assert program.hardware.phased == (program.cycles.total < plain.cycles.total)
        fewer += program.hardware.phased
        for geo in program.geometry:
            assert geo.width * geo.phases == program.network.tensor[geo.layer.name].shape[2]
            assert np.gcd(geo.step_x * geo.phases, program.hardware.banks) == 1 or geo.pixels == 1
    assert fewer > 40


def test_layers_that_cannot_have_phases_have_none():
    """Padded pools, whose guards stand in single lanes, and output words."""
    rng = np.random.default_rng(0)
    pool = Pool(kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1))
    layers = (
        Spec(name="expand", terms=(Term(source="image", weight=weights(rng, (6, 1, 1, 1))),)),
        Spec(name="pooled", terms=(depthwise(rng, "expand", 6, (3, 3)),), pool=pool),
        Spec(name="out", terms=(depthwise(rng, "pooled", 6, (3, 3)),), wide=True),
    )
    program = compiled(network((1, 10, 10), layers), 4, 4, order_filters=False)
    assert all(geo.phases == 1 for geo in program.geometry if geo.guarded or geo.layer.wide)


def test_the_option_takes_three_words():
    with pytest.raises(ConfigError, match="array.phases must be one of auto, split, off, not 'on'"):
        ArrayConfig(phases="on")  # type: ignore[arg-type]  # wrong on purpose
