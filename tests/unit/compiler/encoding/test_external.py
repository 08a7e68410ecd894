"""The external image, read back as the hardware reads it; rings and their refusals."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.compiler.encoding.external import kept_lists
from hwprm.config import ArrayConfig
from hwprm.core.errors import ConfigError
from hwprm.isa import HEADER, TARGETS, RowShape, entry_format, table_formats, tile_format
from tests.support.networks import compiled, lenet, small_lenet
from tests.support.random_networks import random_network


def shapes(program: Program) -> dict[str, RowShape]:
    hw, bits = program.hardware, program.hardware.external.beat_bits
    widths = {name: form.width for name, (form, _) in table_formats(hw).items()}
    widths |= {"entries": entry_format(hw).width, "weights": hw.cols * hw.weight_bits}
    return {name: RowShape.of(width, bits) for name, width in widths.items()}


def unpack(program: Program) -> tuple[dict[str, list[list[int]]], int]:
    """Words of every row of every run of beats, by target; and the first beat that is read again and again."""
    ext, made = program.hardware.external, shapes(program)
    beats = [int.from_bytes(row.tobytes(), "little") for row in program.external.data]
    words: dict[str, list[list[int]]] = {name: [] for name in made}
    at = 0
    while at < len(beats):
        header = HEADER.decode(beats[at] & ((1 << HEADER.width) - 1))
        at += 1
        for name, count in ((TARGETS[header["target"]], header["count"]), ("weights", header["weights"])):
            shape = made[name]
            run = []
            for row in range(0, count, shape.beats):
                parts = beats[at + row : at + row + shape.beats]
                value = sum(part << (i * ext.beat_bits) for i, part in enumerate(parts))
                slot = ext.beat_bits * shape.beats // shape.words
                run += [value >> (i * slot) & ((1 << shape.width) - 1) for i in range(shape.words)]
            at += count
            if count:
                words[name].append(run)
    return words, ext.boot_bursts * ext.burst_beats


@pytest.mark.parametrize("bits", [64, 128, 512])
@pytest.mark.parametrize("cols", [1, 3, 20])
def test_image_holds_every_word_in_order(bits, cols):
    """Rows are padded at the end of a tile only; a kept list comes once."""
    for net in (small_lenet(), random_network(7)):
        program = compiled(net, 4, cols, weights="axi", axi_data_bits=bits, axi_burst=4)
        hw = program.hardware
        words, _ = unpack(program)
        for name in TARGETS[1:]:
            flat = [word for run in words[name] for word in run]
            assert flat[: program.rom(name).depth] == program.rom(name).words()
        kept = kept_lists(program.tiles, hw, hw.external)
        for name, counts in (
            ("entries", [0 if there else t.busy for t, there in zip(program.tiles, (False, *kept[:-1]), strict=True)]),
            ("weights", [tile.length for tile in program.tiles]),
        ):
            runs, table, at = iter(words[name]), program.rom(name).words(), 0
            for tile, count in zip(program.tiles, counts, strict=True):
                got: list[int] = []
                while len(got) < count:
                    got += next(runs)
                first = entry_base(program, tile.list_index) if name == "entries" else at
                assert got[:count] == table[first : first + count]
                assert len(got) - count < shapes(program)[name].words
                at += count
            assert next(runs, None) is None


def entry_base(program: Program, number: int) -> int:
    lengths = {tile.list_index: tile.busy for tile in program.tiles}
    return sum(lengths[i] for i in range(number))


def test_shared_lists_stay_while_the_ring_has_room():
    net = lenet((8, 8, 8, 4), image=14, kernel=3, pruned=0.4)
    wide = compiled(net, 4, 2, weights="axi", axi_entry_buffer=176)
    assert len({tile.list_index for tile in wide.tiles}) == 4
    kept = kept_lists(wide.tiles, wide.hardware, wide.hardware.external)
    assert sum(kept) == len(wide.tiles) - 4
    decoded = [tile_format(wide.hardware).decode(word)["keep"] for word in wide.rom("tiles").words()]
    assert decoded == [int(keep) for keep in kept]

    # fc2's list of 100 is shared by 15 tiles, used once by each, and longer than the ring: it is read again.
    narrow = compiled(lenet((2, 2, 100, 30), image=14, kernel=3), 4, 2, weights="axi", axi_entry_buffer=36)
    kept = kept_lists(narrow.tiles, narrow.hardware, narrow.hardware.external)
    assert [keep for tile, keep in zip(narrow.tiles, kept, strict=True) if tile.layer == 3] == [False] * 15


def test_compute_cycles_are_those_of_roms():
    for seed in (0, 7, 11):
        net = random_network(seed)
        assert compiled(net, 3, 4, weights="axi").cycles == compiled(net, 3, 4).cycles


def test_image_is_reproducible_and_hashed():
    one, two = (compiled(small_lenet(), 4, 3, weights="axi") for _ in range(2))
    assert one.external.data.tobytes() == two.external.data.tobytes()
    assert one.design_hash == two.design_hash != compiled(small_lenet(), 4, 3).design_hash
    assert json.dumps(asdict(one.hardware))
    assert len(one.external.data) % one.hardware.external.burst_beats == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"axi_entry_buffer": 60},
            r"^array.axi_entry_buffer = 60 is too small: layer 'conv2' needs 68 columns at once",
        ),
        (
            {"axi_weight_buffer": 16},
            r"^array.axi_weight_buffer = 16 is too small: layer 'conv2' needs 17 columns at once",
        ),
    ],
)
def test_ring_that_cannot_hold_a_tile_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        compiled(small_lenet(), 2, 3, weights="axi", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "ddr"},
        {"axi_data_bits": 96},
        {"axi_burst": 3},
        {"axi_burst": 128, "axi_data_bits": 512},
        {"axi_outstanding": 0},
        {"axi_entry_buffer": 0},
        {"onchip_bits": -1},
    ],
)
def test_bad_options(options):
    with pytest.raises(ConfigError, match=f"^array.{next(iter(options))} must be"):
        ArrayConfig(**options)


def test_row_shapes():
    assert RowShape.of(36, 128) == RowShape(width=36, words=2, beats=1)
    assert RowShape.of(128, 128) == RowShape(width=128, words=1, beats=1)
    assert RowShape.of(129, 128) == RowShape(width=129, words=1, beats=2)
    assert RowShape.of(2, 512).words == 16
    assert RowShape.of(2, 64).words == 8
    assert np.array([RowShape.of(36, 128).rows(n) for n in (0, 1, 2, 3)]).tolist() == [0, 1, 1, 2]
