"""The ports of ``hwprm_top``: the only place where they are listed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hwprm.bundle.manifest import PortEntry

__all__ = ["AXI", "AXIL", "PROBES", "octet_ports", "probe_ports", "read_ports", "serial_ports", "top_ports"]

#: What the names of the AXI4-Lite ports, and of the AXI4 read channels, begin with.
AXIL, AXI = "s_axil_", "m_axi_"


def top_ports(tdata_bits: int, address_bits: int, signs: Collection[bool] = (True,)) -> tuple[PortEntry, ...]:
    """Ports of the top module for an image stream of `tdata_bits` and AXI4-Lite addresses of `address_bits`.

    `signs` tell of every input whether it is signed.
    """
    extended = _extended(signs)
    table: tuple[tuple[str, str, int, str], ...] = (
        ("input", "clk", 1, "Clock, rising edge."),
        ("input", "rst", 1, "Reset, synchronous, active high."),
        ("input", "s_axis_tdata", tdata_bits, f"Activation of the image, {extended}."),
        ("input", "s_axis_tvalid", 1, ""),
        ("output", "s_axis_tready", 1, ""),
        ("input", "s_axis_tlast", 1, "Last activation of the image."),
        ("output", "m_axis_tdata", 32, "Logit, signed."),
        ("output", "m_axis_tvalid", 1, ""),
        ("input", "m_axis_tready", 1, ""),
        ("output", "m_axis_tlast", 1, "Last logit of the image."),
        ("input", "s_axil_awaddr", address_bits, "Byte address of a write."),
        ("input", "s_axil_awprot", 3, "Ignored."),
        ("input", "s_axil_awvalid", 1, ""),
        ("output", "s_axil_awready", 1, ""),
        ("input", "s_axil_wdata", 32, ""),
        ("input", "s_axil_wstrb", 4, ""),
        ("input", "s_axil_wvalid", 1, ""),
        ("output", "s_axil_wready", 1, ""),
        ("output", "s_axil_bresp", 2, ""),
        ("output", "s_axil_bvalid", 1, ""),
        ("input", "s_axil_bready", 1, ""),
        ("input", "s_axil_araddr", address_bits, "Byte address of a read."),
        ("input", "s_axil_arprot", 3, "Ignored."),
        ("input", "s_axil_arvalid", 1, ""),
        ("output", "s_axil_arready", 1, ""),
        ("output", "s_axil_rdata", 32, ""),
        ("output", "s_axil_rresp", 2, ""),
        ("output", "s_axil_rvalid", 1, ""),
        ("input", "s_axil_rready", 1, ""),
    )
    return tuple(
        PortEntry(name=name, direction=direction, width=width, doc=doc, core=not name.endswith("prot"))
        for direction, name, width, doc in table
    )


def _extended(signs: Collection[bool]) -> str:
    return "sign-extended" if all(signs) else "sign- or zero-extended" if any(signs) else "zero-extended"


def octet_ports(beat_bytes: int, signs: Collection[bool] = (True,)) -> tuple[PortEntry, ...]:
    """Ports of a top module whose streams are of bytes, `beat_bytes` an activation; `signs` as in `top_ports`."""
    what = f"{'byte' if beat_bytes > 1 else 'activation'} of the image"
    order = ", least significant first" if beat_bytes > 1 else ""
    table: tuple[tuple[str, str, int, str], ...] = (
        ("input", "clk", 1, "Clock, rising edge."),
        ("input", "rst", 1, "Reset, synchronous, active high."),
        ("input", "s_axis_tdata", 8, f"{what.capitalize()}{order}, {_extended(signs)}."),
        ("input", "s_axis_tvalid", 1, ""),
        ("output", "s_axis_tready", 1, ""),
        ("input", "s_axis_tlast", 1, f"Last {what}."),
        ("output", "m_axis_tdata", 8, "Byte of a logit of 32 bits, least significant first."),
        ("output", "m_axis_tvalid", 1, ""),
        ("input", "m_axis_tready", 1, ""),
        ("output", "m_axis_tlast", 1, "Last byte of the last logit of the image."),
        ("output", "busy", 1, "A layer is computed."),
        ("output", "error", 1, "An image was dropped, its last byte came early or late; 1 until reset."),
    )
    return tuple(
        PortEntry(name=name, direction=direction, width=width, doc=doc) for direction, name, width, doc in table
    )


def serial_ports() -> tuple[PortEntry, ...]:
    """Ports of a top module on a serial line."""
    table: tuple[tuple[str, str, str], ...] = (
        ("input", "clk", "Clock, rising edge."),
        ("input", "rst", "Reset, synchronous, active high."),
        ("input", "rx", "Serial line from the host, of any clock."),
        ("output", "tx", "Serial line to the host."),
        ("output", "busy", "A layer is computed."),
        ("output", "error", "A transfer was dropped; 1 until reset."),
    )
    return tuple(PortEntry(name=name, direction=direction, width=1, doc=doc) for direction, name, doc in table)


def read_ports(data_bits: int) -> tuple[PortEntry, ...]:
    """The AXI4 read channels of a design with external memory. What is constant or ignored is not the core's."""
    table: tuple[tuple[str, str, int, bool, str], ...] = (
        ("output", "araddr", 64, True, "Byte address of a burst, aligned to its size."),
        ("output", "arlen", 8, False, "Beats less one; constant."),
        ("output", "arsize", 3, False, "Full beats; constant."),
        ("output", "arburst", 2, False, "INCR; constant."),
        ("output", "arcache", 4, False, "Normal memory, not cacheable, bufferable; constant."),
        ("output", "arprot", 3, False, "Constant."),
        ("output", "arvalid", 1, True, ""),
        ("input", "arready", 1, True, ""),
        ("input", "rdata", data_bits, True, "Beats in the order of their addresses; there are no identifiers."),
        ("input", "rresp", 2, True, "Anything but OKAY stops the design."),
        ("input", "rlast", 1, False, "Ignored."),
        ("input", "rvalid", 1, True, ""),
        ("output", "rready", 1, True, "Always high: bursts are asked for where there is room for them."),
    )
    return tuple(
        PortEntry(name=AXI + name, direction=direction, width=width, doc=doc, core=core)
        for direction, name, width, core, doc in table
    )


