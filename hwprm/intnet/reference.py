"""The integer reference in numpy: what an `IntegerNetwork` computes, exactly, without torch.

Written from the sentence in `hwprm.intnet.layers` alone; `hwprm.quantization.emulate` is its independent twin in torch.

Sums of products go through floating-point matrix multiplication, which is exact in any order of addition as long as
every partial sum is an integer below 2**24 (float32) or 2**53 (float64). The weights prove the first case, the limit
of 46 bits per accumulator that `IntegerNetwork` checks proves the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import InputError
from hwprm.core.numerics import requantize
from hwprm.intnet.images import split_images
from hwprm.intnet.layers import GemmLayer, Pool, Tensor, Term
from hwprm.intnet.network import IntegerNetwork

__all__ = ["LOWEST", "Watch", "accumulators", "batch_of", "logits", "pool_taps", "run"]

IntArray = NDArray[np.int64]
Images = IntArray | Mapping[str, IntArray]
#: Called with a layer, the number of the first of some images, and their accumulators before and after pooling.
Watch = Callable[[GemmLayer, int, IntArray, IntArray], None]

#: Bytes that one batch of patches, accumulators and tensors may take; images are cut into batches to keep below.
BUDGET = 64 << 20
#: Stands for minus infinity among accumulators, which have 46 bits at most.
LOWEST = np.iinfo(np.int64).min


def run(net: IntegerNetwork, images: Images, *, watch: Watch | None = None) -> dict[str, IntArray]:
    """Every tensor of `net`, the inputs included: {name: int64 ``(n, C, H, W)``}.

    `images` are integers at the input tensors' scales: one array, ``(n, C, H, W)`` or packed as in
    `hwprm.intnet.images`, or one ``(n, C, H, W)`` per input by name.
    `watch` is shown every layer's accumulators ``(n, M, OH, OW)`` and ``(n, M, PH, PW)``, which are not kept.
    Raises InputError when a shape does not fit or a value does not fit the tensor's bits.
    """
    tensors = _checked(net, images)
    count = len(tensors[net.inputs[0]])
    for layer in net.layers:
        out = np.empty((count, *net.tensor[layer.name].shape), np.int64)
        step = _batch(net, [layer])
        for i in range(0, count, step):
            acc = accumulators(net, layer, {k: v[i : i + step] for k, v in tensors.items()})
            best = _pool(layer.pool, acc) if layer.pool else acc
            if watch:
                watch(layer, i, acc, best)
            out[i : i + step] = _stored(layer, best)
        tensors[layer.name] = out
    return tensors


def logits(net: IntegerNetwork, images: Images, *, chunk: int | None = None) -> dict[str, IntArray]:
    """The network's outputs only, computed `chunk` images at a time (None: as many as fit 64 MiB).

    Same values and errors as `run`, in bounded memory: {output name: int64 ``(n, M, H, W)``}.
    """
    inputs = _checked(net, images)
    count = len(inputs[net.inputs[0]])
    outs = {name: np.empty((count, *net.tensor[name].shape), np.int64) for name in net.outputs}
    step = chunk or batch_of(net)
    for i in range(0, count, step):
        part = run(net, {name: array[i : i + step] for name, array in inputs.items()})
        for name, out in outs.items():
            out[i : i + step] = part[name]
    return outs


def accumulators(net: IntegerNetwork, layer: GemmLayer, tensors: Mapping[str, IntArray]) -> IntArray:
    """Accumulators of `layer` before pooling, bias and residual included: int64 ``(n, M, OH, OW)``."""
    acc = np.asarray(layer.bias, np.int64)[None, :, None, None]
    for term in layer.terms:
        acc = acc + _convolve(term, tensors[term.source])
    if layer.residual:
        mult = np.asarray(layer.residual.mult, np.int64)[None, :, None, None]
        gate = layer.residual.gate
        if gate:
            mult = mult * tensors[gate.source][:, gate.channel]
        acc = acc + mult * tensors[layer.residual.source][:, layer.residual.channel]
    return acc


def _stored(layer: GemmLayer, acc: IntArray) -> IntArray:
    """What `layer` makes of its accumulators after pooling."""
    mult, shift = (np.asarray(v, np.int64)[None, :, None, None] for v in (layer.mult, layer.shift))
    out = layer.finished(requantize(acc, mult, shift, *layer.clamp))
    if layer.upsample == (1, 1):
        return out  # repeating once would copy it twice
    return out.repeat(layer.upsample[0], axis=2).repeat(layer.upsample[1], axis=3)


def _convolve(term: Term, x: IntArray) -> IntArray:
    """One term's sums of products, int64 ``(n, M, OH, OW)``."""
    m, per_group, kh, kw = term.weight.shape
    groups, k = term.groups, per_group * kh * kw
    oh, ow = term.output_size((x.shape[2], x.shape[3]))
    dtype = _exact_dtype(term.weight, x)
    top, bottom, left, right = term.padding
    padded = np.pad(x.astype(dtype), ((0, 0), (0, 0), (top, bottom), (left, right)))
    columns = np.empty((len(x), groups * per_group, kh, kw, oh, ow), dtype)
    for ky in range(kh):
        for kx in range(kw):
            columns[:, :, ky, kx] = _taps(padded, (ky, kx), (oh, ow), term.stride, term.dilation)
    weight = term.weight.astype(dtype).reshape(groups, m // groups, k)
    product = np.matmul(weight[None], columns.reshape(len(x), groups, k, oh * ow))
    sums: IntArray = product.reshape(len(x), m, oh, ow).astype(np.int64)
    if term.region is None:
        return sums
    top, bottom, left, right = term.region
    inside = np.zeros_like(sums)
    inside[:, :, top:bottom, left:right] = sums[:, :, top:bottom, left:right]
    return inside


def _taps(
    x: NDArray[Any], tap: tuple[int, int], size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> NDArray[Any]:
    """For every output pixel of a `size` map, the sample of padded `x` that kernel position `tap` meets."""
    y0, x0 = tap[0] * dilation[0], tap[1] * dilation[1]
    return x[
        :, :, y0 : y0 + (size[0] - 1) * stride[0] + 1 : stride[0], x0 : x0 + (size[1] - 1) * stride[1] + 1 : stride[1]
    ]


def _exact_dtype(weight: IntArray, x: IntArray) -> type[np.float32] | type[np.float64]:
    """The fastest type in which every partial sum of this very product is exact."""
    largest = max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0))))
    bound = int(np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1).max()) * largest
    return np.float32 if bound < 1 << 24 else np.float64


