"""Handlers of choices between two values for each sample: all that a ReLU, a clamp and sums of them can say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hwprm.frontend.arithmetic import affine, constant_of, multiply, scaled, summed, varies
from hwprm.frontend.gates import gated
from hwprm.frontend.values import Activation, Comparison, Value
from hwprm.frontend.walk import Walk, shape_of
from hwprm.graph import Clamp, Pointwise, Relu
from hwprm.graph.rules.imports import RefusalError

__all__ = [
    "absolute",
    "between",
    "compare",
    "hard_sigmoid",
    "larger",
    "leaky",
    "masked",
    "maximum",
    "minimum",
    "product",
    "threshold",
    "where",
]

Args = Mapping[str, Any]

_REMEDY = "compare with a number, and choose that number or a multiple of the tensor: torch.where(x > 0, x, 0)"


def maximum(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``maximum(x, y)``: of a number a clamp, else ``y + relu(x - y)``."""
    return _larger(walk, node, (args["self"], args["other"]), 1.0)


def minimum(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``minimum(x, y)``: of a number a clamp, else ``y - relu(y - x)``."""
    return _larger(walk, node, (args["self"], args["other"]), -1.0)


def between(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``clamp(x, low, high)`` with tensors for ends."""
    value = walk.activation(args["self"])
    ends = []
    for key in ("min", "max"):
        end = args.get(key)
        array = None if end is None else constant_of(walk, end, "end")
        if array is not None and not (array == array.flat[0]).all():
            raise RefusalError("its ends differ from channel to channel", "clamp to two numbers")
        ends.append(None if array is None else float(array.flat[0]))
    return _clamped(walk, node, args["self"], value, ends[0], ends[1])


def absolute(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``|x|``: a LeakyReLU of slope -1."""
    return leaky(walk, node, {"self": args["self"], "negative_slope": -1.0})


def leaky(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """LeakyReLU and PReLU of slope s: a function of one number, or with a number for each channel
    ``relu(x) - s * relu(-x)``.
    """
    x = args["self"]
    slope = args.get("negative_slope", args.get("weight"))
    array = constant_of(walk, slope, "slope")
    if array.ndim == 1 and array.size > 1:  # PReLU's, one for each channel
        array = array.reshape(-1, *(1,) * (len(shape_of(x)) - 2))
    if array.size == 1:
        value, numbers = walk.activation(x), (float(array.flat[0]),)
        point = Pointwise(name=walk.plain_name(node), inputs=(value.name,), function="leaky_relu", numbers=numbers)
        return Activation(name=walk.draft.put(point), index=value.index, view=value.view)
    positive = _relu(walk, node, walk.activation(x))
    negative = _relu(walk, node, scaled(walk, node, walk.activation(x), -1.0))
    walk.values[node.name] = negative
    return summed(walk, node, [positive, affine(walk, node, node, -array, 0.0)])


def hard_sigmoid(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``clamp(x / 6 + 1 / 2, 0, 1)``."""
    value = affine(walk, node, args["self"], 1 / 6, 0.5)
    return _clamped(walk, node, None, value, 0.0, 1.0)


def threshold(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x if x > threshold else value``, where the two are one number."""
    if args["threshold"] != args["value"]:
        raise RefusalError(f"it jumps from {args['value']} to {args['threshold']}", "use ReLU or clamp")
    return _clamped(walk, node, args["self"], walk.activation(args["self"]), float(args["value"]), None)


def compare(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x > c`` and the like, for `where` to choose by."""
    above = str(node.target).split(".")[1] in ("gt", "ge")
    x, other = args["self"], args["other"]
    if not varies(walk, x):
        x, other, above = other, x, not above
    if varies(walk, other):
        raise RefusalError("it compares two tensors that depend on the image", _REMEDY)
    bound = constant_of(walk, other, "bound")
    if not (bound == bound.flat[0]).all():
        raise RefusalError("it compares with several numbers", _REMEDY)
    return Comparison(tensor=x, bound=float(bound.flat[0]), above=above)


def product(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x * (x > 0)``, which is a ReLU, ``x * sigmoid(x)`` and its kind, and products with constants."""
    found = [walk.values.get(part.name) for part in (args["self"], args["other"]) if isinstance(part, torch.fx.Node)]
    compared = next((value for value in found if isinstance(value, Comparison)), None)
    if compared is None:
        moving = [value for value in found if isinstance(value, Activation)]
        function = gated(walk, node, *moving) if len(moving) == 2 else None
        return function or multiply(walk, node, args)
    if compared.bound != 0 or compared.tensor not in (args["self"], args["other"]):
        raise RefusalError("it multiplies by another comparison than that with 0", _REMEDY)
    ends = (0.0, None) if compared.above else (None, 0.0)
    return _clamped(walk, node, compared.tensor, walk.activation(compared.tensor), *ends)


def where(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``where(x > c, x, c)`` and its kind, which are clamps, and ``where(x > 0, x, s * x)``, a LeakyReLU."""
    return _chosen(walk, node, args["condition"], args["self"], args["other"])


def masked(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x.masked_fill(x < c, c)``."""
    return _chosen(walk, node, args["mask"], args["value"], args["self"])


def _chosen(walk: Walk, node: torch.fx.Node, condition: Any, yes: Any, no: Any) -> Value:
    found = walk.values.get(condition.name) if isinstance(condition, torch.fx.Node) else None
    if not isinstance(found, Comparison):
        raise RefusalError("it chooses by a tensor that is no comparison", _REMEDY)
    if not found.above:
        yes, no = no, yes
    x = found.tensor
    if yes is x and not varies(walk, no) and (constant_of(walk, no, "value") == found.bound).all():
        return _clamped(walk, node, x, walk.activation(x), found.bound, None)
    if no is x and not varies(walk, yes) and (constant_of(walk, yes, "value") == found.bound).all():
        return _clamped(walk, node, x, walk.activation(x), None, found.bound)
    slope = _slope(walk, no, x)
    if yes is x and found.bound == 0 and slope is not None:
        return leaky(walk, node, {"self": x, "negative_slope": slope})
    raise RefusalError("it chooses other values than those it compares", _REMEDY)


def _slope(walk: Walk, node: Any, x: torch.fx.Node) -> float | None:
    """The number that `node` is a multiple of `x` by, if it is one."""
    if not isinstance(node, torch.fx.Node) or not str(node.target).startswith("aten.mul.") or x not in node.args:
        return None
    other = next((arg for arg in node.args if arg is not x), None)
    if other is None or varies(walk, other):
        return None
    array = constant_of(walk, other, "factor")
    return float(array.flat[0]) if array.size == 1 else None


def _larger(walk: Walk, node: torch.fx.Node, pair: tuple[Any, Any], sign: float) -> Value:
    """The larger of two operands (sign 1) or the smaller of them (-1)."""
    x, y = pair if varies(walk, pair[0]) else pair[::-1]
    if not varies(walk, y):
        array = constant_of(walk, y, "operand")
        value = walk.activation(x)
        if (array == array.flat[0]).all():
            bound = float(array.flat[0])
            return _clamped(walk, node, x, value, *((bound, None) if sign > 0 else (None, bound)))
        walk.values[node.name] = _relu(walk, node, affine(walk, node, x, sign, -sign * array))
        return affine(walk, node, node, sign, array)
    if shape_of(x) != shape_of(y):
        raise RefusalError(f"it broadcasts {shape_of(x)} and {shape_of(y)}", "compare tensors of one shape")
    return larger(walk, node, [walk.place(part).name for part in (x, y)], sign)


def larger(walk: Walk, node: torch.fx.Node, names: Sequence[str], sign: float = 1.0) -> Activation:
    """The largest (sign 1) of tensors of the graph, or the smallest (-1): of two ``y + relu(x - y)``."""
    b = Activation(name=names[0])
    for name in names[1:]:
        parts = [
            scaled(walk, node, value, factor) if factor < 0 else value
            for value, factor in ((Activation(name=name), sign), (b, -sign))
        ]
        more = _relu(walk, node, summed(walk, node, parts))
        b = summed(walk, node, [b, more if sign > 0 else scaled(walk, node, more, -1.0)])
    return b


def _relu(walk: Walk, node: torch.fx.Node, value: Activation) -> Activation:
    name = walk.draft.put(Relu(name=walk.plain_name(node), inputs=(value.name,)))
    return Activation(name=name, index=value.index, view=value.view)


def _clamped(
    walk: Walk, node: torch.fx.Node, x: torch.fx.Node | None, value: Activation, low: float | None, high: float | None
) -> Activation:
    """`value` clamped; where it holds zeros that this would change it is read as `x` first."""
    low, high = (None if end is None or math.isinf(end) else end for end in (low, high))
    padded = value.index is not None and not value.index.all()
    if padded and x is not None and not (low or 0) <= 0 <= (high or 0):
        value = Activation(name=walk.place(x).name)
    if (low, high) == (0, None):
        return _relu(walk, node, value)
    clamp = Clamp(name=walk.plain_name(node), inputs=(value.name,), low=low, high=high)
    return Activation(name=walk.draft.put(clamp), index=value.index, view=value.view)
