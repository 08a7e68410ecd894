"""What an accelerator takes of a device, and the clock that it reaches there.

What: for each bundle: LUTs, carries, flip-flops, multipliers, block RAMs, and LUTs a processing element; the clock that
place and route reaches (median, lowest and highest seed) and the processor seconds of a seed; images per second at that
clock; a second table has the LUTs of each block of the gateware.
How: `hwprm pnr` with seeds 1 to --seeds, aiming at 200 MHz on ECP5. Results of every seed are kept where hwprm keeps
them, so that an interrupted run goes on, and more --seeds run the new ones alone; rows of bundles that were measured
before stay in the table. Bundles are folders; without any, LeNet-5 at 40x (examples/checkpoints/lenet5-all-39x,
calibrated with the embedded images) on 4 x 4 and 8 x 8, with the fast pipeline in cells of the ECP5, and with the short
one in plain Verilog; and ResNet-18 with the mask of 60x (random weights, all of them on the chip) on 8 x 16, fast.
Target: on an LFE5U-85F of speed 6, 110 MHz and 65 LUT4 a processing element on 8 x 8, 125 MHz on 4 x 4, 100 MHz for
ResNet-18, all fast.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import RUNS, markdown, parser, say, write_results
from networks import MASKS, reference

from hwprm import ArrayConfig, EmitConfig, SiliconConfig, api
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.emission import emit_bundle
from hwprm.targets import placement_facts

#: The network of the default bundles, their arrays, and their pipelines with whose cells they are made of.
CHECKPOINT = Path(__file__).resolve().parent.parent / "examples" / "checkpoints" / "lenet5-all-39x"
SIZES = (8, 4)
KINDS = ((ArrayConfig(pipeline="fast"), EmitConfig(target="ecp5")), (ArrayConfig(), EmitConfig()))
#: The largest design: the network of the reference that its mask is for, and its array.
LARGE, LARGE_ARRAY = "resnet18-cifar", ArrayConfig(rows=8, cols=16, pipeline="fast")


def main() -> None:
    """Measure every bundle, print and write."""
    args = _arguments()
    rows = _before(args)
    for name, folder in _bundles(args.bundles):
        say(f"{name}: synthesis, place and route")
        config = SiliconConfig(target=args.target, seeds=args.seeds, work=args.work)
        found = api.pnr(folder, config, progress=lambda stage, done, total, _: say(f"  {stage} ({done} of {total})"))
        rows = [row for row in rows if row["bundle"] != name]
        rows.append({"bundle": name} | _row(placement_facts(found)))
    print(_table(rows))
    print()
    print(_blocks(rows))
    say(f"results: {write_results('silicon', {'target': args.target, 'rows': rows}, args.results)}")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("bundles", nargs="*", type=Path, help="bundle folders, perhaps NAME=FOLDER")
    made.add_argument("--target", default="ecp5-85k", help="device (default: %(default)s)")
    made.add_argument("--seeds", type=int, default=3, help="runs of place and route (default: %(default)s)")
    made.add_argument("--work", type=Path, help="folder that keeps results (default: hwprm's own)")
    return made.parse_args()


def _before(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of an earlier run, for the same device: those of other bundles stay in the table."""
    file = args.results / "silicon.json"
    facts = json.loads(file.read_text()) if file.is_file() else {}
    return list(facts["rows"]) if facts.get("target") == args.target else []


def _bundles(given: list[Path]) -> list[tuple[str, Path]]:
    """Names and folders of the bundles; those of the default network are compiled where they are not there yet."""
    if given:
        pairs = [str(path).rpartition("=") for path in given]
        return [(name or Path(folder).absolute().name, Path(folder)) for name, _, folder in pairs]
    made = []
    for array, emit in KINDS:
        for size in SIZES:
            folder = RUNS / "silicon" / f"lenet5-{size}x{size}-{array.pipeline}"
            if not folder.is_dir():
                sized = replace(array, rows=size, cols=size)
                api.compile(CHECKPOINT, "mnist", out=folder, array=sized, emit=emit)
            made.append((folder.name, folder))
    return [*made, _large()]


def _large() -> tuple[str, Path]:
    """ResNet-18, emitted where it is not there yet."""
    folder = RUNS / "silicon" / "resnet18-60x-8x16-fast"
    if not folder.is_dir():
        program = compile_network(reference(LARGE, MASKS[LARGE]), LARGE_ARRAY)
        images = random_images(1, program.network.image_limits, seed=0)
        emit_bundle(program, images, None, folder, target="ecp5")
    return folder.name, folder


def _row(facts: dict[str, Any]) -> dict[str, Any]:
    """What of a result is worth keeping."""
    keys = ("array", "lut4", "carry", "ff", "dsp", "bram", "fmax_mhz", "cycles_per_image", "images_per_second", "tools")
    blocks = {name: used.get("lut4", 0) for name, used in facts["blocks"].items()}
    return {key: facts[key] for key in keys} | {"placed": facts["placed"], "seeds": facts["seeds"], "blocks": blocks}


def _table(rows: list[dict[str, Any]]) -> str:
    header = ("bundle", "LUT4", "carry", "FF", "DSP", "block RAM", "placed LUT sites", "LUT4 a PE")
    return markdown(
        (*header, "MHz", "lowest, highest", "images/s", "CPU seconds a seed"),
        (
            (
                row["bundle"],
                *(row[key] for key in ("lut4", "carry", "ff", "dsp", "bram")),
                row["placed"].get("comb"),
                row["lut4"] / (row["array"]["rows"] * row["array"]["cols"]),
                f"{row['fmax_mhz']:.1f}",
                f"{min(_clocks(row)):.1f}, {max(_clocks(row)):.1f}",
                row["images_per_second"],
                sum(seed["cpu_seconds"] for seed in row["seeds"]) / len(row["seeds"]),
            )
            for row in rows
        ),
    )


def _clocks(row: dict[str, Any]) -> list[float]:
    return [seed["fmax_mhz"] for seed in row["seeds"]]


def _blocks(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["blocks"]))
    return markdown(
        ("LUT4 by block", *(row["bundle"] for row in rows)),
        ((name, *(row["blocks"].get(name, 0) for row in rows)) for name in names),
    )


if __name__ == "__main__":
    main()