#: Outputs of ``hwprm_core`` that show what happens inside. The top leaves them open; the testbench reads them.
PROBES: Mapping[str, str] = {
    "probe_frame_start": "The first list entry of an image is issued.",
    "probe_layer_start": "The first list entry of a layer is issued.",
    "probe_frame_done": "The last output word of an image has been computed.",
    "probe_valid": "A vector of neighbouring pixels is stored in this cycle.",
    "probe_layer": "Its layer.",
    "probe_filter": "Its filter.",
    "probe_pixel": "Its first pixel, raster order.",
    "probe_lanes": "How many pixels.",
    "probe_data": "The activations, first pixel in the low bits.",
}


#: More, with external memory, and without registers.
FURTHER_PROBES = {
    "probe_memory_stall": "Nothing is issued because the external memory is late.",
    "probe_word": "An output word.",
    "probe_word_last": "It is the last of its result.",
    "probe_word_taken": "It leaves for the serial line in this cycle.",
    "probe_cycles": "Clock cycles that the last finished image took, waits for the host left out.",
}


def probe_ports(widths: Mapping[str, int]) -> tuple[PortEntry, ...]:
    """The probes with their widths, 1 where `widths` does not say; those of some designs where `widths` names them."""
    probes = {**PROBES, **{name: doc for name, doc in FURTHER_PROBES.items() if name in widths}}
    return tuple(
        PortEntry(name=name, direction="output", width=widths.get(name, 1), doc=doc) for name, doc in probes.items()
    )
