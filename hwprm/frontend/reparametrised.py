"""Weights that a checkpoint holds in parts: masks of pruning, weight norm and spectral norm, carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["effective"]


def effective(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` with the weight itself instead of its parts, under the name that it has in a plain module.

    Parts are named as `torch.nn.utils.prune`, `torch.nn.utils.weight_norm` and `spectral_norm`, and their successors
    in `torch.nn.utils.parametrizations`, name them. What is no complete set of parts stays as it is.
    """
    found = dict(tensors)
    for name in tensors:
        for end, parts in _PARTS.items():
            stem = name.removesuffix(end)
            if stem == name or not all(stem + part in found for part in parts):
                continue
            values = [found.pop(stem + part) for part in parts]
            wide = [value if value.dtype == torch.float64 else value.float() for value in values]
            found[stem.replace(".parametrizations.", ".").removeprefix("parametrizations.")] = _RULES[end](*wide)
    return found


def _normed(direction: Tensor, length: Tensor) -> Tensor:
    """Weight norm: each slice of `direction` has the norm that `length` says."""
    axes = [axis for axis in range(direction.ndim) if length.ndim == 0 or length.shape[axis] == 1]
    norm: Tensor = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
    return direction * (length / norm)


def _spectral(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Spectral norm along the first axis, by the vectors of its power iteration."""
    return weight / (left @ (weight.flatten(1) @ right))


#: The parts of a weight by the end of the first one's name, and what they make.
_PARTS = {
    "_orig": ("_orig", "_mask"),
    "_v": ("_v", "_g"),
    "_u": ("_orig", "_u", "_v"),
    ".original1": (".original1", ".original0"),
    ".original": (".original", ".0._u", ".0._v"),
}
_RULES: Mapping[str, Callable[..., Tensor]] = {
    "_orig": torch.mul,
    "_v": _normed,
    "_u": _spectral,
    ".original1": _normed,
    ".original": _spectral,
}
