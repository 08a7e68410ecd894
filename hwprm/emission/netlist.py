"""A bundle whose design is a netlist of a target's cells, with its probes: verified as any other, layer by layer."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hwprm.bundle import Bundle
from hwprm.core.files import new_folder
from hwprm.emission.software import write_core
from hwprm.emission.templates import render
from hwprm.emission.writer import seal, template_values

__all__ = ["write_netlist_bundle"]

#: Above the README of the bundle that the netlist was made of.
NOTICE = """> The core of this bundle is a netlist of {target} cells, its memories among them: `rtl/hwprm_rom.v` and
> `rtl/hwprm_ram.v`, of which the text below speaks, are not here, and the testbench has no layer mode.

"""
#: The same where the netlist has instances of the memories.
MACROS = """> The core of this bundle is a netlist of {target} cells, in which memories are instances of {memories}, as
> they were; the testbench has no layer mode.

"""


def write_netlist_bundle(bundle: Bundle, sources: Mapping[str, str], out: Path) -> Bundle:
    """Write `bundle` into the new folder `out` with `sources`, {file name: Verilog}, in place of its core and memories.

    Of memories that the netlist has instances of, the modules are among them. The testbench has no way into a netlist's
    memories, so there is no layer mode.
    Raises InputError when `out` is not empty or cannot be made.
    """
    with new_folder(out) as work:
        for name in bundle.manifest.files:
            if not name.startswith(("rtl/", "tb/")) or name == "rtl/hwprm_top.v":
                place = work / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.folder / name, place)
        readme = work / "README.md"
        kept = [name for name in ("hwprm_rom", "hwprm_ram") if f"{name}.v" in sources]
        memories = " and ".join(f"`{name}`" for name in kept)
        notice = (MACROS if kept else NOTICE).format(target=bundle.manifest.target, memories=memories)
        readme.write_text(notice + readme.read_text())
        for name, text in sources.items():
            (work / "rtl" / name).write_text(text)
        (work / "tb").mkdir()
        values = template_values(bundle.manifest)
        (work / "tb" / bundle.testbench.name).write_text(render("tb_hwprm.v.j2", **values, banks=0))
        write_core(bundle.manifest, work)
        seal(replace(bundle.manifest, files={}), work)
    return Bundle.load(out)
