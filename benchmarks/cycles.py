"""Cycles per image: prediction, promise, ideal bound, and the figures of comparable tools.

What: for LeNet-5, dense and pruned, on each array: exact cycles of an image at steady state, the promise
P = sum over layers and filter tiles of ceil(N / R) * window * max(K, drained filters / window), where the entries of
residuals count as columns of K, the most that keeps it
(1.05 P + 64 a layer), the ideal bound max(M K N / (R C), M K / C) summed over layers, and ratios. Then LeNet 5-10-40-10
beside cycles of NNgen 1.3.4 and SCALE-Sim 3.0.0, and SCALE-Sim's closed form on the matrices of every network.
How: the compiler's cycle model; no clock, no wall time. --simulate runs each design in RTL under Verilator and
fails unless the simulated counter equals the prediction. The pruned network is a random structured mask of the default
budgets unless --model names an integer network or a model (benchmarks/accuracy.py leaves one).
Target: cycles <= 1.05 P + 64 a layer everywhere; 5-10-40-10 on 8x8 in fewer cycles than NNgen and SCALE-Sim's best.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import markdown, parser, say, verdict, write_results
from networks import dense_lenet5, embedded, pruned_lenet5, slim_lenet, stored_network
from scale_sim import scale_sim

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, VerifyConfig
from hwprm.core.errors import MismatchError
from hwprm.emission import emit_bundle
from hwprm.intnet import IntegerNetwork
from hwprm.quantization import quantize_images
from hwprm.verification import verify_bundle


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Published or measured cycles of another tool on LeNet 5-10-40-10 (158,800 multiplications)."""

    tool: str
    multipliers: int
    cycles: int
    note: str


PEERS = (
    Peer(tool="NNgen 1.3.4, par 1/1", multipliers=25, cycles=27_393, note="whole RTL with DMA, default memory model"),
    Peer(tool="NNgen 1.3.4, par 2/2", multipliers=100, cycles=15_281, note="whole RTL with DMA, default memory model"),
    Peer(tool="SCALE-Sim 3.0.0, 8x8", multipliers=64, cycles=5_594, note="array only, best dataflow of each layer"),
)


def main() -> None:
    """Count, print and write."""
    args = _arguments()
    arrays = [_array(text) for text in args.arrays.split(",")]
    pruned = stored_network(args.model) if args.model else pruned_lenet5()
    nets = {"LeNet-5 dense": dense_lenet5(), "LeNet-5 pruned": pruned, "LeNet 5-10-40-10": slim_lenet()}
    counted = [_count(title, net, array, args.simulate) for title, net in nets.items() for array in arrays]
    print(_overview(counted))
    if args.layers:
        print("\n" + _layer_table(counted))
    print("\n" + _peer_table(counted))
    print("\n" + _scale_sim_table(counted))
    facts = {
        "pruned_network": "stored model" if args.model else "random structured mask of the default budgets",
        "target": "cycles <= 1.05 x promise + 64 per layer",
        "met": all(entry["met"] for entry in counted),
        "networks": counted,
        "peers": [asdict(peer) for peer in PEERS],
    }
    say(f"written: {write_results('cycles', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("a promise is broken")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--arrays", default="4x4,8x8,8x16", help="rows x columns, comma between (default: %(default)s)")
    made.add_argument("--model", type=Path, help="folder of the pruned model or integer network")
    made.add_argument("--layers", action="store_true", help="print every layer")
    made.add_argument("--simulate", action="store_true", help="verify each design in RTL; minutes")
    return made.parse_args()


def _array(text: str) -> ArrayConfig:
    rows, _, cols = text.partition("x")
    return ArrayConfig(rows=int(rows), cols=int(cols))


