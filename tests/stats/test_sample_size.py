"""What n units can find: critical values against the exact null and a published table, and warnings."""

import itertools
import math

import numpy as np
import pytest
from rank_orders import with_rank_differences
from teachergrid.stats import rank as stats_rank
from teachergrid.stats import sample_size

TABLE = {  # n: (critical |rho| for p <= 0.05, its p)
    5: (1.000, 0.0167),
    6: (0.886, 0.0333),
    7: (0.786, 0.0480),
    8: (0.738, 0.0458),
    9: (0.700, 0.0433),
    10: (0.648, 0.0490),
    12: (0.587, 0.0489),
    15: (0.521, 0.0490),
    20: (0.447, 0.0498),
    25: (0.398, 0.0496),
    30: (0.362, 0.0499),
}


@pytest.mark.parametrize("n", TABLE)
def test_critical_values(n):
    critical, p = TABLE[n]
    assert sample_size.minimum_detectable_rho(n) == pytest.approx(critical, abs=6e-4)
    at = with_rank_differences(n, sample_size.CRITICAL[n])
    assert stats_rank.spearman(range(n), at) == pytest.approx(sample_size.minimum_detectable_rho(n))
    value, exact = stats_rank.permutation_p(range(n), at)
    assert value == pytest.approx(p, abs=5e-5 if exact else 0.007)
    if exact and n > 5:
        below = with_rank_differences(n, sample_size.CRITICAL[n] + 2)
        assert stats_rank.permutation_p(range(n), below)[0] > 0.05


def orders_by_rank_differences(n, most):
    """How many of the n! orders have squared rank differences of 0, 1 .. `most` in all: [most + 1].

    Units take their ranks one after the other. Of the orders so far only the set of ranks taken (as bits) and the sum
    matter, so there are 2^n sets in place of n! orders.
    """
    taken, counts = np.zeros(1, int), np.zeros((1, most + 1), np.int64)
    counts[0, 0] = 1
    for unit in range(n):
        free_sets = [np.flatnonzero(~(taken >> rank) & 1) for rank in range(n)]  # of each rank: the sets without it
        larger = np.unique(np.concatenate([taken[free] | 1 << rank for rank, free in enumerate(free_sets)]))
        next_counts = np.zeros((len(larger), most + 1), np.int64)
        for rank, free in enumerate(free_sets):
            cost = (unit - rank) ** 2
            if cost <= most:
                rows = np.searchsorted(larger, taken[free] | 1 << rank)
                next_counts[rows, cost:] += counts[free, : most + 1 - cost]
        possible = next_counts.any(1)  # of the other sets every order has a larger sum
        taken, counts = larger[possible], next_counts[possible]
    return counts[0]


def test_orders_by_rank_differences():
    sums = [((np.array(order) - np.arange(6)) ** 2).sum() for order in itertools.permutations(range(6))]
    assert orders_by_rank_differences(6, 70).tolist() == np.bincount(sums).tolist()


@pytest.mark.parametrize("n", [*range(5, 17), pytest.param(17, marks=pytest.mark.slow)])
def test_critical_values_from_the_exact_null(n):
    # the null is symmetric, so a two-sided p is twice the share of one side
    critical = sample_size.CRITICAL[n]
    orders = orders_by_rank_differences(n, critical + 2)
    p = 2 * orders.cumsum() / math.factorial(n)
    assert p[critical] <= 0.05 < p[critical + 2]


# Zar, Biostatistical Analysis, table of critical values of Spearman's rho, two-sided 0.05, n = 18 .. 30
ZAR = [0.472, 0.460, 0.447, 0.436, 0.425, 0.416, 0.407, 0.398, 0.390, 0.383, 0.375, 0.368, 0.362]


@pytest.mark.parametrize(("n", "published"), list(enumerate(ZAR, start=18)))
def test_critical_values_of_many_units_equal_a_published_table(n, published):
    # The table is an approximation for so many units. It is one step of rho above ours where p is nearly 0.05.
    step = 12 / (n * (n**2 - 1)) if n in (24, 27) else 0
    assert sample_size.minimum_detectable_rho(n) + step == pytest.approx(published, abs=6e-4)


def test_critical_values_between_and_beyond_the_table():
    values = [sample_size.minimum_detectable_rho(n) for n in range(5, 40)]
    assert values == sorted(values, reverse=True)
    assert sample_size.minimum_detectable_rho(11) == pytest.approx(0.618, abs=5e-4)
    assert sample_size.minimum_detectable_rho(100) == pytest.approx(0.197, abs=1e-3)
    assert sample_size.minimum_detectable_rho(4) is None


def test_small_n_note():
    assert "no correlation can reach" in sample_size.small_n_note(4)
    assert "0.738" in sample_size.small_n_note(8)
    assert sample_size.small_n_note(19) is None


@pytest.mark.parametrize("n", [8, 19, 40])
def test_a_detectable_rho_is_found_in_four_of_five_studies(n):
    rho, rng = sample_size.detectable_rho(n), np.random.default_rng(n)
    pearson = 2 * math.sin(math.pi * rho / 6)
    x, e = rng.normal(size=(2, 3000, n))
    y = pearson * x + math.sqrt(1 - pearson**2) * e
    d = (x.argsort(1).argsort(1) - y.argsort(1).argsort(1)).astype(float)
    rhos = 1 - 6 * (d**2).sum(1) / (n * (n * n - 1))
    assert (rhos >= sample_size.minimum_detectable_rho(n) - 1e-9).mean() == pytest.approx(0.8, abs=0.06)
    assert sample_size.detectable_rho(4) is None


def test_detectable_differences_of_shares():
    """In four of five draws of two models' answers a difference as large as it says is significant."""
    items = 400
    difference = sample_size.detectable_difference(items, paired=False)
    assert difference == pytest.approx(2.8016 * math.sqrt(0.5 / items), rel=1e-4)
    rng = np.random.default_rng(0)
    draws = [rng.binomial(items, 0.5 + sign * difference / 2, 4000) / items for sign in (1, -1)]
    errors = np.sqrt(sum(share * (1 - share) for share in draws) / items)
    assert np.mean((draws[0] - draws[1]) / errors > 1.96) == pytest.approx(sample_size.POWER, abs=0.02)
    assert sample_size.detectable_difference(items, paired=True) == pytest.approx(0.8 * difference)
