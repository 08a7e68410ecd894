"""ONNX models mean what onnxruntime makes of them, operator by operator; what is refused is named as in the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.frontend import Severity, check, load, to_graph
from hwprm.frontend.onnx_file import RULES
from hwprm.graph import Conv2d, Graph, Linear, Pointwise, Upsample, evaluate
from tests.support.onnx_models import inferred, made, node

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
    "tile": ([node("Tile", "x r")], {"r": [1, 2, 1, 1]}, {}),
}
#: Covered by tests of their own.
ELSEWHERE = {"ArgMax", "LogSoftmax", "Softmax"}


def _images(shape: Sequence[int | str], seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    sizes = [size if isinstance(size, int) else 3 for size in shape]
    return np.random.default_rng(seed).normal(size=sizes).astype(np.float32)


def _compared(file: Path, shape: Sequence[int | str]) -> Graph:
    """The graph of the model in `file`, which has been found to be what onnxruntime makes of images."""
    x = _images(shape)
    graph = to_graph(load(file))
    found = evaluate(graph, x.astype(np.float64).reshape(len(x), *graph.shapes[graph.input.name]))
    for name, wanted in zip(graph.outputs, inferred(file, x), strict=True):
        np.testing.assert_allclose(found[name].ravel(), wanted.ravel(), atol=2e-5, rtol=1e-5)
    return graph


@pytest.mark.parametrize("name", CASES)
def test_each_operator_means_what_onnxruntime_makes(name: str, tmp_path: Path) -> None:
    nodes, constants, more = CASES[name]
    shape = more.get("shape", ("n", 2, 6, 6))
    more = {key: value for key, value in more.items() if key != "shape"}
    file = made(tmp_path / "model.onnx", nodes, shape, constants, **more)
    if name == "matmul of channels last":  # a view behind the last layer is the host's: of channels last, here
        graph = to_graph(load(file))
        found = evaluate(graph, _images(shape).astype(np.float64))[graph.outputs[0]]
        np.testing.assert_allclose(found.transpose(0, 2, 3, 1), inferred(file, _images(shape))[0], atol=2e-5)
        return
    _compared(file, shape)


def test_every_rule_is_tried() -> None:
    tried = {part.op_type for nodes, _, _ in CASES.values() for part in nodes}
    assert set(RULES) - tried - ELSEWHERE == set()


@pytest.mark.parametrize("opset", range(11, 22))
def test_all_versions_of_operators_are_read(opset: int, tmp_path: Path) -> None:
    axes = {} if opset >= 13 else {"axes": [2, 3]}
    nodes = [
        node("Conv", "x w", pads=[1, 1, 1, 1]),
        node("Clip", "conv low"),
        node("GlobalAveragePool", "clip"),
        node("Squeeze", "globalaveragepool axes" if opset >= 13 else "globalaveragepool", **axes),
    ]
    constants = {"w": W, "low": -0.5, **({"axes": [2, 3]} if opset >= 13 else {})}
    _compared(made(tmp_path / "model.onnx", nodes, ("n", 2, 6, 6), constants, opset), ("n", 2, 6, 6))


@pytest.mark.parametrize("opset", [10, 22])
def test_other_versions_are_refused(opset: int, tmp_path: Path) -> None:
    file = made(tmp_path / "model.onnx", [node("Relu", "x")], (1, 2, 6, 6), opset=opset)
    with pytest.raises(UnsupportedError, match=f"is of opset {opset}, 11 to 21 are read; export it for one of these"):
        load(file)


def test_channels_that_come_last_are_read_first(tmp_path: Path) -> None:
    """As tf2onnx writes it: transposed in front, transposed behind."""
    nodes = [
        node("Transpose", "x", "front", perm=[0, 3, 1, 2]),
        node("Conv", "front w b", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Relu", "conv"),
        node("Transpose", "relu", "behind", perm=[0, 2, 3, 1]),
    ]
    file = made(tmp_path / "model.onnx", nodes, ("n", 6, 8, 2), {"w": W, "b": [0.1, 0.2, 0.3, 0.4]})
    notes = check(load(file), (2, 6, 8))
    assert [(note.node, note.severity) for note in notes] == [("x", Severity.NOTE), ("behind", Severity.NOTE)]
    assert "its channels come last in (6, 8, 2); give images of (2, 6, 8), channels first" in str(notes[0])
    graph, x = to_graph(load(file)), _images((2, 6, 8, 2))
    assert graph.input.shape == (2, 6, 8)
    found = evaluate(graph, x.transpose(0, 3, 1, 2).astype(np.float64))[graph.outputs[0]]
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), inferred(file, x)[0], atol=1e-5)
    with pytest.raises(ModelError, match=r"exported for images \(2, 6, 8\), not \(6, 8, 2\)"):
        to_graph(load(file), (6, 8, 2))


def test_a_perceptron_as_scikit_learn_writes_it(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "numbers", to=1),
        node("MatMul", "numbers coefficient"),
        node("Add", "matmul intercepts"),
        node("Relu", "add"),
        node("MatMul", "relu coefficient1", "second"),
        node("Add", "second intercepts1", "sums"),
        node("Softmax", "sums", "chances", axis=1),
        node("ArgMax", "chances", "best", axis=1),
        node("ArrayFeatureExtractor", "classes best", "labels"),
        node("Cast", "labels", "label", to=7),
        node("ZipMap", "chances", "table", classlabels_int64s=[3, 4, 5]),
    ]
    constants = {
        **{"coefficient": RNG.normal(size=(7, 6)), "intercepts": RNG.normal(size=(1, 6))},
        **{"coefficient1": RNG.normal(size=(6, 3)), "intercepts1": RNG.normal(size=(1, 3)), "classes": [3, 4, 5]},
    }
    file = made(tmp_path / "model.onnx", nodes, ("n", 7), constants)
    findings = check(load(file))
    assert {finding.severity for finding in findings} == {Severity.NOTE}, findings
    assert "chances (Softmax): Softmax behind the last layer is left to the host" in "\n".join(map(str, findings))
    graph = to_graph(load(file))
    assert [type(part) for part in graph.nodes if part.name != "x"].count(Linear) == 2
    x = _images((9, 7)) * 3
    found = evaluate(graph, x.astype(np.float64))[graph.outputs[0]]
    np.testing.assert_array_equal(found.argmax(1) + 3, inferred(file, x)[0].ravel())


def test_a_model_of_a_function_is_read(tmp_path: Path) -> None:
    """Exporters put modules into functions of the model's own."""
    helper = onnx.helper
    body = [node("Sigmoid", "a", "s"), node("Mul", "a s", "b")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Swish", ["a"], ["b"], body, opsets)
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2, 6, 6]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Swish", ["x"], ["y"], domain="own")], "g", info[:1], info[1:])
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    assert [type(part) for part in _compared(tmp_path / "model.onnx", (1, 2, 6, 6)).nodes[1:]] == [Pointwise]