def pool_taps(pool: Pool, acc: IntArray) -> Iterator[IntArray]:
    """What every window meets at one position of its kernel after the other, row by row: int64 ``(n, M, PH, PW)``;
    `LOWEST` in the padding and in what ceil mode adds.
    """
    height, width = acc.shape[2:]
    ph, pw = pool.output_size((height, width))
    top, bottom, left, right = pool.padding
    # Ceil mode lets the last window reach beyond the padding.
    reach_h = (ph - 1) * pool.stride[0] + (pool.kernel[0] - 1) * pool.dilation[0] + 1
    reach_w = (pw - 1) * pool.stride[1] + (pool.kernel[1] - 1) * pool.dilation[1] + 1
    below, beside = max(bottom, reach_h - top - height), max(right, reach_w - left - width)
    padded = np.pad(acc, ((0, 0), (0, 0), (top, below), (left, beside)), constant_values=LOWEST)
    for ky in range(pool.kernel[0]):
        for kx in range(pool.kernel[1]):
            yield _taps(padded, (ky, kx), (ph, pw), pool.stride, pool.dilation)


def _pool(pool: Pool, acc: IntArray) -> IntArray:
    """Maximum over windows, int64 ``(n, M, PH, PW)``; padding and what ceil mode adds never win."""
    first, *others = pool_taps(pool, acc)
    best = first.copy()
    for tap in others:
        np.maximum(best, tap, out=best)
    return best


def _checked(net: IntegerNetwork, images: Images) -> dict[str, IntArray]:
    """The inputs by name, as int64, after checking names, shapes and ranges."""
    given = _by_name(net, images)
    if set(given) != set(net.inputs):
        raise InputError(f"images are given for {sorted(given)}; the network's inputs are {sorted(net.inputs)}")
    checked = {name: _checked_array(net.tensor[name], np.asarray(array)) for name, array in given.items()}
    if len({len(array) for array in checked.values()}) != 1:
        raise InputError("every input needs the same number of images")
    return checked


def _by_name(net: IntegerNetwork, images: Images) -> Mapping[str, IntArray]:
    if isinstance(images, Mapping):
        return images
    return {net.inputs[0]: images} if len(net.inputs) == 1 else split_images(np.asarray(images), net.input_shapes)


def _checked_array(tensor: Tensor, array: NDArray[Any]) -> IntArray:
    if array.ndim != 4 or array.shape[1:] != tensor.shape:
        raise InputError(f"input {tensor.name!r} must be (n, {', '.join(map(str, tensor.shape))}), not {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"input {tensor.name!r} must hold integers, not {array.dtype}; quantise the images first")
    low, high = tensor.limits
    if array.size and (array.min() < low or array.max() > high):
        raise InputError(f"input {tensor.name!r} must lie in {low}..{high}, not {array.min()}..{array.max()}")
    return array.astype(np.int64)


def batch_of(net: IntegerNetwork) -> int:
    """How many images at once keep every array of `net` within the budget."""
    return _batch(net, net.layers)


def _batch(net: IntegerNetwork, layers: list[GemmLayer] | tuple[GemmLayer, ...]) -> int:
    """How many images at once keep every array of `layers` within the budget."""
    worst = 1
    for layer in layers:
        oh, ow = net.conv_size(layer)
        columns = max(term.groups * term.weight[0].size for term in layer.terms)
        inputs = sum(int(np.prod(net.tensor[source].shape)) for source in layer.sources)
        result = int(np.prod(net.tensor[layer.name].shape))
        worst = max(worst, 8 * (oh * ow * (columns + 4 * len(layer.bias)) + 2 * inputs + result))
    return max(1, BUDGET // worst)
