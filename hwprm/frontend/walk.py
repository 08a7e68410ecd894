"""The walk over a program: collects nodes and findings, never stops at the first problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hwprm.frontend.draft import Draft
from hwprm.frontend.findings import Finding, Severity
from hwprm.frontend.places import Place, index_of, read, stored
from hwprm.frontend.program import Program
from hwprm.frontend.remedies import WHY
from hwprm.frontend.values import Activation, Comparison, Constant, Index, Value
from hwprm.graph import OPERATORS, Input, Node
from hwprm.graph.rules.arrays import Shape
from hwprm.graph.rules.imports import RefusalError

__all__ = ["SAME_OUTPUT", "Handler", "Walk", "input_shape", "shape_of", "size_of"]

#: Handles one operator: reads its arguments by schema name, adds nodes, returns what it stands for.
Handler = Callable[["Walk", torch.fx.Node, Mapping[str, Any]], Value]

_OFFERED = ", ".join(kind.offered for kind in OPERATORS.values() if kind.offered)
DEFAULT_REMEDY = f"use {_OFFERED} or zero padding instead"

#: Operators that count as working in place and change no value; torch.tensor() inside forward() makes them.
HARMLESS = ("aten.detach_.default",)

#: Problem and remedy of an output that another one holds already.
SAME_OUTPUT = ("it holds the values of another output", "it leaves the accelerator once; take it from there")


class Walk:
    """Converts one program. After `run`: `nodes`, `outputs` and `findings` tell the result."""

    def __init__(self, program: Program, handlers: Mapping[str, Handler], remedies: Mapping[str, str]) -> None:
        self.program = program
        self.handlers = handlers
        self.remedies = remedies
        self.outputs: tuple[str, ...] = ()
        self.findings: list[Finding] = []
        self.values: dict[str, Value] = {}
        self.visited: set[str] = set()
        #: Names of refused operators: what reads their results gets no finding for that alone.
        self.refused: set[str] = set()
        paths = {module_path(origin) for value in program.constants.values() for origin in value.origins}
        self.draft = Draft(paths - {""})
        #: What readers of a view have made of it, by its name in the exported graph.
        self.read: dict[str, Place] = {}

    @property
    def nodes(self) -> list[Node]:
        """The nodes of the graph so far."""
        return self.draft.nodes

    def run(self) -> None:
        self._placeholders()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self.values[node.name] = self._call(node)
        self._outputs()
        self.draft.drop_unread_factors(self.outputs)
        self._unvisited()

    def refuse(self, node: str, op: str, problem: str, remedy: str, severity: Severity = Severity.ERROR) -> None:
        node, op = self.program.titles.get(node, (node, op))
        finding = Finding(node=node, op=op, problem=problem, remedy=remedy, severity=severity)
        if finding not in self.findings:
            self.findings.append(finding)

    def activation(self, node: Any) -> Activation:
        """What argument `node` stands for, whatever view of a tensor it is. Raises RefusalError for a constant."""
        value = self.values.get(node.name) if isinstance(node, torch.fx.Node) else None
        if isinstance(value, Comparison):
            raise RefusalError("it computes with a comparison", "compare only to choose: torch.where(x > 0, x, 0)")
        if not isinstance(value, Activation):
            raise RefusalError(
                "its input does not depend on the image",
                "give a constant map as another input of forward(), or leave it to the host",
            )
        return value

    def place(self, node: Any, *, padded: bool = False) -> Place:
        """Argument `node` as a tensor of the graph: a vector or a map.

        Raises RefusalError for a constant, for samples in places where no operator puts them, for zero padding unless
        `padded`.
        """
        value = self.activation(node)
        if node.name not in self.read:
            self.read[node.name] = read(self.draft, value, shape_of(node)[1:])
        place = self.read[node.name]
        if any(place.padding) and not padded:
            raise RefusalError(
                "it reads a zero-padded map, and zero padding can only be merged into a conv2d, an average pool, or a "
                "max pool behind a ReLU",
                "put the padding directly before one of these, or use the operator's own padding",
            )
        return place

    def made(self, value: Activation, shape: Shape) -> str:
        """The tensor of the graph that is `value`, of `shape` in torch without batch. Raises as `place` does."""
        place = read(self.draft, value, shape)
        if any(place.padding):
            raise RefusalError("it reads a zero-padded map", "pad directly before a conv2d")
        return place.name

    def constant(self, node: Any, what: str) -> torch.Tensor:
        """The tensor of a weight-like argument; marks its parameters as visited. Raises RefusalError when it varies."""
        value = self.values.get(node.name) if isinstance(node, torch.fx.Node) else None
        if not isinstance(value, Constant):
            raise RefusalError(f"its {what} is computed from the image", f"use a parameter as {what}")
        self.visited.update(value.origins)
        return value.tensor

    def layer_name(self, node: torch.fx.Node, weight: Any) -> str:
        """A free name: the path of the module that owns `weight`, else the exported node's name."""
        value = self.values.get(weight.name) if isinstance(weight, torch.fx.Node) else None
        path = module_path(value.origins[0]) if isinstance(value, Constant) and value.origins else ""
        return self.draft.claim(path or node.name, own=bool(path))

    def add(self, node: Node, index: Index | None = None) -> Activation:
        """Put `node` into the graph; its samples, in the places of `index`."""
        return Activation(name=self.draft.put(node), index=index)

    def plain_name(self, node: torch.fx.Node) -> str:
        """A free name for a node without parameters."""
        return self.draft.claim(node.name)

    def _placeholders(self) -> None:
        self.values.update(self.program.constants)
        # Data sets name the parts of an image by forward()'s arguments, so these go before the names of layers.
        several = len(self.program.inputs) > 1
        batches: set[int] = set()
        for node in self.program.inputs:
            self.values[node.name] = self._input(node, batches, own=several)

    def _input(self, node: torch.fx.Node, batches: set[int], *, own: bool) -> Value:
        """The input `node`, which keeps its name if `own`; `batches` holds the fixed batch sizes of those before."""
        name = node.name
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            if node.users:
                self.refuse(name, "input", "it is no tensor", "leave only tensors among forward()'s arguments")
            return None
        shape = tuple(value.shape[1:])
        if value.ndim not in (2, 3, 4):
            self.refuse(
                name,
                "input",
                f"it has shape {tuple(value.shape)}",
                "export with an input (batch, C, H, W), (batch, C, T) or (batch, K)",
            )
        elif not all(isinstance(size, int) for size in shape):
            self.refuse(
                name, "input", f"its shape {shape} is dynamic", "export with fixed sizes; only the batch may vary"
            )
        elif isinstance(value.shape[0], int):
            batches.add(value.shape[0])
            if len(batches) > 1:
                problem = f"its batch is {value.shape[0]}, another input's is {min(batches - {value.shape[0]})}"
                self.refuse(name, "input", problem, "export with one batch size, as the first axis of every input")
        if not node.users:
            remedy = "its beats are read from the stream and have no effect; delete it"
            self.refuse(name, "input", "forward() does not use it", remedy, Severity.NOTE)
        if not all(isinstance(size, int) for size in shape):
            shape = tuple(map(size_of, shape))
        image = Input(name=self.draft.claim(name, own=own), inputs=(), shape=stored(input_shape(node)))
        if value.dtype == torch.float64:
            self.draft.kind = np.float64
        made = self.add(image)
        made = Activation(name=self.draft.byte(made.name)) if value.dtype == torch.uint8 else made
        if not channels_last(node):
            return made
        remedy = f"give images of {image.shape}, channels first; the permutation in front of the first layer falls away"
        self.refuse(name, "input", f"its channels come last in {shape}", remedy, Severity.NOTE)
        return Activation(name=made.name, index=np.moveaxis(index_of(self.draft, made, image.shape), 0, -1))

    def _call(self, node: torch.fx.Node) -> Value:
        op = str(node.target)
        depends = any(isinstance(self.values.get(n.name), Activation | Comparison) for n in node.all_input_nodes)
        try:
            if not depends:
                return self._fold(node)
            handler = self.handlers.get(op)
            if handler is None:
                if not makes_tensor(node):
                    return None  # sizes and assertions
                name = op.removeprefix("aten.").split(".")[0].rstrip("_")
                why = f": {WHY[name]}" if name in WHY else ""
                remedy = self.remedies.get(name, DEFAULT_REMEDY)
                raise RefusalError(f"this operator is not supported{why}", remedy)
            return handler(self, node, arguments(node))
        except RefusalError as refusal:
            self.refuse(*(refusal.at or (node.name, op)), refusal.problem, refusal.remedy)
            if not depends:
                return Constant(tensor=torch.zeros(shape_of(node)), origins=())
            return self.stand_in(node)

    def stand_in(self, node: torch.fx.Node) -> Activation:
        """A result for a call that was refused, or that reads such a one: to find what else there is."""
        value = node.meta["val"]
        shape = shape_of(node) if isinstance(value, torch.Tensor) else tuple(map(size_of, value[0].shape))
        self.refused.add(node.name)
        name = self.draft.claim(node.name)  # else a later node of this name would read itself
        self.draft.shapes[name] = stored(shape[1:] or (1,))
        return Activation(name=name)

    def _fold(self, node: torch.fx.Node) -> Value:
        """Evaluate a node that reads parameters only: masks, weight norm, transposed weights."""
        parts = [self.values.get(n.name) for n in node.all_input_nodes]
        if not makes_tensor(node) or any(part is None for part in parts):
            return None
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise RefusalError("it makes random numbers", "remove it, or call model.eval() before exporting")
        mutable = getattr(getattr(node.target, "_schema", None), "is_mutable", False)
        if mutable and str(node.target) not in HARMLESS and self._kept(parts):
            raise RefusalError("it changes a parameter or buffer in place", "call model.eval() before exporting")
        known = {n.name: v.tensor for n, v in zip(node.all_input_nodes, parts, strict=True) if isinstance(v, Constant)}
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: known[n.name])
        assert callable(node.target)  # a call_function node
        with torch.no_grad():
            result = node.target(*args, **kwargs)
        if not isinstance(result, torch.Tensor):
            return None
        origins = tuple(o for part in parts if isinstance(part, Constant) for o in part.origins)
        return Constant(tensor=result, origins=origins)

    def _kept(self, parts: Sequence[Value]) -> bool:
        """Whether one of `parts` lies in the memory of a parameter or buffer."""
        memory = {value.tensor.untyped_storage().data_ptr() for value in self.program.constants.values()}
        return any(isinstance(part, Constant) and part.tensor.untyped_storage().data_ptr() in memory for part in parts)

    def _outputs(self) -> None:
        names = []
        nodes = {node.name: node for node in self.program.graph.nodes}
        for label in self.program.outputs:
            node = nodes.get(label)
            value = self.values.get(label)
            if node is None or not isinstance(value, Activation):
                self.refuse(label, "output", "it does not depend on the image", "return only tensors computed from it")
                continue
            name = self._returned(node, value)
            if name in names:
                self.refuse(label, "output", *SAME_OUTPUT, Severity.NOTE)
            elif name is not None:
                names.append(name)
        self.outputs = tuple(names)

    def _returned(self, node: torch.fx.Node, value: Activation) -> str | None:
        """The tensor of the graph that leaves for the output `node`, None when it is refused.

        A view that no operator makes is left to the host, when the tensor that it is made of holds the same samples.
        """
        try:
            place = self.place(node, padded=True)
        except RefusalError as refusal:
            count = math.prod(self.draft.shapes[value.name])
            if value.index is not None and not np.array_equal(np.sort(value.index, None), np.arange(1, count + 1)):
                self.refuse(*(refusal.at or (node.name, "output")), refusal.problem, refusal.remedy)
                return None
            problem = f"the view of shape {shape_of(node)} behind the last layer is left to the host"
            remedy = f"the accelerator returns {value.name!r}, {self.draft.shapes[value.name]}, of which it is made"
            self.refuse(node.name, "output", problem, remedy, Severity.NOTE)
            return value.name
        if any(place.padding):
            self.refuse(node.name, "output", "it is a zero-padded map", "pad on the host")
            return None
        return place.name

    def _unvisited(self) -> None:
        """No parameter may get lost: each one is in a node, or there is a finding about it."""
        used = {n.name for n in self.program.graph.nodes if n.users}
        broken = any(finding.severity == Severity.ERROR for finding in self.findings)
        # A module used under two names lists its parameters twice and reads one of them: the memory is the same.
        known = self.program.constants
        taken = {value.tensor.data_ptr() for value in known.values() if self.visited.intersection(value.origins)}
        for name, target in self.program.parameters.items():
            if known[name].tensor.data_ptr() in taken:
                continue
            if name not in used:
                self.refuse(target, "parameter", "forward() does not use it", "it is ignored; delete it", Severity.NOTE)
            elif not broken:  # otherwise it belongs to an operator that was refused already
                self.refuse(target, "parameter", "no supported layer takes it in", "remove what uses it from forward()")


