"""A graph whose parameters are those of the module that it was traced from: what changes one changes the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hwprm.core.errors import ModelError
from hwprm.core.names import as_name
from hwprm.graph import BatchNorm, Graph
from hwprm.graph.rules.node import Weighted
from hwprm.nets.module import GraphModule

__all__ = ["TiedModule"]

STATISTICS = ("running_mean", "running_var")


class TiedModule(GraphModule):
    """`graph` over the weights, biases and batch norm factors of `source`, the module that it was traced from.

    Hooks of training that work on a `GraphModule` so work on `source`, in place. Parameters of the same shape are the
    very same objects; those of another shape (the weight of a Conv1d) share their memory, and running statistics are
    those of the batch norm in `source`, see `refresh`. A layer whose weight is no parameter of `source`, being computed
    from others or read by two layers, is in `loose`, and keeps a copy.
    """

    def __init__(self, graph: Graph, source: nn.Module) -> None:
        super().__init__(graph)
        #: Names of the weighted layers that are not tied, in order.
        self.loose: list[str] = []
        self._views: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._norms: list[tuple[nn.Module, nn.Module]] = []
        given = dict(source.named_parameters())
        found = {
            node.name: owned for node in graph.nodes if node.name in self.holders and (owned := _owned(node, given))
        }
        readers = [id(given[owned["weight"]]) for owned in found.values()]
        for node in graph.nodes:
            if node.name not in self.holders:
                continue
            owned = found.get(node.name, {})
            if owned and readers.count(id(given[owned["weight"]])) == 1:
                for part, name in owned.items():
                    self._tie(self.holder(node.name), part, given[name])
                own = source.get_submodule(owned["weight"].rpartition(".")[0])
                if isinstance(node, BatchNorm) and all(getattr(own, name, None) is not None for name in STATISTICS):
                    self._norms.append((own, self.holder(node.name)))
            elif isinstance(node, Weighted):
                self.loose.append(node.name)
        if not found:
            raise ModelError("no layer of the network has a weight that is a parameter; there is nothing to prune")
        self._source = (source,)  # in a tuple: no part of this module
        self.follow()

    @property
    def device(self) -> torch.device:
        """Where the weights are now."""
        return next(self._source[0].parameters()).device

    def follow(self) -> bool:
        """Put what is not tied where the weights are now; whether it was elsewhere."""
        device, own = self.device, [*self.parameters(), *self.buffers()]
        moved = any(tensor.device != device for tensor in own)
        if moved:
            self.to(device)
        return moved

    def refresh(self) -> None:
        """Show the memory and the gradients of now in parameters of another shape, and the running statistics of now;
        before hooks read them.
        """
        for norm, held in self._norms:
            for name in STATISTICS:
                setattr(held, name, getattr(norm, name))
        for own, seen in self._views:
            seen.data = own.data.view(seen.shape)
            seen.grad = None if own.grad is None else own.grad.view(seen.shape)

    def _tie(self, holder: nn.Module, part: str, own: nn.Parameter) -> None:
        shape = getattr(holder, part).shape
        if own.shape == shape:
            setattr(holder, part, own)
            return
        seen = nn.Parameter(own.data.view(shape), requires_grad=own.requires_grad)
        setattr(holder, part, seen)
        self._views.append((own, seen))


def _owned(node: Any, given: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """Names of the parameters that are weight and bias of `node`; empty when its weight is none.

    The module that the node is named after comes first, then the only parameter of the same values.
    """
    if not isinstance(node, Weighted | BatchNorm) or (isinstance(node, BatchNorm) and node.fixed):
        return {}
    named = [name for name in given if as_name(name) == f"{node.name}.weight" and _same(given[name], node.weight)]
    weights = named or [name for name, own in given.items() if _same(own, node.weight)]
    if len(weights) != 1:
        return {}
    sibling = weights[0].removesuffix("weight") + "bias"
    if sibling in given and sibling != weights[0] and _same(given[sibling], node.bias):
        return {"weight": weights[0], "bias": sibling}
    biases = [name for name, own in given.items() if name != weights[0] and _same(own, node.bias)]
    if len(biases) == 1 and node.bias.any():
        return {"weight": weights[0], "bias": biases[0]}
    return {} if node.bias.any() else {"weight": weights[0]}


def _same(own: nn.Parameter, values: NDArray[Any]) -> bool:
    if own.numel() != values.size:
        return False
    wanted = torch.from_numpy(np.ascontiguousarray(values))
    return torch.equal(own.detach().cpu().to(wanted.dtype).reshape(wanted.shape), wanted)