def test_names_are_those_of_the_model(tmp_path: Path) -> None:
    nodes = [node("Conv", "x features.0.weight", "/features/conv"), node("Conv", "/features/conv w", "/tail/last/Conv")]
    graph = _compared(
        made(
            tmp_path / "model.onnx",
            nodes,
            ("n", 2, 6, 6),
            {"features.0.weight": W, "w": RNG.normal(size=(2, 4, 1, 1))},
        ),
        ("n", 2, 6, 6),
    )
    assert [part.name for part in graph.nodes if isinstance(part, Conv2d)] == ["features.0", "last"]


def test_upsampling_is_one_node(tmp_path: Path) -> None:
    nodes, constants, _ = CASES["resize, nearest"]
    graph = to_graph(load(made(tmp_path / "model.onnx", nodes, ("n", 2, 6, 6), constants)))
    assert [part.factors for part in graph.nodes if isinstance(part, Upsample)] == [(2, 3)]


REFUSED: dict[str, tuple[Sequence[onnx.NodeProto], Mapping[str, Any], str]] = {
    "unknown": ([node("Sqrt", "x")], {}, r"sqrt \(Sqrt\): this operator is not supported; use "),
    "norm": (
        [node("InstanceNormalization", "x a a", "norm"), node("Relu", "norm")],
        {"a": [1.0, 1.0]},
        r"^norm \(InstanceNormalization\): this operator is not supported: it divides by .*; use batch norm, which",
    ),
    "quantised": (
        [node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "d")],
        {"s": 0.5},
        r"^q \(QuantizeLinear\): .*; export the float network: hwprm quantises it itself$",
    ),
    "product": (
        [node("Transpose", "x", perm=[0, 1, 3, 2]), node("MatMul", "x transpose", "scores")],
        {},
        r"^scores \(MatMul\): it multiplies two tensors that depend on the image, as attention does; use conv",
    ),
    "shape": ([node("Conv", "x w")], {"w": W[:, :1]}, r"^conv \(Conv\): it does not fit its inputs \(.*\); check"),
    "transposed input": ([node("Gemm", "x w", transA=1)], {"w": W[0, 0]}, r"it transposes its input; set transA to 0"),
    "cubic": (
        [node("Resize", "x - s", mode="cubic")],
        {"s": [1.0, 1.0, 2.0, 2.0]},
        r"^resize \(Resize\): it interpolates \(cubic, half_pixel\); use the mode nearest",
    ),
    "places of maxima": (
        [node("MaxPool", "x", "y i", kernel_shape=[2, 2])],
        {},
        r"it returns the places of its maxima; use the values only",
    ),
    "computed shape": (
        [node("Reshape", "x x", "reshaped")],
        {},
        r"reshaped \(Reshape\): its shape is computed from the image; use a constant as shape",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named_as_in_the_model(name: str, tmp_path: Path) -> None:
    nodes, constants, wanted = REFUSED[name]
    errors = [
        f for f in check(load(made(tmp_path / "m.onnx", nodes, ("n", 2, 6, 6), constants))) if f.severity == "error"
    ]

    assert any(re.search(wanted, str(error)) for error in errors), errors
    assert len(errors) == 1, errors


def test_free_sizes_take_those_of_the_images(tmp_path: Path) -> None:
    file = made(tmp_path / "model.onnx", [node("Conv", "x w")], ("n", 2, "h", "w"), {"w": W})
    with pytest.raises(UnsupportedError, match=r"the size \(1, 2, '\?', '\?'\) of the input 'x' is left free; export"):
        load(file)
    assert to_graph(load(file, (2, 8, 7))).input.shape == (2, 8, 7)


def test_broken_files_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken.onnx is no ONNX model that can be read \(.*\); export it again"):
        load(tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match="is no file; give the path of an ONNX model"):
        load(tmp_path / "none.onnx")
