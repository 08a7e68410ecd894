"""Handlers of torch's calls, before and after `run_decompositions`: the operators' own, and those of spellings that
mean several operators, another one, or none: views, padding, arithmetic, splits.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend import arithmetic, channels, resize
from hwprm.frontend.calls import imported
from hwprm.frontend.findings import Severity
from hwprm.frontend.values import Activation, Value
from hwprm.frontend.walk import Handler, Walk
from hwprm.graph import Flatten, Unflatten
from hwprm.graph.rules.imports import RefusalError

__all__ = ["HANDLERS"]

Args = Mapping[str, Any]


def reshape(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """A view that flattens (batch, C, H, W), makes a map (batch, K, 1, 1) of a vector, or regroups channels."""
    source_node = args["input"] if "input" in args else args["self"]
    before, after = (tuple(n.meta["val"].shape) for n in (source_node, node))
    if before == after:
        return walk.activation(source_node, padded=True, ordered=True)
    regrouped = channels.regroup(walk, node, source_node)
    if regrouped is not None:
        return regrouped
    source = walk.activation(source_node)
    if len(before) < len(after) and before[2:] in ((), (1,)) and after[1:] in ((before[1], 1), (before[1], 1, 1)):
        if len(after) == 3:  # unsqueezing in steps
            return source
        return walk.add(Unflatten(name=walk.plain_name(node), inputs=(source.name,)))
    vector = 2 <= len(after) <= min(len(before), 3) and set(after[2:]) <= {1}  # squeezing (batch, K, 1, 1) in steps
    if not vector or str(after[0]) != str(before[0]):
        raise RefusalError(
            f"it makes {after} of {before}", "only flattening all but the batch is supported: torch.flatten(x, 1)"
        )
    return walk.add(Flatten(name=walk.plain_name(node), inputs=(source.name,)))


def pad(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Zero padding of height and width, kept aside until a conv2d takes it in."""
    source = walk.activation(args["self"], padded=True)
    mode = args.get("mode", "constant")
    if mode != "constant" or (args["value"] or 0) != 0:
        what = f"{mode} padding" if mode != "constant" else f"padding with {args['value']}"
        raise RefusalError(f"{what} is not supported", "use zero padding (padding_mode='zeros')")
    sizes = [*args["pad"], 0, 0, 0, 0]
    if min(sizes) < 0 or any(sizes[4:]) or ndim(args["self"]) != 4:
        raise RefusalError(f"padding {args['pad']} crops, or pads channels", "pad height and width by 0 or more")
    own = (sizes[2], sizes[3], sizes[0], sizes[1])  # torch lists the last axis first
    top, bottom, left, right = (a + b for a, b in zip(source.padding, own, strict=True))
    return Activation(name=source.name, padding=(top, bottom, left, right))


