"""The RAM in block RAMs of the ECP5 against the bundle's: what was written is read, whatever happened since.

ROMs need no proof: their tests read every word that there is (`tests/unit/targets/families/test_ecp5_memories.py`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.emission.templates import render
from hwprm.targets.families import ecp5
from hwprm.targets.families.ecp5.memories import ram_verilog
from tests.support.formal import Made, Verdict, prove

MODEL = Path(ecp5.__file__).parent / "models" / "DP16KD.v"
#: Bits of a word in a cell of the widest kind.
CELL = 18

HARNESS = """
module harness (
    input clk, input write_enable, input [{bits}-1:0] write_addr, read_addr, input [{width}-1:0] write_data
);
    wire [{width}-1:0] p, q;
{words}
    plain plain(
        .clk(clk), .write_enable(write_enable), .write_addr(write_addr), .write_data(write_data),
        .read_addr(read_addr), .read_data(p), {plain}
    );
    cells cells(
        .clk(clk), .write_enable(write_enable), .write_addr(write_addr), .write_data(write_data),
        .read_addr(read_addr), .read_data(q), {cells}
    );
    always @* assume (write_addr < {depth} && read_addr < {depth} && !(write_enable && write_addr == read_addr));
    reg [{depth}-1:0] written = 0;
    reg [1:0] known = 0;  // the words on their way out were written once
    always @(posedge clk) begin
        known <= {{known[0], written[read_addr]}};
        if (write_enable) written[write_addr] <= 1;
    end
    always @* if (known[1]) assert (p == q);
    // What lies in the memories is equal, without which the solver would have to look at all of the past.
{equal}
endmodule
"""


def _harness(depth: int, width: int) -> str:
    cells = -(-width // CELL)
    words, plain, blocks, equal = [], [], [], []
    for i in range(depth):
        words.append(f"    wire [{width - 1}:0] word{i};")
        plain.append(f".\\mem[{i}] (word{i})")
        for cell in range(cells):
            words.append(f"    wire [{CELL - 1}:0] part{i}_{cell};")
            blocks.append(f".\\kind0.side[{cell}].ram.memory[{i}] (part{i}_{cell})")
        parts = ", ".join(f"part{i}_{cell}" for cell in reversed(range(cells)))
        words.append(f"    wire [{CELL * cells - 1}:0] block{i} = {{{parts}}};")
        equal.append(f"    always @* if (written[{i}]) assert (word{i} == block{i}[{width - 1}:0]);")
    texts = {
        "words": "\n".join(words),
        "plain": ", ".join(plain),
        "cells": ", ".join(blocks),
        "equal": "\n".join(equal),
    }
    return HARNESS.format(depth=depth, width=width, bits=(depth - 1).bit_length(), **texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "verdict"),
    [(("", ""), Verdict.PROVEN), (("in[i*18+3]", "in[i*18+4]"), Verdict.REFUTED)],
    ids=["as it is", "two bits exchanged"],
)
def test_ram_in_block_rams(fault: tuple[str, str], verdict: Verdict, tmp_path: Path) -> None:
    depth, width = 16, 20  # two cells side by side, the second one in part
    text = ram_verilog()
    assert fault[0] in text
    (tmp_path / "plain.v").write_text(render("hwprm_ram.v.j2"))
    (tmp_path / "cells.v").write_text(text.replace(*fault) if fault[0] else text)
    values = {"WIDTH": width, "DEPTH": depth, "ADDR_BITS": 4, "OUTPUT_REGISTER": 1}
    common = {"top": "hwprm_ram", "parameters": values}
    made = [
        Made(name="plain", sources=[tmp_path / "plain.v"], shown=["mem[[]*"], **common),
        Made(
            **{"name": "cells", "sources": [tmp_path / "cells.v"], "synthesis": True, "models": [MODEL]},
            **{"shown": ["*memory[[]*"]},
            **common,
        ),
    ]
    assert prove(tmp_path, _harness(depth, width), made, steps=3) is verdict