def size_of(size: Any) -> int:
    """A size of the exported graph; one that may vary, the batch, counts as 2."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, 2)))


def channels_last(node: torch.fx.Node) -> bool:
    """Whether all that is done to an input (batch, H, W, C) is to put its channels first."""
    value, users = node.meta["val"], list(node.users)
    axes = [0, 3, 1, 2]
    moved = [str(user.target) == "aten.permute.default" and user.args[1] in (axes, tuple(axes)) for user in users]
    return value.ndim == 4 and bool(users) and all(moved)


def input_shape(node: torch.fx.Node) -> Shape:
    """Shape of the images that an input reads, without batch, with the channels first."""
    shape = tuple(map(size_of, node.meta["val"].shape[1:]))
    return (shape[-1], *shape[:-1]) if channels_last(node) else shape


def shape_of(node: torch.fx.Node) -> Shape:
    """Shape of an argument, batch included."""
    return tuple(map(size_of, node.meta["val"].shape))


def makes_tensor(node: torch.fx.Node) -> bool:
    """Whether the result is a tensor or holds one."""
    value = node.meta.get("val")
    return any(isinstance(v, torch.Tensor) for v in (value if isinstance(value, tuple | list) else (value,)))


def module_path(target: str | None) -> str:
    """Path of the module that owns parameter `target`: ``features.0.weight`` -> ``features.0``."""
    name = target or ""
    if ".parametrizations." in name:
        return name.split(".parametrizations.")[0]
    return name.rpartition(".")[0]


def arguments(node: torch.fx.Node) -> dict[str, Any]:
    """The call's arguments by schema name, defaults filled in."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:  # Python functions such as operator.getitem
        return {str(i): value for i, value in enumerate(node.args)} | dict(node.kwargs)
    bound: dict[str, Any] = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    bound |= {a.name: value for a, value in zip(schema.arguments, node.args, strict=False)}
    return bound | dict(node.kwargs)
