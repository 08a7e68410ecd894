"""ONNX models in: a file to a program of torch's calls.

Constants are folded by the operators' reference of the package onnx; all else is looked up in the tables of rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwprm.core.errors import ModelError, ToolError, UnsupportedError
from hwprm.frontend.onnx_calls import Growing, Item, Known, OnnxCall, shape_of
from hwprm.frontend.onnx_layers import LAYERS
from hwprm.frontend.onnx_quantised import DOMAINS, QUANTISED, folded
from hwprm.frontend.onnx_samples import SAMPLES
from hwprm.frontend.program import Program
from hwprm.frontend.remedies import ONNX_REMEDIES, ONNX_WHY, REMEDIES
from hwprm.frontend.walk import DEFAULT_REMEDY
from hwprm.graph import Shapes
from hwprm.graph.rules.imports import RefusalError

__all__ = ["BEHIND", "OPSETS", "RULES", "load_onnx"]

RULES = {**LAYERS, **QUANTISED, **SAMPLES}
#: Versions of the operators that the rules know.
OPSETS = range(11, 22)

#: What is computed behind the last layer only, and what may follow it there.
HOSTED = ("ArgMax", "ArrayFeatureExtractor", "Hardmax", "LabelEncoder", "NonMaxSuppression", "TopK", "ZipMap")
BEHIND = (*HOSTED, "Cast", "Flatten", "Gather", "Identity", "LogSoftmax", "Normalizer", "Reshape", "Softmax", "Squeeze")

#: Stands for whatever the host does.
BEST = torch.ops.aten.argmax.default


def load_onnx(path: Path | str, image_shape: Shapes | None = None) -> Program:
    """The program that the ONNX model in `path` means, with the batch that it is fixed to, or 1.

    `image_shape` ``(C, H, W)``, of several inputs by name, is for sizes that the model leaves free.
    Raises ModelError when the file is none or broken, UnsupportedError for versions of operators outside 11 to 21 and
    sizes that are left free, ToolError when the package onnx is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} is no file; give the path of an ONNX model")
    try:
        import onnx
        from onnx import inliner
    except ModuleNotFoundError as error:
        raise ToolError(f"{path} needs the package onnx, which is not installed; pip install 'hwprm[onnx]'") from error
    try:
        model = onnx.load(path)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except Exception as error:  # what cannot be decoded, or lacks a file beside it, fails in many ways
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} is no ONNX model that can be read ({first}); export it again") from error
    if not model.graph.node:
        raise ModelError(f"{path} is no ONNX model that can be read (it holds no nodes); export it again")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if opset not in OPSETS:
        raise UnsupportedError(
            f"{path} is of opset {opset}, {OPSETS[0]} to {OPSETS[-1]} are read; export it for one of these, or convert "
            "it with onnx.version_converter"
        )
    return _Reader(model, opset).read(image_shape)


