"""What the proof of the compiler's passes costs.

What: CPU seconds of `compile_network` + `emit_bundle` with 128 images, the default of `hwprm compile`, and of the proof
that no pass changed an integer, a part of the former; peak memory of both. ResNet-18 and MobileNetV2 at 224 x 224
pixels with random weights, as they are (a pass that changes nothing costs nothing) and with zeros that give every pass
work; on a 16x16 array.
How: each network in fresh processes that load it, one for compiling and emitting, one for the passes alone, with and
without proof. Starting, reading and quantising a model are left out: they would make the shares smaller.
Target: the proof takes less than 5 % of the CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import markdown, measure, parser, say, stopwatch, verdict, write_results

#: Network -> whether it has zeros.
CASES = {"resnet18": False, "resnet18-thinned": True, "mobilenetv2": False, "mobilenetv2-thinned": True}
SIZE, SHARE = 16, 0.05


def main() -> None:
    """Measure every case in processes of its own."""
    args = _arguments()
    if args.phase:
        {"make": _make, "emit": _emit, "prove": _prove}[args.phase](args.cases, args.folder)
    else:
        _measure(args)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--cases", default=",".join(CASES), help="comma between (default: %(default)s)")
    made.add_argument("--phase", choices=("make", "emit", "prove"), help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made.parse_args()


def _measure(args: argparse.Namespace) -> None:
    entries = []
    for case in args.cases.split(","):
        facts: dict[str, Any] = {"case": case}
        with tempfile.TemporaryDirectory() as folder:
            again = [sys.executable, str(Path(__file__).resolve()), "--folder", folder, "--cases", case, "--phase"]
            for phase in ("make", "emit", "prove"):
                say(f"{case}: {phase}")
                usage, text = measure([*again, phase])
                facts |= json.loads(text) if text else {}
                facts[f"{phase}_peak_mib"] = round(usage.peak_mib)
        del facts["make_peak_mib"]
        facts["share"] = round(facts["proof_cpu_seconds"] / facts["cpu_seconds"], 4)
        entries.append(facts | {"met": facts["share"] < SHARE})
    header = ("network", "compile + emit CPU s", "proof CPU s", "share", "peak MiB", "peak MiB of the passes", "target")
    keys = ("case", "cpu_seconds", "proof_cpu_seconds", "share", "emit_peak_mib", "prove_peak_mib")
    rows = [(*(e[key] for key in keys), f"below {SHARE:.0%}: {verdict(e['met'])}") for e in entries]
    print(markdown(header, rows))
    met = all(entry["met"] for entry in entries)
    say(f"written: {write_results('proof', {'cases': entries, 'target': SHARE, 'met': met}, args.results)}")
    if not met:
        raise SystemExit("a target was missed")


def _make(case: str, folder: Path) -> None:
    """Save the integer network of `case` and images for it."""
    import numpy as np
    from networks import mobilenet_v2, reference_images, thinned

    from hwprm.config import EmitConfig
    from hwprm.frontend import to_graph
    from hwprm.nets import reference_network
    from hwprm.quantization import quantize_images, quantize_network

    name = case.removesuffix("-thinned")
    module = mobilenet_v2() if name == "mobilenetv2" else reference_network(name).eval()
    images = reference_images("resnet18", EmitConfig().images)
    net = quantize_network(to_graph(module, images.shape[1:]), images[:2], 1 / 255, name=name)
    (thinned(net) if CASES[case] else net).save(folder / "network")
    np.save(folder / "images.npy", quantize_images(images, 1 / 255, net))


def _emit(case: str, folder: Path) -> None:
    """Compile and emit; print the CPU seconds as JSON."""
    import numpy as np

    from hwprm.compiler import compile_network
    from hwprm.config import ArrayConfig
    from hwprm.emission import emit_bundle
    from hwprm.intnet import IntegerNetwork

    net, images = IntegerNetwork.load(folder / "network"), np.load(folder / "images.npy")
    with stopwatch() as clock:
        program = compile_network(net, ArrayConfig(rows=SIZE, cols=SIZE), images=images)
        emit_bundle(program, images, None, folder / "bundle")
    print(json.dumps({"cpu_seconds": round(clock.cpu, 2)}))


def _prove(case: str, folder: Path) -> None:
    """Run the passes with and without proof; print what it took more as JSON."""
    import numpy as np

    from hwprm.compiler.passes.proof import rewrite, sample_images
    from hwprm.compiler.program import PASSES
    from hwprm.config import ArrayConfig
    from hwprm.intnet import IntegerNetwork

    net, images = IntegerNetwork.load(folder / "network"), np.load(folder / "images.npy")
    array = ArrayConfig(rows=SIZE, cols=SIZE)
    with stopwatch() as bare:
        rewrite(net, array, PASSES, None)
    with stopwatch() as proven:
        samples = sample_images(net, images)
        rewrite(net, array, PASSES, samples)
    seconds = round(max(0.0, proven.cpu - bare.cpu), 2)
    print(json.dumps({"proof_cpu_seconds": seconds, "samples": len(samples)}))


if __name__ == "__main__":
    main()
