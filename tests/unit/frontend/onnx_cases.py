"""ONNX operators, each in small models: what tests compare with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from tests.support.onnx_models import node

__all__ = ["CASES", "RNG", "W"]

RNG = np.random.default_rng(5)
W = RNG.normal(size=(4, 2, 3, 3))
#: Name -> nodes, constants, and what else `made` takes. Maps are (2, 6, 6) where no shape is given.
CASES: dict[str, tuple[Sequence[onnx.NodeProto], Mapping[str, Any], dict[str, Any]]] = {
    "conv": ([node("Conv", "x w b", pads=[1, 0, 1, 0], strides=[2, 1])], {"w": W, "b": [0.1, 0.2, 0.3, 0.4]}, {}),
    "conv, uneven pads": ([node("Conv", "x w", pads=[0, 1, 2, 0], dilations=[2, 1])], {"w": W}, {}),
    "conv, same": ([node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], {"w": W}, {"shape": ("n", 2, 7, 6)}),
    "conv, same lower": ([node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 2])], {"w": W}, {}),
    "conv, groups": ([node("Conv", "x w", group=2)], {"w": W[:, :1]}, {}),
    "conv, sequence": ([node("Conv", "x w", pads=[1, 1])], {"w": W[:, :, 0]}, {"shape": ("n", 2, 9)}),
    "max pool": (
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)],
        {},
        {"shape": ("n", 2, 7, 7)},
    ),
    "max pool, uneven pads": (
        [node("Relu", "x"), node("MaxPool", "relu", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")],
        {},
        {},
    ),
    "average pool": ([node("AveragePool", "x", kernel_shape=[3, 2], pads=[1, 0, 1, 0], strides=[1, 2])], {}, {}),
    "average pool, counted": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 0, 0], count_include_pad=1)],
        {},
        {},
    ),
    "average pool, sequence": ([node("AveragePool", "x", kernel_shape=[3], strides=[3])], {}, {"shape": ("n", 2, 9)}),
    "global pools": (
        [node("GlobalAveragePool", "x"), node("GlobalMaxPool", "x"), node("Sub", "globalaveragepool globalmaxpool")],
        {},
        {},
    ),
    "batch norm": (
        [node("BatchNormalization", "x a b m v", epsilon=0.01)],
        {"a": [1.5, -2.0], "b": [0.1, 0.2], "m": [0.3, 0.4], "v": [0.5, 2.0]},
        {},
    ),
    "gemm": (
        [node("Gemm", "x w b", alpha=0.5, beta=2.0, transB=1)],
        {"w": RNG.normal(size=(3, 5)), "b": [[0.1, 0.2, 0.3]]},
        {"shape": ("n", 5)},
    ),
    "gemm, scalar bias": ([node("Gemm", "x w b")], {"w": RNG.normal(size=(5, 3)), "b": 0.5}, {"shape": ("n", 5)}),
    "matmul and add": (
        [node("MatMul", "x w"), node("Add", "matmul b")],
        {"w": RNG.normal(size=(5, 3)), "b": [0.1, 0.2, 0.3]},
        {"shape": ("n", 5)},
    ),
    "matmul of channels last": (
        [node("Transpose", "x", perm=[0, 2, 3, 1]), node("MatMul", "transpose w"), node("Add", "matmul b")],
        {"w": RNG.normal(size=(2, 3)), "b": [0.1, 0.2, 0.3]},
        {},
    ),
    "resize, nearest": ([node("Resize", "x - s", mode="nearest")], {"s": [1.0, 1.0, 2.0, 3.0]}, {}),
    "resize, asymmetric": (
        [
            node(
                "Resize",
                "x - s",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": [1.0, 1.0, 0.5, 0.5]},
        {},
    ),
    "resize, sizes": ([node("Resize", "x - - s", mode="nearest")], {"s": [1, 2, 12, 6]}, {"shape": (1, 2, 6, 6)}),
    "resize, linear": ([node("Resize", "x - s", mode="linear")], {"s": [1.0, 1.0, 2.0, 1.5]}, {}),
    "resize, corners": (
        [node("Resize", "x - - s", mode="linear", coordinate_transformation_mode="align_corners")],
        {"s": [1, 2, 11, 4]},
        {"shape": (1, 2, 6, 6)},
    ),
    "transposed": (
        [node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 0])],
        {"w": W.reshape(2, 4, 3, 3), "b": [0.1, 0.2, 0.3, 0.4]},
        {},
    ),
    "reflected": ([node("Pad", "x p", mode="reflect")], {"p": [0, 0, 1, 2, 0, 0, 2, 0]}, {}),
    "replicated": ([node("Pad", "x p", mode="edge")], {"p": [0, 0, 0, 1, 0, 0, 0, 1]}, {}),
    "circular": ([node("Pad", "x p", mode="wrap")], {"p": [0, 0, 0, 1, 0, 0, 3, 1]}, {"opset": 19}),
    "uneven nearest": ([node("Resize", "x - s", mode="nearest")], {"s": [1.0, 1.0, 1.5, 1.7]}, {}),
    "arithmetic": (
        [
            node("Neg", "x"),
            node("Mul", "neg two"),
            node("Div", "mul per"),
            node("Sub", "one div", "sub"),
            node("Add", "sub x"),
            node("Sum", "add x neg"),
            node("Mean", "sum add x"),
        ],
        {"two": 2.0, "per": [[[4.0]], [[-8.0]]], "one": 1.0},
        {},
    ),
    "larger and smaller": (
        [node("Max", "x zero"), node("Neg", "x"), node("Min", "max neg"), node("Max", "min x", "largest")],
        {"zero": 0.25},
        {},
    ),
    "relu and clip": (
        [
            node("Relu", "x"),
            node("Clip", "relu low high"),
            node("LeakyRelu", "x", alpha=0.1),
            node("Sub", "clip leakyrelu"),
        ],
        {"low": 0.1, "high": 0.5},
        {},
    ),
    "prelu": ([node("PRelu", "x s")], {"s": [[[0.25]], [[-0.5]]]}, {}),
    "functions": (
        [
            node("Sigmoid", "x"),
            node("Tanh", "x"),
            node("Elu", "x", alpha=0.5),
            node("Selu", "x"),
            node("Celu", "x", alpha=0.7),
            node("Softplus", "x"),
            node("HardSwish", "x"),
            node("Erf", "x"),
            node("Sin", "x"),
            node("Cos", "x"),
            node("Abs", "x"),
            node("Shrink", "x", lambd=0.3, bias=0.3),
            node("Sum", "sigmoid tanh elu selu celu softplus hardswish erf sin cos abs shrink"),
        ],
        {},
        {},
    ),
    "hard sigmoid": ([node("HardSigmoid", "x")], {}, {}),
    "hard sigmoid of a sixth": ([node("HardSigmoid", "x", alpha=1 / 6)], {}, {}),
    "mish": ([node("Mish", "x")], {}, {"opset": 18}),
    "gelu": (
        [node("Gelu", "x", "a"), node("Gelu", "x", "b", approximate="tanh"), node("Sub", "a b")],
        {},
        {"opset": 20},
    ),
    "silu in parts": ([node("Sigmoid", "x"), node("Mul", "x sigmoid")], {}, {}),
    "choice": (
        [
            node("Greater", "x c"),
            node("Where", "greater x c", "a"),
            node("Less", "x c"),
            node("Where", "less c x", "b"),
            node("GreaterOrEqual", "x c"),
            node("Where", "greaterorequal x c", "d"),
            node("LessOrEqual", "x c"),
            node("Where", "lessorequal x c", "e"),
            node("Sum", "a b d e"),
        ],
        {"c": 0.25},
        {},
    ),
    "views": (
        [
            node("Shape", "x", "shape"),
            node("Gather", "shape zero", "batch"),
            node("Unsqueeze", "batch zeros", "first"),
            node("Concat", "first rest", "wish", axis=0),
            node("Reshape", "x wish", "flat"),
            node("Reshape", "flat back", "map"),
            node("Transpose", "map", perm=[0, 1, 3, 2]),
            node("Transpose", "transpose", "again", perm=[0, 1, 3, 2]),
            node("Identity", "again"),
            node("Dropout", "identity"),
            node("Cast", "dropout", to=1),
            node("Flatten", "cast"),
        ],
        {"zero": 0, "zeros": [0], "rest": [-1], "back": [0, 2, 6, 6]},
        {},
    ),
    "squeezed": (
        [node("GlobalAveragePool", "x"), node("Squeeze", "globalaveragepool axes"), node("Unsqueeze", "squeeze axes")],
        {"axes": [2, 3]},
        {},
    ),
    "slices": (
        [
            node("Slice", "x start end axes step", "a"),
            node("Slice", "a last first axis back", "b"),
        ],
        {
            **{"start": [0, 1], "end": [6, 2**40], "axes": [2, -1], "step": [2, 2]},
            **{"last": [-1], "first": [-(2**40)], "axis": [1], "back": [-1]},
        },
        {},
    ),
    "split": ([node("Split", "x", "a b", axis=1), node("Concat", "b a", axis=1)], {}, {"opset": 13}),
    "split, uneven": (
        [node("Split", "x s", "a b", axis=2), node("Concat", "b a", axis=1)],
        {"s": [3, 3]},
        {"opset": 13},
    ),
    "split, by number": (
        [node("Split", "x", "a b", axis=1, num_outputs=2), node("Concat", "b a", axis=1)],
        {},
        {"opset": 18, "shape": ("n", 3, 6, 6)},
    ),
    "gather": ([node("Gather", "x i", axis=1)], {"i": [1, 0, -1]}, {}),
    "gather of one": ([node("Gather", "x i", axis=2), node("Conv", "gather w")], {"i": 3, "w": W[:, :, 0]}, {}),
    "pad": ([node("Pad", "x p"), node("Conv", "pad w")], {"p": [0, 0, 1, 1, 0, 0, 0, 2], "w": W}, {}),
    "pad by axes": ([node("Pad", "x p - a"), node("Conv", "pad w")], {"p": [1, 2], "a": [3], "w": W}, {"opset": 18}),
    "depth to space": ([node("DepthToSpace", "x", blocksize=2)], {}, {"shape": ("n", 8, 3, 3)}),
    "depth to space, columns first": (
        [node("DepthToSpace", "x", blocksize=2, mode="CRD")],
        {},
        {"shape": ("n", 8, 3, 3)},
    ),
    "space to depth": ([node("SpaceToDepth", "x", blocksize=2)], {}, {}),
    "reductions": (
        [
            node("ReduceMean", "x", axes=[2, 3], keepdims=1),
            node("ReduceMax", "x", axes=[2, 3]),
            node("ReduceMin", "x", axes=[-1, -2]),
            node("ReduceSum", "x axes"),
            node("Sum", "reducemean reducemax reducemin reducesum"),
        ],
        {"axes": [2, 3]},
        {},
    ),
    "expanded": (
        [node("GlobalAveragePool", "x"), node("Expand", "globalaveragepool s"), node("Add", "expand x")],
        {"s": [1, 2, 6, 6]},
        {"shape": (1, 2, 6, 6)},
    ),
    "response norm": ([node("Relu", "x"), node("LRN", "relu", size=3, alpha=0.5, beta=0.75, bias=0.5)], {}, {}),
    "powers": (
        [
            node("Relu", "x"),
            node("Sqrt", "relu"),
            node("Pow", "sqrt two"),
            node("Add", "pow one"),
            node("Reciprocal", "add"),
        ],
        {"two": 2.0, "one": 1.0},
        {},
    ),
    "shares of two": ([node("Softmax", "x", axis=1), node("Conv", "softmax w")], {"w": W}, {}),
    "tile": ([node("Tile", "x r")], {"r": [1, 2, 1, 1]}, {}),
}
