"""Images of several inputs as one array: what is packed comes apart again, and nothing else is taken."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.core.errors import InputError
from hwprm.intnet import image_shape, pack_images, reference, split_images
from hwprm.quantization.emulate import run_torch
from tests.support.networks import SEVERAL_INPUTS

SHAPES = {"a": (2, 3, 4), "b": (5, 1, 1), "c": (1, 2, 2)}


def _arrays(shapes: dict[str, tuple[int, int, int]], count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(-128, 128, (count, *shape)) for name, shape in shapes.items()}


def test_packed_rows_are_the_inputs_one_after_the_other() -> None:
    arrays = _arrays(SHAPES)
    packed = pack_images(arrays.values())
    assert packed.shape == (3, *image_shape(SHAPES.values())) == (3, 33)
    row = np.concatenate([array[1].reshape(-1) for array in arrays.values()])
    np.testing.assert_array_equal(packed[1], row)
    apart = split_images(packed, SHAPES)
    assert list(apart) == list(SHAPES)
    for name, array in arrays.items():
        np.testing.assert_array_equal(apart[name], array)


def test_one_input_stays_as_it_is() -> None:
    image = _arrays({"a": (2, 3, 4)})["a"]
    assert image_shape([(2, 3, 4)]) == (2, 3, 4)
    assert pack_images([image]) is image
    np.testing.assert_array_equal(split_images(image, {"a": (2, 3, 4)})["a"], image)


def test_no_images() -> None:
    empty = split_images(np.zeros((0, 33), np.int64), SHAPES)
    assert {name: array.shape for name, array in empty.items()} == {k: (0, *shape) for k, shape in SHAPES.items()}


@pytest.mark.parametrize("shape", [(3, 32), (3, 34), (3, 2, 3, 4), (33,)], ids=str)
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"the network reads \(n, 33\): a \(2, 3, 4\), b \(5, 1, 1\), c \(1, 2, 2\)$"):
        split_images(np.zeros(shape, np.int64), SHAPES)


@pytest.mark.parametrize("name", SEVERAL_INPUTS)
def test_both_references_agree(name: str) -> None:
    net = SEVERAL_INPUTS[name]()
    arrays = _arrays(net.input_shapes)
    packed = pack_images(arrays.values())
    by_name, numpy_run, torch_run = reference.run(net, arrays), reference.run(net, packed), run_torch(net, packed)
    for tensor in net.tensors:
        np.testing.assert_array_equal(numpy_run[tensor.name], by_name[tensor.name])
        np.testing.assert_array_equal(torch_run[tensor.name], by_name[tensor.name])
    logits = reference.logits(net, packed, chunk=2)
    np.testing.assert_array_equal(logits["out"], by_name["out"])
    for other in net.inputs:  # an input that is read makes a difference, the others make none
        changed = reference.run(net, arrays | {other: -1 - arrays[other]})["out"]
        assert np.array_equal(changed, by_name["out"]) == (other == "unread")
