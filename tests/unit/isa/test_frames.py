"""Frames as bytes, and bytes as frames, however they are cut and whatever lies between them."""

from __future__ import annotations

import random

import pytest

from hwprm.isa.frames import (
    HELLO,
    IMAGE,
    OVERHEAD,
    RESULT,
    STATUS,
    STATUS_BYTES,
    STATUS_FIELDS,
    Decoder,
    Frame,
    Reason,
    Status,
)


def test_the_worked_frame_and_the_table_that_explains_it() -> None:
    import hwprm.isa.frames as module

    text = module.__doc__ or ""
    frame = Frame(kind=HELLO).encode()
    assert f"``{frame[:6].hex(' ')}``" in text
    assert f"``{frame[6:].hex(' ')}``" in text
    for kind, name in ((HELLO, "HELLO"), (IMAGE, "IMAGE"), (STATUS, "STATUS"), (RESULT, "RESULT")):
        assert f"0x{kind:02x}    {name} " in text
    assert len(frame) == OVERHEAD


def test_frames_come_back_whatever_their_pieces() -> None:
    rng = random.Random(1)
    frames = [Frame(kind=RESULT, number=n % 256, payload=rng.randbytes(8)) for n in range(300)]
    data = b"".join(frame.encode() for frame in frames)
    decoder = Decoder(longest=8)
    found: list[Frame] = []
    while data:
        size = rng.randint(1, 40)
        found += decoder.feed(data[:size])
        data = data[size:]
    assert (found, decoder.skipped) == (frames, 0)


@pytest.mark.parametrize("place", range(OVERHEAD + 8))
def test_a_wrong_bit_loses_its_frame_and_no_other(place: int) -> None:
    """Bytes that look like the beginning of a frame among them."""
    frames = [Frame(kind=RESULT, number=n, payload=b"\xa5\x82" * 4) for n in range(3)]
    one = bytearray(frames[1].encode())
    one[place] ^= 0x10
    data = frames[0].encode() + bytes(one) + frames[2].encode() + bytes(STATUS_BYTES + OVERHEAD)
    decoder = Decoder(longest=8)
    assert list(decoder.feed(data)) == [frames[0], frames[2]]
    assert decoder.skipped >= len(one)


def test_status() -> None:
    digest = f"{0x1234:064x}"
    values = {"version": 1, "reason": 5, "next": 7, "dropped": 9, "image": 784, "result": 40, "hash": 0x1234}
    payload = b"".join(values[name].to_bytes(size, "little") for name, size in STATUS_FIELDS)
    assert len(payload) == STATUS_BYTES
    status = Status.decode(payload)
    assert status == Status(reason=Reason.ORDER, next=7, dropped=9, image=784, result=40, hash=digest)
    for wrong in (payload[:-1], b"\x02" + payload[1:]):
        with pytest.raises(ValueError, match="no STATUS of version 1: .*use the driver of"):
            Status.decode(wrong)


def test_a_payload_that_no_frame_holds() -> None:
    with pytest.raises(ValueError, match="less than 16 MiB, not 16777216 bytes"):
        Frame(kind=IMAGE, payload=bytes(1 << 24)).encode()
