"""Frames as bytes, and bytes as frames, however they are cut and whatever lies between them."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from hwprm.isa import frames
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
    text = frames.__doc__ or ""
    frame = Frame(kind=HELLO).encode()
    assert f"``{frame[:6].hex(' ')}``" in text
    assert f"``{frame[6:].hex(' ')}``" in text
    for kind, name in ((HELLO, "HELLO"), (IMAGE, "IMAGE"), (STATUS, "STATUS"), (RESULT, "RESULT")):
        assert f"0x{kind:02x}    {name} " in text
    assert len(frame) == OVERHEAD


def test_frames_come_back_whatever_their_pieces() -> None:
    rng = random.Random(1)
    sent = [Frame(kind=RESULT, number=n % 256, payload=rng.randbytes(8)) for n in range(300)]
    data = b"".join(frame.encode() for frame in sent)
    decoder = Decoder(longest=8)
    found: list[Frame] = []
    while data:
        size = rng.randint(1, 40)
        found += decoder.feed(data[:size])
        data = data[size:]
    assert (found, decoder.skipped) == (sent, 0)


@pytest.mark.parametrize("place", range(OVERHEAD + 8))
def test_a_wrong_bit_loses_its_frame_and_no_other(place: int) -> None:
    """Bytes that look like the beginning of a frame among them."""
    sent = [Frame(kind=RESULT, number=n, payload=b"\xa5\x82" * 4) for n in range(3)]
    one = bytearray(sent[1].encode())
    one[place] ^= 0x10
    data = sent[0].encode() + bytes(one) + sent[2].encode() + bytes(STATUS_BYTES + OVERHEAD)
    decoder = Decoder(longest=8)
    assert list(decoder.feed(data)) == [sent[0], sent[2]]
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


def test_the_page_on_hosts_has_the_table_and_the_worked_frame() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "hosts.md").read_text()
    table = "    offset" + (frames.__doc__ or "").partition("    offset")[2].partition("\n\nWorked:")[0]
    assert table in text
    assert f"`{Frame(kind=HELLO).encode().hex(' ')}`" in text
    for reason in Reason:
        assert f"| {int(reason)} {reason.name} |" in text
    payload = text.partition("| bytes | of a STATUS |")[2].partition("\n\n")[0]
    assert [int(size) for size in re.findall(r"^\| (\d+) \|", payload, re.MULTILINE)] == [n for _, n in STATUS_FIELDS]
