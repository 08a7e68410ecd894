"""The float64 reference against torch, operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given
from hypothesis import strategies as st

from hwprm.core.errors import ModelError
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu, evaluate
from tests.support.rounds import examples

ints = st.integers


def apply(node, x):
    graph = Graph((Input(name="x", inputs=(), shape=x.shape[1:]), node), (node.name,))
    out = evaluate(graph, x)[node.name]
    assert out.shape == (len(x), *graph.shapes[node.name])
    return out


@examples(60)
@given(ints(0, 99), ints(1, 3), ints(1, 2), ints(1, 3), ints(1, 2), st.tuples(*[ints(0, 2)] * 4))
def test_conv(seed, kernel, stride, dilation, groups, padding):
    rng = np.random.default_rng(seed)
    x, weight, bias = rng.normal(size=(2, 4, 7, 8)), rng.normal(size=(6, 4 // groups, kernel, 2)), rng.normal(size=6)
    node = Conv2d(
        name="y",
        inputs=("x",),
        weight=weight,
        bias=bias,
        stride=(stride, 1),
        padding=padding,
        dilation=(dilation, 1),
        groups=groups,
    )
    top, bottom, left, right = padding
    padded = nnf.pad(torch.from_numpy(x), (left, right, top, bottom))
    expected = nnf.conv2d(
        padded,
        torch.from_numpy(weight),
        torch.from_numpy(bias),
        stride=(stride, 1),
        dilation=(dilation, 1),
        groups=groups,
    )
    np.testing.assert_allclose(apply(node, x), expected.numpy(), atol=1e-12)


@examples(60)
@given(ints(0, 99), ints(2, 3), ints(1, 3), ints(0, 1), ints(1, 2), st.booleans())
def test_pool(seed, kernel, stride, padding, dilation, ceil_mode):
    x = np.random.default_rng(seed).normal(size=(2, 3, 7, 8)) - 5
    node = MaxPool2d(
        name="y",
        inputs=("x",),
        kernel=(kernel, 2),
        stride=(stride, 2),
        padding=(padding,) * 4,
        dilation=(dilation, 1),
        ceil_mode=ceil_mode,
    )
    expected = nnf.max_pool2d(
        torch.from_numpy(x), (kernel, 2), (stride, 2), padding, dilation=(dilation, 1), ceil_mode=ceil_mode
    )
    np.testing.assert_array_equal(apply(node, x), expected.numpy())


def test_the_other_operators():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 2, 2))
    t = torch.from_numpy(x)
    w, b, mean, var = rng.normal(size=4), rng.normal(size=4), rng.normal(size=4), rng.random(4) + 0.1
    norm = BatchNorm(name="y", inputs=("x",), weight=w, bias=b, mean=mean, var=var, eps=1e-3)
    expected = nnf.batch_norm(t, *(torch.from_numpy(a) for a in (mean, var, w, b)), eps=1e-3)
    np.testing.assert_allclose(apply(norm, x), expected.numpy(), atol=1e-12)
    np.testing.assert_array_equal(apply(Relu(name="y", inputs=("x",)), x), np.maximum(x, 0))
    np.testing.assert_array_equal(apply(Flatten(name="y", inputs=("x",)), x), x.reshape(3, 16))
    vector = x.reshape(3, 16)
    weight, bias = rng.normal(size=(5, 16)), rng.normal(size=5)
    linear = Linear(name="y", inputs=("x",), weight=weight, bias=bias)
    np.testing.assert_allclose(apply(linear, vector), vector @ weight.T + bias, atol=1e-12)


def test_refusals():
    graph = Graph((Input(name="x", inputs=(), shape=(1, 4, 4)),), ("x",))
    with pytest.raises(ModelError, match=r"reads \(1, 4, 4\), a batch \(1, 4, 4\) does not fit"):
        evaluate(graph, np.zeros((1, 4, 4)))
