"""Protocol mode, of designs with external memory alone: answers that are errors, and resets while it is read."""

import cocotb

from hwprm.testbench.bench import STATUS_ERROR, Bench, write_note

#: Cycles after which reset comes, from the write of BASE on: in the first burst, between bursts, behind them.
RESETS = (1, 9, 40, 150)


def note(bench, mark, images):
    """Before the images are sent, so that layers are compared even where logits turn out wrong."""
    write_note(f"note_{mark}.json", {"name": bench.test, "images": images, "batches": bench.batches(len(images))})


@cocotb.test()
async def memory_error(dut):
    """An answer that is an error: flagged, nothing more is asked for or computed, registers answer; reset mends it."""
    bench = Bench(dut, "memory_error")
    await bench.reset(mark=20)
    order = [0] * bench.batch
    dut.memory_fault.value = 1
    for index in order:
        bench.send(index)

    async def flagged():
        while not await bench.read("STATUS") & STATUS_ERROR:
            await bench.wait_cycles(20)

    await bench.within(flagged(), bench.setup["limit_cycles"], "the error was not flagged")
    dut.memory_fault.value = 0
    await bench.wait_cycles(200)
    for _ in range(bench.setup["cycles"] + 200):
        await bench.ticks()
        assert not int(dut.m_axi_arvalid.value), "memory is read on behind an error"
    assert bench.sink.empty(), "an image was computed behind an error"
    await bench.write("STATUS", STATUS_ERROR)
    assert await bench.read("STATUS") & STATUS_ERROR, "the flag of an error clears without a reset"
    await bench.reads("ID", bench.setup["registers"]["ID"]["value"])
    await bench.reads("FRAMES_OUT", 0)
    bench.source.clear()
    await bench.reset()
    bench.sink.clear()
    note(bench, 20, order)
    assert await bench.read("STATUS") == 0, "STATUS is not idle after reset"
    for index in order:
        bench.send(index)
    await bench.expect(order)


@cocotb.test()
async def reset_in_boot(dut):
    """Reset while the memory is read for the first time, sooner and later; the image behind it is right."""
    bench = Bench(dut, "reset_in_boot")
    order = [0] * bench.batch
    await bench.reset(mark=21)
    for cycles in RESETS:
        await bench.wait_cycles(cycles)
        await bench.reset()
    note(bench, 21, order)
    for index in order:
        bench.send(index)
    await bench.expect(order)
