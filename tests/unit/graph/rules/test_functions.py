"""Functions of one number: in numpy as in torch, and what they say of themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprm.graph.rules.functions import FUNCTIONS, Function

NUMBERS = {
    "elu": (1.67, 1.05, 0.5),
    "softplus": (2.0, 15.0),
    "leaky_relu": (0.1,),
    "softshrink": (0.5,),
    "hardshrink": (0.5,),
    "power": (1e-3, 2.0, -0.75),
    "affine": (-0.5, 2.0),
    "clamp": (-0.5, 2.0),
}
#: Far out, and where softplus of these numbers becomes a straight line.
X = np.concatenate([np.linspace(-40, 40, 801), np.linspace(7.5 - 1e-6, 7.5 + 1e-6, 201), [-1000.0, 1000.0]])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_as_in_torch(name: str) -> None:
    function = Function(name, NUMBERS.get(name, ()))
    assert len(function.numbers) == function.meaning.count
    values, wanted = function(X), function.compute(torch, torch.from_numpy(X)).numpy()
    assert values.dtype == np.float64 and np.isfinite(values).all()
    np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_it_says_of_itself(name: str) -> None:
    function = Function(name, NUMBERS.get(name, ()))
    values = function(np.sort(X))
    assert function.rising == bool((np.diff(values) >= 0).all())
    assert not function.never_negative or values.min() >= 0


def test_a_steep_slope_below_zero_does_not_rise() -> None:
    assert Function("leaky_relu", (0.1,)).rising and not Function("leaky_relu", (-0.1,)).rising
    assert Function("leaky_relu", (-0.1,)).never_negative and not Function("leaky_relu", (0.1,)).never_negative
    assert str(Function("leaky_relu", (0.1,))) == "leaky_relu(0.1)" and str(Function("tanh")) == "tanh"
