"""Lane addresses: which word each lane reads for a list entry, and whether its tap lies inside the map."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.primitives.arithmetic import add_mixed
from hwprm.gateware.primitives.layouts import layout_of
from hwprm.isa import Hardware, entry_format, layer_format

__all__ = ["LaneAddresses"]


class LaneAddresses(wiring.Component):
    """Each lane keeps its output pixel (y, x) and the mixed-radix address of that pixel relative to a list entry.

    `start` makes a walker visit pixels 0..rows-1 (``rows`` cycles, then `ready`), whose state becomes the lanes'
    first position; `restart` puts the lanes there; `advance` moves every lane on by a pixel tile. Both act after the
    entry of the same cycle. Latencies are `LANES_START` and `LANE_ADDRESS` of
    `hwprm.isa.latencies`.

    Members
    -------
    layer : In(layer word), constant while the layer runs
    offset : In(word_bits), what the input buffer in use adds to the words of the image
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

    def _moved(self, m: Module, at, step, name: str):
        """Position `at` advanced by `step` (y, x, word, bank), wrapped at the end of a row."""
        hw, layer = self._hw, self.layer
        x = Signal(hw.coordinate_bits + 1, name=f"{name}_x_sum")
        wrap = Signal(name=f"{name}_wrap")
        m.d.comb += [x.eq(at["x"] + step["x"]), wrap.eq(x >= layer.width)]
        word, bank = add_mixed(m, hw.banks, (at["word"], at["bank"]), (step["word"], step["bank"]), name=name)
        return {
            "y": at["y"] + step["y"] + wrap,
            "x": Mux(wrap, x - layer.width, x),
            "word": word + Mux(wrap, layer.wrap_word, 0),
            "bank": bank,
        }

    def elaborate(self, platform):
        m = Module()
        hw, layer = self._hw, self.layer
        first = [self._position(f"first{r}") for r in range(hw.rows)]
        lanes = [self._position(f"lane{r}") for r in range(hw.rows)]
        self._walk(m, first)
        word = Signal(hw.word_bits, name="entry_word")
        m.d.comb += word.eq(self.entry.word + Mux(self.entry.image, self.offset, 0))
        tile_step = {"y": layer.step_y, "x": layer.step_x, "word": layer.step_word, "bank": layer.step_bank}
        for r, lane in enumerate(lanes):
            moved = self._moved(m, lane, tile_step, f"move{r}")
            with m.If(self.restart):
                m.d.sync += [lane[key].eq(first[r][key]) for key in lane]
            with m.Elif(self.advance):
                m.d.sync += [lane[key].eq(moved[key]) for key in lane]
            self._address(m, word, lane, r)
        return m

    def _walk(self, m: Module, first):
        """A shift chain: after as many steps as lanes, each holds the pixel of its number."""
        hw, layer = self._hw, self.layer
        walker = self._position("walker")
        left = Signal(range(hw.rows + 1))
        step = {"y": 0, "x": 1, "word": layer.lane_word, "bank": layer.lane_bank}
        moved = self._moved(m, walker, step, "walk")
        with m.If(self.start):
            m.d.sync += [
                left.eq(hw.rows),
                walker["y"].eq(0),
                walker["x"].eq(0),
                walker["word"].eq(0),
                walker["bank"].eq(0),
            ]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [walker[key].eq(moved[key]) for key in walker]
            for here, after in zip(first, [*first[1:], walker], strict=True):
                m.d.sync += [here[key].eq(after[key]) for key in here]
        m.d.comb += self.ready.eq((left == 0) & ~self.start)

    def _address(self, m: Module, entry_word, lane, r: int):
        hw, entry = self._hw, self.entry
        word, bank = add_mixed(m, hw.banks, (entry_word, entry.bank), (lane["word"], lane["bank"]), name=f"address{r}")
        inside_y = (lane["y"] >= entry.y_low) & (lane["y"] < entry.y_high)
        inside_x = (lane["x"] >= entry.x_low) & (lane["x"] < entry.x_high)
        m.d.sync += [self.words[r].eq(word), self.inside[r].eq(inside_y & inside_x)]
        if r == 0:
            m.d.sync += self.rotation.eq(bank)
