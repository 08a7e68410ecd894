"""Every memory of a design, and the cells of the ECP5 that it takes: exactly, without tools."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hwprm.core.numerics import MULT_BITS, WIDE_BITS
from hwprm.isa import Hardware, RowShape, WordFormat, entry_format, param_format, table_formats
from hwprm.isa.latencies import TABLE_READ, WEIGHT_READ
from hwprm.targets.families.ecp5.block_ram import HALF
from hwprm.targets.families.ecp5.mapping import Mapped, mapped
from hwprm.targets.families.ecp5.memories import BLOCKS, LARGE, SMALL, cut
from hwprm.targets.sizes.columns import Columns

__all__ = ["Contents", "Memory", "memories"]


@dataclass(frozen=True, eq=False)
class Contents:
    """What synthesis sees of the tables: `columns` by name; nothing of those that are loaded from outside.

    Those behind the requantisers, ``posts``, always are in ROMs, one for each lane.
    """

    hardware: Hardware
    columns: Mapping[str, Columns]

    def width(self, table: str) -> int:
        """Bits of a word of `table`."""
        return _form(self.hardware, table).width

    def used(self, table: str, names: Collection[str]) -> bool:
        """Whether a field of `table` called so is not 0 in all words of a ROM."""
        hw = self.hardware
        return bool(hw.external) or any(first != -1 for first in self.columns[table].fields(_form(hw, table), names))

    def unread(self, table: str) -> set[str]:
        """Fields of `table` that nothing reads."""
        hw = self.hardware
        # Entries go on at a tile's tail behind those that it shares, of which no tile may have any.
        if table == "tiles" and hw.residual_bits and not hw.external:
            return set() if self.used("tiles", ("shared",)) else {"tail_base"}
        if table == "stores":
            return {"layer"} | ({"stride"} if _same_lanes(hw, hw.store_strides) else set())
        if table == "layers":
            named = {"wide_run": hw.wide_lanes == 1, "stride": _same_lanes(hw, hw.strides)}
            return {name for name, unread in named.items() if unread}
        return set()

    def kept(self, table: str, names: Collection[str]) -> int:
        """Registers for the fields of `table` called so."""
        hw = self.hardware
        form, names = _form(hw, table), set(names) - self.unread(table)
        if hw.external:
            return sum(field.width for field in form.fields if field.name in names)
        columns = self.columns[table]
        if not names or not (found := columns.fields(form, names)):
            return 0
        return self._registers(columns, table, found)

    def changing(self, table: str, names: Collection[str]) -> int:
        """Bits of the fields of `table` called so that are not constant."""
        form = _form(self.hardware, table)
        if self.hardware.external:
            return self.kept(table, names)
        return sum(first >= 0 for first in self.columns[table].fields(form, names))

    def weights(self, hw: Hardware) -> list[int]:
        """Registers for the weight of each column of the array."""
        if hw.external:
            return [hw.weight_bits] * hw.cols
        columns = self.columns["weights"]
        return [
            self._registers(columns, "weights", list(columns.first[c * hw.weight_bits : (c + 1) * hw.weight_bits]))
            for c in range(hw.cols)
        ]

    def live_columns(self, hw: Hardware, *, plain: bool) -> int:
        """Columns of the array that synthesis leaves: in plain Verilog not those that no weight is for.

        It sees that where the weights' ROM is written as cells, without bits that are constant. In a memory that yosys
        maps itself it would find them too late: multipliers are cells by then.
        """
        if not plain or hw.external or not _in_cells(hw, "weights", self.columns["weights"]):
            return hw.cols
        return sum(1 for bits in self.weights(hw) if bits)

    def _registers(self, columns: Columns, table: str, found: list[int]) -> int:
        constants = -2 in found
        if _in_cells(self.hardware, table, columns):
            return len(set(found) - {-1, -2}) + constants
        return sum(i >= 0 for i in found) + constants


def _same_lanes(hw: Hardware, strides: Sequence[int]) -> bool:
    """Whether lanes are where they are at every stride, so that nothing chooses by it: where there is one, or a single
    lane. A multiplexer of a number of strides that is no power of two has a constant as well, and chooses all the same.
    """
    return len(strides) == 1 or (hw.rows == 1 and not len(strides) & (len(strides) - 1))


def _form(hw: Hardware, table: str) -> WordFormat:
    return entry_format(hw) if table == "entries" else table_formats(hw)[table][0]


def _read(contents: Contents, table: str) -> list[bool]:
    """Of each bit of a table's words, lowest first, whether anything reads it. What nothing reads is not held."""
    hw = contents.hardware
    if table in ("weights", "posts"):
        return [True] * (hw.cols * hw.weight_bits if table == "weights" else hw.act_bits)
    unread = contents.unread(table)
    return [field.name not in unread for field in _form(hw, table).fields for _ in range(field.width)]


