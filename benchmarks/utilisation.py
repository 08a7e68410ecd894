"""How much of the array works: cycles, utilisation, distance to the bound and memory, per network and kind of layer.

What: networks that nobody here wrote (pytorchcv, random weights, 64 x 64 pixels, 10 classes, the fixed pools of their
heads replaced by global ones), an output that is a map, a U-Net, and the pruned networks of this project, each on one
or two arrays: exact steady-state cycles of an image, multiplications by kept weights over all that the array could do
in them, cycles over the ideal bound, tile words and bits on the chip; `plain` are the cycles without column phases and
batches, `split` those with phases of the last filters of a layer alone as well. The same by kind of layer.
How: the compiler's layout and cycle model, exact by test and by every verification.
Needs: `pip install --no-deps pytorchcv requests` (its modules of these networks need nothing else).
Target: the cycles in `REACH`, and bound <= cycles <= limit for every layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import markdown, parser, say, verdict, write_results
from networks import MASKS, pruned_lenet5, reference
from torch import nn

from hwprm.compiler import CycleReport, Program, compile_network
from hwprm.config import ArrayConfig
from hwprm.frontend import to_graph
from hwprm.intnet import GemmLayer, IntegerNetwork
from hwprm.quantization import quantize_network

#: Network, rows, cols, batch -> most cycles an image.
REACH = {
    ("map output", 8, 8, 1): 148_500,
    ("u-net", 8, 8, 1): 725_000,
    ("u-net", 16, 16, 1): 199_000,
    ("mobilenetv2", 8, 8, 1): 605_000,
    ("mobilenetv2", 16, 16, 1): 257_000,
    ("mobilenetv2", 16, 16, 4): 227_040,
    ("mobilenet", 8, 8, 1): 900_000,
    ("mobilenet", 16, 16, 1): 315_000,
    ("shufflenetv2", 8, 8, 1): 290_000,
    ("shufflenetv2", 16, 16, 1): 128_000,
    ("lenet5 40x", 8, 8, 8): 5_900,
    ("vgg16 50x", 16, 16, 4): 27_643,
}
#: What else is weighed.
BESIDE = (
    ("mobilenetv2", 32, 8, 4),
    ("lenet5 40x", 8, 8, 1),
    ("resnet20", 8, 8, 1),
    ("resnet20", 16, 16, 1),
    ("resnet18 60x", 8, 16, 1),
    ("vgg16 50x", 16, 16, 1),
)
KINDS = ("convolution", "1x1", "depthwise", "grouped", "linear", "copy or pool", "map output")


class UNet(nn.Module):
    """Two levels of 16 and 32 channels at 64 x 64 pixels, an output of 4 channels."""

    def __init__(self) -> None:
        super().__init__()

        def unit(inputs: int, filters: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU())

        self.first, self.second, self.third, self.last = unit(3, 16), unit(16, 32), unit(32, 32), unit(48, 16)
        self.pool, self.up, self.head = nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.first(x)
        deep = self.third(self.second(self.pool(skip)))
        out: torch.Tensor = self.head(self.last(torch.cat([skip, self.up(deep)], 1)))
        return out


def _public(module: str, name: str, size: int) -> Callable[[], IntegerNetwork]:
    def make() -> IntegerNetwork:
        from importlib import import_module

        models: Any = import_module(f"pytorchcv.models.{module}")
        options: dict[str, Any] = {} if "cifar" in name else {"in_size": (64, 64), "num_classes": 10}
        net = getattr(models, name)(**options).eval()
        if isinstance(getattr(net.features, "final_pool", None), nn.AvgPool2d):
            net.features.final_pool = nn.AdaptiveAvgPool2d(1)
        return _quantised(net, (3, size, size))

    return make


def _quantised(net: nn.Module, shape: tuple[int, int, int]) -> IntegerNetwork:
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    return quantize_network(to_graph(net.eval(), shape), images, 1 / 255)


def _map() -> IntegerNetwork:
    return _quantised(nn.Conv2d(64, 64, 3, padding=1), (64, 16, 16))


NETWORKS: dict[str, Callable[[], IntegerNetwork]] = {
    "map output": _map,
    "u-net": lambda: _quantised(UNet(), (3, 64, 64)),
    "mobilenetv2": _public("mobilenetv2", "mobilenetv2_w1", 64),
    "mobilenet": _public("mobilenet", "mobilenet_w1", 64),
    "shufflenetv2": _public("shufflenetv2", "shufflenetv2_w1", 64),
    "resnet20": _public("resnet_cifar", "resnet20_cifar10", 32),
    "lenet5 40x": pruned_lenet5,
    "resnet18 60x": lambda: reference("resnet18-cifar", MASKS["resnet18-cifar"]),
    "vgg16 50x": lambda: reference("vgg16-cifar", MASKS["vgg16-cifar"]),
}


def main() -> None:
    """Measure every network on its arrays and print both tables."""
    args = _arguments()
    cases = [case for case in (*REACH, *BESIDE) if case[0] in args.networks.split(",")]
    entries = []
    for name in dict.fromkeys(case[0] for case in cases):
        say(f"{name}: quantise")
        torch.manual_seed(0)
        net = NETWORKS[name]()
        for case in (case for case in cases if case[0] == name):
            _, rows, cols, batch = case
            say(f"{name}: {rows} x {cols}, batch {batch}")
            program = compile_network(net, ArrayConfig(rows=rows, cols=cols, batch=batch))
            plain = compile_network(net, ArrayConfig(rows=rows, cols=cols, phases="off"))
            split = compile_network(net, ArrayConfig(rows=rows, cols=cols, batch=batch, phases="split"))
            found = {"plain": plain.cycles.total, "split": round(split.cycles.total / batch, 1)}
            entries.append(_entry(case, program, found["split"]) | found)
    print(_networks(entries), _kinds(entries), sep="\n\n")
    write_results("utilisation", {"networks": entries}, args.results)
    if not all(entry["between"] for entry in entries):
        raise SystemExit("a layer is below its bound or past its limit")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--networks", default=",".join(NETWORKS), help="comma between (default: %(default)s)")
    return made.parse_args()


def _entry(case: tuple[str, int, int, int], program: Program, split: float) -> dict[str, Any]:
    report, hw, reach = program.cycles, program.hardware, REACH.get(case)
    cycles = report.total / hw.batch
    return {
        "network": case[0],
        "rows": hw.rows,
        "cols": hw.cols,
        "batch": hw.batch,
        "cycles": round(cycles, 1),
        "reach": reach,
        "met": None if reach is None else min(cycles, split) <= reach,
        "between": all(layer.bound <= layer.cycles <= layer.limit for layer in report.layers),
        "utilisation": round(report.utilisation, 4),
        "over_bound": round(report.total / report.bound, 3),
        "tile_words": hw.tiles,
        "memory_bits": sum(program.onchip.values()),
        "kinds": _by_kind(program.network, report),
    }


def _by_kind(net: IntegerNetwork, report: CycleReport) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for layer, counted in zip(net.layers, report.layers, strict=True):
        mine = found.setdefault(_kind(net, layer), {"layers": 0, "cycles": 0, "bound": 0.0, "macs": 0})
        mine["layers"] += 1
        mine["cycles"] += counted.cycles
        mine["bound"] += counted.bound
        mine["macs"] += counted.macs
    for mine in found.values():
        mine["bound"] = round(mine["bound"], 1)
        mine["utilisation"] = round(mine["macs"] / (report.rows * report.cols * mine["cycles"]), 4)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _kind(net: IntegerNetwork, layer: GemmLayer) -> str:
    """What a reader would call the layer."""
    term, pixels = layer.terms[0], np.prod(net.tensor[layer.name].shape[1:])
    if layer.wide and pixels > 1:
        return "map output"
    kernel, groups = term.weight.shape[2:], term.groups
    if groups == len(layer.bias) and kernel == (1, 1):
        return "copy or pool"
    if groups > 1:
        return "depthwise" if groups == len(layer.bias) else "grouped"
    if pixels == 1:
        return "linear"
    return "1x1" if kernel == (1, 1) else "convolution"


def _networks(entries: list[dict[str, Any]]) -> str:
    header = (
        *("network", "array", "batch", "plain", "cycles", "split", "reach", ""),
        *("utilisation, %", "x bound", "tile words", "bits on the chip"),
    )
    rows = [
        (
            *(e["network"], f"{e['rows']}x{e['cols']}", e["batch"], e["plain"], e["cycles"], e["split"], e["reach"]),
            *("" if e["met"] is None else verdict(e["met"]), 100 * e["utilisation"], e["over_bound"]),
            *(e["tile_words"], e["memory_bits"]),
        )
        for e in entries
    ]
    return markdown(header, rows)


def _kinds(entries: list[dict[str, Any]]) -> str:
    header = ("network", "array", "batch", "kind of layer", "layers", "cycles", "utilisation, %", "x bound")
    rows = [
        (
            *(e["network"], f"{e['rows']}x{e['cols']}", e["batch"], kind, k["layers"], k["cycles"]),
            100 * k["utilisation"],
            k["cycles"] / k["bound"],
        )
        for e in entries
        for kind, k in e["kinds"].items()
    ]
    return markdown(header, rows)


if __name__ == "__main__":
    main()
