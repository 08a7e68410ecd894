"""What a layer looks like to the array: output pixels, pooling windows, and how far apart neighbouring lanes read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import UnsupportedError
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual, Term

__all__ = ["LayerGeometry", "can_phase", "inner_taps", "layer_geometry", "with_phases"]

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerGeometry:
    """One layer's sizes. `height` x `width` pixels (after pooling, before upsampling), once per window position.

    With `channel_lanes` the lanes run over the channels of a map that a global average (or any other equal filters, one
    a channel) takes together: a single filter whose output "pixels", one row of them, are the channels of the result,
    of each those of all images of a batch.

    With `phases` P > 1 every P neighbouring pixels of a row are filters of their own: filter ``c * P + i`` makes the
    pixels of column ``P * x + i`` of channel c (`with_phases`).
    """

    index: int
    layer: GemmLayer
    #: Convolution map before pooling.
    conv_height: int
    conv_width: int
    height: int
    width: int
    #: Rows and columns of input between neighbouring output pixels.
    step_y: int
    step_x: int
    channel_lanes: bool = False
    #: Filters that are one channel of the tensor; `layer`, `width` and `step_x` are those of the array.
    phases: int = 1
    #: Maps of `height` x `width` pixels that lanes run over, one behind the other: the images of a batch.
    images: int = 1
    #: Whether pixel tiles end with the image: lanes could not go on with the next one without a bank conflict.
    apart: bool = False

    @property
    def repeats(self) -> Pair:
        """Rows and columns of the tensor that each computed pixel fills."""
        return self.layer.upsample

    @property
    def pixels(self) -> int:
        """Computed pixels of an image, N."""
        return self.height * self.width

    @property
    def all_pixels(self) -> int:
        """Computed pixels of all images of a batch."""
        return self.images * self.pixels

    @property
    def run(self) -> int:
        """Pixels after which a pixel tile ends, whether it is full or not."""
        return self.pixels if self.apart else self.all_pixels

    @property
    def filters(self) -> int:
        """Filters, M."""
        return len(self.layer.bias)

    @property
    def store_step(self) -> int:
        """Activations of the tensor between neighbouring lanes."""
        return self.phases * self.repeats[1]

    def tile_filters(self, cols: int) -> int:
        """Filters of a filter tile, which never ends inside a channel's phases."""
        return cols // self.phases * self.phases

    @property
    def windows(self) -> tuple[Pair, ...]:
        """Offsets, in convolution pixels, of the pooling window's positions; one (0, 0) without pooling."""
        pool = self.layer.pool
        if pool is None:
            return ((0, 0),)
        return tuple(
            (i * pool.dilation[0] - pool.padding[0], j * pool.dilation[1] - pool.padding[2])
            for i in range(pool.kernel[0])
            for j in range(pool.kernel[1])
        )

    @property
    def guarded(self) -> bool:
        """Whether a window position can lie outside the convolution map, so that passes need a guard entry."""
        pool = self.layer.pool
        if pool is None:
            return False
        spans = (
            (self.height, pool.stride[0], pool.kernel[0], pool.dilation[0], pool.padding[0], self.conv_height),
            (self.width, pool.stride[1], pool.kernel[1], pool.dilation[1], pool.padding[2], self.conv_width),
        )
        return any(pad > 0 or (n - 1) * stride + (k - 1) * dil >= size for n, stride, k, dil, pad, size in spans)

    @property
    def conv_stride(self) -> Pair:
        """Convolution pixels between neighbouring output pixels (the pool's stride)."""
        return self.layer.pool.stride if self.layer.pool else (1, 1)

    def pixel_tiles(self, rows: int) -> int:
        """Pixel tiles of one filter tile."""
        return -(-self.run // rows) * (self.all_pixels // self.run)


def layer_geometry(net: IntegerNetwork, index: int, batch: int = 1) -> LayerGeometry:
    """Geometry of layer `index` of `net` for `batch` images at a time; no pixel tile ends with an image yet.

    Raises UnsupportedError when the terms of the layer advance at different strides.
    """
    layer = net.layers[index]
    if _equal_filters(net, layer):
        return _channel_lanes(layer, index, batch)
    conv, out = net.conv_size(layer), net.computed_size(layer)
    steps = {_input_step(term, layer.pool) for term in layer.terms} | ({(1, 1)} if layer.residual else set())
    if len(steps) != 1:
        raise UnsupportedError(
            f"layer {layer.name!r} sums convolutions of different strides {sorted(steps)}; "
            f"give the strided one a layer of its own"
        )
    step_y, step_x = steps.pop()
    if batch > 1 and out == (1, 1):  # lanes go from image to image and never along a row
        step_y, step_x = 1, 1
    return LayerGeometry(
        index=index,
        layer=layer,
        conv_height=conv[0],
        conv_width=conv[1],
        height=out[0],
        width=out[1],
        step_y=step_y,
        step_x=step_x,
        images=batch,
    )


def can_phase(geo: LayerGeometry) -> bool:
    """Whether neighbouring pixels of the layer can be filters: they must share an entry's bounds and go to one row.

    Regions and guards cut the map pixel by pixel, and repeated pixels and output words have a place of their own.
    """
    if geo.layer.wide or geo.channel_lanes or geo.guarded or geo.repeats != (1, 1):
        return False
    return all(term.region is None for term in geo.layer.terms)


def with_phases(net: IntegerNetwork, geo: LayerGeometry, phases: int) -> LayerGeometry:
    """`geo`, a layer of `net` that `can_phase` and has none, with that many, a divisor of its width.

    Each filter becomes `phases` filters: its kernel, further right by the layer's step from phase to phase, without the
    taps that lie beside the map in every lane.
    """
    if phases == 1:
        return geo
    layer = geo.layer
    terms = []
    for term in layer.terms:
        weight = _phased(term, phases, term.stride[1] * geo.conv_stride[1])
        weight[..., ~inner_taps(net, geo, term, phases)] = 0
        terms.append(replace(term, weight=weight, dilation=(term.dilation[0], 1)))
    residual = layer.residual
    return replace(
        geo,
        layer=replace(
            layer,
            terms=tuple(terms),
            bias=np.repeat(layer.bias, phases),
            mult=np.repeat(layer.mult, phases),
            shift=np.repeat(layer.shift, phases),
            residual=residual and _repeated(residual, phases),
        ),
        width=geo.width // phases,
        step_x=geo.step_x * phases,
        phases=phases,
    )


def _repeated(residual: Residual, phases: int) -> Residual:
    gate = residual.gate and replace(residual.gate, channel=np.repeat(residual.gate.channel, phases))
    channel, mult = np.repeat(residual.channel, phases), np.repeat(residual.mult, phases)
    return replace(residual, channel=channel, mult=mult, gate=gate)


def inner_taps(net: IntegerNetwork, geo: LayerGeometry, term: Term, phases: int) -> NDArray[np.bool_]:
    """For each column of taps of `term` with `phases`, whether it lies inside the map in any lane and window."""
    step = term.stride[1] * geo.conv_stride[1]
    taps = np.arange((term.weight.shape[3] - 1) * term.dilation[1] + 1 + step * (phases - 1)) - term.padding[2]
    windows = np.array([window[1] * term.stride[1] for window in geo.windows])
    lanes = np.arange(0, geo.width, phases) * step
    at = taps[:, None, None] + windows[:, None] + lanes
    inside = (at >= 0) & (at < net.tensor[term.source].shape[2])
    return np.asarray(inside.any(axis=(1, 2)))


def _phased(term: Term, phases: int, step: int) -> NDArray[np.int64]:
    """Weights of the phases, a column for each column of the map, so that any shift is a whole number."""
    filters, channels, height, width = term.weight.shape
    reach = (width - 1) * term.dilation[1] + 1
    weight = np.zeros((filters, phases, channels, height, reach + step * (phases - 1)), dtype=np.int64)
    for i in range(phases):
        weight[:, i, :, :, step * i : step * i + reach : term.dilation[1]] = term.weight
    return weight.reshape(filters * phases, *weight.shape[2:])


def _equal_filters(net: IntegerNetwork, layer: GemmLayer) -> bool:
    """Whether `layer` makes one stored pixel a channel, with the same arithmetic for each: a global average."""
    term, count = layer.terms[0], len(layer.bias)
    if layer.wide or layer.pool or layer.residual or len(layer.terms) > 1:
        return False
    if not 1 < count == term.groups == term.weight.shape[0]:
        return False
    if net.tensor[layer.name].shape[1:] != (1, 1) or any(term.padding) or term.region or term.source in net.inputs:
        return False  # the image's channels lie where the stream puts them
    if net.tensor[term.source].shape[0] != count or net.tensor[term.source].shape[1] == 1:
        return False
    arrays = (term.weight, layer.bias, layer.mult, layer.shift)
    return all(bool(np.all(array == array[:1])) for array in arrays)


def _channel_lanes(layer: GemmLayer, index: int, batch: int) -> LayerGeometry:
    """One filter over the channels. The memory map puts them, of each all images of a batch, a lane's step apart
    (`Placement.image`), which is how the result lies as well."""
    count = len(layer.bias) * batch
    single = replace(
        layer,
        terms=(replace(layer.terms[0], weight=layer.terms[0].weight[:1], groups=1),),
        bias=layer.bias[:1],
        mult=layer.mult[:1],
        shift=layer.shift[:1],
    )
    return LayerGeometry(
        index=index,
        layer=single,
        conv_height=1,
        conv_width=count,
        height=1,
        width=count,
        step_y=1,
        step_x=1,
        channel_lanes=True,
    )


def _input_step(term: Term, pool: Pool | None) -> Pair:
    pool_stride = pool.stride if pool else (1, 1)
    return term.stride[0] * pool_stride[0], term.stride[1] * pool_stride[1]
