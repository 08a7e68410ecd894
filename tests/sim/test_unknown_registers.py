"""A design whose registers begin with nothing, as those of an ASIC do: a reset is enough.

Initial values are taken out of the emitted Verilog, those of memories that are no ROMs as well, and Icarus computes
with unknown bits: none may reach an output or an event after a reset, and the integers and cycles are the same. As a
simulator takes one way at a branch on an unknown bit, where gates might take the other, registers also begin with
random bits.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.intnet import IntegerNetwork
from hwprm.isa.hosts import AXI, Host
from hwprm.quantization import quantize_network
from hwprm.verification import VerifyReport, verify_bundle
from tests.support.networks import small_lenet
from tests.support.rounds import long_round
from tests.support.zoo import ZOO, zoo_images, zoo_module

pytestmark = pytest.mark.sim

CORE = "rtl/hwprm_core.v"
#: A register with an initial value. What Verilog's writer makes to wake up processes without inputs is none.
INITIAL = re.compile(r"^(\s*reg (?!\\\$auto\$verilog_backend).*?) = (\d+)'\S+;$", re.MULTILINE)
INITIAL_MEMORY = re.compile(r"^  initial begin\n(?:    \S+\[\d+\] = \S+;\n)+  end\n", re.MULTILINE)
#: Payloads that are anything while nothing is offered; every other output is known at all times.
OFFERED = {"m_axis_tdata": "m_axis_tvalid"}
#: What the test bench writes down of an event, and what says that there is one.
EVENTS = {
    "probe_valid": "probe_layer, probe_filter, probe_pixel, probe_lanes",
    "probe_frame_done": "probe_frame_done",
    "probe_layer_start": "probe_layer_start",
}
MARK = "    // Log, frame counter and watchdog.\n"


def _resnet() -> IntegerNetwork:
    """Residual sums, strides, averages."""
    return quantize_network(to_graph(zoo_module("resnet"), ZOO["resnet"][1]), zoo_images("resnet", 4), 1.0)


def _bundle(folder: Path, net: IntegerNetwork, *, host: Host = AXI, **array) -> Bundle:
    program = compile_network(net, ArrayConfig(**({"rows": 3, "cols": 2} | array)))
    images = random_images(2 * program.hardware.batch - 1, program.network.image_limits, seed=3)
    return emit_bundle(program, images, None, folder, host=host)


def _monitor(bundle: Bundle, file: Path) -> str:
    """Verilog for the test bench that writes cycle and name of all that is unknown outside of a reset."""
    checks = []
    for port in bundle.manifest.ports:
        if port.direction == "output":
            checks.append((port.name, f"{OFFERED[port.name]} && " if port.name in OFFERED else "", port.name))
    checks += [(name, f"{name} !== 1'b0 && ", f"{{{name}, {what}}}") for name, what in EVENTS.items()]
    lines = (
        f'        if (!rst_q && {when}^{what} === 1\'bx) $fdisplay(unknown, "%0d {name}", cycle);\n'
        for name, when, what in checks
    )
    opened = f'    integer unknown;\n    initial unknown = $fopen("{file}", "w");\n'
    return f"{opened}    always @(posedge clk) begin\n{''.join(lines)}    end\n"


def _nothing(found: re.Match[str]) -> str:
    return f"{found[1]};"


def _anything(found: re.Match[str]) -> str:
    """Bits by the register's name and place."""
    width = int(found[2])
    bits = random.Random(f"{found.start()} {found[1]}").getrandbits(width)
    return f"{found[1]} = {width}'h{bits:x};"


BEGINNINGS = {"unknown": _nothing, "random": _anything}


