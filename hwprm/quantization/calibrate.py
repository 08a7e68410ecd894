"""The fused network in float64, and how large its activations grow on calibration images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hwprm.graph import fitting_batch
from hwprm.intnet import Pool
from hwprm.quantization.lowering.fused import FusedLayer, FusedNetwork, FusedResidual

__all__ = ["activation_ranges", "codes_of", "float_layer", "float_tensors"]

FloatArray = NDArray[np.float64]
Quad = tuple[int, int, int, int]

#: Images per batch of calibration.
BATCH = 100


def float_tensors(net: FusedNetwork, real: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Every tensor of the fused network in float64 for real images of each input: {name: ``(n, M, H, W)``}."""
    made = _with_codes(net, real)
    return {name: made[name] for name in (*net.inputs, *(layer.name for layer in net.layers))}


def float_layer(layer: FusedLayer, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What `layer` makes of the float64 `tensors` that it reads."""
    return _run(layer, tensors)[1]


def codes_of(name: str) -> str:
    """What the ranges call the numbers that layer `name` looks up in its table; no tensor is called so."""
    return f"{name} codes"


def _with_codes(net: FusedNetwork, real: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The tensors of `float_tensors`, and what is looked up in tables."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(real[name])) for name in net.inputs}
    with torch.no_grad():
        for layer in net.layers:
            codes, tensors[layer.name] = _run(layer, tensors)
            if layer.functions:
                tensors[codes_of(layer.name)] = codes
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def activation_ranges(net: FusedNetwork, real: Mapping[str, FloatArray], percentile: float = 100.0) -> dict[str, float]:
    """{tensor: the |value| that `percentile` per cent of its nonzero values on `real` do not exceed}; 0 if all are 0.

    100 is the maximum. Exact for any number of images: of each tensor only the values above the percentile are kept.
    Zeros do not count, so that removing dead channels changes nothing. `codes_of` names what is looked up in tables.
    """
    top: dict[str, FloatArray] = {}
    nonzero: dict[str, int] = {}
    count = len(real[net.inputs[0]])
    step = fitting_batch(BATCH, sum(math.prod(shape) for shape in net.shapes.values()))
    for i in range(0, count, step):
        batch = {name: array[i : i + step] for name, array in real.items()}
        for name, values in _with_codes(net, batch).items():
            keep = _above(count * values[0].size, percentile) + 1  # + 1: fewer nonzeros may round differently
            joined = np.concatenate([top.get(name, np.empty(0)), np.abs(values).ravel()])
            top[name] = np.partition(joined, len(joined) - keep)[-keep:] if len(joined) > keep else joined
            nonzero[name] = nonzero.get(name, 0) + int(np.count_nonzero(values))
    return {name: float(np.sort(v)[-_above(nonzero[name], percentile)]) for name, v in top.items()}


def _above(count: int, percentile: float) -> int:
    """How many of the largest of `count` values reach down to the percentile (nearest rank), at least 1."""
    return max(1, count - int(np.ceil(count * percentile / 100)) + 1)


def _run(layer: FusedLayer, tensors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """What `layer` makes before its functions, and behind them."""
    y = torch.from_numpy(np.ascontiguousarray(layer.bias))[None, :, None, None]
    for term in layer.terms:
        top, bottom, left, right = term.padding
        sums = functional.conv2d(
            functional.pad(tensors[term.source], (left, right, top, bottom)),
            torch.from_numpy(np.ascontiguousarray(term.weight)),
            stride=term.stride,
            dilation=term.dilation,
            groups=term.groups,
        )
        y = y + inside(term.region, sums)
    if layer.pool:
        y = pool(layer.pool, y)
    if layer.residual:
        y = y + _added(layer.residual, tensors)
    y = enlarge(layer.upsample, y)
    y = codes = y if layer.low is None and layer.high is None else y.clamp(layer.low, layer.high)
    for function in layer.functions:
        y = function.compute(torch, y)
    return codes, y


def _added(residual: FusedResidual, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    added = tensors[residual.source][:, list(residual.channels)]
    return added * tensors[residual.gate.source][:, list(residual.gate.channels)] if residual.gate else added


def inside(region: Quad | None, x: torch.Tensor) -> torch.Tensor:
    """Maps ``(n, C, H, W)`` with zeros outside of `region` (top, bottom, left, right), ends exclusive."""
    if region is None:
        return x
    top, bottom, left, right = region
    height, width = x.shape[2:]
    return functional.pad(x[:, :, top:bottom, left:right], (left, width - right, top, height - bottom))


def enlarge(factors: tuple[int, int], x: torch.Tensor) -> torch.Tensor:
    """Nearest upsampling of float maps ``(n, C, H, W)`` by integer `factors` (rows, columns)."""
    for axis, factor in zip((2, 3), factors, strict=True):
        x = x.repeat_interleave(factor, axis) if factor > 1 else x
    return x


def pool(spec: Pool, x: torch.Tensor) -> torch.Tensor:
    """Max pooling of float maps ``(n, C, H, W)`` with asymmetric padding and ceil mode; padding never wins."""
    height, width = x.shape[2:]
    out_h, out_w = spec.output_size((height, width))
    top, bottom, left, right = spec.padding
    if not any(spec.padding) and not spec.ceil_mode:
        return functional.max_pool2d(x, spec.kernel, spec.stride, 0, spec.dilation)
    # Ceil mode may reach a stride beyond the padding: pad that much more, and cut what this adds.
    wide = functional.pad(x, (left, right + spec.stride[1], top, bottom + spec.stride[0]), value=float("-inf"))
    return functional.max_pool2d(wide, spec.kernel, spec.stride, 0, spec.dilation)[:, :, :out_h, :out_w]
