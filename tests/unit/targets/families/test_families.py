"""Every target: what a small design takes of it, with the real tools, and that every cell counts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.config import SiliconConfig
from hwprm.core.errors import ToolError
from hwprm.emission.templates import render
from hwprm.targets import TARGETS, place_and_route, placement_facts, synthesise, write_project
from hwprm.targets.families import FAMILIES
from hwprm.targets.families.ice40 import FAMILY as ICE40
from hwprm.targets.synth import silent
from tests.support.silicon import make_bundle

Bundles = Mapping[str, Path]

#: What 1 x 1 for one linear layer takes, with the tools of constraints.txt. A change that is meant to cost, or to
#: save, changes the number with it.
BUDGET = {
    "generic": ("gates", 5223),
    "ecp5-25k": ("lut4", 472),
    "ice40-up5k": ("lut4", 912),
    "xc7a35t": ("lut6", 425),
}
#: More than this share above the budget fails.
SLACK = 0.03
#: Synthesis that takes 20 seconds of a processor.
SLOW = {"xc7a35t", "ecp5-25k"}


@pytest.fixture(scope="module")
def bundles(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """A small design for each family, in its own cells where the gateware has some."""
    own = make_bundle(tmp_path_factory.mktemp("ecp5") / "bundle", target="ecp5")
    return {family.name: own if family.name == "ecp5" else small_bundle for family in FAMILIES}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in BUDGET]
)
def test_budget(target: str, bundles: Bundles, work: Path) -> None:
    found = synthesise(bundles[TARGETS[target].family.name], SiliconConfig(target=target, work=work), silent)
    key, budget = BUDGET[target]
    used = found.used[key]
    assert used <= budget * (1 + SLACK), f"{used} {key}, the budget is {budget}"
    assert found.target.family.unknown(found.counts.cells) == []
    assert found.too_large is None


@pytest.mark.slow
@pytest.mark.parametrize(("target", "cells", "least"), [("ecp5-25k", "ecp5", 40.0), ("ice40-hx8k", "any", 20.0)])
def test_place_and_route(target: str, cells: str, least: float, work: Path, tmp_path: Path) -> None:
    file = tmp_path / "design.bit"
    config = SiliconConfig(target=target, work=work, clock=least, bitstream=file)
    folder = make_bundle(tmp_path / "bundle", target=cells, size=2)
    facts = placement_facts(place_and_route(folder, config, silent))
    assert facts["fmax_mhz"] > least
    assert facts["clock_met"]
    assert sum(hop["logic_ns"] + hop["routing_ns"] for hop in facts["critical_path"]) == pytest.approx(
        1000 / facts["fmax_mhz"], rel=0.02
    )
    assert facts["placed"]["bram"] == facts["bram"]
    assert file.stat().st_size > 50_000


def test_there_is_a_budget_for_every_family() -> None:
    assert {TARGETS[name].family.name for name in BUDGET} == {family.name for family in FAMILIES}


def test_every_device_says_how_much_it_has() -> None:
    for target in TARGETS.values():
        limited = {resource.key for resource in target.family.resources if resource.limited}
        assert set(target.device.available) - {"io"} == limited, target.device.name


def test_vivado_project(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "vivado"
    assert write_project(small_bundle, SiliconConfig(target="xc7a100t", clock=125.0), out) == "build.tcl"
    build, project = ((out / name).read_text().splitlines() for name in ("build.tcl", "hwprm.tcl"))
    read = [line.split("{")[1].rstrip("}") for line in project if line.startswith("read_")]
    assert read == [*(f"rtl/{path.name}" for path in Bundle.load(small_bundle).sources()), "clock.xdc"]
    assert all((out / name).is_file() for name in read)
    assert [
        line.strip() for line in project if line.strip() and line.split()[0] in ("create_project", "set_property")
    ] == [
        "create_project hwprm -force",
        "set_property part xc7a100tcsg324-1 [current_project]",
        "set_property verilog_define {SYNTHESIS=1 } [get_filesets sources_1]",
        "set_property include_dirs [list .] [get_filesets sources_1]",
        "set_property top hwprm_top [current_fileset]",
        "set_property source_mgmt_mode None [current_project]",
    ]
    steps = [line.split()[0] for line in build if not line.startswith("#")]
    assert steps == [
        *("source", "synth_design", "opt_design", "place_design", "phys_opt_design", "route_design"),
        *("report_utilization", "report_timing_summary", "write_checkpoint"),
    ]
    assert "synth_design -top hwprm_top -part xc7a100tcsg324-1 -mode out_of_context" in build
    assert (out / "clock.xdc").read_text() == "create_clock -name clk -period 8.000 [get_ports clk]\n"
    assert (out / "mem" / "weights.mem").is_file()


def test_a_project_without_edalize(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edalize.flows.vivado", None)
    with pytest.raises(ToolError, match=r"made by edalize, which is not installed; pip install 'hwprm\[fpga\]'"):
        write_project(small_bundle, SiliconConfig(target="xc7a35t"), tmp_path / "vivado")
    assert not (tmp_path / "vivado").exists()


BENCH = """
module bench;
    reg clk = 0;
    reg [5:0] addr = 0;
    wire [6:0] data;
    hwprm_rom #(
        .WIDTH(7), .DEPTH({depth}), .ADDR_BITS({bits}), .ADDRESS_REGISTER({register}), .OUTPUT_REGISTER({register}),
        .FILE("words.mem")
    ) rom (clk, addr[{bits}-1:0], data);
    integer i;
    initial begin
        for (i = 0; i < {depth}; i = i + 1) begin
            addr = i;
            repeat (1 + 2 * {register}) begin
                #1 clk = 1;
                #1 clk = 0;
            end
            $display("%h", data);
        end
        $finish;
    end
endmodule
"""


@pytest.mark.sim
@pytest.mark.parametrize(("depth", "bits", "register"), [(20, 5, 0), (32, 5, 1), (33, 6, 0), (33, 6, 1)])
def test_rom_of_ice40_is_the_bundle_s(depth: int, bits: int, register: int, small_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bench.v").write_text(BENCH.format(depth=depth, bits=bits, register=register))
    words = [f"{(37 * i) % 128:02x}" for i in range(depth)]
    (tmp_path / "words.mem").write_text("\n".join(words) + "\n")
    assert ICE40.rtl is not None
    for rom in (ICE40.rtl / "hwprm_rom.v", small_bundle / "rtl" / "hwprm_rom.v"):
        iverilog, vvp = shutil.which("iverilog"), shutil.which("vvp")
        assert iverilog
        assert vvp
        subprocess.run([iverilog, "-o", "bench", "bench.v", str(rom)], cwd=tmp_path, check=True)
        done = subprocess.run([vvp, "bench"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert [line for line in done.stdout.splitlines() if len(line) == 2] == words


def test_a_familys_own_modules_take_what_the_bundles_take() -> None:
    """A design instantiates both with the same parameters and ports."""
    own = [path for family in FAMILIES if family.rtl for path in sorted(family.rtl.glob("*.v"))]
    assert own
    for path in own:
        taken = [
            re.findall(r"^ +(?:parameter|input|output)\b[^/\n]*?(\w+) *(?:=|,|$)", text, re.MULTILINE)
            for text in (path.read_text(), render(f"{path.stem}.v.j2"))
        ]
        assert taken[0] == taken[1] != []
