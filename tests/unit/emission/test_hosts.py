"""What a host cannot serve is refused by name; what it serves stands in the manifest and the README."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from hwprm.bundle.images import random_images
from hwprm.bundle.manifest import Manifest
from hwprm.compiler import Program, compile_network
from hwprm.config import ArrayConfig, EmitConfig
from hwprm.core.errors import ConfigError
from hwprm.emission import check_host, emit_bundle, host_of
from hwprm.emission.ports import octet_ports
from hwprm.intnet import Term
from hwprm.isa.hosts import AXI, Host
from tests.support.networks import Spec, network, seeded_weights

STREAM8 = Host(kind="stream8")


def _program(weights: Literal["rom", "axi"] = "rom") -> Program:
    spec = Spec(name="a", terms=(Term(source="image", weight=seeded_weights(2, 1, 2, 3)),), wide=True)
    return compile_network(network((1, 2, 3), (spec,)), ArrayConfig(rows=1, cols=2, weights=weights))


def test_external_weights_and_batches_need_registers(tmp_path: Path) -> None:
    program = _program("axi")
    images = random_images(1, program.network.image_limits, seed=1)
    with pytest.raises(ConfigError, match=r"emit\.host = stream8 has no registers.*array\.weights = rom, or"):
        emit_bundle(program, images, None, tmp_path / "b", host=STREAM8)
    with pytest.raises(ConfigError, match=r"a batch needs one.*array\.batch = 1, or"):
        check_host(STREAM8, external=False, batch=4)
    check_host(AXI, external=True, batch=4)


def test_a_bundle_of_bytes(tmp_path: Path) -> None:
    program = _program()
    images = random_images(2, program.network.image_limits, seed=1)
    bundle = emit_bundle(program, images, None, tmp_path / "b", host=host_of(EmitConfig(host="stream8")))
    manifest, axi = bundle.manifest, emit_bundle(program, images, None, tmp_path / "axi").manifest
    assert sum(port.width for port in manifest.ports) == 26
    assert manifest.registers == ()
    assert (manifest.design_hash, manifest.cycles) == (axi.design_hash, axi.cycles)
    assert manifest.host_cycles == (manifest.image_words, 4 * manifest.result_words)
    assert manifest.pace == manifest.cycles.image
    assert axi.host_cycles == (manifest.image_words, manifest.result_words)
    assert (axi.to_json().get("host"), manifest.to_json()["host"]) == (None, "stream8")
    text = (bundle.folder / "README.md").read_text()
    assert "## Registers" not in text
    assert "AXI4-Lite" not in text
    assert "a byte a beat, least significant first" in text
    assert f"An\nimage takes {manifest.image_words} cycles to come" in text
    with pytest.raises(ValueError, match="its host is 'usb', none of axi, stream8"):
        Manifest.from_json(json.loads(json.dumps(replace(manifest, host="usb").to_json())))


def test_activations_of_two_bytes() -> None:
    ports = {port.name: port for port in octet_ports(2, (True, False))}
    assert ports["s_axis_tdata"].doc == "Byte of the image, least significant first, sign- or zero-extended."
    assert STREAM8.cycles(10, 2, 3) == (20, 12)
    assert AXI.cycles(10, 2, 3) == (10, 3)


def test_a_bundle_on_a_serial_line(tmp_path: Path) -> None:
    program = _program()
    images = random_images(2, program.network.image_limits, seed=1)
    emit = EmitConfig(host="uart", clock=48.0, baud=1_000_000, silence=2.0)
    bundle = emit_bundle(program, images, None, tmp_path / "b", host=host_of(emit))
    manifest = bundle.manifest
    assert [port.name for port in manifest.ports] == ["clk", "rst", "rx", "tx", "busy", "error"]
    assert manifest.way == Host(kind="uart", divider=48, silence=96_000, clock=48.0, baud=1_000_000)
    assert manifest.host_cycles == (480 * (manifest.image_words + 10), 480 * (4 * manifest.result_words + 10))
    assert manifest.pace == manifest.host_cycles[1] > manifest.cycles.image
    text = (bundle.folder / "README.md").read_text()
    assert "a stop bit of 48\nclock cycles each" in text
    assert f"| 0x02 IMAGE | host | {manifest.image_words} bytes |" in text
    assert "s_axis" not in text
    assert "hwprm run . --port" in text and "1000000 bits a second at 48 MHz" in text
    with pytest.raises(ValueError, match="without its host"):
        Manifest.from_json(json.loads(json.dumps(replace(manifest, host="stream8").to_json())))
    plain = manifest.to_json()
    for name in ("clock", "baud"):  # as a version wrote it that did not keep them
        del plain["serial"][name]
    assert Manifest.from_json(plain).way == Host(kind="uart", divider=48, silence=96_000)
    plain["serial"]["baud"] = 0
    with pytest.raises(ValueError, match="serial: 0 is outside"):
        Manifest.from_json(plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"baud": 5_000_000},
            r"baud = 5000000 cannot be made of a clock of 12 MHz .* nearest is 3000000; .*at most 3000",
        ),
        ({"baud": 2_500_000}, r"nearest is 2400000; "),
        ({"silence": 0.1}, r"silence = 0\.1 ms is less than two bytes take at 115200 baud, .* take 0\.18 ms or more"),
    ],
)
def test_lines_that_a_clock_cannot_make(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        EmitConfig(host="uart", **options)  # type: ignore[arg-type]  # of one of them
    EmitConfig(**options)  # type: ignore[arg-type]  # nobody asks there
    EmitConfig(host="uart", clock=12.0, baud=3_000_000, silence=1.0)
