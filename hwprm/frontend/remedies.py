"""What to do about operators that people use and hwprm does not support."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REMEDIES"]

_RELU = "replace it by ReLU and retrain"
_POOL = "use max_pool2d, or a conv2d with stride"

#: What to do about operators that people use and hwprm does not support, by operator name without overload.
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(
        ("elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu", "relu6", "selu", "silu"),
        _RELU,
    ),
    **dict.fromkeys(("clamp", "clamp_min", "softplus", "tanh"), _RELU),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "avg_pool2d", "mean"), _POOL),
    "adaptive_max_pool2d": "use max_pool2d with a fixed kernel",
    **dict.fromkeys(("_native_batch_norm_legit_functional", "native_dropout"), "call model.eval() before exporting"),
    "add": "remove the residual connection: the network must be a chain",
    "cat": "remove the concatenation: the network must be a chain",
    **dict.fromkeys(
        ("group_norm", "instance_norm", "layer_norm", "native_group_norm", "native_layer_norm"),
        ("use batch norm, which folds into the layer before it"),
    ),
    **dict.fromkeys(("mul", "div", "sub"), "fold the constant into the layer before it, or normalise on the host"),
    **dict.fromkeys(("conv1d", "conv3d", "conv_transpose2d"), "use conv2d instead"),
    **dict.fromkeys(("permute", "transpose", "t"), "keep the order (batch, C, H, W) throughout"),
}
