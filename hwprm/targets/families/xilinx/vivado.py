"""The project that Vivado, which costs nothing for these devices and is no Python package, can take over from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwprm.targets.flow.device import Device

__all__ = ["project"]


def project(device: Device, sources: Sequence[str], clock: float) -> Mapping[str, str]:
    """Files by name: ``build.tcl``, to be run in the folder that holds `sources`, and its clock of `clock` MHz.

    The design is placed out of context, as its pins are a board's business; the reports say clock and resources.
    """
    reads = "\n".join(f"read_verilog {name}" for name in sources)
    tcl = f"""\
# Synthesis, placement and routing of the accelerator: vivado -mode batch -source build.tcl, in this folder.
create_project -in_memory -part {device.part}
{reads}
read_xdc clock.xdc
synth_design -top hwprm_top -part {device.part} -mode out_of_context -verilog_define SYNTHESIS
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file utilisation.txt
report_timing_summary -file timing.txt
write_checkpoint -force hwprm_top.dcp
"""
    xdc = f"create_clock -name clk -period {1000 / clock:.3f} [get_ports clk]\n"
    return {"build.tcl": tcl, "clock.xdc": xdc}
