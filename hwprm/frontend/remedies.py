"""What to do about operators that people use and hwprm does not support."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REMEDIES"]

_RELU = "replace it by ReLU, ReLU6 or hardtanh and retrain"

#: What to do about operators that people use and hwprm does not support, by operator name without overload.
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(
        ("elu", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "mish", "prelu", "selu", "silu", "softplus", "tanh"),
        _RELU,
    ),
    "adaptive_avg_pool1d": "use avg_pool2d, or x.mean((2, 3))",
    "adaptive_max_pool2d": "use max_pool2d with a fixed kernel",
    **dict.fromkeys(("_native_batch_norm_legit_functional", "native_dropout"), "call model.eval() before exporting"),
    "select": "slice instead: x[:, c : c + 1]",
    "stack": "concatenate channels: torch.cat(tensors, 1)",
    **dict.fromkeys(
        ("group_norm", "instance_norm", "layer_norm", "native_group_norm", "native_layer_norm"),
        ("use batch norm, which folds into the layer before it"),
    ),
    **dict.fromkeys(("mul", "div", "sub"), "fold the constant into the layer before it, or normalise on the host"),
    **dict.fromkeys(("conv1d", "conv3d", "conv_transpose2d"), "use conv2d instead"),
    **dict.fromkeys(("t", "swapaxes", "movedim"), "keep the order (batch, C, H, W) throughout"),
}
