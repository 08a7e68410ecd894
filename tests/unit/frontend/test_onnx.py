"""ONNX models mean what onnxruntime makes of them, operator by operator and in all versions that are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.core.errors import UnsupportedError
from hwprm.frontend import load, to_graph
from hwprm.frontend.onnx_file import RULES
from hwprm.graph import evaluate
from tests.support.onnx_models import assert_alike, inferred, made, node, normal_images
from tests.unit.frontend.onnx_cases import CASES, W

#: Covered by tests of their own.
ELSEWHERE = {"ArgMax", "DequantizeLinear", "LogSoftmax", "Quant", "QuantizeLinear"}


@pytest.mark.parametrize("name", CASES)
def test_each_operator_means_what_onnxruntime_makes(name: str, tmp_path: Path) -> None:
    nodes, constants, more = CASES[name]
    shape = more.get("shape", ("n", 2, 6, 6))
    more = {key: value for key, value in more.items() if key != "shape"}
    file = made(tmp_path / "model.onnx", nodes, shape, constants, **more)
    if name == "matmul of channels last":  # a view behind the last layer is the host's: of channels last, here
        graph = to_graph(load(file))
        found = evaluate(graph, normal_images(shape).astype(np.float64))[graph.outputs[0]]
        np.testing.assert_allclose(found.transpose(0, 2, 3, 1), inferred(file, normal_images(shape))[0], atol=2e-5)
        return
    assert_alike(file, shape)


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
    assert_alike(made(tmp_path / "model.onnx", nodes, ("n", 2, 6, 6), constants, opset), ("n", 2, 6, 6))


@pytest.mark.parametrize("opset", [10, 22])
def test_other_versions_are_refused(opset: int, tmp_path: Path) -> None:
    file = made(tmp_path / "model.onnx", [node("Relu", "x")], (1, 2, 6, 6), opset=opset)
    with pytest.raises(UnsupportedError, match=f"is of opset {opset}, 11 to 21 are read; export it for one of these"):
        load(file)
