"""Small ONNX models, made of nodes written down in one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwprm.frontend import load, to_graph
from hwprm.graph import Graph, evaluate

__all__ = ["assert_alike", "inferred", "made", "node", "normal_images"]


def node(op: str, inputs: str, outputs: str = "", /, **attributes: Any) -> onnx.NodeProto:
    """A node called like its operator in small letters, whose output is called so where none is named."""
    name = outputs.split()[0] if outputs else op.lower()
    domain = "qonnx.custom_op.general" if op == "Quant" else ""
    domain = "ai.onnx.ml" if op in ("ZipMap", "ArrayFeatureExtractor", "Normalizer") else domain
    names = [part if part != "-" else "" for part in inputs.split()]
    return helper.make_node(op, names, outputs.split() or [name], name=name, domain=domain, **attributes)


def made(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """The file of a model of `nodes` on the input ``x`` of `shape`, batch included, whose last node's first output, or
    all outputs that nobody reads, leave it.
    """
    arrays = {name: _stored(np.asarray(value)) for name, value in (constants or {}).items()}
    read = {name for part in nodes for name in part.input}
    ends = [name for part in nodes for name in part.output if name and name not in read]
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [_output(name, part) for part in nodes for name in part.output if name in ends],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)]
    opsets += (
        [helper.make_opsetid("qonnx.custom_op.general", 1)] if any(part.op_type == "Quant" for part in nodes) else []
    )
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path)
    return path


def _stored(array: NDArray[Any]) -> NDArray[Any]:
    """`array` in the type that models keep it in: float32, int64, or integers of fewer bits as they are."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array if array.dtype.itemsize < 8 else array.astype(np.int64)


def _output(name: str, maker: onnx.NodeProto) -> onnx.ValueInfoProto:
    """The declaration of an output of `maker`."""
    if maker.op_type == "ZipMap":
        chances = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        return helper.make_value_info(name, helper.make_sequence_type_proto(chances))
    integers = maker.op_type == "Cast" or name != maker.output[0]
    kind = TensorProto.INT64 if integers and maker.op_type != "Split" else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, None)


def inferred(path: Path, x: NDArray[np.float32], *, plain: bool = False) -> list[NDArray[Any]]:
    """What onnxruntime makes of images `x`; `plain`: node by node, without joining any."""
    options = onnxruntime.SessionOptions()
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: x}))


def normal_images(shape: Sequence[int | str], seed: int = 1) -> NDArray[np.float32]:
    """Normal numbers in `shape`; where that leaves the batch free, three images."""
    sizes = [size if isinstance(size, int) else 3 for size in shape]
    return np.random.default_rng(seed).normal(size=sizes).astype(np.float32)


def assert_alike(file: Path, shape: Sequence[int | str]) -> Graph:
    """The model in `file` is what onnxruntime makes of images; its graph."""
    x = normal_images(shape)
    graph = to_graph(load(file))
    found = evaluate(graph, x.astype(np.float64).reshape(len(x), *graph.shapes[graph.input.name]))
    for name, wanted in zip(graph.outputs, inferred(file, x), strict=True):
        np.testing.assert_allclose(found[name].ravel(), wanted.ravel(), atol=2e-5, rtol=1e-5)
    return graph
