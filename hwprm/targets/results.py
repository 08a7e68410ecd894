"""What `hwprm synth` and `hwprm pnr` tell, as plain JSON with the keys of docs/silicon.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwprm.bundle import Bundle
from hwprm.compiler import CycleReport
from hwprm.config.silicon import SiliconConfig
from hwprm.core.errors import ConfigError
from hwprm.core.files import new_folder
from hwprm.core.formats import SILICON
from hwprm.targets.catalogue import find_target
from hwprm.targets.model import Resources
from hwprm.targets.place import Placement
from hwprm.targets.synth import LOG, NETLIST, SCRIPT, Synthesis, check_cells

__all__ = ["RESULT", "placement_facts", "size_facts", "synthesis_facts", "write_project", "write_result"]

#: The file of a result in an output folder.
RESULT = "silicon.json"
#: Counts that scripts look for whatever the family; None where it has none of the kind.
COMMON = ("lut4", "carry", "ff", "dsp", "bram")


def synthesis_facts(synthesis: Synthesis) -> dict[str, Any]:
    """What the device has and the design takes, whole and by block."""
    manifest, device = synthesis.bundle.manifest, synthesis.target.device
    used = synthesis.used
    titles = synthesis.titles | {"io": "ports, bits"}
    return {
        "format": SILICON,
        "net": manifest.net,
        "design_hash": manifest.design_hash,
        "array": asdict(manifest.array),
        "target": device.name,
        "part": device.part,
        "tools": {"yosys": synthesis.tool.label},
        **{key: used.get(key) for key in COMMON},
        "resources": {
            key: {"title": titles[key], "used": used[key], "available": device.available.get(key)} for key in titles
        },
        "blocks": synthesis.blocks,
        "wrapped": synthesis.wrapped,
        "fits": not synthesis.over,
        "cycles_per_image": _cycles_per_image(synthesis.bundle),
        **({"batch": manifest.array.batch} if manifest.array.batch > 1 else {}),
        "stalls_counted": manifest.external is None,
    }


def size_facts(found: Resources, cycles: CycleReport, clock: float | None) -> dict[str, Any]:
    """What the size model says of a design, and at `clock` MHz the images a second; stalls of an external memory are
    in them.
    """
    device, facts = found.device, {}
    if clock is not None:
        each = cycles.total + sum(cycles.stalls)
        facts = {"clock_mhz": clock, "images_per_second": round(clock * 1e6 * cycles.batch / each, 2)}
    return {
        "target": device.name,
        "part": device.part,
        "resources": {
            key: {"title": found.titles[key], "used": used, "available": device.available.get(key)}
            for key, used in found.used.items()
        },
        "fits": not found.over,
        "fitted_to": found.tool,
        **facts,
    }


def placement_facts(placement: Placement) -> dict[str, Any]:
    """`synthesis_facts`, and what place and route found."""
    synthesis, best = placement.synthesis, placement.best
    manifest, placer = synthesis.bundle.manifest, synthesis.target.family.placer
    assert placer is not None
    batch, cycles = manifest.array.batch, manifest.cycles.image
    facts = synthesis_facts(synthesis)
    facts["tools"] |= {placer.tool: placement.tool.label}
    return facts | {
        "fmax_mhz": round(placement.fmax, 2),
        "clock_mhz": placement.clock,
        "clock_met": None if placement.clock is None else placement.missed is None,
        "slack_ns": None if placement.slack_ns is None else round(placement.slack_ns, 3),
        "seeds": [
            {"seed": run.seed, "fmax_mhz": run.timing.fmax_mhz, "cpu_seconds": run.cpu_seconds}
            for run in placement.seeds
        ],
        "best_seed": best.seed,
        "critical_path": [asdict(hop) for hop in best.timing.path],
        "placed": {key: best.timing.used.get(bel, 0) for key, bel in placer.utilisation.items()},
        "images_per_second": round(placement.fmax * 1e6 * batch / manifest.pace, 2),
        "latency_us": round((batch * manifest.host_cycles[0] + cycles) / placement.fmax, 2),
    }


def _cycles_per_image(bundle: Bundle) -> int | float:
    """An image's part of the cycles; a whole number where images come one at a time."""
    batch, cycles = bundle.manifest.array.batch, bundle.manifest.cycles.image
    return cycles if batch == 1 else cycles / batch


def write_result(
    facts: dict[str, Any],
    synthesis: Synthesis,
    placement: Placement | None,
    out: Path,
    more: Mapping[str, bytes] | None = None,
) -> None:
    """Write the new folder `out`: the result, what the tools read and wrote, and `more` files by name.

    Raises InputError when `out` is not empty or cannot be made.
    """
    with new_folder(out) as work:
        (work / RESULT).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")
        for name in (SCRIPT, NETLIST, LOG):
            shutil.copyfile(synthesis.folder / name, work / name)
        if placement is not None:
            for path in sorted(placement.best.folder.iterdir()):
                shutil.copyfile(path, work / path.name)
        for name, data in (more or {}).items():
            (work / name).write_bytes(data)


def write_project(folder: Path, config: SiliconConfig, out: Path) -> str:
    """Write the bundle in `folder` into the new folder `out` as a project of the vendor's own tool; its script's name.

    Raises ConfigError when the target is unknown or has no such tool, BundleError when the bundle is incomplete or
    edited, InputError when `out` is not empty or cannot be made.
    """
    target = find_target(config.target)
    if target.family.project is None:
        raise ConfigError(f"{config.target} needs no project of a vendor's tool; use `hwprm pnr`")
    bundle = Bundle.load(folder)
    check_cells(bundle, target)
    sources = [path.relative_to(bundle.folder).as_posix() for path in bundle.sources()]
    images = [name for name in bundle.manifest.files if name.startswith("mem/")]
    files = target.family.project(target.device, sources, config.clock or target.device.goal)
    with new_folder(out) as work:
        for name in (*sources, *images):
            (work / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(bundle.folder / name, work / name)
        for name, text in files.items():
            (work / name).write_text(text)
    return next(iter(files))
