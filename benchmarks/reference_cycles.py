"""Cycles per image of the papers' CIFAR-10 networks, dense and pruned, against the ideal bound and other tools.

What: VGG-16 and ResNet-18, dense and pruned to the P-RM paper's convolution rates (50x, 60x), on 8x8, 16x8 and 16x16:
exact steady-state cycles of a whole image, residual additions, pools and averages included; the ideal bound, sum over
convolutions and linear layers alone of max(M K N / (R C), M K / C); SCALE-Sim 3.0.0's closed form on the same matrices
(its best dataflow for each layer; pools and additions cost it nothing); and the speed-up of pruning over the reduction
of multiplications. Then one 3x3 convolution 64 -> 64 on 16x16 pixels, for which NNgen's cycles are known.
How: the compiler's cycle model, exact by test and by every verification (benchmarks/scale.py simulates these networks).
Random weights under a seeded structured mask, filters in multiples of 16; for comparison the same with filters as they
come.
Target: cycles / bound of at most 1.12, 1.12, 1.20 (VGG-16), 1.15, 1.15, 1.20 (ResNet-18), 1.03, 1.03, 1.04 (dense);
1.05 P + 64 a layer; a speed-up of at least 0.9 x the reduction of multiplications.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from common import markdown, parser, say, verdict, write_results
from networks import MASKS, convolution, reference_graph, reference_images
from scale_sim import dataflows

from hwprm.compiler import CycleReport, compile_network
from hwprm.config import ArrayConfig
from hwprm.graph import Conv2d, Graph
from hwprm.quantization import quantize_network

ARRAYS = ((8, 8), (16, 8), (16, 16))
#: Most cycles over bound, per array.
TARGETS = {
    ("vgg16-cifar", "pruned"): (1.12, 1.12, 1.20),
    ("resnet18-cifar", "pruned"): (1.15, 1.15, 1.20),
    ("vgg16-cifar", "dense"): (1.03, 1.03, 1.04),
    ("resnet18-cifar", "dense"): (1.03, 1.03, 1.04),
}
#: Slightly narrower, so that no number of filters is a multiple of the array's columns by itself.
UNROUNDED = {name: replace(mask, multiple=1, width=0.9 * mask.width) for name, mask in MASKS.items()}
#: NNgen 1.3.4, whole RTL with DMA: 3x3 convolution 64 -> 64 on 16x16 pixels, by multipliers.
NNGEN = {9: 1_055_617, 144: 72_089}


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A weighted layer as a matrix product: `filters` x `columns` weights over `pixels` pixels."""

    name: str
    filters: int
    columns: int
    pixels: int
    window: int = 1

    @property
    def macs(self) -> int:
        """Multiplications."""
        return self.filters * self.columns * self.pixels

    def bound(self, rows: int, cols: int) -> float:
        """Least cycles: every multiplier at work, or the weight port."""
        return max(self.macs / (rows * cols), self.filters * self.columns / cols)

    def scale_sim(self, rows: int, cols: int) -> int:
        """SCALE-Sim's cycles in its best dataflow."""
        return min(dataflows(self, rows, cols).values())


def main() -> None:
    """Count, print and write."""
    args = _arguments()
    rows = [row for name in ("vgg16-cifar", "resnet18-cifar") for row in _network(name, args.layers)]
    print(_table(rows))
    single = _single_layer()
    print("\nOne 3x3 convolution, 64 -> 64, on 16x16 pixels:\n\n" + single[0])
    missed = [f"{row['net']} {row['kind']} on {row['array']}" for row in rows if not row["met"]]
    facts = {"target": "see the docstring", "met": not missed, "networks": rows, "single_layer": single[1]}
    say(f"written: {write_results('reference_cycles', facts, args.results)}")
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}; --layers shows where")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--layers", action="store_true", help="print every layer")
    return made.parse_args()


def _network(name: str, layers: bool) -> list[dict[str, Any]]:
    """One row per kind and array."""
    rows: list[dict[str, Any]] = []
    masks = {"dense": None, "pruned": MASKS[name], "pruned, filters unrounded": UNROUNDED[name]}
    for kind, mask in masks.items():
        graph = reference_graph(name, mask)
        net = quantize_network(graph, reference_images(name), 1 / 255, name=f"{name}-{kind}")
        matrices = _matrices(graph)
        for (r, c), target in zip(ARRAYS, TARGETS.get((name, kind), (None,) * len(ARRAYS)), strict=True):
            report = compile_network(net, ArrayConfig(rows=r, cols=c)).cycles
            if layers:
                print(f"{name} {kind} on {r}x{c}:\n\n{_layer_table(report, matrices)}\n")
            rows.append(_row(name, kind, report, matrices, target, _dense(rows, f"{r}x{c}")))
    return rows


