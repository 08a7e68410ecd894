"""What a node of the exported graph stands for while it is converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Activation", "Comparison", "Constant", "Index", "Value", "as_array"]

#: Which sample of a tensor of the graph each sample of another one is: its number in channel-major order from 1 on, or
#: 0 for a zero.
Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """A tensor that depends on the image: the samples of graph node `name` in other places.

    `index` is of the shape that the tensor has in torch, without batch. None: all samples, in their order, whatever
    that shape is.
    """

    name: str
    index: Index | None = None
    #: The call that put the samples there, as it is in the exported graph: its name and its operator.
    view: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Where the tensor of fx node `tensor` is above `bound` (below, unless `above`)."""

    tensor: torch.fx.Node
    bound: float
    above: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A tensor that does not: a parameter, a buffer, or something computed from them; `origins` are their names."""

    tensor: torch.Tensor
    origins: tuple[str, ...]


#: None stands for sizes and other values that are no tensors.
Value = Activation | Comparison | Constant | None


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy as numpy, float32 where numpy has no such type (bfloat16) and where the type is half as precise."""
    tensor = tensor.detach().cpu()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float32)
    array: NDArray[Any] = np.array(tensor.contiguous().numpy(), copy=True)
    return array
