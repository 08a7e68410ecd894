"""What a bundle has for the system around it: a driver in C, and a description for FuseSoC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from hwprm.bundle.manifest import Manifest
from hwprm.emission.templates import render

__all__ = ["core_name", "write_core", "write_driver"]


def core_name(manifest: Manifest) -> str:
    """What FuseSoC calls the bundle."""
    return f"hwprm:bundle:{re.sub(r'[^A-Za-z0-9_]', '_', manifest.net)}:1.0"


def write_driver(manifest: Manifest, values: Mapping[str, object], work: Path) -> None:
    """Write ``driver/`` into the bundle in `work`; a design without registers has none. `values` are the README's."""
    if manifest.registers:
        (work / "driver").mkdir()
        for name in ("hwprm_design.h", "hwprm_driver.h", "hwprm_driver.c"):
            (work / "driver" / name).write_text(render(f"{name}.j2", **values))


def write_core(manifest: Manifest, work: Path) -> None:
    """Write ``hwprm.core`` into the bundle in `work`, whose Verilog, memory files and images are there."""
    text = render(
        "hwprm.core.j2",
        net=manifest.net,
        array=manifest.array,
        vlnv=core_name(manifest),
        sources=_names(work, "rtl/*.v"),
        memories=_names(work, "mem/*"),
        stimulus=_names(work, "golden/*.mem"),
    )
    (work / "hwprm.core").write_text(text)


def _names(work: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(work).as_posix() for path in work.glob(pattern))
