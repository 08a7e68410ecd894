"""ONNX operators that slide windows, multiply by matrices, normalise or enlarge, as calls of torch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hwprm.frontend.onnx_calls import Item, OnnxCall, shape_of
from hwprm.graph.rules.arrays import IntArray
from hwprm.graph.rules.imports import RefusalError

__all__ = ["LAYERS"]

A = torch.ops.aten

_WINDOWS = "use windows over the rows and columns of maps, or over sequences"


def _rank(call: OnnxCall) -> int:
    """Over how many axes windows slide."""
    rank = len(call.shape()) - 2
    if rank not in (1, 2):
        raise RefusalError(f"its input has shape {call.shape()}", _WINDOWS)
    return rank


def _pads(call: OnnxCall, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[list[int]]:
    """Padding before and behind each axis that the windows slide over."""
    rank, auto = len(kernel), call.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = list(call.get("pads") or [0] * (2 * rank))
        return [pads[:rank], pads[rank:]]
    if auto == "VALID":
        return [[0] * rank, [0] * rank]
    whole = []
    for size, k, s, d in zip(call.shape()[2:], kernel, stride, dilation, strict=True):
        whole.append(max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0))
    small, large = [pad // 2 for pad in whole], [pad - pad // 2 for pad in whole]
    return [small, large] if auto == "SAME_UPPER" else [large, small]


def _around(pads: Sequence[Sequence[int]]) -> list[int]:
    """Padding as torch.nn.functional.pad takes it: the last axis first."""
    return [pad for both in zip(pads[0][::-1], pads[1][::-1], strict=True) for pad in both]


def _window(call: OnnxCall, kernel: Sequence[int]) -> tuple[list[int], list[int], list[list[int]]]:
    """Stride, dilation and padding."""
    stride = list(call.get("strides") or [1] * len(kernel))
    dilation = list(call.get("dilations") or [1] * len(kernel))
    return stride, dilation, _pads(call, kernel, stride, dilation)


def _conv(call: OnnxCall) -> Any:
    x, weight, rank = call.item(0), call.item(1), _rank(call)
    bias = call.item(2) if call.has(2) else None
    stride, dilation, pads = _window(call, shape_of(weight)[2:])
    if pads[0] != pads[1]:
        x, pads = call(A.constant_pad_nd.default, x, _around(pads), 0.0), [[0] * rank] * 2
    target = A.conv2d.default if rank == 2 else A.conv1d.default
    return call(target, x, weight, bias, stride, pads[0], dilation, int(call.get("group", 1)))


def _conv_transpose(call: OnnxCall) -> Any:
    weight, rank = call.item(1), _rank(call)
    if rank != 2:
        raise RefusalError("it is a transposed convolution of sequences", "use transposed convolutions of maps")
    if call.get("output_shape") or call.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise RefusalError("it says what it makes, not how it pads", "export it with the attribute pads")
    stride, dilation, pads = _window(call, shape_of(weight)[2:])
    extra = list(call.get("output_padding") or [0] * rank)
    if pads[0] != pads[1]:
        raise RefusalError(f"it cuts off {pads[0]} before and {pads[1]} behind", "cut off as much on both sides")
    bias = call.item(2) if call.has(2) else None
    target = A.conv_transpose2d.input
    return call(target, call.item(0), weight, bias, stride, pads[0], extra, int(call.get("group", 1)), dilation)


def _max_pool(call: OnnxCall) -> Any:
    x, rank = call.item(0), _rank(call)
    if call.results > 1:
        raise RefusalError("it returns the places of its maxima", "use the values only")
    kernel = list(call.get("kernel_shape"))
    stride, dilation, pads = _window(call, kernel)
    if pads[0] != pads[1] or any(2 * pad > k for pad, k in zip(pads[0], kernel, strict=True)):
        # As good as padding that never wins where no value is negative, which whoever reads it makes sure of.
        x, pads = call(A.constant_pad_nd.default, x, _around(pads), 0.0), [[0] * rank] * 2
    target = A.max_pool2d.default if rank == 2 else A.max_pool1d.default
    return call(target, x, kernel, stride, pads[0], dilation, bool(call.get("ceil_mode", 0)))


def _average_pool(call: OnnxCall) -> Any:
    x, rank = call.item(0), _rank(call)
    kernel = list(call.get("kernel_shape"))
    stride, dilation, pads = _window(call, kernel)
    ceil, counted = bool(call.get("ceil_mode", 0)), bool(call.get("count_include_pad", 0))
    if any(d != 1 for d in dilation):
        raise RefusalError("it averages a dilated window", "use a depthwise convolution with equal weights")
    if ceil and any(pads[0] + pads[1]):
        raise RefusalError("it pads and rounds its size up", "set ceil_mode to 0")
    if pads[0] != pads[1] or any(2 * pad > k for pad, k in zip(pads[0], kernel, strict=True)):
        if not counted:
            raise RefusalError(f"it pads {pads[0]} before and {pads[1]} behind", "pad as much on both sides")
        x, pads = call(A.constant_pad_nd.default, x, _around(pads), 0.0), [[0] * rank] * 2
    target = A.avg_pool2d.default if rank == 2 else A.avg_pool1d.default
    return call(target, x, kernel, stride, pads[0], ceil, counted)


def _global(target: Any) -> Callable[[OnnxCall], Any]:
    return lambda call: call(target, call.item(0), list(range(2, len(call.shape()))), True)


def _batch_norm(call: OnnxCall) -> Any:
    if call.get("training_mode", 0) or call.results > 1:
        raise RefusalError("it normalises with the statistics of the batch", "export the model in evaluation mode")
    x, scale, shift, mean, var = (call.item(i) for i in range(5))
    return call(A.batch_norm.default, x, scale, shift, mean, var, False, 0.1, float(call.get("epsilon", 1e-5)), False)


def _gemm(call: OnnxCall) -> Any:
    x = call.item(0)
    if call.get("transA", 0):
        raise RefusalError("it transposes its input", "set transA to 0")
    weight = call.known(1, "weight") * np.asarray(call.get("alpha", 1.0), call.known(1, "weight").dtype)
    weight = weight if call.get("transB", 0) else weight.T
    bias: Item | None = None
    if call.has(2):
        array = call.known(2, "bias") * np.asarray(call.get("beta", 1.0), weight.dtype)
        if array.size not in (1, len(weight)) or array.shape[:-1] not in ((), (1,)):
            raise RefusalError(f"its bias has shape {array.shape}", "use one number for each column")
        bias = call.made(2, np.broadcast_to(array.ravel(), (len(weight),)))
    return call(A.linear.default, x, call.made(1, weight), bias)


def _matmul(call: OnnxCall) -> Any:
    if all(isinstance(call.item(i), torch.fx.Node) for i in (0, 1)):
        raise RefusalError(
            "it multiplies two tensors that depend on the image, as attention does",
            "use convolutions, sums and concatenations instead; weights of the accelerator are constants",
        )
    return call(A.matmul.default, call.item(0), call.item(1))


def _resize(call: OnnxCall) -> Any:
    x, shape = call.item(0), call.shape()
    scales, sizes = _sizes(call)
    mode = call.get("mode", "nearest")
    where = call.get("coordinate_transformation_mode", "half_pixel")
    if len(shape) not in (3, 4) or sizes[:2] != list(shape[:2]):
        raise RefusalError(f"it makes {tuple(sizes)} of {shape}", "change the height and width of maps only")
    smooth = mode == "linear" and where in ("half_pixel", "pytorch_half_pixel", "align_corners")
    if smooth and len(shape) == 4 and not call.get("antialias", 0):
        return call(A.upsample_bilinear2d.default, x, sizes[2:], where == "align_corners")
    if mode != "nearest":
        raise RefusalError(f"it interpolates ({mode}, {where})", "use the mode nearest, or linear with half_pixel")
    for axis in range(2, len(shape)):
        taken = _nearest(shape[axis], sizes[axis], scales[axis], where, call.get("nearest_mode", "round_prefer_floor"))
        if taken.tolist() != list(range(shape[axis])):
            x = call(A.index_select.default, x, axis, call.made(0, taken))
    return x


def _sizes(call: OnnxCall) -> tuple[list[float], list[int]]:
    """How many times as large a resized tensor is, and how large."""
    shape = call.shape()
    if call.get("axes") or call.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise RefusalError("it resizes some axes, or keeps the ratio of others", "give the sizes of all axes")
    given = call.numbers("sizes", 3) if call.has(3) else None
    if given:
        return [new / old for new, old in zip(given, shape, strict=True)], [int(size) for size in given]
    scales = [float(scale) for scale in call.known(2, "scale").ravel()]
    if len(scales) != len(shape):
        raise RefusalError("it has no scales", "check the model: onnx.checker")
    return scales, [int(np.floor(size * scale)) for size, scale in zip(shape, scales, strict=True)]


def _nearest(size: int, out: int, scale: float, where: str, mode: str) -> IntArray:
    """Which of `size` pixels each of `out` is, as the operator defines it."""
    i = np.arange(out)
    places = {
        "half_pixel": (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel": (i + 0.5) / scale - 0.5 if out > 1 else 0.0 * i,
        "half_pixel_symmetric": size / 2 * (1 - out / (scale * size)) + (i + 0.5) / scale - 0.5,
        "align_corners": i * ((size - 1) / (out - 1)) if out > 1 else 0.0 * i,
        "asymmetric": i / scale,
    }
    if where not in places:
        raise RefusalError(f"it samples as {where}", f"use one of {', '.join(places)}")
    rounded: dict[str, Callable[[Any], Any]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    taken: IntArray = np.clip(rounded[mode](places[where]), 0, size - 1).astype(np.int64)
    return taken


LAYERS: Mapping[str, Callable[[OnnxCall], Any]] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "GlobalAveragePool": _global(A.mean.dim),
    "GlobalMaxPool": _global(A.amax.default),
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Resize": _resize,
}
