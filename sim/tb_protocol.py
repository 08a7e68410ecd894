"""Protocol mode: every bus driven through cocotbext-axi, with gaps, back-pressure and misuse.

Logits are compared here; the layers in between are compared afterwards from the event log, for which every test
leaves a note of the images that ran to the end, in order.
"""

import cocotb

from hwprm.testbench.bench import STATUS_LONG, STATUS_SHORT, Bench, bursts, write_note


def note(bench, mark, images):
    """Before the images are sent, so that layers are compared even where logits turn out wrong."""
    batches = bench.batches(len(images))
    write_note(f"note_{mark}.json", {"name": bench.test, "images": images, "batches": batches})


@cocotb.test()
async def registers(dut):
    """Constants, design hash, and a status that is idle after reset."""
    bench = Bench(dut, "registers")
    await bench.reset(mark=1)
    for name, entry in bench.setup["registers"].items():
        if entry["value"] is not None:
            value = await bench.read(name)
            assert value == entry["value"], f"register {name} reads {value:#x}, the manifest says {entry['value']:#x}"
    assert await bench.read("STATUS") == 0, "STATUS is not idle after reset"
    for name in ("FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED"):
        assert await bench.read(name) == 0, f"{name} is not 0 after reset"


@cocotb.test()
async def random_traffic(dut):
    """Random gaps in the image, random back-pressure on the logits, registers used meanwhile, gaps there too."""
    bench = Bench(dut, "random_traffic")
    count = bench.setup["images"]
    await bench.reset(mark=2)
    note(bench, 2, list(range(count)))
    bench.source.set_pause_generator(bursts(bench.random.getrandbits(30)))
    bench.sink.set_pause_generator(bursts(bench.random.getrandbits(30)))

    # Each channel on its own, so that addresses come before data and data before addresses.
    write, read = bench.axil.write_if, bench.axil.read_if
    for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
        channel.set_pause_generator(bursts(bench.random.getrandbits(30)))

    async def poll():
        while True:
            assert await bench.read("STATUS") in (0, 1), "an image is flagged as short or long, none is"
            await bench.write("STATUS", STATUS_SHORT | STATUS_LONG)
            await bench.reads("ID", bench.setup["registers"]["ID"]["value"])
            await bench.wait_cycles(bench.random.randint(1, 500))

    cocotb.start_soon(poll())
    for index in range(count):
        bench.send(index)
    await bench.flush(count)
    await bench.expect(range(count))


@cocotb.test()
async def back_to_back(dut):
    """Images without a gap between them, two batches of them at least; counters and the cycle counter."""
    bench = Bench(dut, "back_to_back")
    count = bench.setup["images"]
    order = list(range(count))
    if bench.batch > 1:
        order = [i % count for i in range(max(count, 2 * bench.batch))]
    await bench.reset(mark=3)
    note(bench, 3, order)
    for index in order:
        bench.send(index)
    await bench.flush(len(order))
    await bench.expect(order)
    await bench.reads("FRAMES_IN", len(order))
    await bench.reads("FRAMES_OUT", len(order))
    await bench.reads("FRAMES_DROPPED", 0)
    assert await bench.read("STATUS") == 0, "STATUS is not idle after the last logit"
    cycles = await bench.read("CYCLES") - await bench.read("MEMORY_STALLS")
    assert cycles == bench.setup["cycles"], f"CYCLES reads {cycles}, predicted are {bench.setup['cycles']}"


@cocotb.test()
async def first_beat_after_reset(dut):
    """TVALID is high throughout reset and the first beat is taken in the first cycle that offers it."""
    bench = Bench(dut, "first_beat_after_reset", source=False)
    dut.mark.value = 4
    note(bench, 4, [0])
    dut.rst.value = 1
    await bench.ticks(8)
    dut.s_axis_tdata.value = bench.images[0][0]
    dut.s_axis_tlast.value = int(len(bench.images[0]) == 1)
    dut.s_axis_tvalid.value = 1
    await bench.ticks(4)
    dut.rst.value = 0
    cocotb.start_soon(bench.boot())
    for i in range(len(bench.images[0])):
        dut.s_axis_tdata.value = bench.images[0][i]
        dut.s_axis_tlast.value = int(i == len(bench.images[0]) - 1)
        await bench.taken(0, i)
    dut.s_axis_tvalid.value = 0
    await bench.flush(1)
    await bench.expect([0])


