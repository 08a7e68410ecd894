"""Products of a tensor and a function of itself, which are functions of one number: ``x * sigmoid(x)`` and its kind."""

from __future__ import annotations

import numpy as np
import torch

from hwprm.frontend.arithmetic import same_places, scaled
from hwprm.frontend.values import Activation
from hwprm.frontend.walk import Walk
from hwprm.graph import BatchNorm, Clamp, Node, Pointwise, Relu
from hwprm.graph.rules.arrays import Array
from hwprm.graph.rules.functions import Function

__all__ = ["gated", "uniform"]

#: Where functions are compared; they are told apart by what they do here.
X = np.concatenate([[-1000.0], np.linspace(-12.0, 12.0, 193), [1000.0]])
#: Differences that float32 constants such as 1 / 6 make.
CLOSE = 1e-5

#: What such products are.
KNOWN = ("silu", "hardswish", "mish", "gelu")


def gated(walk: Walk, node: torch.fx.Node, one: Activation, other: Activation) -> Activation | None:
    """The function of one number that the product of `one` and `other` is, if it is one of `KNOWN` or its multiple."""
    if not same_places(one, other):
        return None
    chains = [_chain(walk, value.name) for value in (one, other)]
    roots = [
        [value.name, *(part.inputs[0] for part in chain)] for value, chain in zip((one, other), chains, strict=True)
    ]
    root = next((name for name in roots[0] if name in roots[1]), None)
    if root is None:
        return None
    own = [chain[: names.index(root)] for chain, names in zip(chains, roots, strict=True)]
    values = _values(own[0]) * _values(own[1])
    for name in KNOWN:
        wanted = Function(name)(X)
        factor = float(np.round(values[-1] / wanted[-1], 4))
        if factor and np.allclose(values, factor * wanted, atol=CLOSE * abs(factor)):
            walk.draft.gates |= {part.name for part in (*own[0], *own[1])}
            point = Pointwise(name=walk.plain_name(node), inputs=(root,), function=name)
            made = Activation(name=walk.draft.put(point), index=one.index, view=one.view)
            return made if factor == 1 else scaled(walk, node, made, factor)
    return None


def _chain(walk: Walk, name: str) -> list[Node]:
    """The nodes from `name` back, as far as they are functions of one number."""
    nodes = {node.name: node for node in walk.draft.nodes}
    chain: list[Node] = []
    while isinstance(node := nodes.get(name), Pointwise | Clamp | Relu) or (node and uniform(node)):
        chain.append(node)
        name = node.inputs[0]
    return chain


def _values(chain: list[Node]) -> Array:
    """What `chain`, the last function first, makes of `X`."""
    values = X
    for part in reversed(chain):
        values = _applied(part, values)
    return values


def uniform(node: Node) -> tuple[float, float] | None:
    """The one number that `node` multiplies all channels by, and the one that it adds; None when it does not."""
    if not isinstance(node, BatchNorm) or not node.fixed:
        return None
    scale, shift = node.scale_and_shift()
    alike = bool((scale == scale[0]).all() and (shift == shift[0]).all())
    return (float(scale[0]), float(shift[0])) if alike else None


def _applied(node: Node, values: Array) -> Array:
    if line := uniform(node):
        return values * line[0] + line[1]
    return node.evaluate(values, shape=values.shape)
