"""The top that puts ``hwprm_top`` on a board: clock, reset, lights, serial line; as Verilog."""

from __future__ import annotations

from hwprm.targets.boards.site import Site
from hwprm.targets.flow.carrier import Clocking

__all__ = ["TOP", "board_verilog"]

#: Name of the module, and of its file.
TOP = "hwprm_board"
#: Cycles of reset behind power-on and a button that bounces, as bits; milliseconds for which a light stays on.
RESET_BITS, LIT_MS = 16, 50


def board_verilog(site: Site, clocking: Clocking, head: str) -> str:
    """The module `TOP`, whose ports are the pins of `site`; `head` says in a line what it is."""
    pins = site.pins
    ports = [f"    {'input ' if pin.input else 'output'} wire {port}" for port, pin in pins.items()]
    pressed = "1'b0"
    if button := pins.get("button"):
        pressed = "~button" if button.invert else "button"
    lines = [
        f"    assign {port} = {'~' if pins[port].invert else ''}{wire};"
        for port, wire in (("busy", "bright"), ("error", "failed"))
        if port in pins
    ]
    lines += [f"    assign {port} = 1'b{int(not pin.invert)};" for port, pin in pins.items() if port.startswith("high")]
    light = max(1, int(float(clocking.mhz) * 1000 * LIT_MS).bit_length())
    joined = ",\n".join(ports)
    return f"""\
// {head}
// Clock: {float(clocking.mhz):g} MHz, {clocking.words}.
`default_nettype none
module {TOP} #(
    parameter RESET_BITS = {RESET_BITS},
    parameter LIGHT_BITS = {light}
) (
{joined}
);
    wire clk, locked;
    wire pressed = {pressed};
{clocking.verilog}
    // In reset until clock and button have been good for 2**RESET_BITS cycles. Registers begin with 0 here.
    reg [1:0] good = 0;
    reg [RESET_BITS-1:0] waited = 0;
    reg run = 1'b0;
    always @(posedge clk) begin
        good <= {{good[0], locked & ~pressed}};
        waited <= !good[1] ? 0 : &waited ? waited : waited + 1'b1;
        run <= &waited;
    end

    // Layers take less time than an eye does: the light stays on for a while.
    wire computing, failed;
    reg [LIGHT_BITS-1:0] lit = 0;
    always @(posedge clk) lit <= computing ? {{LIGHT_BITS{{1'b1}}}} : lit != 0 ? lit - 1'b1 : 0;
    wire bright = lit != 0;
{chr(10).join(lines)}

    hwprm_top top (
        .clk(clk), .rst(~run), .rx({"~" if pins["rx"].invert else ""}rx), .tx(tx), .busy(computing), .error(failed)
    );
endmodule
`default_nettype wire
"""
