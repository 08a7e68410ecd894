"""Softmax over a few tensors that lie side by side, such as the branches of selective kernels and split attention: the
share of each of two is the sigmoid of their difference, and that of each of several follows from softplus, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hwprm.frontend.arithmetic import scaled, summed
from hwprm.frontend.places import index_of
from hwprm.frontend.values import Activation, Index, Value
from hwprm.frontend.walk import Walk, shape_of
from hwprm.graph import Pointwise
from hwprm.graph.rules.imports import RefusalError

__all__ = ["FEW", "shares"]

Args = Mapping[str, Any]

#: Over as many tensors a softmax is taken apart: each but two costs a layer, and is rounded once more.
FEW = 4


def shares(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``softmax(x, dim)`` as ``sigmoid(x - log(sum of exp of the others))``.

    The logarithm of two is ``b + softplus(a - b)``, that of more is that of one and of the rest.
    """
    shape = shape_of(args["self"])
    axis = args["dim"] % len(shape) - 1
    if axis < 0 or not 2 <= shape[axis + 1] <= FEW:
        raise RefusalError(
            f"softmax over {shape[axis + 1]} entries inside the network is not supported",
            f"use it only behind the last layer, or over 2 to {FEW} entries, such as branches",
        )
    value = walk.activation(args["self"])
    others = _others(walk, value, shape[1:], axis)
    if others is None:
        value = _made(walk, node, value, shape[1:])
        others = _others(walk, value, shape[1:], axis)
    assert others is not None  # a tensor of its own shows all its samples once
    rest = others[0]
    for other in others[1:]:
        more = _function(walk, node, _difference(walk, node, rest, other), "softplus", (1.0, 20.0))
        rest = summed(walk, node, [other, more])
    own = Activation(name=value.name)
    share = _function(walk, node, _difference(walk, node, own, rest), "sigmoid")
    return Activation(name=share.name, index=value.index, view=value.view)


def _made(walk: Walk, node: torch.fx.Node, value: Activation, shape: tuple[int, ...]) -> Activation:
    """`value`, of `shape`, as a tensor of its own, all axes but the last two being its channels."""
    flat = (int(np.prod(shape[:-2])), *shape[-2:]) if len(shape) > 3 else shape
    index = index_of(walk.draft, value, shape).reshape(flat)
    name = walk.made(Activation(name=value.name, index=index, view=(node.name, str(node.target))), flat)
    return Activation(name=name, index=np.arange(1, index.size + 1).reshape(shape))


def _others(walk: Walk, value: Activation, shape: tuple[int, ...], axis: int) -> list[Activation] | None:
    """Tensors that hold, where the tensor of `value` has an entry, the other entries along `axis`: one tensor for each.

    None when the view leaves samples out, or shows some twice.
    """
    base = walk.draft.shapes[value.name]
    index = index_of(walk.draft, value, shape)
    if not np.array_equal(np.sort(index, axis=None), np.arange(1, int(np.prod(base)) + 1)):
        return None
    found = []
    for turn in range(1, shape[axis]):
        partner: Index = np.zeros(index.size, np.int64)
        partner[index.ravel() - 1] = np.roll(index, turn, axis).ravel()
        moved = Activation(name=value.name, index=partner.reshape(base), view=value.view)
        found.append(Activation(name=walk.made(moved, base)))
    return found


def _difference(walk: Walk, node: torch.fx.Node, one: Activation, other: Activation) -> Activation:
    return summed(walk, node, [one, scaled(walk, node, other, -1.0)])


def _function(
    walk: Walk, node: torch.fx.Node, value: Activation, name: str, numbers: tuple[float, ...] = ()
) -> Activation:
    point = Pointwise(name=walk.plain_name(node), inputs=(value.name,), function=name, numbers=numbers)
    return Activation(name=walk.draft.put(point))
