"""Helpers of the cocotb testbenches in ``sim/``. Imported inside the simulator only."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cocotb.triggers import RisingEdge, Timer, ValueChange, with_timeout
from cocotb.triggers import SimTimeoutError as SimTimeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiReadBus,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from hwprm.core.limits import RESET_CYCLES
from hwprm.isa.hosts import WORD_BYTES, Host

__all__ = [
    "CLOCK_NS",
    "RUNNING",
    "STATUS_ERROR",
    "STATUS_LONG",
    "STATUS_SHORT",
    "Bench",
    "begin",
    "bursts",
    "next_event",
    "read_setup",
    "write_note",
]

CLOCK_NS = 10
#: The note that names the test under way; `hwprm.verification.simulators.session` reads it.
RUNNING = "running.json"
#: Bits of the STATUS register.
STATUS_SHORT, STATUS_LONG, STATUS_ERROR = 1 << 1, 1 << 2, 1 << 3
#: What every answer of a register is.
OKAY = 0
#: Where the external image may begin: at multiples of this.
PAGE = 4096
#: Cycles that a register may take to answer, pauses of the bus included.
REGISTER_CYCLES = 10_000


class Bench:
    """The design under test in the cocotb test called `test`, with a driver on every bus, on the image's if `source`.

    Everything is timed by ``py_clk``, see tb_hwprm.v. No wait is without end: what does not come within some multiple
    of the predicted cycles never comes, and AssertionError says in which test, of which image, in which cycle.
    """

    def __init__(self, dut: Any, test: str, *, source: bool = True, memory: bool = True) -> None:
        self.dut, self.test = dut, test
        begin(test)
        self.setup: dict[str, Any] = read_setup()
        self.host = Host(**self.setup["host"])
        images = np.load("images.npy")
        #: Beats of every image, as unsigned words.
        self.images = [self._beats(image) for image in images.reshape(len(images), -1)]
        logits = np.load("logits.npy")
        #: Words of every image's result, as signed integers.
        self.logits = [[int(v) for v in row] for row in logits.reshape(len(logits), -1)]
        #: Images of a batch.
        self.batch: int = self.setup["batch"]
        self.random = random.Random(self.setup["seed"])
        reset = dut.rst
        self.bases: Iterator[int] | None = None
        if self.host.kind == "uart":
            return
        if source:
            self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.py_clk, reset, byte_lanes=1)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.py_clk, reset, byte_lanes=1)
        if self.host.registers:
            self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.py_clk, reset)
        if memory and self.setup["external"]:
            self._attach_memory(reset)

    def _beats(self, image: np.ndarray[Any, Any]) -> list[int]:
        """The activations of `image` as they enter: words, or their bytes."""
        octets = self.setup["beat_bytes"]
        words = [int(v) & ((1 << 8 * octets) - 1) for v in image]
        return words if self.host.registers else [byte for word in words for byte in word.to_bytes(octets, "little")]

    def _attach_memory(self, reset: Any) -> None:
        """The external image behind the read channels, which pause as they like."""
        image = Path("mem/external.bin").read_bytes()
        image += bytes(-len(image) % PAGE)
        self.bases = _bases(len(image), f"{self.setup['seed']} {self.test}")
        bus = AxiReadBus.from_prefix(self.dut, "m_axi")
        self.ram = AxiRamRead(bus, self.dut.py_clk, reset, mem=image)
        for channel in (self.ram.ar_channel, self.ram.r_channel):
            channel.set_pause_generator(bursts(self.random.getrandbits(30)))

    async def boot(self) -> None:
        """Tell the design where the external image lies, where there is one: elsewhere behind every reset."""
        if self.bases is not None:
            base = next(self.bases)
            if hasattr(self.dut, "memory_base"):  # older bundles' test benches do not look at addresses
                self.dut.memory_base.value = base
            await self.write("BASE_HIGH", base >> 32)
            await self.write("BASE", base & 0xFFFFFFFF)

    async def ticks(self, count: int = 1) -> None:
        """Wait for `count` sampling points."""
        for _ in range(count):
            await RisingEdge(self.dut.py_clk)

    async def reset(self, mark: int | None = None, *, cycles: int = RESET_CYCLES) -> None:
        """Hold reset for `cycles`; `mark` (1 and up) begins another section of the event log."""
        if mark is not None:
            self.dut.mark.value = mark
            await self.ticks()
        self.dut.rst.value = 1
        if self.host.kind != "uart":
            self.dut.s_axis_tvalid.value = 0
        await self.ticks(cycles)
        self.dut.rst.value = 0
        await self.boot()

    def send(self, index: int, *, words: int | None = None) -> None:
        """Queue image `index`; `words` cuts it short or (repeating its start) makes it longer."""
        image = self.images[index]
        beats = image if words is None else (image * (1 + words // len(image)))[:words]
        self.source.send_nowait(AxiStreamFrame(beats))

    async def received(self, count: int) -> None:
        """Wait until `count` images have come since reset. Raises AssertionError when they do not come in time."""

        async def come() -> None:
            while await self.read("FRAMES_IN") < count:
                await self.wait_cycles(20)

        await self.within(come(), self.setup["limit_cycles"], f"{count} images were not received")

    async def flush(self, count: int) -> None:
        """Start a batch that stays short, once `count` images have come since reset; one by one images need none."""
        if self.batch > 1:
            await self.received(count)
            await self.write("FLUSH", 1)

    def batches(self, count: int) -> list[int]:
        """The batches that `count` images make, the last of them behind a flush."""
        whole, rest = divmod(count, self.batch)
        return [self.batch] * whole + [rest] * (rest > 0)

    async def within(self, trigger: Any, cycles: int, what: str) -> Any:
        """The outcome of `trigger`, which may take `cycles`; else AssertionError says `what` is missing, and when."""
        try:
            return await with_timeout(trigger, cycles * CLOCK_NS, "ns")
        except SimTimeout:
            now = int(self.dut.cycle.value)
            raise AssertionError(f"test {self.test}: {what} within {cycles} cycles, in cycle {now}") from None

    async def receive(self, image: int) -> list[int]:
        """The next result, that of image `image`, signed words. Raises AssertionError when none comes in time."""
        what = f"image {image}: no logits came"
        frame = await self.within(self.sink.recv(), self.setup["limit_cycles"], what)
        data = [int(value) for value in frame.tdata]
        if not self.host.registers:
            assert len(data) % WORD_BYTES == 0, f"image {image}: TLAST came inside a logit, after {len(data)} bytes"
            data = [int.from_bytes(data[i : i + WORD_BYTES], "little") for i in range(0, len(data), WORD_BYTES)]
        return [word - (1 << 32) if word >> 31 else word for word in data]

    async def expect(self, indices: Sequence[int]) -> None:
        """Receive the results of images `indices`, in that order, and nothing else."""
        for index in indices:
            got, want = await self.receive(index), self.logits[index]
            assert len(got) == len(want), f"image {index}: {len(got)} logits instead of {len(want)}, so TLAST is wrong"
            bad = [
                f"logit {i}: expected {w}, got {g}" for i, (w, g) in enumerate(zip(want, got, strict=True)) if w != g
            ]
            assert not bad, f"image {index}: " + "; ".join(bad[:4])
        await self.ticks(20)
        assert self.sink.empty(), "a result came that belongs to no image"

    async def read(self, name: str) -> int:
        """Value of the register called `name`."""
        offset = self.setup["registers"][name]["offset"]
        what = f"register {name} did not answer a read"
        answer = await self.within(self.axil.read(offset, 4), REGISTER_CYCLES, what)
        assert int(answer.resp) == OKAY, f"register {name} answers a read with RRESP {int(answer.resp)}"
        return int.from_bytes(answer.data, "little")

    async def reads(self, name: str, value: int) -> None:
        """Raises AssertionError unless the register called `name` reads `value`."""
        got = await self.read(name)
        assert got == value, f"register {name} reads {got}, {value} is expected"

    async def write(self, name: str, value: int) -> None:
        """Write the register called `name`."""
        offset = self.setup["registers"][name]["offset"]
        what = f"register {name} did not answer a write"
        data = value.to_bytes(4, "little")
        answer = await self.within(self.axil.write(offset, data), REGISTER_CYCLES, what)
        assert int(answer.resp) == OKAY, f"register {name} answers a write with BRESP {int(answer.resp)}"

    async def counters(self) -> dict[str, int]:
        """What the design counted since reset; without registers, as the test bench's probes have it."""
        if self.host.registers:
            names = ("STATUS", "CYCLES", "FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED", "STALLS", "MEMORY_STALLS")
            return {name: await self.read(name) for name in names}
        done = int(self.dut.frames_done.value)
        return {"CYCLES": self.cycles, "MEMORY_STALLS": 0, "FRAMES_OUT": done, "FRAMES_DROPPED": self.error}

    @property
    def cycles(self) -> int:
        """Cycles of the image that was finished last, of a design without registers."""
        return int(self.dut.cycles_now.value)

    @property
    def error(self) -> int:
        """Whether an image was dropped since reset, of a design without registers."""
        return int(self.dut.error.value)

    async def taken(self, image: int, beat: int) -> None:
        """Wait until the beat that stands on ``s_axis`` is taken. Raises AssertionError when it is not in time."""

        async def ready() -> None:
            while True:
                await RisingEdge(self.dut.py_clk)
                if self.dut.s_axis_tready.value:
                    return

        await self.within(ready(), self.setup["limit_cycles"], f"image {image}: beat {beat} was not taken")

    async def offered(self, name: str) -> None:
        """Wait until the output called `name` is high. Raises AssertionError when it is not in time."""

        async def high() -> None:
            while not int(getattr(self.dut, name).value):
                await RisingEdge(self.dut.py_clk)

        await self.within(high(), self.setup["limit_cycles"], f"{name} was not seen")

    async def wait_cycles(self, count: int) -> None:
        """Let `count` clock cycles pass without waking."""
        await Timer(count * CLOCK_NS, "ns")


