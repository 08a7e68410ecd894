"""The rules of AXI4-Lite at the registers, and of AXI4 reads at external memory, with what is read and asked for.

Unbounded, by induction, for all that a host and a memory may do that keep to the rules themselves. What is offered
stands still, and nothing is in reset: see `tests.formal.test_streams`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Signal

from hwprm.gateware.external.reader import StreamReader
from hwprm.gateware.host.registers import RegisterFile
from hwprm.isa import ExternalMemory, Hardware, register_offset
from hwprm.isa.registers import ID_VALUE, INTERFACE_VERSION
from tests.support.formal import Verdict, made_of, prove
from tests.support.hardware import hardware
from tests.support.rounds import long_round

EXTERNAL = ExternalMemory(
    **{"beat_bits": 16, "burst_beats": 2, "outstanding": 2, "entry_rows": 2, "weight_rows": 2},
    **{"chunk": 2, "boot_bursts": 1, "bursts": 3},
)

#: Every write is done once and answered once, every read has the register's value of the cycle that takes its address.
REGISTERS = """
module harness (
    input clk, rst, awvalid, wvalid, bready, arvalid, rready, input [7:0] awaddr, araddr, input [31:0] wdata,
    input [3:0] wstrb, input [31:0] cycles, memory_stalls,
    input busy, short, long, received, frame_done, stalled, memory_error
);
    wire awready, wready, arready, bvalid, rvalid, run, repeats, started;
    wire [31:0] rdata;
    wire [63:0] base;
    wire [31:0] seen_control, seen_status, seen_frames_in, seen_frames_out, seen_frames_dropped, seen_stalls;
    dut dut(
        .clk(clk), .rst(rst), .bus_awvalid(awvalid), .bus_awaddr(awaddr), .bus_awready(awready), .bus_wvalid(wvalid),
        .bus_wdata(wdata), .bus_wstrb(wstrb), .bus_wready(wready), .bus_bvalid(bvalid), .bus_bready(bready),
        .bus_arvalid(arvalid), .bus_araddr(araddr), .bus_arready(arready), .bus_rvalid(rvalid),
        .bus_rdata(rdata), .bus_rready(rready), .cycles(cycles), .memory_stalls(memory_stalls),
        .busy(busy), .short(short), .long(long), .received(received), .frame_done(frame_done), .stalled(stalled),
        .memory_error(memory_error), .run(run), .\\repeat (repeats), .base(base), .started(started),
        .seen_control(seen_control), .seen_status(seen_status), .seen_frames_in(seen_frames_in),
        .seen_frames_out(seen_frames_out), .seen_frames_dropped(seen_frames_dropped), .seen_stalls(seen_stalls)
    );
    {unused}
    // What the host has offered and still offers; answers that it has yet to get.
    reg aw_waits = 0, w_waits = 0, ar_waits = 0, writes_wait = 0, reads_wait = 0;
    reg [7:0] aw, ar;
    reg [31:0] w;
    reg [3:0] strobe;
    reg [1:0] writes = 0, reads = 0;
    reg [31:0] frames_in = 0, frames_out = 0, dropped = 0, stalls = 0, expected;
    reg [1:0] control = 1, sticky = 0;
    reg [63:0] address = 0;
    reg known = 0;
    wire writes_now = awvalid && awready && wvalid && wready, reads_now = arvalid && arready;
    wire [1:0] cleared = writes_now && awaddr[7:2] == {status} && wstrb[0] ? wdata[2:1] : 0;
    wire based = {external} && writes_now && wstrb[0] && !known;
    always @(posedge clk) begin
        {{aw_waits, w_waits}} <= {{awvalid && !awready, wvalid && !wready}};
        ar_waits <= arvalid && !arready;
        {{aw, ar, w, strobe}} <= {{awaddr, araddr, wdata, wstrb}};
        writes_wait <= awvalid && wvalid && !awready && !bvalid;
        reads_wait <= arvalid && !arready && !rvalid;
        writes <= writes + writes_now - (bvalid && bready);
        reads <= reads + reads_now - (rvalid && rready);
        frames_in <= frames_in + received;
        frames_out <= frames_out + frame_done;
        dropped <= dropped + (short || long);
        stalls <= stalls + stalled;
        sticky <= (sticky & ~cleared) | {{long, short}};
        if (writes_now && awaddr[7:2] == {control} && wstrb[0]) control <= wdata[1:0];
        if (based && awaddr[7:2] == {base}) {{known, address[31:12]}} <= {{1'b1, wdata[31:12]}};
        if (based && awaddr[7:2] == {base_high}) address[63:32] <= wdata;
        if (reads_now)
            case (araddr[7:2])
                {control}: expected <= control;
                {status}: expected <= {{memory_error, sticky, busy}};
{values}
                default: expected <= 0;
            endcase
        if (rst) begin
            {{aw_waits, w_waits, ar_waits, writes_wait, reads_wait, writes, reads, frames_in, frames_out}} <= 0;
            {{dropped, stalls, sticky, known, address}} <= 0;
            control <= 1;
        end
    end
    always @* begin
        // The host keeps to the rules: what it offers stands still until it is taken.
        if (aw_waits) assume (awvalid && awaddr == aw);
        if (w_waits) assume (wvalid && {{wdata, wstrb}} == {{w, strobe}});
        if (ar_waits) assume (arvalid && araddr == ar);
        // Address and data are taken together, and only what is offered; one at a time, at once, in the next cycle.
        assert (awready == wready && (!awready || (awvalid && wvalid)) && (!arready || arvalid));
        if (writes_wait) assert (awready);
        if (reads_wait) assert (arready);
        // As many answers as requests.
        assert (bvalid == writes && rvalid == reads);
        if (awready) assert (writes == 0);
        if (arready) assert (reads == 0);
        if (rvalid) assert (rdata == expected);
        // What was written holds; where the program lies holds from the first write on.
        assert ({{repeats, run}} == control);
        assert (started == known && base == address && base[11:0] == 0);
        // What the solver needs to know of a cycle, to show it of the next.
        assert (seen_control == control && seen_status == {{memory_error, sticky, busy}});
        assert (seen_frames_in == frames_in && seen_frames_out == frames_out);
        assert (seen_frames_dropped == dropped && seen_stalls == stalls);
    end
endmodule
"""

READER = """
module harness (
    input clk, rst, arready, rvalid, pop, start, input [15:0] rdata, input [1:0] rresp
);
    wire arvalid, rready, valid, error;
    wire [63:0] araddr;
    wire [51:0] page = $anyconst;
    wire [63:0] base = {{page, 12'd0}};
    wire [{bits}:0] written, read, room;
    wire [{burst_bits}-1:0] next_asked;
    dut dut(
        .clk(clk), .rst(rst), .bus_arready(arready), .bus_arvalid(arvalid), .bus_araddr(araddr), .bus_rvalid(rvalid),
        .bus_rready(rready), .bus_rdata(rdata), .bus_rresp(rresp), .pop(pop), .start(start), .base(base),
        .valid(valid), .error(error), .room(room), .\\$signal (next_asked),
        .\\fifo.written (written), .\\fifo.read (read)
    );
    // Beats asked for, offered to the memory or taken by it, those that it answered, and those handed on.
    reg [7:0] asked = 0, granted = 0, came = 0, left = 0, burst = 0;
    reg offered = 0, might = 0, failed = 0;
    wire [7:0] next = burst == {bursts} - 1 ? {boot} : burst + 1;
    wire asks = arvalid && !offered, takes = arvalid && arready;
    wire [7:0] on_way = granted - came, inside = came - left, bound = asked + (asks ? {beats} : 0) - left;
    wire [7:0] left_of_room = {depth} - bound;
    always @(posedge clk) begin
        offered <= arvalid && !arready;
        asked <= asked + (asks ? {beats} : 0);
        granted <= granted + (takes ? {beats} : 0);
        came <= came + (rvalid && rready);
        left <= left + pop;
        if (takes) burst <= next;
        failed <= failed || (rvalid && rresp != 0);
        might <= start && !error && (!arvalid || arready) && left_of_room >= {beats};
        if (rst) {{offered, asked, granted, came, left, burst, might, failed}} <= 0;
    end
    wire [7:0] pending = offered ? {beats} : 0, waiting = asked - granted;
    wire [12:0] end_of_burst = araddr[11:0] + {beats} * {bytes};
    always @* begin
        // The memory answers what it was asked for; who takes beats takes those that are there.
        assume (!rvalid || on_way != 0);
        assume (!pop || valid);
        // Every answer is taken at once, and there is room for it.
        assert (rready && bound <= {depth} && inside <= {depth});
        // Bursts of the image in order, the first ones once, aligned, none across 4 KiB.
        if (arvalid) assert (araddr == base + burst * ({beats} * {bytes}) && araddr % ({beats} * {bytes}) == 0);
        if (arvalid) assert (end_of_burst <= 4096);
        // Where there is room, and nothing failed, the next one is asked for at once, and else none.
        assert (asks == might);
        if (failed) assert (error && !valid);
        // What the solver needs to know of a cycle, to show it of the next.
        assert (burst < {bursts} && waiting == pending && on_way <= {depth} && error == failed);
        assert (written == came % (2 * {depth}) && read == left % (2 * {depth}));
        assert (room == left_of_room && next_asked == (arvalid ? next : burst));
        if (!failed) assert (!valid || inside != 0);
    end
endmodule
"""


class Seen(RegisterFile):
    """With signals for what is read of the registers that change."""

    def _reads(self, m, values):
        for name in ("CONTROL", "STATUS", "FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED", "STALLS"):
            m.d.comb += Signal(32, name=f"seen_{name.lower()}").eq(values[name])
        super()._reads(m, values)


def _registers(folder: Path, hw: Hardware, dut: RegisterFile) -> Verdict:
    hashes = {f"HASH{i}": f"32'h{int(hw.design_hash, 16) >> 32 * i & 0xFFFFFFFF:x}" for i in range(8)}
    values = {"ID": ID_VALUE, "VERSION": INTERFACE_VERSION, "ROWS": hw.rows, "COLS": hw.cols} | hashes
    values |= {"INPUT_BEATS": hw.input_beats, "OUTPUT_BEATS": hw.output_words, "CYCLES": "cycles"}
    values |= {"FRAMES_IN": "frames_in", "FRAMES_OUT": "frames_out", "FRAMES_DROPPED": "dropped", "STALLS": "stalls"}
    values |= {"MEMORY_STALLS": "memory_stalls", "BASE": "address[31:0]", "BASE_HIGH": "address[63:32]"}
    told = (f"                {register_offset(name) >> 2}: expected <= {value};" for name, value in values.items())
    places = {name: register_offset(name.upper()) >> 2 for name in ("control", "status", "base", "base_high")}
    unused = "" if hw.external else "assign base = 0, started = 0;"  # which a design without external memory ties to 0
    harness = REGISTERS.format(**places, unused=unused, external=int(bool(hw.external)), values="\n".join(told))
    return prove(folder, harness, [made_of(folder, dut, ["seen_*"])], steps=8)


HASH = "".join(f"{i:02x}" for i in range(0x31, 0x51))
KINDS = {"ROMs": None, "external": EXTERNAL}


@pytest.mark.parametrize("kind", KINDS)
def test_registers(kind: str, tmp_path: Path) -> None:
    hw = hardware(design_hash=HASH, external=KINDS[kind])
    assert _registers(tmp_path, hw, Seen(hw)) is Verdict.PROVEN


def _reader(folder: Path, external: ExternalMemory, kind: type[StreamReader] = StreamReader) -> Verdict:
    harness = READER.format(
        **{"bits": external.fifo_beats.bit_length() - 1, "bursts": external.bursts, "boot": external.boot_bursts},
        **{"burst_bits": (external.bursts - 1).bit_length()},
        **{"beats": external.burst_beats, "bytes": external.beat_bytes, "depth": external.fifo_beats},
    )
    shown = ["fifo.written", "fifo.read", "room", "$signal"]
    return prove(folder, harness, [made_of(folder, kind(external), shown)], steps=8)


@pytest.mark.parametrize("external", long_round([EXTERNAL, replace(EXTERNAL, burst_beats=4, bursts=7)], quick=1))
def test_reader(external: ExternalMemory, tmp_path: Path) -> None:
    assert _reader(tmp_path, external) is Verdict.PROVEN


class _Deaf(Seen):
    """Takes a write while the answer to the one before it waits, and answers both at once."""

    def _writes(self, m):
        write = super()._writes(m)
        with m.If(self.bus.awvalid & self.bus.wvalid & ~write):
            m.d.sync += write.eq(1)
        return write


class _Careless(Seen):
    """Lets the base be written while the reader is under way."""

    def _base(self, m, write):
        super()._base(m, write)
        with m.If(self._at(write, "BASE_HIGH")):
            m.d.sync += self.base[32:].eq(self.bus.wdata)


@pytest.mark.parametrize("fault", [_Deaf, _Careless])
def test_a_fault_of_the_registers_is_found(fault: type[RegisterFile], tmp_path: Path) -> None:
    hw = hardware(design_hash=HASH, external=EXTERNAL)
    assert _registers(tmp_path, hw, fault(hw)) is Verdict.REFUTED


class _Full(StreamReader):
    """Beats leave for the count alone: more are asked for than there is room."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += m.submodules.fifo.pop.eq(self.pop & self.start)
        return m


class _Waits(StreamReader):
    """Has the memory wait while a beat is taken."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.bus.rready.eq(~self.pop)
        return m


class _Askew(StreamReader):
    """Bursts begin a beat behind where they should."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.bus.arready & self.bus.arvalid):
            m.d.sync += self.bus.araddr.eq(self.bus.araddr + self._external.beat_bytes)
        return m


@pytest.mark.parametrize("fault", [_Full, _Waits, _Askew])
def test_a_fault_of_the_reader_is_found(fault: type[StreamReader], tmp_path: Path) -> None:
    assert _reader(tmp_path, EXTERNAL, fault) is Verdict.REFUTED
