"""One rule for names, kept at every door, and text that stays in its place where it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.bundle.manifest import Manifest
from hwprm.core.errors import ModelError
from hwprm.core.names import NAME_MAX, as_name, check_name, one_line
from hwprm.emission.templates import render
from hwprm.emission.writer import write_bundle
from hwprm.graph import Graph, Input, Linear
from tests.sim.standin import images, network, parts, standin_bundle

EVIL = "x\nmodule evil; endmodule\n//"
NO_NAMES = [
    "",
    ".",
    ".hidden",
    "-o",
    "a b",
    "a/b",
    "../a",
    EVIL,
    "a\x00",
    "naïve",
    "a|b",
    "`x`",
    "<b>",
    'a"',
    "a'b",
    None,
    7,
]


@pytest.mark.parametrize("name", ["a", "_", "0", "layer1.0.conv-2", "A" * NAME_MAX])
def test_names(name: str) -> None:
    check_name("a layer", name)
    assert as_name(name) == name


@pytest.mark.parametrize("name", [*NO_NAMES, "a" * (NAME_MAX + 1)], ids=repr)
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(
        ModelError, match=r"^a layer is called .*; names end up in Verilog .*, so rename it to "
    ) as caught:
        check_name("a layer", name)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_makes_a_name(text: str) -> None:
    check_name("a file", as_name(text))
    assert one_line(text).isprintable()
    assert len(one_line(text)) == len(text)


@pytest.mark.parametrize("name", [EVIL, "a b"])
def test_every_door_refuses_what_is_no_name(name: str, tmp_path: Path) -> None:
    net = network()
    first = net.layers[0]
    with pytest.raises(ModelError, match="^the network is called"):
        replace(net, name=name)
    with pytest.raises(ModelError, match="^a tensor is called"):
        replace(net, tensors=(replace(net.tensors[0], name=name), *net.tensors[1:]), inputs=(name,))
    with pytest.raises(ModelError, match="^a tensor is called"):
        tensors = (net.tensors[0], replace(net.tensors[1], name=name), net.tensors[2])
        replace(net, tensors=tensors, layers=(replace(first, name=name), net.layers[1]))
    with pytest.raises(ModelError, match="^a node is called"):
        Graph((Input(name=name, inputs=(), shape=(3,)),), (name,))
    with pytest.raises(ModelError, match="^a node is called"):
        fc = Linear(name=name, inputs=("x",), weight=np.ones((1, 3), np.float32), bias=np.zeros(1, np.float32))
        Graph((Input(name="x", inputs=(), shape=(3,)), fc), (name,))
    plain = json.loads(json.dumps(standin_bundle(tmp_path / "b").manifest.to_json()))
    for change in (
        {"net": name},
        {"inputs": [plain["inputs"][0] | {"name": name}]},
        {"layers": [plain["layers"][0] | {"name": name}, plain["layers"][1]]},
        {"ports": [*plain["ports"], plain["ports"][0] | {"name": name}]},
        {"roms": [plain["roms"][0] | {"name": name}]},
    ):
        with pytest.raises(ModelError, match="^an entry is called"):
            Manifest.from_json(plain | change)


def test_text_of_others_stays_in_its_place(tmp_path: Path) -> None:
    ports = tuple(replace(port, doc=f"{EVIL} | `x` <b>") if port.name == "clk" else port for port in parts().ports)
    bundle = write_bundle(replace(parts(), ports=ports), images(), None, tmp_path / "b")
    for name in ("rtl/hwprm_top.v", "tb/tb_hwprm.v", "README.md"):
        lines = (bundle.folder / name).read_text().splitlines()
        assert not [line for line in lines if line.startswith("module evil")], name
    (row,) = [
        line for line in (bundle.folder / "README.md").read_text().splitlines() if line.startswith("| input | `clk`")
    ]
    assert row.count("|") - row.count(r"\|") == 5


def test_templates_say_what_is_missing() -> None:
    with pytest.raises(Exception, match="is undefined"):
        render("hwprm_top.v.j2")
