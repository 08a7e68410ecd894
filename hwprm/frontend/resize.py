"""Handler of indexing with constants, among them a decomposed nearest upsampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend.calls import shape_of
from hwprm.frontend.channels import choose
from hwprm.frontend.values import Value
from hwprm.frontend.walk import Walk
from hwprm.graph import Upsample
from hwprm.graph.rules.imports import RefusalError

__all__ = ["index"]

Args = Mapping[str, Any]

_REMEDY = "scale height and width by whole numbers (mode='nearest')"


def index(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x[:, [2, 0, 1]]``, and the rows and columns of which a decomposed upsampling consists."""
    source, indices = args["self"], list(args["indices"])
    axes = [axis for axis, values in enumerate(indices) if values is not None]
    tensors = [walk.constant(indices[axis], "index") for axis in axes]
    if any(tensor.dtype == torch.bool for tensor in tensors):
        raise RefusalError("it indexes with a mask", "choose channels by their numbers")
    if axes == [1] and tensors[0].ndim == 1:
        return choose(walk, node, source, [int(c) % shape_of(source)[1] for c in tensors[0].tolist()])
    if axes == [2, 3]:
        before, after = shape_of(source)[2:], shape_of(node)[2:]
        factors = (after[0] // before[0], after[1] // before[1])
        shape = (before[0] * factors[0], before[1] * factors[1])
        if min(factors) > 0 and shape == after:
            wanted = torch.arange(shape[0])[:, None] // factors[0], torch.arange(shape[1]) // factors[1]
            if all(torch.equal(a.expand(shape), b.expand(shape)) for a, b in zip(tensors, wanted, strict=True)):
                return _repeated(walk, node, source, factors)
        raise RefusalError("it picks pixels one by one", _REMEDY)
    raise RefusalError(f"it indexes axes {axes} of {shape_of(source)}", "choose channels only: x[:, [2, 0, 1]]")


def _repeated(walk: Walk, node: torch.fx.Node, source: torch.fx.Node, factors: tuple[int, int]) -> Value:
    x = walk.activation(source)
    if factors == (1, 1):
        return x
    return walk.add(Upsample(name=walk.plain_name(node), inputs=(x.name,), factors=factors))
