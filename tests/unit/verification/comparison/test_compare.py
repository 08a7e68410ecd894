"""From stored vectors and beats to named mismatches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwprm.bundle.manifest import LayerEntry
from hwprm.core.numerics import integer_range
from hwprm.verification.comparison.compare import Comparison, compare_layers, compare_logits, compare_outputs
from hwprm.verification.comparison.events import Frame, Store
from hwprm.verification.comparison.vectors import by_layer

MAP = LayerEntry(index=0, name="map", shape=(2, 2, 3), wide=False)


OUT = LayerEntry(index=1, name="out", shape=(2, 1, 2), wide=True)


LAYERS = (MAP, OUT)


def stored(tensor: np.ndarray, lanes: int = 2, bits: int = 8) -> Frame:
    """The frame of a design that stores `tensor` ``(C, H, W)`` of layer 0 rightly."""
    frame = Frame()
    for channel, pixels in enumerate(tensor.reshape(len(tensor), -1)):
        for start in range(0, len(pixels), lanes):
            part = [int(v) & (1 << bits) - 1 for v in pixels[start : start + lanes]]
            held = [*part, *[0] * (lanes - len(part))]
            data = "".join(f"{v:0{-(-bits // 4)}x}" for v in reversed(held))
            frame.stores.append(Store(10 + len(frame.stores), 0, channel, start, len(part), data))
    return frame


@given(st.integers(2, 16), st.integers(1, 5), st.integers(0, 1 << 30), st.booleans())
def test_what_is_stored_rightly_compares_equal(bits: int, lanes: int, seed: int, signed: bool) -> None:
    tensor = np.random.default_rng(seed).integers(*integer_range(bits, signed), MAP.shape, endpoint=True)
    layers, frame = (replace(MAP, signed=signed), OUT), stored(tensor, lanes, bits)
    comparison = compare_layers(by_layer(frame.stores), 0, layers, {"map": tensor}, bits)["map"]
    assert (comparison.values, comparison.wrong, comparison.failure) == (12, 0, None)


@given(st.integers(0, 11), st.integers(1, 255))
def test_any_single_wrong_value_is_named(place: int, change: int) -> None:
    tensor = np.arange(12).reshape(MAP.shape) - 6
    wrong = tensor.copy()
    wrong.reshape(-1)[place] = (tensor.reshape(-1)[place] + change + 128) % 256 - 128
    comparison = compare_layers(by_layer(stored(wrong).stores), 3, LAYERS, {"map": tensor}, 8)["map"]
    channel, row, column = np.unravel_index(place, MAP.shape)
    (mismatch,) = comparison.first
    assert (mismatch.channel, mismatch.row, mismatch.column) == (channel, row, column)
    want, got = tensor[channel, row, column], wrong[channel, row, column]
    where = f"image 3, layer 'map', channel {channel}, row {row}, column {column}"
    assert comparison.failure == f"{where}: expected {want}, got {got} in cycle {mismatch.cycle}"


def test_channels_are_named_as_in_the_network_given_too() -> None:
    tensor = np.zeros(MAP.shape, np.int64)
    wrong = tensor.copy()
    wrong[:, 0, 1] = 3
    comparison = compare_layers(by_layer(stored(wrong).stores), 0, LAYERS, {"map": tensor}, 8)["map"]
    lines = str(comparison.of((7, 1)).failure).splitlines()
    assert lines[0].startswith(
        "image 0, layer 'map', channel 0 (7 of the network given), row 0, column 1: expected 0, got 3"
    )
    assert lines[1].startswith("image 0, layer 'map', channel 1, row 0, column 1: expected 0, got 3")


def test_missing_unknown_and_surplus_vectors() -> None:
    tensor = np.zeros(MAP.shape, np.int64)
    frame = stored(tensor)
    frame.stores.pop()
    comparison = compare_layers(by_layer(frame.stores), 0, LAYERS, {"map": tensor}, 8)["map"]
    assert comparison.failure == (
        "image 0, layer 'map', channel 1, row 1, column 1: expected 0, got nothing\n"
        "image 0, layer 'map', channel 1, row 1, column 2: expected 0, got nothing"
    )
    frame = stored(tensor)
    frame.stores[0] = Store(7, 0, 0, 0, 2, "0x00")
    comparison = compare_layers(by_layer(frame.stores), 0, LAYERS, {"map": tensor}, 8)["map"]
    assert comparison.failure == "image 0, layer 'map', channel 0, row 0, column 1: expected 0, got 0000xxxx in cycle 7"
    frame = stored(tensor, bits=7)
    frame.stores[0] = Store(7, 0, 0, 0, 1, "xx00")  # of a lane that stores nothing anything may be seen
    frame.stores.insert(1, Store(8, 0, 0, 1, 1, "xx00"))
    assert compare_layers(by_layer(frame.stores), 0, LAYERS, {"map": tensor}, 7)["map"].failure is None
    frame = stored(tensor)
    frame.stores += [Store(8, 0, 2, 0, 1, "0000"), Store(9, 5, 0, 0, 1, "0000")]
    failure = compare_layers(by_layer(frame.stores), 0, LAYERS, {"map": tensor}, 8)["map"].failure
    assert failure is not None
    assert "lies outside of (2, 2, 3)" in failure


def test_vectors_of_unknown_layers() -> None:
    tensor = np.zeros(MAP.shape, np.int64)
    frame = stored(tensor)
    frame.stores.append(Store(9, 5, 0, 0, 1, "0000"))
    comparison = compare_layers(by_layer(frame.stores), 0, LAYERS, {"map": tensor}, 8)["map"]
    assert comparison.failure == "image 0: vectors were stored for layers [5], which store nothing"


def test_logits() -> None:
    want = {"out": np.array([[[1, -2]], [[3, -4]]])}
    beats = [(i, f"{v & 0xFFFFFFFF:08x}") for i, v in enumerate((1, -2, 3, -4))]
    assert compare_logits(Frame(beats=beats), 0, LAYERS, want) == Comparison(values=4)
    wrong = compare_logits(Frame(beats=[*beats[:2], (2, "00000004")]), 7, LAYERS, want)
    assert (wrong.values, wrong.wrong) == (4, 2)
    assert wrong.failure == (
        "image 7, layer 'out', channel 1, row 0, column 0: expected 3, got 4 in cycle 2\n"
        "image 7, layer 'out', channel 1, row 0, column 1: expected -4, got nothing"
    )
    more = compare_logits(Frame(beats=[*beats, (9, "00000000")]), 0, LAYERS, want)
    assert more.failure == "image 0: 5 logits came, 4 were due"
    assert compare_logits(None, 0, LAYERS, want).wrong == 4


def test_outputs_one_by_one() -> None:
    second = LayerEntry(index=2, name="more", shape=(1, 1, 2), wide=True)
    want = {"out": np.array([[[1, -2]], [[3, -4]]]), "more": np.array([[[5, 6]]])}
    beats = [(i, f"{v & 0xFFFFFFFF:08x}") for i, v in enumerate((1, -2, 3, -4, 5, 6))]
    got = compare_outputs(Frame(beats=beats), 0, [*LAYERS, second], want)
    assert got == {"out": Comparison(values=4), "more": Comparison(values=2)}
    got = compare_outputs(Frame(beats=[*beats[:4], (4, "00000007"), *beats[5:], (6, "0")]), 0, [*LAYERS, second], want)
    assert got["out"].failure is None
    assert got["more"].failure == (
        "image 0, layer 'more', channel 0, row 0, column 0: expected 5, got 7 in cycle 4\n"
        "image 0: 7 logits came, 6 were due"
    )


def test_nothing_compared_is_a_failure() -> None:
    assert Comparison().failure == "nothing was compared"
    assert (Comparison(values=3) + Comparison()).failure is None
    many = sum((compare_logits(None, i, LAYERS, {"out": np.ones((2, 1, 2), int)}) for i in range(3)), Comparison())
    assert many.failure is not None
    assert many.failure.splitlines()[-1] == "7 more of 12 values differ"
