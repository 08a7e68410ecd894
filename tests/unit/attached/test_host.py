"""The host's side of the frames, through a pseudo-terminal and pyserial, against a device that things happen to."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from hwprm.attached.host import Answer, Design, SerialHost
from hwprm.attached.port import open_port
from hwprm.core.errors import BundleError, ToolError
from hwprm.isa.frames import HELLO, RESULT, STATUS, Frame, Reason
from tests.support.board import Board, boarded

DESIGN = Design(hash="ab" * 31 + "01", image=20, result=8, wait=0.1, silence=0.004)
OTHER = "cd" * 32
BAUD = 3_000_000


def _images(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [i.to_bytes(4, "little") + rng.randbytes(16) for i in range(count)]


def _answer(payload: bytes) -> bytes:
    """A result that no other image has."""
    return payload[:4] + payload[-4:]


def _board(**changed: object) -> Board:
    own = {"image": DESIGN.image, "result": DESIGN.result, "hash": DESIGN.hash, "answer": _answer}
    return Board(**(own | changed))  # type: ignore[arg-type]  # fields of a Board


def _through(board: Board, images: list[bytes], retries: int = 8) -> tuple[SerialHost, list[Answer]]:
    with boarded(board) as name, open_port(name, BAUD, 1) as port:
        host = SerialHost(port, DESIGN, retries=retries)
        host.greet()
        return host, list(host.through(images))


def _all_right(answers: list[Answer], images: list[bytes]) -> None:
    assert sorted(answer.index for answer in answers) == list(range(len(images)))
    assert all(answer.payload == _answer(images[answer.index]) for answer in answers)


def _at(places: dict[int, Callable[[bytes], bytes]]) -> Callable[[bytes], bytes]:
    """A fault at these frames of a direction, counted from 0."""
    seen = iter(range(1 << 30))
    return lambda data: places.get(next(seen), lambda same: same)(data)


def _flip(data: bytes) -> bytes:
    """A wrong bit in the payload, or in the checksum of a frame that has none."""
    return data[:7] + bytes([data[7] ^ 16]) + data[8:]


def test_numbers_go_round_and_nothing_is_sent_twice() -> None:
    images = _images(600)
    host, answers = _through(_board(), images)
    _all_right(answers, images)
    assert [answer.index for answer in answers] == list(range(600))
    tally = host.tally
    assert (tally.again, tally.silences, tally.strays, tally.skipped, dict(tally.dropped)) == (0, 0, 0, 0, {})


@pytest.mark.parametrize(
    ("way", "fault", "told"),
    [
        ("inward", _flip, {"checksum"}),
        ("inward", lambda data: data[:9], {"silence", "checksum"}),
        ("inward", lambda data: b"", None),
        ("inward", lambda data: data[1:], {"header"}),
        ("outward", _flip, None),
        ("outward", lambda data: data[:3] + b"\x2d" + data[4:], None),
        ("outward", lambda data: b"", None),
        ("outward", lambda data: b"\xa5\x82noise" + data, None),
    ],
    ids=["flipped", "cut", "lost", "headless", "answer flipped", "length flipped", "answer lost", "noise"],
)
@pytest.mark.parametrize("place", [3, 5], ids=["in the middle", "the last one"])
def test_what_the_line_breaks_is_mended_and_counted(
    way: str, fault: Callable[[bytes], bytes], told: set[str] | None, place: int
) -> None:
    images = _images(5)  # frame 0 of either way is the greeting's
    host, answers = _through(_board(**{way: _at({place: fault})}), images)
    _all_right(answers, images)
    tally = host.tally
    if told is not None:
        assert set(tally.dropped) & told and tally.again >= 1, "a frame may follow at once, or none"
    assert tally.again + tally.skipped + tally.silences > 0


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_no_result_is_wrong(seed: int) -> None:
    rng = random.Random(seed)

    def fault(data: bytes) -> bytes:
        if not data or rng.random() > 0.06:
            return data
        place = rng.randrange(len(data))
        broken = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
        return rng.choice([broken, broken, data[:place], data[place:], b"", data + data, rng.randbytes(9) + data])

    images = _images(60, seed)
    host, answers = _through(_board(inward=fault, outward=fault, resets={10, 35}), images, retries=20)
    _all_right(answers, images)
    assert host.tally.again >= 1


def test_a_reset_starts_the_numbers_again() -> None:
    images = _images(12)
    host, answers = _through(_board(resets={5}, next=250), images)
    _all_right(answers, images)
    assert host.tally.resets == 1 and host.tally.again >= 1


class Scripted:
    """A line whose device takes image 255, is reset, and takes number 0 before the host can know of the reset."""

    def __init__(self) -> None:
        self.next, self.out, self.reset = 255, b"", False

    def read(self) -> bytes:
        data, self.out = self.out, b""
        return data

    def write(self, data: bytes, /) -> None:
        if data[1] == HELLO:
            self.out += self._status(Reason.ASKED)
        elif not self.reset and data[2] == 0:
            self.reset, self.next = True, 1
            self.out += self._status(Reason.RESET, 0) + self._result(data)
        elif self.reset and data[2] == self.next:
            self.next += 1
            self.out += self._result(data)

    def _result(self, image: bytes) -> bytes:
        return Frame(kind=RESULT, number=image[2], payload=_answer(image[6:-4])).encode()

    def _status(self, reason: Reason, at: int | None = None) -> bytes:
        head = bytes([1, reason, self.next if at is None else at, 0])
        sizes = DESIGN.image.to_bytes(3, "little") + DESIGN.result.to_bytes(3, "little")
        return Frame(kind=STATUS, payload=head + sizes + bytes.fromhex(DESIGN.hash)[::-1]).encode()


def test_a_number_that_fits_again_after_a_reset_is_no_other_images() -> None:
    images = _images(5)
    host = SerialHost(Scripted(), DESIGN, retries=3)
    assert host.greet().next == 255
    _all_right(list(host.through(images)), images)
    assert host.tally.resets == 1


def test_what_an_earlier_host_left_is_nobodys() -> None:
    board, images = _board(), _images(4)
    with boarded(board) as name:
        with open_port(name, BAUD, 1) as port:
            first = SerialHost(port, DESIGN, retries=8)
            first.greet()
            next(first.through(_images(9, seed=7)))
            port.write(b"\xa5\x02\x03")  # stopped in mid-frame, with results on their way
        with open_port(name, BAUD, 1) as port:
            host = SerialHost(port, DESIGN, retries=8)
            assert host.greet().next > 0
            _all_right(list(host.through(images)), images)


def test_another_design_is_refused_with_both_hashes() -> None:
    with pytest.raises(BundleError, match=rf"holds the design {OTHER}, the bundle is of {DESIGN.hash}; load"):
        _through(_board(hash=OTHER), _images(1))


def test_other_sizes_are_refused() -> None:
    with pytest.raises(BundleError, match=r"takes images of 21 bytes and answers with 8, the bundle says 20 and 8"):
        _through(_board(image=21), _images(1))


def test_silence_says_what_to_check() -> None:
    with pytest.raises(ToolError, match=r"does not answer, it was asked 2 times.*bitstream.*--baud.*swapped"):
        _through(_board(mute=True), _images(1), retries=1)


def test_noise_says_what_to_check() -> None:
    with pytest.raises(ToolError, match=r"\d+ bytes came that are no frame; give --baud"):
        _through(_board(outward=lambda data: b"\x00" * 30), _images(1), retries=1)


def test_a_line_that_never_gets_better_ends() -> None:
    broken = _board(inward=lambda data: _flip(data) if len(data) > 20 else data)
    with pytest.raises(ToolError, match=r"4 transfers in a row failed.*4 dropped by the board \(checksum\).*cable"):
        _through(broken, _images(3), retries=3)


def test_a_board_that_goes_away_is_silent() -> None:
    board = _board()

    def going(payload: bytes) -> bytes:
        board.mute = board.taken >= 3
        return _answer(payload)

    board.answer = going
    with pytest.raises(ToolError, match=r"does not answer"):
        _through(board, _images(8), retries=1)


def test_waits_are_for_one_answer_each() -> None:
    """A wait that is long enough for one image need not be for all."""
    design = replace(DESIGN, wait=0.05)
    board, images = _board(), _images(200)
    with boarded(board) as name, open_port(name, BAUD, 1) as port:
        host = SerialHost(port, design, retries=0)
        host.greet()
        _all_right(list(host.through(images)), images)