def dropout(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Nothing, in evaluation mode."""
    if args["train"]:
        raise RefusalError("it is in training mode", "call model.eval() before exporting")
    return walk.activation(args["input"], padded=True)


def same(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Operators that change neither value nor shape: clone, contiguous, detach, to(same type)."""
    source = args["input"] if "input" in args else args["self"]
    before, after = source.meta["val"], node.meta["val"]
    if before.dtype != after.dtype:
        raise RefusalError(f"it converts {before.dtype} to {after.dtype}", "keep one floating-point type throughout")
    if tuple(before.shape) != tuple(after.shape):
        raise RefusalError(f"it makes {tuple(after.shape)} of {tuple(before.shape)}", "keep the whole tensor")
    return walk.activation(source, padded=True, ordered=True)


def getitem(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """A piece of a split, or the values of a decomposed operator that returns several tensors.

    A loaded file unpacks values that nothing reads, too.
    """
    if str(args["0"].target) in channels.SPLITS:
        return channels.part(walk, node, args["0"], args["1"])
    if args["1"] != 0 and node.users and args["0"].name not in walk.refused:
        raise RefusalError("it reads the indices or statistics of an operator", "use only the operator's values")
    return walk.activation(args["0"], padded=True)


def host(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Softmax, argmax and the like: left to the host when nothing but the output follows."""
    name = str(node.target).split(".")[1].lstrip("_")
    if not leaves(node):
        raise RefusalError(f"{name} inside the network is not supported", "use it only behind the last layer")
    value = walk.activation(args["self"])
    walk.refuse(
        node.name,
        str(node.target),
        f"{name} behind the last layer is left to the host",
        "the accelerator returns the values before it",
        Severity.NOTE,
    )
    return value


def leaves(node: torch.fx.Node) -> bool:
    """Whether everything computed from `node` is an output or another operator of the host."""
    ready = all(user.op == "output" or str(user.target) in HOST for user in node.users)
    return ready and all(user.op == "output" or leaves(user) for user in node.users)


def in_place(handler: Handler, remedy: str) -> Handler:
    """`handler` for an operator that may also work in place."""

    def checked(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
        if str(node.target).split(".")[1].endswith("_") and shared(args["self"]):
            raise RefusalError("it overwrites a tensor that something else reads", remedy)
        return handler(walk, node, args)

    return checked


def shared(node: torch.fx.Node) -> bool:
    """Whether anything but one chain of views reads the memory of `node`."""
    if len(node.users) > 1:
        return True
    handler = HANDLERS.get(str(node.target))
    return handler in VIEWS and shared(node.all_input_nodes[0])


def ndim(node: Any) -> int:
    """Dimensions of an argument, batch included."""
    return int(node.meta["val"].ndim)


HOST = (
    "aten._log_softmax.default",
    "aten._softmax.default",
    "aten.argmax.default",
    "aten.log_softmax.int",
    "aten.sigmoid.default",
    "aten.softmax.int",
)

_IMPORTED = tuple(imported())

#: Handlers of operators whose results may share the memory of their input.
VIEWS: tuple[Handler, ...] = (
    channels.permute,
    channels.split,
    dropout,
    getitem,
    reshape,
    same,
    *(handler for entry, handler in _IMPORTED if entry.view),
)

HANDLERS: Mapping[str, Handler] = {
    **{
        target: in_place(handler, entry.in_place) if entry.in_place else handler
        for entry, handler in _IMPORTED
        for target in entry.targets
    },
    **dict.fromkeys(
        (
            "aten._unsafe_view.default",
            "aten.flatten.using_ints",
            "aten.reshape.default",
            "aten.squeeze.default",
            "aten.squeeze.dim",
            "aten.squeeze.dims",
            "aten.unflatten.int",
            "aten.unsqueeze.default",
            "aten.view.default",
        ),
        reshape,
    ),
    **dict.fromkeys(("aten.pad.default", "aten.constant_pad_nd.default"), pad),
    **dict.fromkeys(("aten.dropout.default", "aten.dropout_.default", "aten.feature_dropout.default"), dropout),
    "aten.alpha_dropout.default": dropout,
    **dict.fromkeys(
        (
            "aten._to_copy.default",
            "aten.alias.default",
            "aten.clone.default",
            "aten.contiguous.default",
            "aten.detach.default",
            "aten.detach_.default",
            "aten.lift_fresh_copy.default",
            "aten.to.device",
            "aten.to.dtype",
            "aten.to.dtype_layout",
        ),
        same,
    ),
    str(operator.getitem): getitem,
    **dict.fromkeys(HOST, host),
    **{
        f"aten.{name}{place}.{overload}": in_place(handler, "write x = x + y instead of x += y")
        for name, handler in (
            ("add", arithmetic.add),
            ("div", arithmetic.divide),
            ("mul", arithmetic.multiply),
            ("sub", arithmetic.subtract),
        )
        for place in ("", "_")
        for overload in ("Tensor", "Scalar")
    },
    **dict.fromkeys(("aten.div.Tensor_mode", "aten.div_.Tensor_mode"), arithmetic.divide),
    **dict.fromkeys(("aten.rsub.Scalar", "aten.rsub.Tensor"), arithmetic.reverse_subtract),
    "aten.neg.default": arithmetic.negate,
    "aten.index.Tensor": resize.index,
    **dict.fromkeys(channels.SPLITS, channels.split),
    **dict.fromkeys(("aten.permute.default", "aten.transpose.int"), channels.permute),
}
