"""The host's side of the frames on a serial line: images out, results in, and whatever is lost sent again.

It knows no serial port, only a `Line`. No result is taken for another image's, whatever the line does to the bytes:

- A result counts when its checksum is right and its number is that of an image that is on its way.
- A number that may have been taken by the device is given to no other image: what the device dropped goes again under
  the numbers it had, and only then what got lost on the way back, under new ones.
- A greeting counts as an answer to a question when one is open. What does not continue the numbers, that of a reset
  too, is not believed before the device was asked, with nothing on its way to it: an image that was sent before the
  reset was known may have been taken under a number that fits again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hwprm.core.errors import BundleError, ToolError
from hwprm.isa.frames import HELLO, IMAGE, RESULT, STATUS, WINDOW, Decoder, Frame, Reason, Status

__all__ = ["Answer", "Design", "Line", "SerialHost", "Tally"]

#: Numbers of images.
NUMBERS = 256
#: Seconds without a byte after which nothing is left of what an earlier host asked for, beside the line's silence.
SETTLED = 0.05


class Line(Protocol):
    """Both directions of a serial line."""

    def read(self) -> bytes:
        """What has come; waits a short while for it, and is empty when nothing came."""

    def write(self, data: bytes, /) -> None:
        """Send all of `data` without a pause."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """What has to answer: the hash of a design, bytes of its images and results, and how long things take, seconds."""

    hash: str
    image: int
    result: int
    #: Longest that an answer takes from the moment at which a full window of images is handed to the line.
    wait: float
    #: Of the line, after which every transfer is over.
    silence: float


@dataclass(kw_only=True)
class Tally:
    """What went otherwise than it should, and was mended."""

    #: Images that were sent again.
    again: int = 0
    #: Times nothing came, so that the device was asked.
    silences: int = 0
    #: Transfers that the device says it dropped, by reason.
    dropped: Counter[str] = field(default_factory=Counter)
    #: Results that nobody waited for any more.
    strays: int = 0
    #: Bytes that were no part of a frame.
    skipped: int = 0
    #: Times the device began anew.
    resets: int = 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of image `index`, and seconds since it was handed to the line."""

    index: int
    payload: bytes
    seconds: float


@dataclass(frozen=True)
class _Sent:
    index: int
    at: float