def _dense(rows: list[dict[str, Any]], array: str) -> dict[str, Any] | None:
    return next((row for row in rows if row["kind"] == "dense" and row["array"] == array), None)


def _matrices(graph: Graph) -> list[Matrix]:
    made = []
    for node in graph.weighted:
        matrix = node.weight.reshape(len(node.weight), -1)
        pixels = int(np.prod(graph.shapes[node.name][1:])) if isinstance(node, Conv2d) else 1
        columns = int(matrix.any(axis=0).sum())
        made.append(Matrix(name=node.name, filters=len(matrix), columns=columns, pixels=pixels))
    return made


def _row(
    name: str,
    kind: str,
    report: CycleReport,
    matrices: list[Matrix],
    target: float | None,
    dense: dict[str, Any] | None,
) -> dict[str, Any]:
    size = (report.rows, report.cols)
    bound, macs = sum(m.bound(*size) for m in matrices), sum(m.macs for m in matrices)
    ratio = report.total / bound
    row: dict[str, Any] = {
        "net": name,
        "kind": kind,
        "rate": 1 if kind == "dense" else MASKS[name].rate,
        "array": f"{size[0]}x{size[1]}",
        "macs": macs,
        "cycles": report.total,
        "bound": round(bound, 1),
        "ratio": round(ratio, 4),
        "target": target,
        "promise_kept": report.total <= report.limit,
        "scale_sim": sum(m.scale_sim(*size) for m in matrices),
        "gain": round(dense["cycles"] / report.total / (dense["macs"] / macs), 3) if dense else None,
    }
    gain = row["gain"]
    bad = target is not None and (ratio > target or (gain is not None and gain < 0.9))
    row["met"] = row["promise_kept"] and not bad
    return row


def _table(rows: list[dict[str, Any]]) -> str:
    header = (
        *("network", "array", "multiplications", "cycles", "bound", "cycles / bound", "target", ""),
        *("SCALE-Sim, best", "SCALE-Sim / hwprm", "speed-up / reduction of MACs"),
    )
    cells = [
        (
            *(f"{r['net']} {r['kind']}", r["array"], r["macs"], r["cycles"], round(r["bound"])),
            *(f"{r['ratio']:.3f}", r["target"], verdict(r["met"]) if r["target"] else None),
            *(r["scale_sim"], r["scale_sim"] / r["cycles"], r["gain"]),
        )
        for r in rows
    ]
    return markdown(header, cells)


def _layer_table(report: CycleReport, matrices: list[Matrix]) -> str:
    bounds = {m.name: m.bound(report.rows, report.cols) for m in matrices}
    rows = []
    for layer in report.layers:
        name = layer.name.removesuffix("_map")
        bound = bounds.pop(name, 0.0)
        size = f"{layer.filters}x{layer.columns}"
        rows.append((layer.name, size, layer.pixels, layer.cycles, round(bound), round(layer.cycles - bound)))
    return markdown(("layer", "M x K", "pixels", "cycles", "bound", "over"), rows)


def _single_layer() -> tuple[str, list[dict[str, Any]]]:
    """hwprm beside NNgen on the same convolution, in cycles and in cycles times multipliers."""
    rows: list[dict[str, Any]] = [
        {"tool": "NNgen 1.3.4", "multipliers": count, "cycles": cycles} for count, cycles in NNGEN.items()
    ]
    net = convolution(64, 64, 16)
    for r, c in ((3, 3), *ARRAYS):
        report = compile_network(net, ArrayConfig(rows=r, cols=c)).cycles
        rows.append({"tool": f"hwprm {r}x{c}", "multipliers": r * c, "cycles": report.layers[0].cycles})
    ideal = 64 * 64 * 9 * 256
    cells = [(r["tool"], r["multipliers"], r["cycles"], 100 * ideal / r["cycles"] / r["multipliers"]) for r in rows]
    return markdown(("tool", "multipliers", "cycles", "multipliers at work, %"), cells), rows


if __name__ == "__main__":
    main()
