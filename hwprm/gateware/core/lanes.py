"""Lane addresses: which word each lane reads for a list entry, and whether its tap lies inside the map."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import add_carry, add_mixed, delay, staged
from hwprm.gateware.primitives.layouts import layout_of
from hwprm.isa import Hardware, entry_format, layer_format
from hwprm.isa.latencies import LANE_STEP, LANES_START

__all__ = ["LaneAddresses"]


class LaneAddresses(wiring.Component):
    """Each lane keeps its output pixel (y, x) and the mixed-radix address of that pixel relative to a list entry.

    `start` makes a walker visit pixels 0..rows-1, then `ready`, whose state becomes the lanes'
    first position; `restart` puts the lanes there; `advance` moves every lane on by a pixel tile, no sooner than
    `SPACING` cycles after it was moved before. Both act after the entry of the same cycle. Latencies are
    `LANES_START`, `LANE_STEP` and `LANE_ADDRESS` of `hwprm.isa.latencies`.

    Of an entry that all lanes read in `common` lane 0 reads the very place, whatever its pixel; what the other lanes
    have for addresses says nothing.

    In designs with batches lanes wrap from an image's last row to the next image's first. Where tiles end with the
    image, the lanes return to the first position instead, and the entries' addresses move on by an image.

    Members
    -------
    layer : In(layer word), constant while the layer runs
    offset : In(word_bits), what the input buffer in use adds to the words of the image
    base : In(word_bits), what the filter tile adds to all other words; in designs with phases only
    start : In(1)
    ready : Out(1)
    advance : In(1)
    restart : In(1)
    entry : In(entry word)
    words : Out(word_bits).array(rows)
    inside : Out(1).array(rows)
    rotation : Out(bank_bits), bank of lane 0
    """

    def __init__(self, hw: Hardware):
        self._hw = hw
        super().__init__(
            {
                "layer": In(layout_of(layer_format(hw))),
                "offset": In(hw.word_bits),
                **({"base": In(hw.word_bits)} if hw.phased else {}),
                "start": In(1),
                "ready": Out(1),
                "advance": In(1),
                "restart": In(1),
                "entry": In(layout_of(entry_format(hw))),
                "words": Out(hw.word_bits).array(hw.rows),
                "inside": Out(1).array(hw.rows),
                "rotation": Out(hw.bank_bits),
            }
        )

    def _position(self, name: str):
        hw = self._hw
        return {
            "y": Signal(hw.coordinate_bits, name=f"{name}_y"),
            "x": Signal(hw.coordinate_bits, name=f"{name}_x"),
            "word": Signal(hw.word_bits, name=f"{name}_word"),
            "bank": Signal(hw.bank_bits, name=f"{name}_bank"),
        }

    def _moved(self, m: Module, at, step, name: str, *, settled: bool):
        """Position `at` advanced by `step` (y, x, word, bank), wrapped at the end of a row.

        In a fast pipeline it is right a cycle after `at` stands still, with `settled` three cycles after.
        """
        hw, layer = self._hw, self.layer

        def later(value, what: str):
            return staged(m, hw, value, name=f"{name}_{what}")

        def last(value, what: str):
            return later(value, what) if settled else value

        x = later((at["x"] + step["x"])[: hw.coordinate_bits + 1], "x_sum")
        y = later((at["y"] + step["y"])[: hw.coordinate_bits + (hw.batch > 1)], "y_sum")
        word = later((at["word"] + step["word"])[: hw.word_bits], "word_sum")
        total = later(at["bank"] + step["bank"], "bank_sum")
        wrap, carry = Signal(name=f"{name}_wrap"), Signal(name=f"{name}_carry")
        m.d.comb += [wrap.eq(x >= layer.width), carry.eq(total >= hw.banks)]
        over = Mux(wrap, layer.wrap_word, 0)
        y = add_carry(y, Const(0, len(y)), wrap)
        if hw.batch > 1:
            image = Signal(name=f"{name}_image")
            m.d.comb += image.eq(y >= layer.height)
            over = Mux(image, Mux(wrap, self._both, layer.image_word), over)
            y = Mux(image, y - layer.height, y)[: hw.coordinate_bits]
        over = last(over, "wrap_word")
        moved = {
            "y": last(y, "y"),
            "x": last(Mux(wrap, x - layer.width, x)[: hw.coordinate_bits], "x"),
            "word": add_carry(last(word, "word"), over, last(carry, "over")),
            "bank": last(Mux(carry, total - hw.banks, total)[: hw.bank_bits], "bank"),
        }
        return {key: last(value, f"{key}_moved") for key, value in moved.items()}

    def elaborate(self, platform):
        m = Module()
        hw, layer = self._hw, self.layer
        first = [self._position(f"first{r}") for r in range(hw.rows)]
        lanes = [self._position(f"lane{r}") for r in range(hw.rows)]
        if hw.batch > 1:  # words of a lane that wraps twice, known long before one does
            self._both = delay(m, (layer.wrap_word + layer.image_word)[: hw.word_bits], 1, name="both_wraps")
        self._walk(m, first)
        # In the fast pipeline through a register each, since from here they go to all lanes.
        entry, advance, restart = (
            staged(m, hw, port, name=f"held_{name}")
            for name, port in (("entry", self.entry), ("advance", self.advance), ("restart", self.restart))
        )
        base = staged(m, hw, self.base, name="held_base") if hw.phased else 0
        word = (entry.word + Mux(entry.image, self.offset, base))[: hw.word_bits]
        bank = entry.bank
        ends = Const(0)  # the next tile begins an image
        if hw.apart:
            ends, image = self._image(m, advance, restart)
            word, bank = add_mixed(m, hw.banks, (word, bank), (image["word"], image["bank"]), name="in_image")
        word = staged(m, hw, word, name="entry_word")
        tile_step = {"y": layer.step_y, "x": layer.step_x, "word": layer.step_word, "bank": layer.step_bank}
        for r, lane in enumerate(lanes):
            moved = self._moved(m, lane, tile_step, f"move{r}", settled=True)
            with m.If(restart | (advance & ends) if hw.apart else restart):
                m.d.sync += [lane[key].eq(first[r][key]) for key in lane]
            with m.Elif(advance):
                m.d.sync += [lane[key].eq(moved[key]) for key in lane]
            self._address(m, entry, (word, bank), lane, r)
        return m

    def _image(self, m: Module, advance, restart):
        """Where tiles end with the image: (at its last tile, distance of the image from the first)."""
        hw, layer = self._hw, self.layer
        image, tile, ends = self._position("image"), Signal.like(layer.image_tiles, name="tile"), Signal()
        following = add_mixed(
            m, hw.banks, (image["word"], image["bank"]), (layer.image_word, layer.image_bank), name="next_image"
        )
        m.d.comb += ends.eq(tile + 1 == layer.image_tiles)
        with m.If(restart):
            m.d.sync += [image["word"].eq(0), image["bank"].eq(0), tile.eq(0)]
        with m.Elif(advance):
            m.d.sync += tile.eq(Mux(ends, 0, tile + 1))
            with m.If(ends):
                m.d.sync += [image["word"].eq(following[0]), image["bank"].eq(following[1])]
        return ends, image

    def _walk(self, m: Module, first):
        """A shift chain: after as many steps as lanes, each holds the pixel of its number."""
        hw, layer = self._hw, self.layer
        walker = self._position("walker")
        left = Signal(range(LANE_STEP(hw) * hw.rows + 1))
        step = {"y": 0, "x": 1, "word": layer.lane_word, "bank": layer.lane_bank}
        moved = self._moved(m, walker, step, "walk", settled=False)
        with m.If(self.start):
            m.d.sync += [
                left.eq(LANE_STEP(hw) * hw.rows),
                walker["y"].eq(0),
                walker["x"].eq(0),
                walker["word"].eq(0),
                walker["bank"].eq(0),
            ]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left[0] if hw.fast else 1):  # the walker's next place is there every second cycle
                m.d.sync += [walker[key].eq(moved[key]) for key in walker]
                for here, after in zip(first, [*first[1:], walker], strict=True):
                    m.d.sync += [here[key].eq(after[key]) for key in here]
        # In the fast pipeline a cycle later: what the lanes move to must be there before the first `advance`.
        ready = (left == 0) & ~self.start
        m.d.comb += self.ready.eq(delay(m, ready, LANES_START(hw) - 1, name="ready", reset_less=False))

    def _address(self, m: Module, entry, at, lane, r: int):
        hw = self._hw
        entry_word, entry_bank = at

        def later(value, what: str):
            return staged(m, hw, value, name=f"address{r}_{what}")

        lane_word, lane_bank = lane["word"], lane["bank"]
        if r == 0 and hw.common:
            lane_word, lane_bank = (Mux(entry.common, 0, value) for value in (lane_word, lane_bank))
        word = later(lane_word, "word")
        total = later(entry_bank + lane_bank, "bank_sum")
        bounds = later(
            Cat(lane["y"] >= entry.y_low, lane["y"] < entry.y_high, lane["x"] >= entry.x_low, lane["x"] < entry.x_high),
            "bounds",
        )
        carry = Signal(name=f"address{r}_carry")
        m.d.comb += carry.eq(total >= hw.banks)
        m.d.sync += [self.words[r].eq(add_carry(entry_word, word, carry)), self.inside[r].eq(bounds.all())]
        if r == 0:
            m.d.sync += self.rotation.eq(Mux(carry, total - hw.banks, total))
