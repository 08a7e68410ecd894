"""The parts of a page that tell of the accelerator: cycles, activation memory, ROMs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hwprm.bundle import Bundle
from hwprm.reporting.curves.svg import bar
from hwprm.reporting.page.content import Content
from hwprm.reporting.page.memory import Block, axis_picture, blocks, memory_picture, steps_named
from hwprm.reporting.page.parts import Bar, Bars, Column, Figure, Figures, Section, Table
from hwprm.reporting.page.timeline import timeline

__all__ = ["cycles_section", "memory_section", "rom_section"]

#: What each ROM holds.
ROMS = {
    "weights": "kept weights, one word per column and filter tile",
    "entries": "column lists: where each kept column reads",
    "params": "bias, multiplier and shift of each filter, and what its residual is multiplied with",
    "tiles": "filter tiles",
    "layers": "layer descriptors",
    "stores": "where layers write",
}


def cycles_section(content: Content) -> Iterator[Section]:
    """Predicted, simulated, promised and ideal cycles of each layer, and those before pruning where they are known."""
    cycles = content.facts.get("cycles")
    if not cycles:
        return
    rows = cycles["layers"]
    charts = [("Cycles per layer", tuple(_against_bound(rows)))]
    legend = [("solid", "cycles"), ("mark", "ideal bound")]
    if dense := cycles.get("dense"):
        charts.append(("Against the same network before pruning", tuple(_against_dense(cycles, dense))))
        legend.append(("ghost", "before pruning"))
    whole = f"a batch of {cycles['batch']} images" if "batch" in cycles else "one image"
    lead = (
        f"Clock cycles of {whole} at steady state. The bound is the ideal of the array: weights and multipliers never "
        "idle. The promise is what the array's formula says; 5 per cent and 64 cycles a layer may come on top. "
        "Utilisation is the share of the array's multiplications that are by kept weights."
    )
    parts: tuple[Bars | Table, ...] = (Bars(charts=tuple(charts), legend=tuple(legend)), _cycle_table(cycles))
    if content.bundle is not None:
        parts += tuple(timeline(content.bundle.program))
    yield Section(id="cycles", title="Cycles", lead=lead, parts=parts)


def _against_bound(rows: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
    longest = max(max(row["predicted"], row["bound"]) for row in rows)
    for row in rows:
        yield Bar(
            label=row["name"],
            value=f"{row['predicted']:,}",
            note=f"{row['predicted'] / row['bound']:.2f}× bound",
            picture=bar(row["predicted"] / longest, mark=row["bound"] / longest),
        )


def _against_dense(cycles: Mapping[str, Any], dense: Mapping[str, Any]) -> Iterator[Bar]:
    now = {row["name"]: row["predicted"] for row in cycles["layers"]}
    pairs = [(name, now[name], dense["layers"][name]) for name in now if name in dense["layers"]]
    longest = max([*(max(pair[1:]) for pair in pairs), 1])
    for name, after, before in pairs:
        yield Bar(
            label=name,
            value=f"{after:,} of {before:,}",
            note=f"{before / after:.1f}× faster",
            picture=bar(after / longest, ghost=before / longest),
        )
    total, whole = cycles["predicted"], dense["image"]
    yield Bar(
        label="Image",
        value=f"{total:,} of {whole:,}",
        note=f"{whole / total:.1f}× faster",
        picture=bar(min(total / whole, 1.0), ghost=1.0),
    )


def _cycle_table(cycles: Mapping[str, Any]) -> Table:
    titles = ("Predicted", "Simulated", "Promise", "Bound", "× bound", "Multiplications", "Utilisation, %")
    total = {key: cycles[key] for key in ("predicted", "simulated", "promise", "bound", "utilisation")}
    total |= {"name": "Batch" if "batch" in cycles else "Image", "macs": sum(row["macs"] for row in cycles["layers"])}
    rows = tuple(
        (
            row["name"],
            f"{row['predicted']:,}",
            "–" if row["simulated"] is None else f"{row['simulated']:,}",
            f"{row['promise']:,}",
            f"{row['bound']:,.0f}",
            f"{row['predicted'] / row['bound']:.2f}",
            f"{row['macs']:,}",
            f"{100 * row['utilisation']:.1f}",
        )
        for row in [*cycles["layers"], total]
    )
    columns = (Column(title="Layer", numeric=False), *(Column(title=title) for title in titles))
    return Table(caption="Clock cycles per layer", columns=columns, rows=rows, total=True)


def memory_section(content: Content) -> Iterator[Section]:
    """Which words of the activation memory hold what, and for how long."""
    if content.bundle is None:
        return
    memory, bits = content.bundle.program.memory_map, content.bundle.manifest.array.act_bits
    names = [layer.name for layer in content.bundle.network.layers]
    found = blocks(content.bundle.network, memory.placements)
    word_bits = memory.banks * bits
    total = memory.words * word_bits
    lead = (
        f"{memory.banks} banks of {memory.words:,} words of {bits} bits, {total:,} bits in all. "
        "Across: the layers of one image. Down: the address in every bank."
    )
    if not steps_named(names):
        lead += " Layers are numbered as in the table below."
    figure = Figure(
        title="Activation memory",
        picture=memory_picture(found, memory.words, names, word_bits),
        axis=axis_picture(memory.words),
        caption="A tensor stays from the layer that makes it to the last one that reads it.",
    )
    parts = (Figures(figures=(figure,)), _memory_table(found, word_bits, names))
    yield Section(id="memory", title="Memory map", lead=lead, parts=parts)


def _memory_table(found: Sequence[Block], word_bits: int, names: Sequence[str]) -> Table:
    numbered = not steps_named(names)
    rows = tuple(
        (
            block.name,
            f"{block.base:,}",
            f"{block.base + block.words - 1:,}",
            f"{block.words * word_bits:,}",
            f"{block.first + 1} {names[block.first]}" if numbered else names[block.first],
            f"{block.last + 1} {names[block.last]}" if numbered else names[block.last],
        )
        for block in found
    )
    numeric = ("First word", "Last word", "Bits")
    columns = (
        Column(title="Tensor", numeric=False),
        *(Column(title=title) for title in numeric),
        *(Column(title=title, numeric=False) for title in ("From layer", "To layer")),
    )
    return Table(caption="Placements", columns=columns, rows=rows)


def _external_section(bundle: Bundle) -> Section:
    """Bits of each memory on the chip, the largest first, beside an image that lies outside."""
    external = bundle.manifest.external
    assert external is not None
    memories = sorted(bundle.program.onchip_bits.items(), key=lambda item: (-item[1], item[0]))
    most, total = memories[0][1], sum(bits for _, bits in memories)
    bars = tuple(Bar(label=name, value=f"{bits:,} bits", note="", picture=bar(bits / most)) for name, bits in memories)
    lead = (
        f"{total:,} bits on the chip; weights, column lists and descriptors are {external.bytes:,} bytes of external "
        "memory, read over AXI4."
    )
    return Section(id="rom", title="Memories", lead=lead, parts=(Bars(charts=(("Bits per memory", bars),)),))


def rom_section(content: Content) -> Iterator[Section]:
    """Words and bits of each ROM, the largest first."""
    if content.bundle is None:
        return
    if content.bundle.manifest.external is not None:
        yield _external_section(content.bundle)
        return
    roms = sorted(content.bundle.manifest.roms, key=lambda rom: -rom.width * rom.depth)
    most, total = roms[0].width * roms[0].depth, sum(rom.width * rom.depth for rom in roms)
    bars = tuple(
        Bar(
            label=rom.name,
            value=f"{rom.width * rom.depth:,} bits",
            note=f"{rom.depth:,} words of {rom.width} bits; {ROMS.get(rom.name, '')}".rstrip("; "),
            picture=bar(rom.width * rom.depth / most),
        )
        for rom in roms
    )
    lead = f"{total:,} bits in {len(roms)} ROMs hold the whole network: nothing is loaded at run time."
    yield Section(id="rom", title="ROM", lead=lead, parts=(Bars(charts=(("Bits per ROM", bars),)),))
