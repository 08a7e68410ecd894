"""The tool on networks of real size: compile, emit, and simulate bit for bit at every layer.

What: VGG-16 and ResNet-18 (CIFAR, pruned 50x and 60x) on 16x16, AlexNet and ResNet-50 (ImageNet size, pruned 5x and
2.7x) on 32x32, these two also with weights, lists and descriptors in external memory (40 cycles of latency, a beat of
16 bytes a cycle). Per network: CPU seconds and peak memory of compiling and emitting, CPU seconds of Verilator's build
and of the simulation with its comparisons; integers compared with the reference, of every layer of every image;
mismatches; clock cycles predicted and simulated.
How: each phase in a process of its own, beginning with a saved network. User + system time of a process and all that it
started, as the machine may be shared: on a free machine no phase takes longer than that. The simulation is
`hwprm verify --modes bulk` with as many --trace-images as images; --modes layers runs every layer alone in parallel
instead. Random weights under a seeded structured mask, as sizes and times depend on shapes and zeros alone. Finished
phases are kept in runs/scale: --resume goes on behind them.
Target: VGG-16 compiles and emits in under 30 s and 2 GB, ResNet-50 in under 240 s and 6 GB. Build and simulation in
under 600 s (10 CIFAR images) and 1800 s (one ImageNet image). No mismatch, every layer's cycles as predicted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from common import RUNS, markdown, measure, parser, say, stopwatch, verdict, write_results


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network on an array of `size` x `size`; targets in seconds and bytes, None where there is none."""

    network: str
    size: int
    images: int
    #: Where the program lies: "rom" or "axi".
    weights: Literal["rom", "axi"] = "rom"
    emit_seconds: float | None = None
    emit_bytes: float | None = None
    simulate_seconds: float


ROWS = {
    "vgg16-cifar": Row(
        network="vgg16-cifar", size=16, images=10, emit_seconds=30, emit_bytes=2e9, simulate_seconds=600
    ),
    "resnet18-cifar": Row(network="resnet18-cifar", size=16, images=10, simulate_seconds=600),
    "alexnet": Row(network="alexnet", size=32, images=1, simulate_seconds=1800),
    "resnet50": Row(network="resnet50", size=32, images=1, emit_seconds=240, emit_bytes=6e9, simulate_seconds=1800),
    "alexnet-axi": Row(network="alexnet", size=32, images=1, weights="axi", simulate_seconds=1800),
    "resnet50-axi": Row(network="resnet50", size=32, images=1, weights="axi", simulate_seconds=1800),
}
#: Phases of a row, in order; each leaves a folder that the next one reads.
PHASES = ("make", "emit", "build", "simulate")
#: What is known of each phase.
USAGE = ("wall_seconds", "cpu_seconds", "peak_mib")


def main() -> None:
    """Run every phase of every row in its own process, print and write."""
    args = _arguments()
    if args.phase:
        print(json.dumps(_phase(args.phase, args.rows, args.folder, args.modes)))
        return
    entries = []
    for name in args.rows.split(","):
        facts = {phase: _run(name, phase, args) for phase in PHASES}
        entries.append(_entry(name, facts))
        print(_table(entries[-1:]), flush=True)
    print(_table(entries))
    met = all(entry["met"] for entry in entries)
    say(f"written: {write_results('scale', {'rows': entries, 'met': met}, args.results)}")
    if not met:
        raise SystemExit("a target was missed")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--rows", default=",".join(ROWS), help="comma between (default: %(default)s)")
    made.add_argument("--modes", default="bulk", help="bulk or layers (default: %(default)s)")
    made.add_argument("--resume", action="store_true", help="keep the phases that an earlier run has finished")
    made.add_argument("--folder", type=Path, default=RUNS / "scale", help="where everything is kept (%(default)s)")
    made.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    return made.parse_args()


def _run(name: str, phase: str, args: argparse.Namespace) -> dict[str, Any]:
    """Facts of one phase: kept ones where they may be, else those of a process made for it."""
    folder = args.folder / name
    kept = folder / f"{phase}.json"
    if not args.resume and phase == PHASES[0]:
        shutil.rmtree(folder, ignore_errors=True)
    if kept.is_file():
        facts: dict[str, Any] = json.loads(kept.read_text())
        return facts
    say(f"{name}: {phase}")
    folder.mkdir(parents=True, exist_ok=True)
    again = [sys.executable, str(Path(__file__).resolve()), "--phase", phase, "--modes", args.modes]
    usage, text = measure([*again, "--rows", name, "--folder", str(folder)])
    facts = {**usage.as_dict(), **json.loads(text.splitlines()[-1])}
    kept.write_text(json.dumps(facts))
    return facts


def _phase(phase: str, name: str, folder: Path, modes: str) -> dict[str, Any]:
    phases = {"make": _make, "emit": _emit, "build": _build, "simulate": _simulate}
    return phases[phase](name, folder, modes)


