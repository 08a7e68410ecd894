"""Handlers of calls that put samples elsewhere: views, permutations, slices, splits, flips, repetitions, stacks.

None of them makes a node. What such a call does is tried on the numbers of the samples: torch itself says where they
go, so all spellings are alike. `hwprm.frontend.places` makes operators of the result where somebody reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hwprm.frontend.places import in_squares, index_of
from hwprm.frontend.values import Activation, Constant, Index, Value, as_array
from hwprm.frontend.walk import Walk, shape_of, size_of
from hwprm.graph import Channels, Concat
from hwprm.graph.rules.arrays import Shape
from hwprm.graph.rules.imports import RefusalError

__all__ = [
    "FILLED",
    "RELABELLED",
    "RESHAPES",
    "SPLITS",
    "filled",
    "index",
    "join",
    "over_stack",
    "pad",
    "part",
    "relabel",
    "reshape",
    "split",
]

Args = Mapping[str, Any]

#: Calls that keep the order of the samples.
RESHAPES = (
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.reshape.default",
    "aten.reshape_as.default",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unflatten.int",
    "aten.unsqueeze.default",
    "aten.view.default",
    "aten.view_as.default",
)

#: Calls of one tensor that put its samples elsewhere, leave some out, repeat some.
RELABELLED = (
    "aten.channel_shuffle.default",
    "aten.expand.default",
    "aten.expand_as.default",
    "aten.flip.default",
    "aten.fliplr.default",
    "aten.flipud.default",
    "aten.index_select.default",
    "aten.mT.default",
    "aten.moveaxis.int",
    "aten.moveaxis.intlist",
    "aten.movedim.int",
    "aten.movedim.intlist",
    "aten.narrow.default",
    "aten.native_channel_shuffle.default",
    "aten.permute.default",
    "aten.reflection_pad1d.default",
    "aten.reflection_pad2d.default",
    "aten.repeat.default",
    "aten.repeat_interleave.self_int",
    "aten.replication_pad1d.default",
    "aten.replication_pad2d.default",
    "aten.roll.default",
    "aten.select.int",
    "aten.slice.Tensor",
    "aten.swapaxes.default",
    "aten.swapdims.default",
    "aten.t.default",
    "aten.tile.default",
    "aten.transpose.int",
    *(
        f"aten.{name}.{overload}"
        for name in (
            "_upsample_nearest_exact1d",
            "_upsample_nearest_exact2d",
            "upsample_nearest1d",
            "upsample_nearest2d",
        )
        for overload in ("default", "vec")
    ),
)

#: Calls that return several tensors, parts of one.
SPLITS = (
    "aten.chunk.default",
    "aten.split.Tensor",
    "aten.split.sizes",
    "aten.split_with_sizes.default",
    "aten.tensor_split.indices",
    "aten.tensor_split.sections",
    "aten.unbind.int",
    "aten.unsafe_chunk.default",
    "aten.unsafe_split.Tensor",
)

#: Calls that take the shape of a tensor, not its values.
FILLED = (
    "aten.full_like.default",
    "aten.new_full.default",
    "aten.new_ones.default",
    "aten.new_zeros.default",
    "aten.ones_like.default",
    "aten.zeros_like.default",
)

_BATCH = "keep the batch as the first axis: torch.flatten(x, 1)"


def reshape(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """A view that keeps the order of the samples."""
    source = node.all_input_nodes[0]
    if source.name in walk.refused:
        return walk.stand_in(node)
    x, before, after = walk.activation(source), shape_of(source), shape_of(node)
    if len(after) < 2 or after[0] != before[0]:
        raise RefusalError(f"it makes {after} of {before}: images are mixed", _BATCH)
    index = None if x.index is None else x.index.reshape(after[1:])
    return Activation(name=x.name, index=index, view=(node.name, str(node.target)))


def relabel(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Any call of one tensor that makes no new values."""
    return _tried(walk, node, node)


