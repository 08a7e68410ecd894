"""Block RAMs of the ECP5 that stand in for the bundle's memories: the same words, at the same time, in few cells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwprm.emission.templates import render
from hwprm.targets.families import ecp5
from hwprm.targets.families.ecp5.memories import BLOCKS, cut, ram_verilog, rom_verilog
from hwprm.targets.flow.family import Image
from hwprm.verification.simulators.tools import find_simulator
from tests.support.rounds import long_round

MODEL = Path(ecp5.__file__).parent / "models" / "DP16KD.v"

ROM_BENCH = """
module bench;
    reg clk = 0;
    reg [{bits}-1:0] addr = 0;
    wire [{width}-1:0] data;
    hwprm_rom #(
        .WIDTH({width}), .DEPTH({depth}), .ADDR_BITS({bits}), .ADDRESS_REGISTER({early}), .OUTPUT_REGISTER(1),
        .FILE("mem/x.mem")
    ) rom (.clk(clk), .addr(addr), .data(data));
    integer i;
    initial begin
        for (i = 0; i < {depth} + 2 + {early}; i = i + 1) begin
            addr = i < {depth} ? i : 0;
            #1 clk = 1;
            #1 clk = 0;
            if (i > {early} && i <= {depth} + {early}) $display("%h", data);
        end
        $finish;
    end
endmodule

module TRELLIS_FF #(
    parameter GSR = "", CEMUX = "", CLKMUX = "", LSRMUX = "", REGSET = "", SRMODE = ""
) (input wire CLK, LSR, CE, DI, output reg Q);
    always @(posedge CLK) Q <= DI;
endmodule
"""
RAM_BENCH = """
module bench;
    reg clk = 0, we = 0;
    reg [{bits}-1:0] to = 0, from = 0;
    reg [{width}-1:0] in = 0;
    wire [{width}-1:0] data;
    hwprm_ram #(.WIDTH({width}), .DEPTH({depth}), .ADDR_BITS({bits}), .OUTPUT_REGISTER(1)) ram (
        .clk(clk), .write_enable(we), .write_addr(to), .write_data(in), .read_addr(from), .read_data(data)
    );
    integer i, seed;
    initial begin
        seed = 1;
        for (i = 0; i < {depth} + 2000; i = i + 1) begin  // all words once, then any
            we = i < {depth} || $random(seed) % 2;
            to = i < {depth} ? i : $unsigned($random(seed)) % {depth};
            in = {{$random(seed), $random(seed)}};
            from = $unsigned($random(seed)) % {depth};
            if (we && from == to) from = (to + 1) % {depth};
            #1 clk = 1;
            #1 clk = 0;
            if (i > {depth}) $display("%h", data);
        end
        $finish;
    end
endmodule
"""
#: Depths around those of blocks, and widths around what a block has.
SHAPES = [(40, 36), (513, 17), (1500, 64), (4097, 5), (512, 37), (2049, 10), (8193, 3), (16385, 2)]


def _simulated(folder: Path, bench: str, *sources: str) -> list[str]:
    (folder / "bench.v").write_text(bench)
    for i, text in enumerate(sources):
        (folder / f"{i}.v").write_text(text)
    files = ["bench.v", *(f"{i}.v" for i in range(len(sources))), str(MODEL)]
    iverilog = str(find_simulator("icarus").executable)
    command = [iverilog, "-g2005", "-DSYNTHESIS", "-s", "bench", "-o", "bench.vvp", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return subprocess.run(
        ["vvp", "bench.vvp"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.mark.sim
@pytest.mark.parametrize("early", [0, 1])
@pytest.mark.parametrize(("depth", "width"), long_round(SHAPES, quick=4), ids=str)
def test_rom_gives_the_words_of_its_image(depth: int, width: int, early: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(depth)
    words = [int.from_bytes(rng.bytes(8), "little") % (1 << width) for _ in range(depth)]
    # A bit that never changes, one that always does, and two that are one.
    words = [(word & ~0b11 | 0b10 | word >> 2 & 1) % (1 << width) for word in words]
    digits = 4 * (-(-width // 4))
    text = rom_verilog({"mem/x.mem": Image(width=digits, words=tuple(words))})
    bits = max(1, (depth - 1).bit_length())
    got = _simulated(tmp_path, ROM_BENCH.format(width=width, depth=depth, bits=bits, early=early), text)
    assert [int(word, 16) for word in got if len(word) == digits // 4] == words


@pytest.mark.sim
@pytest.mark.parametrize(("depth", "width"), long_round(SHAPES, quick=4), ids=str)
def test_ram_is_the_bundle_s(depth: int, width: int, tmp_path: Path) -> None:
    bench = RAM_BENCH.format(width=width, depth=depth, bits=max(1, (depth - 1).bit_length()))
    folders = [tmp_path / "plain", tmp_path / "cells"]
    for folder in folders:
        folder.mkdir()
    plain, cells = map(_simulated, folders, [bench, bench], [render("hwprm_ram.v.j2"), ram_verilog()])
    assert plain == cells
    assert not any("x" in word for word in cells)


def test_blocks_are_few_and_each_begins_at_a_multiple_of_its_depth() -> None:
    for depth in (1, 511, 512, 513, 1400, 3000, 10_000, 40_000):
        for width in (1, 9, 36, 64, 150):
            blocks = cut(depth, width)
            cells = sum(-(-width // BLOCKS[words]) for words in blocks)
            assert depth <= sum(blocks) < depth + max(blocks)
            assert all(sum(blocks[:i]) % words == 0 for i, words in enumerate(blocks))
            assert cells <= min(-(-depth // words) * -(-width // bits) for words, bits in BLOCKS.items()) * 1.5
    assert cut(1400, 64) == (1024, 512)
    assert sum(cut(1_000_000, 64)) >= 1_000_000


def test_a_memory_that_no_device_has_stays_plain() -> None:
    assert "DP16KD" not in rom_verilog({"mem/x.mem": Image(width=64, words=(1,) * 200_000)})


def test_small_memories_and_those_without_a_register_stay_plain() -> None:
    text = rom_verilog({"mem/small.mem": Image(width=8, words=tuple(range(32)))})
    assert "DP16KD" not in text
    text = rom_verilog({"mem/large.mem": Image(width=16, words=tuple(range(100)))})
    assert re.search(r'if \(OUTPUT_REGISTER && FILE == "mem/large.mem"\)', text)
    assert text.count("$readmemh") == 1
