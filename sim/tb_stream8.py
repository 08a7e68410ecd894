"""Protocol mode of designs whose streams are of bytes: gaps, back-pressure and misuse on the pins.

Logits are compared here; the layers in between are compared afterwards from the event log, as in tb_protocol.py.
"""

import cocotb

from hwprm.core.limits import RESET_CYCLES
from hwprm.testbench.bench import Bench, bursts, write_note


def note(bench, mark, images):
    """Before the images are sent, so that layers are compared even where logits turn out wrong."""
    write_note(f"note_{mark}.json", {"name": bench.test, "images": images, "batches": [1] * len(images)})


def check_cycles(bench):
    """The core takes its cycles, whatever the host did."""
    assert bench.cycles == bench.setup["cycles"], (
        f"an image took {bench.cycles} cycles, predicted are {bench.setup['cycles']}"
    )


@cocotb.test()
async def random_traffic(dut):
    """Random gaps in the image and random back-pressure on the logits."""
    bench = Bench(dut, "random_traffic")
    count = bench.setup["images"]
    await bench.reset(mark=1)
    note(bench, 1, list(range(count)))
    bench.source.set_pause_generator(bursts(bench.random.getrandbits(30)))
    bench.sink.set_pause_generator(bursts(bench.random.getrandbits(30)))
    for index in range(count):
        bench.send(index)
    await bench.expect(range(count))
    check_cycles(bench)
    assert bench.error == 0, "error is 1, no image was dropped"


@cocotb.test()
async def back_to_back(dut):
    """Images without a gap between them; the cycle counter, and status that is idle before and after."""
    bench = Bench(dut, "back_to_back")
    order = list(range(bench.setup["images"]))
    await bench.reset(mark=2)
    note(bench, 2, order)
    assert (int(dut.busy.value), bench.error) == (0, 0), "busy or error is 1 after reset"
    for index in order:
        bench.send(index)
    await bench.expect(order)
    check_cycles(bench)
    assert (int(dut.busy.value), bench.error) == (0, 0), "busy or error is 1 after the last logit"


@cocotb.test()
async def first_byte_after_reset(dut):
    """Valid is high throughout reset and the first byte is taken in the first cycle that offers it."""
    bench = Bench(dut, "first_byte_after_reset", source=False)
    dut.mark.value = 3
    note(bench, 3, [0])
    dut.rst.value = 1
    await bench.ticks(RESET_CYCLES)
    dut.s_axis_tdata.value = bench.images[0][0]
    dut.s_axis_tlast.value = int(len(bench.images[0]) == 1)
    dut.s_axis_tvalid.value = 1
    await bench.ticks(4)
    dut.rst.value = 0
    for i, byte in enumerate(bench.images[0]):
        dut.s_axis_tdata.value = byte
        dut.s_axis_tlast.value = int(i == len(bench.images[0]) - 1)
        await bench.taken(0, i)
    dut.s_axis_tvalid.value = 0
    await bench.expect([0])


@cocotb.test()
async def reset_in_mid_image(dut):
    """Reset while an image is computed and half of the next one has been received; the one after is right."""
    bench = Bench(dut, "reset_in_mid_image")
    last = bench.setup["images"] - 1
    await bench.reset(mark=4)
    bench.send(0)
    bench.send(last, words=max(1, len(bench.images[last]) // 2))
    await bench.wait_cycles(len(bench.images[0]) + bench.setup["cycles"] // 3)
    bench.source.clear()
    await bench.reset()
    bench.sink.clear()
    note(bench, 4, [last])
    bench.send(last)
    await bench.expect([last])
    assert bench.error == 0, "error is 1 after reset, no image was dropped since"


@cocotb.test()
async def short_image(dut):
    """The last byte comes early, also inside an activation: dropped, flagged until reset, the next image is right."""
    bench = Bench(dut, "short_image")
    await bench.reset(mark=5)
    image = 1 % bench.setup["images"]
    note(bench, 5, [image, image])
    whole = len(bench.images[0])
    lengths = sorted({1, whole // 2, whole // 2 + 1, whole - 2, whole - 1} - {0, whole, -1})
    for words in lengths:
        bench.send(0, words=words)
    bench.send(image)
    await bench.expect([image])
    assert bench.error == (lengths != []), "error is not 1 after an image that was too short"
    bench.send(image)
    await bench.expect([image])
    assert bench.error == (lengths != []), "error went without a reset"
    check_cycles(bench)


@cocotb.test()
async def long_image(dut):
    """The last byte comes late: dropped, flagged, the next image is right."""
    bench = Bench(dut, "long_image")
    await bench.reset(mark=6)
    note(bench, 6, [0])
    whole = len(bench.images[0])
    for length in (whole + 1, whole + 2, 2 * whole + 3):
        bench.send(0, words=length)
    bench.send(0)
    await bench.expect([0])
    assert bench.error == 1, "error is not 1 after an image that was too long"


@cocotb.test()
async def stalled_sink(dut):
    """Nobody takes logits for a long time; nothing is lost, and the cycle counter leaves the waiting out."""
    bench = Bench(dut, "stalled_sink")
    order = [i % bench.setup["images"] for i in range(3)]
    await bench.reset(mark=7)
    note(bench, 7, order)
    bench.sink.pause = True
    for index in order:
        bench.send(index)
    await bench.wait_cycles(2 * (bench.setup["cycles"] + len(bench.images[0])) + 200)
    bench.sink.pause = False
    await bench.expect(order)
    check_cycles(bench)
    assert bench.error == 0, "error is 1, no image was dropped"
