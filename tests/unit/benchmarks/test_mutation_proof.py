"""Proofs of the mutation benchmark: faults that make no difference are told from those that do."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"

#: A store unit of sorts, which reads neither bit 3 of its register nor, where words of stores are even, `a`.
UNIT = r"""module \hwprm_core.store_unit (clk, rst, a, store, out);
  input clk;
  input rst;
  input [3:0] a;
  input [1:0] store;
  output [2:0] out;
  reg [3:0] kept = 4'h0;
  reg [3:0] next;
  reg [1:0] queue [1:0];
  initial begin
    queue[0] = 2'h0;
    queue[1] = 2'h0;
  end
  always @(posedge clk)
    queue[0] <= a[1:0];
  assign out = kept[2:0] ^ queue[1];
  always @(posedge clk)
    kept <= next ;
  always @* begin
    next = store[0] ? a : { a[0], a[3:1] };
    if (rst) begin
      next = 4'h0;
    end
  end
endmodule
"""


@pytest.fixture
def proof(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("mutation_proof")


def _proved(proof, folder, before, after):
    (folder / "rtl").mkdir(parents=True)
    (folder / "mem").mkdir()
    (folder / "rtl" / "hwprm_core.v").write_text(UNIT)
    (folder / "mem" / "stores.mem").write_text("2\n")
    lines = UNIT.split("\n")
    (place,) = [number for number, line in enumerate(lines, 1) if line == before]
    fault = proof.Mutant(
        file="rtl/hwprm_core.v", module="store_unit", place=place, operator="", before=before, after=after
    )
    return proof.proved(folder, fault, "store_unit")


@pytest.mark.parametrize(
    ("before", "after", "equal"),
    [
        ("    kept <= next ;", "    kept <= (next ) & ~4'h8;", True),
        ("    kept <= next ;", "    kept <= (next ) & ~4'h4;", False),
        ("      next = 4'h0;", "      next = 4'h8;", True),
        ("      next = 4'h0;", "      next = 4'h1;", False),
        ("    next = store[0] ? a : { a[0], a[3:1] };", "    next = store[0] ? ~a : { a[0], a[3:1] };", True),
        ("    next = store[0] ? a : { a[0], a[3:1] };", "    next = store[1] ? a : { a[0], a[3:1] };", False),
        ("    queue[0] = 2'h0;", "    queue[0] = 2'h2;", True),
        ("    queue[1] = 2'h0;", "    queue[1] = 2'h2;", False),
    ],
)
def test_what_is_proved_makes_no_difference(before, after, equal, proof, tmp_path):
    assert _proved(proof, tmp_path, before, after) == equal
