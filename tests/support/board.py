"""A board without a board: what docs/hosts.md says of a device on a serial line, behind a pseudo-terminal."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Board", "boarded"]

#: Changes the bytes of a frame on their way; what goes over the line is what it returns.
Fault = Callable[[bytes], bytes]


def _same(data: bytes) -> bytes:
    return data


@dataclass
class Board:
    """Answers images of `image` bytes with ``answer(payload)``, as the design of this `hash`.

    Written from the tables of the documentation, without the code that it is there to test. Every frame that comes in
    goes through `inward`, every one that goes out through `outward`; `resets` says before which images it is reset.
    """

    image: int
    result: int
    hash: str
    answer: Callable[[bytes], bytes]
    inward: Fault = _same
    outward: Fault = _same
    silence: float = 0.004
    mute: bool = False
    resets: set[int] = field(default_factory=set)
    next: int = 0
    taken: int = 0
    dropped: int = 0
    _held: bytearray = field(default_factory=bytearray)
    _reason: int | None = None
    _out: deque[bytes] = field(default_factory=deque)
    _over: threading.Event = field(default_factory=threading.Event)

    def serve(self, end: int) -> None:
        """Be the device at `end`, until `stop`."""
        last = time.monotonic()
        while not self._over.is_set():
            ready, _, _ = select.select([end], [], [], 0.002)
            if ready:
                try:
                    data = os.read(end, 1 << 16)
                except OSError:  # nobody has the other end open
                    time.sleep(0.002)
                    continue
                for frame in self._frames(data):
                    self._held += self.inward(frame)
                    self._parse()
                last = time.monotonic()
            elif time.monotonic() - last > self.silence:
                self._quiet()
            while self._out and not self.mute:
                os.write(end, self._out.popleft())

    def stop(self) -> None:
        """Let `serve` end."""
        self._over.set()

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """What a host sent, which writes whole frames."""
        while data:
            length = 10 if data[1:2] == b"\x01" else self.image + 10
            yield data[:length]
            data = data[length:]

    def _parse(self) -> None:
        while self._reason is None and self._held:
            head = self._held[:6]
            sizes = {1: 0, 2: self.image}
            length = int.from_bytes(head[3:6], "little")
            known = head[0] == 0xA5 and (len(head) == 1 or head[1] in sizes)
            if not known or (len(head) == 6 and length != sizes[head[1]]):
                self._reason = 4
            elif len(head) < 6 or len(self._held) < length + 10:
                return
            else:
                whole = bytes(self._held[: length + 10])
                del self._held[: length + 10]
                self._take(whole)
        if self._reason is not None:
            self._held.clear()

    def _take(self, whole: bytes) -> None:
        if zlib.crc32(whole[1:-4]) != int.from_bytes(whole[-4:], "little"):
            self._reason = 2
        elif whole[1] == 1:
            self._status(1)
        elif whole[2] != self.next:
            self._reason = 5
        elif self.taken in self.resets:
            self.resets.remove(self.taken)
            self.next, self.dropped = 0, 0
            self._out.clear()
            self._status(0)
        else:
            self._send(0x82, self.next, self.answer(whole[6:-4]))
            self.next, self.taken = (self.next + 1) % 256, self.taken + 1

    def _quiet(self) -> None:
        if self._reason is None and self._held:
            self._reason = 3
        if self._reason is not None:
            self.dropped = (self.dropped + 1) % 256
            self._status(self._reason)
        self._held.clear()
        self._reason = None

    def _status(self, reason: int) -> None:
        sizes = self.image.to_bytes(3, "little") + self.result.to_bytes(3, "little")
        digest = bytes.fromhex(self.hash)[::-1]
        self._send(0x81, 0, bytes([1, reason, self.next, self.dropped]) + sizes + digest)

    def _send(self, kind: int, number: int, payload: bytes) -> None:
        inside = bytes([kind, number]) + len(payload).to_bytes(3, "little") + payload
        self._out.append(self.outward(b"\xa5" + inside + zlib.crc32(inside).to_bytes(4, "little")))


@contextmanager
def boarded(board: Board) -> Iterator[str]:
    """The name of a serial port on which `board` hangs."""
    end, other = os.openpty()
    tty.setraw(other)
    thread = threading.Thread(target=board.serve, args=(end,))
    thread.start()
    try:
        yield os.ttyname(other)
    finally:
        board.stop()
        thread.join()
        os.close(other)
        os.close(end)
