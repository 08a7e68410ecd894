"""SCALE-Sim 3.0.0's cycles, by the closed form that its layer runs follow."""

from __future__ import annotations

import math
from typing import Protocol

from hwprm.compiler import CycleReport

__all__ = ["Sizes", "dataflows", "scale_sim"]


class Sizes(Protocol):
    """A layer's matrix, `filters` x `columns`, and how many pixels, times window positions, it is applied to."""

    @property
    def filters(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def pixels(self) -> int: ...
    @property
    def window(self) -> int: ...


def scale_sim(report: CycleReport) -> dict[str, int]:
    """SCALE-Sim's cycles by its closed form, for each dataflow and for the best of each layer."""
    flows = [dataflows(layer, report.rows, report.cols) for layer in report.layers]
    totals = {flow: sum(layer[flow] for layer in flows) for flow in ("ws", "is", "os")}
    return totals | {"best_per_layer": sum(min(layer.values()) for layer in flows)}


def dataflows(layer: Sizes, R: int, C: int) -> dict[str, int]:
    """One layer's cycles with weights, inputs or outputs stationary.

    F folds of T steps, F = ceil(Sr / R) ceil(Sc / C): F (T + 2 R + C - 2) - 1 for WS and IS, F (T + R + C - 2) - 1 for
    OS. On square arrays this reproduced 523 layer runs of SCALE-Sim 3.0.0 to within a cycle each. Folds never overlap;
    neither pooling nor memory traffic is in it.
    """
    M, K, N = layer.pixels * layer.window, layer.columns, layer.filters

    def folds(height: int, width: int) -> int:
        return math.ceil(height / R) * math.ceil(width / C)

    return {
        "ws": folds(K, N) * (M + 2 * R + C - 2) - 1,
        "is": folds(K, M) * (N + 2 * R + C - 2) - 1,
        "os": folds(M, N) * (K + R + C - 2) - 1,
    }
