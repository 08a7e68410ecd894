"""Handlers of nearest upsampling, in its several spellings, and of indexing with constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend.channels import choose, size
from hwprm.frontend.values import RefusalError, Value
from hwprm.frontend.walk import Walk
from hwprm.graph import Upsample

__all__ = ["index", "upsample"]

Args = Mapping[str, Any]

_REMEDY = "scale height and width by whole numbers (mode='nearest')"


def upsample(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """Nearest upsampling to a multiple of the map's height and width."""
    before, after = size(args["input"] if "input" in args else args["self"]), size(node)
    # A scale that is no whole number may still give a multiple, but picks other pixels.
    listed = args.get("scale_factors") or (args.get("scales_h"), args.get("scales_w"))
    given = [scale for scale in listed if scale is not None]
    if any(scale != int(scale) for scale in given) or any(n % o for o, n in zip(before[2:], after[2:], strict=True)):
        raise RefusalError(f"it makes {after[2:]} of {before[2:]}", _REMEDY)
    source = args["input"] if "input" in args else args["self"]
    return _repeated(walk, node, source, (after[2] // before[2], after[3] // before[3]))


def index(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x[:, [2, 0, 1]]``, and the rows and columns of which a decomposed upsampling consists."""
    source, indices = args["self"], list(args["indices"])
    axes = [axis for axis, values in enumerate(indices) if values is not None]
    tensors = [walk.constant(indices[axis], "index") for axis in axes]
    if any(tensor.dtype == torch.bool for tensor in tensors):
        raise RefusalError("it indexes with a mask", "choose channels by their numbers")
    if axes == [1] and tensors[0].ndim == 1:
        return choose(walk, node, source, [int(c) % size(source)[1] for c in tensors[0].tolist()])
    if axes == [2, 3]:
        before, after = size(source)[2:], size(node)[2:]
        factors = (after[0] // before[0], after[1] // before[1])
        shape = (before[0] * factors[0], before[1] * factors[1])
        if min(factors) > 0 and shape == after:
            wanted = torch.arange(shape[0])[:, None] // factors[0], torch.arange(shape[1]) // factors[1]
            if all(torch.equal(a.expand(shape), b.expand(shape)) for a, b in zip(tensors, wanted, strict=True)):
                return _repeated(walk, node, source, factors)
        raise RefusalError("it picks pixels one by one", _REMEDY)
    raise RefusalError(f"it indexes axes {axes} of {size(source)}", "choose channels only: x[:, [2, 0, 1]]")


def _repeated(walk: Walk, node: torch.fx.Node, source: torch.fx.Node, factors: tuple[int, int]) -> Value:
    x = walk.activation(source)
    if factors == (1, 1):
        return x
    return walk.add(Upsample(name=walk.plain_name(node), inputs=(x.name,), factors=factors))