def bursts(seed: int) -> Iterator[bool]:
    """Endless pauses for a bus: single cycles, runs, and stretches at full speed."""
    rng = random.Random(seed)
    while True:
        likelihood = rng.choice((0.0, 0.1, 0.5, 0.9))
        for _ in range(rng.randint(1, 60)):
            yield rng.random() < likelihood


def _bases(size: int, seed: str) -> Iterator[int]:
    """Endless places of 64 bits for `size` bytes, multiples of it."""
    rng = random.Random(seed)
    while True:
        yield rng.randrange((1 << 64) // size) * size


def read_setup() -> dict[str, Any]:
    """What the process that started the simulator wrote for the testbench."""
    setup: dict[str, Any] = json.loads(Path("setup.json").read_text())
    return setup


def begin(test: str) -> None:
    """Note which test runs, so that whoever has to stop the simulator can say so."""
    write_note(RUNNING, test)


async def next_event(dut: Any, test: str) -> None:
    """Wait for the next frame end, for the end of a layer alone, or for the watchdog of tb_hwprm.v.

    Raises AssertionError when none of them comes in time, as with a result that never ends.
    """
    limit = read_setup()["limit_cycles"]
    try:
        await with_timeout(ValueChange(dut.progress), limit * CLOCK_NS, "ns")
    except SimTimeout:
        image, now = int(dut.frames_done.value), int(dut.cycle.value)
        raise AssertionError(f"test {test}: image {image}: no end within {limit} cycles, in cycle {now}") from None


def write_note(name: str, value: Any) -> None:
    """Leave `value` as JSON for the process that started the simulator."""
    Path(name).write_text(json.dumps(value))
