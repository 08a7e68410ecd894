"""Handshakes: what is offered stands still until it is taken, and nothing hangs on an input or is offered in reset.

For all inputs in all cycles, from reset on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.lib import wiring

from hwprm.gateware import Accelerator, named_ports
from hwprm.gateware.external.reader import StreamReader
from hwprm.gateware.host.egress import Egress
from hwprm.gateware.host.ingress import Ingress
from hwprm.gateware.host.registers import RegisterFile
from hwprm.isa import ExternalMemory, layer_format
from hwprm.isa.hosts import HOSTS, Host
from tests.support.formal import Made, Verdict, prove, run_yosys
from tests.support.hardware import hardware

EXTERNAL = ExternalMemory(
    **{"beat_bits": 8, "burst_beats": 2, "outstanding": 2, "entry_rows": 2, "weight_rows": 2},
    **{"chunk": 2, "boot_bursts": 1, "bursts": 3},
)


def _made(folder: Path, dut: wiring.Component, shown: tuple[str, ...] = ()) -> Made:
    (folder / "dut.il").write_text(rtlil.convert(dut, name="dut", ports=named_ports(dut), emit_src=False))
    return Made(name="dut", top="dut", sources=[folder / "dut.il"], shown=shown)


#: Both channels that answer; whatever is written and read, in any order.
REGISTERS = """
module harness (
    input clk, rst, awvalid, wvalid, bready, arvalid, rready, input [7:0] awaddr, araddr, input [31:0] wdata, cycles,
    input [3:0] wstrb, input busy, short, received
);
    wire awready, wready, arready, bvalid, rvalid;
    wire [31:0] rdata;
    dut dut(
        .clk(clk), .rst(rst), .bus_awvalid(awvalid), .bus_awaddr(awaddr), .bus_awready(awready), .bus_wvalid(wvalid),
        .bus_wdata(wdata), .bus_wstrb(wstrb), .bus_wready(wready), .bus_bvalid(bvalid),
        .bus_bready(bready), .bus_arvalid(arvalid), .bus_araddr(araddr), .bus_arready(arready), .bus_rvalid(rvalid),
        .bus_rdata(rdata), .bus_rready(rready), .cycles(cycles), .busy(busy), .short(short),
        .received(received)
    );
    reg was_reset = 1, b_waits = 0, r_waits = 0;
    reg [31:0] r_held;
    always @(posedge clk) begin
        was_reset <= rst;
        b_waits <= bvalid && !bready && !rst;
        r_waits <= rvalid && !rready && !rst;
        r_held <= rdata;
    end
    always @* begin
        if (b_waits) assert (bvalid);
        if (r_waits) assert (rvalid && rdata == r_held);
        if (was_reset) assert (!awready && !wready && !arready && !bvalid && !rvalid);
        assert (awready == wready);
    end
endmodule
"""

#: The base stands from `start` on, which stays.
READER = """
module harness (input clk, rst, arready, rvalid, pop, start, input [7:0] rdata, input [1:0] rresp, input [63:0] base);
    wire arvalid, rready, valid, error;
    wire [63:0] araddr;
    dut dut(
        .clk(clk), .rst(rst), .bus_arready(arready), .bus_arvalid(arvalid), .bus_araddr(araddr), .bus_rvalid(rvalid),
        .bus_rready(rready), .bus_rdata(rdata), .bus_rresp(rresp), .pop(pop), .start(start), .base(base),
        .valid(valid), .error(error)
    );
    reg was_reset = 1, waits = 0, failed = 0;
    reg [63:0] held;
    always @(posedge clk) begin
        was_reset <= rst;
        waits <= arvalid && !arready && !rst;
        held <= araddr;
        failed <= !rst && (failed || (rvalid && rresp != 0));
    end
    always @* begin
        if (waits) assert (arvalid && araddr == held);
        if (was_reset) assert (!arvalid);
        assert (error == failed);
        if (error) assert (!valid);
    end
