"""Handlers of torch's calls, before and after `run_decompositions`: the operators' own, and those of spellings that
mean several operators, another one, or none: views, padding, arithmetic, splits.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend import arithmetic, choices, powers, reductions, views
from hwprm.frontend.calls import imported
from hwprm.frontend.findings import Severity
from hwprm.frontend.program import refused, rounded
from hwprm.frontend.shares import shares
from hwprm.frontend.transposed import either, transposed
from hwprm.frontend.values import Activation, Comparison, Value
from hwprm.frontend.walk import Handler, Walk
from hwprm.graph.rules.imports import RefusalError

__all__ = ["HANDLERS"]

Args = Mapping[str, Any]


def dropout(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Nothing, in evaluation mode."""
    if args["train"]:
        raise RefusalError("it is in training mode", "call model.eval() before exporting")
    return walk.activation(args["input"])


def same(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Operators that change neither value nor shape: clone, contiguous, detach, to(same type), floats of integers."""
    source = node.all_input_nodes[0]
    before, after = source.meta["val"], node.meta["val"]
    if isinstance(known := walk.values.get(source.name), Comparison):
        return known
    if before.dtype != after.dtype and (before.dtype.is_floating_point or not after.dtype.is_floating_point):
        raise RefusalError(f"it converts {before.dtype} to {after.dtype}", "keep one floating-point type throughout")
    if tuple(before.shape) != tuple(after.shape):
        raise RefusalError(f"it makes {tuple(after.shape)} of {tuple(before.shape)}", "keep the whole tensor")
    return walk.activation(source)


def getitem(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """A piece of a split, or the values of a decomposed operator that returns several tensors.

    A loaded file unpacks values that nothing reads, too.
    """
    if str(args["0"].target) in views.SPLITS:
        return views.part(walk, node, args["0"], args["1"])
    if args["1"] != 0 and node.users and args["0"].name not in walk.refused:
        raise RefusalError("it reads the indices or statistics of an operator", "use only the operator's values")
    return walk.activation(args["0"])


def host(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Softmax, argmax and the like: left to the host when nothing but the output follows. Elsewhere those that are
    functions of one number are looked up in tables.
    """
    name = str(node.target).split(".")[1].lstrip("_")
    _, name = walk.program.titles.get(node.name, ("", name))
    if not leaves(node):
        if str(node.target) in SHARES:
            return shares(walk, node, args)
        if str(node.target) in TABLES:
            return TABLES[str(node.target)](walk, node, args)
        raise RefusalError(f"{name} inside the network is not supported", "use it only behind the last layer")
    place = walk.place(args["self"])
    walk.refuse(
        node.name,
        str(node.target),
        f"{name} behind the last layer is left to the host",
        "the accelerator returns the values before it",
        Severity.NOTE,
    )
    walk.read[node.name] = place
    return Activation(name=place.name)


def quantised(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """What other files call for torch's fake quantisation, with arguments by their place."""
    names = ("self", "scale", "zero_point", "quant_min", "quant_max")
    return _FAKE(walk, node, dict(zip(names, node.args, strict=True)))


def taken_back(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """A quantised activation as a number again, which it has been all along."""
    made = node.all_input_nodes[0]
    while made.all_input_nodes and "quantize_per_tensor" not in str(made.target):
        made = made.all_input_nodes[0]
    if "quantize_per_tensor" not in str(made.target) or made.args[1:3] != node.args[1:3]:
        raise RefusalError("it takes back another scale or zero point", "dequantize with those of the quantize before")
    return walk.activation(args["input"])


def refuse(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """What a reader refused already; what reads such a thing gets no finding for that alone."""
    if any(source.name in walk.refused for source in node.all_input_nodes):
        return walk.stand_in(node)
    raise RefusalError(args["problem"], args["remedy"])


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


HOST = (
    "aten._log_softmax.default",
    "aten._softmax.default",
    "aten.argmax.default",
    "aten.log_softmax.int",
    "aten.sigmoid.default",
    "aten.softmax.int",
    "aten.tanh.default",
)

#: Those that are taken apart inside the network where there are few entries.
SHARES = ("aten._softmax.default", "aten.softmax.int")

_IMPORTED = tuple(imported())

#: Handlers, inside the network, of what the host may do behind it.
TABLES: Mapping[str, Handler] = {
    target: handler for entry, handler in _IMPORTED for target in entry.targets if target in HOST
}

_CONVOLUTION = next(handler for entry, handler in _IMPORTED if "aten.convolution.default" in entry.targets)

_FAKE = next(handler for entry, handler in _IMPORTED if "aten.fake_quantize_per_tensor_affine.default" in entry.targets)

#: Handlers of operators whose results may share the memory of their input.
VIEWS: tuple[Handler, ...] = (
    dropout,
    getitem,
    same,
    views.relabel,
    views.reshape,
    views.split,
    *(handler for entry, handler in _IMPORTED if entry.view),
)

HANDLERS: Mapping[str, Handler] = {
    **{
        target: in_place(handler, entry.in_place) if entry.in_place else handler
        for entry, handler in _IMPORTED
        for target in entry.targets
    },
    "aten.conv_transpose2d.input": transposed,
    "aten.convolution.default": either(_CONVOLUTION),
    **dict.fromkeys(views.RESHAPES, views.reshape),
    **dict.fromkeys(views.RELABELLED, views.relabel),
    **dict.fromkeys(views.SPLITS, views.split),
    **dict.fromkeys(views.FILLED, views.filled),
    **dict.fromkeys(("aten.pad.default", "aten.constant_pad_nd.default"), views.pad),
    **dict.fromkeys((f"aten.{name}.default" for name in ("cat", "concat", "concatenate", "stack")), views.join),
    **dict.fromkeys(("aten.index.Tensor", "aten._unsafe_index.Tensor"), views.index),
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
            "aten.to.other",
            "aten.type_as.default",
        ),
        same,
    ),
    **dict.fromkeys(
        (f"quantized_decomposed.dequantize_per_tensor.{overload}" for overload in ("default", "tensor")), taken_back
    ),
    str(rounded): quantised,
    str(operator.getitem): getitem,
    str(refused): refuse,
    **dict.fromkeys(HOST, host),
    **{
        f"aten.{name}{place}.{overload}": in_place(handler, "write x = x + y instead of x += y")
        for name, handler in (
            ("add", arithmetic.add),
            ("div", powers.quotient),
            ("mul", choices.product),
            ("sub", arithmetic.subtract),
        )
        for place in ("", "_")
        for overload in ("Tensor", "Scalar")
    },
    **dict.fromkeys(("aten.div.Tensor_mode", "aten.div_.Tensor_mode"), arithmetic.divide),
    "aten.pow.Tensor_Scalar": powers.power,
    **dict.fromkeys((f"aten.{name}.default" for name in powers.NAMED), powers.power),
    **dict.fromkeys(("aten.rsub.Scalar", "aten.rsub.Tensor"), arithmetic.reverse_subtract),
    "aten.neg.default": arithmetic.negate,
    "aten.avg_pool3d.default": reductions.across,
    **dict.fromkeys(("aten.mean.dim", "aten.mean.default"), reductions.mean),
    **dict.fromkeys(("aten.sum.dim_IntList", "aten.sum.default"), reductions.total),
    **dict.fromkeys(("aten.amax.default", "aten.max.dim"), reductions.largest),
    **dict.fromkeys(("aten.amin.default", "aten.min.dim"), reductions.smallest),
    **dict.fromkeys(("aten.maximum.default", "aten.max.other", "aten.fmax.default"), choices.maximum),
    **dict.fromkeys(("aten.minimum.default", "aten.min.other", "aten.fmin.default"), choices.minimum),
    **dict.fromkeys(
        ("aten.clamp.Tensor", "aten.clamp_max.Tensor", "aten.clamp_min.Tensor", "aten.clip.Tensor"), choices.between
    ),
    "aten.abs.default": choices.absolute,
    **dict.fromkeys(
        ("aten.leaky_relu.default", "aten.leaky_relu_.default", "aten.prelu.default", "aten._prelu_kernel.default"),
        in_place(choices.leaky, "use inplace=False"),
    ),
    **dict.fromkeys(
        ("aten.hardsigmoid.default", "aten.hardsigmoid_.default"), in_place(choices.hard_sigmoid, "use inplace=False")
    ),
    **dict.fromkeys(
        ("aten.threshold.default", "aten.threshold_.default"), in_place(choices.threshold, "use inplace=False")
    ),
    **{
        f"aten.{name}.{overload}": choices.compare
        for name in ("ge", "gt", "le", "lt")
        for overload in ("Scalar", "Tensor")
    },
    **dict.fromkeys(
        ("aten.where.self", "aten.where.Scalar", "aten.where.ScalarOther", "aten.where.ScalarSelf"), choices.where
    ),
    **dict.fromkeys(("aten.masked_fill.Scalar", "aten.masked_fill.Tensor"), choices.masked),
}
