"""The memory map, by enumeration: no two lanes ever meet in a bank, no two live tensors in a word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.compiler.layout.geometry import LayerGeometry, layer_geometry
from hwprm.compiler.layout.memory import MemoryMap, map_memory
from hwprm.core.errors import UnsupportedError
from hwprm.intnet import IntegerNetwork, Residual, Term
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, lenet, network, weights
from tests.support.phased_networks import phased_network
from tests.support.random_networks import random_inputs, random_products
from tests.unit.compiler.cases import random_programs, residual_programs


def _addresses(memory_map: MemoryMap, net: IntegerNetwork, name: str, buffer: int = 0) -> np.ndarray:
    """Linear address of every element ``(C, H, W)``."""
    place, shape = memory_map[name], net.tensor[name].shape
    c, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    buffer_words = sum(memory_map[each].words for each in net.inputs)
    return (place.base + buffer * buffer_words) * memory_map.banks + c * place.channel + y * place.pitch + x


def _assert_no_conflict(net: IntegerNetwork, geo: LayerGeometry, memory_map: MemoryMap, rows: int) -> int:
    """Every tap of every pixel tile, lanes that read the map only. Returns how many reads were looked at."""
    pixel = np.arange(geo.pixels)
    y, x = pixel // geo.width, pixel % geo.width
    pool = geo.layer.pool
    stride = pool.stride if pool else (1, 1)
    seen = 0
    added = geo.layer.residual
    taps = [Term(source=added.source, weight=np.zeros((1, 1, 1, geo.phases)))] if added else []
    for term in (*geo.layer.terms, *taps):
        address = _addresses(memory_map, net, term.source)
        _, height, width = address.shape
        for window_y, window_x in geo.windows:
            for ky in range(term.weight.shape[2]):
                for kx in range(term.weight.shape[3]):
                    row = (y * stride[0] + window_y) * term.stride[0] + ky * term.dilation[0] - term.padding[0]
                    col = (
                        (x * geo.phases * stride[1] + window_x) * term.stride[1]
                        + kx * term.dilation[1]
                        - term.padding[2]
                    )
                    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
                    for channel in {0, len(address) - 1}:
                        banks = (
                            address[channel, np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)] % memory_map.banks
                        )
                        for start in range(0, geo.pixels, rows):
                            read = banks[start : start + rows][inside[start : start + rows]]
                            assert len(set(read.tolist())) == len(read), (geo.layer.name, start, ky, kx)
                            seen += len(read)
    return seen


def _assert_no_overlap(net: IntegerNetwork, memory_map: MemoryMap) -> None:
    """At every layer: the elements of all tensors alive, both input buffers among them, lie in different places."""
    stored = [tensor.name for tensor in net.tensors if tensor.name not in net.outputs]
    birth = dict.fromkeys(net.inputs, -1) | {layer.name: i for i, layer in enumerate(net.layers)}
    readers = {name: [i for i, la in enumerate(net.layers) if name in la.sources] for name in stored}
    for i in range(len(net.layers)):
        alive = [n for n in stored if n not in net.inputs and birth[n] <= i <= max(readers[n])]
        places = [_addresses(memory_map, net, name).reshape(-1) for name in alive]
        places += [_addresses(memory_map, net, name, buffer).reshape(-1) for name in net.inputs for buffer in (0, 1)]
        taken = np.concatenate(places)
        assert len(np.unique(taken)) == len(taken), f"layer {i}"
        assert taken.min() >= 0 and taken.max() < memory_map.words * memory_map.banks


def _assert_sound(program: Program) -> None:
    reads = [
        _assert_no_conflict(program.network, geo, program.memory_map, program.hardware.rows) for geo in program.geometry
    ]
    assert sum(reads) > 0
    _assert_no_overlap(program.network, program.memory_map)


def test_random_networks():
    for program in random_programs(range(300, 360), largest=8):
        _assert_sound(program)


def test_random_networks_of_several_inputs():
    for program in random_programs(range(500, 540), make=random_inputs, largest=7):
        _assert_sound(program)


def test_random_networks_with_phases():
    for seed in range(40):
        _assert_sound(compiled(phased_network(seed), *(int(v) for v in np.random.default_rng(seed).integers(2, 10, 2))))


def test_random_residuals():
    for program in residual_programs(range(300, 340)):
        _assert_sound(program)


def test_random_products():
    for program in random_programs(range(300, 340), make=random_products, largest=7):
        _assert_sound(program)


def test_a_residual_of_a_single_row_asks_for_no_pitch():
    """A linear layer on a 5 x 5 map that other layers read too adds a vector, which another layer pads to 3 x 3."""
    rng = np.random.default_rng(0)

    def spec(name, source, *shape, **fields):
        return Spec(
            name=name, terms=(Term(source=source, weight=weights(rng, shape), **fields.pop("term", {})),), **fields
        )

    residual = Residual(source="v", channel=np.arange(2), mult=np.array([5, 6]))
    layers = (
        spec("a", "image", 2, 1, 1, 1),
        spec("v", "a", 2, 2, 5, 5),
        spec("sum", "a", 2, 2, 5, 5, residual=residual),
        spec("b", "v", 2, 2, 1, 1, term={"padding": (1, 1, 1, 1)}, wide=True),
        spec("c", "a", 2, 2, 1, 1, wide=True),
        spec("d", "sum", 2, 2, 1, 1, wide=True),
    )
    _assert_sound(compiled(network((1, 5, 5), layers), 5, 2))


@pytest.mark.parametrize("rows", range(1, 18))
def test_lenet_on_any_number_of_rows(rows):
    net = lenet((5, 6, 20, 10))
    geometry = tuple(layer_geometry(net, i) for i in range(len(net.layers)))
    memory_map = map_memory(net, geometry, rows)
    assert rows <= memory_map.banks
    assert sum(_assert_no_conflict(net, geo, memory_map, rows) for geo in geometry) > 0
    _assert_no_overlap(net, memory_map)


@pytest.mark.parametrize("rows", range(1, 10))
@pytest.mark.parametrize("name", SEVERAL_INPUTS)
def test_several_inputs(name, rows):
    program = compiled(SEVERAL_INPUTS[name](), rows, 3)
    _assert_sound(program)
    ends = [place.base + place.words for place in program.memory_map.placements[: len(program.network.inputs)]]
    assert [program.memory_map[each].base for each in program.network.inputs] == [0, *ends[:-1]], (
        "not one behind the other"
    )
    assert program.hardware.input_words == ends[-1]


def test_inputs_of_one_layer_share_their_pitch():
    memory_map = compiled(SEVERAL_INPUTS["sum"](), 4, 3).memory_map
    assert memory_map["a"].pitch == memory_map["b"].pitch
    sizes = compiled(SEVERAL_INPUTS["two-sizes"](), 5, 3).memory_map
    assert (sizes["big"].pitch, sizes["small"].pitch) == (15, 5)


def test_a_wrong_pitch_is_seen():
    """The proof above must be able to fail."""
    net = lenet((2, 2, 3, 2), image=12, kernel=3)
    geometry = tuple(layer_geometry(net, i) for i in range(len(net.layers)))
    memory_map = map_memory(net, geometry, 4)
    places = tuple(
        replace(p, pitch=p.pitch + 2, channel=p.height * (p.pitch + 2)) if p.name == "image" else p
        for p in memory_map.placements
    )
    with pytest.raises(AssertionError, match="^\\('conv1'"):
        _assert_no_conflict(net, geometry[0], replace(memory_map, placements=places), 4)
    squeezed = tuple(replace(p, base=0) for p in memory_map.placements)
    with pytest.raises(AssertionError, match="^layer 0"):
        _assert_no_overlap(net, replace(memory_map, placements=squeezed))


def test_dead_tensors_make_room():
    rng = np.random.default_rng(0)
    chain = [
        Spec(name=f"l{i}", terms=(Term(source=f"l{i - 1}" if i else "image", weight=weights(rng, (4, 4, 1, 1))),))
        for i in range(6)
    ]
    last = Spec(name="out", terms=(Term(source="l5", weight=weights(rng, (2, 4, 1, 1))),), wide=True)
    memory_map = compiled(network((4, 5, 5), (*chain, last)), 4, 4).memory_map
    sizes = [place.words for place in memory_map.placements]
    assert memory_map.words == 2 * sizes[0] + 2 * max(sizes[1:])


def test_rows_that_no_pitch_serves_together():
    rng = np.random.default_rng(0)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weights(rng, (2, 1, 1, 1))),)),
        Spec(name="b", terms=(Term(source="a", weight=weights(rng, (2, 2, 2, 2))),), wide=True),
        Spec(name="c", terms=(Term(source="a", weight=weights(rng, (2, 2, 2, 1))),), wide=True),
    )
    net = network((1, 5, 5), layers)
    assert compiled(net, 1, 2).memory_map.banks == 1
    with pytest.raises(
        UnsupportedError,
        match=r"^tensor 'a' is read by layers whose row lengths no common layout serves; "
        r"copy it through an identity layer for one of them$",
    ):
        compiled(net, 5, 2)


def test_sources_of_one_layer_share_their_pitch():
    rng = np.random.default_rng(0)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weights(rng, (2, 1, 3, 3))),)),
        Spec(name="b", terms=(Term(source="a", weight=weights(rng, (2, 2, 3, 3)), padding=(1, 1, 1, 1)),)),
        Spec(
            name="sum",
            terms=(
                Term(source="a", weight=weights(rng, (2, 2, 1, 1))),
                Term(source="b", weight=weights(rng, (2, 2, 1, 1))),
            ),
        ),
        Spec(name="out", terms=(Term(source="sum", weight=weights(rng, (2, 2, 5, 4))),), wide=True),
    )
    program = compiled(network((1, 7, 6), layers), 5, 2)
    assert program.memory_map["a"].pitch == program.memory_map["b"].pitch
    _assert_sound(program)
