"""The register map of a bundle: `hwprm.isa`'s table with the values that are constant in this design."""

from __future__ import annotations

from collections.abc import Mapping

from hwprm.bundle.manifest import RegisterEntry
from hwprm.isa.registers import BATCHED, EXTERNAL, ID_VALUE, INTERFACE_VERSION, REGISTERS

__all__ = ["register_entries"]


def register_entries(
    design_hash: str, geometry: Mapping[str, int], *, external: bool = False, batched: bool = False
) -> tuple[RegisterEntry, ...]:
    """Every register that the design has, those of `external` memory where it reads one, those of batches if `batched`.

    `geometry` gives constants by name, `design_hash` (64 hexadecimal digits) the HASH words: HASH0 holds the least
    significant 32 bits. Raises KeyError when `geometry` names an unknown register.
    """
    number = int(design_hash, 16)
    constants = {"ID": ID_VALUE, "VERSION": INTERFACE_VERSION, **geometry}
    constants |= {f"HASH{i}": (number >> 32 * i) & 0xFFFFFFFF for i in range(8)}
    if unknown := constants.keys() - {register.name for register in REGISTERS}:
        raise KeyError(f"no such register: {sorted(unknown)}")
    return tuple(
        RegisterEntry(name=r.name, offset=r.offset, access=r.access, doc=r.doc, value=constants.get(r.name))
        for r in REGISTERS
        if (external or r.name not in EXTERNAL) and (batched or r.name not in BATCHED)
    )
