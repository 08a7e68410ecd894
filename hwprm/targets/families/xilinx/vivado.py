"""The project that Vivado, which costs nothing for these devices and is no Python package, can take over from here.

Edalize writes what every project of Vivado's needs: device, sources, definitions, constraints, top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hwprm.core.errors import ToolError
from hwprm.targets.flow.device import Device

__all__ = ["project"]

#: Of the project, and of its file.
NAME = "hwprm"


def project(device: Device, sources: Sequence[str], clock: float) -> Mapping[str, str]:
    """Files by name: ``build.tcl``, to be run in the folder that holds `sources`, and what it reads.

    That is Edalize's project, and a clock of `clock` MHz. The design is placed out of context, as its pins are a
    board's business; the reports say clock and resources. Raises ToolError when Edalize is missing.
    """
    build = f"""\
# Synthesis, placement and routing of the accelerator: vivado -mode batch -source build.tcl, in this folder.
# {NAME}.tcl makes the project, {NAME}.xpr, which Vivado's window opens as well.
source {NAME}.tcl
synth_design -top hwprm_top -part {device.part} -mode out_of_context
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file utilisation.txt
report_timing_summary -file timing.txt
write_checkpoint -force hwprm_top.dcp
"""
    xdc = f"create_clock -name clk -period {1000 / clock:.3f} [get_ports clk]\n"
    return {"build.tcl": build, f"{NAME}.tcl": _project(device, sources), "clock.xdc": xdc}


def _project(device: Device, sources: Sequence[str]) -> str:
    try:
        from edalize.flows.vivado import Vivado
    except ModuleNotFoundError:
        raise ToolError(
            "a project of Vivado is made by edalize, which is not installed; pip install 'hwprm[fpga]'"
        ) from None
    files = [{"name": name, "file_type": "verilogSource-2005"} for name in sources]
    described = {
        "name": NAME,
        "toplevel": "hwprm_top",
        "parameters": {"SYNTHESIS": {"paramtype": "vlogdefine", "datatype": "bool", "default": True}},
        "files": [*files, {"name": "clock.xdc", "file_type": "xdc"}],
        "flow_options": {"part": device.part},
    }
    with TemporaryDirectory(prefix="hwprm-") as folder:
        Vivado(described, folder).configure()
        return (Path(folder) / f"{NAME}.tcl").read_text()
