"""Runs ROM contents in numpy: what the words say, written from the field tables alone, without gates or timing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler import Program
from hwprm.core.numerics import requantize
from hwprm.isa import WordFormat, entry_format, layer_format, param_format, store_format, tile_format
from tests.support.bench import rom_contents, signed_word

__all__ = ["Interpreter"]

IntArray = NDArray[np.int64]


def _decoded(form: WordFormat, words: list[int]) -> dict[str, IntArray]:
    rows = [form.decode(word) for word in words]
    return {f.name: np.array([row[f.name] for row in rows], dtype=np.int64) for f in form.fields}


def _record(table: dict[str, IntArray], index: int) -> dict[str, int]:
    return {name: int(values[index]) for name, values in table.items()}


class Interpreter:
    """One image through the ROMs of `program`; `buffer` says which input buffer it lies in."""

    def __init__(self, program: Program, *, buffer: int = 0, contents: dict[str, list[int]] | None = None) -> None:
        hw = self.hw = program.hardware
        words = contents or rom_contents(program)
        self.program, self.buffer = program, buffer
        self.entries = _decoded(entry_format(hw), words["entries"])
        self.tiles = _decoded(tile_format(hw), words["tiles"])
        self.layers = _decoded(layer_format(hw), words["layers"])
        self.stores = _decoded(store_format(hw), words["stores"])
        self.params = _decoded(param_format(hw), words["params"])
        self.posts = np.array(words.get("posts", []), dtype=np.int64)
        bits = hw.weight_bits
        self.weights = np.array(
            [[signed_word(word >> (c * bits), bits) for c in range(hw.cols)] for word in words["weights"]],
            dtype=np.int64,
        )
        self.size = hw.banks << hw.word_bits
        #: Bits of activations, as numbers that are not negative.
        self.memory = np.zeros(self.size, dtype=np.int64)

    def run(self, image: IntArray) -> dict[str, IntArray]:
        """Stored tensors by name ``(C, H, W)``, read back right after their layer, and ``output``, the words."""
        self._load(image)
        output = np.full(self.hw.output_words, -(1 << 40))
        tensors: dict[str, IntArray] = {"output": output}
        layer, stored = -1, -1
        for t in range(self.hw.tiles):
            tile = _record(self.tiles, t)
            if tile["layer_first"]:
                layer += 1
                state = {"filter": 0, "tile": 0}
                stored += not self.layers["wide"][layer]
            constants = _record(self.layers, layer)
            results = self._tile(tile, constants)
            if constants["wide"]:
                self._emit(output, results, constants, state["filter"])
            else:
                self._store(results, _record(self.stores, stored), state)
            state = {"filter": state["filter"] + tile["filters"] + 1, "tile": state["tile"] + 1}
            if tile["layer_last"] and not constants["wide"]:
                name = self.program.layers[layer]
                tensors[name] = self._read(name)
        return tensors

    def _load(self, image: IntArray) -> None:
        hw = self.hw
        rest = image.reshape(-1)
        for part in hw.inputs:
            channels, height, width = part.shape
            base = (part.base + self.buffer * hw.input_words) * hw.banks
            channel = height * part.pitch if height > 1 else width
            for c in range(channels):
                for y in range(height):
                    start = base + c * channel + y * part.pitch
                    self.memory[start : start + width], rest = self._bits(rest[:width]), rest[width:]

    def _bits(self, values: IntArray) -> IntArray:
        return values & (1 << self.hw.act_bits) - 1

    def _values(self, bits: IntArray, unsigned: Any) -> IntArray:
        """What `bits` read from the memory mean."""
        return np.where((bits >> self.hw.act_bits - 1 == 1) & ~np.bool_(unsigned), bits - (1 << self.hw.act_bits), bits)

    def _lanes(self, constants: dict[str, int], pixel_tiles: int) -> tuple[IntArray, IntArray, IntArray]:
        """Row, column and relative address ``(pixel tiles, rows)`` of every lane, stepped as the lanes step."""
        hw = self.hw
        address = {name: constants[f"{name}_word"] * hw.banks + constants[f"{name}_bank"] for name in ("step", "lane")}

        def moved(at: tuple[int, int, int], y: int, x: int, step: int) -> tuple[int, int, int]:
            wrap = at[1] + x >= constants["width"]
            column = at[1] + x - wrap * constants["width"]
            return at[0] + y + wrap, column, at[2] + step + wrap * constants["wrap_word"] * hw.banks

        row = [(0, 0, 0)]
        while len(row) < hw.rows:
            row.append(moved(row[-1], 0, 1, address["lane"]))
        table = [row]
        while len(table) < pixel_tiles:
            table.append([moved(at, constants["step_y"], constants["step_x"], address["step"]) for at in table[-1]])
        array = np.array(table, dtype=np.int64)
        return array[..., 0], array[..., 1], array[..., 2]

    def _tile(self, tile: dict[str, int], constants: dict[str, int]) -> IntArray:
        """Accumulators after pooling and requantisation ``(filters, pixel tiles, rows)``."""
        length, passes, filters = tile["length"] + 1, tile["passes"] + 1, tile["filters"] + 1
        chosen = np.arange(tile["entry_base"], tile["entry_base"] + length * passes)
        if shared := tile.get("shared", 0):
            chosen[shared:] = np.arange(tile["tail_base"], tile["tail_base"] + length - shared)
        e: dict[str, Any] = {name: values[chosen, None, None] for name, values in self.entries.items()}
        y, x, at = self._lanes(constants, tile["pixel_tiles"] + 1)
        inside = (y >= e["y_low"]) & (y < e["y_high"]) & (x >= e["x_low"]) & (x < e["x_high"])
        word = e["word"] + np.where(e["image"], self.buffer * self.hw.input_words, tile.get("base_word", 0))
        address = (word * self.hw.banks + e["bank"] + np.where(e.get("common", 0), 0, at)) % self.size
        read = self._values(self.memory[address], e.get("unsigned", self.hw.unsigned))
        values = np.where(inside & (e["guard"] == 0), read, 0).reshape(passes, length, *y.shape)
        weight = self.weights[tile["weight_base"] : tile["weight_base"] + length, :filters]
        acc = np.einsum("kf,pkts->pfts", weight, values)
        counts = (inside | (e["guard"] == 0)).reshape(passes, length, *y.shape)[:, -1]
        best = np.where(counts[:, None], acc, -(1 << 50)).max(axis=0)
        own = tile["param_base"] + np.arange(filters) // (constants.get("phases", 0) + 1)
        if self.hw.residual_bits:
            best = best + self._residual(tile, values[0], own, gated=bool(constants.get("gated", 0)))
        bias, mult, shift = (self.params[name][own, None, None] for name in ("bias", "mult", "shift"))
        ends = ("wide_low", "wide_high") if constants["wide"] else ("clamp_low", "clamp_high")
        made = requantize(best + bias, mult, shift + self.hw.shift_min, *(constants[end] for end in ends))
        return self._posted(made, constants)

    def _posted(self, codes: IntArray, constants: dict[str, int]) -> IntArray:
        """The bits that the layer's table holds for `codes`; without one they are stored themselves."""
        if not constants.get("posted", 0):
            return codes
        return self.posts[self._bits(codes) + (constants.get("post", 0) << self.hw.act_bits)]

    def _residual(self, tile: dict[str, int], values: IntArray, own: IntArray, *, gated: bool) -> IntArray:
        """What filter f adds: the entry ``cols - f`` places before the end of the pass, times its factor, number
        ``own[f]``; where the layer is gated, times the entry `cols` places before it, unless the factor is 0.
        """
        filters, length = tile["filters"] + 1, tile["length"] + 1
        factor = self.params["residual"][own]
        place = length - self.hw.cols + np.arange(filters)
        assert place[factor != 0].min(initial=0) >= 0, "a residual's entry would lie before the list"
        added = factor[:, None, None] * values[np.maximum(place, 0)]
        if gated:
            place = place - self.hw.cols
            assert place[factor != 0].min(initial=0) >= 0, "a gate's entry would lie before the list"
            assert factor.max() <= 1, "a gate comes in place of a factor"
            added = added * values[np.maximum(place, 0)]
        return added

    def _emit(self, output: IntArray, results: IntArray, constants: dict[str, int], first: int) -> None:
        pixels = constants["wide_pixels"]
        for f, lanes in enumerate(results):
            start = constants["wide_base"] + (first + f) * pixels
            output[start : start + pixels] = lanes.reshape(-1)[:pixels]

    def _store(self, results: IntArray, store: dict[str, int], state: dict[str, int]) -> None:
        banks = self.hw.banks
        channel, tile, gap = (store[f"{n}_word"] * banks + store[f"{n}_bank"] for n in ("channel", "tile", "gap"))
        pixel = np.arange(store["pixels"])
        below, beside, phases = (store.get(name, 0) + 1 for name in ("repeat_y", "repeat_x", "phases"))
        line = store.get("line_word", 0) * banks + store.get("line_bank", 0) + beside - 1
        for f, lanes in enumerate(results):
            start = store["base_word"] * banks + state["tile"] * tile + f // phases * channel + f - f // phases
            at = start + pixel * beside * phases + pixel // store["width"] * gap
            for y, x in np.ndindex(below, beside):
                self.memory[(at + y * line + x) % self.size] = self._bits(lanes.reshape(-1)[: store["pixels"]])

    def _read(self, name: str) -> IntArray:
        place = self.program.memory_map[name]
        tensor = self.program.network.tensor[name]
        channels, height, width = tensor.shape
        c, y, x = np.ogrid[:channels, :height, :width]
        bits: IntArray = self.memory[place.base * self.hw.banks + c * place.channel + y * place.pitch + x]
        return self._values(bits, not tensor.signed)
