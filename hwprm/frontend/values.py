"""What a node of the exported graph stands for while it is converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Activation", "Constant", "RefusalError", "Value", "as_array", "pair"]

Quad = tuple[int, int, int, int]


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


class RefusalError(Exception):
    """Raised by an operator's handler; the walk turns it into a finding and goes on."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def pair(value: Any) -> tuple[int, int]:
    """torch's one-or-two integers: 3, [3] and [3, 3] are all (3, 3)."""
    numbers = [value] if isinstance(value, int) else list(value)
    if len(numbers) not in (1, 2) or not all(isinstance(n, int) for n in numbers):
        raise RefusalError(f"{value!r} is no pair of integers", "use a two-dimensional operator of fixed sizes")
    return (numbers[0], numbers[-1])


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy as numpy, float32 where numpy has no such type (bfloat16) and where the type is half as precise."""
    tensor = tensor.detach().cpu()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float32)
    array: NDArray[Any] = np.array(tensor.contiguous().numpy(), copy=True)
    return array