def index(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x[:, [2, 0, 1]]`` with constant numbers, and the rows and columns of which a decomposed upsampling consists."""
    tensors = [walk.constant(value, "index") for value in args["indices"] if value is not None]
    if any(tensor.dtype == torch.bool for tensor in tensors):
        raise RefusalError("it indexes with a mask", "choose channels by their numbers")
    return _tried(walk, node, node)


def filled(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """zeros_like and its kind: constants, the same ones for every image."""
    made = _carried_out(walk, node, {}).to(node.meta["val"].dtype)
    return Constant(tensor=made[:1] if made.ndim else made, origins=())


def split(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """chunk, split, unbind: stands for the tensor that is split; `part` makes the pieces."""
    return walk.activation(args["self"])


def part(walk: Walk, node: torch.fx.Node, pieces: torch.fx.Node, number: int) -> Value:
    """Piece `number` of a split."""
    return _tried(walk, node, pieces, number)


def pad(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Padding, also with what is inside, and cropping; zeros around a map wait for a conv2d that takes them in."""
    if args.get("mode", "constant") == "constant" and (args.get("value") or 0) != 0:
        problem = f"padding with {args['value']} is not supported"
        raise RefusalError(problem, "use zero padding (padding_mode='zeros'), or 'reflect', 'replicate', 'circular'")
    return _tried(walk, node, node)


def join(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """cat and stack: the tensors' channels one after the other, in the places that the call says."""
    parts, after = list(args["tensors"]), shape_of(node)
    stacked = "stack" in str(node.target)
    axis = args["dim"] % len(after) - 1
    if axis < 0 and stacked and all(over_stack(user) for user in node.users):
        axis = 0  # whoever reads it reduces just this axis
    elif axis < 0:
        raise RefusalError(f"it joins along axis 0 of {shape_of(parts[0])}, the batch", "join along another axis")
    if not stacked and axis == 0 and len(after) in (2, 4) and not any(_zeros(walk, part) for part in parts):
        size = after[2:]
        names = tuple(walk.place(part).name if _plain(walk, part) else _held(walk, node, part, size) for part in parts)
        return walk.add(Concat(name=walk.plain_name(node), inputs=names))
    values = [None if _zeros(walk, part) else _joined(walk, part) for part in parts]
    if len({walk.draft.shapes[value.name][1:] for value in values if value is not None}) > 1:
        shapes = ", ".join(str(shape_of(part)) for part in parts)
        problem = f"it joins along axis {axis + 1} tensors {shapes}, made of maps of different sizes"
        raise RefusalError(problem, "concatenate channels (dim=1)")
    indices: list[Index] = []
    made: list[str] = []
    offset = 0
    for part, value in zip(parts, values, strict=True):
        shape = shape_of(part)[1:]
        found = np.zeros(shape, np.int64) if value is None else index_of(walk.draft, value, shape)
        indices.append(np.where(found > 0, found + offset, 0))
        if value is not None:
            made.append(value.name)
            offset += math.prod(walk.draft.shapes[value.name])
    name = made[0]
    if len(made) > 1:
        name = walk.draft.put(Concat(name=walk.plain_name(node), inputs=tuple(made)))
    whole = (np.stack if stacked else np.concatenate)(indices, axis=axis)
    return Activation(name=name, index=whole, view=(node.name, str(node.target)))


def over_stack(node: torch.fx.Node) -> bool:
    """Whether `node` reduces the first axis, along which another call has stacked tensors: their mean, their sum."""
    named = dict(zip(("dim", "keepdim"), node.args[1:], strict=False)) | dict(node.kwargs)
    source = node.args[0]
    stacked = isinstance(source, torch.fx.Node) and str(source.target) == "aten.stack.default"
    reduced = str(node.target) in ("aten.mean.dim", "aten.sum.dim_IntList", "aten.amax.default", "aten.amin.default")
    first = isinstance(source, torch.fx.Node) and (source.args[1:] or (0,)) == (0,) and not source.kwargs
    return stacked and first and reduced and named.get("dim") in ([0], 0) and not named.get("keepdim")


def _held(walk: Walk, node: torch.fx.Node, part: torch.fx.Node, size: Shape) -> str:
    """Channels of `size` that hold the constant `part`: a channel of this size times 0, plus numbers."""
    array = as_array(walk.constant(part, "operand").to(torch.float64))
    numbers = array.reshape(*array.shape[:2], -1)
    if len(array) != 1 or (numbers != numbers[:, :, :1]).any():
        problem = f"it joins a constant {tuple(array.shape)} that differs from pixel to pixel"
        raise RefusalError(problem, "give a constant map as another input of forward()")
    like = next(made.name for made in walk.draft.nodes if walk.draft.shapes[made.name][1:] == size)
    name = walk.draft.put(Channels(name=walk.plain_name(node), inputs=(like,), indices=(0,) * array.shape[1]))
    return walk.draft.affine(node.name, name, np.zeros(array.shape[1]), numbers[0, :, 0])


def _joined(walk: Walk, node: torch.fx.Node) -> Activation:
    """`node` for joining: a tensor of the graph where operators make one of it, else the samples that it shows."""
    try:
        return Activation(name=walk.place(node).name)
    except RefusalError:
        return walk.activation(node)


def _plain(walk: Walk, node: torch.fx.Node) -> bool:
    return isinstance(walk.values.get(node.name), Activation)


def _zeros(walk: Walk, node: torch.fx.Node) -> bool:
    value = walk.values.get(node.name)
    return isinstance(value, Constant) and not value.tensor.any()


def _tried(walk: Walk, node: torch.fx.Node, call: torch.fx.Node, number: int | None = None) -> Activation:
    """What `call` (item `number` of it) does, done to the numbers of the samples of two images, or of the only one."""
    source = next(n for n in call.all_input_nodes if isinstance(walk.values.get(n.name), Activation))
    if source.name in walk.refused:
        return walk.stand_in(node)
    x, batch = walk.activation(source), shape_of(source)[0]
    if in_squares(walk.draft, x, shape_of(source)[1:]):
        x = walk.values[source.name] = Activation(name=walk.place(source).name)
    before = index_of(walk.draft, x, shape_of(source)[1:])
    span = int(before.max()) + 1
    images = np.stack([np.where(before > 0, before + span * i, 0) for i in range(batch)])
    # Not every call takes integers; these are exact in float64.
    tensor = torch.from_numpy(images).to(torch.float64)
    result = _carried_out(walk, call, {source.name: tensor})
    if number is not None:
        result = result[number]
    found = result.numpy().astype(np.int64)
    first = found[0] if found.ndim > 1 else found[:0]
    wanted = [np.where(first > 0, first + span * i, 0) for i in range(batch)]
    if found.ndim < 2 or len(found) != batch or not np.array_equal(found, np.stack(wanted)):
        shape = tuple(found.shape)
        raise RefusalError(f"it makes {shape} of {shape_of(source)}: images are mixed", _BATCH)
    return Activation(name=x.name, index=_index(walk, x, first), view=(node.name, str(call.target)))


def _index(walk: Walk, x: Activation, found: Index) -> Index | None:
    """`found`, None when it is all samples in their order."""
    whole = np.arange(1, math.prod(walk.draft.shapes[x.name]) + 1)
    return None if np.array_equal(found.ravel(), whole) else found


def _carried_out(walk: Walk, call: torch.fx.Node, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The result of `call` with `tensors` for its arguments, constants and sizes as they are."""

    def value(node: torch.fx.Node) -> Any:
        if node.name in tensors:
            return tensors[node.name]
        known = walk.values.get(node.name)
        if isinstance(known, Constant):
            walk.visited.update(known.origins)
            return known.tensor
        if isinstance(known, Activation):  # expand_as and the like read its shape
            return torch.zeros(shape_of(node), dtype=torch.float64)
        return size_of(node.meta["val"])

    args, kwargs = torch.fx.node.map_arg((call.args, call.kwargs), value)
    args = torch.utils._pytree.tree_map(lambda a: size_of(a) if isinstance(a, torch.SymInt) else a, args)
    assert callable(call.target)  # a call_function node
    return call.target(*args, **kwargs)