def _count(title: str, net: IntegerNetwork, array: ArrayConfig, simulate: bool) -> dict[str, Any]:
    program = compile_network(net, array)
    report = program.cycles
    entry = {"net": title, **report.as_dict(), "met": report.total <= report.limit}
    entry["widths"] = [layer.filters for layer in report.layers]
    entry["macs"] = sum(layer.macs for layer in report.layers)
    entry["scale_sim"] = scale_sim(report)
    if simulate:
        say(f"{title} on {array.rows}x{array.cols}: RTL simulation")
        entry["simulated"] = simulated_cycles(net, array)
    return entry


def simulated_cycles(net: IntegerNetwork, array: ArrayConfig) -> int:
    """Cycles of the simulated counter. Raises MismatchError when it, or any integer, is not as predicted."""
    data = embedded()
    images = quantize_images(data.x_test[:4], data.input_scale, net)
    with tempfile.TemporaryDirectory() as folder:
        bundle = emit_bundle(compile_network(net, array), images, data.y_test[:4], Path(folder) / "bundle")
        report = verify_bundle(bundle.folder, VerifyConfig(images=4))
    report.raise_on_failure()
    predicted, simulated = report.cycles_predicted, report.cycles_simulated
    layers, found = dict(report.layer_cycles_predicted), dict(report.layer_cycles_simulated)
    if simulated is None or simulated != predicted or found != layers:
        raise MismatchError(f"simulated {simulated} cycles, layers {found}; predicted {predicted}, {layers}")
    return simulated


def _size(entry: dict[str, Any]) -> str:
    return f"{entry['rows']}x{entry['cols']}"


def _overview(counted: list[dict[str, Any]]) -> str:
    header = (
        "network",
        "array",
        "cycles",
        "simulated",
        "P",
        "limit",
        "target",
        "cycles / P",
        "bound",
        "cycles / bound",
    )
    rows = []
    for e in counted:
        total = e["total"]
        numbers = (total, e.get("simulated"), e["promise"], math.floor(e["limit"]), verdict(e["met"]))
        rows.append((e["net"], _size(e), *numbers, total / e["promise"], round(e["bound"]), total / e["bound"]))
    return markdown(header, rows)


def _layer_table(counted: list[dict[str, Any]]) -> str:
    header = ("network", "array", "layer", "M x K", "pixels x window", "cycles", "issuing", "P", "bound")
    rows = [
        (
            *(e["net"], _size(e), layer["name"], f"{layer['filters']}x{layer['columns']}"),
            *(f"{layer['pixels']}x{layer['window']}", layer["cycles"], layer["busy"], layer["promise"]),
            round(layer["bound"]),
        )
        for e in counted
        for layer in e["layers"]
    ]
    return markdown(header, rows)


def _peer_table(counted: list[dict[str, Any]]) -> str:
    rows: list[tuple[object, ...]] = [
        (p.tool, p.multipliers, p.cycles, p.cycles * p.multipliers, p.note) for p in PEERS
    ]
    for e in counted:
        if e["net"] == "LeNet 5-10-40-10":
            multipliers = e["rows"] * e["cols"]
            note = "whole RTL, next image loading, no DMA"
            rows.append((f"hwprm, {_size(e)}", multipliers, e["total"], e["total"] * multipliers, note))
    return "LeNet 5-10-40-10:\n\n" + markdown(("tool", "multipliers", "cycles", "cycles x multipliers", "what"), rows)


def _scale_sim_table(counted: list[dict[str, Any]]) -> str:
    header = ("network", "array", "hwprm", "SCALE-Sim WS", "IS", "OS", "best per layer", "best / hwprm")
    rows = []
    for e in counted:
        s = e["scale_sim"]
        rows.append(
            (
                e["net"],
                _size(e),
                e["total"],
                s["ws"],
                s["is"],
                s["os"],
                s["best_per_layer"],
                s["best_per_layer"] / e["total"],
            )
        )
    return "SCALE-Sim's closed form on the same matrices:\n\n" + markdown(header, rows)


if __name__ == "__main__":
    main()
