"""The serial line of a design as the cocotb testbenches in ``sim/`` drive it. Imported inside the simulator only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import FallingEdge, Timer

from hwprm.isa.frames import IMAGE, RESULT, STATUS, WINDOW, Decoder, Frame, Reason, Status
from hwprm.isa.hosts import WORD_BYTES
from hwprm.testbench.bench import CLOCK_NS, Bench

__all__ = ["SerialBench"]


class SerialBench(Bench):
    """A `Bench` whose images and results are frames on ``rx`` and ``tx``, bit by bit."""

    def __init__(self, dut: Any, test: str) -> None:
        super().__init__(dut, test)
        self._bit = self.host.divider * CLOCK_NS
        self._frames: Queue[Frame] = Queue()
        self._decoder = Decoder(longest=WORD_BYTES * len(self.logits[0]))
        cocotb.start_soon(self._listen())

    async def greet(self, mark: int | None = None) -> Status:
        """Reset the design and take the STATUS that it sends then; `mark` as in `reset`."""
        self.dut.rx.value = 1
        await self.reset(mark)
        self.clear()
        return await self.status(Reason.RESET)

    def clear(self) -> None:
        """Forget what has come so far, as a host that a reset cut short."""
        self._decoder = Decoder(longest=self._decoder.longest)
        self._frames = Queue()

    async def put(self, data: Iterable[int], *, stop: int = 1, gaps: bool = False) -> None:
        """Send bytes, without a `stop` bit if that is 0, with random `gaps` that are shorter than a silence."""
        await self.ticks()
        for byte in data:
            for level in (0, *(byte >> i & 1 for i in range(8)), stop):
                self.dut.rx.value = level
                await Timer(self._bit, "ns")
            self.dut.rx.value = 1
            if gaps and self.random.random() < 0.1:
                await Timer(self.random.randrange(1, self.host.silence // 2) * CLOCK_NS, "ns")

    async def quiet(self) -> None:
        """Leave the line alone until every transfer is over."""
        await self.wait_cycles(self.host.silence + 2 * self.host.divider)

    def image(self, index: int, number: int) -> bytes:
        """The frame of image `index`."""
        return Frame(kind=IMAGE, number=number, payload=bytes(self.images[index])).encode()

    async def take(self) -> Frame:
        """The next frame that comes. Raises AssertionError when none does in time."""
        frame: Frame = await self.within(self._frames.get(), self.setup["limit_cycles"], "no frame came")
        return frame

    async def status(self, reason: Reason) -> Status:
        """Take a STATUS of this `reason` and of this design."""
        frame = await self.take()
        assert frame.kind == STATUS, f"a frame of kind {frame.kind:#x} came instead of a STATUS"
        status = Status.decode(frame.payload)
        sizes = (len(self.images[0]), WORD_BYTES * len(self.logits[0]))
        assert (status.image, status.result) == sizes, f"STATUS tells of {status.image} and {status.result} bytes"
        assert status.hash == self.setup["design_hash"], f"STATUS tells of the design {status.hash}"
        assert status.reason == reason, f"STATUS says {status.reason.name}, expected {reason.name}"
        return status

    def check(self, frame: Frame, index: int, number: int) -> None:
        """Raises AssertionError unless `frame` is the RESULT `number`, that of image `index`."""
        assert (frame.kind, frame.number) == (RESULT, number % 256), (
            f"image {index}: a frame of kind {frame.kind:#x} and number {frame.number} came, not RESULT {number % 256}"
        )
        got = [
            int.from_bytes(frame.payload[i : i + WORD_BYTES], "little", signed=True)
            for i in range(0, len(frame.payload), WORD_BYTES)
        ]
        assert got == self.logits[index], f"image {index}: logits {got}, expected {self.logits[index]}"

    async def result(self, index: int, number: int) -> None:
        """Take the result of image `index`."""
        self.check(await self.take(), index, number)

    async def through(self, indices: Sequence[int], *, first: int = 0, gaps: bool = False) -> None:
        """Send images `indices`, numbered from `first`, as many at a time as the design holds; take all results."""
        for i, index in enumerate(indices):
            if i >= WINDOW:
                await self.result(indices[i - WINDOW], first + i - WINDOW)
            await self.put(self.image(index, first + i), gaps=gaps)
        for i in range(max(0, len(indices) - WINDOW), len(indices)):
            await self.result(indices[i], first + i)

    def silent(self) -> None:
        """Raises AssertionError when a frame waits that nobody expects, or bytes came that are none."""
        assert self._frames.empty(), "a frame came that nobody asked for"
        assert self._decoder.skipped == 0, f"{self._decoder.skipped} bytes came that are no frame"

    async def _listen(self) -> None:
        while True:
            await FallingEdge(self.dut.tx)
            await Timer(3 * self._bit // 2, "ns")
            byte = 0
            for i in range(8):
                byte |= int(self.dut.tx.value) << i
                await Timer(self._bit, "ns")
            if int(self.dut.tx.value):  # else a reset came between
                self._came(byte)

    def _came(self, byte: int) -> None:
        """What becomes of a byte of ``tx``."""
        for frame in self._decoder.feed(bytes([byte])):
            self._frames.put_nowait(frame)
