"""Options, images, report and JUnit."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle.images import CHUNK_IMAGES, image_files, random_images
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import ConfigError, InputError, MismatchError
from hwprm.verification import Case, VerifyReport, write_junit
from hwprm.verification.modes.protocol import test_names as names_of_tests


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"images": 0}, "verify.images must be 1 or more, not 0"),
        ({"icarus_images": -1}, "verify.icarus_images must be 1 or more, not -1"),
        ({"protocol_images": 1.5}, "verify.protocol_images must be 1 or more, not 1.5"),
        ({"sim": "vcs"}, "verify.sim must be verilator, icarus or both, not 'vcs'"),
        ({"modes": ()}, r"verify.modes must be some of protocol, bulk and layers, not \(\)"),
        ({"modes": ("bulk", "fast")}, "verify.modes must be some of protocol, bulk and layers"),
        ({"seed": -1}, "verify.seed must be in 0..2147483647, not -1"),
        ({"timeout": 0}, "verify.timeout must be more than 0 seconds, not 0"),
        ({"wave": "5"}, "verify.wave must be FROM:TO in clock cycles, such as 0:20000, not '5'"),
        ({"wave": "9:5"}, "verify.wave must be FROM:TO"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        VerifyConfig(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_options() -> None:
    assert VerifyConfig().wave_window is None
    assert VerifyConfig(wave="10:500").wave_window == (10, 500)
    assert VerifyConfig(sim="both").simulators == ("verilator", "icarus")
    assert VerifyConfig(sim="icarus").simulators == ("icarus",)


@pytest.mark.parametrize(("bits", "digits"), [(4, 2), (8, 2), (9, 4), (16, 4)])
def test_image_files(bits: int, digits: int) -> None:
    images = random_images(CHUNK_IMAGES + 3, (2, 3, 2), bits, seed=4)
    files = image_files(images, bits)
    assert list(files) == ["images_0.mem", "images_1.mem"]
    lines = [line for text in files.values() for line in text.decode().split("\n") if line]
    assert len(lines) == 2 * CHUNK_IMAGES * 12
    assert {len(line) for line in lines} == {digits}
    words = [int(line, 16) for line in lines]
    signed = [word - (1 << 4 * digits) if word >> 4 * digits - 1 else word for word in words]
    assert signed[: images.size] == images.reshape(-1).tolist()
    assert not any(signed[images.size :])


def test_random_images() -> None:
    one = random_images(50, (1, 4, 4), 3, seed=1)
    assert np.array_equal(one, random_images(50, (1, 4, 4), 3, seed=1))
    assert not np.array_equal(one, random_images(50, (1, 4, 4), 3, seed=2))
    assert (one.min(), one.max(), one.shape) == (-4, 3, (50, 1, 4, 4))


def test_names_of_the_testbenches() -> None:
    assert names_of_tests("bulk") == ["stream"]
    assert {"registers", "reset_in_mid_image", "short_image", "long_image"} < set(names_of_tests("protocol"))


def report(*failures: str | None, values: int = 8) -> VerifyReport:
    cases = tuple(
        Case(
            simulator="icarus",
            mode="bulk",
            name=f"case {i}",
            values=4,
            wrong=int(bool(text)),
            seconds=0.25,
            failure=text,
            properties=(("cycles_predicted", "7"),),
        )
        for i, text in enumerate(failures)
    )
    return VerifyReport(
        net="net",
        design_hash="5a" * 32,
        simulators=("icarus 11.0",),
        images=2,
        image_source="2 stored",
        seed=5,
        values_compared=values,
        mismatches=sum(case.wrong for case in cases),
        cycles_predicted=7,
        cycles_simulated=7,
        layer_cycles_predicted=(("a", 7),),
        layer_cycles_simulated=(("a", 7),),
        cases=cases,
        waves=(),
        seconds=1.0,
    )


def test_verdict() -> None:
    assert report(None).ok
    report(None).raise_on_failure()
    nothing = report(None, values=0)
    assert not nothing.ok
    with pytest.raises(MismatchError, match="nothing was compared$"):
        nothing.raise_on_failure()
    bad = report(None, *[f"wrong {i}" for i in range(6)])
    assert not bad.ok
    with pytest.raises(MismatchError, match=r"icarus bulk, case 1: wrong 0\n.*\n.*\n.*\n\.\.\. and 2 more failures$"):
        bad.raise_on_failure()
    silent = dataclasses.replace(report(None), mismatches=1)
    assert not silent.ok


def test_plain_data() -> None:
    plain = report("x").as_dict()
    assert plain["ok"] is False
    assert plain["layer_cycles_simulated"] == {"a": 7}
    assert plain["cases"][0]["properties"] == {"cycles_predicted": "7"}


def test_junit(tmp_path: Path) -> None:
    write_junit(report(None, "bad \x1b[31m value\nsecond line"), tmp_path / "deep" / "j.xml")
    root = ET.parse(tmp_path / "deep" / "j.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    (suite,) = root.findall("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("net.icarus.bulk", "2", "1")
    good, bad = suite.findall("testcase")
    properties = {p.get("name"): p.get("value") for p in good.iter("property")}
    assert properties == {"seed": "5", "values": "4", "wrong": "0", "cycles_predicted": "7"}
    origin = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert origin == {"seed": "5", "simulators": "icarus 11.0", "images": "2", "design_hash": "5a" * 32}
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "bad ?[31m value"
    assert failure.text == "bad ?[31m value\nsecond line"
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^cannot write "):
        write_junit(report(None), tmp_path / "file" / "j.xml")


@pytest.mark.parametrize(
    ("options", "simulator", "images"),
    [
        ({}, "verilator", 100),
        ({"images": 7}, "verilator", 7),
        ({"sim": "icarus"}, "icarus", 2),
        ({"sim": "icarus", "images": 7}, "icarus", 7),
        ({"sim": "both", "images": 7}, "icarus", 2),
        ({"sim": "both", "images": 1}, "icarus", 1),
        ({"sim": "both", "images": 7}, "verilator", 7),
    ],
    ids=str,
)
def test_images_of_the_bulk_mode(options: dict[str, object], simulator: str, images: int) -> None:
    assert VerifyConfig(**options).bulk_images(simulator) == images  # type: ignore[arg-type]  # options of any field
