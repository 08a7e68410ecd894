"""The activation memory: reads one activation per lane and writes a vector of lanes, each cycle, unaligned."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import delay, multiplex, rotate_left, rotate_right, staged
from hwprm.gateware.primitives.layouts import address_layout, operand_shape
from hwprm.gateware.primitives.memories import Ram, address_bits
from hwprm.isa import Hardware
from hwprm.isa.latencies import TABLE_READ, VECTOR_READ

__all__ = ["VectorMemory"]


class VectorMemory(wiring.Component):
    """``banks`` RAMs. Linear address L lies in bank ``L mod banks``, word ``L div banks``.

    Read: lane r reads word `words[r]` of bank ``(rotation + r * strides[stride]) mod banks``; these are different
    banks because the number of banks is coprime with every stride. `data[r]` comes `VECTOR_READ` cycles later, zero
    where `inside[r]` was 0; in a design that holds both kinds of tensors it is of the kind that `unsigned` said, and
    where `common` was set it is what lane 0 read. Both latencies are those of `hwprm.isa.latencies`.

    Write: lane r of `write_data` goes to linear address ``write_at + r * store_strides[write_stride]`` for
    first_lane <= r < last_lane, and can be read by addresses presented `VECTOR_WRITE` cycles later. One write a cycle,
    no flow control. Lane 0 may be written at any stride.

    Members
    -------
    words : In(word_bits).array(rows)
    inside : In(1).array(rows)
    rotation : In(bank_bits)
    stride : In(range(strides))
    unsigned : In(1), in designs with both kinds of tensors only
    common : In(1), in designs with entries that all lanes read in common only
    data : Out(operand_shape).array(rows)
    write : In(1)
    write_at : In(address)
    write_stride : In(range(store strides))
    first_lane : In(range(rows + 1))
    last_lane : In(range(rows + 1))
    write_data : In(act_bits).array(rows)
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        lane = max(1, hw.rows.bit_length())
        super().__init__(
            {
                "words": In(hw.word_bits).array(hw.rows),
                "inside": In(1).array(hw.rows),
                "rotation": In(hw.bank_bits),
                "stride": In(max(1, (len(hw.strides) - 1).bit_length())),
                **({"unsigned": In(1)} if hw.mixed else {}),
                **({"common": In(1)} if hw.common else {}),
                "data": Out(operand_shape(hw)).array(hw.rows),
                "write": In(1),
                "write_at": In(address_layout(hw)),
                "write_stride": In(max(1, (len(hw.store_strides) - 1).bit_length())),
                "first_lane": In(lane),
                "last_lane": In(lane),
                "write_data": In(hw.act_bits).array(hw.rows),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hw = self._hw
        banks = [Ram(width=hw.act_bits, depth=hw.memory_words, latency=TABLE_READ(hw)) for _ in range(hw.banks)]
        for i, bank in enumerate(banks):
            m.submodules[f"bank{i}"] = bank
        self._read(m, banks)
        self._write(m, banks)
        return m

    def _read(self, m: Module, banks):
        hw = self._hw
        by_slot = []  # what slot s of the rotated banks reads, for the stride in use
        for slot in range(hw.banks):
            choices = []
            for stride in hw.strides:
                lane = next((r for r in range(hw.rows) if r * stride % hw.banks == slot), None)
                choices.append(Const(0, hw.word_bits) if lane is None else self.words[lane])
            by_slot.append(staged(m, hw, multiplex(choices, self.stride), name=f"read_slot{slot}"))
        begins = staged(m, hw, self.rotation, name="read_rotation")
        addresses = rotate_right(m, by_slot, begins, name="read_address")
        for i, (bank, address) in enumerate(zip(banks, addresses, strict=True)):
            m.d.comb += bank.read_addr.eq(staged(m, hw, address, name=f"read_address{i}"))
        turned = 3 * int(hw.fast) + TABLE_READ(hw)  # cycles until the banks' words stand at the rotation, and behind it
        masked = VECTOR_READ(hw) - 1
        rotation = delay(m, self.rotation, turned, name="rotation")
        stride = delay(m, self.stride, masked, name="stride")
        unsigned = delay(m, self.unsigned, masked, name="unsigned") if hw.mixed else None
        common = delay(m, self.common, masked, name="common") if hw.common else None
        words = [staged(m, hw, bank.read_data, name=f"read_word{i}") for i, bank in enumerate(banks)]
        slots = rotate_left(m, words, rotation, name="read_data")
        slots = [staged(m, hw, slot, name=f"slot{i}") for i, slot in enumerate(slots)]
        for r in range(hw.rows):
            inside = delay(m, self.inside[r], masked, name=f"inside{r}")
            chosen = multiplex([slots[r * s % hw.banks] for s in hw.strides], stride)
            if common is not None:
                chosen = Mux(common, slots[0], chosen)
            if unsigned is not None:
                chosen = Cat(chosen, ~unsigned & chosen[-1])
            m.d.sync += self.data[r].eq(Mux(inside, chosen, 0))

    def _write(self, m: Module, banks):
        hw = self._hw
        at = address_layout(hw)(delay(m, self.write_at.as_value(), 1, name="write_at"))
        beyond = ((hw.rows - 1) * max(hw.store_strides) // hw.banks).bit_length()  # width of words beyond lane 0
        lanes = []
        for slot in range(hw.banks):
            enable, value = Signal(name=f"lane{slot}_enable"), Signal(hw.act_bits, name=f"lane{slot}", reset_less=True)
            choices = [self._lane_at(slot, stride) for stride in hw.store_strides]
            parts = [enable, value]
            if beyond:
                parts.append(Signal(beyond, name=f"lane{slot}_words", reset_less=True))
            if any(choices):
                columns = zip(*map(self._write_of, choices), strict=True)
                for signal, column in zip(parts, columns, strict=False):  # without the last where there is no word
                    m.d.sync += signal.eq(multiplex(column, self.write_stride))
            lanes.append(Cat(value, enable, *parts[2:]))
        turned = rotate_right(m, lanes, at.bank, name="write_lane")
        # Reads are two registers later in the fast pipeline, so writes have the time for them too.
        turned = [staged(m, hw, lane, name=f"turned{i}") for i, lane in enumerate(turned)]
        at = address_layout(hw)(staged(m, hw, at.as_value(), name="write_at_turned"))
        for i, (bank, lane) in enumerate(zip(banks, turned, strict=True)):
            # Banks ahead of the one that the vector begins in hold its next word; the last bank is never ahead.
            word = at.word + (at.bank >= i + 1 if i < hw.banks - 1 else 0)
            word = word + lane[hw.act_bits + 1 :] if beyond else word
            m.d.sync += [
                bank.write_enable.eq(staged(m, hw, lane[hw.act_bits], name=f"write_enable{i}")),
                bank.write_data.eq(staged(m, hw, lane[: hw.act_bits], name=f"write_data{i}")),
                bank.write_addr.eq(staged(m, hw, word[: address_bits(hw.memory_words)], name=f"write_word{i}")),
            ]

    def _lane_at(self, slot: int, stride: int) -> tuple[int, int] | None:
        """The lane that goes `slot` banks (modulo all) beyond lane 0, and how many whole words that is."""
        banks = self._hw.banks
        lane = next((r for r in range(self._hw.rows) if r * stride % banks == slot), None)
        return None if lane is None else (lane, lane * stride // banks)

    def _write_of(self, choice: tuple[int, int] | None):
        """Enable, data and words beyond lane 0 of the lane that is `choice`."""
        if choice is None:
            return Const(0, 1), Const(0, self._hw.act_bits), Const(0, 1)
        lane, words = choice
        enable = self.write & (lane >= self.first_lane) & (lane < self.last_lane)
        return enable, self.write_data[lane], Const(words)
