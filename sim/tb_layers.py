"""One layer alone: its tensors lie in the activation memory, it runs in repeat mode, its second start ends the test."""

import cocotb

from hwprm.testbench.bench import Bench, next_event


@cocotb.test()
async def layer(dut):
    """Python sets the repeat bit and waits; results and cycles are compared afterwards.

    Designs without registers have no such bit; tb_hwprm.v forces what it would do.
    """
    dut.py_enable.value = 1
    bench = Bench(dut, "layer", source=False)
    await bench.reset()
    if bench.host.registers:
        await bench.write("CONTROL", 0b11)
    dut.py_enable.value = 0
    while not (int(dut.layer_over.value) or int(dut.stuck.value)):
        await next_event(dut, "layer")
    assert not int(dut.stuck.value), f"test layer: the layer was not through in cycle {int(dut.cycle.value)}"
