"""External memory: what bandwidth networks larger than on-chip ROM need, and how well a long linear layer streams.

What: with `array.weights = axi`, the stalls of an image at steady state, exactly, for VGG-16 (CIFAR-10, dense) and
for a linear layer of 9216 columns and 1024 filters (AlexNet's fc6 cut to a quarter), by width of the bus and
bandwidth. Efficiency is cycles without stalls over cycles with them.
How: the memory model, which every verification holds against the simulated design; no clock, no wall time.
Target: VGG-16 on 16x16 stalls for less than 5 % of its cycles at 16 bytes a cycle; the linear layer streams at 95 % of
the array's speed at 16 bytes a cycle with its list kept, at 32 without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import markdown, parser, say, write_results
from networks import reference_graph, reference_images

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.graph import Graph, Input, Linear
from hwprm.intnet import IntegerNetwork
from hwprm.quantization import quantize_network

COLUMNS, FILTERS = 9216, 1024
VGG_TARGET, LINEAR_TARGET = 0.95, 0.95
LATENCY = 100


def main() -> None:
    """Count, print and write."""
    args = _arguments()
    graph = reference_graph("vgg16-cifar", None)
    vgg = quantize_network(graph, reference_images("vgg16-cifar"), 1 / 255, name="vgg16-cifar")
    linear = _linear()
    rows = [
        *(_row(vgg, bits, rate, None) for bits, rate in ((128, "1"), (128, "3/4"), (128, "1/2"), (256, "1/2"))),
        *(_row(linear, bits, "1", kept) for bits in (128, 256) for kept in (None, COLUMNS)),
    ]
    print(markdown(list(rows[0]), [list(row.values()) for row in rows]))
    met = rows[3]["efficiency"] >= VGG_TARGET and all(row["efficiency"] >= LINEAR_TARGET for row in rows[5:])
    facts = {"target": "see the docstring", "met": met, "latency": LATENCY, "rows": rows}
    say(f"written: {write_results('external_memory', facts, args.results)}")
    if not met:
        raise SystemExit("a target is missed")


def _arguments() -> Any:
    return parser(__doc__ or "").parse_args()


def _linear() -> IntegerNetwork:
    rng = np.random.default_rng(0)
    image = Input(name="image", inputs=(), shape=(COLUMNS,))
    layers = [
        Linear(name=name, inputs=(source,), weight=rng.normal(size=(filters, columns)), bias=np.zeros(filters))
        for name, source, filters, columns in (("fc6", "image", FILTERS, COLUMNS), ("fc7", "fc6", 16, FILTERS))
    ]
    return quantize_network(Graph((image, *layers), ("fc7",)), rng.normal(size=(4, COLUMNS)), 1.0, name="linear")


def _row(net: IntegerNetwork, bits: Any, bandwidth: str, kept: int | None) -> dict[str, Any]:
    """`kept` list entries have room on the chip; None leaves that to the compiler."""
    array = ArrayConfig(rows=16, cols=16, weights="axi", axi_data_bits=bits, axi_outstanding=8, axi_entry_buffer=kept)
    program = compile_network(net, array)
    stalls = sum(program.stalls(MemoryConfig(latency=LATENCY, bandwidth=bandwidth)))
    cycles = program.cycles.total
    assert program.external is not None
    say(f"{net.name}, {bits} bits, {bandwidth} beats per cycle: {stalls} stalls beside {cycles} cycles")
    return {
        "network": net.name,
        "bus bits": bits,
        "beats per cycle": bandwidth,
        "entry buffer": "by the compiler" if kept is None else kept,
        "on-chip bits": sum(program.onchip.values()),
        "image bytes": program.external.bytes,
        "cycles": cycles,
        "stalls": stalls,
        "efficiency": round(cycles / (cycles + stalls), 3),
    }


if __name__ == "__main__":
    main()
