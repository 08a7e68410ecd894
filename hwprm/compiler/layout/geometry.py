"""What a layer looks like to the array: output pixels, pooling windows, and how far apart neighbouring lanes read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwprm.core.errors import UnsupportedError
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Term

__all__ = ["LayerGeometry", "layer_geometry"]

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerGeometry:
    """One layer's sizes. `height` x `width` pixels (after pooling, before upsampling), once per window position.

    With `channel_lanes` the lanes run over the channels of a map that a global average (or any other equal filters, one
    a channel) takes together: a single filter whose output "pixels", one row of them, are the channels of the result,
    of each those of all images of a batch.
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
