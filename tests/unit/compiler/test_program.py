"""The compiler's front door: determinism, the design hash, and what is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.intnet import IntegerNetwork, Term
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, network, seeded_weights, small_lenet, weights


def _bytes(net: IntegerNetwork, **options: int) -> tuple[str, dict[str, str]]:
    program = compiled(net, 3, 4, **options)
    return program.design_hash, {rom.name: rom.hex_text() for rom in program.roms}


def _with_first_weight(net: IntegerNetwork, layer: int, change: int) -> IntegerNetwork:
    layers = list(net.layers)
    weight = layers[layer].terms[0].weight.copy()
    at = tuple(np.argwhere(weight)[0])
    weight[at] += change if weight[at] + change else -change
    layers[layer] = replace(layers[layer], terms=(replace(layers[layer].terms[0], weight=weight),))
    return replace(net, layers=tuple(layers))


def test_same_network_same_bytes():
    assert _bytes(small_lenet()) == _bytes(small_lenet())


@pytest.mark.parametrize("layer", range(4))
def test_one_weight_changes_the_hash(layer):
    net = small_lenet()
    before, roms = _bytes(net)
    after, changed = _bytes(_with_first_weight(net, layer, -1))
    assert before != after
    assert roms["weights"] != changed["weights"]
    assert {name for name in roms if roms[name] != changed[name]} == {"weights"}


def test_a_parameter_alone_changes_the_hash():
    one, roms = _bytes(small_lenet())
    two, same = _bytes(small_lenet(), multiplier_stages=2)
    assert roms == same
    assert one != two


def test_hash_is_sha256_in_hexadecimal():
    digest = compiled(small_lenet(), 2, 2).design_hash
    assert len(bytes.fromhex(digest)) == 32


def test_program_as_data():
    program = compiled(small_lenet(), 3, 4)
    data = json.loads(json.dumps(program.record.as_dict()))
    assert data["layers"] == list(program.layers) == ["conv1", "conv2", "fc1", "fc2"]
    assert data["roms"]["weights"]["width"] == 4 * 8
    assert data["cycles"]["total"] == program.cycles.total
    assert data["accumulator_bits"] == program.accumulator
    assert max(program.accumulator.values()) == program.hardware.acc_bits
    assert program.rom("weights").name == "weights"
    with pytest.raises(KeyError, match="^'none'$"):
        program.rom("none")


def _weight(*shape: int) -> np.ndarray:
    return weights(np.random.default_rng(0), shape)


@pytest.mark.parametrize("name", SEVERAL_INPUTS)
def test_several_inputs_keep_their_order_and_their_beats(name):
    net = SEVERAL_INPUTS[name]()
    program = compiled(net, 4, 3)
    hw = program.hardware
    assert program.network.input_shapes == net.input_shapes
    assert [part.shape for part in hw.inputs] == list(net.input_shapes.values())
    assert hw.input_beats == sum(int(np.prod(shape)) for shape in net.input_shapes.values())
    assert [part.base for part in hw.inputs] == [program.memory_map[name].base for name in net.inputs]


def test_output_read_by_another_layer():
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=_weight(2, 1, 1, 1)),), wide=True),
        Spec(name="b", terms=(Term(source="a", weight=_weight(2, 2, 1, 1)),), wide=True),
    )
    with pytest.raises(ModelError, match="^layer 'b' reads the network output 'a', whose words are too wide$"):
        network((1, 2, 2), layers)


def test_input_wider_than_the_memory():
    net = network((1, 2, 2), (Spec(name="a", terms=(Term(source="image", weight=_weight(2, 1, 2, 2)),), wide=True),))
    net = replace(net, tensors=(replace(net.tensors[0], bits=12), net.tensors[1]))
    with pytest.raises(
        UnsupportedError, match="^tensor 'image' has 12 bits, the activation memory 8; quantise it to act_bits$"
    ):
        compiled(net, 2, 2)


def test_network_pruned_to_nothing():
    layers = (Spec(name="a", terms=(Term(source="image", weight=0 * _weight(2, 1, 2, 2)),), wide=True),)
    with pytest.raises(
        ModelError, match="^output 'a' does not depend on the input: no weight that matters is left in 'a'; "
    ):
        compiled(network((1, 2, 2), layers), 2, 2)


def test_a_feature_that_a_design_lacks_is_no_part_of_its_hash() -> None:
    """All of its tensors are signed: the hash is that of versions that knew no others."""
    net = network(
        (1, 5, 5), (Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 1, 3, 3)),), wide=True),)
    )
    program = compiled(net, 2, 2)
    plain = asdict(program.hardware) | {"design_hash": ""}
    lacks = {
        "signed": True,
        "unsigned": False,
        "phases_max": 1,
        "batch": 1,
        "apart": False,
        "image_gaps": False,
        "posts": 0,
        "gates": False,
        "common": False,
    }
    assert {name: plain.pop(name) for name in lacks} == lacks
    assert [(part.pop("signed"), part.pop("image")) for part in plain["inputs"]] == [(True, 0)]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for rom in program.roms:
        digest.update(f"{rom.name}:{rom.width}:{rom.depth}:".encode() + rom.data.tobytes())
    assert program.design_hash == digest.hexdigest()
    other = compiled(replace(net, tensors=(replace(net.tensors[0], signed=False), *net.tensors[1:])), 2, 2)
    assert other.design_hash != program.design_hash
