"""Handlers of powers, roots and reciprocals, and of divisions by them: what local response norm is written with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend.arithmetic import divide, multiplied, varies
from hwprm.frontend.gates import uniform
from hwprm.frontend.values import Activation, Value
from hwprm.frontend.walk import Walk, shape_of
from hwprm.graph import Pointwise
from hwprm.graph.rules.imports import RefusalError

__all__ = ["NAMED", "power", "quotient"]

Args = Mapping[str, Any]

#: Exponents of calls that have one of their own.
NAMED = {"sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1.0, "square": 2.0}


def power(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x ** exponent``, together with a factor and a number that are applied to x before."""
    exponent = NAMED.get(str(node.target).split(".")[1].rstrip("_"), args.get("exponent"))
    if not isinstance(exponent, int | float) or not isinstance(args["self"], torch.fx.Node):
        raise RefusalError("its exponent is a tensor", "raise to a power that is a number")
    value = walk.activation(args["self"])
    if value.index is not None and not value.index.all():  # zeros that it would change
        value = Activation(name=walk.place(args["self"]).name)
    scale, shift, source = _line(walk, value.name)
    above = scale >= 0 and shift >= 0 and walk.draft.never_negative(source)
    if exponent < 0 and not (above and shift > 0):
        raise RefusalError("it divides by what may be 0", "keep it away from 0: torch.relu(x) + 0.1 under the power")
    if exponent % 1 and not above:
        raise RefusalError("it takes the root of what may be negative", "use torch.relu(x) under the root")
    return _made(walk, node, source, (scale, shift, float(exponent)), value)


def quotient(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x / y``: by a constant, or by a power that is known to stay away from 0, which is one more product."""
    x, y = args["self"], args["other"]
    if args.get("rounding_mode") is not None or not varies(walk, y):
        return divide(walk, node, args)
    value = walk.activation(y)
    below = next((made for made in walk.draft.nodes if made.name == value.name), None)
    if not isinstance(below, Pointwise) or below.function != "power" or not varies(walk, x):
        return divide(walk, node, args)  # which refuses it
    scale, shift, exponent = below.numbers
    if not (walk.draft.never_negative(below.inputs[0]) and scale >= 0 and shift > 0):
        raise RefusalError("it divides by what may be 0", "keep it away from 0: x / (torch.relu(y) + 0.1) ** 0.5")
    walk.draft.gates.add(below.name)
    factor = _made(walk, node, below.inputs[0], (scale, shift, -exponent), value)
    return multiplied(walk, node, [walk.activation(x), factor], [shape_of(x), shape_of(y)])


def _line(walk: Walk, name: str) -> tuple[float, float, str]:
    """The factor and the number that make the tensor `name` of another one, and that one."""
    nodes = {made.name: made for made in walk.draft.nodes}
    scale, shift = 1.0, 0.0
    while name in nodes and (line := uniform(nodes[name])):
        walk.draft.gates.add(name)
        scale, shift, name = scale * line[0], shift + scale * line[1], nodes[name].inputs[0]
    return scale, shift, name


def _made(
    walk: Walk, node: torch.fx.Node, source: str, numbers: tuple[float, float, float], like: Activation
) -> Activation:
    point = Pointwise(name=walk.plain_name(node), inputs=(source,), function="power", numbers=numbers)
    return Activation(name=walk.draft.put(point), index=like.index, view=like.view)
