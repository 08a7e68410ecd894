"""Compensated rounding: weights become integers one after the other, and those to come make up for what each lost.

The error that a layer's sums get is ``(W - Q) C (W - Q)^T`` for the covariance C of its inputs. With a column rounded,
the best the others can do is known in closed form (Hassibi and Stork 1993, "Optimal Brain Surgeon", for removing
weights; Frantar and others 2022, "GPTQ", arXiv 2210.17323, algorithm 1, for rounding all filters in one order). Weights
that pruning took away stay zero, and what they would have become is made up for like a rounding error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwprm.core.numerics import quantize
from hwprm.quantization.moments import Moments

__all__ = ["compensated", "lost_mean"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Share of the mean variance that is added to each: inputs that hardly vary on the images seen would bear any change.
DAMPING = 0.01
#: Columns that are rounded before the rest is brought up to date, by one product of matrices.
BLOCK = 128


def compensated(weight: FloatArray, steps: FloatArray, limit: int, moments: Moments) -> IntArray:
    """Integers ``(M, C // G, KH, KW)`` for real `weight` of that shape in `steps` ``(M,)``, within -limit..limit.

    Groups are rounded each for itself, as their filters share no column. Where no filter has two columns that vary
    together these are the nearest integers.
    """
    groups = len(moments.covariance)
    rows = (weight.reshape(len(weight), -1) / steps[:, None]).reshape(groups, len(weight) // groups, -1)
    made = [_rounded(part, limit, covariance) for part, covariance in zip(rows, moments.covariance, strict=True)]
    return np.concatenate(made).reshape(weight.shape)


def lost_mean(weight: FloatArray, integers: IntArray, steps: FloatArray, moments: Moments) -> FloatArray:
    """What the sums of each filter ``(M,)`` lose on average by rounding `weight` to `integers` of `steps` ``(M,)``."""
    groups = len(moments.mean)
    lost = (weight - integers * steps.reshape(-1, 1, 1, 1)).reshape(groups, len(weight) // groups, -1)
    result: FloatArray = np.einsum("gmk,gk->gm", lost, moments.mean).reshape(-1)
    return result


def _rounded(rows: FloatArray, limit: int, covariance: FloatArray) -> IntArray:
    """`rows` ``(M, K)`` of one group, in steps."""
    result = np.zeros(rows.shape, dtype=np.int64)
    heard = np.flatnonzero(rows.any(axis=0))
    if not len(heard):
        return result
    variance = covariance[heard, heard]
    # Those that vary most come first, while there are many left to make up for them.
    order = heard[np.argsort(-variance, kind="stable")]
    factor = _factor(covariance[np.ix_(order, order)])
    left = rows[:, order]
    there = left != 0
    made = np.zeros(left.shape, dtype=np.int64)
    for first in range(0, len(order), BLOCK):
        last = min(first + BLOCK, len(order))
        errors = np.empty((len(rows), last - first))
        for i in range(first, last):
            made[:, i] = np.where(there[:, i], quantize(left[:, i], 1.0, -limit, limit), 0)
            errors[:, i - first] = (left[:, i] - made[:, i]) / factor[i, i]
            left[:, i:last] -= errors[:, i - first, None] * factor[i, i:last]
        left[:, last:] -= errors @ factor[first:last, last:]
    result[:, order] = made
    return result


def _factor(covariance: FloatArray) -> FloatArray:
    """U, upper triangular, with ``U^T U`` the inverse of the damped `covariance` ``(K, K)``."""
    variance = np.diagonal(covariance)
    varying = variance[variance > 0]
    damping = DAMPING * float(varying.mean()) if len(varying) else 1.0
    inverse = np.linalg.inv(covariance + damping * np.eye(len(covariance)))
    return np.asarray(np.linalg.cholesky((inverse + inverse.T) / 2).T, dtype=np.float64)
