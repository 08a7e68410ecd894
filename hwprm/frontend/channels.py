"""Handlers of splits, and of views and permutations that reorder channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from hwprm.frontend.calls import check_axis, shape_of
from hwprm.frontend.values import Activation, Value
from hwprm.frontend.walk import Walk
from hwprm.graph import Channels
from hwprm.graph.rules.imports import RefusalError

__all__ = ["SPLITS", "choose", "part", "permute", "regroup", "split"]

Args = Mapping[str, Any]

#: Operators that return several tensors, each a run of channels.
SPLITS = (
    "aten.chunk.default",
    "aten.split.Tensor",
    "aten.split.sizes",
    "aten.split_with_sizes.default",
    "aten.tensor_split.indices",
    "aten.tensor_split.sections",
    "aten.unsafe_chunk.default",
    "aten.unsafe_split.Tensor",
)


def split(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """chunk, split: stands for the tensor that is split; `part` makes the pieces."""
    check_axis(shape_of(args["self"]), args["dim"], "it splits", "split channels (dim=1)")
    return walk.activation(args["self"])


def part(walk: Walk, node: torch.fx.Node, pieces: torch.fx.Node, index: int) -> Value:
    """Piece `index` of a split."""
    if pieces.name in walk.refused or not node.users:
        return walk.activation(pieces)
    sizes = [int(piece.shape[1]) for piece in pieces.meta["val"]]
    first = sum(sizes[:index])
    return choose(walk, node, pieces, range(first, first + sizes[index]))


def choose(walk: Walk, node: torch.fx.Node, source: torch.fx.Node, indices: Sequence[int]) -> Value:
    """The chosen channels of `source`; the tensor itself when it is all of them in order."""
    x = walk.activation(source)
    return _ordered(walk, node, x, indices, _channels(walk, source))


def regroup(walk: Walk, node: torch.fx.Node, source: torch.fx.Node) -> Value:
    """A view that splits the channel axis into several, or makes one of them again; None when it is no such view."""
    before, after = shape_of(source), shape_of(node)
    x = walk.activation(source, padded=True, ordered=True)
    if min(len(before), len(after)) < 4 or max(len(before), len(after)) < 5:
        return None
    inner = before[1:-2], after[1:-2]
    if str(before[0]) != str(after[0]) or before[-2:] != after[-2:] or math.prod(inner[0]) != math.prod(inner[1]):
        return None
    x = walk.activation(source, ordered=True)
    order = np.arange(before[1]) if x.order is None else x.order
    if len(after) == 4:
        return _ordered(walk, node, replace(x, order=None), order.ravel().tolist(), order.size)
    return replace(x, order=order.reshape(inner[1]))


def permute(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """permute and transpose of the axes into which a view has split the channels: what a channel shuffle is made of."""
    x = walk.activation(args["self"], padded=True, ordered=True)
    count = len(shape_of(args["self"]))
    axes = list(range(count))
    if "dims" in args:
        axes = [axis % count for axis in args["dims"]]
    else:
        a, b = args["dim0"] % count, args["dim1"] % count
        axes[a], axes[b] = axes[b], axes[a]
    if axes == list(range(count)):
        return x
    if x.order is None or axes[0] != 0 or axes[-2:] != [count - 2, count - 1]:
        raise RefusalError(
            f"it reorders the axes of {shape_of(args['self'])}",
            "keep the order (batch, C, H, W); only channels may move",
        )
    return replace(x, order=x.order.transpose([axis - 1 for axis in axes[1:-2]]))


def _channels(walk: Walk, source: torch.fx.Node) -> int:
    value = source.meta["val"]  # a split's value is the list of its pieces
    return sum(int(v.shape[1]) for v in value) if isinstance(value, list | tuple) else int(value.shape[1])


def _ordered(walk: Walk, node: torch.fx.Node, x: Activation, indices: Sequence[int], channels: int) -> Value:
    if list(indices) == list(range(channels)):
        return x
    return walk.add(Channels(name=walk.plain_name(node), inputs=(x.name,), indices=tuple(map(int, indices))))
