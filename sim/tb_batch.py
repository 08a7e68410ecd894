"""Protocol mode, of designs with batches alone: batches that stay short, and images that are lost inside them."""

import cocotb

from hwprm.testbench.bench import Bench, write_note


def note(bench, mark, images, batches):
    """Before the images are sent, so that layers are compared even where logits turn out wrong."""
    write_note(f"note_{mark}.json", {"name": bench.test, "images": images, "batches": batches})


@cocotb.test()
async def short_batches(dut):
    """Batches of one image, of one less than all, and of all; a flush of nothing does nothing; BATCH and CYCLES."""
    bench = Bench(dut, "short_batches")
    sizes = [1, bench.batch - 1, bench.batch]
    order = [i % bench.setup["images"] for i in range(sum(sizes))]
    await bench.reset(mark=10)
    note(bench, 10, order, sizes)
    await bench.write("FLUSH", 1)
    for i, size in enumerate(sizes):
        first = sum(sizes[:i])
        for index in order[first : first + size]:
            bench.send(index)
        if size < bench.batch:
            await bench.flush(first + size)
        await bench.expect(order[first : first + size])
        await bench.ticks(40)
        assert await bench.read("BATCH") == size, f"BATCH is not {size} behind a batch of as many"
        cycles = await bench.read("CYCLES") - await bench.read("MEMORY_STALLS")
        assert cycles == bench.setup["cycles"], f"CYCLES reads {cycles}, predicted are {bench.setup['cycles']}"
    await bench.write("FLUSH", 1)
    await bench.wait_cycles(bench.setup["cycles"] + 200)
    assert bench.sink.empty(), "a batch was computed although no image had come"
    await bench.reads("FRAMES_OUT", len(order))


@cocotb.test()
async def flush_in_mid_image(dut):
    """A flush waits for the image under way, which leaves with those before it."""
    bench = Bench(dut, "flush_in_mid_image")
    order = [0, 1 % bench.setup["images"]]
    await bench.reset(mark=11)
    note(bench, 11, order, [2])
    bench.send(order[0])
    await bench.received(1)
    bench.send(order[1])
    await bench.ticks(len(bench.images[0]) // 2 + 2)
    bench.source.pause = True
    await bench.write("FLUSH", 1)
    await bench.wait_cycles(bench.setup["cycles"] // 4 + 50)
    bench.source.pause = False
    await bench.expect(order)
    await bench.reads("FRAMES_OUT", 2)


@cocotb.test()
async def dropped_in_batch(dut):
    """An image that is too short leaves its place in the batch to the next one."""
    bench = Bench(dut, "dropped_in_batch")
    order = [i % bench.setup["images"] for i in range(bench.batch)]
    words = len(bench.images[0])
    await bench.reset(mark=12)
    note(bench, 12, order, [bench.batch])
    for i, index in enumerate(order):
        if words > 1:
            bench.send(index, words=max(1, words // 2))
        bench.send(index, words=words + 1 + i)
        bench.send(index)
    await bench.expect(order)
    await bench.reads("FRAMES_DROPPED", bench.batch * (1 + (words > 1)))
    await bench.reads("BATCH", bench.batch)
