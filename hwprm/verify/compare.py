"""Comparing what the hardware stored and sent with the integer reference. Integers are equal or they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.manifest import LayerEntry
from hwprm.verify.events import Frame, Store

__all__ = ["Comparison", "Mismatch", "compare_layers", "compare_logits", "compare_outputs"]

IntArray = NDArray[np.int64]

#: Mismatches that are told apart in a report; the rest is counted.
SHOWN = 5
HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One wrong integer. `got` is None when it never came, text when it holds unknown bits; `cycle` alike.

    `given` is the channel's number in the network that was compiled, before compaction and the order of filters; None
    where that is not known.
    """

    image: int
    layer: str
    channel: int
    row: int
    column: int
    expected: int
    got: int | str | None
    cycle: int | None
    given: int | None = None

    def __str__(self) -> str:
        got = "nothing" if self.got is None else self.got
        when = "" if self.cycle is None else f" in cycle {self.cycle}"
        given = "" if self.given in (None, self.channel) else f" ({self.given} of the network given)"
        return (
            f"image {self.image}, layer {self.layer!r}, channel {self.channel}{given}, row {self.row}, "
            f"column {self.column}: expected {self.expected}, got {got}{when}"
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`values` integers were compared, `wrong` of them differed; `first` are some of those, `extra` is surplus."""

    values: int = 0
    wrong: int = 0
    first: tuple[Mismatch, ...] = ()
    extra: str | None = None

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            values=self.values + other.values,
            wrong=self.wrong + other.wrong,
            first=(self.first + other.first)[:SHOWN],
            extra=self.extra or other.extra,
        )

    def of(self, kept: Sequence[int]) -> Comparison:
        """The same with every mismatch's channel c named as ``kept[c]`` of the network that was compiled, too."""
        return replace(self, first=tuple(replace(one, given=kept[one.channel]) for one in self.first))

    @property
    def failure(self) -> str | None:
        """What is wrong, or None."""
        lines = [str(mismatch) for mismatch in self.first]
        if self.wrong > len(lines):
            lines.append(f"{self.wrong - len(lines)} more of {self.values} values differ")
        if self.extra:
            lines.append(self.extra)
        if not lines and self.values == 0:
            lines.append("nothing was compared")
        return "\n".join(lines) or None


def compare_layers(
    frame: Frame, image: int, layers: Sequence[LayerEntry], expected: Mapping[str, IntArray], act_bits: int
) -> dict[str, Comparison]:
    """Every stored (not wide) layer of one frame against `expected` {tensor: ``(C, H, W)``}, by tensor name.

    Of an upsampled tensor the computed pixels are compared, each of which the probes show once. A value that was never
    stored is wrong, and so is a vector that lies outside its tensor.
    """
    stored: dict[int, list[Store]] = {}
    for store in frame.stores:
        stored.setdefault(store.layer, []).append(store)
    outcome = {}
    for layer in layers:
        if not layer.wide:
            mine = stored.pop(layer.index, [])
            outcome[layer.name] = _compare_layer(mine, image, layer, expected[layer.name], act_bits)
    if stored and outcome:
        name = next(iter(outcome))
        surplus = f"image {image}: vectors were stored for layers {sorted(stored)}, which store nothing"
        outcome[name] += Comparison(extra=surplus)
    return outcome


def _compare_layer(
    stores: Sequence[Store], image: int, layer: LayerEntry, expected: IntArray, act_bits: int
) -> Comparison:
    filters, pixels = layer.drained
    got = np.zeros((filters, pixels), np.int64)
    cycles = np.full((filters, pixels), -1, np.int64)
    unknown: dict[tuple[int, int], str] = {}
    extra = None
    for store in stores:
        for lane in range(store.lanes):
            pixel = store.pixel + lane
            if not (store.filter < filters and pixel < pixels):
                extra = f"image {image}, layer {layer.name!r}: {store} lies outside of {layer.computed}"
                continue
            value = _lane(store.data, lane, act_bits)
            cycles[store.filter, pixel] = store.cycle
            if isinstance(value, str):
                unknown[store.filter, pixel] = value
            else:
                got[store.filter, pixel] = value
    want = expected[:, :: layer.upsample[0], :: layer.upsample[1]].reshape(filters, pixels)
    bad = (cycles < 0) | (got != want)
    for place in unknown:
        bad[place] = True
    first = []
    for at in [(int(f), int(p)) for f, p in np.argwhere(bad)[:SHOWN]]:
        cycle = int(cycles[at])
        value = unknown.get(at, int(got[at]))
        channel, row, column = layer.place(at[0] * pixels + at[1])
        first.append(
            Mismatch(
                image=image,
                layer=layer.name,
                channel=channel,
                row=row,
                column=column,
                expected=int(want[at]),
                got=value if cycle >= 0 else None,
                cycle=cycle if cycle >= 0 else None,
            )
        )
    return Comparison(values=want.size, wrong=int(bad.sum()), first=tuple(first), extra=extra)


def _lane(data: str, lane: int, bits: int) -> int | str:
    """Signed activation of `lane`; its bits as text when some are unknown."""
    if HEXADECIMAL.issuperset(data):  # int() alone would take "0x12", whose second digit is unknown, for a number
        return _signed(int(data, 16) >> lane * bits & (1 << bits) - 1, bits)
    text = "".join(f"{int(digit, 16):04b}" if digit in HEXADECIMAL else "xxxx" for digit in data)
    part = text[len(text) - (lane + 1) * bits : len(text) - lane * bits]
    return part if "x" in part else _signed(int(part, 2), bits)


def _signed(word: int, bits: int) -> int:
    return word - (1 << bits) if word >> (bits - 1) else word


def compare_logits(
    frame: Frame | None, image: int, layers: Sequence[LayerEntry], expected: Mapping[str, IntArray]
) -> Comparison:
    """The result of one image, all wide layers together; see `compare_outputs`."""
    return sum(compare_outputs(frame, image, layers, expected).values(), Comparison())


def compare_outputs(
    frame: Frame | None, image: int, layers: Sequence[LayerEntry], expected: Mapping[str, IntArray]
) -> dict[str, Comparison]:
    """The result of one image, each wide layer in order, against `expected` {tensor: ``(C, H, W)``}.

    A beat that never came is wrong, and so is one too many, which counts against the last layer.
    """
    beats = frame.beats if frame else []
    place = 0
    outcome: dict[str, Comparison] = {}
    for layer in layers:
        if layer.wide:
            want = expected[layer.name].reshape(-1)
            outcome[layer.name] = _compare_words(beats[place : place + len(want)], image, layer, want)
            place += len(want)
    if len(beats) > place:
        last = next(reversed(outcome))
        outcome[last] += Comparison(extra=f"image {image}: {len(beats)} logits came, {place} were due")
    return outcome


def _compare_words(beats: Sequence[tuple[int, str]], image: int, layer: LayerEntry, want: IntArray) -> Comparison:
    wrong = 0
    first: list[Mismatch] = []
    for i, value in enumerate(want.tolist()):
        cycle, got = _beat(beats, i)
        if got == value:
            continue
        wrong += 1
        if len(first) < SHOWN:
            channel, row, column = layer.place(i)
            first.append(
                Mismatch(
                    image=image,
                    layer=layer.name,
                    channel=channel,
                    row=row,
                    column=column,
                    expected=value,
                    got=got,
                    cycle=cycle,
                )
            )
    return Comparison(values=want.size, wrong=wrong, first=tuple(first))


def _beat(beats: Sequence[tuple[int, str]], place: int) -> tuple[int | None, int | str | None]:
    if place >= len(beats):
        return None, None
    cycle, data = beats[place]
    return cycle, _lane(data, 0, 32)