def _make(name: str, folder: Path, modes: str) -> dict[str, Any]:
    """Save the pruned integer network and its images."""
    import numpy as np
    from networks import MASKS, reference, reference_images

    from hwprm.quantization import quantize_images

    network = ROWS[name].network
    net = reference(network, MASKS[network])
    net.save(folder / "network")
    np.save(folder / "images.npy", quantize_images(reference_images(network, ROWS[name].images), 1 / 255, net))
    weights = sum(int(np.count_nonzero(term.weight)) for layer in net.layers for term in layer.terms)
    return {"net": net.name, "weights": weights}


def _emit(name: str, folder: Path, modes: str) -> dict[str, Any]:
    import numpy as np

    from hwprm.compiler import compile_network
    from hwprm.config import ArrayConfig
    from hwprm.emission import emit_bundle
    from hwprm.intnet import IntegerNetwork

    row = ROWS[name]
    array = ArrayConfig(rows=row.size, cols=row.size, weights=row.weights)
    shutil.rmtree(folder / "bundle", ignore_errors=True)
    with stopwatch() as compiling:
        program = compile_network(IntegerNetwork.load(folder / "network"), array)
    emit_bundle(program, np.load(folder / "images.npy"), None, folder / "bundle")
    return {"compile_seconds": round(compiling.cpu, 2)}


def _build(name: str, folder: Path, modes: str) -> dict[str, Any]:
    from hwprm.bundle import Bundle
    from hwprm.verification.simulators.builds import build
    from hwprm.verification.simulators.tools import find_simulator

    shutil.rmtree(folder / "work", ignore_errors=True)
    simulator = find_simulator("verilator")
    build(Bundle.load(folder / "bundle"), simulator, (folder / "work").absolute())
    return {"simulator": f"verilator {simulator.version}"}


def _simulate(name: str, folder: Path, modes: str) -> dict[str, Any]:
    from hwprm.config import VerifyConfig
    from hwprm.verification import verify_bundle

    images = ROWS[name].images
    config = VerifyConfig(
        modes=(modes,),  # type: ignore[arg-type]  # the config says which modes there are
        images=images,
        trace_images=images,
        layer_images=images,
        timeout=4 * ROWS[name].simulate_seconds,
        work=folder / "work",
    )
    report = verify_bundle(folder / "bundle", config)
    layers = dict(report.layer_cycles_predicted)
    return {
        "modes": modes,
        "layers": len(layers),
        "images": images,
        "values_compared": report.values_compared,
        "mismatches": report.mismatches,
        "failures": [case.failure for case in report.failures],
        "cycles_predicted": report.cycles_predicted,
        "cycles_simulated": report.cycles_simulated,
        "memory_stalls": report.memory_stalls,
        "layer_cycles_equal": layers == dict(report.layer_cycles_simulated),
        "ok": report.ok,
    }


def _entry(name: str, facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One row of the results, and whether it keeps its targets."""
    row, emit, build, simulate = ROWS[name], facts["emit"], facts["build"], facts["simulate"]
    met = (
        simulate["ok"]
        and simulate["layer_cycles_equal"]
        and simulate["cycles_simulated"] == simulate["cycles_predicted"]
        and build["cpu_seconds"] + simulate["cpu_seconds"] < row.simulate_seconds
        and (row.emit_seconds is None or emit["cpu_seconds"] < row.emit_seconds)
        and (row.emit_bytes is None or emit["peak_mib"] * 2**20 < row.emit_bytes)
    )
    phases = {phase: {key: facts[phase].pop(key) for key in USAGE} for phase in PHASES}
    merged = {key: value for phase in PHASES for key, value in facts[phase].items()}
    return {"row": asdict(row), **merged, "usage": phases, "met": met}


def _table(entries: list[dict[str, Any]]) -> str:
    header = ("network", "array", "weights", "compile s", "compile + emit s", "peak MiB", "build s", "simulate s")
    more = ("images", "layers", "integers", "mismatches", "cycles", "simulated", "stalls", "targets")
    rows = []
    for e in entries:
        size, use = e["row"]["size"], e["usage"]
        times = (e["compile_seconds"], use["emit"]["cpu_seconds"], use["emit"]["peak_mib"], use["build"]["cpu_seconds"])
        counts = [e[key] for key in ("images", "layers", "values_compared", "mismatches")]
        cycles = (e["cycles_predicted"], e["cycles_simulated"], e["memory_stalls"], verdict(e["met"]))
        where = " over AXI" if e["row"]["weights"] == "axi" else ""
        what = (e["net"] + where, f"{size}x{size}", e["weights"])
        rows.append((*what, *times, use["simulate"]["cpu_seconds"], *counts, *cycles))
    return markdown((*header, *more), rows)


if __name__ == "__main__":
    main()
