"""Forms of ONNX models: channels last, of other exporters, with functions, names, free sizes, broken files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.frontend import Severity, check, load, to_graph
from hwprm.graph import Conv2d, Linear, Pointwise, Upsample, evaluate
from tests.support.onnx_models import assert_alike, inferred, made, node, normal_images
from tests.unit.frontend.onnx_cases import CASES, RNG, W


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
    graph, x = to_graph(load(file)), normal_images((2, 6, 8, 2))
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
    x = normal_images((9, 7)) * 3
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
    assert [type(part) for part in assert_alike(tmp_path / "model.onnx", (1, 2, 6, 6)).nodes[1:]] == [Pointwise]


def test_names_are_those_of_the_model(tmp_path: Path) -> None:
    nodes = [node("Conv", "x features.0.weight", "/features/conv"), node("Conv", "/features/conv w", "/tail/last/Conv")]
    graph = assert_alike(
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


def test_free_sizes_take_those_of_thenormal_images(tmp_path: Path) -> None:
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
