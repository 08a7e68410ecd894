"""One handler per supported operator of torch's ATen, before and after `run_decompositions`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend import arithmetic, averages, channels, resize
from hwprm.frontend.findings import Severity
from hwprm.frontend.values import Activation, RefusalError, Value, as_array, pair
from hwprm.frontend.walk import Handler, Walk
from hwprm.graph import BatchNorm, Conv2d, Flatten, Linear, MaxPool2d, Relu, Unflatten

__all__ = ["HANDLERS"]

Args = Mapping[str, Any]


def conv(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """conv2d with integer padding, with 'same' or 'valid', and the decomposed convolution."""
    source = walk.activation(args["input"], padded=True)
    weight = walk.constant(args["weight"], "weight")
    bias = walk.constant(args["bias"], "bias") if args["bias"] is not None else weight.new_zeros(len(weight))
    if weight.ndim != 4 or args.get("transposed"):
        kind = "transposed" if args.get("transposed") else f"{weight.ndim - 2}-dimensional"
        raise RefusalError(f"it is a {kind} convolution", "use conv2d instead")
    if ndim(args["input"]) != 4:
        raise RefusalError("its input has no batch dimension", "export with an input (batch, C, H, W)")
    dilation = pair(args["dilation"])
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    inner = conv_padding(args["padding"], kernel, dilation)
    top, bottom, left, right = (a + b for a, b in zip(source.padding, inner, strict=True))
    return walk.add(
        Conv2d(
            name=walk.layer_name(node, args["weight"]),
            inputs=(source.name,),
            weight=as_array(weight),
            bias=as_array(bias),
            stride=pair(args["stride"]),
            padding=(top, bottom, left, right),
            dilation=dilation,
            groups=int(args["groups"]),
        )
    )


def conv_padding(padding: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of torch's padding argument; 'same' puts the odd one at the bottom and right."""
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
    rows, cols = (0, 0) if padding == "valid" else pair(padding)
    return rows, rows, cols, cols