def _verified(
    bundle: Bundle, folder: Path, change: Callable[[str], str], begin: str, mode: str = "bulk"
) -> tuple[VerifyReport, list[str]]:
    """The report on `bundle` whose registers `begin` anew, with `change` in its core; and what was unknown."""
    shutil.copytree(bundle.folder, folder / "bare")
    core, bench = folder / "bare" / CORE, folder / "bare" / "tb" / bundle.testbench.name
    text, count = INITIAL.subn(BEGINNINGS[begin], core.read_text())
    assert count > 100
    text = INITIAL_MEMORY.sub("", text)
    assert not re.search(r"\binitial\b", text)
    core.write_text(change(text))
    assert MARK in bench.read_text()
    unknown = folder / "unknown.txt"
    bench.write_text(bench.read_text().replace(MARK, _monitor(bundle, unknown) + MARK))
    count = len(bundle.images)
    config = VerifyConfig(
        **{"sim": "icarus", "images": count, "trace_images": count, "modes": (mode,), "work": folder / "work"},
        **{"allow_edited": True, "timeout": 600.0},
    )
    memory = MemoryConfig(latency=10, bandwidth="1/4") if bundle.manifest.external else None
    report = verify_bundle(folder / "bare", config, memory=memory)
    return report, [line.partition(" ")[2] for line in unknown.read_text().splitlines()]


KINDS = {
    "short": (small_lenet, {}),
    "residual": (_resnet, {}),
    "external": (small_lenet, {"weights": "axi", "axi_data_bits": 64, "axi_burst": 4}),
    "fast": (_resnet, {"pipeline": "fast"}),
    "stream8": (small_lenet, {"host": Host(kind="stream8")}),
    "uart": (small_lenet, {"host": Host(kind="uart", divider=4, silence=1000)}),
    "everything": (_resnet, {"pipeline": "fast", "weights": "axi", "batch": 2, "phases": "split"}),
}
CASES = [(kind, "unknown", "bulk") for kind in list(KINDS)[:4]]
CASES += [*((kind, "unknown", "bulk") for kind in list(KINDS)[4:]), *((kind, "random", "bulk") for kind in KINDS)]
CASES += [(kind, "unknown", "protocol") for kind in KINDS]


@pytest.mark.parametrize(("kind", "begin", "mode"), long_round(CASES, quick=4))
def test_a_reset_is_enough(kind: str, begin: str, mode: str, tmp_path: Path) -> None:
    make, array = KINDS[kind]
    bundle = _bundle(tmp_path / "bundle", make(), **array)
    report, unknown = _verified(bundle, tmp_path, lambda text: text, begin, mode)
    report.raise_on_failure()
    assert (unknown, report.values_compared > 0) == ([], True)
    if mode == "bulk":
        assert report.cycles_simulated == report.cycles_predicted


def _without_reset(register: str) -> Callable[[str], str]:
    """The first register of that name keeps what it has in a reset."""

    def change(text: str) -> str:
        (wire,) = re.findall(rf"^    {re.escape(register)} <= (\S+) ;$", text, re.MULTILINE)[:1]
        reset = rf"^    if \(rst\) begin\n      {re.escape(wire)}  = \S+;\n    end\n"
        faulty, count = re.subn(
            reset, "", text[(at := text.index(f"    {register} <= {wire} ;")) :], count=1, flags=re.M
        )
        assert count == 1
        return text[:at] + faulty

    return change


def test_a_register_that_is_not_reset_is_seen(tmp_path: Path) -> None:
    """Whether there is a result to send."""
    bundle = _bundle(tmp_path / "bundle", small_lenet())
    report, unknown = _verified(bundle, tmp_path, _without_reset("full"), "unknown")
    assert "m_axis_tvalid" in unknown
    assert not report.ok


@pytest.mark.slow
def test_a_state_that_is_not_reset_fails(tmp_path: Path) -> None:
    """The sequencer's: an unknown one would be taken for the state of a case's last branch."""
    bundle = _bundle(tmp_path / "bundle", small_lenet())
    assert not _verified(bundle, tmp_path, _without_reset("fsm_state"), "random")[0].ok