endmodule
"""

#: Two words an image, two buffers. The schedule has no word come while there is no room, nor beyond an image's words.
EGRESS = """
module harness (input clk, rst, ready, word_valid, input [31:0] word, input [{layer}-1:0] layer, input [5:0] flags);
    wire valid, last, room, filling, leaving, behind_last;
    wire [32:0] payload;
    wire [1:0] full, place, behind, address;
    dut dut(
        .clk(clk), .rst(rst), .stream_ready(ready), .stream_valid(valid), .stream_payload(payload), .room(room),
        .word_valid(word_valid), .word(word), .layer(layer), .flags(flags), .filling(filling), .leaving(leaving),
        .full(full), .place(place), .behind(behind), .number(number), .address(address)
    );
    wire number;
    assign last = payload[32];
    always @* assume (!word_valid || (room && address < 2));
    reg was_reset = 1, waits = 0;
    reg [32:0] held;
    always @(posedge clk) begin
        was_reset <= rst;
        waits <= valid && !ready && !rst;
        held <= payload;
    end
    always @* begin
        if (waits) assert (valid && payload == held);
        if (was_reset) assert (!valid);
        // What the solver needs to know of a cycle, to show it of the next.
        if (valid) assert (full[leaving]);
        assert (place[1] == leaving && last == place[0] && behind == place + 2'd1 && number == behind[0]);
        assert (full[leaving] || !full[!leaving]);
        assert (filling == (leaving ^ (full[leaving] && !full[!leaving])));
    end
endmodule
"""

#: A beat that waits for the memory's write port; and the stream is not ready in reset.
INGRESS = """
module harness (input clk, rst, valid, grant, release_it, input [8:0] payload);
    wire ready, write;
    wire [{at}-1:0] write_at;
    wire [7:0] write_data;
    dut dut(
        .clk(clk), .rst(rst), .stream_valid(valid), .stream_ready(ready), .stream_payload(payload), .write(write),
        .grant(grant && write), .write_at(write_at), .write_data(write_data), .release(release_it)
    );
    reg was_reset = 1, waits = 0;
    reg [{at}+7:0] held;
    always @(posedge clk) begin
        was_reset <= rst;
        waits <= write && !grant && !rst;
        held <= {{write_at, write_data}};
    end
    always @* begin
        if (waits) assert (write && {{write_at, write_data}} == held);
        if (was_reset) assert (!ready && !write);
    end
endmodule
"""


SHOWN = ("filling", "leaving", "full", "place", "behind", "number", "address")


def _verdict(folder: Path, dut: wiring.Component) -> Verdict:
    hw = hardware()
    values = {"layer": layer_format(hw).width, "at": hw.word_bits + hw.bank_bits}
    if isinstance(dut, Egress):
        return prove(folder, EGRESS.format(**values), [_made(folder, dut, SHOWN)], steps=8)
    if isinstance(dut, Ingress):
        return prove(folder, INGRESS.format(**values), [_made(folder, dut)], steps=8)
    harness = REGISTERS if isinstance(dut, RegisterFile) else READER
    return prove(folder, harness, [_made(folder, dut)], steps=8)


BLOCKS = {
    "answers of registers": lambda: RegisterFile(hardware()),
    "addresses of bursts": lambda: StreamReader(EXTERNAL),
    "words that leave": lambda: Egress(hardware(output_words=2)),
    "beats on their way to memory": lambda: Ingress(hardware()),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_what_is_offered_stands_still(block: str, tmp_path: Path) -> None:
    assert _verdict(tmp_path, BLOCKS[block]()) is Verdict.PROVEN


def _restless(dut: wiring.Component) -> wiring.Component:
    """`dut` with what it offers following an input, or a counter."""

    class Restless(type(dut)):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            if isinstance(dut, RegisterFile):
                m.d.sync += self.bus.rdata.eq(self.cycles)
            elif isinstance(dut, StreamReader):
                m.d.sync += self.bus.araddr.eq(self.base)
            elif isinstance(dut, Egress):
                m.d.comb += self.stream.payload.last.eq(self.word_valid)
            else:
                m.d.comb += self.write_data.eq(self.stream.payload.data)
            return m

    dut.__class__ = Restless
    return dut


@pytest.mark.parametrize("block", BLOCKS)
def test_what_changes_before_it_is_taken_is_found(block: str, tmp_path: Path) -> None:
    assert _verdict(tmp_path, _restless(BLOCKS[block]())) is Verdict.REFUTED


def _heard(folder: Path, dut: wiring.Component) -> set[str]:
    """Inputs of `dut` that one of its outputs to a bus hangs on in the same cycle."""
    (folder / "dut.il").write_text(rtlil.convert(dut, name="dut", ports=named_ports(dut), emit_src=False))
    clocked = ["delete t:$dff", "delete t:$memrd_v2 r:CLK_ENABLE=1 %i"]
    cone = ["select -set outputs o:s_* o:m_* %u", "select -set cone @outputs %ci*"]
    told = ["tee -o heard.txt select -list @cone i:* %i", "tee -o outputs.txt select -list @outputs"]
    run_yosys(folder, ["read_rtlil dut.il", "hierarchy -top dut", "proc", "flatten", *clocked, *cone, *told])
    outputs = (folder / "outputs.txt").read_text().split()
    assert {"dut/s_axil_arready", "dut/m_axis_tvalid"} & set(outputs), outputs
    return {line.partition("/")[2] for line in (folder / "heard.txt").read_text().split()}


@pytest.mark.parametrize("kind", ["short", "fast", "external", "stream8"])
def test_no_output_to_a_bus_hangs_on_an_input(kind: str, tmp_path: Path) -> None:
    """No path through the design from a bus to a bus: neither ready to valid, nor valid to ready."""
    if kind in HOSTS:
        dut = Accelerator(hardware(act_bits=12), host=Host(kind=kind))
    elif kind == "external":
        dut = Accelerator(hardware(external=replace(EXTERNAL, beat_bits=64)))
    else:
        dut = Accelerator(hardware(pipeline=kind))
    assert _heard(tmp_path, dut) == set()


class _Hasty(Accelerator):
    """Ready while there is a beat."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.s_axis.tready.eq(self.s_axis.tvalid)
        return m


def test_a_path_from_an_input_is_found(tmp_path: Path) -> None:
    assert _heard(tmp_path, _Hasty(hardware())) == {"s_axis_tvalid"}
