"""From network, memory map and schedule to `Hardware`: every parameter the gateware needs, none of them guessed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.memory import MemoryMap, Placement
from hwprm.compiler.layout.rows import stored_rows
from hwprm.compiler.layout.schedule import Schedule
from hwprm.config import ArrayConfig
from hwprm.core.errors import ConfigError
from hwprm.core.numerics import ACC_BITS_MAX, signed_width
from hwprm.intnet import IntegerNetwork, Tensor
from hwprm.isa import Hardware, InputGeometry

__all__ = ["accumulator_bits", "hardware_for", "sum_bits", "tables_of"]


def accumulator_bits(net: IntegerNetwork) -> dict[str, int]:
    """Bits that each layer's accumulator needs, proven from its weights (any order of summation)."""
    return {layer.name: signed_width(*net.accumulator_limits(layer)) for layer in net.layers}


def sum_bits(net: IntegerNetwork) -> dict[str, int]:
    """Bits that each layer's accumulator needs with bias and residual."""
    return {layer.name: signed_width(*net.sum_limits(layer)) for layer in net.layers}


def hardware_for(
    net: IntegerNetwork,
    array: ArrayConfig,
    geometry: Sequence[LayerGeometry],
    memory_map: MemoryMap,
    schedule: Schedule,
) -> Hardware:
    """All parameters but the design hash, which is empty; ConfigError when an accumulator asked for is too narrow."""
    stored, wide = ([geo for geo in geometry if geo.layer.wide == out] for out in (False, True))
    shifts = np.concatenate([layer.shift for layer in net.layers])
    acc_bits, kinds, posts = _accumulator(net, array), _kinds(net), tables_of(net)
    wide_pixels, strided = max([geo.pixels for geo in wide], default=1), [geo for geo in geometry if geo.all_pixels > 1]
    return Hardware(
        rows=array.rows,
        cols=array.cols,
        banks=memory_map.banks,
        act_bits=net.act_bits,
        weight_bits=net.weight_bits,
        acc_bits=acc_bits,
        sum_bits=max(acc_bits, *sum_bits(net).values()),
        residual_bits=max(int(layer.residual.mult.max()).bit_length() if layer.residual else 0 for layer in net.layers),
        multiplier_stages=array.multiplier_stages,
        pipeline=array.pipeline,
        pooling=any(geo.layer.pool is not None for geo in geometry),
        strides=tuple(sorted({geo.step_x % memory_map.banks for geo in strided} or {1 % memory_map.banks})),
        store_strides=tuple(sorted({geo.store_step for geo in strided if not geo.layer.wide} or {1})),
        repeats_max=(max(geo.repeats[0] for geo in geometry), max(geo.repeats[1] for geo in geometry)),
        memory_words=memory_map.words,
        coordinate_bits=max(_largest_coordinate(geo, array.rows) for geo in geometry).bit_length(),
        shift_min=int(shifts.min()),
        shift_max=int(shifts.max()),
        entries=sum((len(cols) + geometry[i].guarded) * len(geometry[i].windows) for i, cols in schedule.lists),
        weights=sum(len(words) for words in schedule.weights),
        params=sum(geo.filters // geo.phases for geo in geometry),
        tiles=len(schedule.tiles),
        layers=len(geometry),
        stores=max(1, len(stored)),
        pass_length_max=max(tile.length for tile in schedule.tiles),
        passes_max=max(tile.passes for tile in schedule.tiles),
        idle_max=max(max(tile.idle, tile.idle_last) for tile in schedule.tiles),
        idle_differs=any(tile.idle != tile.idle_last for tile in schedule.tiles),
        pixel_tiles_max=max(tile.pixel_tiles for tile in schedule.tiles),
        pixels_max=max([geo.all_pixels for geo in stored], default=1),
        filters_max=max([geo.filters for geo in stored], default=1),
        inputs=tuple(_input(net.tensor[name], memory_map[name], array.batch) for name in net.inputs),
        output_words=sum(geo.pixels * geo.filters for geo in wide),
        wide_pixels_max=wide_pixels,
        wide_lanes=min(array.rows, array.batch * wide_pixels),
        design_hash="",
        external=None,
        signed=True in kinds,
        unsigned=False in kinds,
        phases_max=max(geo.phases for geo in geometry),
        batch=array.batch,
        apart=any(geo.apart for geo in geometry),
        posts=len(posts),
        gates=any(layer.residual is not None and layer.residual.gate is not None for layer in net.layers),
        common=any(net.spread(layer) for layer in net.layers),
        image_gaps=any(stored_rows(geo, memory_map[geo.layer.name]).extra for geo in stored),
    )


def tables_of(net: IntegerNetwork) -> tuple[NDArray[np.int64], ...]:
    """The different tables of the layers, as the bits of their words, in the order of the layers."""
    bits = (1 << net.act_bits) - 1
    found = {(words := layer.table & bits).tobytes(): words for layer in net.layers if layer.table is not None}
    return tuple(found.values())


def _kinds(net: IntegerNetwork) -> set[bool]:
    """Whether tensors that are read, or lie in the memory, are signed; and codes, whose clamp is that of the others."""
    kinds = {net.tensor[name].signed for layer in net.layers for name in layer.sources}
    kinds |= {layer.clamp[0] < 0 for layer in net.layers if layer.table is not None}
    return kinds | {net.tensor[layer.name].signed for layer in net.layers if not layer.wide}


def _input(tensor: Tensor, place: Placement, batch: int) -> InputGeometry:
    return InputGeometry(
        shape=tensor.shape,
        pitch=place.pitch,
        words=place.words,
        base=place.base,
        signed=tensor.signed,
        image=place.image if batch > 1 else 0,
    )


def _largest_coordinate(geo: LayerGeometry, rows: int) -> int:
    """Largest row or column that a lane counts to, lanes past the last pixel included, and the tile's step in rows."""
    if geo.images > 1:  # rows and columns begin again with every image
        return max(geo.width, geo.height)
    advance = rows // geo.width if geo.pixels > 1 else 0
    return max(geo.width, geo.height, (geo.pixel_tiles(rows) * rows - 1) // geo.width, advance)


def _accumulator(net: IntegerNetwork, array: ArrayConfig) -> int:
    needed = accumulator_bits(net)
    name = max(needed, key=lambda layer: needed[layer])
    bits = needed[name]
    if bits > ACC_BITS_MAX:
        raise ConfigError(
            f"layer {name!r} needs an accumulator of {bits} bits, at most {ACC_BITS_MAX} are possible; "
            f"lower weight_bits or act_bits"
        )
    if array.acc_bits is not None and array.acc_bits < bits:
        raise ConfigError(
            f"array.acc_bits = {array.acc_bits} is too narrow: layer {name!r} can reach {bits} bits; "
            f"set it to {bits} or leave it out"
        )
    return array.acc_bits or max(bits, 4)
