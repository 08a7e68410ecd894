"""Imported inside the simulator: a serial line's pins behind a pseudo-terminal, for programs that talk to a board.

Bytes that come from there go to ``rx``, those of ``tx`` go there; its name is in the note ``port.json``.
"""

from __future__ import annotations

import os
import select
import tty
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

from hwprm.testbench.bench import CLOCK_NS, write_note
from hwprm.testbench.serial import SerialBench

#: Bits between two looks for bytes, where there were none: much less than a silence.
LOOK = 8


class Bridge(SerialBench):
    """The bytes of ``tx``, whatever they are, go to `end`."""

    end = -1

    def _came(self, byte: int) -> None:
        os.write(self.end, bytes([byte]))


@cocotb.test()
async def bridge(dut: Any) -> None:
    """Until there is a file ``end`` in the folder."""
    bench = Bridge(dut, "bridge")
    bench.end, other = os.openpty()  # the other one stays open, so that it does not matter who comes and goes
    tty.setraw(other)
    await bench.reset()
    write_note("port.part", os.ttyname(other))
    Path("port.part").rename("port.json")
    while not Path("end").exists():
        if select.select([bench.end], [], [], 0)[0]:
            await bench.put(os.read(bench.end, 1 << 12))
        else:
            await Timer(LOOK * bench.host.divider * CLOCK_NS, "ns")
