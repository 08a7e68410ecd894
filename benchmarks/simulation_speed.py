"""Speed of the bulk mode of `hwprm verify` against a bare C++ loop.

What: clock cycles per second of CPU of (a) the bulk mode under Verilator, the whole simulator process with its start
and its Python, and (b) benchmarks/bare_loop.cpp, which toggles the clock of the same design compiled by the same
Verilator at -O2 (a verification: -O1), without VPI, timing, Python and log. 8x8, LeNet-5 dense and pruned.
How: both stream the same images; logits of both are compared with the reference. User + system time of the simulator
process, as the machine may be shared; runs alternate, the least of --repeat runs counts. Building and the reference are
in neither. "marginal" is the cost of further images alone: the difference of a long and a short run.
Target: (a) is at least 50 % of (b).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, markdown, measure, parser, say, verdict, write_results
from networks import dense_lenet5, embedded, pruned_lenet5

from hwprm.bundle import Bundle
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, VerifyConfig
from hwprm.core.errors import MismatchError
from hwprm.emission import emit_bundle
from hwprm.intnet import IntegerNetwork
from hwprm.intnet.reference import logits
from hwprm.quantization import quantize_images
from hwprm.verification import verify_bundle
from hwprm.verification.simulators.builds import CFLAGS, SLOW, VERILATOR
from hwprm.verification.simulators.tools import find_simulator

NETS = {"dense": dense_lenet5, "pruned": pruned_lenet5}
#: A short run has this share of the images.
SHORT = 4
#: Flags of the bulk mode that the bare loop has no use for.
UNUSED = {"--vpi", "--timing"}
#: Optimisation of the bare loop: more than that of a verification, which is compiled in less time.
BARE = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2")


def main() -> None:
    """Build both, run them in turn, compare."""
    args = _arguments()
    entries = []
    for name in args.nets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            entries.append(_compare(name, NETS[name](), args, Path(folder)))
    print(_table(entries))
    met = all(entry["ratio"] >= 0.5 for entry in entries)
    facts = {"simulator": f"verilator {find_simulator('verilator').version}", "target": "ratio >= 0.5", "met": met}
    say(f"written: {write_results('simulation_speed', facts | {'networks': entries}, args.results)}")
    if not met:
        raise SystemExit("the target was missed")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--nets", default="dense,pruned", help="comma between (default: %(default)s)")
    made.add_argument("--cycles", type=int, default=8_000_000, help="cycles of a run, about (default: %(default)s)")
    made.add_argument("--repeat", type=int, default=3, help="runs of each; the fastest counts (default: %(default)s)")
    made.add_argument("--rows", type=int, default=8, help="array rows (default: %(default)s)")
    made.add_argument("--cols", type=int, default=8, help="array columns (default: %(default)s)")
    return made.parse_args()


def _compare(name: str, net: IntegerNetwork, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    data = embedded()
    program = compile_network(net, ArrayConfig(rows=args.rows, cols=args.cols))
    count = max(2 * SHORT, args.cycles // program.cycles.total)
    images = quantize_images(data.x_test[np.arange(count) % len(data.x_test)], data.input_scale, net)
    bundle = emit_bundle(program, images, None, folder / "bundle")
    expected = next(iter(logits(bundle.network, images).values())).reshape(count, -1)
    say(f"{name}: building the bare loop")
    bare = _build(bundle, folder)
    say(f"{name}: building and trying the bulk mode")
    _bulk(bundle, SHORT)
    best: dict[str, float] = {}
    cycles = 0
    for turn in range(args.repeat):
        say(f"{name}: {count} images, run {turn + 1} of {args.repeat}")
        cycles, seconds = _bare(bare, bundle, images, expected, folder)
        runs = {"bare": seconds, "bulk": _bulk(bundle, count), "bulk_short": _bulk(bundle, count // SHORT)}
        best = {key: min(value, best.get(key, value)) for key, value in runs.items()}
    # What the long run does more than the short one.
    more = (count - count // SHORT) * program.cycles.total
    speed = {
        "bare": cycles / best["bare"],
        "bulk": cycles / best["bulk"],
        "bulk_marginal": more / (best["bulk"] - best["bulk_short"]),
    }
    return {
        "net": name,
        "array": f"{args.rows}x{args.cols}",
        "images": count,
        "cycles": cycles,
        "cpu_seconds": {key: round(value, 3) for key, value in best.items()},
        "cycles_per_cpu_second": {key: round(value) for key, value in speed.items()},
        "ratio": round(speed["bulk"] / speed["bare"], 3),
        "ratio_marginal": round(speed["bulk_marginal"] / speed["bare"], 3),
    }


def _build(bundle: Bundle, folder: Path) -> Path:
    """Compile the design alone with the bare loop as its main."""
    simulator = find_simulator("verilator")
    flags = [flag for flag in VERILATOR if flag not in UNUSED]
    where = folder / "bare"
    sources = [str(path) for path in bundle.sources()]
    first = [str(simulator.executable), *flags, "-CFLAGS", CFLAGS, "--top-module", "hwprm_top", "-Mdir", str(where)]
    second = ["make", f"-j{os.cpu_count() or 1}", "-C", str(where), "-f", "Vtop.mk", *BARE, SLOW]
    for command in (
        [*first, "-o", "bare_loop", str(HERE / "bare_loop.cpp"), *sources],
        [*second, *simulator.make_arguments],
    ):
        done = subprocess.run(command, env=simulator.full_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command[0]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return where / "bare_loop"


def _bare(program: Path, bundle: Bundle, images: Any, expected: Any, folder: Path) -> tuple[int, float]:
    """Cycles and CPU seconds of the bare loop. Raises MismatchError unless its logits are the reference's."""
    source, target = folder / "images.bin", folder / "logits.bin"
    images.astype(np.int8).tofile(source)
    numbers = (str(len(images)), str(bundle.manifest.image_words), str(expected.shape[1]))
    usage, text = measure([program, source, *numbers, target], cwd=bundle.folder)
    if not np.array_equal(np.fromfile(target, "<i4").reshape(expected.shape), expected):
        raise MismatchError("the bare loop's logits are not the reference's; the comparison would mean nothing")
    return int(text), usage.cpu_seconds


def _bulk(bundle: Bundle, count: int) -> float:
    """CPU seconds of the simulator process of the bulk mode. Raises MismatchError when anything differs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = verify_bundle(bundle.folder, VerifyConfig(images=count, modes=("bulk",)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report.raise_on_failure()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _table(entries: list[dict[str, Any]]) -> str:
    speeds = ("bare C++, cycles/CPU s", "bulk, cycles/CPU s")
    header = ("LeNet-5", "array", "images", "cycles", *speeds, "ratio", "target", "marginal ratio")
    rows = []
    for e in entries:
        speed, good = e["cycles_per_cpu_second"], f">= 50 %: {verdict(e['ratio'] >= 0.5)}"
        share = (f"{e['ratio']:.0%}", good, f"{e['ratio_marginal']:.0%}")
        rows.append((e["net"], e["array"], e["images"], e["cycles"], speed["bare"], speed["bulk"], *share))
    return markdown(header, rows)


if __name__ == "__main__":
    main()
