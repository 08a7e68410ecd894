"""Which of two input buffers an image goes to, at which place of its batch, and where its inputs begin there."""

from amaranth.hdl import Const, Module, Mux, Signal

from hwprm.gateware.primitives.arithmetic import add_mixed
from hwprm.gateware.primitives.layouts import address_layout
from hwprm.isa import Hardware

__all__ = ["BatchPlaces", "Places"]


class Places:
    """An image a buffer. `filling` is the one that fills; it moves on with `whole`, an image's last beat."""

    def __init__(self, hw: Hardware, m: Module, whole):
        self._hw, self._whole = hw, whole
        self.filling = Signal()
        self._move(m)

    def _move(self, m: Module):
        with m.If(self._whole):
            m.d.sync += self.filling.eq(~self.filling)

    def begin(self, part: int):
        """``(word, bank)`` of input number `part` of the image that comes."""
        base = self._hw.inputs[part].base
        return Mux(self.filling, base + self._hw.input_words, base), Const(0)

    def following(self):
        """``(word, bank)`` of the first input of the next image; of the same where this one is dropped."""
        base = self._hw.inputs[0].base
        return Mux(self.filling ^ self._whole, base + self._hw.input_words, base), Const(0)


class BatchPlaces(Places):
    """`batch` images a buffer, or fewer behind a `flush`.

    `closes` tells in the cycle in which a buffer is complete because of it; no beat may be taken then. `came` holds the
    images of each buffer.
    """

    def __init__(self, hw: Hardware, m: Module, whole, flush, idle):
        self._place = Signal(range(hw.batch))
        self._begins = [
            Signal(address_layout(hw), init={"word": part.base, "bank": 0}, name=f"begin{k}")
            for k, part in enumerate(hw.inputs)
        ]
        self.came = [Signal(range(hw.batch + 1), name=f"came{i}") for i in range(2)]
        self.fills = Signal()  # with `whole`: it is the batch's last image
        self.closes, self._asked = Signal(), Signal()
        m.d.comb += [
            self.fills.eq(self._place == hw.batch - 1),
            self.closes.eq(self._asked & idle & (self._place != 0)),
        ]
        with m.If(idle):
            m.d.sync += self._asked.eq(0)
        with m.If(flush):
            m.d.sync += self._asked.eq(1)
        super().__init__(hw, m, whole)

    def _move(self, m: Module):
        hw = self._hw
        self._next = []
        for k, (part, begin) in enumerate(zip(hw.inputs, self._begins, strict=True)):
            distance = hw.address(part.image)
            step = (Const(distance.word, hw.word_bits), Const(distance.bank, hw.bank_bits))
            word, bank = add_mixed(m, hw.banks, (begin.word, begin.bank), step, name=f"next_begin{k}")
            fresh = Mux(self.filling, part.base, part.base + hw.input_words)
            over = self.fills | self.closes
            self._next.append((Mux(over, fresh, word), Mux(over, 0, bank)))
            with m.If(self._whole | self.closes):
                m.d.sync += [begin.word.eq(self._next[k][0]), begin.bank.eq(self._next[k][1])]
        for i in range(2):
            with m.If((self.filling == i) & (self._whole | self.closes)):
                m.d.sync += self.came[i].eq(Mux(self.closes, self._place, self._place + 1))
        with m.If(self.closes | (self._whole & self.fills)):
            m.d.sync += [self.filling.eq(~self.filling), self._place.eq(0)]
        with m.Elif(self._whole):
            m.d.sync += self._place.eq(self._place + 1)

    def begin(self, part: int):
        return self._begins[part].word, self._begins[part].bank

    def following(self):
        word, bank = self._next[0]
        moves = self._whole | self.closes
        return Mux(moves, word, self._begins[0].word), Mux(moves, bank, self._begins[0].bank)
