"""A small `Hardware` for tests of single blocks; every parameter can be replaced."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hwprm.isa import Hardware, InputGeometry

__all__ = ["hardware", "inputs"]

_SMALL = Hardware(
    rows=3,
    cols=2,
    banks=3,
    act_bits=8,
    weight_bits=8,
    acc_bits=24,
    sum_bits=24,
    residual_bits=0,
    multiplier_stages=1,
    pipeline="short",
    pooling=False,
    strides=(1,),
    store_strides=(1,),
    repeats_max=(1, 1),
    memory_words=16,
    coordinate_bits=5,
    shift_min=1,
    shift_max=24,
    entries=16,
    weights=16,
    params=16,
    tiles=4,
    layers=4,
    stores=2,
    pass_length_max=16,
    passes_max=4,
    idle_max=4,
    idle_differs=False,
    pixel_tiles_max=8,
    pixels_max=64,
    filters_max=16,
    inputs=(InputGeometry(shape=(1, 4, 4), pitch=4, words=6, base=0),),
    output_words=10,
    wide_pixels_max=4,
    wide_lanes=1,
    design_hash="",
    external=None,
)


def inputs(banks: int, *parts: tuple[tuple[int, int, int], int], base: int = 0) -> tuple[InputGeometry, ...]:
    """Inputs of the given (shape, pitch), one behind the other from word `base`."""
    placed: list[InputGeometry] = []
    for shape, pitch in parts:
        words = -(-shape[0] * shape[1] * max(pitch, shape[2]) // banks)
        placed.append(InputGeometry(shape=shape, pitch=pitch, words=words, base=base))
        base += words
    return tuple(placed)


def hardware(**changes: Any) -> Hardware:
    """The small one with `changes`; `banks` follows `rows` and `sum_bits` follows `acc_bits` unless given."""
    unknown = changes.keys() - {f.name for f in fields(Hardware)}
    if unknown:
        raise ValueError(f"no such parameters: {sorted(unknown)}")
    if "rows" in changes:
        changes.setdefault("banks", changes["rows"])
    if "acc_bits" in changes:
        changes.setdefault("sum_bits", changes["acc_bits"])
    return replace(_SMALL, **changes)
