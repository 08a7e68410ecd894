"""What another host than AXI takes more of, or less: flip-flops are counted, LUTs and carry cells measured.

Without registers nobody reads counters, so that those of the sequencer go as well. Numbers of `MEASURED` are about the
medians of designs synthesised with each host (`benchmarks/resources_hosts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from hwprm.isa import Hardware
from hwprm.isa.frames import CHECKSUM_BYTES, STATUS_BYTES
from hwprm.isa.hosts import BYTE_BITS, WORD_BYTES, Host

__all__ = ["MEASURED", "PINS", "difference"]

#: Bits of ports beside clock and reset, inputs and outputs.
PINS: Mapping[str, tuple[int, int]] = {"stream8": (11, 13), "uart": (1, 3)}
#: LUTs and carry cells against ``axi``: of ``stream8``; of ``uart`` beside those, and for each bit that counts time.
MEASURED: Mapping[str, Mapping[str, float]] = {
    "lut4": {"stream8": -170, "uart": 670, "timed": 1},
    "carry": {"stream8": -82, "uart": 20, "timed": 0.6},
}
#: Registers of the AXI4-Lite side and of its counters; of those of the sequencer, with the mark that it stands still.
REGISTERS, COUNTERS = 168, 65
#: State of the machines that take frames and make them; what synthesis adds to them.
STATES, SPLIT = 3 + 2, 3
#: A checksum.
CHECKSUM = 8 * CHECKSUM_BYTES


def difference(hw: Hardware, host: Host) -> dict[str, int]:
    """LUTs, carry cells and flip-flops that a design takes more with `host` than with ``axi``; less is negative."""
    if host.registers:
        return {"lut4": 0, "carry": 0, "ff": 0}
    framed = host.kind == "uart"
    timed = 2 * _bits(host.divider) + _bits(host.silence) if framed else 0
    found = {
        key: round(each["stream8"] + framed * (each["uart"] + each["timed"] * timed)) for key, each in MEASURED.items()
    }
    return found | {"ff": _octets(hw) - REGISTERS - COUNTERS + (_frames(hw, host) if framed else 1)}


def _bits(values: int) -> int:
    """Of a number below `values`."""
    return max(1, (values - 1).bit_length())


def _octets(hw: Hardware) -> int:
    """Places in words and activations of several bytes, and the bytes of an activation that wait for the last."""
    inward = _bits(hw.data_bytes) + 8 * (hw.data_bytes - 1) if hw.data_bytes > 1 else 0
    return _bits(WORD_BYTES) + inward


def _frames(hw: Hardware, host: Host) -> int:
    """Registers of `hwprm.gateware.host.serial` and `link`."""
    time, left = _bits(host.divider), _bits(BYTE_BITS + 1)
    receiver = 2 + time + left + 8 + 2
    sender = 1 + time + left + (BYTE_BITS - 1) + 1
    # A byte on its way to the core; why, which image, how many dropped, whether any; image, place, begun and spoilt.
    taken = 1 + 10 + 3 + 8 + 8 + 1 + 1 + _bits(max(hw.input_beats * hw.data_bytes, CHECKSUM_BYTES)) + 2
    made = 2 + 8 + _bits(STATUS_BYTES) + 9
    return receiver + sender + taken + made + _bits(host.silence) + STATES + SPLIT + 2 * CHECKSUM
