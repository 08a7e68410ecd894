"""ROM contents run by the interpreter, against the reference: lists, weights, lanes, stores, words."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.intnet import Term, reference
from hwprm.isa import entry_format, param_format
from tests.support.bench import random_images, rom_contents
from tests.support.interpreter import Interpreter
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, network, small_lenet, weights
from tests.support.phased_networks import phased_network
from tests.support.random_networks import random_inputs, random_products
from tests.unit.compiler.cases import random_programs, residual_programs


def _assert_same(program: Program, *, seed: int = 0, contents: dict[str, list[int]] | None = None) -> None:
    net = program.network
    for buffer, image in enumerate(random_images(program, 2, seed)):
        want = reference.run(net, image[None])
        got = Interpreter(program, buffer=buffer, contents=contents).run(image)
        for name in program.layers:
            if name not in net.outputs:
                assert np.array_equal(got[name], want[name][0]), name
        words = np.concatenate([want[name].reshape(-1) for name in program.layers if name in net.outputs])
        assert np.array_equal(got["output"], words), "output words"


def test_random_networks():
    for i, program in enumerate(random_programs(range(400, 460))):
        _assert_same(program, seed=i)


def test_random_networks_with_phases():
    """Rewritten geometry, shared lists with bases, parameters of a channel's phases, and where each of these goes."""
    phased = 0
    for seed in range(40):
        program = compiled(phased_network(seed), *(int(v) for v in np.random.default_rng(seed).integers(2, 10, 2)))
        phased += program.hardware.phased
        _assert_same(program, seed=seed)
    assert phased > 25


def test_random_networks_of_several_inputs():
    for i, program in enumerate(random_programs(range(600, 640), make=random_inputs, largest=7)):
        _assert_same(program, seed=i)


def test_random_residuals():
    for i, program in enumerate(residual_programs(range(60))):
        _assert_same(program, seed=i)


def test_random_products():
    programs = random_programs(range(60), make=random_products, largest=7)
    assert sum(program.hardware.common for program in programs) > 10
    for i, program in enumerate(programs):
        _assert_same(program, seed=i)


@pytest.mark.parametrize("cols", [1, 3, 4, 8], ids=lambda c: f"C{c}")
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 17], ids=lambda r: f"R{r}")
def test_lenet(rows, cols):
    _assert_same(compiled(small_lenet(), rows, cols))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8], ids=lambda r: f"R{r}")
@pytest.mark.parametrize("name", SEVERAL_INPUTS)
def test_several_inputs(name, rows):
    _assert_same(compiled(SEVERAL_INPUTS[name](), rows, 3))


@pytest.mark.parametrize("rows", [1, 2, 4, 7, 8, 9, 16], ids=lambda r: f"R{r}")
def test_maps_smaller_than_the_array(rows):
    """A pixel tile that is taller than the map steps further than any row of it."""
    rng = np.random.default_rng(0)
    for height in range(1, 5):
        for width in range(1, 4):
            layers = (
                Spec(name="a", terms=(Term(source="image", weight=weights(rng, (2, 1, 1, 1))),)),
                Spec(name="b", terms=(Term(source="a", weight=weights(rng, (2, 2, height, width))),), wide=True),
            )
            _assert_same(compiled(network((1, height, width), layers), rows, 2))


def test_a_swapped_list_entry_is_seen():
    program = compiled(small_lenet(), 4, 3)
    words = rom_contents(program)
    form = entry_format(program.hardware)
    assert form.decode(words["entries"][0]) != form.decode(words["entries"][1])
    words["entries"][:2] = words["entries"][1::-1]
    with pytest.raises(AssertionError, match="^conv1"):
        _assert_same(program, contents=words)


@pytest.mark.parametrize("field", ["bias", "mult", "shift"])
def test_a_wrong_constant_is_seen(field):
    program = compiled(small_lenet(), 4, 3)
    words = rom_contents(program)
    form = param_format(program.hardware)
    values = form.decode(words["params"][-1])
    values[field] = values[field] ^ 1 if field == "shift" else values[field] - values[field] // 3
    words["params"][-1] = form.encode(values)
    with pytest.raises(AssertionError, match="^output words"):
        _assert_same(program, contents=words)
