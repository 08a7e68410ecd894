"""What to do about operators that people use and hwprm does not support, and why it does not."""

from __future__ import annotations

from collections.abc import Mapping

from hwprm.graph import OPERATORS

__all__ = ["ONNX_REMEDIES", "ONNX_WHY", "REMEDIES", "WHY"]

_FACTORS = "it divides by what it measures in each image, and factors of the accelerator are constants"
_PRODUCT = "it multiplies two tensors that depend on the image, and weights of the accelerator are constants"
_UNPOOL = "it puts values where an earlier pool found its maxima, and addresses of the accelerator are fixed"
_STEPS = "it runs once for every step of a sequence, and the accelerator runs each layer once for an image"
_LOOKUP = "it looks up a table by what it computed, and addresses of the accelerator are fixed"

#: Why operators are not supported, by operator name without overload.
WHY: Mapping[str, str] = {
    **dict.fromkeys(("group_norm", "instance_norm", "layer_norm", "native_group_norm", "native_layer_norm"), _FACTORS),
    "rms_norm": _FACTORS,
    **dict.fromkeys(("baddbmm", "bmm", "einsum", "scaled_dot_product_attention"), _PRODUCT),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), _UNPOOL),
    **dict.fromkeys(("gru", "lstm", "rnn_relu", "rnn_tanh"), _STEPS),
    "embedding": _LOOKUP,
}

_NORM = "use batch norm, which folds into the layer before it"
_CONVOLVE = "use convolutions, sums and concatenations instead"
_LAYERS = "use layers that are computed once for an image"

#: What to do about them, and about others: what supported ones say that they can stand for, and the rest.
REMEDIES: Mapping[str, str] = {
    **{name: remedy for kind in OPERATORS.values() for name, remedy in kind.replaces.items()},
    **dict.fromkeys(("_native_batch_norm_legit_functional", "native_dropout"), "call model.eval() before exporting"),
    **{name: _CONVOLVE for name, why in WHY.items() if why is _PRODUCT},
    **{name: _LAYERS for name, why in WHY.items() if why is _STEPS},
    **{name: _NORM for name, why in WHY.items() if why is _FACTORS},
    **{name: "use a transposed convolution or an upsampling" for name, why in WHY.items() if why is _UNPOOL},
    "embedding": "leave look-ups to the host",
}

#: The same for operators of ONNX.
ONNX_WHY: Mapping[str, str] = {
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization", "LayerNormalization"), _FACTORS),
    **dict.fromkeys(("LpNormalization", "MeanVarianceNormalization", "RMSNormalization"), _FACTORS),
    **dict.fromkeys(("Attention", "Einsum", "MultiHeadAttention"), _PRODUCT),
    **dict.fromkeys(("GRU", "LSTM", "Loop", "RNN", "Scan"), _STEPS),
    "MaxUnpool": _UNPOOL,
}
_STATIC = "quantise the model statically, in the format QDQ: quantize_static(..., quant_format=QuantFormat.QDQ)"
ONNX_REMEDIES: Mapping[str, str] = {
    **{name: _NORM for name, why in ONNX_WHY.items() if why is _FACTORS},
    **{name: _CONVOLVE for name, why in ONNX_WHY.items() if why is _PRODUCT},
    **{name: _LAYERS for name, why in ONNX_WHY.items() if why is _STEPS},
    "If": "export the branch that is taken: set what it depends on before",
    "MaxUnpool": "use a transposed convolution or an upsampling",
    **dict.fromkeys(("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QGemm"), _STATIC),
    **dict.fromkeys(("QLinearAdd", "QLinearConv", "QLinearGlobalAveragePool", "QLinearMatMul"), _STATIC),
    **dict.fromkeys(("BipolarQuant", "Trunc"), "quantise with Quant alone"),
}
