"""Verilog text: what is mended in it, and what must not be in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.core.errors import InputError
from hwprm.emission import emit_bundle
from hwprm.emission.core import complete_cases, core_verilog
from hwprm.emission.ports import PROBES, probe_ports, top_ports
from hwprm.emission.registers import register_entries
from hwprm.emission.templates import render
from tests.support.hardware import hardware
from tests.support.networks import small_lenet

CASES = """\
    casez (state)
      2'h0:
          case (x)
            default:
                y = 1;
          endcase
      2'h1:
          y = 2;
    endcase
"""


def test_complete_cases() -> None:
    lines = complete_cases(CASES).split("\n")
    assert [line for line in lines if "default" in line] == ["            default:", "      default: ;"]
    assert lines.index("      default: ;") == len(lines) - 3
    assert complete_cases(complete_cases(CASES)) == complete_cases(CASES)


#: A design of one of everything, whose counters need no bits.
ONE = (
    *("tiles", "layers", "params", "entries", "weights", "stores", "filters_max", "pixels_max", "pixel_tiles_max"),
    *("passes_max", "pass_length_max", "wide_pixels_max", "output_words", "idle_max", "coordinate_bits", "shift_max"),
)


@pytest.mark.parametrize(
    "changes", [{"rows": 1, "cols": 1} | dict.fromkeys(ONE, 1), {"rows": 1, "posts": 1}], ids=["ones", "tables"]
)
def test_no_wire_is_empty(changes: dict[str, int]) -> None:
    """Verilog has no wires of no bits; Yosys would write them as ``[-1:0]``."""
    assert "[-1:0]" not in core_verilog(hardware(**changes)).text


def test_core_holds_no_path_and_keeps_the_ports() -> None:
    program = compile_network(small_lenet(), ArrayConfig(rows=2, cols=2))
    core = core_verilog(program.hardware)
    assert core.text == core_verilog(program.hardware).text
    assert "src =" not in core.text
    assert "/" not in core.text.replace("//", "").replace("/*", "").replace("*/", "").replace("mem/", "")
    assert set(PROBES) == set(core.probe_widths)
    assert core.probe_widths["probe_data"] == 2 * 8
    head = core.text[core.text.index("module hwprm_core(") :]
    declared = set(head[: head.index(");")].partition("(")[2].replace("\n", "").split(", "))
    ports = {port.name for port in top_ports(8, 8) if port.core} | set(PROBES)
    assert declared == ports


def test_emit_bundle_of_a_program(tmp_path: Path) -> None:
    program = compile_network(small_lenet(), ArrayConfig(rows=2, cols=3))
    images = random_images(2, program.network.image_limits, seed=1)
    bundle = emit_bundle(program, images, None, tmp_path / "b")
    manifest = bundle.manifest
    assert manifest.design_hash == program.design_hash
    assert manifest.cycles.image == program.cycles.total == sum(manifest.cycles.layers)
    assert [layer.name for layer in manifest.layers] == list(program.layers)
    assert (manifest.array.rows, manifest.array.cols) == (2, 3)
    for rom in manifest.roms:
        lines = (bundle.folder / "mem" / f"{rom.name}.mem").read_text().split()
        assert [int(line, 16) for line in lines] == program.rom(rom.name).words()
        assert len(lines) == rom.depth
    with pytest.raises(InputError, match="^input 'image' must be "):
        emit_bundle(program, np.zeros((1, 1, 2, 2), np.int64), None, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_name_that_a_template_lacks() -> None:
    with pytest.raises(UndefinedError):
        render("hwprm_top.v.j2", net="x")


def test_register_entries() -> None:
    entries = {entry.name: entry for entry in register_entries("00" * 28 + "89abcdef", {"ROWS": 3})}
    assert entries["HASH0"].value == 0x89ABCDEF
    assert entries["HASH1"].value == 0
    assert entries["ROWS"].value == 3
    assert entries["COLS"].value is None
    assert len({entry.offset for entry in entries.values()}) == len(entries)
    with pytest.raises(KeyError, match="no such register"):
        register_entries("0", {"ROWZ": 1})


def test_ports() -> None:
    ports = {port.name: port for port in top_ports(16, 8)}
    assert ports["s_axis_tdata"].range == "[15:0]"
    assert ports["clk"].range == ""
    assert [name for name, port in ports.items() if not port.core] == ["s_axil_awprot", "s_axil_arprot"]
    assert {port.name: port.width for port in probe_ports({"probe_pixel": 5})}["probe_pixel"] == 5