def _in_cells(hw: Hardware, table: str, columns: Columns) -> bool:
    """Whether the family's `memories` writes the table as cells, and finds the bits that are the same."""
    latency = (WEIGHT_READ if table == "weights" else TABLE_READ)(hw)
    return latency > 1 and SMALL < 4 * -(-columns.width // 4) * columns.depth <= LARGE


@dataclass(frozen=True, kw_only=True)
class Memory:
    """`name` begins with the block it lies in; `width` counts the bits that are held, `registers` flip-flops behind."""

    name: str
    depth: int
    width: int
    cells: Mapped
    registers: int = 0


def memories(hw: Hardware, contents: Contents) -> list[Memory]:
    """All memories of `hw`, whose tables have those `contents`."""
    found = list(_external(contents)) if hw.external else []
    for name, each in contents.columns.items():
        made = _rom(contents, name, each)
        found += [replace(made, name=f"drain.posts{r}") for r in range(hw.rows)] if name == "posts" else [made]
    found += [_ram(f"memory.bank{i}", hw.memory_words, [True] * hw.act_bits, TABLE_READ(hw)) for i in range(hw.banks)]
    found.append(_ram("egress.buffer", 2 * hw.batch * hw.output_words, [True] * WIDE_BITS, 1))
    found.append(_at_once("store_unit.queue", 1 << max(1, hw.cols.bit_length()), hw.rows * hw.act_bits))
    if hw.wide_lanes > 1:
        found += [_at_once(f"drain.words.sums{r}", hw.cols, hw.sum_bits) for r in range(hw.wide_lanes)]
        scale, kept = MULT_BITS + param_format(hw)["shift"].width, contents.kept("params", ("mult", "shift"))
        scales = _at_once("drain.words.scales", hw.cols, scale)
        found.append(replace(scales, registers=kept * hw.cols if scales.registers else 0))
    return found


def _rom(contents: Contents, name: str, columns: Columns) -> Memory:
    hw = contents.hardware
    latency = (WEIGHT_READ if name == "weights" else TABLE_READ)(hw)
    depth = columns.depth
    if _in_cells(hw, name, columns):
        width, blocks = columns.different, cut(depth, columns.different)
        used = {at for at, read in zip(columns.first, _read(contents, name), strict=True) if read}
        held = [at in used for i, at in enumerate(columns.first) if at == i]
        parts = (Mapped(blocks=-(-width // BLOCKS[words]), unit=BLOCKS[words]).without(held) for words in blocks)
        within = Mapped(blocks=sum(part.blocks for part in parts) if width else 0, parts=len(blocks))
        return Memory(name=f"rom_{name}", depth=depth, width=width, cells=within)
    read = [bit for at, bit in zip(columns.first, _read(contents, name), strict=True) if at >= 0]
    cells = mapped(depth, len(read), reads_only=True, block=True).without(read) if read else Mapped()
    return Memory(name=f"rom_{name}", depth=depth, width=len(read), cells=cells, registers=sum(read) * (latency > 1))


def _ram(name: str, depth: int, read: list[bool], latency: int) -> Memory:
    """A memory whose bits, lowest first, are `read`."""
    width = len(read)
    deep = [words for words, bits in BLOCKS.items() if bits <= HALF and depth <= words]
    if latency > 1 and width * depth > SMALL and deep:
        unit = BLOCKS[deep[0]]
        return Memory(
            name=name, depth=depth, width=width, cells=Mapped(blocks=-(-width // unit), unit=unit).without(read)
        )
    cells = mapped(depth, width).without(read)
    behind = sum(read) * (latency - 1 + (cells.blocks == 0)) + cells.bits
    chosen = (cells.parts - 1).bit_length() if cells.blocks else 0
    return Memory(name=name, depth=depth, width=width, cells=cells, registers=behind + chosen)


def _at_once(name: str, depth: int, width: int) -> Memory:
    cells = mapped(depth, width, later=False)
    return Memory(name=name, depth=depth, width=width, cells=cells, registers=cells.bits)


def _external(contents: Contents) -> Iterator[Memory]:
    hw = contents.hardware
    ext = hw.external
    assert ext is not None
    yield _ram("tables.reader.fifo", ext.fifo_beats, [True] * ext.beat_bits, 1)
    rows = {"entries": ext.entry_rows, "weights": ext.weight_rows}
    for name in (*rows, *table_formats(hw)):
        read = _read(contents, name)
        shape = RowShape.of(len(read), ext.beat_bits)
        depth = rows.get(name) or shape.rows(table_formats(hw)[name][1])
        beats = (read[at : at + ext.beat_bits] for at in range(0, len(read), ext.beat_bits))
        for i, part in enumerate([read * shape.words] if shape.beats == 1 else beats):
            yield _ram(f"tables.{name}{i}", depth, part, TABLE_READ(hw))
