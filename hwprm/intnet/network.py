"""`IntegerNetwork`: GEMM layers over integer tensors whose rules have been checked; what the compiler reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hwprm.intnet.checks import check_network
from hwprm.intnet.files import load_parts, save_parts
from hwprm.intnet.structure import Structure

__all__ = ["IntegerNetwork"]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNetwork(Structure):
    """A `Structure` that keeps the rules of `hwprm.intnet.checks`.

    Raises ModelError when names, shapes or ranges do not fit together.
    """

    def __post_init__(self) -> None:
        check_network(self)

    def save(self, folder: Path) -> None:
        """Write ``network.json`` and ``weights.safetensors`` into `folder`. Same network, same bytes."""
        save_parts(self, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when it is missing, cut short or of another format."""
        return load_parts(cls, folder)
