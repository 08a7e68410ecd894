"""What is refused of ONNX models is named as in the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

from hwprm.frontend import check, load
from tests.support.onnx_models import made, node
from tests.unit.frontend.onnx_cases import W

REFUSED: dict[str, tuple[Sequence[onnx.NodeProto], Mapping[str, Any], str]] = {
    "unknown": ([node("Exp", "x")], {}, r"exp \(Exp\): this operator is not supported; use "),
    "norm": (
        [node("InstanceNormalization", "x a a", "norm"), node("Relu", "norm")],
        {"a": [1.0, 1.0]},
        r"^norm \(InstanceNormalization\): this operator is not supported: it divides by .*; use batch norm, which",
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