@cocotb.test()
async def reset_in_mid_image(dut):
    """Reset while an image is computed and half of the next one has been received; the one after is right."""
    bench = Bench(dut, "reset_in_mid_image")
    last = bench.setup["images"] - 1
    await bench.reset(mark=5)
    for _ in range(bench.batch):
        bench.send(0)
    bench.send(last, words=max(1, len(bench.images[last]) // 2))
    await bench.wait_cycles(bench.batch * len(bench.images[0]) + bench.setup["cycles"] // 3)
    bench.source.clear()
    await bench.reset()
    bench.sink.clear()
    note(bench, 5, [last])
    assert await bench.read("STATUS") == 0, "STATUS is not idle after reset"
    bench.send(last)
    await bench.flush(1)
    await bench.expect([last])


@cocotb.test()
async def short_image(dut):
    """TLAST comes early: flagged, dropped, the next image is right; the flag clears by writing a one."""
    bench = Bench(dut, "short_image")
    await bench.reset(mark=6)
    note(bench, 6, [1 % bench.setup["images"]])
    lengths = sorted({1, len(bench.images[0]) // 2, len(bench.images[0]) - 1} - {0, len(bench.images[0])})
    for words in lengths:
        bench.send(0, words=words)
    bench.send(1 % bench.setup["images"])
    await bench.flush(1)
    await bench.expect([1 % bench.setup["images"]])
    await bench.reads("FRAMES_DROPPED", len(lengths))
    status = await bench.read("STATUS")
    assert status == (STATUS_SHORT if lengths else 0), f"STATUS reads {status:#x} after a short image"
    await bench.write("STATUS", STATUS_SHORT)
    assert await bench.read("STATUS") == 0, "the flag of a short image does not clear"


@cocotb.test()
async def long_image(dut):
    """TLAST comes late: flagged, dropped, the next image is right; the flag clears by writing a one."""
    bench = Bench(dut, "long_image")
    await bench.reset(mark=7)
    note(bench, 7, [0])
    words = len(bench.images[0])
    for length in (words + 1, 2 * words + 3):
        bench.send(0, words=length)
    bench.send(0)
    await bench.flush(1)
    await bench.expect([0])
    await bench.reads("FRAMES_DROPPED", 2)
    status = await bench.read("STATUS")
    assert status == STATUS_LONG, f"STATUS reads {status:#x} after a long image"
    await bench.write("STATUS", STATUS_LONG)
    assert await bench.read("STATUS") == 0, "the flag of a long image does not clear"


@cocotb.test()
async def stalled_sink(dut):
    """Nobody takes logits for a long time; nothing is lost, and the cycle counter leaves the waiting out."""
    bench = Bench(dut, "stalled_sink")
    order = [i % bench.setup["images"] for i in range(3 * bench.batch)]
    await bench.reset(mark=8)
    note(bench, 8, order)
    bench.sink.pause = True
    for index in order:
        bench.send(index)
    # The third image, or batch, waits for room: one leaves, one is held.
    await bench.wait_cycles(3 * (bench.setup["cycles"] + bench.batch * len(bench.images[0])) + 200)
    bench.sink.pause = False
    await bench.expect(order)
    cycles = await bench.read("CYCLES") - await bench.read("MEMORY_STALLS")
    assert cycles == bench.setup["cycles"], (
        f"CYCLES reads {cycles} after a stall, predicted are {bench.setup['cycles']}"
    )
    write_note("stalls.json", {"mark": 8, "stalls": await bench.read("STALLS")})


@cocotb.test()
async def run_control(dut):
    """With CONTROL bit 0 cleared no image is started; setting it again starts the one that waits, as it came: what is
    left of one behind it that is too long goes nowhere.
    """
    bench = Bench(dut, "run_control")
    await bench.reset(mark=9)
    note(bench, 9, [0])
    assert await bench.read("CONTROL") == 1, "CONTROL is not 1 after reset"
    await bench.write("CONTROL", 0)
    bench.send(0)
    await bench.flush(1)
    bench.send(0, words=len(bench.images[0]) + 4)
    await bench.wait_cycles(bench.setup["cycles"] + 3 * len(bench.images[0]) + 200)
    assert bench.sink.empty(), "an image was computed although CONTROL bit 0 is 0"
    await bench.write("CONTROL", 1)
    await bench.expect([0])


@cocotb.test()
async def reset_drops_answers(dut):
    """Reset while an answer and a result stand on their buses, and while the next ones are asked for: all are gone."""
    bench = Bench(dut, "reset_drops_answers")
    order = [i % bench.setup["images"] for i in range(bench.batch)]
    await bench.reset(mark=13)
    for index in order:
        bench.send(index)
    bench.sink.pause = True
    bench.axil.read_if.r_channel.pause = bench.axil.write_if.b_channel.pause = True
    cocotb.start_soon(bench.axil.read(0, 4))
    cocotb.start_soon(bench.axil.write(bench.setup["registers"]["CONTROL"]["offset"], bytes([1, 0, 0, 0])))
    await bench.offered("m_axis_tvalid")
    await bench.offered("s_axil_rvalid")
    await bench.offered("s_axil_bvalid")
    bench.source.clear()
    dut.rst.value = 1
    await bench.ticks(4)
    for name in ("m_axis_tvalid", "s_axil_rvalid", "s_axil_bvalid"):
        assert not int(getattr(dut, name).value), f"{name} is high in reset"
    bench.sink.pause = False
    bench.axil.read_if.r_channel.pause = bench.axil.write_if.b_channel.pause = False
    await bench.reset()
    bench.sink.clear()
    note(bench, 13, order)
    assert await bench.read("STATUS") == 0, "STATUS is not idle after reset"
    for name in ("FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED", "CYCLES", "STALLS", "MEMORY_STALLS"):
        assert await bench.read(name) == 0, f"{name} is not 0 after reset"
    for index in order:
        bench.send(index)
    await bench.expect(order)


@cocotb.test()
async def counters(dut):
    """Counters have all their 32 bits: set on by a third of them, thrice, each reads so much, and counts on."""
    bench = Bench(dut, "counters")
    order = [0] * bench.batch
    await bench.reset(mark=14)
    note(bench, 14, order)
    full = 0
    for _ in range(3 if hasattr(dut, "count_more") else 0):  # a netlist hides its counters
        full += 0x55555555
        dut.count_more.value = 0x55555555
        await bench.ticks(2)
        dut.count_more.value = 0
        await bench.ticks(2)
        for name in ("FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED", "STALLS", "CYCLES", "MEMORY_STALLS"):
            await bench.reads(name, full)
    bench.send(0, words=len(bench.images[0]) + 1)
    for index in order:
        bench.send(index)
    await bench.expect(order)
    for name, count in (("FRAMES_IN", len(order)), ("FRAMES_OUT", len(order)), ("FRAMES_DROPPED", 1)):
        await bench.reads(name, (full + count) % (1 << 32))
    cycles = await bench.read("CYCLES") - await bench.read("MEMORY_STALLS")
    assert cycles == bench.setup["cycles"], f"CYCLES reads {cycles}, predicted are {bench.setup['cycles']}"
