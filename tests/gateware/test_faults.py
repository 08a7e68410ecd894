"""Planted faults: the bench that says "equal" must be able to say "not equal"."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.core.errors import MismatchError
from hwprm.gateware import ProcessingElement
from hwprm.intnet import Term
from hwprm.isa import WordFormat, entry_format, layer_format, param_format, store_format, tile_format
from tests.support.bench import check, random_images, rom_contents, run, run_checked
from tests.support.networks import Spec, network, small_lenet, weights


@pytest.fixture(scope="module")
def program():
    return compile_network(small_lenet(), ArrayConfig(rows=4, cols=3))


def _changed(program, rom: str, form: WordFormat, index: int, **values: int) -> dict[str, list[int]]:
    words = rom_contents(program)
    old = form.decode(words[rom][index])
    assert any(old[name] != value for name, value in values.items()), "the fault changes nothing"
    words[rom][index] = form.encode(old | values)
    return words


class BitStuck(ProcessingElement):
    """A product with bit 9 stuck at one where both operands are negative."""

    def product(self, m: Module, act, weight, name: str, platform=None):
        value = Signal(signed(self._hw.act_bits + self._hw.weight_bits), name=f"{name}_wrong")
        m.d.sync += value.eq((act * weight) | (((act < 0) & (weight < 0)) << 9))
        return value


def test_no_fault(program):
    run_checked(program, random_images(program, 1))


def test_wrong_product(program):
    with pytest.raises(MismatchError, match=r"^image 0, tensor 'conv1'\[\d+, \d+, \d+\]: expected -?\d+, got -?\d+; "):
        run_checked(program, random_images(program, 1), element=BitStuck(program.hardware))


def test_swapped_list_entries(program):
    words = rom_contents(program)
    words["entries"][:2] = words["entries"][1::-1]
    with pytest.raises(MismatchError, match="^image 0, tensor 'conv1'"):
        run_checked(program, random_images(program, 1), contents=words)


def test_flipped_weight_bit(program):
    words = rom_contents(program)
    words["weights"][-1] ^= 1 << 6
    with pytest.raises(MismatchError, match="^image 0, output words"):
        run_checked(program, random_images(program, 2), contents=words)


def test_wrong_rounding_constant(program):
    form = param_format(program.hardware)
    words = rom_contents(program)
    shift = form.decode(words["params"][0])["shift"]
    words = _changed(program, "params", form, 0, shift=shift ^ 1)
    with pytest.raises(MismatchError, match=r"^image 0, tensor 'conv1'\[0, "):
        run_checked(program, random_images(program, 1), contents=words)


def test_bias_off_by_one_in_the_last_layer(program):
    form = param_format(program.hardware)
    bias = form.decode(rom_contents(program)["params"][-1])["bias"]
    words = _changed(program, "params", form, -1, bias=bias + 1)
    with pytest.raises(MismatchError, match="^image 0, output words"):
        run_checked(program, random_images(program, 1), contents=words)


def test_wrong_lane_step(program):
    form = layer_format(program.hardware)
    lane_word = form.decode(rom_contents(program)["layers"][1])["lane_word"]
    words = _changed(program, "layers", form, 1, lane_word=lane_word + 1)
    with pytest.raises(MismatchError, match="^image 0, tensor 'conv2'"):
        run_checked(program, random_images(program, 1), contents=words)


def test_tensor_stored_a_word_too_far(program):
    """The vectors are right, where they lie is not: the next layer must show it."""
    form = store_format(program.hardware)
    base = form.decode(rom_contents(program)["stores"][0])["base_word"]
    words = _changed(program, "stores", form, 0, base_word=base + 1)
    with pytest.raises(MismatchError, match="^image 0, tensor 'conv2'"):
        run_checked(program, random_images(program, 1), contents=words)


def test_an_idle_cycle_more_is_seen_by_the_cycle_counter():
    rng = np.random.default_rng(0)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weights(rng, (8, 1, 1, 1))),)),  # its drain needs idle cycles
        Spec(name="b", terms=(Term(source="a", weight=weights(rng, (3, 8, 2, 2))),)),
        Spec(name="c", terms=(Term(source="b", weight=weights(rng, (2, 3, 3, 3))),), wide=True),
    )
    program = compile_network(network((1, 4, 4), layers), ArrayConfig(rows=3, cols=8))
    assert (program.tiles[0].idle > 0, program.tiles[1].idle, program.tiles[1].pixel_tiles) == (True, 0, 3)
    words = _changed(program, "tiles", tile_format(program.hardware), 1, idle=1)
    total = program.cycles.total
    with pytest.raises(MismatchError, match=rf"^cycle register\[\]: expected {total}, got {total + 2}; "):
        run_checked(program, random_images(program, 1), contents=words)


def test_a_missing_entry_is_seen(program):
    form = entry_format(program.hardware)
    words = _changed(program, "entries", form, 0, y_low=0, y_high=0)
    with pytest.raises(MismatchError, match="^image 0, tensor 'conv1'"):
        run_checked(program, random_images(program, 1), contents=words)


def test_results_of_other_images_are_refused(program):
    """Compared with what was sent, not with itself."""
    result = run(program, random_images(program, 1, seed=1))
    with pytest.raises(MismatchError, match="^image 0, tensor 'conv1'"):
        check(program, random_images(program, 1, seed=2), result)


def test_a_silent_probe_is_seen(program):
    images = random_images(program, 1)
    result = run(program, images)
    result.tensors.clear()
    with pytest.raises(MismatchError, match="^image 0, tensor 'conv1': the probe showed nothing$"):
        check(program, images, result)
