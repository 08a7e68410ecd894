"""A top for devices with fewer pins than the accelerator has ports: shift registers behind five pins.

Every input comes out of a shift register, every output goes into one, so that nothing of the design is optimised away
and every path of it runs from register to register. It is for figures: no host would wait a chain's length for a beat.
Its cells count as `hwprm.targets.flow.netlist.GLUE`.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwprm.bundle.manifest import PortEntry

__all__ = ["WRAPPER", "wrapper_verilog"]

#: Name of the wrapper's module, and of its file.
WRAPPER = "hwprm_pins"
#: Ports that stay pins.
DIRECT = ("clk", "rst")


def wrapper_verilog(ports: Sequence[PortEntry]) -> str:
    """The module `WRAPPER` around ``hwprm_top`` with these `ports`: pins clk, rst, chain_in, chain_load, chain_out."""
    inputs = [port for port in ports if port.direction == "input" and port.name not in DIRECT]
    outputs = [port for port in ports if port.direction != "input"]
    left, right = sum(port.width for port in inputs), sum(port.width for port in outputs)
    bound = [f".{name}({name})" for name in DIRECT]
    for chain, group in (("driven", inputs), ("seen", outputs)):
        at = 0
        for port in group:
            bound.append(f".{port.name}({chain}[{at + port.width - 1}:{at}])")
            at += port.width
    connections = ",\n        ".join(bound)
    return f"""\
// {left} inputs and {right} outputs of hwprm_top behind shift registers, for devices with fewer pins.
`default_nettype none
module {WRAPPER} (
    input  wire clk,
    input  wire rst,
    input  wire chain_in,
    input  wire chain_load,
    output wire chain_out
);
    reg [{left - 1}:0] driven;
    wire [{right - 1}:0] seen;
    reg [{right - 1}:0] sent;
    always @(posedge clk) begin
        driven <= {{driven[{left - 2}:0], chain_in}};
        sent <= chain_load ? seen : {{sent[{right - 2}:0], 1'b0}};
    end
    assign chain_out = sent[{right - 1}];
    hwprm_top top (
        {connections}
    );
endmodule
`default_nettype wire
"""
