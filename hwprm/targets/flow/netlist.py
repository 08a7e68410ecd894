"""Counting the cells of a netlist that yosys wrote as JSON, whole and per block of the gateware.

The design is flattened, as it is for place and route: hierarchy would cost a third more. A cell belongs to the block
whose name its own begins with; yosys names cells after the nets they drive (`autoname`). Cells behind a port of the
top, which takes over the name of the net, belong to the block that the net's other names tell. Where a path crosses
from one block to another, the logic between registers may count for either.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CORE", "GLUE", "SCOPE", "Counts", "block_of", "count_cells", "plain_name", "used_modules"]

#: Instance of the accelerator in the top, and of the top in the wrapper.
CORE, WRAPPED = "core", "top"
#: What belongs to no block: wires between them, and the wrapper for devices with few pins.
GLUE = "between blocks"
#: Bookkeeping of yosys that is no hardware.
SCOPE = "$scopeinfo"
NOTHING = (SCOPE, "$print", "$check")
#: What a module of Verilog is called: letters, or anything behind a backslash.
NAME = r"\w+|\\\S+"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Cells by type, in all and of each block, those with most cells first."""

    cells: Counter[str]
    blocks: Mapping[str, Counter[str]]


def count_cells(file: Path, top: str) -> Counts:
    """The cells of the module `top` in the netlist `file`. Raises ValueError when it holds no such module."""
    module = json.loads(file.read_bytes())["modules"].get(top)
    if module is None:
        raise ValueError(f"{file.name} has no module {top}")
    known = {name.rpartition(".")[2] for name, cell in module["cells"].items() if _is_block(name, cell)}
    others = _other_names(module, known)
    blocks: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, cell in module["cells"].items():
        if cell["type"] not in NOTHING:
            blocks[block_of(name, known) or _driven(cell, others) or GLUE][cell["type"]] += 1
    order = sorted(blocks, key=lambda block: (-blocks[block].total(), block))
    return Counts(cells=sum(blocks.values(), Counter()), blocks={block: blocks[block] for block in order})


def used_modules(netlist: str, libraries: Sequence[str]) -> str:
    """Those modules of `libraries`, Verilog texts, that `netlist` has instances of, and those that they have some of.

    What a library defines before its first module goes with them.
    """
    modules: dict[str, str] = {}
    heads: list[str] = []
    for text in libraries:
        found = list(re.finditer(rf"^module ({NAME})\s*[#(;].*?^endmodule", text, re.MULTILINE | re.DOTALL))
        modules |= {each[1]: each[0] for each in found}
        head = text[: found[0].start()].splitlines()
        heads += [line for line in head if re.match(r"`(?!include|timescale|default_nettype)", line)]
    wanted, seen = [netlist], {}
    while wanted:
        for kind in re.findall(rf"^\s*({NAME})\s*(?:#\(|\w+\s*\(|\\\S+\s*\()", wanted.pop(), re.MULTILINE):
            if kind in modules and kind not in seen:
                seen[kind] = modules[kind]
                wanted.append(modules[kind])
    return "\n".join([*heads, *(seen[kind] for kind in sorted(seen)), ""])


def plain_name(name: str) -> str:
    """`name` below the accelerator: ``top.core.array.x`` -> ``array.x``; names beside it as they are."""
    parts = name.split(".")
    for outer in (WRAPPED, CORE):
        if len(parts) > 1 and parts[0] == outer:
            parts = parts[1:]
    return ".".join(parts)


def block_of(name: str, known: Collection[str]) -> str | None:
    """The one of the `known` blocks that a flattened name lies in; None of what lies in none."""
    path = name.split(".")
    if path[0] == WRAPPED:
        path = path[1:]
    return path[1] if len(path) > 2 and path[0] == CORE and path[1] in known else None


def _is_block(name: str, cell: Mapping[str, Any]) -> bool:
    """Whether the cell stands for an instance in the accelerator, as yosys leaves one behind when it flattens."""
    path = name.removeprefix(f"{WRAPPED}.").split(".")
    return cell["type"] == SCOPE and len(path) == 2 and path[0] == CORE


def _other_names(module: Mapping[str, Any], known: Collection[str]) -> dict[int, str]:
    """For each net with several names: the block of one that lies in a block."""
    found: dict[int, str] = {}
    for name, net in module["netnames"].items():
        if (block := block_of(name, known)) is not None:
            found.update((bit, block) for bit in net["bits"] if isinstance(bit, int))
    return found


def _driven(cell: Mapping[str, Any], others: Mapping[int, str]) -> str | None:
    """The block of a net that the cell drives."""
    outputs = (port for port, way in cell.get("port_directions", {}).items() if way == "output")
    bits = (bit for port in outputs for bit in cell["connections"][port])
    return next((others[bit] for bit in bits if bit in others), None)
