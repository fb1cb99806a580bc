"""Siblings and kinship: by hand, and against all orders."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from teachergrid.stats import families, nested_bootstrap, rank

NAN = math.nan


def test_siblings_are_successive_sizes():
    of = ["a", "b", "a", None, "a", "b", "c", "a"]
    sizes = [7, 2, 70, 5, 7, None, 3, 1]
    assert families.siblings(of, sizes) == [("a", [7], [0, 4]), ("a", [0, 4], [2])]


def test_a_step_by_hand():
    cubes = [np.full((1, 30), value) for value in (0.1, 0.3, 0.5)]
    performance = np.array([own.mean() for own in cubes])
    draws = nested_bootstrap.performance_draws(cubes, 200)
    found = families.step([0, 1], [2], performance, draws, 30)
    assert found.difference == pytest.approx(0.3) and found.interval == pytest.approx((0.3, 0.3))
    assert found.p == pytest.approx(2 / 2**30)  # all 30 items say the same
    assert families.step([0], [0], performance, draws, 30).p == 1
    # three items cannot carry a small p
    assert families.step([0, 1], [2], performance, draws, 3).p == 0.25


def test_eulerian_numbers():
    assert [families.eulerian(n) for n in (1, 2, 3, 4)] == [[1], [1, 1], [1, 4, 1], [1, 11, 11, 1]]
    assert all(sum(families.eulerian(n)) == math.factorial(n) for n in range(1, 9))


@pytest.mark.parametrize("better", range(8))
def test_in_families_of_two_it_is_the_sign_test(better):
    found = families.rises({i: [1.0 if i < better else -1.0] for i in range(7)})
    assert (found.rises, found.steps) == (better, 7)
    assert found.p == pytest.approx(binomtest(better, 7).pvalue)


def test_steps_that_share_siblings_are_counted_over_all_orders():
    def count(orders):
        return sum(b > a for order in orders for a, b in itertools.pairwise(order))

    worlds = [
        count(pair) for pair in itertools.product(itertools.permutations(range(4)), itertools.permutations(range(3)))
    ]
    for rises in range(6):
        steps = [1.0] * rises + [-1.0] * (5 - rises)
        p = np.mean([abs(value - 2.5) >= abs(rises - 2.5) for value in worlds])
        assert families.rises({"four": steps[:3], "three": steps[3:]}).p == pytest.approx(p)
    assert families.rises({"a": [0.0, 1.0]}) == (1.5, 2, pytest.approx(1 / 3))
    assert families.rises({}) == (0, 0, None)


def test_kinship_by_hand():
    additive = np.add.outer([10.0, 20, 30], [1.0, 2, 3, 5])
    assert families.residuals(additive) == pytest.approx(np.zeros((3, 4)))
    assert families.main_effect(additive) == pytest.approx(1)
    kin = np.zeros((3, 4), bool)
    kin[0, 0] = kin[1, 3] = True
    helped = additive + 3.0 * kin
    left = families.residuals(helped)
    assert left.sum(0) == pytest.approx(np.zeros(4)) and left.sum(1) == pytest.approx(np.zeros(3))
    found = families.kinship(helped, kin)
    # a residual is 2/3 of the difference from the two other bases
    assert found.mean == pytest.approx((left[0, 0] + left[1, 3]) / 2 * 3 / 2) and found.cells == 2
    z = (helped - helped.mean(1, keepdims=True)) / helped.std(1, keepdims=True)
    others = [z[0, 0] - (z[1, 0] + z[2, 0]) / 2, z[1, 3] - (z[0, 3] + z[2, 3]) / 2]
    assert found.mean == pytest.approx(np.mean(others))
    null = [(left[0, order[0]] + left[1, order[3]]) / 2 * 3 / 2 for order in itertools.permutations(range(4))]
    assert found.p == pytest.approx(np.mean(np.abs(null) >= abs(found.mean) - 1e-9))


@pytest.mark.parametrize(
    ("table", "kin", "reason"),
    [
        (np.ones((1, 6)), np.eye(1, 6), "one base only"),
        (np.ones((2, 6)), np.eye(2, 6), "all equal"),
        (np.arange(6.0).reshape(2, 3), np.eye(2, 3), "fewer than 4"),
        (np.arange(12.0).reshape(2, 6), np.zeros((2, 6)), "no teacher is kin"),
        (np.array([[1, 2, 3, 4, NAN], [2, 1, 4, 3, 9]]), np.eye(2, 5, 4), "no teacher is kin"),
        (np.arange(12.0).reshape(2, 6), np.ones((2, 6)), "all teachers are kin"),
    ],
)
def test_kinship_that_cannot_be_tested_is_explained(table, kin, reason):
    found = families.kinship(table, kin)
    assert (found.mean, found.p) == (None, None) and reason in found.reason


def test_kinship_p_is_uniform_where_there_is_none():
    rng = np.random.default_rng(0)
    kin = rng.random((3, 9)) < 0.3
    p = [families.kinship(rng.normal(size=(3, 9)), kin, permutations=199, seed=i).p for i in range(200)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.06)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.8])
def test_families_are_exchangeable_and_not_their_members(shared):
    """19 teachers of six families. Metric and performance are unrelated, but members of a family are alike in both."""
    family = np.repeat(np.arange(6), [3, 3, 2, 3, 3, 5])
    rng, by_family, by_unit = np.random.default_rng(9), [], []

    def alike():
        return math.sqrt(shared) * rng.normal(size=6)[family] + math.sqrt(1 - shared) * rng.normal(size=19)

    for _ in range(250):
        x, y = alike(), alike()
        found = families.family_p(x, y, [str(number) for number in family])
        by_family.append(found.p <= 0.05)
        by_unit.append(abs(rank.spearman(x, y)) >= 0.456)  # p <= 0.05 over units
        assert found.families == 6
    assert np.mean(by_family) <= 0.085
    if shared == 0.8:
        assert np.mean(by_unit) >= 0.13


def test_an_interval_over_families_covers_where_one_over_units_does_not():
    """Six families that share 80 % of their variance; metric and performance are unrelated, so that rho is 0."""
    family = np.repeat(np.arange(6), [3, 3, 2, 3, 3, 5])
    names, rng, redrawn, plain = [str(number) for number in family], np.random.default_rng(9), [], []
    for i in range(120):
        x, y = (np.sqrt(0.8) * rng.normal(size=6)[family] + np.sqrt(0.2) * rng.normal(size=19) for _ in "xy")
        low, high = families.family_interval(x, y, names, 300, i)
        redrawn.append(low <= 0 <= high)
        low, high = rank.bonett_wright(rank.spearman(x, y), 19)
        plain.append(low <= 0 <= high)
    assert np.mean(redrawn) >= 0.88 and np.mean(plain) < 0.87
    assert families.family_interval(x, y, ["a"] * 10 + ["b"] * 9) is None


def test_families_by_hand():
    x, groups = np.arange(8.0), ["a", "a", "b", "b", "c", "c", "d", None]
    found = families.family_p(x, x, groups)
    assert (found.p, found.families) == (pytest.approx(2 / math.factorial(5)), 5)  # the last one is alone
    assert families.family_p(x, x, ["a"] * 4 + ["b"] * 4) == families.FamilyP(None, 2)
    y = np.array([x, x])
    y[0, 7] = y[1, 6] = math.nan
    assert families.family_p([x, x], y, groups).families == 5
