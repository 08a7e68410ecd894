"""The AXI4-Lite slave: every register, strobes, order of valid and ready, reads beside writes."""

from __future__ import annotations

import hashlib

import pytest
from amaranth.hdl import ResetInserter, Signal

from hwprm.gateware.host.registers import RegisterFile
from hwprm.isa import REGISTERS, register_offset
from hwprm.isa.registers import BATCHED, ID_VALUE, INTERFACE_VERSION
from tests.support.bench import axil_read, axil_write, simulate
from tests.support.hardware import hardware, inputs

DIGEST = hashlib.sha256(b"design").hexdigest()


def _file(batch: int = 1) -> RegisterFile:
    parts = inputs(3, ((3, 4, 5), 5))
    return RegisterFile(hardware(rows=5, cols=7, inputs=parts, output_words=11, design_hash=DIGEST, batch=batch))


async def _read(ctx, dut, name, **options):
    return await axil_read(ctx, dut.bus, register_offset(name), **options)


async def _write(ctx, dut, name, value, **options):
    await axil_write(ctx, dut.bus, register_offset(name), value, **options)


async def _pulse(ctx, *ports):
    for port in ports:
        ctx.set(port, 1)
    await ctx.tick()
    for port in ports:
        ctx.set(port, 0)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("wait", [0, 3], ids=["ready-first", "ready-late"])
def test_every_register_reads_its_value(wait, batch):
    dut = _file(batch)
    want = {
        "ID": ID_VALUE, "VERSION": INTERFACE_VERSION, "CONTROL": 1, "STATUS": 1, "CYCLES": 1234567890, "FRAMES_IN": 1,
        "FRAMES_OUT": 2, "FRAMES_DROPPED": 0, "STALLS": 3, "ROWS": 5, "COLS": 7, "INPUT_BEATS": 60, "OUTPUT_BEATS": 11,
        "MEMORY_STALLS": 0, "BASE": 0, "BASE_HIGH": 0,
    }  # fmt: skip
    want |= {f"HASH{i}": int(DIGEST, 16) >> 32 * i & 0xFFFFFFFF for i in range(8)}
    if batch > 1:  # two images of three came, twice
        want |= {"BATCH": 2, "BATCH_SIZE": 3, "FRAMES_OUT": 4, "FLUSH": 0}
    assert want.keys() == {register.name for register in REGISTERS} - (set(BATCHED) if batch == 1 else set())

    async def bench(ctx):
        ctx.set(dut.cycles, 1234567890)
        ctx.set(dut.busy, 1)
        if batch > 1:
            ctx.set(dut.images, 2)
        await _pulse(ctx, dut.received, dut.frame_done, dut.stalled)
        await _pulse(ctx, dut.frame_done, dut.stalled)
        await _pulse(ctx, dut.stalled)
        for name, value in want.items():
            assert await _read(ctx, dut, name, wait=wait) == value, name
        for address in (0x38, 0x3C, 0x68, 0xFC) if batch == 1 else (0x68, 0xFC):
            assert await axil_read(ctx, dut.bus, address, wait=wait) == 0, hex(address)

    simulate(dut, bench, deadline=2000)


def test_read_data_stand_until_taken():
    dut = _file()

    async def bench(ctx):
        ctx.set(dut.bus.araddr, register_offset("ROWS"))
        ctx.set(dut.bus.arvalid, 1)
        await ctx.tick().until(dut.bus.arready)
        ctx.set(dut.bus.araddr, register_offset("COLS"))
        for _ in range(4):
            await ctx.tick()
            assert (ctx.get(dut.bus.rvalid), ctx.get(dut.bus.rdata), ctx.get(dut.bus.arready)) == (1, 5, 0)
        ctx.set(dut.bus.rready, 1)
        await ctx.tick()
        assert not ctx.get(dut.bus.rvalid)
        await ctx.tick().until(dut.bus.arready)
        assert (ctx.get(dut.bus.rvalid), ctx.get(dut.bus.rdata)) == (1, 7)
        ctx.set(dut.bus.arvalid, 0)
        await ctx.tick()
        assert not ctx.get(dut.bus.rvalid)

    simulate(dut, bench, deadline=100)


def test_control_and_strobes():
    dut = _file()

    async def bench(ctx):
        assert ctx.get(dut.run) == 1
        await _write(ctx, dut, "CONTROL", 0, strobe=0b1110)
        assert ctx.get(dut.run) == 1, "the low byte was not written"
        await _write(ctx, dut, "CONTROL", 0xFFFFFFFE, strobe=0b0001)
        assert ctx.get(dut.run) == 0
        assert ctx.get(dut.repeat) == 1
        assert await _read(ctx, dut, "CONTROL") == 0b10
        await _write(ctx, dut, "CYCLES", 1)
        await _write(ctx, dut, "STATUS", 1)
        assert ctx.get(dut.run) == 0, "another register's write"
        await _write(ctx, dut, "CONTROL", 1)
        assert ctx.get(dut.run) == 1
        assert ctx.get(dut.repeat) == 0

    simulate(dut, bench, deadline=200)


