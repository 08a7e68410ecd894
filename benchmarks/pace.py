"""How fast estimates are in a sweep over arrays.

What: points per second of `hwprm.compiler.estimate`, exact cycles of one network on arrays of many sizes: LeNet-5
pruned 120 times (examples/checkpoints) and ResNet-18 under the structured mask of 60x; with ROMs, and with weights in
external memory and the stalls of it; in one process and in two that share the columns between them.
How: rows inside, columns outside, since filter tiles hang on columns alone; every feature of the compiler is on.
Seconds are wall and CPU seconds of the workers, without starting them; points per second are those of the CPU seconds
of the busiest worker, which other processes on the machine disturb least. The total of all cycles stands beside it.
Target: 100 points a second for LeNet-5 and 10 for ResNet-18 with two processes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import markdown, measure, parser, say, verdict, write_results

CHECKPOINT = Path("examples/checkpoints/lenet5-all-120x")
#: Points a second that are asked for, with two processes.
TARGETS = {"lenet5-120x": 100, "resnet18-60x": 10}
#: Steps of rows and columns in the default sweep, so that it takes a minute or two.
STEPS = {"lenet5-120x": 2, "resnet18-60x": 5}


def main() -> None:
    """Measure each network in fresh processes that load it."""
    args = _arguments()
    if args.make:
        _make(args.make, args.folder)
    elif args.worker:
        print(json.dumps(_sweep(args.folder, json.loads(args.worker))))
    else:
        _measure(args)


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--networks", default=",".join(TARGETS), help="comma between (default: %(default)s)")
    made.add_argument("--smallest", type=int, default=2, help="fewest rows and columns (default: %(default)s)")
    made.add_argument("--largest", type=int, default=32, help="most rows and columns (default: %(default)s)")
    made.add_argument("--step", type=int, help="step of rows and columns; 1 is the whole sweep (default: by network)")
    made.add_argument("--make", help=argparse.SUPPRESS)
    made.add_argument("--worker", help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made.parse_args()


def _measure(args: Any) -> None:
    entries = []
    for name in args.networks.split(","):
        step = args.step or STEPS[name]
        sizes = list(range(args.smallest, args.largest + 1, step))
        with tempfile.TemporaryDirectory() as folder:
            again = [sys.executable, str(Path(__file__).resolve()), "--folder", folder]
            measure([*again, "--make", name])
            for weights in ("rom", "axi"):
                for processes in (1, 2):
                    say(f"{name}, {weights}, {processes} processes: {len(sizes) ** 2} points")
                    parts = [{"rows": sizes, "cols": sizes[i::processes], "weights": weights} for i in range(processes)]
                    commands = [[*again, "--worker", json.dumps(part)] for part in parts]
                    with ThreadPoolExecutor(processes) as pool:
                        found = [json.loads(text) for _, text in pool.map(measure, commands)]
                    entries.append(_entry(name, weights, processes, found))
    print(_table(entries))
    met = all(entry["met"] for entry in entries)
    say(f"written: {write_results('pace', {'sweeps': entries, 'met': met}, args.results)}")
    if not met:
        raise SystemExit("a target was missed")


def _entry(name: str, weights: str, processes: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    points = sum(one["points"] for one in found)
    cpu, wall = (max(one[key] for one in found) for key in ("cpu_seconds", "wall_seconds"))
    target = TARGETS[name] * processes / 2
    return {
        "network": name,
        "weights": weights,
        "processes": processes,
        "points": points,
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "points_per_second": round(points / cpu, 1),
        "peak_mib": round(max(one["peak_mib"] for one in found)),
        "cycles": sum(one["cycles"] for one in found),
        "target": target,
        "met": points / cpu >= target,
    }


def _table(entries: list[dict[str, Any]]) -> str:
    header = (
        *("network", "weights", "processes", "points", "CPU s", "wall s"),
        *("points a second", "target", "peak MiB", ""),
    )
    keys = ("network", "weights", "processes", "points", "cpu_seconds", "wall_seconds", "points_per_second", "target")
    return markdown(header, [(*(e[key] for key in keys), e["peak_mib"], verdict(e["met"])) for e in entries])


def _make(name: str, folder: Path) -> None:
    """Save the integer network called `name`."""
    from networks import MASKS, reference, stored_network

    made = stored_network(CHECKPOINT) if name == "lenet5-120x" else reference("resnet18-cifar", MASKS["resnet18-cifar"])
    made.save(folder)


def _sweep(folder: Path, part: dict[str, Any]) -> dict[str, Any]:
    from hwprm.compiler import estimate
    from hwprm.config import ArrayConfig
    from hwprm.intnet import IntegerNetwork

    net = IntegerNetwork.load(folder)
    wall, cpu = time.monotonic(), time.process_time()
    cycles = 0
    for cols in part["cols"]:
        for rows in part["rows"]:
            report = estimate(net, ArrayConfig(rows=rows, cols=cols, weights=part["weights"]))
            cycles += report.total + sum(report.stalls)
    return {
        "points": len(part["rows"]) * len(part["cols"]),
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.monotonic() - wall,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cycles": cycles,
    }


if __name__ == "__main__":
    main()
