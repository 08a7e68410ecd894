"""The integer reference in torch: what the integer accuracy is measured with.

Written independently of `hwprm.intnet.reference`, down to its own rounding, so that agreement means something.
Sums are float64 convolutions; an accumulator has 46 bits at most, so every partial sum is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hwprm.core.errors import InputError
from hwprm.graph import fitting_batch
from hwprm.intnet import GemmLayer, IntegerNetwork, split_images
from hwprm.quantization.calibrate import enlarge, inside, pool
from hwprm.training.evaluate import count_in_top

__all__ = ["classes_of", "count_right", "integer_accuracy", "integer_layer", "run_torch"]

IntArray = NDArray[np.int64]

#: Images per batch of `integer_accuracy`.
BATCH = 250


def run_torch(net: IntegerNetwork, images: IntArray) -> dict[str, IntArray]:
    """Every tensor of `net`, the inputs included: {name: int64 ``(n, C, H, W)``}.

    `images` are integers at the input tensors' scales, one array as in `hwprm.intnet.images`. Raises InputError when
    the shape does not fit.
    """
    return {name: tensor.numpy() for name, tensor in _tensors(net, images).items()}


def integer_accuracy(net: IntegerNetwork, images: IntArray, labels: NDArray[np.integer]) -> float:
    """Per cent of integer `images` whose largest output stands at their label; the first of equal outputs counts.

    A map output is read channel-major. Raises InputError when the network has several outputs or nothing is given.
    """
    return 100.0 * count_right(net, images, labels) / len(images)


def count_right(net: IntegerNetwork, images: IntArray, labels: NDArray[np.integer], top: int = 1) -> int:
    """How many of integer `images` have their label among the `top` first outputs; raises as `integer_accuracy`."""
    if len(net.outputs) != 1:
        raise InputError(f"accuracy needs one output, the network has {len(net.outputs)}")
    if not len(images) or len(images) != len(labels):
        raise InputError(f"accuracy needs as many labels as images and at least one, not {len(labels)}/{len(images)}")
    right = done = 0
    for out in _outputs(net, images):
        right += count_in_top(out, labels[done : done + len(out)], top)
        done += len(out)
    return right


def classes_of(net: IntegerNetwork, images: IntArray) -> IntArray:
    """Number of the largest output of each of integer `images`, of equal ones the first: ``(n,)``."""
    return np.concatenate([out.argmax(axis=1) for out in _outputs(net, images)])


def _outputs(net: IntegerNetwork, images: IntArray) -> Iterator[IntArray]:
    """The one output of `net` for `images`, flattened channel-major, a batch after the other."""
    step = fitting_batch(BATCH, sum(math.prod(tensor.shape) for tensor in net.tensors))
    for i in range(0, len(images), step):
        yield _tensors(net, images[i : i + step])[net.outputs[0]].flatten(1).numpy()


def _tensors(net: IntegerNetwork, images: IntArray) -> dict[str, torch.Tensor]:
    inputs = split_images(np.asarray(images, dtype=np.int64), net.input_shapes)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
    with torch.no_grad():
        for layer in net.layers:
            tensors[layer.name] = integer_layer(layer, tensors)
    return tensors


def integer_layer(layer: GemmLayer, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What `layer` makes of the integer `tensors` that it reads: int64 ``(n, M, H, W)``."""
    bias, mult, shift = (torch.from_numpy(v.astype(np.int64)) for v in (layer.bias, layer.mult, layer.shift))
    total = bias.to(torch.float64)[None, :, None, None]
    for term in layer.terms:
        top, bottom, left, right = term.padding
        sums = functional.conv2d(
            functional.pad(tensors[term.source].to(torch.float64), (left, right, top, bottom)),
            torch.from_numpy(term.weight.astype(np.float64)),
            stride=term.stride,
            dilation=term.dilation,
            groups=term.groups,
        )
        total = total + inside(term.region, sums)
    if layer.pool:
        total = pool(layer.pool, total)
    if layer.residual:
        chosen = tensors[layer.residual.source][:, torch.from_numpy(layer.residual.channel)]
        if layer.residual.gate:
            gate = tensors[layer.residual.gate.source][:, torch.from_numpy(layer.residual.gate.channel)]
            chosen = torch.multiply(chosen, gate.expand_as(chosen))
        total = total + torch.einsum("nmyx,m->nmyx", chosen, torch.from_numpy(layer.residual.mult))
    total = enlarge(layer.upsample, total)
    product = total.to(torch.int64) * mult[:, None, None]
    half = torch.ones_like(shift) << (shift - 1)
    codes = ((product + half[:, None, None]) >> shift[:, None, None]).clamp(*layer.clamp)
    if layer.table is None:
        return codes
    return torch.from_numpy(layer.table.astype(np.int64))[codes.remainder(len(layer.table))]
