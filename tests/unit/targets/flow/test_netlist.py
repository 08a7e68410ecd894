"""Cells of a real netlist, trimmed, by block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwprm.targets.flow.netlist import GLUE, block_of, count_cells, plain_name, used_modules
from tests.support.silicon import DATA

BLOCKS = {"array", "drain", "lanes", "memory", "store_unit", "sequencer", "ingress", "egress", "registers"}


def test_blocks_are_the_gateware_s() -> None:
    counts = count_cells(DATA / "ecp5_netlist.json", "hwprm_top")
    roms = {f"rom_{name}" for name in ("entries", "weights", "params", "tiles", "layers", "stores")}
    assert set(counts.blocks) == BLOCKS | roms | {GLUE}
    assert counts.blocks["array"] == {"TRELLIS_FF": 2, "LUT4": 2, "CCU2C": 2, "MULT18X18D": 2}


def test_nothing_is_lost_and_bookkeeping_does_not_count() -> None:
    file = DATA / "ecp5_netlist.json"
    counts = count_cells(file, "hwprm_top")
    cells = json.loads(file.read_text())["modules"]["hwprm_top"]["cells"].values()
    assert counts.cells.total() == sum(cell["type"] != "$scopeinfo" for cell in cells)
    assert sum(cells.total() for cells in counts.blocks.values()) == counts.cells.total()


def test_cells_behind_a_port_belong_to_the_block_that_drives_it() -> None:
    module = json.loads((DATA / "ecp5_netlist.json").read_text())["modules"]["hwprm_top"]
    cell = module["cells"]["m_axis_tdata_TRELLIS_FF_Q"]
    names = [name for name, net in module["netnames"].items() if cell["connections"]["Q"][0] in net["bits"]]
    assert sorted(names) == ["core.egress.read_data", "m_axis_tdata"]
    # Two flip-flops of the egress are called after the port, two after itself.
    counts = count_cells(DATA / "ecp5_netlist.json", "hwprm_top")
    assert counts.blocks["egress"]["TRELLIS_FF"] == 4


@pytest.mark.parametrize(
    ("name", "block", "plain"),
    [
        ("core.array.pe_0_0_acc_LUT4_Z", "array", "array.pe_0_0_acc_LUT4_Z"),
        ("top.core.array.x", "array", "array.x"),
        ("core.store.pixels", None, "store.pixels"),  # a field of a record, no block
        ("core.advance", None, "advance"),
        ("driven", None, "driven"),
    ],
)
def test_names(name: str, block: str | None, plain: str) -> None:
    assert (block_of(name, BLOCKS), plain_name(name)) == (block, plain)


def test_another_top(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no module hwprm_pins"):
        count_cells(DATA / "ecp5_netlist.json", "hwprm_pins")


def test_modules_that_are_used() -> None:
    """With what they use themselves, whatever they are called, and with definitions above the first one."""
    gates = "`define HALF 1\nmodule \\$_AND_ (A, Y);\n  inner i (A);\nendmodule\nmodule \\$_OR_ (A, Y);\nendmodule\n"
    others = "`timescale 1ns/1ps\nmodule inner(input A);\nendmodule\nmodule wide #(parameter W = 1) (A);\nendmodule\n"
    netlist = "module top;\n  \\$_AND_  \\a.b[0]  (\n    .A(x)\n  );\n  wide #(\n    .W(2)\n  ) w (x);\nendmodule\n"
    used = used_modules(netlist, [gates, others])
    assert [line.split()[1] for line in used.splitlines() if line.startswith("module")] == [
        "\\$_AND_",
        "inner(input",
        "wide",
    ]
    assert used.startswith("`define HALF 1\nmodule")
