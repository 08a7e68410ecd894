"""The activation memory over the layers of one image: which addresses hold which tensor for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hwprm.compiler.layout.memory import Placement
from hwprm.intnet import IntegerNetwork
from hwprm.reporting.curves.svg import element, number, picture

__all__ = ["Block", "axis_picture", "blocks", "memory_picture", "steps_named"]

#: Pixels: height of the plot, of the heads above it, width of the axis, least height of a block, least width of a step.
HEIGHT, HEAD, AXIS, LEAST, NARROW = 260, 22, 56, 3, 18
#: Pixels that a letter takes, and those that a plot has on a phone.
LETTER, PHONE = 6.6, 250
#: Marks on the address axis, colours of blocks.
MARKS, HUES = 4, 5


@dataclass(frozen=True, kw_only=True)
class Block:
    """Words ``base .. base + words - 1`` of every bank hold `name` from layer `first` to layer `last`."""

    name: str
    base: int
    words: int
    first: int
    last: int


def blocks(net: IntegerNetwork, placements: Sequence[Placement]) -> tuple[Block, ...]:
    """Blocks of all stored tensors of `placements` of the memory map.

    A tensor lives from the layer that makes it to the last one that reads it; an image has two buffers of all inputs,
    which take turns: one is read while the next image is written to the other.
    """
    birth = {layer.name: i for i, layer in enumerate(net.layers)}
    death = {source: i for i, layer in enumerate(net.layers) for source in layer.sources}
    buffer = sum(place.words for place in placements if place.name in net.inputs)
    found = []
    for place in placements:
        name, base, words = place.name, place.base, place.words
        if name in net.inputs:
            end = len(net.layers) - 1
            found.append(Block(name=name, base=base, words=words, first=0, last=end))
            found.append(Block(name=f"next {name}", base=base + buffer, words=words, first=0, last=end))
        else:
            first = birth[name]
            found.append(Block(name=name, base=base, words=words, first=first, last=death.get(name, first)))
    return tuple(found)


def steps_named(names: Sequence[str]) -> bool:
    """Whether the layers' names fit above the plot on a phone; else they are numbered."""
    return max(map(len, names)) * LETTER <= PHONE / len(names)


def memory_picture(found: Sequence[Block], words: int, names: Sequence[str], bits: int) -> Markup:
    """Rectangles of `found` over layers `names`, address 0 at the top; a word of all banks has `bits` bits.

    Horizontal places are shares of the width, so that text keeps its size on any screen.
    """
    heads = names if steps_named(names) else [str(i + 1) for i in range(len(names))]
    step = 100 / len(names)
    parts = [element("rect", class_="plot", y=HEAD, width="100%", height=HEIGHT)]
    for i, head in enumerate(heads):
        parts.append(element("text", head, class_="head", x=_share(step * (i + 0.5)), y=HEAD - 8, text_anchor="middle"))
        if i:
            at = _share(step * i)
            parts.append(element("line", class_="grid", x1=at, x2=at, y1=HEAD, y2=HEAD + HEIGHT))
    parts += [part for i, block in enumerate(found) for part in _block(block, words, step, bits, i)]
    title = f"{len(found)} blocks of activation memory, {words} words of {bits} bits, over {len(names)} layers"
    return picture(
        title,
        *parts,
        class_="memory",
        height=HEAD + HEIGHT + 1,
        style=f"min-width:{NARROW * len(names)}px",
    )


def axis_picture(words: int) -> Markup:
    """The address axis, beside `memory_picture`."""
    parts = []
    for i in range(MARKS + 1):
        y = HEAD + HEIGHT * i / MARKS
        label = f"{round(words * i / MARKS):,}"
        parts.append(element("text", label, class_="head", x=AXIS - 8, y=min(y + 4, HEAD + HEIGHT), text_anchor="end"))
    return element("svg", *parts, class_="addresses", width=AXIS, height=HEAD + HEIGHT + 1, aria_hidden="true")


def _block(block: Block, words: int, step: float, bits: int, index: int) -> list[Markup]:
    y, height = HEAD + HEIGHT * block.base / words, max(HEIGHT * block.words / words, LEAST)
    wide = step * (block.last - block.first + 1)
    text = (
        f"{block.name}: words {block.base} to {block.base + block.words - 1}, {block.words * bits:,} bits, "
        f"layers {block.first + 1} to {block.last + 1}"
    )
    box = element(
        "rect",
        element("title", text),
        class_=f"block hue{index % HUES}",
        x=_share(step * block.first),
        y=y,
        width=_share(wide),
        height=height,
    )
    fits = height >= 16 and len(block.name) * LETTER + 12 <= PHONE * wide / 100
    label = element(
        "text", block.name, class_="name", x=_share(step * block.first), dx=8, y=y + min(height / 2, 14) + 5
    )
    return [box, label] if fits else [box]


def _share(value: float) -> str:
    return f"{number(value)}%"
