"""What a node of the exported graph stands for while it is converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.graph.rules.arrays import Quad

__all__ = ["Activation", "Constant", "Value", "as_array"]


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A tensor that depends on the image: the result of graph node `name`, zero-padded by `padding` ahead of use.

    With an `order` the channel axis stands as several axes, of this array's shape; its entries are channel numbers.
    """

    name: str
    padding: Quad = (0, 0, 0, 0)
    order: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A tensor that does not: a parameter, a buffer, or something computed from them; `origins` are their names."""

    tensor: torch.Tensor
    origins: tuple[str, ...]


#: None stands for sizes and other values that are no tensors.
Value = Activation | Constant | None


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy as numpy, float32 where numpy has no such type (bfloat16) and where the type is half as precise."""
    tensor = tensor.detach().cpu()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float32)
    array: NDArray[Any] = np.array(tensor.contiguous().numpy(), copy=True)
    return array
