"""Protocol mode of designs on a serial line: frames as they should be, and every way of breaking one.

Logits are compared here; the layers in between are compared afterwards from the event log, as in tb_protocol.py.
"""

import cocotb

from hwprm.isa.frames import HELLO, STATUS, Frame, Reason, Status
from hwprm.testbench.bench import write_note
from hwprm.testbench.serial import SerialBench


def note(bench, mark, images):
    """Before the images are sent, so that layers are compared even where logits turn out wrong."""
    write_note(f"note_{mark}.json", {"name": bench.test, "images": images, "batches": [1] * len(images)})


def flipped(data, place, bit=0):
    """`data` with a wrong bit."""
    return bytes(byte ^ (i == place) << bit for i, byte in enumerate(data))


@cocotb.test()
async def greeting(dut):
    """After reset, and when asked, the design says what it is."""
    bench = SerialBench(dut, "greeting")
    first = await bench.greet(mark=1)
    assert (first.next, first.dropped) == (0, 0), f"after reset STATUS says {first}"
    assert (int(dut.busy.value), bench.error) == (0, 0), "busy or error is 1 after reset"
    await bench.put(Frame(kind=HELLO).encode())
    again = await bench.status(Reason.ASKED)
    assert (again.next, again.dropped) == (0, 0), f"when asked STATUS says {again}"
    bench.silent()


@cocotb.test()
async def back_to_back(dut):
    """As many images at a time as the design holds, without a gap between their bytes; the core takes its cycles."""
    bench = SerialBench(dut, "back_to_back")
    order = list(range(bench.setup["images"]))
    await bench.greet(mark=2)
    note(bench, 2, order)
    await bench.through(order)
    assert bench.cycles == bench.setup["cycles"], (
        f"an image took {bench.cycles} cycles, predicted are {bench.setup['cycles']}"
    )
    assert bench.error == 0, "error is 1, no transfer was dropped"
    bench.silent()


@cocotb.test()
async def gaps(dut):
    """Pauses between bytes that are shorter than a silence."""
    bench = SerialBench(dut, "gaps")
    order = [i % bench.setup["images"] for i in range(3)]
    await bench.greet(mark=3)
    note(bench, 3, order)
    await bench.through(order, gaps=True)
    bench.silent()


@cocotb.test()
async def broken_frames(dut):
    """A wrong bit anywhere drops the transfer, with the reason; sent again, the image is right."""
    bench = SerialBench(dut, "broken_frames")
    index = 1 % bench.setup["images"]
    await bench.greet(mark=4)
    note(bench, 4, [index] * 2)
    good = bench.image(index, 0)
    reasons = {
        0: Reason.HEADER,
        1: Reason.HEADER,
        2: Reason.ORDER,
        3: Reason.HEADER,
        5: Reason.HEADER,
        6: Reason.CHECKSUM,
        len(good) - 5: Reason.CHECKSUM,
        len(good) - 1: Reason.CHECKSUM,
    }
    for count, (place, reason) in enumerate(reasons.items()):
        await bench.put(flipped(good, place, bit=4))
        status = await bench.status(reason)
        assert (status.next, status.dropped) == (0, count + 1), f"behind a broken frame STATUS says {status}"
    assert bench.error == 1, "error is not 1 after a dropped transfer"
    await bench.through([index])
    await bench.put(flipped(Frame(kind=HELLO).encode(), 9))
    await bench.status(Reason.CHECKSUM)
    await bench.through([index], first=1)
    bench.silent()


@cocotb.test()
async def short_frames(dut):
    """The line falls silent inside a frame, or carries bytes that begin none; the next image is right."""
    bench = SerialBench(dut, "short_frames")
    await bench.greet(mark=5)
    note(bench, 5, [0])
    good = bench.image(0, 0)
    for length in sorted({1, 4, 7, len(good) - 5, len(good) - 1}):
        await bench.put(good[:length])
        await bench.status(Reason.SILENCE)
    await bench.put(good[7:])
    await bench.status(Reason.HEADER)
    await bench.put(good[:8])
    await bench.put(good[8:9], stop=0)
    await bench.put(good[9:])
    status = await bench.status(Reason.BYTE)
    assert status.next == 0, f"behind broken frames STATUS says {status}"
    await bench.through([0])
    bench.silent()


@cocotb.test()
async def wrong_numbers(dut):
    """An image that is not the next one is dropped, be it an older one again or one too far ahead."""
    bench = SerialBench(dut, "wrong_numbers")
    await bench.greet(mark=6)
    note(bench, 6, [0, 0])
    await bench.put(bench.image(0, 1))
    assert (await bench.status(Reason.ORDER)).next == 0
    await bench.through([0])
    await bench.put(bench.image(0, 0))
    assert (await bench.status(Reason.ORDER)).next == 1
    await bench.through([0], first=1)
    bench.silent()


@cocotb.test()
async def reset_in_mid_image(dut):
    """Reset while an image is computed and the next one comes: what is left of that begins nothing."""
    bench = SerialBench(dut, "reset_in_mid_image")
    last = bench.setup["images"] - 1
    await bench.greet(mark=7)
    await bench.put(bench.image(0, 0))
    coming = bench.image(last, 1)
    await bench.put(coming[: len(coming) // 2])
    await bench.reset()
    note(bench, 7, [last])
    await bench.put(coming[len(coming) // 2 :])
    bench.clear()  # of what the reset cut
    status = await bench.status(Reason.RESET)
    assert (status.next, status.dropped) == (0, 0), f"after reset STATUS says {status}"
    assert bench.error == 0, "error is 1 after reset"
    await bench.through([last])
    bench.silent()


@cocotb.test()
async def careless_host(dut):
    """A host that waits for no result: what there is no room for is told, and every result that comes is right."""
    bench = SerialBench(dut, "careless_host")
    await bench.greet(mark=8)
    order = [i % bench.setup["images"] for i in range(5)]
    note(bench, 8, order)
    taken = sent = 0
    while taken < len(order):
        if sent < len(order):
            await bench.put(b"".join(bench.image(order[i], i) for i in range(sent, len(order))))
            sent = len(order)
        frame = await bench.take()
        if frame.kind == STATUS:
            status = Status.decode(frame.payload)
            assert status.reason == Reason.OVERRUN, f"STATUS says {status.reason.name}, expected OVERRUN"
            sent = status.next
        else:
            bench.check(frame, order[taken], taken)
            taken += 1
    bench.silent()
