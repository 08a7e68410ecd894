"""Column lists: which im2col columns a filter tile uses, where they lie, and the weights beside them.

A residual is entries of its list too, with weights of zero: an activation leaves the array at the east end `cols`
cycles after it entered, and filter f of a tile is drained f cycles after filter 0, so that the entry `cols - f` places
before the list's end meets the sum of filter f on its way out (docs/hardware.md). What a residual is multiplied with,
its gate, stands `cols` places before it, so that it leaves as many cycles earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.memory import MemoryMap
from hwprm.intnet import GemmLayer, IntegerNetwork, Term
from hwprm.isa import Hardware

__all__ = ["Columns", "entry_columns", "tile_columns", "with_residual"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """The columns one filter tile uses. All arrays ``(K,)`` but weight ``(K, filters)``.

    `term` is the index of the layer's term; one past the last stands for the residual, two past for its gate.
    """

    term: IntArray
    channel: IntArray
    ky: IntArray
    kx: IntArray
    weight: IntArray

    @cached_property
    def key(self) -> bytes:
        """Equal for tiles that can share a list, their bases apart."""
        return b"".join(part.tobytes() for part in (self.term, self.channel, self.ky, self.kx))

    def chosen(self, index: IntArray) -> Columns:
        """The columns numbered `index`, in that order."""
        return Columns(
            term=self.term[index],
            channel=self.channel[index],
            ky=self.ky[index],
            kx=self.kx[index],
            weight=self.weight[index],
        )

    def counted_from(self, channel: int) -> Columns:
        """The same with that channel as number 0; those before it become negative."""
        return replace(self, channel=self.channel - channel) if channel else self

    def __len__(self) -> int:
        return len(self.term)


def tile_columns(geo: LayerGeometry, first: int, last: int) -> Columns:
    """Columns with a weight that is not zero in filters first..last-1; at least one, so that the tile runs."""
    parts = [_term_columns(i, term, geo.filters, first, last) for i, term in enumerate(geo.layer.terms)]
    if not any(len(part) for part in parts):
        return _idle_column(last - first)
    return _joined(parts)


def _joined(parts: Sequence[Columns]) -> Columns:
    return Columns(
        term=np.concatenate([part.term for part in parts]),
        channel=np.concatenate([part.channel for part in parts]),
        ky=np.concatenate([part.ky for part in parts]),
        kx=np.concatenate([part.kx for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
    )


def with_residual(columns: Columns, geo: LayerGeometry, first: int, last: int, cols: int) -> Columns:
    """`columns` of filters first..last-1 of a layer with the entries of its residual, if it has one, among them.

    The entry of filter f stands `cols - f` places before the end, that of its gate `cols` places further; the list
    grows where it is too short for that. What stands further from the end than that are the first of `columns`, which
    other tiles may share.
    """
    residual = geo.layer.residual
    if residual is None or not residual.mult[first:last].any():
        return columns
    added = np.flatnonzero(residual.mult[first:last]).astype(np.int64)
    used = columns if columns.weight.any() else columns.chosen(np.zeros(0, dtype=np.int64))
    tail = cols * (2 if residual.gate else 1)
    parts = [
        _added(geo, first + added, last - first, gate=gate) for gate in ((True, False) if residual.gate else (False,))
    ]
    entries = _joined(parts)
    # Long enough for all columns, whichever have a residual: a stalled list waits for its whole tail where that begins.
    length = max(len(used) + len(entries), tail)
    padding = _idle_column(last - first).chosen(np.zeros(length - len(used) - len(entries), dtype=np.int64))
    joined = _joined([padding, used, entries])
    here = np.zeros(length, dtype=bool)
    for i in range(len(parts)):
        here[length - tail + i * cols + added] = True
    order = np.empty(length, dtype=np.int64)
    order[here], order[~here] = np.arange(length - len(entries), length), np.arange(length - len(entries))
    return joined.chosen(order)


def _added(geo: LayerGeometry, filters: IntArray, width: int, *, gate: bool) -> Columns:
    """Entries of the residual of `filters`, or of its gate, for a tile of `width` filters."""
    residual = geo.layer.residual
    assert residual is not None
    source = residual.gate if gate and residual.gate else residual
    zero = np.zeros(len(filters), dtype=np.int64)
    return Columns(
        term=zero + len(geo.layer.terms) + gate,
        channel=source.channel[filters],
        ky=zero,
        kx=filters % geo.phases,
        weight=np.zeros((len(filters), width), dtype=np.int64),
    )


def _term_columns(index: int, term: Term, filters: int, first: int, last: int) -> Columns:
    """One term's columns in (channel, row, column) order; a group's columns carry zeros for other groups' filters."""
    c_group, kh, kw = term.weight.shape[1:]
    group = np.arange(first, last) // (filters // term.groups)
    begins = np.append(0, np.flatnonzero(group[1:] != group[:-1]) + 1)
    matrix = term.weight[first:last].reshape(last - first, -1)
    number, used = np.nonzero(np.logical_or.reduceat(matrix != 0, begins, axis=0))
    weight = matrix[:, used].T
    if len(begins) > 1:
        weight = np.where(group[begins[number], None] == group, weight, 0)
    flat = used % (kh * kw)
    return Columns(
        term=np.full(len(flat), index, dtype=np.int64),
        channel=group[begins[number]] * c_group + used // (kh * kw),
        ky=flat // kw,
        kx=flat % kw,
        weight=weight,
    )


def _idle_column(filters: int) -> Columns:
    zero = np.zeros(1, dtype=np.int64)
    return Columns(term=zero, channel=zero, ky=zero, kx=zero, weight=np.zeros((1, filters), dtype=np.int64))