class SerialHost:
    """A `design` behind a `line`. `retries` failures in a row are borne."""

    def __init__(self, line: Line, design: Design, *, retries: int) -> None:
        self.line, self.design, self.retries = line, design, retries
        self.tally = Tally()
        self._decoder = Decoder(longest=design.result)
        self._frames: deque[Frame] = deque()
        #: Of the image that is sent next, and what is on its way by its number, in order.
        self._number = 0
        self._pending: dict[int, _Sent] = {}
        self._waiting: deque[int] = deque()
        self._asking = False
        self._failures = 0
        self._until = 0.0

    def greet(self) -> Status:
        """Ask the device what it is, and begin with the number that it takes next.

        Raises BundleError when it is another design, ToolError when nothing answers.
        """
        self._settle()
        for _ in range(self.retries + 1):
            self._ask()
            while (frame := self._frame()) is not None:
                if frame.kind == STATUS:
                    status = self._status(frame)
                    if status.reason is Reason.ASKED:
                        self._number, self._asking = status.next, False
                        return status
                    break  # what was dropped may have been the question
        raise self._nobody()

    def through(self, images: Sequence[bytes]) -> Iterator[Answer]:
        """Send the payloads `images`, after `greet`; every result as it comes, each image's once.

        Raises ToolError after too many failures in a row, BundleError when another design turns up.
        """
        self._waiting, self._pending = deque(range(len(images))), {}
        self._renew()
        while self._waiting or self._pending:
            while self._waiting and len(self._pending) < WINDOW and not self._asking:
                self._send(images)
            frame = self._frame()
            if frame is None:
                self.tally.silences += 1
                self._failed()
                self._ask()
            elif frame.kind == STATUS:
                self._told(self._status(frame))
            elif (answer := self._answer(frame)) is not None:
                yield answer
                self._renew()  # however long that was looked at
            self.tally.skipped = self._decoder.skipped

    def _send(self, images: Sequence[bytes]) -> None:
        index = self._waiting.popleft()
        number, self._number = self._number, (self._number + 1) % NUMBERS
        self._pending[number] = _Sent(index, time.monotonic())
        self.line.write(Frame(kind=IMAGE, number=number, payload=images[index]).encode())
        self._renew()

    def _answer(self, frame: Frame) -> Answer | None:
        """What `frame` answers, or None. Results come in order: those of earlier images were lost."""
        right = frame.kind == RESULT and len(frame.payload) == self.design.result
        if not right or frame.number not in self._pending:
            self.tally.strays += 1
            return None
        while (first := next(iter(self._pending))) != frame.number:
            self._repeat([self._pending.pop(first).index])
        sent = self._pending.pop(frame.number)
        self._failures = 0
        return Answer(index=sent.index, payload=frame.payload, seconds=time.monotonic() - sent.at)

    def _told(self, status: Status) -> None:
        """Go on from where the device stands."""
        asked = status.reason is Reason.ASKED
        if asked and not self._asking:
            return  # an answer that came after the question was asked again
        reset = status.reason is Reason.RESET
        if reset:
            self.tally.resets += 1  # behind it nothing is sent before the device says where it stands
        elif not asked:
            self.tally.dropped[status.reason.name.lower()] += 1
        if not asked:
            self._failed()
        numbers = list(self._pending)
        ours = [*numbers, self._number]
        if not reset and status.next in ours:
            place = ours.index(status.next)
            # What it took has a result under way, or lost where it had time to come before the question.
            back = [*numbers[place:], *(numbers[:place] if asked else [])]
        elif asked:
            back = numbers  # it began anew and knows of none of them
        else:
            self._ask()
            return
        self._repeat([self._pending.pop(number).index for number in back])
        self._number, self._asking = status.next, False
        self._renew()

    def _repeat(self, indices: Sequence[int]) -> None:
        """Let images `indices` be the next ones."""
        self.tally.again += len(indices)
        self._waiting.extendleft(reversed(indices))

    def _ask(self) -> None:
        self.line.write(Frame(kind=HELLO).encode())
        self._asking = True
        self._renew()

    def _failed(self) -> None:
        self._failures += 1
        if self._failures > self.retries:
            raise self._nobody() if self._asking else self._hopeless()

    def _nobody(self) -> ToolError:
        """The error about a device that says nothing, or nothing that can be understood."""
        if self._decoder.skipped:
            return ToolError(
                f"the board does not answer: {self._decoder.skipped} bytes came that are no frame; give --baud what "
                "the board's clock makes of it, and check that the bitstream was made from this bundle"
            )
        return ToolError(
            f"the board does not answer, it was asked {self.retries + 1} times for {self.design.wait:.3g} s; check "
            "that the bitstream of this bundle is loaded, that this is its port (of two on one cable often the "
            "second), that the board's clock is emit.clock, or --baud what it makes, and that rx and tx are not swapped"
        )

    def _hopeless(self) -> ToolError:
        """The error about a line on which nothing gets through."""
        told = [f"{count} dropped by the board ({reason})" for reason, count in sorted(self.tally.dropped.items())]
        told += [f"{self.tally.silences} times no answer"] * bool(self.tally.silences)
        told += [f"{self.tally.resets} resets"] * bool(self.tally.resets)
        return ToolError(
            f"{self._failures} transfers in a row failed without a result between them ({', '.join(told)} in all); "
            "check cable and supply, or compile with a lower emit.baud or a longer emit.silence"
        )

    def _renew(self) -> None:
        self._until = time.monotonic() + self.design.wait

    def _settle(self) -> None:
        """Take what an earlier host left behind, until nothing comes any more; not for ever."""
        self._renew()
        quiet = 2 * self.design.silence + SETTLED
        last = time.monotonic()
        while time.monotonic() < min(last + quiet, self._until):
            if self.line.read():
                last = time.monotonic()

    def _frame(self) -> Frame | None:
        """The next frame; None when none came in time."""
        while not self._frames:
            self._frames.extend(self._decoder.feed(self.line.read()))
            if not self._frames and time.monotonic() >= self._until:
                self._frames.extend(self._decoder.quiet())
                break
        return self._frames.popleft() if self._frames else None

    def _status(self, frame: Frame) -> Status:
        """What a STATUS says. Raises BundleError unless it is of this design."""
        try:
            status = Status.decode(frame.payload)
        except ValueError as error:
            raise BundleError(
                f"the board answers, but not as this version does ({error}); load the bitstream of this bundle"
            ) from error
        own = self.design
        if status.hash != own.hash:
            raise BundleError(
                f"the board holds the design {status.hash}, the bundle is of {own.hash}; load the bitstream that was "
                "made from this bundle, or give the bundle that the board was loaded from"
            )
        if (status.image, status.result) != (own.image, own.result):
            raise BundleError(
                f"the board takes images of {status.image} bytes and answers with {status.result}, the bundle says "
                f"{own.image} and {own.result}; compile the bundle again and load its bitstream"
            )
        return status
