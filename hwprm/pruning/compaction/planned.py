"""A plan put onto a network that was not pruned: the masked network, of the same shapes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hwprm.core.errors import ModelError
from hwprm.graph import Graph
from hwprm.model.plan import LayerPlan, Plan

__all__ = ["mask_graph", "mask_module"]


def mask_graph(graph: Graph, plan: Plan) -> Graph:
    """`graph` with zeros for the weights that `plan` does not keep, and for the biases of the rows it does not.

    Raises ModelError, naming the layers, when the plan belongs to another network.
    """
    _check(plan, {layer.name: tuple(layer.weight.shape) for layer in graph.weighted})
    changed = []
    for layer in graph.weighted:
        weight, rows = _masks(plan.layers[layer.name])
        changed.append(replace(layer, weight=layer.weight * weight, bias=layer.bias * rows))
    return graph.replace(*changed)


def mask_module(module: nn.Module, plan: Plan) -> nn.Module:
    """A copy of `module`, masked like `mask_graph` does it. The plan's layers are found by their names in it.

    Raises ModelError, naming the layers, when the plan belongs to another network, or when a weight is computed from
    other tensors (as weight norm does), so that it cannot be set.
    """
    masked = copy.deepcopy(module)
    layers = {name: part for name, part in masked.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)}
    _check(plan, {name: tuple(layer.weight.shape) for name, layer in layers.items()})
    with torch.no_grad():
        for name, layer in layers.items():
            if "weight" not in dict(layer.named_parameters(recurse=False)):
                raise ModelError(f"the weight of {name!r} is computed from other tensors; make it a plain parameter")
            weight, rows = (torch.from_numpy(~mask).to(layer.weight.device) for mask in _masks(plan.layers[name]))
            layer.weight.masked_fill_(weight, 0.0)
            if layer.bias is not None:
                layer.bias.masked_fill_(rows, 0.0)
    return masked


def _masks(layer: LayerPlan) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What of a weight ``(M, ...)`` and of its bias ``(M,)`` stays."""
    rows = np.zeros(layer.shape[0], bool)
    rows[list(layer.rows)] = True
    return layer.kept.reshape(layer.shape), rows


def _check(plan: Plan, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless `plan` is for exactly the layers of `shapes`, in these shapes."""
    lacking = [name for name in plan.layers if name not in shapes]
    unknown = [name for name in shapes if name not in plan.layers]
    other = [
        f"{name} is {shapes[name]} for {layer.shape}"
        for name, layer in plan.layers.items()
        if name in shapes and shapes[name] != layer.shape
    ]
    kinds = (
        ("layers that only the plan has", lacking),
        ("layers that only the network has", unknown),
        ("weights of another shape", other),
    )
    if wrong := [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]:
        raise ModelError(
            f"the plan of {plan.network!r} belongs to another network: {'; '.join(wrong)}; give the network, "
            "not compacted, that the plan was made for"
        )
