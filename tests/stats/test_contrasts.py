"""One metric against another, and at equal values of others."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from teachergrid.stats import contrasts, rank

Y = np.array([10.0, 20, 30, 40, 50, 60])
A = np.array([1.0, 2, 3, 4, 6, 5])
B = np.array([6.0, 1, 5, 2, 4, 3])
ALONE = [None] * 6


def test_the_difference_is_that_of_the_two_rhos():
    found = contrasts.Contrasts({"a": A, "b": B}, Y, ALONE).difference("a", "b")
    assert found.difference == pytest.approx(stats.spearmanr(A, Y)[0] - stats.spearmanr(B, Y)[0])
    assert found.n == 6 and found.interval[0] < found.difference < found.interval[1]
    back = contrasts.Contrasts({"a": A, "b": B}, Y, ALONE).difference("b", "a")
    assert back.difference == -found.difference and back.p == found.p
    assert found.p_family is None  # every unit is a family of its own


def test_p_is_over_all_ways_to_swap_the_metrics():
    ranks = [stats.rankdata(values) for values in (A, B, Y)]
    null = []
    for swap in itertools.product([False, True], repeat=6):
        one, two = np.where(swap, ranks[1], ranks[0]), np.where(swap, ranks[0], ranks[1])
        rhos = [min(0.98, np.corrcoef(values, ranks[2])[0, 1]) for values in (one, two)]
        null.append(math.atanh(rhos[0]) - math.atanh(rhos[1]))
    wanted = np.mean(np.abs(null) >= abs(null[0]) - 1e-9)
    assert contrasts.Contrasts({"a": A, "b": B}, Y, ALONE).difference("a", "b").p == pytest.approx(wanted)


def test_equal_metrics_do_not_differ():
    found = contrasts.Contrasts({"a": A, "b": 3 * A}, Y, ALONE).difference("a", "b")
    assert found.difference == 0 and found.p == 1


def test_units_that_lack_one_metric_are_left_out_of_both():
    gap = np.where(np.arange(6) == 0, np.nan, B)
    found = contrasts.Contrasts({"a": A, "b": gap}, Y, ALONE).difference("a", "b")
    assert found.n == 5 and found.difference == pytest.approx(rank.spearman(A[1:], Y[1:]) - rank.spearman(B[1:], Y[1:]))
    few = np.where(np.arange(6) < 3, np.nan, B)
    assert "fewer than 4 teachers" in contrasts.Contrasts({"a": A, "b": few}, Y, ALONE).difference("a", "b").reason


def test_whole_families_are_swapped():
    rng = np.random.default_rng(0)
    groups = [name for name in "abcde" for _ in range(3)]
    y, x, z = rng.normal(size=(3, 15))
    found = contrasts.Contrasts({"x": x, "z": z}, y, groups).difference("x", "z")
    assert found.p_family * 2**5 == pytest.approx(round(found.p_family * 2**5))  # over all 32 ways
    assert found.of_families[0] < found.difference < found.of_families[1]


@pytest.mark.parametrize("bases", [1, 3])
def test_equally_good_metrics_differ_in_5_percent(bases):
    rng, hits = np.random.default_rng(1), 0
    for i in range(300):
        y = rng.normal(size=(bases, 10))
        a, b = (0.7 * y + 0.7 * rng.normal(size=y.shape) for _ in range(2))
        hits += contrasts.Contrasts({"a": a, "b": b}, y, [None] * 10, rounds=2, seed=i).difference("a", "b").p <= 0.05
    assert 0.02 <= hits / 300 <= 0.08


def left_over(values, *fixed):
    """Return the residuals of ranks, regressed on the ranks and the values of what is held fixed."""
    known = np.column_stack([np.ones(len(values)), *(side for one in fixed for side in (stats.rankdata(one), one))])
    ranks = stats.rankdata(values)
    return ranks - known @ np.linalg.lstsq(known, ranks, rcond=None)[0]


def test_partial_correlation_is_that_of_the_ranks():
    rng = np.random.default_rng(2)
    length, size = rng.normal(size=(2, 12))
    x, y = length + size + rng.normal(size=12), length + size + rng.normal(size=12)
    for fixed in ([length], [length, size]):
        wanted = np.corrcoef(left_over(x, *fixed), left_over(y, *fixed))[0, 1]
        (found,) = contrasts.partials([x], y, fixed)
        assert found.rho == pytest.approx(wanted) and found.n == 12
        assert found.interval == pytest.approx(rank.bonett_wright(wanted, 12 - 2 * len(fixed)))


def test_values_that_follow_from_ranks_are_held_fixed_once():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 12))
    steps, halves = np.arange(12.0), np.repeat([0.0, 5.0], 6)
    for fixed in (steps, halves):
        wanted = np.corrcoef(left_over(x, fixed), left_over(y, fixed))[0, 1]
        assert contrasts.partials([x], y, [fixed])[0].rho == pytest.approx(wanted)


def test_a_metric_that_is_length_has_nothing_left():
    rng = np.random.default_rng(3)
    length, y = rng.normal(size=(2, 9))
    assert "explain all of it" in contrasts.partials([np.exp(length)], y, [length])[0].reason
    assert "fewer than 8 teachers" in contrasts.partials([y[:7]], y[:7], [length[:7], y[6::-1]])[0].reason


def test_p_at_equal_length_is_over_all_orders_of_the_residuals():
    """Freedman and Lane: each order of the residuals is regressed anew."""
    length = np.array([1.0, 4, 2, 6, 3, 15])
    known = np.column_stack([np.ones(6), stats.rankdata(length), length])
    left = [left_over(values, length) for values in (A, B)]
    null = []
    for order in itertools.permutations(range(6)):
        shuffled = left[1][list(order)]
        again = shuffled - known @ np.linalg.lstsq(known, shuffled, rcond=None)[0]
        null.append(np.corrcoef(left[0], again)[0, 1])
    wanted = np.mean(np.abs(null) >= abs(null[0]) - 1e-9)
    assert contrasts.partials([A], B, [length])[0].p == pytest.approx(wanted)


def test_length_is_held_fixed_where_it_comes_in_clusters():
    """With ranks of lengths alone, a metric that knows of length only is taken for more in 45 %."""
    rng, hits = np.random.default_rng(5), 0
    for i in range(100):
        length = np.sign(rng.normal(size=(5, 20))) + 0.15 * rng.normal(size=(5, 20))
        metric, y = (length + rng.normal(size=length.shape) for _ in range(2))
        hits += contrasts.partials([metric], y, [length], i)[0].p <= 0.05
    assert hits <= 12
