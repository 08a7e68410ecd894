"""Signed and unsigned tensors side by side: in one sum, as a residual, behind a clamp; and the designs of one kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.core.errors import MismatchError
from hwprm.intnet import IntegerNetwork, Pool, Residual, Term
from hwprm.isa import entry_format
from tests.support.bench import random_images, rom_contents, run_checked
from tests.support.networks import Spec, compiled, network, seeded_weights
from tests.support.random_networks import random_inputs, random_network, random_residuals
from tests.support.rounds import long_round


def mixed(act_bits: int = 8) -> IntegerNetwork:
    """A sum over a signed and an unsigned input, padded and pooled; behind it layers that add one of either kind."""
    same, one = {"padding": (1, 1, 1, 1)}, np.array([200, 0, 77])
    terms = (
        Term(source="signed", weight=seeded_weights(3, 2, 3, 3, bits=6), **same),
        Term(source="unsigned", weight=seeded_weights(3, 1, 3, 3, bits=6), **same),
    )
    pool = Pool(kernel=(2, 2), stride=(1, 1), padding=(1, 0, 1, 0))

    def alone(source: str) -> tuple[Term, ...]:
        return (Term(source=source, weight=seeded_weights(3, 3, 1, 1, bits=6)),)

    def added(source: str, *channels: int) -> Residual:
        return Residual(source=source, channel=np.array(channels), mult=one)

    layers = (
        Spec(name="both", terms=terms, pool=pool),
        Spec(name="under", terms=alone("both"), residual=added("unsigned", 0, 0, 0), relu=False),
        Spec(name="over", terms=alone("under"), residual=added("signed", 1, 0, 0)),
        Spec(name="out", terms=(*alone("over"), *alone("under")), residual=added("both", 2, 1, 0), wide=True),
    )
    shapes = {"signed": (2, 4, 5), "unsigned": (1, 4, 5)}
    return network(shapes, layers, act_bits=act_bits, weight_bits=6, unsigned=("unsigned",))


def chain(unsigned: tuple[str, ...], relu: bool) -> IntegerNetwork:
    """Two layers of tensors of one kind: all behind a ReLU, or none."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 2, 2, 2)),), relu=relu),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(2, 3, 2, 2)),), wide=True),
    )
    return network((2, 4, 4), layers, unsigned=unsigned)


def extremes(program: Program) -> np.ndarray:
    """An image of lowest integers, one of highest, one of both in turn, and one of random ones."""
    low, high = program.network.image_limits
    turns = np.where(np.indices(low.shape).sum(axis=0) % 2, low, high)
    return np.stack([low, high, turns, random_images(program, 1)[0]])


@pytest.mark.parametrize(
    ("rows", "cols", "act_bits"), long_round([(3, 2, 8), (5, 4, 3), (2, 17, 16)], quick=2), ids=str
)
def test_signed_and_unsigned_tensors_in_one_design(rows: int, cols: int, act_bits: int) -> None:
    program = compiled(mixed(act_bits), rows, cols)
    hw = program.hardware
    assert hw.mixed and hw.operand_bits == act_bits + 1
    assert [part.signed for part in hw.inputs] == [True, False]
    run_checked(program, extremes(program))


@pytest.mark.parametrize(("unsigned", "relu", "image"), [((), False, True), (("image",), True, False)], ids=str)
def test_a_design_of_one_kind_needs_no_bit_and_no_wider_operand(unsigned, relu, image) -> None:
    program = compiled(chain(unsigned, relu), 3, 2)
    hw = program.hardware
    assert (hw.signed, hw.unsigned, hw.operand_bits) == (image, not image, 8)
    assert "unsigned" not in [field.name for field in entry_format(hw).fields]
    run_checked(program, extremes(program))


@pytest.mark.parametrize("kind", [0, 1], ids=["signed", "unsigned"])
def test_entries_that_say_the_wrong_kind_are_found(kind: int) -> None:
    program = compiled(mixed(), 3, 2)
    form, words = entry_format(program.hardware), rom_contents(program)
    entries = [form.decode(word) for word in words["entries"]]
    words["entries"] = [form.encode(entry | {"unsigned": 1 - kind}) for entry in entries]
    with pytest.raises(MismatchError, match="tensor 'both"):
        run_checked(program, extremes(program), contents=words)


def test_the_generators_mix_kinds() -> None:
    """Of the networks that the random tests draw at least every third one really mixes signed and unsigned tensors."""
    drawn = [make(seed) for make in (random_network, random_inputs, random_residuals) for seed in range(30)]
    kinds = [{net.tensor[name].signed for layer in net.layers for name in layer.sources} for net in drawn]
    assert sum(len(kind) == 2 for kind in kinds) >= 30
    assert {True} in kinds and {False} in kinds


def test_a_tensor_may_be_signed_although_its_clamp_is_not() -> None:
    """Networks of the version before: behind a ReLU signed tensors of half the range."""
    net = chain((), relu=True)
    a = net.layers[0]
    old = replace(
        net,
        tensors=tuple(replace(tensor, signed=True) for tensor in net.tensors),
        layers=(replace(a, clamp=(0, 127)), net.layers[1]),
    )
    program = compiled(old, 2, 2)
    assert (program.hardware.signed, program.hardware.unsigned) == (True, False)
    run_checked(program, extremes(program))
