"""What another host than AXI takes more of an ECP5, or less: measured, and by the size model.

What: LUTs, carry cells and flip-flops of each design with streams of bytes and with serial lines of several rates,
against the same design with AXI; beside each what the model says of the difference.
How: random layers on 1 x 1, others of 12 bits on 1 x 2, and LeNet-5 (`lenet5-cycles-2800`, calibrated
with the embedded images) on 1 x 6, are emitted with every host and synthesised, half a minute of a processor each; what
was synthesised before is in the results file, and the model is asked anew. The constants of
`hwprm.targets.sizes.hosts` are near the medians of what this prints.
Target: flip-flops exact, LUTs of the whole design within 5 per cent.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, parser, say, write_results

from hwprm import api
from hwprm.bundle.images import random_images
from hwprm.compiler import Program, compile_network
from hwprm.config import ArrayConfig, QuantizeConfig, SiliconConfig
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.intnet import IntegerNetwork
from hwprm.isa.hosts import AXI, Host
from hwprm.nets.random import random_network
from hwprm.quantization import quantize_network
from hwprm.targets.model import predict
from hwprm.targets.sizes.design import Design
from hwprm.targets.synth import silent, synthesise

TARGET = "ecp5-85k"
CHECKPOINT = Path(__file__).resolve().parent.parent / "examples" / "checkpoints" / "lenet5-cycles-2800"
#: Cycles a bit and of silence, by what they are: the fastest line, 3 Mbaud at 75 MHz, 115,200 baud at 50 MHz.
HOSTS = {
    "axi": AXI,
    "stream8": Host(kind="stream8"),
    "uart, 4": Host(kind="uart", divider=4, silence=100),
    "uart, 25": Host(kind="uart", divider=25, silence=1_500_000),
    "uart, 434": Host(kind="uart", divider=434, silence=200_000),
}
KEYS = ("lut4", "carry", "ff")


def main() -> None:
    """Measure what is missing, print and write."""
    args = parser(__doc__ or "").parse_args()
    file = args.results / "resources_hosts.json"
    rows = json.loads(file.read_text())["designs"] if file.is_file() else []
    for name, (program, cells) in designs().items():
        for host in HOSTS:
            row = next((row for row in rows if (row["design"], row["host"]) == (name, host)), None)
            if row is None:
                say(f"{name}, {host}: synthesis")
                row = {"design": name, "host": host, "used": measured(program, cells, host)}
                rows.append(row)
            guess = predict(Design.of(program.hardware, program.roms, cells, HOSTS[host]), TARGET)
            row |= {"beats": program.hardware.input_beats, "bytes": program.hardware.data_bytes}
            row["predicted"] = {key: guess.used[key] for key in KEYS}
            write_results("resources_hosts", {"target": TARGET, "designs": rows}, args.results)
    print(table(rows))


def designs() -> dict[str, tuple[Program, str]]:
    """Programs, and the cells that each is written in, by name."""
    net = api.quantize(CHECKPOINT, "mnist_subset")
    return {
        "random, 1 x 1": (compile_network(_random(3, 8), ArrayConfig(rows=1, cols=1)), "any"),
        "lenet5, 1 x 6": (compile_network(net, ArrayConfig(rows=1, cols=6, pipeline="fast")), "any"),
        "random, 12 bits, 1 x 2": (compile_network(_random(3, 12), ArrayConfig(rows=1, cols=2)), "any"),
    }


def _random(seed: int, bits: int) -> IntegerNetwork:
    module = random_network(seed, steps=2, size=7)
    graph = to_graph(module, module.image_shapes)
    values = np.random.default_rng(seed)
    x = {node.name: values.normal(size=(4, *node.shape)) for node in graph.inputs}
    return quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=bits, act_bits=bits))


def measured(program: Program, cells: str, host: str) -> dict[str, int]:
    """What synthesis makes of it behind `host`."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "bundle"
        images = random_images(1, program.network.image_limits, 0)
        emit_bundle(program, images, None, folder, target=cells, host=HOSTS[host])
        found = synthesise(folder, SiliconConfig(target=TARGET), silent)
    return {key: found.used[key] for key in KEYS}


def table(rows: list[dict[str, Any]]) -> str:
    """Differences to AXI, measured and predicted, and how far the whole design is off."""
    plain = {row["design"]: row for row in rows if row["host"] == "axi"}
    lines = []
    for row in rows:
        own = plain[row["design"]]
        if row is own:
            continue
        both = [
            f"{row['used'][key] - own['used'][key]:+,}, {row['predicted'][key] - own['predicted'][key]:+,}"
            for key in KEYS
        ]
        off = [f"{100 * (row['predicted'][key] / row['used'][key] - 1):+.1f}" for key in ("lut4", "ff")]
        lines.append((row["design"], row["host"], *both, *off))
    header = ("design", "host", "LUT4: measured, model", "carry", "FF", "LUT4 of all, % off", "FF of all, % off")
    return markdown(header, lines)


if __name__ == "__main__":
    main()
