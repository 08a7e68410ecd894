"""All 10,000 MNIST test images through the RTL, every logit compared.

What: the pruned LeNet-5 on an 8x8 array is simulated under Verilator with the whole MNIST test split; mismatches
between its logits and the integer reference, its accuracy from its own logits, images and cycles per second.
How: the bulk mode of `hwprm verify`, the images split over --processes simulations of the same build. Wall time counts
everything from the integer network to the verdict: compiling, emitting, building the simulation (unless kept from
before), the reference, simulating, comparing. The accuracy of the integer network is that of the torch reference, a
second implementation.
Target: 100,000 logits equal, under 10 minutes on two cores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from common import RUNS, markdown, parser, say, verdict, write_results
from networks import pruned_lenet5, stored_network
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.compiler import Program, compile_network
from hwprm.config import ArrayConfig, MemoryConfig, VerifyConfig
from hwprm.core.cache import default_cache
from hwprm.data import Dataset, load_dataset
from hwprm.emission import emit_bundle
from hwprm.intnet import IntegerNetwork
from hwprm.quantization import integer_accuracy, quantize_images
from hwprm.verification.modes.bulk import run_bulk
from hwprm.verification.modes.simulation import Simulation
from hwprm.verification.simulators.builds import build
from hwprm.verification.simulators.tools import find_simulator

LIMIT_SECONDS = 600.0
MODEL = RUNS / "mnist" / "stages" / "quantize"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one simulation found: logits ``(n, words)``, values compared and wrong, failures, CPU of its children."""

    logits: NDArray[np.int64]
    values: int
    wrong: int
    failures: tuple[str, ...]
    cycles: int | None
    simulator_seconds: float


def main() -> None:
    """Emit, simulate in parts, compare, print and write."""
    args = _arguments()
    data = load_dataset("mnist" if args.data_dir else "mnist_subset", data_dir=args.data_dir)
    net, trained = _network(args.model)
    images = quantize_images(data.x_test[: args.images], data.input_scale, net)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        program = compile_network(net, ArrayConfig(rows=args.rows, cols=args.cols))
        bundle = emit_bundle(program, images[:4], data.y_test[:4], Path(folder) / "bundle")
        say("building the simulation")
        build(bundle, find_simulator("verilator"), default_cache())
        say(f"{len(images)} images in {args.processes} simulations")
        began = time.monotonic()
        parts = _simulate(bundle.folder, images, args.processes)
        simulated = time.monotonic() - began
    wall = time.monotonic() - start
    facts = _facts(program, net, data, images, parts)
    facts["network"] = "trained and pruned" if trained else "random structured mask of the default budgets"
    facts["processes"] = args.processes
    facts["wall_seconds"] = round(wall, 1)
    facts["images_per_wall_second"] = round(len(images) / simulated, 1)
    facts["met"] = facts["equal"] and wall < LIMIT_SECONDS
    print(_table(facts))
    say(f"written: {write_results('mnist_rtl', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("\n".join(("the target was missed", *(f for part in parts for f in part.failures))))


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--data-dir", type=Path, help="folder of the full sets; without it the embedded 2,000 are used")
    made.add_argument(
        "--model", type=Path, help=f"integer network or model (default: {MODEL}, or else an untrained mask)"
    )
    made.add_argument("--images", type=int, help="the first so many test images (default: all)")
    made.add_argument("--processes", type=int, default=2, help="simulations side by side (default: %(default)s)")
    made.add_argument("--rows", type=int, default=8, help="array rows (default: %(default)s)")
    made.add_argument("--cols", type=int, default=8, help="array columns (default: %(default)s)")
    return made.parse_args()


def _network(folder: Path | None) -> tuple[IntegerNetwork, bool]:
    if folder is None and not MODEL.is_dir():
        say(f"{MODEL} is not there: a random mask stands in; benchmarks/accuracy.py trains the real one")
        return pruned_lenet5(), False
    return stored_network(folder or MODEL), True


def _simulate(folder: Path, images: NDArray[np.int64], processes: int) -> list[Part]:
    """Simulate consecutive parts of `images` side by side."""
    chunks = np.array_split(images, processes)
    # Not forked: torch's threads do not survive that.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_part, [folder] * processes, chunks))


def _part(folder: Path, images: NDArray[np.int64]) -> Part:
    bundle = Bundle.load(folder)
    config = VerifyConfig(images=len(images), modes=("bulk",))
    simulator = find_simulator("verilator")
    simulation = Simulation(
        bundle=bundle,
        simulator=simulator,
        config=config,
        memory=MemoryConfig(),
        work=default_cache(),
        images=images,
        groups=(("stored", len(images)),),
    )
    outcome = run_bulk(simulation, len(images))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [[int(text, 16) for _, text in frame.beats] for frame in outcome.sections[0].frames]
    return Part(
        # 32-bit words in two's complement.
        logits=np.array(words, np.int64).astype(np.uint32).view(np.int32).astype(np.int64),
        values=sum(case.values for case in outcome.cases),
        wrong=sum(case.wrong for case in outcome.cases),
        failures=tuple(f"{case.name}: {case.failure}" for case in outcome.cases if case.failure),
        cycles=outcome.cycles,
        simulator_seconds=used.ru_utime + used.ru_stime,
    )


def _facts(
    program: Program, net: IntegerNetwork, data: Dataset, images: NDArray[np.int64], parts: list[Part]
) -> dict[str, Any]:
    labels = data.y_test[: len(images)]
    found = np.concatenate([part.logits for part in parts])
    correct = int((found.argmax(axis=1) == labels).sum())
    integer = integer_accuracy(net, images, labels)
    rtl = 100.0 * correct / len(labels)
    values, wrong = sum(part.values for part in parts), sum(part.wrong for part in parts)
    failures = [failure for part in parts for failure in part.failures]
    seconds = sum(part.simulator_seconds for part in parts)
    return {
        "data": data.name,
        "array": f"{program.array.rows}x{program.array.cols}",
        "images": len(images),
        "logits_compared": values,
        "mismatches": wrong,
        "failures": len(failures),
        "cycles_per_image": {"predicted": program.cycles.total, "simulated": parts[0].cycles},
        "rtl_accuracy_per_cent": rtl,
        "integer_accuracy_per_cent": integer,
        "simulator_cpu_seconds": round(seconds, 1),
        "cycles_per_cpu_second": round(len(images) * program.cycles.total / seconds),
        "equal": wrong == 0 and not failures and values == found.size == len(images) * 10 and rtl == integer,
    }


def _table(facts: dict[str, Any]) -> str:
    cycles = facts["cycles_per_image"]
    rows = [
        ("images", facts["images"]),
        ("logits compared", facts["logits_compared"]),
        ("mismatches", facts["mismatches"]),
        ("accuracy of the RTL, per cent", f"{facts['rtl_accuracy_per_cent']:.2f}"),
        ("accuracy of the integer reference, per cent", f"{facts['integer_accuracy_per_cent']:.2f}"),
        ("cycles per image, predicted", cycles["predicted"]),
        ("cycles per image, simulated", cycles["simulated"]),
        ("simulated cycles per CPU second", facts["cycles_per_cpu_second"]),
        ("images per wall second", facts["images_per_wall_second"]),
        (f"wall seconds, {facts['processes']} simulations side by side", facts["wall_seconds"]),
        (f"all equal, under {LIMIT_SECONDS:.0f} s", verdict(facts["met"])),
    ]
    title = f"{facts['data']}, LeNet-5 {facts['network']}, {facts['array']}"
    return markdown((title, ""), rows)


if __name__ == "__main__":
    main()
