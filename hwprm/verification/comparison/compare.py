"""Comparing what the hardware stored and sent with the integer reference. Integers are equal or they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.manifest import LayerEntry
from hwprm.verification.comparison.events import Frame
from hwprm.verification.comparison.vectors import Vectors

__all__ = ["Comparison", "Mismatch", "compare_layers", "compare_logits", "compare_outputs", "compare_tensors"]

IntArray = NDArray[np.int64]
#: Channel, row, column.
Place = tuple[int, int, int]

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

    def of(self, kept: Sequence[int] | None) -> Comparison:
        """The same with every mismatch's channel c named as ``kept[c]`` of the network that was compiled, too.

        None for a layer that the compiler added.
        """
        if kept is None:
            return self
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
    vectors: Mapping[int, Vectors],
    image: int,
    layers: Sequence[LayerEntry],
    expected: Mapping[str, IntArray],
    act_bits: int,
    within: tuple[int, int] = (0, 1),
) -> dict[str, Comparison]:
    """Every stored (not wide) layer of one image against `expected` {tensor: ``(C, H, W)``}, by tensor name.

    `vectors` are filed by layer number. They are those of a batch, `within` which the image has a place, of how many.
    Of an upsampled tensor the computed pixels are compared, each of which the probes show once. A value that was never
    stored is wrong, and so is a vector that lies outside its tensor.
    """
    outcome = {}
    for layer in layers:
        if not layer.wide:
            mine = vectors.get(layer.index, Vectors.of(()))
            outcome[layer.name] = _compare_layer(mine, (image, *within), layer, expected[layer.name], act_bits)
    surplus = sorted(vectors.keys() - {layer.index for layer in layers if not layer.wide})
    if surplus and outcome:
        text = f"image {image}: vectors were stored for layers {surplus}, which store nothing"
        outcome[next(iter(outcome))] += Comparison(extra=text)
    return outcome


def _compare_layer(
    vectors: Vectors, which: tuple[int, int, int], layer: LayerEntry, expected: IntArray, act_bits: int
) -> Comparison:
    """`which` image: its number, its place in the batch, the batch's places."""
    image, place, batch = which
    count, pixels = layer.drained
    values, known = vectors.values(act_bits, signed=layer.signed)
    lane = np.arange(values.shape[1])
    used = lane < vectors.lanes[:, None]
    filters, pixel = vectors.filter[:, None], vectors.pixel[:, None] + lane
    inside = (filters >= 0) & (filters < count) & (vectors.pixel[:, None] >= 0) & (pixel < batch * pixels)
    # Pixels are counted through the batch: image after image, or of every channel all images.
    mine, pixel = (pixel % batch, pixel // batch) if layer.channel_lanes else np.divmod(pixel, pixels)
    taken = np.flatnonzero(used & inside & (mine == place))
    last = np.full(count * pixels, -1)  # the activation, of all lanes of all vectors, that came last to each place
    last[layer.index_of(filters, pixel).ravel()[taken]] = taken
    want = expected[:, :: layer.upsample[0], :: layer.upsample[1]].reshape(-1)
    bad = (last < 0) | (values.ravel()[last] != want) | ~known.ravel()[last] if len(taken) else last < 0

    def found(place: int) -> tuple[int | str | None, int | None]:
        if last[place] < 0:
            return None, None
        vector, at = divmod(int(last[place]), values.shape[1])
        got = int(values[vector, at]) if known[vector, at] else vectors.bits_of(vector, at, act_bits)
        return got, int(vectors.cycle[vector])

    extra = None
    if (stray := np.flatnonzero((used & ~inside).any(axis=1))).size:
        i = int(stray[0])
        what = f"a vector of filter {vectors.filter[i]}, pixel {vectors.pixel[i]}, stored in cycle {vectors.cycle[i]},"
        extra = f"image {image}, layer {layer.name!r}: {what} lies outside of {layer.computed}"
    first = _name(bad, image, layer.name, layer.place, want, found)
    return Comparison(values=want.size, wrong=int(bad.sum()), first=first, extra=extra)


def compare_tensors(got: IntArray | None, image: int, layer: LayerEntry, expected: IntArray) -> Comparison:
    """A stored layer's tensor ``(C, H, W)`` as it lies in the memory, None when it could not be read.

    Where bits are unknown `got` is smaller than every activation.
    """
    bad = np.ones(expected.size, np.bool_) if got is None else (got != expected).reshape(-1)

    def place_of(index: int) -> Place:
        channel, row, column = np.unravel_index(index, expected.shape)
        return int(channel), int(row), int(column)

    def found(index: int) -> tuple[int | None, None]:
        return None if got is None else int(got.flat[index]), None

    first = _name(bad, image, layer.name, place_of, expected, found)
    return Comparison(values=expected.size, wrong=int(bad.sum()), first=first)


def _name(
    bad: NDArray[np.bool_],
    image: int,
    layer: str,
    place_of: Callable[[int], Place],
    expected: IntArray,
    found: Callable[[int], tuple[int | str | None, int | None]],
) -> tuple[Mismatch, ...]:
    """The first of the `bad` integers of a layer, by index.

    `place_of` gives channel, row and column, `found` what stands there, and since when.
    """
    first = []
    for index in np.flatnonzero(bad)[:SHOWN].tolist():
        channel, row, column = place_of(index)
        got, cycle = found(index)
        first.append(
            Mismatch(
                image=image,
                layer=layer,
                channel=channel,
                row=row,
                column=column,
                expected=int(expected.flat[index]),
                got=got,
                cycle=cycle,
            )
        )
    return tuple(first)


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
            want = expected[layer.name]
            outcome[layer.name] = _compare_words(beats[place : place + want.size], image, layer, want)
            place += want.size
    if len(beats) > place:
        last = next(reversed(outcome))
        outcome[last] += Comparison(extra=f"image {image}: {len(beats)} logits came, {place} were due")
    return outcome


def _compare_words(beats: Sequence[tuple[int, str]], image: int, layer: LayerEntry, want: IntArray) -> Comparison:
    found = [_beat(beats, i) for i in range(want.size)]
    pairs = zip(found, want.reshape(-1).tolist(), strict=True)
    bad = np.array([got != value for (got, _), value in pairs], np.bool_)
    first = _name(bad, image, layer.name, layer.place, want, found.__getitem__)
    return Comparison(values=want.size, wrong=int(bad.sum()), first=first)


def _beat(beats: Sequence[tuple[int, str]], place: int) -> tuple[int | str | None, int | None]:
    """Value and cycle of a beat of the result."""
    if place >= len(beats):
        return None, None
    cycle, data = beats[place]
    return _word(data), cycle


def _word(data: str) -> int | str:
    """Signed output word; its bits as text when some are unknown."""
    if HEXADECIMAL.issuperset(data):  # int() alone would take "0x12", whose second digit is unknown, for a number
        word = int(data, 16)
        return word - (1 << 32) if word >> 31 else word
    return "".join(f"{int(digit, 16):04b}" if digit in HEXADECIMAL else "xxxx" for digit in data)
