"""Faults of the mutation benchmark: where they go, how they are drawn, that the committed list is understood."""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"

CORE = """module \\hwprm_core.unit (clk, rst, a, out);
  wire [3:0] \\$1 ;
  wire [3:0] alias;
  input clk;
  input rst;
  input [3:0] a;
  output [3:0] out;
  reg [3:0] out = 4'h0;
  reg [3:0] next;
  assign \\$1  = a + out;
  assign alias = out;
  always @(posedge clk)
    out <= next;
  always @* begin
    next = \\$1 ;
    if (rst) begin
      next = 4'h0;
    end
  end
endmodule
"""


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("mutation_sites")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rtl").mkdir()
    (tmp_path / "mem").mkdir()
    (tmp_path / "rtl" / "hwprm_core.v").write_text(CORE)
    (tmp_path / "mem" / "weights.mem").write_text("05\n1f\n")
    (tmp_path / "mem" / "external.bin").write_bytes(b"\x00\x81")
    (tmp_path / "manifest.json").write_text(json.dumps({"roms": [{"name": "weights", "width": 5}]}))
    return tmp_path


def test_a_fault_is_one_changed_line_or_bit(faults, folder):
    for fault in faults.sites(folder):
        before = (folder / fault.file).read_bytes()
        after = faults.mutated(before, fault)
        changed = [i for i, (a, b) in enumerate(zip(before.split(b"\n"), after.split(b"\n"), strict=True)) if a != b]
        assert len(changed) == 1, fault
        if fault.file.endswith(".v"):
            assert changed == [fault.place - 1]
        if fault.file.endswith(".mem"):
            words = [[int(word, 16) for word in text.split()] for text in (before, after)]
            assert sum((a ^ b).bit_count() for a, b in zip(*words, strict=True)) == 1


def test_operators_signals_constants_resets_and_bits(faults, folder):
    found = {fault.after.strip() for fault in faults.sites(folder) if fault.file.endswith(".v")}
    assert {
        "assign \\$1  = a - out;",
        "assign \\$1  = out + out;",
        "assign \\$1  = (a + out ) & ~4'h8;",
        "out <= (next ) | 4'h1;",
        "if (1'b0) begin",
        "next = 4'h4;",
    } <= found
    assert not [line for line in found if "alias =" in line], "nobody reads it"
    assert not [line for line in found if line.startswith(("reg", "wire"))], "declarations stay"


def test_bits_beyond_a_word_are_none(faults, folder):
    assert len([fault for fault in faults.sites(folder) if fault.file == "mem/weights.mem"]) == 2 * 5
    assert len([fault for fault in faults.sites(folder) if fault.file == "mem/external.bin"]) == 2 * 8


def test_a_sample_has_all_modules_and_one_fault_of_a_kind_and_place(faults, folder):
    found = list(faults.sites(folder))
    sample = faults.draw(found, 12, 2, 1)
    assert sample == faults.draw(found, 12, 2, 1) != faults.draw(found, 12, 2, 2)
    assert len(sample) == 12
    assert {fault.module for fault in sample} == {"unit", "mem/weights.mem", "mem/external.bin"}
    assert len({(fault.file, fault.site) for fault in sample}) == 12


def test_a_list_of_other_lines_is_refused(faults, folder):
    fault = next(fault for fault in faults.sites(folder) if fault.file.endswith(".v"))
    with pytest.raises(ValueError, match="another than the one that was drawn; draw again"):
        faults.mutated(CORE.replace("a + out", "a - out").encode(), fault)


def test_the_committed_list_is_large_and_every_survivor_is_in_it(faults):
    lines = [json.loads(line) for line in (FOLDER / "results" / "mutants.jsonl").read_text().splitlines()]
    keys = {(line["bundle"], faults.Mutant(**line["mutant"]).key) for line in lines}
    assert len(keys) == len(lines) >= 400
    assert {bundle for bundle, _ in keys} == {"regular", "odd", "residual", "external"}
    survivors = [json.loads(line) for line in (FOLDER / "results" / "survivors.jsonl").read_text().splitlines()]
    assert {(line["bundle"], line["key"]) for line in survivors} <= keys
    assert {line["verdict"] for line in survivors} <= {"proved", "equivalent", "unreached", "open"}
    assert all(line["reason"] for line in survivors)
