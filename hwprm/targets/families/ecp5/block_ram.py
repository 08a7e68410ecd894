"""The block RAM of the ECP5, DP16KD, as text: pins, parameters, and where the bits of its words lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["HALF", "Access", "block_ram", "initial_values"]

#: Widest word of a port; a word of 18 bits has byte enables where others have the lowest bits of the address.
HALF = 18
#: Bits of an address, of an ``INITVAL``, and bits of those that the cell has, in groups with two bits unused each.
ADDRESS_BITS, INITIAL_BITS, GROUPS, UNUSED = 14, 320, 16, 2
#: Width of a port -> unused low bits of its address.
SHIFT: Mapping[int, int] = {1: 0, 2: 1, 4: 2, 9: 3, 18: 4}
BYTE = 9


@dataclass(frozen=True)
class Access:
    """What a port does: expressions for the number of the word, and for each bit read or written."""

    address: str
    outputs: Sequence[str]
    enable: str = ""
    inputs: Sequence[str] = field(default=())


def block_ram(name: str, width: int, ports: Mapping[str, Access], values: Sequence[int] = ()) -> str:
    """A DP16KD with output registers. Both of its ports have words of `width` bits; those not in `ports` rest.

    `values` are those of ``INITVAL_00`` and the following.
    """
    parameters = {
        **{f"DATA_WIDTH_{port}": str(width) for port in "AB"},
        **{f"REGMODE_{port}": '"OUTREG"' for port in "AB"},
        **{f"CSDECODE_{port}": '"0b000"' for port in "AB"},
        **{f"WRITEMODE_{port}": '"NORMAL"' for port in "AB"},
        **{f"CLK{port}MUX": f'"CLK{port}"' for port in "AB"},
        **{"RESETMODE": '"SYNC"', "ASYNC_RESET_RELEASE": '"SYNC"', "GSR": '"DISABLED"'},
        **{f"INITVAL_{i:02X}": f"{INITIAL_BITS}'h{value:x}" for i, value in enumerate(values) if value},
    }
    wires = [
        f"wire [{ADDRESS_BITS - 1}:0] {name}_{port} = "
        f"{{{access.address}, {SHIFT[width]}'d{3 if access.enable and width == HALF else 0}}};"
        if SHIFT[width]
        else f"wire [{ADDRESS_BITS - 1}:0] {name}_{port} = {access.address};"
        for port, access in ports.items()
    ]
    pins = [pin for port in "AB" for pin in (_pins(name, port, ports[port]) if port in ports else _resting(port))]
    cell = f"DP16KD #({_connected(parameters.items())}) {name} ({_connected(pins)});"
    return "\n".join([*wires, cell])


def _pins(name: str, port: str, access: Access) -> list[tuple[str, str]]:
    on, off = "1'b1", "1'b0"
    return [
        *((f"CLK{port}", "clk"), (f"CE{port}", on), (f"OCE{port}", on), (f"RST{port}", off)),
        *((f"CS{port}{i}", off) for i in range(3)),
        (f"WE{port}", access.enable or off),
        *((f"AD{port}{i}", f"{name}_{port}[{i}]") for i in range(ADDRESS_BITS)),
        *((f"DI{port}{i}", bit) for i, bit in enumerate([*access.inputs, *[off] * (HALF - len(access.inputs))])),
        *((f"DO{port}{i}", bit) for i, bit in enumerate(access.outputs)),
    ]


def _resting(port: str) -> list[tuple[str, str]]:
    single = [f"{name}{port}" for name in ("CLK", "CE", "OCE", "RST", "WE")]
    several = [
        f"{name}{port}{i}" for name, count in (("CS", 3), ("AD", ADDRESS_BITS), ("DI", HALF)) for i in range(count)
    ]
    return [(pin, "1'b0") for pin in (*single, *several)]


def _connected(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f".{name}({value})" for name, value in pairs)


def initial_values(columns: Sequence[Sequence[int]], width: int, words: int) -> list[int]:
    """``INITVAL``s for `words` words of `width` bits, bit b of word a being ``columns[b][a]``; 0 where there is none.

    Words lie one behind the other, in groups of 18 bits; those of less than nine bits leave every ninth bit out.
    """
    bits = [
        column[word] if column is not None and word < len(column) else 0
        for word in range(words)
        for column in (*columns, *[None] * (width - len(columns)))
    ]
    if width < BYTE:
        bits = [bit for i in range(0, len(bits), BYTE - 1) for bit in (*bits[i : i + BYTE - 1], 0)]
    values = []
    for start in range(0, len(bits), GROUPS * HALF):
        groups = [bits[start + HALF * k : start + HALF * (k + 1)] for k in range(GROUPS)]
        values.append(
            sum(bit << (HALF + UNUSED) * k + j for k, group in enumerate(groups) for j, bit in enumerate(group))
        )
    return values
