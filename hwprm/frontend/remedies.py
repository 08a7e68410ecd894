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
    **dict.fromkeys(("_native_batch_norm_legit_functional", "native_dropout"), "call model.eval() before exporting"),
    "select": "slice instead: x[:, c : c + 1]",
    "stack": "concatenate channels: torch.cat(tensors, 1)",
    **dict.fromkeys(
        ("group_norm", "instance_norm", "layer_norm", "native_group_norm", "native_layer_norm"),
        ("use batch norm, which folds into the layer before it"),
    ),
    **dict.fromkeys(("conv1d", "conv3d"), "use conv2d instead"),
    "conv_transpose2d": "use nearest upsampling and a conv2d instead",
    **dict.fromkeys(
        ("upsample_bicubic2d", "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d"),
        "use nearest upsampling of maps by whole numbers: Upsample(scale_factor=2, mode='nearest')",
    ),
    **dict.fromkeys(("t", "swapaxes", "movedim"), "keep the order (batch, C, H, W) throughout"),
}
