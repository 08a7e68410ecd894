"""The whole accelerator, image in, words out: every tensor, every output word and the cycle counter, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.intnet import IntegerNetwork, Pool, Term, reference
from tests.support.bench import random_images, random_pause, run_checked
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, network, seeded_weights, small_lenet, weights
from tests.support.random_networks import random_inputs, random_network
from tests.support.rounds import long_round


def _single(term: Term, pool: Pool | None = None, *, shape: tuple[int, int, int], bits: tuple[int, int] = (8, 8)):
    """`term` over the image, then a 1 x 1 layer whose every pixel leaves."""
    rng = np.random.default_rng(3)
    filters = term.weight.shape[0]
    last = Term(source="a", weight=weights(rng, (2, filters, 1, 1), bits=bits[0]))
    layers = (Spec(name="a", terms=(term,), pool=pool), Spec(name="b", terms=(last,), wide=True))
    return network(shape, layers, weight_bits=bits[0], act_bits=bits[1])


@pytest.mark.parametrize(
    ("rows", "cols"), long_round([(4, 4), (1, 1), (2, 3), (1, 5), (5, 1), (7, 2)], quick=1), ids=str
)
def test_lenet_on_any_array(rows, cols):
    program = compiled(small_lenet(), rows, cols)
    images = random_images(program, 1 if rows * cols == 1 else 2)
    result = run_checked(program, images)
    assert np.diff(result.starts).tolist() == [program.cycles.total] * (len(images) - 1)
    assert result.registers["STALLS"] == 0


CASES = {
    "stride": (Term(source="image", weight=seeded_weights(3, 2, 3, 2), stride=(2, 3)), None, (2, 8, 9)),
    "asymmetric-padding": (
        Term(source="image", weight=seeded_weights(3, 1, 3, 3), padding=(0, 2, 1, 0)),
        None,
        (1, 5, 4),
    ),
    "padding-wider-than-map": (
        Term(source="image", weight=seeded_weights(2, 1, 3, 3), padding=(2, 2, 2, 2)),
        None,
        (1, 2, 1),
    ),
    "dilation": (Term(source="image", weight=seeded_weights(2, 2, 2, 3), dilation=(3, 2)), None, (2, 7, 8)),
    "groups": (Term(source="image", weight=seeded_weights(6, 2, 2, 2), groups=3), None, (6, 4, 4)),
    "depthwise": (
        Term(source="image", weight=seeded_weights(5, 1, 3, 3), groups=5, padding=(1, 1, 1, 1)),
        None,
        (5, 4, 3),
    ),
    "pool-3x3-stride-2": (
        Term(source="image", weight=seeded_weights(3, 1, 2, 2)),
        Pool(kernel=(3, 3), stride=(2, 2)),
        (1, 8, 8),
    ),
    "pool-padded": (
        Term(source="image", weight=seeded_weights(3, 1, 2, 2)),
        Pool(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        (1, 7, 6),
    ),
    "pool-ceil": (
        Term(source="image", weight=seeded_weights(2, 1, 1, 1)),
        Pool(kernel=(2, 3), stride=(2, 2), ceil_mode=True),
        (1, 5, 6),
    ),
    "pool-dilated": (
        Term(source="image", weight=seeded_weights(2, 1, 2, 2)),
        Pool(kernel=(2, 2), stride=(1, 1), dilation=(2, 3)),
        (1, 6, 7),
    ),
    "one-row": (Term(source="image", weight=seeded_weights(3, 2, 1, 3)), None, (2, 1, 9)),
    "one-column": (Term(source="image", weight=seeded_weights(3, 1, 1, 1)), None, (1, 3, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_operator(case):
    term, pool, shape = CASES[case]
    program = compiled(_single(term, pool, shape=shape), 4, 2)
    run_checked(program, random_images(program, 1))


@pytest.mark.parametrize("stages", long_round([1, 3, 2, 4], quick=2))
def test_multiplier_stages(stages):
    term = Term(source="image", weight=seeded_weights(3, 1, 2, 2))
    program = compiled(
        _single(term, Pool(kernel=(2, 2), stride=(2, 2)), shape=(1, 5, 5)), 3, 2, multiplier_stages=stages
    )
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize(
    "bits",
    long_round([((2, 2),), ((2, 16),), ((16, 2),), ((5, 9),), ((16, 16),)], quick=4),
    ids=lambda b: f"w{b[0]}-a{b[1]}",
)
def test_bit_widths(bits):
    net = _single(Term(source="image", weight=seeded_weights(3, 2, 2, 2, bits=bits[0])), shape=(2, 4, 4), bits=bits)
    program = compiled(net, 3, 2)
    assert program.hardware.data_bytes == -(-bits[1] // 8)
    run_checked(program, random_images(program, 2))


def test_more_filters_than_one_drain_multiplexer_takes():
    """Beyond 16 columns the drain has a second level of multiplexers."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(20, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(19, 20, 2, 2)),), wide=True),
    )
    program = compiled(network((1, 3, 4), layers), 2, 18)
    assert program.hardware.mux_levels == 2
    run_checked(program, random_images(program, 2))


