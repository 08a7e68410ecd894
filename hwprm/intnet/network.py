"""`IntegerNetwork`: GEMM layers over integer tensors whose rules have been checked; what the compiler reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hwprm.core.shown import html_table
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

    def __repr__(self) -> str:
        bits = f"weights of {self.weight_bits} bits, activations of {self.act_bits}"
        return f"<IntegerNetwork {self.name}: {len(self.layers)} layers, {bits}>"

    def _repr_html_(self) -> str:
        rows = [
            (layer.name, " x ".join(map(str, self.tensor[layer.name].shape)), self.tensor[layer.name].signed)
            for layer in self.layers
        ]
        return html_table(repr(self)[1:-1], ("layer", "result", "signed"), rows)

    def save(self, folder: Path | str) -> None:
        """Write ``network.json`` and ``weights.safetensors`` into `folder`. Same network, same bytes."""
        save_parts(self, Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote. Raises ModelError when it is missing, cut short or of another format."""
        return load_parts(cls, Path(folder))
