"""Whether a network on an array fits a device, by the size model; and which is the largest array that does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd

from hwprm.compiler import Program, draft
from hwprm.config import ArrayConfig
from hwprm.core.errors import HwprmError, InputError
from hwprm.intnet import IntegerNetwork
from hwprm.isa import Hardware
from hwprm.isa.hosts import AXI, Host
from hwprm.targets.model import Resources, predict
from hwprm.targets.size import numbers
from hwprm.targets.sizes.columns import Columns
from hwprm.targets.sizes.design import Design
from hwprm.targets.sizes.memories import Contents

__all__ = ["fitting_array", "sized"]

#: Arrays that are laid out before the search for one that fits is given up, and by how much a guess may be exceeded.
TRIES, SLACK = 16, 1.05


def sized(program: Program, target: str, cells: str = "any", host: Host = AXI) -> Resources:
    """What `program`, written in `cells`, takes behind `host` of the device `target`; ``too_large`` where too much.

    Raises as `predict`.
    """
    found = _predicted(program, target, cells, host)
    return replace(found, too_large=_refused(program, found, cells, host)) if found.over else found


def _predicted(program: Program, target: str, cells: str, host: Host) -> Resources:
    return predict(Design.of(program.hardware, program.roms, cells, host), target)


def _refused(program: Program, found: Resources, cells: str, host: Host) -> InputError:
    array, device = program.array, found.device
    size = fitting_array(program, device.name, cells, host)
    mends = [f"the largest array that fits is {size[0]} x {size[1]}" if size else "no smaller array fits"]
    if "bram" in found.over and array.weights == "rom":
        mends.append("keep weights outside with `--weights axi`, or prune more")
    mends.append("or take a larger device")
    return InputError(
        f"the design does not fit {device.name} ({device.part}): {array.rows} x {array.cols} needs "
        f"{numbers(found.titles, found.over)} by the size model; {'; '.join(mends)}"
    )


def fitting_array(program: Program, target: str, cells: str = "any", host: Host = AXI) -> tuple[int, int] | None:
    """Rows and columns of the largest array, none longer than the one of `program`, on which its network fits.

    Every array is guessed at; the best of them are laid out, and the first that fits is the answer. None where there
    is none, or none of `TRIES`.
    """
    tries = 0
    for rows, cols in _sizes(program.array):
        guess = predict(replace(_guessed(program, rows, cols, cells), host=host), target)
        if any(used > SLACK * most for used, most in guess.over.values()):
            continue
        made = _drafted(program.network, replace(program.array, rows=rows, cols=cols))
        if made is not None and not _predicted(made, target, cells, host).over:
            return rows, cols
        tries += 1
        if tries == TRIES:
            return None
    return None


def _sizes(array: ArrayConfig) -> Iterator[tuple[int, int]]:
    """All smaller arrays, those with most elements first, of equal ones the squarest."""
    sizes = [(rows, cols) for rows in range(1, array.rows + 1) for cols in range(1, array.cols + 1)]
    sizes.remove((array.rows, array.cols))
    yield from sorted(sizes, key=lambda size: (-size[0] * size[1], abs(size[0] - size[1])))


def _drafted(net: IntegerNetwork, array: ArrayConfig) -> Program | None:
    """`net` on `array`; None where it cannot be."""
    try:
        return draft(net, array, as_is=True)
    except HwprmError:
        return None


def _guessed(program: Program, rows: int, cols: int, cells: str) -> Design:
    """The design on another array, were everything else as it is."""
    hw = program.hardware
    banks = _banks(hw, rows)
    words = -(-hw.memory_words * hw.banks // banks)
    weights = -(-hw.weights * hw.cols // cols)
    made = replace(
        hw, rows=rows, cols=cols, banks=banks, memory_words=words, weights=weights, wide_lanes=min(rows, hw.wide_lanes)
    )
    columns = {} if hw.external else {rom.name: Columns.of(rom) for rom in program.roms if rom.name != "weights"}
    if not hw.external:
        columns = {name: _as_wide(each, made, name) for name, each in columns.items()}
        columns["weights"] = Columns.free(weights, cols * hw.weight_bits)
    return Design(hardware=made, contents=Contents(made, columns), cells=cells)


def _as_wide(columns: Columns, hw: Hardware, table: str) -> Columns:
    """`columns` with as many bits as a word has in `hw`."""
    width = Contents(hw, {}).width(table)
    first = (*columns.first[:width], *range(columns.width, width))
    return Columns(columns.depth, first)


def _banks(hw: Hardware, rows: int) -> int:
    """As few banks as serve so many lanes."""
    strides = {stride for stride in (*hw.strides, *hw.store_strides) if stride}
    return next(n for n in range(rows, rows + hw.banks + 1) if all(gcd(n, stride) == 1 for stride in strides))