def test_accumulator_wider_than_needed():
    net = _single(Term(source="image", weight=seeded_weights(2, 1, 2, 2)), shape=(1, 4, 4))
    program = compiled(net, 2, 2, acc_bits=46)
    assert program.hardware.acc_bits == 46
    run_checked(program, random_images(program, 1))


@pytest.mark.parametrize(("rows", "cols"), long_round([(3, 2), (4, 5), (1, 2), (8, 3)], quick=1))
@pytest.mark.parametrize("name", SEVERAL_INPUTS)
def test_several_inputs(name, rows, cols):
    program = compiled(SEVERAL_INPUTS[name](), rows, cols)
    run_checked(program, random_images(program, 4))


@pytest.mark.parametrize("seed", long_round((702, 700, 701, *range(703, 708)), quick=1))
def test_random_networks_of_several_inputs(seed):
    program = compiled(random_inputs(seed, largest=6), 2 + seed % 5, 1 + seed % 3)
    run_checked(program, random_images(program, 3, seed), pause_in=random_pause(seed))


def residual() -> IntegerNetwork:
    """A sum of two tensors, a tensor read by three layers, and two outputs, one of them a map."""
    diagonal = np.eye(3, dtype=np.int64).reshape(3, 3, 1, 1) * 90
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 2, 3, 3), padding=(1, 1, 1, 1)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(3, 3, 3, 3), padding=(1, 1, 1, 1)),), relu=False),
        Spec(
            name="sum",
            terms=(
                Term(source="b", weight=seeded_weights(3, 3, 1, 3), padding=(0, 0, 1, 1)),
                Term(source="a", weight=diagonal),
            ),
        ),
        Spec(name="map", terms=(Term(source="sum", weight=seeded_weights(2, 3, 2, 2)),), wide=True),
        Spec(name="c", terms=(Term(source="a", weight=seeded_weights(2, 3, 3, 2), stride=(2, 1)),)),
        Spec(name="logits", terms=(Term(source="c", weight=seeded_weights(5, 2, 1, 4)),), wide=True),
    )
    return network((2, 4, 5), layers)


@pytest.mark.parametrize(("rows", "cols"), long_round([(3, 2), (4, 4)], quick=1), ids=str)
def test_residual_sum_shared_tensor_two_outputs(rows, cols):
    program = compiled(residual(), rows, cols)
    assert program.network.outputs == ("map", "logits")
    run_checked(program, random_images(program, 3), pause_out=random_pause(rows, 30))


