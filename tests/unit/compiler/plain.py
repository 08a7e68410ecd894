"""Integer networks computed by plain loops in int64, written apart from everything in `hwprm`."""

from __future__ import annotations

import numpy as np

from hwprm.core.numerics import requantize

__all__ = ["pooled", "run", "summed"]

LOW = -(2**62)


def _pad(x, padding, value):
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)


def summed(x, term):
    x, (oh, ow) = _pad(x, term.padding, 0), term.output_size(x.shape[1:])
    m, width, kh, kw = term.weight.shape
    acc = np.zeros((m, oh, ow), dtype=np.result_type(x, term.weight))
    for f in range(m):
        first = f // (m // term.groups) * width
        for y in range(oh):
            for x0 in range(ow):
                rows = y * term.stride[0] + np.arange(kh) * term.dilation[0]
                cols = x0 * term.stride[1] + np.arange(kw) * term.dilation[1]
                acc[f, y, x0] = (x[first : first + width][:, rows][:, :, cols] * term.weight[f]).sum()
    return acc


def pooled(acc, pool):
    oh, ow = pool.output_size(acc.shape[1:])
    padded = _pad(acc, pool.padding, LOW)
    padded = np.pad(padded, ((0, 0), (0, 8), (0, 8)), constant_values=LOW)  # ceil mode
    out = np.empty((len(acc), oh, ow), dtype=acc.dtype)
    for y in range(oh):
        for x in range(ow):
            rows = y * pool.stride[0] + np.arange(pool.kernel[0]) * pool.dilation[0]
            cols = x * pool.stride[1] + np.arange(pool.kernel[1]) * pool.dilation[1]
            out[:, y, x] = padded[:, rows][:, :, cols].max(axis=(1, 2))
    return out


def run(net, image):
    values = {net.inputs[0]: image}
    for layer in net.layers:
        acc = sum(summed(values[term.source], term) for term in layer.terms) + layer.bias[:, None, None]
        acc = pooled(acc, layer.pool) if layer.pool else acc
        if layer.residual:
            added = layer.residual.mult[:, None, None] * values[layer.residual.source][layer.residual.channel]
            gate = layer.residual.gate
            acc = acc + (added * values[gate.source][gate.channel] if gate else added)
        values[layer.name] = requantize(acc, layer.mult[:, None, None], layer.shift[:, None, None], *layer.clamp)
    return values
