"""The accelerator: the blocks wired together, image in, output words out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.core.numerics import WIDE_BITS
from hwprm.gateware.core.array import SystolicArray
from hwprm.gateware.core.drain import Drain
from hwprm.gateware.core.lanes import LaneAddresses
from hwprm.gateware.core.processing_element import ProcessingElement
from hwprm.gateware.core.sequencer import Sequencer
from hwprm.gateware.core.store import StoreUnit
from hwprm.gateware.external.tables import ExternalTables
from hwprm.gateware.host.egress import Egress
from hwprm.gateware.host.ingress import Ingress
from hwprm.gateware.host.link import FramesIn, FramesOut
from hwprm.gateware.host.octets import BytesIn, BytesOut
from hwprm.gateware.host.registers import RegisterFile
from hwprm.gateware.host.status import Status
from hwprm.gateware.memory.vector_memory import VectorMemory
from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.interfaces import axi_lite, axi_read, axi_stream, from_axi, to_axi
from hwprm.gateware.primitives.memories import Rom
from hwprm.isa import Hardware, entry_format, table_formats
from hwprm.isa.hosts import AXI, Host
from hwprm.isa.latencies import (
    LANE_ADDRESS,
    TABLE_READ,
    VECTOR_READ,
    WEIGHT_READ,
    issue_to_array,
    issue_to_memory,
    issue_to_weight_address,
    operand_to_sum,
    tag_to_sum,
)

__all__ = ["Accelerator"]


class Words(NamedTuple):
    """What the tables say of an issued entry: its word `TABLE_READ` cycles after its issue, its weights with its
    operands, and with its lane words whether an entry was issued at all."""

    entry: Value
    weight: Value
    issued: Value


class Accelerator(wiring.Component):
    """The whole core. In Verilog a port is called like its bus and itself: ``s_axis_tdata``.

    `contents` gives each ROM's words for simulation by Amaranth; emitted Verilog reads files instead. With external
    memory there are no ROMs but the tables behind the requantisers.

    Members
    -------
    s_axis : In(axi_stream), of 8 * data_bytes, one activation a beat, channel-major raster; or of bytes
    m_axis : Out(axi_stream), of 32, one signed output word a beat; or of bytes
    s_axil : In(axi_lite), with registers only
    m_axi : Out(axi_read), with external memory only
    rx : In(1), tx : Out(1), in place of both, a serial line
    probe_word, probe_word_last, probe_word_taken : Out, an output word leaves for the serial line
    busy, error : Out(1), a layer is computed; an image was dropped since reset; without registers only
    again : In(1), the image in the buffer is computed over and over; without registers only, 0 but in test benches
    probe_cycles : Out(32), those of the image finished last; without registers only
    probe_frame_start : Out(1), with the first list entry of an image, or batch
    probe_layer_start : Out(1), with the first list entry of a layer
    probe_memory_stall : Out(1), nothing is issued because the external memory is late; with external memory only
    probe_frame_done : Out(1), with the last output word of an image, or batch
    probe_valid : Out(1), the vector below is being stored
    probe_layer, probe_filter, probe_pixel, probe_lanes : Out, which one
    probe_data : Out(rows * act_bits), lane 0 in the low bits
    """

    def __init__(
        self,
        hw: Hardware,
        contents: Mapping[str, Sequence[int]] | None = None,
        element: ProcessingElement | None = None,
        host: Host = AXI,
    ):
        self._hw, self._contents, self._element, self._host = hw, contents or {}, element, host
        self._store = StoreUnit(hw)
        super().__init__(
            {
                **_host_ports(hw, host),
                **({"m_axi": Out(axi_read(hw.external)), "probe_memory_stall": Out(1)} if hw.external else {}),
                "probe_frame_start": Out(1),
                "probe_layer_start": Out(1),
                "probe_frame_done": Out(1),
                "probe_valid": Out(1),
                "probe_layer": Out(self._store.probe_layer.shape()),
                "probe_filter": Out(self._store.probe_filter.shape()),
                "probe_pixel": Out(self._store.probe_pixel.shape()),
                "probe_lanes": Out(self._store.probe_lanes.shape()),
                "probe_data": Out(hw.rows * hw.act_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        m.submodules.sequencer = sequencer = Sequencer(hw)
        m.submodules.memory = memory = VectorMemory(hw)
        m.submodules.drain = drain = Drain(hw, self._contents.get("posts"))
        m.submodules.ingress = ingress = Ingress(hw, checked=not self._host.registers)
        m.submodules.egress = egress = Egress(hw)
        m.submodules.registers = registers = RegisterFile(hw) if self._host.registers else Status()
        m.submodules.store_unit = store = self._store

        if hw.external:
            words = self._external_words(m, sequencer, store, drain, registers)
        else:
            words = self._rom_words(m, sequencer, store, drain, registers)
        self._compute(m, sequencer, memory, drain, ingress, words)
        self._results(m, sequencer, drain, store, egress)
        self._memory_writes(m, memory, store, ingress)
        self._streams(m, ingress, egress, registers)
        self._registers(m, registers, sequencer, ingress, egress)
        self._probe(m, sequencer, store, egress)
        m.d.comb += [
            sequencer.layer_done.eq(store.layer_done | egress.layer_done),
            sequencer.image_ready.eq(ingress.image_ready | registers.repeat),
            sequencer.room.eq(egress.room),
            ingress.release.eq(egress.frame_done & ~registers.repeat),
        ]
        if hw.batch > 1:
            images = Mux(registers.repeat, hw.batch, ingress.images)  # repeated, whatever lies there is computed
            m.d.comb += [egress.images.eq(images), registers.images.eq(images), ingress.flush.eq(registers.flush)]
        return m

    def _readers(self, sequencer, store, drain) -> dict:
        """Address and word of everyone who reads a table."""
        return {
            "tiles": (sequencer.tile_addr, sequencer.tile),
            "layers": (sequencer.layer_addr, sequencer.layer_word),
            "stores": (store.store_addr, store.store),
            "params": (drain.param_addr, drain.param),
        }

    def _rom_words(self, m: Module, sequencer, store, drain, registers) -> Words:
        """All tables from ROMs, whose words always are there."""
        hw = self._hw

        def rom(name: str, width: int, depth: int, latency=TABLE_READ):
            contents = self._contents.get(name)
            m.submodules[f"rom_{name}"] = made = Rom(
                name=name, width=width, depth=depth, latency=latency(hw), contents=contents
            )
            return made

        for name, (addr, word) in self._readers(sequencer, store, drain).items():
            form, depth = table_formats(hw)[name]
            table = rom(name, form.width, depth)
            m.d.comb += [table.addr.eq(addr), word.eq(table.data)]
        entries = rom("entries", entry_format(hw).width, hw.entries)
        weights = rom("weights", hw.cols * hw.weight_bits, hw.weights, WEIGHT_READ)
        m.d.comb += [
            entries.addr.eq(sequencer.entry_addr),
            weights.addr.eq(delay(m, sequencer.weight_addr, issue_to_weight_address(hw), name="weight_addr")),
            sequencer.words_ready.eq(1),
            sequencer.tail_ready.eq(1),
            sequencer.loaded.eq(1),
            sequencer.run.eq(registers.run),
        ]
        return Words(entries.data, weights.data, Const(1))

    def _external_words(self, m: Module, sequencer, store, drain, registers) -> Words:
        """All tables from external memory.

        In a cycle that issues nothing whatever is read counts as zero, so that the sums stand still.
        """
        hw = self._hw
        m.submodules.tables = tables = ExternalTables(hw, weight_delay=issue_to_weight_address(hw))
        wiring.connect(m, tables.m_axi, wiring.flipped(self.m_axi))
        for name, (addr, word) in self._readers(sequencer, store, drain).items():
            m.d.comb += [getattr(tables, f"{name}_addr").eq(addr), word.eq(getattr(tables, f"{name}_word"))]
        m.d.comb += [
            tables.start.eq(registers.started),
            tables.base.eq(registers.base),
            tables.use.eq(sequencer.use),
            *((tables.far.eq(sequencer.layer.gated),) if hw.gates else ()),
            sequencer.words_ready.eq(tables.ready),
            sequencer.tail_ready.eq(tables.tail_ready),
            sequencer.loaded.eq(tables.loaded),
            sequencer.run.eq(registers.run & ~tables.error),
            registers.memory_error.eq(tables.error),
            self.probe_memory_stall.eq(sequencer.memory_stalled),
        ]
        issued = delay(m, sequencer.use.valid, issue_to_memory(hw), name="issued", reset_less=False)
        used = delay(m, issued, VECTOR_READ(hw), name="used", reset_less=False)
        return Words(tables.entry, Mux(used, tables.weight, 0), issued)

    def _compute(self, m: Module, sequencer, memory, drain, ingress, words: Words):
        """Entry issued -> list word -> lane words -> bank words -> operands, weights beside them -> array -> drain."""
        hw = self._hw
        m.submodules.lanes = lanes = LaneAddresses(hw)
        m.submodules.array = array = SystolicArray(hw, self._element)
        slot = sequencer.slot
        m.d.comb += [
            lanes.entry.eq(words.entry),
            lanes.layer.eq(sequencer.layer),
            lanes.offset.eq(Mux(ingress.buffer, hw.input_words, 0)),
            lanes.start.eq(sequencer.lanes_start),
            sequencer.lanes_ready.eq(lanes.ready),
            lanes.advance.eq(delay(m, slot.advance, TABLE_READ(hw), name="advance")),
            lanes.restart.eq(delay(m, slot.restart, TABLE_READ(hw), name="restart") | sequencer.lanes_restart),
            memory.rotation.eq(lanes.rotation),
            # The next layer's constants come two cycles behind the last entry, whose lanes are read only later.
            memory.stride.eq(delay(m, sequencer.layer.stride, issue_to_memory(hw) - 1, name="stride")),
        ]
        if hw.phased:
            m.d.comb += lanes.base.eq(delay(m, sequencer.base, TABLE_READ(hw), name="base"))
        guard = delay(m, lanes.entry.guard, LANE_ADDRESS(hw), name="guard")
        if hw.mixed:
            m.d.comb += memory.unsigned.eq(delay(m, lanes.entry.unsigned, LANE_ADDRESS(hw), name="unsigned"))
        if hw.common:
            m.d.comb += memory.common.eq(delay(m, lanes.entry.common, LANE_ADDRESS(hw), name="common"))
        flags = {key: delay(m, slot[key], issue_to_array(hw), name=f"slot_{key}") for key in ("first", "close", "open")}
        for r in range(hw.rows):
            keep = delay(m, lanes.inside[r] | ~guard, VECTOR_READ(hw), name=f"keep{r}")
            m.d.comb += [
                memory.words[r].eq(lanes.words[r]),
                memory.inside[r].eq(lanes.inside[r] & ~guard & words.issued),
                array.operands[r].act.eq(memory.data[r]),
                array.operands[r].first.eq(flags["first"]),
            ]
            if hw.pooling:
                m.d.comb += [array.operands[r][key].eq(flags[key]) for key in ("close", "open")]
                m.d.comb += array.operands[r].keep.eq(keep)
        bits = hw.weight_bits
        for c in range(hw.cols):
            m.d.comb += array.weights[c].eq(words.weight[c * bits : (c + 1) * bits])

        ahead = issue_to_array(hw) + operand_to_sum(hw) - tag_to_sum(hw)
        tag = Signal(drain.tag.shape())
        m.d.comb += tag.eq(delay(m, sequencer.tag.as_value(), ahead, name="tag", reset_less=False))
        m.d.comb += [
            drain.tag.eq(tag),
            drain.layer.eq(sequencer.result_layer),
            array.select.eq(drain.select),
        ]
        m.d.comb += [drain.drained[r].eq(array.drained[r]) for r in range(hw.rows)]
        if hw.residual_bits:
            m.d.comb += [drain.passed[r].eq(array.passed[r]) for r in range(hw.rows)]
        if hw.gates:
            m.d.comb += [drain.gates[r].eq(array.gates[r]) for r in range(hw.rows)]

    def _results(self, m: Module, sequencer, drain, store, egress):
        m.d.comb += [
            store.loaded.eq(sequencer.loaded),
            store.vector_valid.eq(drain.vector_valid),
            egress.layer.eq(sequencer.result_layer),
            egress.word_valid.eq(drain.wide_valid),
            egress.word.eq(drain.wide),
            egress.flags.eq(drain.wide_flags),
        ]
        m.d.comb += [store.vector[r].eq(drain.vector[r]) for r in range(self._hw.rows)]

    def _memory_writes(self, m: Module, memory, store, ingress):
        """Stores first: the schedule counts on them. The image takes the cycles they leave."""
        stride, strides = store.write_stride, len(self._hw.store_strides)
        if self._hw.external and strides & (strides - 1):
            # Images come before the store words do; until then those hold anything, the number of no stride as well.
            stride = Mux(store.write, stride, 0)
        m.d.comb += [
            ingress.grant.eq(ingress.write & ~store.write),
            memory.write.eq(store.write | ingress.write),
            memory.write_at.eq(Mux(store.write, store.write_at.as_value(), ingress.write_at.as_value())),
            memory.write_stride.eq(stride),
            memory.first_lane.eq(Mux(store.write, store.first_lane, 0)),
            memory.last_lane.eq(Mux(store.write, store.last_lane, 1)),
        ]
        for r in range(self._hw.rows):
            image = ingress.write_data if r == 0 else 0
            m.d.comb += memory.write_data[r].eq(Mux(store.write, store.write_data[r], image))

    def _streams(self, m: Module, ingress, egress, registers):
        """Images and results: beats and words as the core has them, or their bytes."""
        if self._host.registers:
            from_axi(m, self.s_axis, ingress.stream)
            to_axi(m, egress.stream, self.m_axis)
            return
        m.submodules.bytes_in = bytes_in = BytesIn(self._hw.data_bytes)
        m.submodules.bytes_out = bytes_out = BytesOut()
        wiring.connect(m, bytes_in.beats, ingress.stream)
        wiring.connect(m, egress.stream, bytes_out.words)
        if self._host.kind == "stream8":
            from_axi(m, self.s_axis, bytes_in.bytes)
            to_axi(m, bytes_out.bytes, self.m_axis)
            m.d.comb += self.error.eq(registers.error)
            return
        m.submodules.frames_in = frames_in = FramesIn(self._hw, self._host)
        m.submodules.frames_out = frames_out = FramesOut(self._hw, self._host)
        wiring.connect(m, frames_in.bytes, bytes_in.bytes)
        wiring.connect(m, bytes_out.bytes, frames_out.bytes)
        word = egress.stream
        m.d.comb += [
            frames_in.line.eq(self.rx),
            self.tx.eq(frames_out.line),
            self.error.eq(frames_in.error),
            *(getattr(frames_out, name).eq(getattr(frames_in, name)) for name in ("tell", "reason", "next", "dropped")),
            self.probe_word.eq(word.payload.data),
            self.probe_word_last.eq(word.payload.last),
            self.probe_word_taken.eq(word.valid & word.ready),
        ]

    def _registers(self, m: Module, registers, sequencer, ingress, egress):
        if self._host.registers:
            wiring.connect(m, wiring.flipped(self.s_axil), registers.bus)
        else:
            m.d.comb += [registers.again.eq(self.again), self.probe_cycles.eq(sequencer.cycles)]
            m.d.comb += self.busy.eq(sequencer.busy)
        m.d.comb += [
            registers.busy.eq(sequencer.busy),
            registers.cycles.eq(sequencer.cycles),
            registers.memory_stalls.eq(sequencer.memory_stalls),
            registers.stalled.eq(sequencer.stalled),
            registers.short.eq(ingress.short),
            registers.long.eq(ingress.long),
            registers.received.eq(ingress.received),
            registers.frame_done.eq(egress.frame_done),
        ]

    def _probe(self, m: Module, sequencer, store, egress):
        m.d.comb += [
            self.probe_frame_start.eq(sequencer.frame_start),
            self.probe_layer_start.eq(sequencer.layer_start),
            self.probe_frame_done.eq(egress.frame_done),
            self.probe_valid.eq(store.probe_valid),
            self.probe_layer.eq(store.probe_layer),
            self.probe_filter.eq(store.probe_filter),
            self.probe_pixel.eq(store.probe_pixel),
            self.probe_lanes.eq(store.probe_lanes),
            self.probe_data.eq(Cat(*store.write_data)),
        ]


def _host_ports(hw: Hardware, host: Host) -> dict:
    """The members by which the outside talks to the core."""
    if host.registers:
        return {
            "s_axis": In(axi_stream(8 * hw.data_bytes)),
            "m_axis": Out(axi_stream(WIDE_BITS)),
            "s_axil": In(axi_lite()),
        }
    if host.kind == "uart":
        lines = {"rx": In(1), "tx": Out(1, init=1)}
        lines |= {"probe_word": Out(WIDE_BITS), "probe_word_last": Out(1), "probe_word_taken": Out(1)}
    else:
        lines = {"s_axis": In(axi_stream(8)), "m_axis": Out(axi_stream(8))}
    return {
        **lines,
        "busy": Out(1),
        "error": Out(1),
        "again": In(1),
        "probe_cycles": Out(32),
    }
