"""The state of an optimiser, cut as a network is cut and put back where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwprm.graph import Graph
from hwprm.nets import GraphModule
from hwprm.pruning.compaction.compaction import cut_channels
from hwprm.pruning.compaction.narrowing import widen

__all__ = ["narrowed", "widened"]

BoolArray = NDArray[np.bool_]
#: As `hwprm.training.optimisers.named` gives it.
Moments = Mapping[str, Tensor]


def narrowed(moments: Moments, graph: Graph, keep: Mapping[str, BoolArray]) -> dict[str, Tensor]:
    """`moments` of the parameters of `graph` for the channels `keep` of it."""
    return _through(moments, graph, lambda holding: cut_channels(holding, keep))


def widened(moments: Moments, small: Graph, graph: Graph, keep: Mapping[str, BoolArray]) -> dict[str, Tensor]:
    """`moments` of the parameters of `small`, which has the channels `keep` of `graph`, in their place, 0 elsewhere."""
    return _through(moments, small, lambda holding: widen(holding, graph, keep))


def _through(moments: Moments, graph: Graph, change: Callable[[Graph], Graph]) -> dict[str, Tensor]:
    """Each moment takes the place of the parameters that it is of, and goes the way that they go."""
    holders = GraphModule(graph).holders
    found = {name: value for name, value in moments.items() if value.ndim == 0}
    for key in sorted({name.partition("/")[2] for name in moments} - {name.partition("/")[2] for name in found}):
        names = {
            (node, part): name
            for node, holder in holders.items()
            for part in ("weight", "bias")
            if (name := f"{holder}.{part}/{key}") in moments
        }
        changed: dict[str, dict[str, Any]] = {
            node: {part: moments[name].numpy() for (own, part), name in names.items() if own == node}
            for node in holders
        }
        made = change(graph.replace(*(replace(graph.by_name[node], **new) for node, new in changed.items() if new)))
        found |= {
            name: torch.from_numpy(np.array(getattr(made.by_name[node], part)))
            for (node, part), name in names.items()
            if node in made.by_name
        }
    return found