class _Reader:
    """Reads one model."""

    def __init__(self, model: Any, opset: int) -> None:
        from onnx import numpy_helper

        self.graph, self.opset = model.graph, opset
        self.growing = Growing()
        self.items: dict[str, Item | None] = {"": None}
        for tensor in model.graph.initializer:
            self.items[tensor.name] = Known(array=numpy_helper.to_array(tensor), name=tensor.name)
        self.shapes = _inferred(model)
        self.readers: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.returned = {value.name for value in model.graph.output}

    def read(self, image_shape: Shapes | None) -> Program:
        images = [value for value in self.graph.input if value.name not in self.items]
        for value in images:
            given = image_shape.get(value.name) if isinstance(image_shape, Mapping) else image_shape
            shape, dtype = _declared(value, given if len(images) == 1 or isinstance(image_shape, Mapping) else None)
            self.items[value.name] = self.growing.input(value.name, shape, dtype)
        for number, node in enumerate(self.graph.node):
            title = (node.name or next(iter(node.output), "") or f"node {number}", node.op_type)
            results = self._results(node, title)
            self.items.update(zip((name for name in node.output), results, strict=False))
        outputs = [self.items.get(value.name) for value in self.graph.output]
        names = [item.name for item in outputs if isinstance(item, torch.fx.Node)]
        names += [value.name for value, item in zip(self.graph.output, outputs, strict=True) if isinstance(item, Known)]
        return Program(
            graph=self.growing.graph,
            inputs=tuple(self.growing.inputs),
            constants=self.growing.constants,
            outputs=tuple(dict.fromkeys(names)),
            titles=self.growing.titles,
        )

    def _results(self, node: Any, title: tuple[str, str]) -> tuple[Item | None, ...]:
        """What the outputs of `node` are."""
        from onnx import helper

        inputs = [self.items.get(name) for name in node.input]
        attributes = {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute}
        sources = [item for item in inputs if isinstance(item, torch.fx.Node)]
        try:
            if node.op_type in ("Shape", "Size") and sources:
                return (_measured(node.op_type, shape_of(sources[0]), attributes),)
            if not sources:
                return self._folded(node, inputs, attributes)
            if node.op_type in BEHIND and sources[0].target is BEST and self._leaves(node):
                return (sources[0],) * len(node.output)
            if node.op_type in HOSTED and self._leaves(node):
                return (self.growing.call(title, BEST, (sources[0], -1, True), {}),) * len(node.output)
            known = node.domain in ("", "ai.onnx", *DOMAINS.get(node.op_type, ()))
            rule = RULES.get(node.op_type) if known else None
            if rule is None:
                why = f": {ONNX_WHY[node.op_type]}" if node.op_type in ONNX_WHY else ""
                raise RefusalError(f"this operator is not supported{why}", _remedy(node.op_type))
            used = sum(1 for name in node.output if name in self.readers or name in self.returned)
            results = len(node.output) if node.op_type == "Split" else used
            made = rule(
                OnnxCall(
                    growing=self.growing,
                    title=title,
                    attributes=attributes,
                    inputs=inputs,
                    results=results,
                    opset=self.opset,
                )
            )
            return made if isinstance(made, tuple) else (made,)
        except RefusalError as refusal:
            told = {"problem": refusal.problem, "remedy": refusal.remedy}
            return tuple(self._refused(title, sources, told, name) for name in node.output)

    def _refused(self, title: tuple[str, str], sources: list[Any], why: Mapping[str, Any], name: str) -> Any:
        shape = self.shapes.get(name) or (shape_of(sources[0]) if sources else (1, 1))
        return self.growing.refuse(title, sources, why, shape)

    def _folded(self, node: Any, inputs: list[Item | None], attributes: Mapping[str, Any]) -> tuple[Item | None, ...]:
        """The results of a node that reads constants only."""
        from onnx.reference import ReferenceEvaluator

        known = {name: item.array for name, item in zip(node.input, inputs, strict=True) if isinstance(item, Known)}
        owner = next((item.name for item in inputs if isinstance(item, Known) and item.name), "")
        if node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial"):
            raise RefusalError("it makes random numbers", "remove it, or export the model in evaluation mode")
        if node.op_type in QUANTISED:
            arrays = [item.array if isinstance(item, Known) else None for item in inputs]
            if (made := folded(node.op_type, arrays, attributes)) is not None:
                return (Known(array=made, name=owner),)
        try:
            found = ReferenceEvaluator(node, opsets={"": self.opset}).run(None, known)
        except Exception as error:  # the reference fails in any way
            raise RefusalError("it computes with constants in a way that onnx cannot", "fold it before") from error
        return tuple(Known(array=np.asarray(array), name=owner) for array in found)

    def _leaves(self, node: Any) -> bool:
        """Whether everything computed from `node` leaves the network, or belongs to the host."""
        after = [reader for name in node.output for reader in self.readers.get(name, ())]
        return all(reader.op_type in BEHIND and self._leaves(reader) for reader in after)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _remedy(name: str) -> str:
    return ONNX_REMEDIES.get(name) or REMEDIES.get(name.lower()) or DEFAULT_REMEDY


def _measured(op: str, shape: tuple[int, ...], attributes: Mapping[str, Any]) -> Known:
    """The shape of a tensor, or its number of samples, as a constant."""
    if op == "Size":
        return Known(array=np.asarray(np.prod(shape), np.int64))
    end = attributes.get("end")
    return Known(array=np.asarray(shape[attributes.get("start", 0) : end], np.int64))


def _declared(value: Any, given: Any) -> tuple[tuple[int, ...], torch.dtype]:
    """Shape, batch included, and type of an input; `given` is its shape without batch, for sizes that are left free."""
    from onnx import helper

    tensor = value.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim]
    if sizes and sizes[0] is None:
        sizes[0] = 1
    if given is not None and len(given) + 1 == len(sizes):
        sizes = [sizes[0], *(own or size for own, size in zip(sizes[1:], given, strict=True))]
    if not sizes or None in sizes:
        shown = tuple("?" if size is None else size for size in sizes)
        raise UnsupportedError(
            f"the size {shown} of the input {value.name!r} is left free; export the model with fixed sizes, of which "
            "only the batch may vary"
        )
    kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    try:
        dtype = torch.from_numpy(np.zeros(1, kind)).dtype
    except TypeError as error:
        raise UnsupportedError(f"the input {value.name!r} is of the type {kind}; export it as float32") from error
    return tuple(size for size in sizes if size is not None), dtype


def _inferred(model: Any) -> dict[str, tuple[int, ...]]:
    """Shapes that onnx finds, sizes that are left free being 1."""
    from onnx import shape_inference

    def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
        graph = shape_inference.infer_shapes(model).graph
        for value in (*graph.value_info, *graph.output):
            if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"):
                yield value.name, tuple(max(dim.dim_value, 1) for dim in value.type.tensor_type.shape.dim)

    try:
        return dict(shapes())
    except Exception:  # it only helps to go on behind what is refused
        return {}
