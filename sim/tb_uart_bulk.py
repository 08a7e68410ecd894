"""Bulk mode of designs on a serial line: many images through it, as fast as it goes."""

import cocotb

from hwprm.testbench.bench import read_setup, write_note
from hwprm.testbench.serial import SerialBench


@cocotb.test()
async def stream(dut):
    """Every image goes in and one result comes out for each; they are compared here, and again from the event log."""
    count = read_setup()["images"]
    bench = SerialBench(dut, "stream")
    await bench.greet()
    await bench.through(range(count))
    await bench.ticks(40)
    counters = await bench.counters()
    write_note("bulk.json", counters)
    assert counters["FRAMES_OUT"] == count, f"{counters['FRAMES_OUT']} results left after {count} images"
    assert counters["FRAMES_DROPPED"] == 0, "an image was dropped"
    bench.silent()
