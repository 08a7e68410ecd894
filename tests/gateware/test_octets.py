"""Bytes of activations and of output words."""

from __future__ import annotations

from typing import Any

import pytest

from hwprm.gateware.host.octets import BytesIn, BytesOut
from tests.support.bench import Pause, Stream, no_pause, random_pause, simulate, stream_get, stream_put


async def _beats(ctx: Any, dut: BytesIn, found: list[tuple[int, int, int]], pause: Pause) -> None:
    """Every beat that is taken: data, last, bad."""
    beat = dut.beats
    while True:
        ctx.set(beat.ready, not pause())
        _, _, valid, ready, data, last, bad = await ctx.tick().sample(
            beat.valid, beat.ready, beat.payload.data, beat.payload.last, beat.payload.bad
        )
        if valid and ready:
            found.append((data, last, bad))


@pytest.mark.parametrize("pause", [no_pause, random_pause(1)], ids=["free", "random"])
@pytest.mark.parametrize("count", [2, 3])
def test_beats_are_made_of_bytes_and_a_cut_one_is_bad(count: int, pause: Pause) -> None:
    dut = BytesIn(count)
    found: list[tuple[int, int, int]] = []
    images = [list(range(1, 2 * count + 1)), list(range(1, count + 2)), [9] * count]

    async def feed(ctx: Any) -> None:
        for image in images:
            await stream_put(ctx, Stream.of(dut.bytes), image, pause=pause)
        await ctx.tick().repeat(20)

    async def watch(ctx: Any) -> None:
        await _beats(ctx, dut, found, random_pause(2) if pause is not no_pause else no_pause)

    simulate(dut, feed, background=[watch])
    whole = [
        [int.from_bytes(bytes(image[i : i + count]), "little") for i in range(0, len(image), count)] for image in images
    ]
    assert [data for data, _, bad in found if not bad] == [
        *whole[0],
        *whole[1][: (count + 1) // count],
        *whole[2],
    ]
    ends = [(last, bad) for _, last, bad in found if last]
    assert ends == [(1, 0), (1, 1), (1, 0)]
    assert all(last for _, last, bad in found if bad)


@pytest.mark.parametrize("pause", [no_pause, random_pause(3)], ids=["free", "random"])
def test_words_leave_byte_by_byte(pause: Pause) -> None:
    dut = BytesOut()
    words = [0x04030201, 0xFFFFFFFE, 0x80000000]
    found: list[int] = []

    async def feed(ctx: Any) -> None:
        await stream_put(ctx, Stream.of(dut.words), words, pause=pause)

    async def take(ctx: Any) -> None:
        found.extend(await stream_get(ctx, Stream.of(dut.bytes), pause=pause))

    simulate(dut, feed, take)
    assert bytes(found) == b"".join(word.to_bytes(4, "little") for word in words)
