"""Records of what was removed, by which rule, and of what could not be removed exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Kind", "Refusal", "Removal", "Removals", "Rule"]


class Rule(StrEnum):
    """Why something went; the first three are approximate (Algorithm 1's thresholds), the last is exact."""

    COLUMN = "column"  #: squared norm under Th1
    CHANNEL = "channel"  #: fullness under Th2 and importance under Th3
    FILTER = "filter"  #: squared norm under Th4
    PATH = "path"  #: nobody reads it, or it reads a constant


class Kind(StrEnum):
    """What went."""

    COLUMNS = "columns"  #: of the layer's matrix (one (channel, ky, kx) position, or one input of a linear layer)
    CHANNELS = "channels"  #: input channels: all their columns
    FILTERS = "filters"  #: rows: filters or neurons


@dataclass(frozen=True, kw_only=True)
class Removal:
    """One rule's work on one layer; `indices` count in the layer's matrix as it was loaded.

    `weights` is how many weights that were not zero became zero by it.
    """

    rule: Rule
    layer: str
    kind: Kind
    indices: tuple[int, ...]
    weights: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with the same keys."""
        return {**asdict(self), "rule": str(self.rule), "kind": str(self.kind), "indices": list(self.indices)}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A filter without weights that has to stay: `reader` pads its constant map `value` with zeros."""

    layer: str
    filter: int
    value: float
    reader: str

    def __str__(self) -> str:
        return (
            f"filter {self.filter} of {self.layer!r} puts out nothing but the constant {self.value:.6g}, and "
            f"{self.reader!r} pads that map with zeros, so the constant cannot be folded into a bias exactly; "
            "prune its bias (and batch norm) with the filter and retrain, or keep it"
        )


@dataclass(frozen=True, kw_only=True)
class Removals:
    """What unused-path removal did: all of `removed` without any change to the outputs, `refused` left in place."""

    removed: tuple[Removal, ...] = ()
    refused: tuple[Refusal, ...] = ()
