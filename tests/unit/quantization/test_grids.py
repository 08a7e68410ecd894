"""Steps of weights that lie on a grid are found in them."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.quantization.grids import found_steps


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_what_was_rounded_is_found_again(bits: int, count: int) -> None:
    rng, largest = np.random.default_rng(bits + count), (1 << (bits - 1)) - 1
    integers = rng.integers(-largest - 1, largest + 1, (50, count))
    integers[:, 0] = rng.choice([-1, 1], 50)  # so that no larger step does as well
    real = (integers * rng.uniform(1e-4, 3, (50, 1))).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(np.rint(real / found_steps(real, largest)[:, None]), integers)


def test_a_larger_step_does_where_all_are_multiples() -> None:
    np.testing.assert_allclose(found_steps(np.array([[0.2, -0.4, 0.0, 0.8]]), 127), [0.2])


def test_what_lies_on_none_has_none() -> None:
    rows = np.random.default_rng(1).normal(size=(20, 9))
    assert np.isnan(found_steps(rows, 127)).all() and np.isnan(found_steps(np.zeros((2, 3)), 7)).all()
    assert np.isnan(found_steps(np.array([[1.0, -130.0]]), 127)).all(), "more integers than there are"
