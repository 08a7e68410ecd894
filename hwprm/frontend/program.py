"""A network as calls of torch's operators: what every reader of files and modules makes, and the walk converts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from hwprm.frontend.values import Constant
from hwprm.graph.rules.imports import RefusalError

__all__ = ["Program", "refused", "rounded"]

_KEPT = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def refused(*tensors: Any, problem: str, remedy: str) -> Any:
    """What a program calls for something that torch's operators do not mean. Raises RefusalError."""
    raise RefusalError(problem, remedy)


def rounded(x: Any, scale: float, zero_point: int, quant_min: int, quant_max: int) -> Any:
    """A tensor like `x`: what a program calls for torch's fake_quantize_per_tensor_affine, which tells no shape."""
    return torch.empty_like(x)


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Calls in order. ``meta["val"]`` of every node of `graph` is a tensor of its shape and type, or several."""

    graph: torch.fx.Graph
    #: Placeholders of what depends on the image, in the order of the network's arguments.
    inputs: tuple[torch.fx.Node, ...]
    #: What the other placeholders stand for, by their names.
    constants: Mapping[str, Constant]
    #: Names of the nodes whose values leave the network.
    outputs: tuple[str, ...]
    #: Placeholders of parameters, none of which may get lost on the way, with the parameters' names.
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: What findings call a node and its operator, where those of the graph are not what the user wrote.
    titles: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of_export(cls, program: ExportedProgram) -> Program:
        """That of a program of torch.export."""
        nodes = {node.name: node for node in program.graph_module.graph.nodes if node.op == "placeholder"}
        signature = program.graph_signature
        constants = {}
        for spec in signature.input_specs:
            if spec.kind in _KEPT:
                target = str(spec.target)
                store = program.state_dict if target in program.state_dict else program.constants
                constants[spec.arg.name] = Constant(tensor=store[target].detach(), origins=(target,))
        inputs = [nodes[spec.arg.name] for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
        outputs = [spec.arg for spec in signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
        return cls(
            graph=program.graph_module.graph,
            inputs=tuple(inputs),
            constants=constants,
            outputs=tuple(getattr(arg, "name", "output") for arg in outputs),
            parameters={
                spec.arg.name: str(spec.target) for spec in signature.input_specs if spec.kind == InputKind.PARAMETER
            },
        )
