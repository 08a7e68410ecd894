"""How compiling and emitting scale with the network.

What: wall and CPU seconds and peak memory of `compile_network` + `emit_bundle` (Verilog, ROM images, test bench, golden
vectors of 4 images, manifest) for dense LeNet-5 (430,500 weights), one linear layer 1024 -> 1024 (1,048,576 weights),
and smaller linear layers between; on an 8x8 array.
How: each in a fresh process that loads a saved integer network, so that nothing of torch or of a former run is counted;
wall time includes starting Python. CPU includes the Verilog back end, memory is the largest of the processes.
Target: LeNet-5 under 10 s; the million weights under 60 s and 2 GB (2,000,000,000 bytes).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import markdown, measure, parser, say, stopwatch, verdict, write_results

#: Name -> weights and target: seconds, bytes.
CASES: dict[str, tuple[int, float | None, float | None]] = {
    "lenet5": (430_500, 10.0, None),
    "linear-256": (65_536, None, None),
    "linear-512": (262_144, None, None),
    "linear-1024": (1_048_576, 60.0, 2e9),
}
IMAGES = 4


def main() -> None:
    """Measure every case in its own process; this one stays small, as a child's peak counts from its parent's size."""
    args = _arguments()
    if args.make:
        _make(args.make, args.folder)
    elif args.emit:
        _emit(args.folder, args.profile)
    else:
        _measure(args)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--cases", default=",".join(CASES), help="comma between (default: %(default)s)")
    made.add_argument(
        "--profile", action="store_true", help="print where the time of each case goes, on standard error"
    )
    made.add_argument("--make", help=argparse.SUPPRESS)
    made.add_argument("--emit", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made.parse_args()


def _measure(args: argparse.Namespace) -> None:
    entries = []
    for case in args.cases.split(","):
        weights, seconds, size = CASES[case]
        say(f"{case}: compile and emit")
        with tempfile.TemporaryDirectory() as folder:
            again = [sys.executable, str(Path(__file__).resolve()), "--folder", folder]
            measure([*again, "--make", case])
            usage, text = measure([*again, "--emit", *(["--profile"] if args.profile else [])])
        used = usage.as_dict()
        met = (seconds is None or usage.wall_seconds < seconds) and (size is None or usage.peak_mib * 2**20 < size)
        target = {"wall_seconds": seconds, "peak_bytes": size}
        entries.append({"case": case, "weights": weights, **used, **json.loads(text), "target": target, "met": met})
    print(_table(entries))
    met = all(entry["met"] for entry in entries)
    say(f"written: {write_results('emission', {'cases': entries, 'met': met}, args.results)}")
    if not met:
        raise SystemExit("a target was missed")


def _make(case: str, folder: Path) -> None:
    """Save the integer network of `case` and images for it."""
    import numpy as np
    from networks import dense_lenet5, fully_connected

    from hwprm.bundle.images import random_images

    net = dense_lenet5() if case == "lenet5" else fully_connected(*[int(case.partition("-")[2])] * 2)
    net.save(folder / "network")
    np.save(folder / "images.npy", random_images(IMAGES, net.image_limits, seed=0))


def _emit(folder: Path, profile: bool) -> None:
    """Compile and emit; print the phases' wall and CPU seconds as JSON."""
    import numpy as np

    from hwprm.compiler import compile_network
    from hwprm.config import ArrayConfig
    from hwprm.emission import emit_bundle
    from hwprm.intnet import IntegerNetwork

    net = IntegerNetwork.load(folder / "network")
    images = np.load(folder / "images.npy")
    watch = cProfile.Profile()
    if profile:
        watch.enable()
    with stopwatch() as compiling:
        program = compile_network(net, ArrayConfig())
    with stopwatch() as emitting:
        emit_bundle(program, images, None, folder / "bundle")
    if profile:
        watch.disable()
        pstats.Stats(watch, stream=sys.stderr).sort_stats("cumulative").print_stats(30)
    size = sum(path.stat().st_size for path in (folder / "bundle").rglob("*") if path.is_file())
    phases = {"compile": compiling, "emit": emitting}
    facts: dict[str, Any] = {f"{name}_cpu_seconds": round(clock.cpu, 2) for name, clock in phases.items()}
    print(json.dumps(facts | {"bundle_mib": round(size / 2**20, 2)}))


def _table(entries: list[dict[str, Any]]) -> str:
    header = (
        "network",
        "weights",
        "wall s",
        "CPU s",
        "compile CPU s",
        "emit CPU s",
        "peak MiB",
        "bundle MiB",
        "target",
    )
    rows = []
    for e in entries:
        limits = [f"{e['target']['wall_seconds']:g} s" if e["target"]["wall_seconds"] else ""]
        limits += [f"{e['target']['peak_bytes'] / 1e9:g} GB"] if e["target"]["peak_bytes"] else []
        target = f"< {', '.join(limits)}: {verdict(e['met'])}" if limits[0] else "-"
        keys = ("case", "weights", "wall_seconds", "cpu_seconds", "compile_cpu_seconds", "emit_cpu_seconds")
        rows.append((*(e[key] for key in keys), e["peak_mib"], e["bundle_mib"], target))
    return markdown(header, rows)


if __name__ == "__main__":
    main()