def entry_columns(
    net: IntegerNetwork, geo: LayerGeometry, memory_map: MemoryMap, columns: Columns, hw: Hardware
) -> dict[str, IntArray]:
    """List entries of all passes of a tile, one after the other: fields of `hwprm.isa.entry_format`."""
    passes = [_pass_entries(net, geo, memory_map, columns, hw, window) for window in geo.windows]
    return {name: np.concatenate([one[name] for one in passes]) for name in passes[0]}


def _pass_entries(
    net: IntegerNetwork, geo: LayerGeometry, memory_map: MemoryMap, cols: Columns, hw: Hardware, window: tuple[int, int]
) -> dict[str, IntArray]:
    n = len(cols)
    linear, off_y, off_x = (np.zeros(n, dtype=np.int64) for _ in range(3))
    height, width = np.ones(n, dtype=np.int64), np.ones(n, dtype=np.int64)
    image, unsigned, common = (np.zeros(n, dtype=np.int64) for _ in range(3))
    for i, term in enumerate(_taps(geo.layer)):
        mine = cols.term == i
        place = memory_map[term.source]
        image[mine], unsigned[mine] = term.source in net.inputs, not net.tensor[term.source].signed
        _, height[mine], width[mine] = (1, 1, geo.width) if geo.channel_lanes else net.tensor[term.source].shape
        off_y[mine] = window[0] * term.stride[0] + cols.ky[mine] * term.dilation[0] - term.padding[0]
        off_x[mine] = window[1] * term.stride[1] + cols.kx[mine] * term.dilation[1] - term.padding[2]
        linear[mine] = place.base * hw.banks + cols.channel[mine] * place.channel
        linear[mine] += off_y[mine] * place.pitch + off_x[mine]
    if net.spread(geo.layer):  # of the gate all lanes read the one pixel
        mine = cols.term == len(geo.layer.terms) + 1
        common[mine], height[mine], width[mine] = 1, geo.height * geo.step_y, geo.width * geo.step_x
        linear[mine], off_x[mine] = linear[mine] - off_x[mine], 0
    if geo.channel_lanes:  # every tap lies inside; a lane is one past the end when its channel is
        off_y, off_x = np.zeros_like(off_y), np.zeros_like(off_x)
    y_low, y_high = _bounds(off_y, height, geo.step_y, geo.height)
    x_low, x_high = _bounds(off_x, width, geo.step_x, geo.width)
    for i, term in enumerate(geo.layer.terms):
        if term.region is not None:
            mine = cols.term == i
            top, bottom, left, right = term.region
            y_low[mine], y_high[mine] = _within(y_low[mine], y_high[mine], window[0], top, bottom, geo.conv_stride[0])
            x_low[mine], x_high[mine] = _within(x_low[mine], x_high[mine], window[1], left, right, geo.conv_stride[1])
    fields = {
        "y_low": y_low,
        "y_high": y_high,
        "x_low": x_low,
        "x_high": x_high,
        "guard": np.zeros(n, dtype=np.int64),
        "image": image,
        **({"unsigned": unsigned} if hw.mixed else {}),
        **({"common": common} if hw.common else {}),
    }
    if geo.guarded:
        linear = np.append(linear, 0)
        guard = _guard(geo, window)
        fields = {name: np.append(values, guard[name]) for name, values in fields.items()}
    word = (linear // hw.banks) % (1 << hw.word_bits)
    return {"word": word, "bank": linear % hw.banks, **fields}


def _taps(layer: GemmLayer) -> tuple[Term, ...]:
    """The layer's terms, and its residual and its gate as the 1 x 1 terms that read alike."""
    sources = layer.residual.sources if layer.residual else ()
    weight = np.zeros((len(layer.bias), 1, 1, 1), dtype=np.int64)
    return (*layer.terms, *(Term(source=source, weight=weight) for source in sources))


def _bounds(offset: IntArray, size: IntArray, step: int, outputs: int) -> tuple[IntArray, IntArray]:
    """Outputs o in low..high-1 whose tap ``o * step + offset`` lies in 0..size-1; (0, 0) where there are none."""
    low = np.clip(-(offset // step), 0, outputs)
    high = np.clip((size - 1 - offset) // step + 1, 0, outputs)
    empty = high <= low
    return np.where(empty, 0, low), np.where(empty, 0, high)


def _within(
    low: IntArray, high: IntArray, window: int, first: int, last: int, stride: int
) -> tuple[IntArray, IntArray]:
    """Of the outputs low..high-1 those whose convolution pixel ``o * stride + window`` lies in first..last-1."""
    low, high = np.maximum(low, -((window - first) // stride)), np.minimum(high, (last - 1 - window) // stride + 1)
    empty = high <= low
    return np.where(empty, 0, low), np.where(empty, 0, high)


def _guard(geo: LayerGeometry, window: tuple[int, int]) -> dict[str, int]:
    """The pass's last entry: no tap, but the lanes whose window position lies inside the convolution map."""
    one = np.array
    y_low, y_high = _bounds(one([window[0]]), one([geo.conv_height]), geo.conv_stride[0], geo.height)
    x_low, x_high = _bounds(one([window[1]]), one([geo.conv_width]), geo.conv_stride[1], geo.width)
    return {
        "y_low": int(y_low[0]),
        "y_high": int(y_high[0]),
        "x_low": int(x_low[0]),
        "x_high": int(x_high[0]),
        "guard": 1,
        "image": 0,
        "unsigned": 0,
        "common": 0,
    }
