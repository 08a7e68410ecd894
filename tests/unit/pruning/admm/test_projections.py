"""Projections against brute force, with ties on purpose (small integers)."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwprm.pruning.admm import projections
from hwprm.pruning.admm.projections import Limits, grouped_top, project, support, top_k
from tests.support.rounds import examples

MATRICES = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda s: st.tuples(
        arrays(np.float32, (s[0], s[1] * s[2]), elements=st.integers(-3, 3).map(np.float32)), st.just(s[2])
    )
)


def subsets(n, k):
    return [np.isin(np.arange(n), chosen) for chosen in combinations(range(n), min(k, n))]


def best_energy(w, row_sets, col_sets):
    return max(float(np.square(w[np.ix_(r, c)]).sum()) for r in row_sets for c in col_sets)


def energy(w):
    return float(np.square(w).sum())


@examples(150)
@given(case=MATRICES, data=st.data())
def test_a_single_limit_is_the_nearest_matrix(case, data):
    w, group = case
    m, k = w.shape
    everything_r, everything_c = [np.ones(m, bool)], [np.ones(k, bool)]
    rows = data.draw(st.integers(1, m))
    cols = data.draw(st.integers(1, k))
    groups = data.draw(st.integers(1, k // group))
    group_sets = [np.repeat(chosen, group) for chosen in subsets(k // group, groups)]
    for limits, r, c in (
        (Limits(rows=rows), subsets(m, rows), everything_c),
        (Limits(cols=cols), everything_r, subsets(k, cols)),
        (Limits(groups=groups, group=group), everything_r, group_sets),
    ):
        # Nearest = greatest energy kept, as ||W - Z||^2 = ||W||^2 - ||Z||^2 for Z a part of W.
        assert energy(project(w, limits)) == best_energy(w, r, c)


@examples(150)
@given(case=MATRICES, data=st.data())
def test_joint_is_feasible_stable_and_idempotent(case, data):
    w, group = case
    m, k = w.shape
    limits = Limits(
        rows=data.draw(st.integers(1, m)),
        cols=data.draw(st.none() | st.integers(1, k)),
        groups=data.draw(st.none() | st.integers(1, k // group)),
        group=group,
    )
    z = project(w, limits)
    assert np.array_equal(z[z != 0], w[z != 0])
    assert (z != 0).any(axis=1).sum() <= limits.rows
    alive = (z != 0).any(axis=0)
    assert alive.sum() <= (limits.cols or k)
    assert alive.reshape(-1, group).any(axis=1).sum() <= (limits.groups or k)
    assert np.array_equal(project(z, limits), z)
    chosen = support(w, limits)
    other_rows = best_energy(w, subsets(m, limits.rows), [chosen.cols])
    assert energy(z) == other_rows, "no other rows are better with these columns"
    if limits.groups is None and limits.cols is not None:
        assert energy(z) == best_energy(w, [chosen.rows], subsets(k, limits.cols))


def best_in_groups(column, groups, count):
    """By trying every choice of rows of `column` ``(G, delta)``."""
    return max(float(np.sort(column[kept].ravel())[::-1][:count].sum()) for kept in subsets(len(column), groups))


@examples(200)
@given(
    column=arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.integers(0, 9).map(float)),
    data=st.data(),
)
def test_columns_and_groups_together_are_exact(column, data):
    groups, count = data.draw(st.integers(1, len(column))), data.draw(st.integers(1, column.size))
    keep = grouped_top(column, groups, count).reshape(column.shape)
    assert keep.sum() <= count and keep.any(axis=1).sum() <= groups
    assert float(column[keep].sum()) == best_in_groups(column, groups, count)


def test_no_single_order_of_rows_gives_the_best_columns():
    """By their sums rows 0 and 2 would stay; the three best entries of two rows are of rows 1 and 2."""
    column = np.array([[4.0, 4.0, 4.0, 4.0], [9.0, 1.0, 1.0, 1.0], [7.0, 6.0, 0.0, 0.0]])
    assert best_in_groups(column, 2, 3) == 22.0
    w = np.sqrt(column.reshape(1, -1))
    assert energy(project(w, Limits(cols=3, groups=2, group=4))) == pytest.approx(22.0)


def test_too_large_for_a_dynamic_programme_it_is_near_the_best(monkeypatch):
    rng, exact = np.random.default_rng(0), 0
    for _ in range(40):
        column = rng.exponential(size=(12, 5)) ** 2
        best = float(column.ravel()[grouped_top(column, 4, 9)].sum())
        assert best == pytest.approx(best_in_groups(column, 4, 9))
        with monkeypatch.context() as patch:
            patch.setattr(projections, "STATES", 0)
            keep = grouped_top(column, 4, 9)
        assert keep.sum() <= 9 and keep.reshape(12, 5).any(axis=1).sum() <= 4
        assert 0.97 * best <= float(column.ravel()[keep].sum()) <= best * (1 + 1e-12)
        exact += float(column.ravel()[keep].sum()) >= best * (1 - 1e-12)
    assert exact < 40, "no case that the programme was needed for"


def test_the_better_of_both_starts_is_taken():
    # Column sums say columns 0 and 1, where both rows starts end in 13; row sums say rows 1 and 2, which is best.
    w = np.array([[3, 0, 0, 0], [0, 2, 2, 2], [0, 2, 2, 2]], np.float32)
    z = project(w, Limits(rows=2, cols=3))
    assert energy(z) == 24 == best_energy(w, subsets(3, 2), subsets(4, 3))


@examples(60)
@given(w=arrays(np.float32, (4, 6), elements=st.integers(-3, 3).map(np.float32)), data=st.data())
def test_joint_is_within_sight_of_the_optimum(w, data):
    rows, cols = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    best = best_energy(w, subsets(4, rows), subsets(6, cols))
    assert best >= energy(project(w, Limits(rows=rows, cols=cols))) >= best * rows * cols / w.size


def test_ties_go_to_the_lower_index():
    assert top_k(np.array([1.0, 2.0, 2.0, 1.0, 2.0]), 2).tolist() == [False, True, True, False, False]
    assert top_k(np.zeros(4), 2).tolist() == [True, True, False, False]
    w = np.ones((3, 4), np.float32)
    assert project(w, Limits(rows=1)).sum(axis=1).tolist() == [4, 0, 0]
    assert project(w, Limits(groups=1, group=2)).sum(axis=0).tolist() == [3, 3, 0, 0]


def test_no_limit_keeps_everything_and_zeros_are_positive():
    w = -np.ones((2, 3), np.float32)
    assert np.array_equal(project(w, Limits()), w)
    z = project(w, Limits(rows=1))
    assert not np.signbit(z[1]).any() and z.dtype == np.float32


@pytest.mark.parametrize("cols", [1, 2, 5])
def test_columns_stay_inside_the_chosen_groups(cols):
    w = np.array([[9, 1, 5, 5, 0, 0]], np.float32)
    kept = support(w, Limits(cols=cols, groups=1, group=2)).cols
    assert kept[:2].sum() == min(cols, 2) and not kept[2:].any()


@examples(100)
@given(case=MATRICES, data=st.data())
def test_unstructured_keeps_the_largest_weights(case, data):
    w, _ = case
    count = data.draw(st.integers(1, w.size))
    z = project(w, Limits(weights=count))
    assert energy(z) == sum(sorted(np.square(w).ravel().tolist(), reverse=True)[:count])
    kept = support(w, Limits(weights=count))
    assert kept.mask.sum() == count
    np.testing.assert_array_equal(kept.rows, kept.mask.any(axis=1))
    np.testing.assert_array_equal(kept.cols, kept.mask.any(axis=0))
    np.testing.assert_array_equal(z, np.where(kept.mask, w, 0))


def test_of_equal_weights_the_first_stay():
    assert project(np.full((2, 2), -3.0), Limits(weights=3)).tolist() == [[-3, -3], [-3, 0]]