def test_status_bits_stick_until_ones_are_written():
    dut = _file()

    async def bench(ctx):
        await _pulse(ctx, dut.short)
        await _pulse(ctx, dut.long)
        assert await _read(ctx, dut, "STATUS") == 0b110
        assert await _read(ctx, dut, "FRAMES_DROPPED") == 2
        await _write(ctx, dut, "STATUS", 0)
        assert await _read(ctx, dut, "STATUS") == 0b110
        await _write(ctx, dut, "STATUS", 0b010, strobe=0b1110)
        assert await _read(ctx, dut, "STATUS") == 0b110
        await _write(ctx, dut, "STATUS", 0b010)
        assert await _read(ctx, dut, "STATUS") == 0b100
        await _write(ctx, dut, "STATUS", 0b100)
        assert await _read(ctx, dut, "STATUS") == 0

    simulate(dut, bench, deadline=200)


def test_an_event_in_the_cycle_of_its_clearing_is_kept():
    dut = _file()

    async def bench(ctx):
        await _pulse(ctx, dut.short)
        ctx.set(dut.bus.awaddr, register_offset("STATUS"))
        ctx.set(dut.bus.wdata, 0b010)
        ctx.set(dut.bus.wstrb, 0b1111)
        ctx.set(dut.bus.bready, 1)
        ctx.set(dut.bus.awvalid, 1)
        ctx.set(dut.bus.wvalid, 1)
        await ctx.tick()
        assert ctx.get(dut.bus.awready), "the next edge writes"
        await _pulse(ctx, dut.bus.awvalid, dut.bus.wvalid, dut.short)
        assert await _read(ctx, dut, "STATUS") == 0b010

    simulate(dut, bench, deadline=100)


@pytest.mark.parametrize("first", ["awvalid", "wvalid"])
def test_address_and_data_may_come_apart(first):
    dut = _file()

    async def bench(ctx):
        other = "wvalid" if first == "awvalid" else "awvalid"
        ctx.set(dut.bus.awaddr, register_offset("CONTROL"))
        ctx.set(dut.bus.wdata, 0)
        ctx.set(dut.bus.wstrb, 0b1111)
        ctx.set(getattr(dut.bus, first), 1)
        for _ in range(3):
            await ctx.tick()
            assert (ctx.get(dut.bus.awready), ctx.get(dut.bus.wready), ctx.get(dut.run)) == (0, 0, 1)
        ctx.set(getattr(dut.bus, other), 1)
        await ctx.tick()
        assert (ctx.get(dut.bus.awready), ctx.get(dut.bus.wready)) == (1, 1)
        await ctx.tick()
        ctx.set(dut.bus.awvalid, 0)
        ctx.set(dut.bus.wvalid, 0)
        for _ in range(3):
            assert (ctx.get(dut.bus.bvalid), ctx.get(dut.bus.bresp), ctx.get(dut.run)) == (1, 0, 0)
            await ctx.tick()
        ctx.set(dut.bus.bready, 1)
        await ctx.tick()
        assert not ctx.get(dut.bus.bvalid)

    simulate(dut, bench, deadline=100)


def test_a_second_write_waits_for_the_first_response():
    dut = _file()

    async def bench(ctx):
        ctx.set(dut.bus.awaddr, register_offset("CONTROL"))
        ctx.set(dut.bus.wstrb, 0b1111)
        ctx.set(dut.bus.awvalid, 1)
        ctx.set(dut.bus.wvalid, 1)
        ctx.set(dut.bus.wdata, 0)
        await ctx.tick().until(dut.bus.awready)
        ctx.set(dut.bus.wdata, 1)
        for _ in range(3):
            await ctx.tick()
            assert (ctx.get(dut.bus.awready), ctx.get(dut.run)) == (0, 0)
        ctx.set(dut.bus.bready, 1)
        await ctx.tick().until(dut.bus.awready)
        assert (ctx.get(dut.run), ctx.get(dut.bus.bvalid)) == (1, 1)

    simulate(dut, bench, deadline=100)


def test_ready_answers_a_cycle_later_and_never_in_reset():
    file, reset = _file(), Signal()

    async def bench(ctx):
        for name in ("arvalid", "awvalid", "wvalid"):
            ctx.set(getattr(file.bus, name), 1)
        names = ("arready", "awready", "wready")
        ctx.set(reset, 1)
        for _ in range(3):
            assert [ctx.get(getattr(file.bus, name)) for name in names] == [0, 0, 0]
            await ctx.tick()
        ctx.set(reset, 0)
        assert [ctx.get(getattr(file.bus, name)) for name in names] == [0, 0, 0], "not in the cycle that asks"
        await ctx.tick()
        assert [ctx.get(getattr(file.bus, name)) for name in names] == [1, 1, 1]

    simulate(ResetInserter(reset)(file), bench, deadline=100)


def test_reads_and_writes_at_the_same_time():
    dut = _file()
    seen: list[int] = []

    async def reader(ctx):
        for _ in range(20):
            seen.append(await _read(ctx, dut, "ROWS"))

    async def writer(ctx):
        for i in range(10):
            await _write(ctx, dut, "CONTROL", i % 2)
            assert ctx.get(dut.run) == i % 2

    simulate(dut, reader, writer, deadline=500)
    assert seen == [5] * 20
