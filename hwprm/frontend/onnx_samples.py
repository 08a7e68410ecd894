"""ONNX operators that compute with each sample, put samples elsewhere or reduce axes, as calls of torch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hwprm.frontend.onnx_calls import Known, OnnxCall, shape_of
from hwprm.graph.rules.imports import RefusalError

__all__ = ["SAMPLES"]

A = torch.ops.aten
Rule = Callable[[OnnxCall], Any]

_FAR = np.iinfo(np.int32).max


def _plain(target: Any, **numbers: float) -> Rule:
    """`target` of the first input, with attributes and their defaults in the order of its arguments."""
    return lambda call: call(target, call.item(0), *(float(call.get(key, value)) for key, value in numbers.items()))


def _pair(target: Any) -> Rule:
    return lambda call: call(target, call.item(0), call.item(1))


def _chain(target: Any) -> Rule:
    """`target` of all inputs, two at a time."""

    def rule(call: OnnxCall) -> Any:
        total = call.item(0)
        for i in range(1, len(call.inputs)):
            total = call(target, total, call.item(i))
        return total

    return rule


def _mean_of_all(call: OnnxCall) -> Any:
    count = len(call.inputs)
    total = _chain(A.add.Tensor)(call)
    return total if count == 1 else call(A.div.Tensor, total, Known(array=np.asarray(count, np.float32)))


def _clip(call: OnnxCall) -> Any:
    ends = [call.numbers(key, i) for i, key in ((1, "min"), (2, "max"))]
    low, high = (float(end[0]) if end else None for end in ends)
    return call.item(0) if low is None and high is None else call(A.clamp.default, call.item(0), low, high)


def _prelu(call: OnnxCall) -> Any:
    slope, channels = call.known(1, "slope"), call.shape()[1]
    if slope.size not in (1, channels) or (slope.size > 1 and slope.shape[0] not in (1, channels)):
        raise RefusalError(f"its slope has shape {slope.shape}", "use one number, or one for each channel")
    return call(A.prelu.default, call.item(0), call.made(1, slope.ravel()))


def _hard_sigmoid(call: OnnxCall) -> Any:
    alpha, beta = float(call.get("alpha", 0.2)), float(call.get("beta", 0.5))
    if math.isclose(alpha, 1 / 6, abs_tol=1e-6) and beta == 0.5:
        return call(A.hardsigmoid.default, call.item(0))
    moved = call(A.add.Scalar, call(A.mul.Scalar, call.item(0), alpha), beta)
    return call(A.clamp.default, moved, 0.0, 1.0)


def _gelu(call: OnnxCall) -> Any:
    return call(A.gelu.default, call.item(0), approximate=call.get("approximate", "none"))


def _pow(call: OnnxCall) -> Any:
    exponent = call.known(1, "exponent")
    if exponent.size != 1:
        raise RefusalError("its exponents are several numbers", "raise to a power that is one number")
    return call(A.pow.Tensor_Scalar, call.item(0), float(exponent.ravel()[0]))


def _response_norm(call: OnnxCall) -> Any:
    """As torch writes it: a mean over channels that stand in an axis of their own."""
    x, shape, size = call.item(0), call.shape(), int(call.get("size"))
    if len(shape) != 4:
        raise RefusalError(f"its input has shape {shape}", "normalise maps (batch, C, H, W)")
    square = call(A.reshape.default, call(A.mul.Tensor, x, x), [shape[0], 1, *shape[1:]])
    padded = call(A.constant_pad_nd.default, square, [0, 0, 0, 0, (size - 1) // 2, size // 2], 0.0)
    mean = call(A.reshape.default, call(A.avg_pool3d.default, padded, [size, 1, 1], [1, 1, 1]), list(shape))
    scaled = call(A.mul.Scalar, mean, float(call.get("alpha", 1e-4)))
    under = call(A.add.Scalar, scaled, float(call.get("bias", 1.0)))
    return call(A.div.Tensor, x, call(A.pow.Tensor_Scalar, under, float(call.get("beta", 0.75))))


def _shrink(call: OnnxCall) -> Any:
    bias, width = float(call.get("bias", 0.0)), float(call.get("lambd", 0.5))
    if bias not in (0.0, width):
        raise RefusalError(f"it shrinks by {bias} outside of {width}", "use a bias of 0 or of lambd")
    return call(A.softshrink.default if bias else A.hardshrink.default, call.item(0), width)


def _cast(call: OnnxCall) -> Any:
    kind = _TYPES.get(int(call.get("to", 1)))
    if kind is None:
        raise RefusalError("it converts to a type that is no number", "keep floating-point numbers")
    return call(A.to.dtype, call.item(0), kind)


#: Types by their numbers in `onnx.TensorProto`.
_TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}


def _flatten(call: OnnxCall) -> Any:
    shape = call.shape()
    axis = int(call.get("axis", 1))
    axis = axis + len(shape) if axis < 0 else axis
    return call.reshaped([math.prod(shape[:axis]), math.prod(shape[axis:])])


def _reshape(call: OnnxCall) -> Any:
    wish, shape = [int(size) for size in call.known(1, "shape").ravel()], call.shape()
    if not call.get("allowzero", 0):
        wish = [shape[i] if size == 0 else size for i, size in enumerate(wish)]
    return call.reshaped(wish)


def _transpose(call: OnnxCall) -> Any:
    rank = len(call.shape())
    return call(A.permute.default, call.item(0), list(call.get("perm") or range(rank)[::-1]))


def _squeeze(call: OnnxCall) -> Any:
    shape, given = call.shape(), call.numbers("axes", 1)
    gone = [call.axis(axis) for axis in given] if given else [i for i, size in enumerate(shape) if size == 1]
    return call.reshaped([size for i, size in enumerate(shape) if i not in gone])


def _unsqueeze(call: OnnxCall) -> Any:
    shape, given = list(call.shape()), call.numbers("axes", 1) or []
    for axis in sorted(call.axis(axis, len(shape) + len(given)) for axis in given):
        shape.insert(axis, 1)
    return call.reshaped(shape)


def _concat(call: OnnxCall) -> Any:
    return call(A.cat.default, [call.item(i) for i in range(len(call.inputs))], int(call.get("axis", 0)))


def _split(call: OnnxCall) -> Any:
    axis = call.axis(int(call.get("axis", 0)))
    size, sizes = call.shape()[axis], call.numbers("split", 1)
    if sizes is None:
        each = -(-size // int(call.get("num_outputs", call.results)))
        sizes = [min(each, size - each * i) for i in range(call.results)]
    ends = np.cumsum(sizes)
    return tuple(
        call(A.slice.Tensor, call.item(0), axis, int(end - part), int(end))
        for part, end in zip(sizes, ends, strict=True)
    )


def _slice(call: OnnxCall) -> Any:
    x = call.item(0)
    starts, ends = call.numbers("starts", 1) or [], call.numbers("ends", 2) or []
    axes = call.numbers("axes", 3) or range(len(starts))
    steps = call.numbers("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis, size = call.axis(int(axis)), shape_of(x)[call.axis(int(axis))]
        # An end so far before the first is what counting down ends at.
        last = None if step < 0 and end < -size else int(max(min(end, _FAR), -_FAR))
        taken = range(size)[int(max(min(start, _FAR), -_FAR)) : last : int(step)]
        if taken == range(size):
            continue
        if step > 0 and len(taken):
            x = call(A.slice.Tensor, x, axis, taken.start, taken.stop, int(step))
        else:
            x = call(A.index_select.default, x, axis, Known(array=np.asarray(taken, np.int64)))
    return x


def _gather(call: OnnxCall) -> Any:
    axis, shape = call.axis(int(call.get("axis", 0))), call.shape()
    if isinstance(call.item(0), Known):
        raise RefusalError("it looks up a table by what it computed", "leave look-ups (embeddings) to the host")
    numbers = call.known(1, "index")
    numbers = np.where(numbers < 0, numbers + shape[axis], numbers).astype(np.int64)
    if numbers.ndim == 0:
        return call(A.select.int, call.item(0), axis, int(numbers))
    taken = call(A.index_select.default, call.item(0), axis, Known(array=numbers.ravel()))
    if numbers.ndim == 1:
        return taken
    return call(A.reshape.default, taken, [*shape[:axis], *numbers.shape, *shape[axis + 1 :]])


def _pad(call: OnnxCall) -> Any:
    rank, mode = len(call.shape()), call.get("mode", "constant")
    pads = [int(pad) for pad in call.numbers("pads", 1) or []]
    axes = [call.axis(int(axis)) for axis in (call.numbers("axes", 3) or range(rank))]
    before, behind = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], behind[axis] = pads[i], pads[i + len(axes)]
    around = [pad for axis in range(rank)[::-1] for pad in (before[axis], behind[axis])]
    while around and around[-2:] == [0, 0]:
        around = around[:-2]
    if not around:
        return call.item(0)
    if mode == "constant":
        given = call.numbers("value", 2)
        return call(A.constant_pad_nd.default, call.item(0), around, float(given[0]) if given else 0.0)
    named = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if len(around) == 2 and rank == 4:
        around = [*around, 0, 0]
    return call(A.pad.default, call.item(0), around, named[mode])


def _blocks(call: OnnxCall) -> tuple[int, ...]:
    """Batch, channels, height, width and size of blocks."""
    shape = call.shape()
    if len(shape) != 4:
        raise RefusalError(f"it reads {shape}", "use maps: (batch, C, H, W)")
    return (*shape, int(call.get("blocksize")))


def _depth_to_space(call: OnnxCall) -> Any:
    n, c, h, w, r = _blocks(call)
    if call.get("mode", "DCR") == "CRD":
        return call(A.pixel_shuffle.default, call.item(0), r)
    split = call(A.permute.default, call.reshaped([n, r, r, c // r**2, h, w]), [0, 3, 4, 1, 5, 2])
    return call(A.reshape.default, split, [n, c // r**2, h * r, w * r])


def _space_to_depth(call: OnnxCall) -> Any:
    n, c, h, w, r = _blocks(call)
    split = call(A.permute.default, call.reshaped([n, c, h // r, r, w // r, r]), [0, 3, 5, 1, 2, 4])
    return call(A.reshape.default, split, [n, c * r**2, h // r, w // r])


def _reduced(target: Any) -> Rule:
    def rule(call: OnnxCall) -> Any:
        axes = call.numbers("axes", 1)
        if not axes and call.get("noop_with_empty_axes", 0):
            return call.item(0)
        listed = [call.axis(int(axis)) for axis in axes] if axes else list(range(len(call.shape())))
        return call(target, call.item(0), listed, bool(call.get("keepdims", 1)))

    return rule


def _softmax(target: Any) -> Rule:
    return lambda call: call(target, call.item(0), int(call.get("axis", 1 if call.opset < 13 else -1)))


def _argmax(call: OnnxCall) -> Any:
    return call(A.argmax.default, call.item(0), int(call.get("axis", 0)), bool(call.get("keepdims", 1)))


def _expand(call: OnnxCall) -> Any:
    wish = np.broadcast_shapes(call.shape(), tuple(int(size) for size in call.known(1, "shape").ravel()))
    return call(A.expand.default, call.item(0), list(wish))


def _tile(call: OnnxCall) -> Any:
    return call(A.repeat.default, call.item(0), [int(n) for n in call.known(1, "repeats").ravel()])


SAMPLES: Mapping[str, Rule] = {
    "Abs": _plain(A.abs.default),
    "Add": _pair(A.add.Tensor),
    "ArgMax": _argmax,
    "Cast": _cast,
    "Celu": _plain(A.celu.default, alpha=1.0),
    "Clip": _clip,
    "Concat": _concat,
    "Cos": _plain(A.cos.default),
    "DepthToSpace": _depth_to_space,
    "Div": _pair(A.div.Tensor),
    "Dropout": lambda call: call.item(0),
    "Elu": _plain(A.elu.default, alpha=1.0),
    "Erf": _plain(A.erf.default),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Greater": _pair(A.gt.Tensor),
    "GreaterOrEqual": _pair(A.ge.Tensor),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(A.hardswish.default),
    "Identity": lambda call: call.item(0),
    "LeakyRelu": _plain(A.leaky_relu.default, alpha=0.01),
    "LRN": _response_norm,
    "Less": _pair(A.lt.Tensor),
    "LessOrEqual": _pair(A.le.Tensor),
    "LogSoftmax": _softmax(A.log_softmax.int),
    "Max": _chain(A.maximum.default),
    "Mean": _mean_of_all,
    "Min": _chain(A.minimum.default),
    "Mish": _plain(A.mish.default),
    "Mul": _pair(A.mul.Tensor),
    "Neg": _plain(A.neg.default),
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceMax": _reduced(A.amax.default),
    "ReduceMean": _reduced(A.mean.dim),
    "ReduceMin": _reduced(A.amin.default),
    "ReduceSum": _reduced(A.sum.dim_IntList),
    "Pow": _pow,
    "Reciprocal": _plain(A.reciprocal.default),
    "Relu": _plain(A.relu.default),
    "Reshape": _reshape,
    "Selu": _plain(A.elu.default, alpha=1.6732632423543772, gamma=1.0507009873554805),
    "Shrink": _shrink,
    "Sigmoid": _plain(A.sigmoid.default),
    "Sin": _plain(A.sin.default),
    "Slice": _slice,
    "Sqrt": _plain(A.sqrt.default),
    "Softmax": _softmax(A.softmax.int),
    "Softplus": _plain(A.softplus.default),
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _pair(A.sub.Tensor),
    "Sum": _chain(A.add.Tensor),
    "Tanh": _plain(A.tanh.default),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": lambda call: call(A.where.self, *(call.item(i) for i in range(3))),
}
