"""Frames on a serial line: the one place where their format stands. Gateware, test benches and drivers call it.

A frame is the same in both directions, numbers least significant byte first:

    offset  bytes  field     what
    0       1      sync      0xA5
    1       1      kind      below
    2       1      number    of the image or the result, modulo 256; 0 in frames of other kinds
    3       3      length    bytes of the payload
    6       length payload
    6 + n   4      checksum  CRC-32 of everything between sync and itself, that of zlib and Ethernet

    kind    name    from    payload
    0x01    HELLO   host    nothing; asks for a STATUS
    0x02    IMAGE   host    the image, as the stream of bytes has it; its length is the design's, no other
    0x81    STATUS  device  `STATUS_FIELDS`
    0x82    RESULT  device  the output words of the image of that number, 4 bytes each

Worked: HELLO is ``a5 01 00 00 00 00`` and the checksum ``ad de 42 fb``.

The device takes images in the order of their numbers, the first after reset is 0, and answers each with one RESULT of
its number. It holds two: image n + 2 may be sent when result n has come. Whatever goes wrong with a transfer, it drops
that transfer, waits until the line has been high for the design's `silence`, and says in a STATUS why, and which number
it takes next; it says so after a reset as well. So a host that sends on from there, or asks by HELLO when nothing
comes, never takes a result for another image's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = [
    "CHECKSUM_BYTES",
    "HEADER",
    "HELLO",
    "IMAGE",
    "LENGTH_BYTES",
    "OVERHEAD",
    "RESULT",
    "STATUS",
    "STATUS_BYTES",
    "STATUS_FIELDS",
    "SYNC",
    "VERSION",
    "WINDOW",
    "Decoder",
    "Frame",
    "Reason",
    "Status",
]

SYNC, HELLO, IMAGE, STATUS, RESULT = 0xA5, 0x01, 0x02, 0x81, 0x82
#: Fields ahead of the payload and their bytes; bytes behind it.
LENGTH_BYTES, CHECKSUM_BYTES = 3, 4
HEADER = (("sync", 1), ("kind", 1), ("number", 1), ("length", LENGTH_BYTES))
#: Bytes of a frame besides its payload.
OVERHEAD = sum(size for _, size in HEADER) + CHECKSUM_BYTES
#: Of this format.
VERSION = 1
#: Images that may be on their way: with this many no RESULT outstanding may be missing before the next is sent.
WINDOW = 2
#: Payload of a STATUS and its bytes: `reason` of `Reason`, `next` the number of the image that is taken next, `dropped`
#: transfers since reset modulo 256, `image` and `result` their bytes, `hash` the design's.
STATUS_FIELDS = (("version", 1), ("reason", 1), ("next", 1), ("dropped", 1), ("image", 3), ("result", 3), ("hash", 32))
STATUS_BYTES = sum(size for _, size in STATUS_FIELDS)


class Reason(IntEnum):
    """Why a STATUS was sent; all but the first two mean that a transfer was dropped."""

    RESET = 0
    ASKED = 1
    #: The checksum was wrong.
    CHECKSUM = 2
    #: The line fell silent inside a frame.
    SILENCE = 3
    #: No frame began with what came, or one of a kind or a length that the design does not take.
    HEADER = 4
    #: The image was not the next.
    ORDER = 5
    #: There was no room for the image.
    OVERRUN = 6
    #: A byte had no stop bit.
    BYTE = 7


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame whose checksum is right."""

    kind: int
    number: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """As it goes over the line. Raises ValueError for a payload of 16 MiB or more."""
        if len(self.payload) >= 1 << 24:
            raise ValueError(f"a frame holds less than 16 MiB, not {len(self.payload)} bytes; send an image a frame")
        inside = (
            bytes([self.kind, self.number % 256]) + len(self.payload).to_bytes(LENGTH_BYTES, "little") + self.payload
        )
        return bytes([SYNC]) + inside + zlib.crc32(inside).to_bytes(CHECKSUM_BYTES, "little")


@dataclass(frozen=True, kw_only=True)
class Status:
    """The payload of a STATUS."""

    reason: Reason
    next: int
    dropped: int
    image: int
    result: int
    hash: str
    version: int = VERSION

    @classmethod
    def decode(cls, payload: bytes) -> Status:
        """Raises ValueError when it is no payload of this version's."""
        if len(payload) != STATUS_BYTES or payload[0] != VERSION:
            raise ValueError(f"no STATUS of version {VERSION}: {payload.hex()}; use the driver of the design's version")
        values, at = {}, 0
        for name, size in STATUS_FIELDS:
            values[name] = int.from_bytes(payload[at : at + size], "little")
            at += size
        reason, digest = Reason(values.pop("reason")), values.pop("hash")
        return cls(reason=reason, hash=f"{digest:064x}", **values)


@dataclass
class Decoder:
    """Frames from a device's bytes, however they are cut. What is no frame is skipped, and counted byte by byte.

    `longest` is the longest payload that comes; a length beyond it is no frame's.
    """

    longest: int
    skipped: int = 0
    _held: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every frame that `data` completes."""
        self._held += data
        while (found := self._next()) is not None:
            yield from found

    def quiet(self) -> Iterator[Frame]:
        """Every frame behind a beginning that was never ended: the line is silent, and what is held will not go on."""
        while self._held:
            self._skip(1)
            yield from self.feed(b"")

    def _next(self) -> list[Frame] | None:
        """A frame, or nothing where some bytes were skipped; None where more are needed."""
        start = self._held.find(SYNC)
        self._skip(len(self._held) if start < 0 else start)
        if len(self._held) < OVERHEAD:
            return None
        length = int.from_bytes(self._held[3:6], "little")
        if length > max(self.longest, STATUS_BYTES):
            self._skip(1)
            return []
        whole = length + OVERHEAD
        if len(self._held) < whole:
            return None
        frame = Frame(kind=self._held[1], number=self._held[2], payload=bytes(self._held[6 : 6 + length]))
        if frame.encode() != bytes(self._held[:whole]):
            self._skip(1)
            return []
        del self._held[:whole]
        return [frame]

    def _skip(self, count: int) -> None:
        self.skipped += count
        del self._held[:count]