def test_image_added_to_another_tensor():
    """The image changes places from image to image, other tensors do not."""
    weight = seeded_weights(2, 2, 3, 3)
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=weight, padding=(1, 1, 1, 1)),)),
        Spec(
            name="sum",
            terms=(
                Term(source="a", weight=seeded_weights(3, 2, 1, 1)),
                Term(source="image", weight=seeded_weights(3, 2, 1, 1)),
            ),
            wide=True,
        ),
    )
    program = compiled(network((2, 3, 3), layers), 2, 2)
    run_checked(program, random_images(program, 3))


def test_single_layer_network():
    """The layer that needs an image is also the one that needs room for words."""
    layers = (Spec(name="only", terms=(Term(source="image", weight=seeded_weights(3, 1, 2, 2)),), wide=True),)
    program = compiled(network((1, 3, 4), layers), 2, 2)
    images = random_images(program, 4)
    run_checked(program, images)
    run_checked(program, images, pause_in=random_pause(1), pause_out=random_pause(2, 9))


#: (seed, rows, cols, multiplier stages): seeds whose networks are small and together have every operator.
RANDOM = (
    (5, 1, 4, 1), (11, 8, 6, 3), (13, 2, 2, 2), (14, 5, 4, 3), (4, 8, 2, 3), (15, 8, 6, 3), (33, 1, 4, 3),
    (36, 4, 3, 3), (50, 2, 4, 2), (88, 1, 6, 3), (93, 3, 4, 1), (101, 2, 3, 2), (112, 4, 6, 3), (121, 8, 5, 1),
    (124, 4, 6, 3), (145, 8, 1, 1), (148, 7, 6, 3),
)  # fmt: skip


def drawn_pipeline(seed: int) -> str:
    """Short or fast, as the seed says."""
    return ("short", "fast")[int(np.random.default_rng(seed).integers(2))]


@pytest.mark.parametrize(("seed", "rows", "cols", "stages"), long_round(RANDOM, quick=4), ids=str)
def test_random_network(seed, rows, cols, stages):
    net = random_network(seed, largest=6)
    program = compiled(net, rows, cols, multiplier_stages=stages, pipeline=drawn_pipeline(seed))
    images = random_images(program, 2, seed)
    result = run_checked(program, images)
    full = reference.run(net, images)
    want = np.concatenate([full[name].reshape(2, -1) for name in net.outputs], axis=1)
    assert np.array_equal(np.array(result.outputs), want), "compaction changed the outputs"


def test_a_pool_of_its_own():
    term = Term(source="image", weight=seeded_weights(5, 2, 3, 3))
    program = compiled(_single(term, Pool(kernel=(2, 2), stride=(2, 2)), shape=(2, 6, 6)), 9, 3)
    assert program.layers == ("a_map", "a", "b")
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize(("rows", "cols"), long_round([(4, 3), (5, 8), (1, 2), (8, 4), (9, 1)], quick=1), ids=str)
@pytest.mark.parametrize("size", [(4, 4), (1, 3), (3, 2)], ids=str)
def test_global_average_over_channels(size, rows, cols):
    """Equal depthwise filters over a whole map: the lanes run over the channels."""
    height, width = size
    first = Term(source="image", weight=seeded_weights(13, 2, 1, 1))
    mean = Term(source="a", weight=np.ones((13, 1, height, width), np.int64), groups=13)
    last = Term(source="b", weight=seeded_weights(3, 13, 1, 1))
    layers = [Spec(name="a", terms=(first,)), Spec(name="b", terms=(mean,)), Spec(name="c", terms=(last,), wide=True)]
    net = network((2, height, width), layers)
    b = net.layers[1]
    same = replace(b, bias=b.bias[:1].repeat(13), mult=b.mult[:1].repeat(13), shift=b.shift[:1].repeat(13))
    program = compiled(replace(net, layers=(net.layers[0], same, net.layers[2])), rows, cols)
    assert [geo.channel_lanes for geo in program.geometry] == [False, height > 1, False]
    run_checked(program, random_images(program, 2))
