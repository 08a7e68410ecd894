"""What each feature of the gateware costs of a device, and what it saves in cycles, on the same four designs.

What: for LeNet-5 at 40x and a U-Net on 8 x 8, ResNet-18 at 60x and MobileNetV2 at 64 pixels on 8 x 16 (weights of the
last two in external memory), every variant: phases switched off, phases where they pay (the default), those of the last
filters of a layer alone as well, a batch of four images, the fast pipeline, the fast pipeline in cells of the ECP5.
Columns: cycles an image, share of the array that works, on-chip memory bits, tile words, LUT4, flip-flops, multipliers
and block RAMs of an LFE5U-85F.
How: quantised with random images (weights but LeNet-5's are random), compiled, emitted, `hwprm synth`; kept by hash, so
that an interrupted run goes on. `--clock` places and routes too, those that the device has room for: hours.
Target: what batches and phases need costs the LeNet-5 that uses neither nothing (the default equals "no phases").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RUNS, markdown, parser, say, write_results
from utilisation import NETWORKS

from hwprm import ArrayConfig, SiliconConfig, api
from hwprm.bundle.images import random_images
from hwprm.compiler import Program, compile_network
from hwprm.core.errors import InputError
from hwprm.emission import emit_bundle
from hwprm.intnet import IntegerNetwork
from hwprm.targets import placement_facts, synthesis_facts

TARGET = "ecp5-85k"
KEYS = ("lut4", "carry", "ff", "dsp", "bram")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A design beside the default one: options of the array, and whose cells it is written in."""

    options: dict[str, Any]
    cells: str = "any"


DESIGNS: dict[str, ArrayConfig] = {
    "lenet5 40x": ArrayConfig(rows=8, cols=8),
    "u-net": ArrayConfig(rows=8, cols=8),
    "resnet18 60x": ArrayConfig(rows=8, cols=16, weights="axi"),
    "mobilenetv2": ArrayConfig(rows=8, cols=16, weights="axi"),
}
VARIANTS: dict[str, Variant] = {
    "no phases": Variant(options={"phases": "off"}),
    "default": Variant(options={}),
    "split": Variant(options={"phases": "split"}),
    "batch 4": Variant(options={"batch": 4}),
    "fast": Variant(options={"pipeline": "fast"}),
    "fast in ECP5 cells": Variant(options={"pipeline": "fast"}, cells="ecp5"),
}


def main() -> None:
    """Measure every variant of every design, print and write after each."""
    args = _arguments()
    rows = _before(args)
    for name, variant, program in _programs(args.networks.split(","), args.variants.split(",")):
        say(f"{name}, {variant}: {program.cycles.total:,} cycles; synthesis")
        entry = _entry(name, variant, program, args)
        rows = [row for row in rows if (row["network"], row["variant"]) != (name, variant)] + [entry]
        rows.sort(key=lambda row: ([*DESIGNS].index(row["network"]), [*VARIANTS].index(row["variant"])))
        write_results("features", {"target": TARGET, "rows": rows}, args.results)
    print(_table(rows))


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--networks", default=",".join(DESIGNS), help="comma between (default: %(default)s)")
    made.add_argument("--variants", default=",".join(VARIANTS), help="comma between (default: %(default)s)")
    made.add_argument("--clock", action="store_true", help="place and route as well, one seed")
    made.add_argument("--work", type=Path, help="folder that keeps results (default: hwprm's own)")
    return made.parse_args()


def _before(args: Any) -> list[dict[str, Any]]:
    """Rows of an earlier run; those of other designs stay in the table."""
    file = args.results / "features.json"
    return list(json.loads(file.read_text())["rows"]) if file.is_file() else []


def _programs(networks: list[str], variants: list[str]) -> Iterator[tuple[str, str, Program]]:
    for name in networks:
        torch.manual_seed(0)
        net = NETWORKS[name]()
        for variant in variants:
            yield name, variant, compile_network(net, replace(DESIGNS[name], **VARIANTS[variant].options))


def _entry(name: str, variant: str, program: Program, args: Any) -> dict[str, Any]:
    hw = program.hardware
    facts = _facts(f"{name}-{variant}".replace(" ", "-"), program, VARIANTS[variant].cells, args)
    return {
        "network": name,
        "variant": variant,
        "rows": hw.rows,
        "cols": hw.cols,
        "cycles": round(program.cycles.total / hw.batch, 1),
        "utilisation": round(program.cycles.utilisation, 4),
        "memory_bits": sum(program.onchip.values()),
        "tile_words": hw.tiles,
        "fmax_mhz": facts.get("fmax_mhz"),
        **{key: facts[key] for key in KEYS},
    }


def _facts(name: str, program: Program, cells: str, args: Any) -> dict[str, Any]:
    """What synthesis, and place and route where it is asked for, say of the bundle."""
    folder = RUNS / "features" / name
    with suppress(InputError):  # emitted by an earlier run; results are kept by what it holds
        emit_bundle(program, _images(program.network), None, folder, target=cells)
    config = SiliconConfig(target=TARGET, seeds=1, work=args.work)
    made = api.synth(folder, config)
    if args.clock and made.too_large is None:
        return placement_facts(api.pnr(folder, config))
    return synthesis_facts(made)


def _images(net: IntegerNetwork) -> np.ndarray[Any, np.dtype[np.int64]]:
    return random_images(1, net.image_limits, seed=0)


def _table(rows: list[dict[str, Any]]) -> str:
    header = (
        "network, array", "variant", "cycles an image", "busy, %", "memory bits", "tiles", "LUT4", "carry", "FF",
        "DSP", "block RAM", "MHz",
    )  # fmt: skip
    return markdown(
        header,
        (
            (
                f"{row['network']}, {row['rows']} x {row['cols']}",
                row["variant"],
                float(row["cycles"]),
                100 * row["utilisation"],
                *(row[key] for key in ("memory_bits", "tile_words", *KEYS)),
                row["fmax_mhz"],
            )
            for row in rows
        ),
    )


if __name__ == "__main__":
    main()
