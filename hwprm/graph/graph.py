"""`Graph`: a float network as an immutable list of nodes in topological order, and its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hwprm.core.errors import ModelError
from hwprm.core.files import read_json, write_file
from hwprm.core.names import check_name
from hwprm.graph.ops import OPERATORS
from hwprm.graph.ops.conv2d import Conv2d
from hwprm.graph.ops.input import Input
from hwprm.graph.ops.linear import Linear
from hwprm.graph.rules.arrays import FloatArray, Shape
from hwprm.graph.rules.node import Node

__all__ = ["WEIGHTED", "Graph"]

FORMAT = "hwprm-graph-1"
#: File of the arrays.
WEIGHTS = "weights.safetensors"

#: Node types that hold a weight matrix (and so can be pruned).
WEIGHTED = (Conv2d, Linear)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: `nodes` in topological order, `outputs` the names whose tensors leave it.

    Raises ModelError when a name is none (`hwprm.core.names`) or used twice, an input is unknown or comes later, an
    array is not finite, or a shape does not fit.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            check_name("a node", node.name)
            if node.name in seen:
                raise ModelError(f"two nodes are named {node.name!r}; give every layer its own name")
            for name in node.inputs:
                if name not in seen:
                    raise ModelError(f"node {node.name!r} reads {name!r}, which no earlier node makes")
            seen.add(node.name)
            for key in node.not_finite:
                raise ModelError(f"{key} of {node.name!r} holds NaN or infinity; retrain with a smaller learning rate")
        missing = [name for name in self.outputs if name not in seen]
        if missing or not self.outputs:
            raise ModelError(f"output {missing[0]!r} is no node of the graph" if missing else "a graph needs an output")
        _ = self.shapes

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Node of each name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[Node, ...]]:
        readers: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name] = (*readers.get(name, ()), node)
        return readers

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of the tensor each node makes, without the batch."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            ins = [shapes[name] for name in node.inputs]
            node.check(ins)
            shapes[node.name] = node.infer_shape(*ins)
            if any(size < 1 for size in shapes[node.name]):
                raise ModelError(
                    f"{node.name!r} makes an empty tensor {shapes[node.name]} from {ins}; enlarge its input"
                )
        return shapes

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The input nodes, in the order of the parts of an image. Raises ModelError when there are none."""
        found = tuple(node for node in self.nodes if isinstance(node, Input))
        if not found:
            raise ModelError("the network has no input, so there is nothing to compute; let it read an image")
        return found

    @property
    def input(self) -> Input:
        """The single input node. Raises ModelError when there are none or several."""
        if len(self.inputs) != 1:
            raise ModelError(f"the network has {len(self.inputs)} inputs, one is needed here")
        return self.inputs[0]

    @property
    def weighted(self) -> tuple[Conv2d | Linear, ...]:
        """The nodes with a weight matrix, in order."""
        return tuple(node for node in self.nodes if isinstance(node, WEIGHTED))

    def consumers(self, name: str) -> tuple[Node, ...]:
        """Nodes that read the tensor `name`, each once, in order."""
        return self._consumers.get(name, ())

    def replace(self, *changed: Node) -> Graph:
        """A graph in which each node of `changed` stands in the place of the one of the same name."""
        new = {node.name: node for node in changed}
        return Graph(tuple(new.get(node.name, node) for node in self.nodes), self.outputs)

    def save(self, folder: Path | str) -> None:
        """Write ``graph.json`` and ``weights.safetensors`` into `folder` (made if absent). Same graph, same bytes."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / WEIGHTS, save(self.arrays))
        (folder / "graph.json").write_text(json.dumps(self.structure, indent=1) + "\n")

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the ``weights.safetensors`` that `save` writes, in hexadecimal."""
        return hashlib.sha256(save(self.arrays)).hexdigest()

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote. Raises ModelError when a file is missing, cut short or of another format."""
        folder = Path(folder)
        try:
            return cls.assemble(read_json(folder / "graph.json"), load_file(folder / WEIGHTS), folder)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, SafetensorError) as error:
            raise ModelError(f"{folder} holds no readable graph ({error}); make it again") from error

    @property
    def arrays(self) -> dict[str, FloatArray]:
        """Every array as ``NODE.FIELD``: ``conv1.weight``."""
        return {
            f"{node.name}.{key}": np.ascontiguousarray(value)
            for node in self.nodes
            for key, value in node.arrays.items()
        }

    @property
    def structure(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON: the nodes in order, each with its ``op``, and the outputs."""
        entries = []
        for node in self.nodes:
            plain = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if f.name not in node.arrays}
            entries.append({"op": type(node).__name__, **plain})
        return {"format": FORMAT, "outputs": self.outputs, "nodes": entries}

    @classmethod
    def assemble(cls, structure: Mapping[str, Any], arrays: Mapping[str, Any], source: Path) -> Self:
        """The graph of a `structure` and its `arrays`, which `source` holds.

        Raises ModelError for another format, and what a broken structure causes (LookupError, TypeError, ...).
        """
        if structure["format"] != FORMAT:
            raise ModelError(f"{source}: format {structure['format']!r}, this version reads {FORMAT!r}")
        loaded = [_load_node(entry, arrays) for entry in structure["nodes"]]
        return cls(tuple(loaded), tuple(structure["outputs"]))


def _load_node(entry: dict[str, Any], arrays: Mapping[str, Any]) -> Node:
    if entry["op"] not in OPERATORS:
        raise ValueError(f"this version knows no operator {entry['op']!r}")
    kind = OPERATORS[entry["op"]]
    prefix = f"{entry['name']}."
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k != "op"}
    values |= {f.name: arrays[prefix + f.name] for f in dataclasses.fields(kind) if prefix + f.name in arrays}
    return kind(**values)