def linear(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``linear(input, weight (M, K), bias)``."""
    return _linear(walk, node, args["input"], args["weight"], args["bias"], transposed=False)


def addmm(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``addmm(bias, input, weight (K, M))``: what linear decomposes to."""
    if args["beta"] != 1 or args["alpha"] != 1:
        raise RefusalError(f"beta is {args['beta']} and alpha {args['alpha']}", "use torch.nn.Linear")
    return _linear(walk, node, args["mat1"], args["mat2"], args["self"], transposed=True)


def mm(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``mm(input, weight (K, M))``: what linear without bias decomposes to."""
    other = args["mat2"] if "mat2" in args else args["other"]
    return _linear(walk, node, args["self"], other, None, transposed=True)


def _linear(walk: Walk, node: torch.fx.Node, source: Any, weight_arg: Any, bias_arg: Any, *, transposed: bool) -> Value:
    x = walk.activation(source)
    weight = walk.constant(weight_arg, "weight")
    if ndim(source) != 2 or weight.ndim != 2:
        raise RefusalError("it works on the last axis of a map", "flatten the map first (torch.flatten(x, 1))")
    weight = weight.t() if transposed else weight
    bias = walk.constant(bias_arg, "bias") if bias_arg is not None else weight.new_zeros(len(weight))
    if bias.shape != (len(weight),):
        raise RefusalError(f"its bias has shape {tuple(bias.shape)}", "use torch.nn.Linear")
    name = walk.layer_name(node, weight_arg)
    return walk.add(Linear(name=name, inputs=(x.name,), weight=as_array(weight), bias=as_array(bias)))


def relu(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """ReLU; it passes zero padding on, which it does not change."""
    source = walk.activation(args["self"], padded=True)
    _check_in_place(node, args, "use ReLU(inplace=False)")
    made = walk.add(Relu(name=walk.plain_name(node), inputs=(source.name,)))
    return Activation(name=made.name, padding=source.padding)


def checked(handler: Handler, remedy: str) -> Handler:
    """`handler` for an operator that may also work in place."""

    def wrapped(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
        _check_in_place(node, args, remedy)
        return handler(walk, node, args)

    return wrapped


def _check_in_place(node: torch.fx.Node, args: Args, remedy: str) -> None:
    """Raise RefusalError when an operator whose name ends in _ overwrites what something else reads."""
    if str(node.target).split(".")[1].endswith("_") and shared(args["self"]):
        raise RefusalError("it overwrites a tensor that something else reads", remedy)


def max_pool(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """max_pool2d; of the decomposed one only the values (item 0) may be used, see `getitem`."""
    if ndim(args["self"]) != 4:
        raise RefusalError("its input has no batch dimension", "export with an input (batch, C, H, W)")
    kernel = pair(args["kernel_size"])
    rows, cols = pair(args["padding"])
    source = walk.activation(args["self"], padded=True)
    if (rows, cols) != (0, 0) or args["ceil_mode"] or not walk.never_negative(source.name):
        source = walk.activation(args["self"])  # only then zeros ahead of it are as good as its own padding
    return walk.add(
        MaxPool2d(
            name=walk.plain_name(node),
            inputs=(source.name,),
            kernel=kernel,
            stride=pair(args["stride"]) if args["stride"] else kernel,
            padding=source.padding if any(source.padding) else (rows, rows, cols, cols),
            dilation=pair(args["dilation"]),
            ceil_mode=bool(args["ceil_mode"]),
        )
    )


def batch_norm(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Batch norm in evaluation mode, as exported or decomposed."""
    source = walk.activation(args["input"])
    if args.get("training") or args.get("running_mean") is None:
        raise RefusalError(
            "it normalises with the statistics of the batch",
            "call model.eval() before exporting and keep track_running_stats=True",
        )
    if ndim(args["input"]) not in (2, 4):
        raise RefusalError("it normalises a sequence", "use it on (batch, C, H, W) or (batch, K)")
    mean, var = walk.constant(args["running_mean"], "mean"), walk.constant(args["running_var"], "variance")
    weight = torch.ones_like(mean) if args["weight"] is None else walk.constant(args["weight"], "weight")
    bias = torch.zeros_like(mean) if args["bias"] is None else walk.constant(args["bias"], "bias")
    return walk.add(
        BatchNorm(
            name=walk.layer_name(node, args["running_mean"]),
            inputs=(source.name,),
            weight=as_array(weight),
            bias=as_array(bias),
            mean=as_array(mean),
            var=as_array(var),
            eps=float(args["eps"]),
        )
    )


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

#: Handlers of operators whose results may share the memory of their input.
VIEWS: tuple[Handler, ...] = (
    channels.narrow,
    channels.permute,
    channels.slice_channels,
    channels.split,
    dropout,
    getitem,
    reshape,
    same,
)

HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(("aten.conv2d.default", "aten.conv2d.padding", "aten.convolution.default"), conv),
    "aten.linear.default": linear,
    "aten.addmm.default": addmm,
    **dict.fromkeys(("aten.mm.default", "aten.matmul.default"), mm),
    **dict.fromkeys(("aten.relu.default", "aten.relu_.default"), relu),
    **dict.fromkeys(("aten.max_pool2d.default", "aten.max_pool2d_with_indices.default"), max_pool),
    **dict.fromkeys(
        (
            "aten.batch_norm.default",
            "aten._native_batch_norm_legit_no_training.default",
            "aten._native_batch_norm_legit.default",
            "aten._native_batch_norm_legit.no_stats",
            "aten.native_batch_norm.default",
        ),
        batch_norm,
    ),
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
        f"aten.{name}{place}.{overload}": checked(handler, "write x = x + y instead of x += y")
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
    **dict.fromkeys(
        (
            "aten._upsample_nearest_exact2d.default",
            "aten._upsample_nearest_exact2d.vec",
            "aten.upsample_nearest2d.default",
            "aten.upsample_nearest2d.vec",
        ),
        resize.upsample,
    ),
    "aten.index.Tensor": resize.index,
    **dict.fromkeys(("aten.cat.default", "aten.concat.default", "aten.concatenate.default"), channels.cat),
    **dict.fromkeys(channels.SPLITS, channels.split),
    "aten.slice.Tensor": channels.slice_channels,
    "aten.narrow.default": channels.narrow,
    "aten.index_select.default": channels.index_select,
    "aten.channel_shuffle.default": channels.channel_shuffle,
    **dict.fromkeys(("aten.permute.default", "aten.transpose.int"), channels.permute),
    "aten.avg_pool2d.default": averages.avg_pool,
    **dict.fromkeys(
        ("aten._adaptive_avg_pool2d.default", "aten.adaptive_avg_pool2d.default"), averages.adaptive_avg_pool
    ),
    "aten.adaptive_max_pool2d.default": averages.adaptive_max_pool,
    "aten.mean.dim": averages.mean,
    **dict.fromkeys(
        tuple(
            f"aten.{name}{place}.default"
            for name in ("clamp", "clamp_max", "clamp_min", "hardtanh", "relu6")
            for place in ("", "_")
        ),
        checked(averages.clamp, "use inplace=False"),
    ),
}
