"""`check` and `to_graph`: the two questions one asks of a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.export import ExportedProgram

from hwprm.core.errors import HwprmError, ModelError, UnsupportedError
from hwprm.frontend.findings import Finding, Severity
from hwprm.frontend.load import export
from hwprm.frontend.operators import HANDLERS
from hwprm.frontend.places import stored
from hwprm.frontend.program import Program
from hwprm.frontend.remedies import REMEDIES
from hwprm.frontend.walk import SAME_OUTPUT, Walk, input_shape
from hwprm.graph import Graph, Input, Shapes
from hwprm.quantization.lowering.lower import lower

__all__ = ["check", "to_graph", "traced"]


def check(network: torch.nn.Module | ExportedProgram | Program, example_shape: Shapes | None = None) -> list[Finding]:
    """Everything about `network` that is not supported or worth knowing, in graph order; errors and notes.

    `example_shape` is ``(C, H, W)`` or ``(K,)``, without batch, for several inputs by name; only a module needs it.
    Raises UnsupportedError when torch.export cannot trace the module at all.
    """
    return list(_convert(network, example_shape)[1])


def to_graph(network: torch.nn.Module | ExportedProgram | Program, example_shape: Shapes | None = None) -> Graph:
    """The float graph of `network`; layers are named after the modules that own their weights.

    `example_shape` as in `check`. Zero padding ahead of a conv2d is merged into it, computations on parameters alone
    (masks, weight norm) are carried out, operators that do nothing in evaluation mode vanish.
    Raises UnsupportedError listing every unsupported operator, ModelError for a malformed network.
    """
    graph, findings = _convert(network, example_shape)
    errors = [finding for finding in findings if finding.severity == Severity.ERROR]
    if graph is None or errors:
        lines = "\n".join(f"  {finding}" for finding in errors)
        count = f"{len(errors)} thing{'s' if len(errors) > 1 else ''}"
        raise UnsupportedError(f"the network uses {count} that hwprm does not support:\n{lines}")
    return graph


def traced(network: torch.nn.Module | ExportedProgram | Program, image_shape: Shapes) -> Graph:
    """`to_graph` of a network for stored images of `image_shape`: ``(C, 1, T)`` may be a sequence ``(C, T)``, and
    ``(K, 1, 1)`` a vector ``(K,)``, where the module takes no maps.
    """
    try:
        return to_graph(network, image_shape)
    except UnsupportedError:
        if isinstance(image_shape, Mapping) or len(image_shape) != 3 or image_shape[1] != 1:
            raise
        other = image_shape[:1] if image_shape[2] == 1 else (image_shape[0], image_shape[2])
        try:
            return to_graph(network, other)
        except UnsupportedError:
            pass
        raise


def _convert(
    network: torch.nn.Module | ExportedProgram | Program, example_shape: Shapes | None
) -> tuple[Graph | None, list[Finding]]:
    """The graph, None when there are errors, and all findings."""
    walk = Walk(_program(network, example_shape), HANDLERS, REMEDIES)
    walk.run()
    if any(finding.severity == Severity.ERROR for finding in walk.findings):
        return None, walk.findings
    if not walk.outputs or all(isinstance(node, Input) for node in walk.nodes):
        raise ModelError("the network has no layer that computes anything; give it at least one")
    graph = Graph(tuple(walk.nodes), walk.outputs)
    try:
        fused = lower(graph)
    except HwprmError as error:
        nodes = error.nodes if isinstance(error, UnsupportedError) else ()
        for name, text in nodes or (("network", str(error)),):
            problem, _, remedy = text.partition("; ")
            walk.refuse(name, type(graph.by_name[name]).__name__ if nodes else "graph", problem, remedy)
        return graph, walk.findings
    for i, name in enumerate(graph.outputs):
        if fused.returned[i] in fused.returned[:i]:
            walk.refuse(name, "output", *SAME_OUTPUT, Severity.NOTE)
    return graph, walk.findings


def _program(network: torch.nn.Module | ExportedProgram | Program, example_shape: Shapes | None) -> Program:
    if isinstance(network, Program):
        program = network
    elif isinstance(network, ExportedProgram):
        program = Program.of_export(network)
    elif isinstance(network, torch.nn.Module):
        if example_shape is None:
            raise ModelError("a module needs the shape of its input; give example_shape=(C, H, W)")
        return Program.of_export(export(network, example_shape))
    else:
        raise ModelError(f"a network must be a torch.nn.Module or an ExportedProgram, not {type(network).__name__}")
    shapes = _shapes(program)
    if example_shape is not None and shapes:
        _check_shapes(shapes, example_shape)
    return program


def _check_shapes(own: dict[str, tuple[int, ...]], given: Shapes) -> None:
    """Raise ModelError when images of shape `given` do not fit a program with the inputs `own`; a sequence ``(C, T)``
    is stored as ``(C, 1, T)``.
    """
    if isinstance(given, Mapping):
        same = {name: stored(shape) for name, shape in given.items()} == {k: stored(v) for k, v in own.items()}
    else:
        same = [stored(given)] == [stored(shape) for shape in own.values()]
    if not same:
        exported = (
            ", ".join(f"{name} {shape}" for name, shape in own.items()) if len(own) > 1 else next(iter(own.values()))
        )
        found = (
            ", ".join(f"{name} {shape}" for name, shape in given.items())
            if isinstance(given, Mapping)
            else tuple(given)
        )
        raise ModelError(f"the network was exported for images {exported}, not {found}")


def _shapes(program: Program) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor input, without batch, with the channels first."""
    tensors = [node for node in program.inputs if isinstance(node.meta.get("val"), torch.Tensor)]
    return {node.name: input_shape(node) for node in tensors if node.meta["val"].ndim > 1}
