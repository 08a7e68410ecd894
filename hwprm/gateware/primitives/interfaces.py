"""What blocks and the outside speak: streams inside, the AXI family at the edge, each seen from who speaks first."""

from amaranth.hdl import Module, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hwprm.isa import ExternalMemory
from hwprm.isa.registers import ADDRESS_BITS

__all__ = [
    "MEMORY_ADDRESS_BITS",
    "axi_lite",
    "axi_read",
    "axi_stream",
    "beat_stream",
    "from_axi",
    "named_ports",
    "to_axi",
]

#: Bits of an address of external memory.
MEMORY_ADDRESS_BITS = 64


def beat_stream(bits: int, *, checked: bool = False) -> stream.Signature:
    """A stream of beats: `data`, whether it is the `last` of its frame, and if `checked`, with a last one, whether the
    frame is `bad` and to be forgotten."""
    return stream.Signature(data.StructLayout({"data": bits, "last": 1, **({"bad": 1} if checked else {})}))


def axi_stream(bits: int) -> wiring.Signature:
    """AXI4-Stream with TLAST."""
    return wiring.Signature({"tdata": Out(bits), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)})


def axi_lite() -> wiring.Signature:
    """AXI4-Lite with 32-bit data, without the protection signals, which are ignored."""
    return wiring.Signature(
        {
            "awaddr": Out(ADDRESS_BITS),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(ADDRESS_BITS),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def axi_read(external: ExternalMemory) -> wiring.Signature:
    """The AXI4 read channels' signals that change; length, size and burst type are constants of the top module."""
    return wiring.Signature(
        {
            "araddr": Out(MEMORY_ADDRESS_BITS),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(external.beat_bits),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def from_axi(m: Module, bus, beat):
    """Drive the stream `beat`, the input of a block, from the AXI4-Stream `bus`, an input as well."""
    m.d.comb += [
        beat.payload.data.eq(bus.tdata),
        beat.payload.last.eq(bus.tlast),
        beat.valid.eq(bus.tvalid),
        bus.tready.eq(beat.ready),
    ]


def to_axi(m: Module, beat, bus):
    """Drive the AXI4-Stream `bus`, an output, from the stream `beat`, the output of a block."""
    m.d.comb += [
        bus.tdata.eq(beat.payload.data),
        bus.tlast.eq(beat.payload.last),
        bus.tvalid.eq(beat.valid),
        beat.ready.eq(bus.tready),
    ]


def named_ports(component: wiring.Component) -> dict:
    """Ports of `component` for Verilog, with AXI's names: ``s_axis_tdata``; what is driven is an output."""
    found = component.signature.flatten(component)
    return {"_".join(map(str, path)): (Value.cast(value), None) for path, _, value in found}
