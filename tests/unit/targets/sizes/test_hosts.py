"""What hosts take more or less than AXI, against designs that were synthesised (benchmarks/resources_hosts.py)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwprm.api import size
from hwprm.config import ArrayConfig, EmitConfig
from hwprm.core.errors import ConfigError
from hwprm.emission.ports import octet_ports, serial_ports
from hwprm.isa.hosts import AXI, Host
from hwprm.targets.sizes.hosts import PINS, difference
from tests.support.networks import small_lenet

RESULTS = Path(__file__).resolve().parents[4] / "benchmarks" / "results" / "resources_hosts.json"
HOSTS = {
    "stream8": Host(kind="stream8"),
    "uart, 4": Host(kind="uart", divider=4, silence=100),
    "uart, 25": Host(kind="uart", divider=25, silence=1_500_000),
    "uart, 434": Host(kind="uart", divider=434, silence=200_000),
}

#: LUTs that the difference may be off: yosys makes a few dozen more or less of equal text, of a LeNet-5 with streams of
#: bytes 153 more.
LUTS = dict.fromkeys(HOSTS, 70) | {"stream8": 160}


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text())["designs"]
    return rows


@pytest.mark.parametrize("host", HOSTS)
def test_differences_are_those_of_synthesis(host: str) -> None:
    rows = _rows()
    plain = {row["design"]: row["used"] for row in rows if row["host"] == "axi"}
    measured = [row for row in rows if row["host"] == host]
    assert measured
    for row in measured:
        hw: Any = SimpleNamespace(input_beats=row["beats"], data_bytes=row["bytes"])
        found, own = difference(hw, HOSTS[host]), plain[row["design"]]
        more = {key: row["used"][key] - own[key] for key in found}
        assert abs(found["ff"] - more["ff"]) <= 6
        assert abs(found["lut4"] - more["lut4"]) <= LUTS[host]
        assert abs(found["carry"] - more["carry"]) <= 25


def test_nothing_is_added_with_registers() -> None:
    assert set(difference(SimpleNamespace(), AXI).values()) == {0}  # type: ignore[arg-type]  # nothing of it is read


def test_pins_are_those_of_the_ports() -> None:
    for kind, ports in (("stream8", octet_ports(1)), ("uart", serial_ports())):
        ways = [port.direction for port in ports for _ in range(port.width) if port.name not in ("clk", "rst")]
        assert (ways.count("input"), ways.count("output")) == PINS[kind]


def test_a_design_with_a_serial_line_is_sized() -> None:
    array = ArrayConfig(rows=2, cols=2)
    plain, line = (size(small_lenet(), array, emit=emit) for emit in (None, EmitConfig(host="uart")))
    assert line.used["bram"] == plain.used["bram"] and line.used["dsp"] == plain.used["dsp"]
    assert line.used["lut4"] - plain.used["lut4"] > 300 and line.used["ff"] < plain.used["ff"]
    assert line.used["comb"] == line.used["lut4"] + 2 * line.used["carry"] + 4 * line.used["lutram"]
    with pytest.raises(ConfigError, match="has no registers"):
        size(small_lenet(), ArrayConfig(rows=2, cols=2, batch=2), emit=EmitConfig(host="uart"))
