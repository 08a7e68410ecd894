"""Bulk mode: the Verilog testbench streams images at full speed; Python wakes at frame ends only."""

import cocotb
from cocotb.triggers import Timer

from hwprm.core.limits import RESET_CYCLES
from hwprm.testbench.bench import CLOCK_NS, Bench, begin, next_event, read_setup, write_note


@cocotb.test()
async def stream(dut):
    """Every image goes in and one result comes out for each; logits are compared afterwards from the event log."""
    begin("stream")
    count = read_setup()["images"]
    await Timer(RESET_CYCLES * CLOCK_NS, "ns")
    dut.rst.value = 0
    stuck = await watch(dut, count)
    done, now = int(dut.frames_done.value), int(dut.cycle.value)
    assert not stuck, (
        f"test stream: image {done}: the design fell silent after {done} of {count} images, in cycle {now}"
    )

    dut.py_enable.value = 1
    bench = Bench(dut, "stream", memory=False)
    await bench.ticks(4)
    counters = await bench.counters()
    write_note("bulk.json", counters)
    assert counters["FRAMES_OUT"] == count, f"FRAMES_OUT reads {counters['FRAMES_OUT']} after {count} images"
    assert counters["FRAMES_DROPPED"] == 0, f"FRAMES_DROPPED reads {counters['FRAMES_DROPPED']}"


async def watch(dut, count):
    """Wait for `count` frames; True when the watchdog barked first."""
    while True:
        await next_event(dut, "stream")
        if int(dut.stuck.value):
            return True
        if int(dut.frames_done.value) >= count:
            return False
