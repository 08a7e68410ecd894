"""A read-only AXI4 memory for Amaranth's simulator, which refuses whatever a master must not do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from hwprm.config import MemoryConfig
from hwprm.isa import ExternalMemory

__all__ = ["BASE", "AxiMemory", "random_delays"]

BASE = 0x1_2345_6000
OKAY, SLAVE_ERROR = 0, 2


def random_delays(seed: int, longest: int = 40) -> Callable[[], int]:
    """Cycles before the next burst's address is taken or the next beat comes: none as a rule, now and then many."""
    rng = np.random.default_rng(seed)
    return lambda: int(rng.integers(1, longest)) if rng.random() < 0.15 else 0


class AxiMemory:
    """Holds `image` ``(beats, bytes)`` from `BASE` on; times of `timing`, or random ones from `delays`."""

    def __init__(
        self,
        image: Any,
        external: ExternalMemory,
        *,
        timing: MemoryConfig | None = None,
        delays: Callable[[], int] | None = None,
        bad_beat: int | None = None,
    ) -> None:
        self.words = [int.from_bytes(row.tobytes(), "little") for row in image]
        self.external, self.timing, self.delays, self.bad_beat = external, timing, delays, bad_beat
        self.bursts: list[int] = []  # first beat of every burst that was asked for
        self.first_accept: int | None = None

    def bench(self, port: Any) -> Any:
        """A background bench for `port`, the read channels."""

        async def serve(ctx: Any) -> None:
            queue: deque[tuple[int, int]] = deque()  # beat number, first cycle in which it may come
            timing = self.timing or MemoryConfig(latency=1)
            credit, time, hold, sent, held = timing.rate.denominator + timing.rate.numerator - 1, 0, 0, 0, None
            ctx.set(port.arready, 1)
            signals = (port.arvalid, port.arready, port.araddr, port.rvalid, port.rready)
            async for _, _, arvalid, arready, araddr, rvalid, rready in ctx.tick().sample(*signals):
                time += 1
                if held is not None and (arvalid, araddr) != (1, held):
                    raise AssertionError("an address that was offered changed before it was taken")
                held = araddr if arvalid and not arready else None
                if rvalid and not rready:
                    raise AssertionError("the master was not ready for a beat that it has asked for")
                if arvalid and arready:
                    self._accept(queue, araddr, time + timing.latency)
                    if self.first_accept is None:
                        self.first_accept = time
                credit = min(credit + timing.rate.numerator, timing.rate.denominator + timing.rate.numerator - 1)
                hold = max(0, hold - 1)
                now = bool(queue) and queue[0][1] <= time + 1 and credit >= timing.rate.denominator and not hold
                if now:
                    credit -= timing.rate.denominator
                    beat, _ = queue.popleft()
                    ctx.set(port.rdata, self.words[beat])
                    ctx.set(port.rresp, SLAVE_ERROR if sent == self.bad_beat else OKAY)
                    sent += 1
                    hold = self.delays() if self.delays else 0
                ctx.set(port.rvalid, int(now))
                if self.delays:
                    ctx.set(port.arready, int(self.delays() == 0))

        return serve

    def _accept(self, queue: deque[tuple[int, int]], address: int, ready: int) -> None:
        ext = self.external
        offset = address - BASE
        if offset % ext.burst_bytes or not 0 <= offset < len(self.words) * ext.beat_bytes:
            raise AssertionError(f"a burst was asked for at {address:#x}, offset {offset}")
        first = offset // ext.beat_bytes
        self.bursts.append(first)
        queue.extend((first + i, ready) for i in range(ext.burst_beats))
        if len(queue) > ext.fifo_beats:
            raise AssertionError(f"{len(queue)} beats were asked for, the FIFO holds {ext.fifo_beats}")
