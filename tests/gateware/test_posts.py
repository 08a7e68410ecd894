"""Tables behind the requantiser in gates: every code, every table, and whole networks to the cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.core.numerics import look_up
from hwprm.gateware.core.posts import Posts
from hwprm.isa.latencies import POST
from tests.support.bench import random_images, rom_contents, run_checked, simulate
from tests.support.hardware import hardware
from tests.support.interpreter import Interpreter
from tests.support.tables import tabled_network

PIPELINES = pytest.mark.parametrize("pipeline", ["short", "fast"])


@PIPELINES
@pytest.mark.parametrize("tables", [1, 3])
def test_every_code_of_every_table(tables: int, pipeline: str) -> None:
    """One code a cycle; a layer without a table passes its codes on, as late as the others."""
    hw = hardware(act_bits=4, posts=tables, pipeline=pipeline)
    contents = np.random.default_rng(2).integers(0, 16, (tables, 16))
    dut = Posts(hw, contents.ravel().tolist())
    found: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for number in range(-1, tables):
            layer = {"posted": int(number >= 0)} | ({"post": max(number, 0)} if tables > 1 else {})
            ctx.set(dut.layer, layer)
            found.append([])
            for code in [*range(16), *[0] * POST(hw)]:
                ctx.set(dut.code, code)
                found[-1].append(ctx.get(dut.result))
                await ctx.tick()

    simulate(dut, bench)
    wanted = [list(range(16)), *contents.tolist()]
    assert [codes[POST(hw) :] for codes in found] == wanted


@PIPELINES
def test_networks_with_tables_are_exact(pipeline: str) -> None:
    """Every stored vector, every word, and every layer's cycles."""
    program = compile_network(tabled_network(), ArrayConfig(rows=3, cols=2, pipeline=pipeline))
    hw = program.hardware
    assert (hw.posts, hw.post_words, hw.mixed) == (2, 64, True)
    images = random_images(program, 2)
    run_checked(program, images)
    found = Interpreter(program).run(images[0])
    assert set(found) > {"a", "b", "c", "d"}


def test_a_wrong_word_is_seen() -> None:
    program = compile_network(tabled_network(), ArrayConfig(rows=3, cols=2))
    contents = rom_contents(program)
    image = random_images(program, 1)[0]
    right = Interpreter(program).run(image)
    wrong = Interpreter(program, contents=contents | {"posts": [word ^ 1 for word in contents["posts"]]}).run(image)
    assert (right["a"] != wrong["a"]).all()


def test_tables_cost_what_they_must() -> None:
    """A cycle in each stored layer, memory for each lane; and nothing where there are none."""
    net = tabled_network()
    plain = replace(
        net,
        layers=tuple(replace(layer, table=None) for layer in net.layers),
        tensors=tuple(replace(tensor, signed=True) for tensor in net.tensors),
    )
    with_tables, without = (compile_network(one, ArrayConfig(rows=3, cols=2)) for one in (net, plain))
    assert without.hardware.posts == 0 and "posts" not in {rom.name for rom in without.roms}
    assert "posts" not in without.onchip and with_tables.onchip["posts"] == 3 * 64 * 5
    later = [a.cycles - b.cycles for a, b in zip(with_tables.cycles.layers, without.cycles.layers, strict=True)]
    assert later == [1, 1, 1, 1, 0]
    assert [layer.stages for layer in with_tables.cycles.layers] == later
    for layer in with_tables.cycles.layers:
        assert layer.bound <= layer.cycles <= layer.limit


def test_constants_go_through_the_table() -> None:
    """A filter without weights makes the word of its bias, which its readers take into theirs."""
    net = tabled_network()
    term = net.layers[3].terms[0]
    weight = term.weight.copy()
    weight[1] = 0
    silent = replace(net.layers[3], terms=(replace(term, weight=weight),))
    net = replace(net, layers=(*net.layers[:3], silent, net.layers[4]))
    program = compile_network(net, ArrayConfig(rows=3, cols=2))
    assert program.network.tensor["d"].shape[0] == 2
    assert silent.table is not None
    code = np.clip((silent.bias[1] * silent.mult[1] + (1 << silent.shift[1] - 1)) >> silent.shift[1], *silent.clamp)
    added = net.layers[4].terms[0].weight[:, 1].sum(axis=(1, 2)) * look_up(silent.table, code)
    np.testing.assert_array_equal(program.network.layers[-1].bias, net.layers[4].bias + added)
