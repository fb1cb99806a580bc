"""Statistics against hand-computed values, scipy, published numbers, properties and degenerate input."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from teachergrid import resampling, standings, stats

SHARED = Path(__file__).resolve().parents[2] / "shared"
NAN, INF = math.nan, math.inf


def shared_rows(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the checkout")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):  # a cell left out, or one with a note in it
        return NAN


def test_rank_correlations_by_hand():
    # x and y without ties: rank differences 0, 1, 1, 0
    assert stats.spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / 60)
    assert stats.kendall_b([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    # one tie in x: 5 of 6 pairs untied in x, all concordant; the tied pair counts half
    assert stats.kendall_b([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(5 * 6))
    assert stats.pairwise_accuracy([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5.5 / 6)
    assert stats.pairwise_accuracy([1, 2, 3, 4], [1, 1, 3, 2]) == pytest.approx(4 / 5)
    assert stats.pairwise_accuracy([5, 5, 5], [1, 2, 3]) == 0.5


def test_rank_correlations_equal_scipy():
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(0)
    for n in (3, 4, 5, 8, 19, 40):
        for levels in (3, 1000):
            x, y = rng.integers(0, levels, (2, n))
            if np.ptp(x) and np.ptp(y):
                assert stats.spearman(x, y) == pytest.approx(spearmanr(x, y)[0], abs=1e-12)
                assert stats.kendall_b(x, y) == pytest.approx(kendalltau(x, y)[0], abs=1e-12)


def test_ranks_ignore_order_and_monotone_transforms():
    rng = np.random.default_rng(1)
    for _ in range(20):
        x, y = rng.integers(0, 8, (2, 12)).astype(float)
        order = rng.permutation(12)
        for measure in (stats.spearman, stats.kendall_b, stats.pairwise_accuracy):
            value = measure(x, y)
            assert measure(x[order], y[order]) == pytest.approx(value)
            assert measure(np.exp(x), 3 * y**3 - 1) == pytest.approx(value)
            if measure is not stats.pairwise_accuracy:
                assert measure(y, x) == pytest.approx(value)
                assert measure(-x, y) == pytest.approx(-value)
        assert stats.pairwise_accuracy(-x, y) == pytest.approx(1 - stats.pairwise_accuracy(x, y))


def test_permutation_p_is_exact_for_few_units():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(2)
    for n in (4, 5, 6):
        x, y = rng.normal(size=(2, n)).round(1)
        null = [abs(spearmanr(x, order)[0]) for order in itertools.permutations(y)]
        expected = np.mean(np.array(null) >= abs(spearmanr(x, y)[0]) - 1e-9)
        assert stats.permutation_p(x, y) == (pytest.approx(expected), True)


def test_monte_carlo_p_agrees_with_the_exact_one(monkeypatch):
    rng = np.random.default_rng(4)
    x, y = np.arange(8), np.arange(8) + rng.normal(0, 2.5, 8)
    exact, _ = stats.permutation_p(x, y)
    monkeypatch.setattr(resampling, "EXACT_UNITS", 0)
    p, is_exact = stats.permutation_p(x, y)
    assert not is_exact
    assert p == pytest.approx(exact, abs=0.01)
    assert stats.permutation_p(np.arange(30), np.arange(30)) == (1 / 10_000, False)


def with_rank_differences(n, total):
    """An order of 0 .. n - 1 whose squared rank differences sum to `total`, found by random swaps."""
    rng, order = np.random.default_rng(0), np.arange(n)
    while missing := total - ((order - np.arange(n)) ** 2).sum():
        swapped = order.copy()
        pair = rng.choice(n, 2, replace=False)
        swapped[pair] = order[pair[::-1]]
        nearer = abs(total - ((swapped - np.arange(n)) ** 2).sum()) <= abs(missing)
        order = swapped if nearer or rng.random() < 0.05 else order
    return order


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
    assert stats.minimum_detectable_rho(n) == pytest.approx(critical, abs=6e-4)
    at = with_rank_differences(n, stats.CRITICAL[n])
    assert stats.spearman(range(n), at) == pytest.approx(stats.minimum_detectable_rho(n))
    value, exact = stats.permutation_p(range(n), at)
    assert value == pytest.approx(p, abs=5e-5 if exact else 0.007)
    if exact and n > 5:
        below = with_rank_differences(n, stats.CRITICAL[n] + 2)
        assert stats.permutation_p(range(n), below)[0] > 0.05


def orders_by_rank_differences(n, most):
    """How many of the n! orders have squared rank differences of 0, 1 .. `most` in all: [most + 1].

    Units take their ranks one after the other. Of the orders so far only the set of ranks taken (as bits) and the sum
    matter, so there are 2^n sets in place of n! orders.
    """
    taken, counts = np.zeros(1, int), np.zeros((1, most + 1), np.int64)
    counts[0, 0] = 1
    for unit in range(n):
        larger = np.unique(
            [taken_set | 1 << rank for taken_set in taken for rank in range(n) if not taken_set >> rank & 1]
        )
        next_counts = np.zeros((len(larger), most + 1), np.int64)
        for rank in range(n):
            free, cost = np.flatnonzero(~(taken >> rank) & 1), (unit - rank) ** 2
            if cost <= most:
                rows = np.searchsorted(larger, taken[free] | 1 << rank)
                next_counts[rows, cost:] += counts[free, : most + 1 - cost]
        taken, counts = larger, next_counts
    return counts[0]


def test_orders_by_rank_differences():
    sums = [((np.array(order) - np.arange(6)) ** 2).sum() for order in itertools.permutations(range(6))]
    assert orders_by_rank_differences(6, 70).tolist() == np.bincount(sums).tolist()


@pytest.mark.parametrize("n", range(5, 18))
def test_critical_values_from_the_exact_null(n):
    # the null is symmetric, so a two-sided p is twice the share of one side
    critical = stats.CRITICAL[n]
    orders = orders_by_rank_differences(n, critical + 2)
    p = 2 * orders.cumsum() / math.factorial(n)
    assert p[critical] <= 0.05 < p[critical + 2]


# Zar, Biostatistical Analysis, table of critical values of Spearman's rho, two-sided 0.05, n = 18 .. 30
ZAR = [0.472, 0.460, 0.447, 0.436, 0.425, 0.416, 0.407, 0.398, 0.390, 0.383, 0.375, 0.368, 0.362]


@pytest.mark.parametrize(("n", "published"), enumerate(ZAR, start=18))
def test_critical_values_of_many_units_equal_a_published_table(n, published):
    # The table is an approximation for so many units. It is one step of rho above ours where p is nearly 0.05.
    step = 12 / (n * (n**2 - 1)) if n in (24, 27) else 0
    assert stats.minimum_detectable_rho(n) + step == pytest.approx(published, abs=6e-4)


def test_critical_values_between_and_beyond_the_table():
    values = [stats.minimum_detectable_rho(n) for n in range(5, 40)]
    assert values == sorted(values, reverse=True)
    assert stats.minimum_detectable_rho(11) == pytest.approx(0.618, abs=5e-4)
    assert stats.minimum_detectable_rho(100) == pytest.approx(0.197, abs=1e-3)
    assert stats.minimum_detectable_rho(4) is None


def test_small_n_note():
    assert "no correlation can reach" in stats.small_n_note(4)
    assert "0.738" in stats.small_n_note(8)
    assert stats.small_n_note(19) is None


def test_correlation_by_hand():
    y = with_rank_differences(20, 40)
    result = stats.correlation(np.arange(20), y)
    rho = 1 - 6 * 40 / (20 * 399)
    assert result.rho == pytest.approx(rho)
    half = 1.959964 * math.sqrt((1 + rho**2 / 2) / 17)
    assert result.bonett_wright == pytest.approx(
        (math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)), abs=1e-6
    )
    assert result.bonett_wright == pytest.approx((0.907, 0.990), abs=2e-3)
    assert (result.n, result.dropped, result.exact, result.reason) == (20, 0, False, None)
    assert result.p == 1 / 10_000


def test_bca_equals_scipy():
    from scipy.stats import bootstrap

    rng = np.random.default_rng(5)
    x = rng.normal(size=12)
    y = x + np.where(np.arange(12) < 2, 2.5, 0.1) * rng.normal(size=12)  # two outliers make the jackknife skew
    options = {"paired": True, "vectorized": False, "n_resamples": 9999, "rng": rng}
    theirs = bootstrap((x, y), stats.spearman, **options).confidence_interval
    assert stats.correlation(x, y, rounds=40_000).bca == pytest.approx(tuple(theirs), abs=0.02)


def test_missing_teachers_are_dropped_and_counted():
    x, y = [1, 2, NAN, 3, 5, 4], [2, 1, 9, 3, 4, None]
    result, complete = stats.correlation(x, y), stats.correlation([1, 2, 3, 5], [2, 1, 3, 4])
    assert (result.n, result.dropped) == (4, 2)
    assert (result.rho, result.p, result.bca) == (complete.rho, complete.p, complete.bca)
    assert result.regret_1 == 9 - 4  # the teacher without a metric value is the best, and cannot be picked


DEGENERATE = {
    "empty": ([], [], "fewer than 4"),
    "one": ([1], [1], "fewer than 4"),
    "two": ([1, 2], [1, 2], "fewer than 4"),
    "three": ([1, 2, 3], [1, 2, 3], "fewer than 4"),
    "constant metric": ([1] * 5, [1, 2, 3, 4, 5], "constant metric"),
    "constant performance": ([1, 2, 3, 4, 5], [0] * 5, "constant performance"),
    "all equal": ([2] * 5, [2] * 5, "constant metric"),
    "all missing": ([NAN] * 5, [1, 2, 3, 4, 5], "fewer than 4"),
    "too few left": ([1, 2, 3, NAN, NAN], [1, 2, 3, 4, 5], "fewer than 4"),
    "infinite metric": ([1, 2, 3, 4, INF], [1, 2, 3, 4, 5], "infinite values in the metric"),
    "infinite performance": ([1, 2, 3, 4, 5], [1, 2, 3, 4, -INF], "infinite values in the performance"),
    "infinite opposite missing": ([NAN, 2, 3, 4, 5], [INF, 2, 3, 4, 5], "infinite values in the performance"),
}


@pytest.mark.parametrize(("x", "y", "reason"), DEGENERATE.values(), ids=DEGENERATE)
def test_undefined_correlations_are_explained(x, y, reason):
    result = stats.correlation(x, y)
    assert reason in result.reason
    assert (result.rho, result.tau_b, result.p, result.bca, result.bonett_wright) == (None,) * 5
    assert result.n + result.dropped == len(x)
    assert stats.max_t({"m": x}, y) == {"m": None}
    pool = stats.pooled([x, x], [y, y])
    assert (pool.rho, pool.p, pool.bca) == (None,) * 3
    assert "base 2: " + result.reason in pool.reason


def test_a_perfect_correlation_has_no_interval():
    result = stats.correlation(range(6), range(6))
    assert (result.rho, result.tau_b, result.pairwise_accuracy) == (1, 1, 1)
    assert result.p == pytest.approx(2 / 720)
    assert (result.bca, result.bonett_wright) == (None, None)
    assert "rho is 1" in result.reason


def test_results_are_deterministic_and_plain():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20))
    first = stats.correlation(x, y, seed=3)
    assert first == stats.correlation(x, y, seed=3)
    assert first.bca != stats.correlation(x, y, seed=4).bca
    assert {type(value) for value in first} <= {float, int, bool, tuple, type(None)}
    assert {type(value) for value in standings.paired(x, y)} <= {float, int, tuple, type(None)}


def test_regret_by_hand():
    performance = [10, 8, 6, 1]
    assert stats.regret([4, 3, 2, 1], performance, 1) == 0
    assert stats.regret([1, 2, 3, 4], performance, 1) == 9
    assert stats.regret([1, 2, 3, 4], performance, 3) == 2
    assert stats.regret([1, 2, 3, 4], performance, 4) == 0
    assert stats.regret([1, 2, 2, 0], performance, 1) == pytest.approx(10 - (8 + 6) / 2)
    assert stats.regret([0] * 4, performance, 1) == pytest.approx(10 - 25 / 4)
    assert math.isnan(stats.regret([NAN], [1]))


def test_regret_with_ties_is_the_mean_over_tie_breaks():
    rng = np.random.default_rng(6)
    for _ in range(20):
        metric, performance, k = rng.integers(0, 3, 6), rng.normal(size=6), int(rng.integers(1, 6))
        losses = []
        for noise in itertools.permutations(range(6)):
            kept = np.argsort(-(metric + np.array(noise) / 100))[:k]
            losses.append(performance.max() - performance[kept].max())
        assert stats.regret(metric, performance, k) == pytest.approx(np.mean(losses))


def test_pooled_by_hand():
    x = np.tile(np.arange(6), (2, 1))
    y = np.array([with_rank_differences(6, 4), with_rank_differences(6, 12)])
    result = stats.pooled(x, y)
    rhos = 1 - 24 / 210, 1 - 72 / 210
    assert result.rhos == pytest.approx(rhos)
    assert result.rho == pytest.approx(math.tanh((math.atanh(rhos[0]) + math.atanh(rhos[1])) / 2))
    assert (result.lowest, result.highest) == pytest.approx((rhos[1], rhos[0]))
    assert (result.n, result.dropped, result.exact, result.reason) == (6, 0, True, None)
    limit, null = 1 - 6 / 210, []
    for order in itertools.permutations(range(6)):
        rho_b = [stats.spearman(metric, own[list(order)]) for metric, own in zip(x, y, strict=True)]
        null.append(abs(np.arctanh(np.clip(rho_b, -limit, limit)).mean()))
    assert result.p == pytest.approx(np.mean(np.array(null) >= math.atanh(result.rho) - 1e-9))


def test_pooling_copies_of_one_base_adds_no_evidence():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 8))
    one, three = stats.pooled([x], [y]), stats.pooled([x] * 3, [y] * 3)
    assert (three.rho, three.p, three.n) == pytest.approx((one.rho, one.p, one.n))
    assert three.bca == pytest.approx(one.bca)
    single = stats.correlation(x, y)
    assert (one.rho, one.p) == pytest.approx((single.rho, single.p))


def test_pooled_perfect_base_is_clipped():
    result = stats.pooled([range(6)] * 2, [range(6), with_rank_differences(6, 12)])
    assert result.rhos[0] == 1
    expected = (math.atanh(1 - 6 / 210) + math.atanh(1 - 72 / 210)) / 2
    assert result.rho == pytest.approx(math.tanh(expected))
    perfect = stats.pooled([range(6)] * 2, [range(6)] * 2)
    assert perfect.rho == pytest.approx(1 - 6 / 210)
    assert perfect.bca is None and "no interval" in perfect.reason


def test_pooled_with_missing_teachers_and_a_missing_base():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(3, 9))
    y = x + rng.normal(0, 0.5, (3, 9))
    x[0, 2], y[1, 5], y[2] = NAN, NAN, NAN
    result = stats.pooled(x, y)
    assert result.rhos[0] == pytest.approx(stats.correlation(x[0], y[0]).rho)
    assert result.rhos[2] is None
    assert result.rho == pytest.approx(np.tanh(np.arctanh(result.rhos[:2]).mean()))
    assert result.reason == "base 3: fewer than 4 teachers"
    assert (result.n, result.dropped) == (9, 11)
    assert result.bca[0] < result.rho < result.bca[1]


def test_pooled_p_is_uniform_when_nothing_is_related():
    rng, small = np.random.default_rng(10), 0
    for round_ in range(300):
        shared = rng.normal(size=6)  # students agree on teachers, the metric knows nothing
        y = shared + rng.normal(0, 0.3, (4, 6))
        y[0, rng.integers(6)] = NAN
        small += stats.pooled(np.tile(rng.normal(size=6), (4, 1)), y, seed=round_, rounds=20).p <= 0.10
    assert small / 300 <= 0.14


def test_max_t():
    rng = np.random.default_rng(11)
    y = rng.normal(size=8)
    good, other = y + rng.normal(0, 0.3, 8), rng.normal(size=8)
    alone = {name: stats.permutation_p(x, y)[0] for name, x in (("good", good), ("other", other))}
    family = stats.max_t({"good": good, "other": other, "flat": np.ones(8)}, y)
    assert family["flat"] is None
    assert all(alone[name] <= family[name] <= 2 * alone[name] + 1e-12 for name in alone)
    copies = stats.max_t({"a": good, "b": good}, y)
    assert copies["a"] == copies["b"] == pytest.approx(alone["good"])


def test_published_anchor_of_alpaca_eval():
    rows = shared_rows("data/alpaca_eval/benchmarks_arena_elo.csv")
    columns = ("LC AlpacaEval 2.0", "AlpacaEval 2.0", "Arena Elo\n[Feb 2, 2024]")
    lc, wr, elo = (np.array([number(row[column]) for row in rows]) for column in columns)
    result = stats.correlation(lc, elo)
    assert result.n == 37
    assert result.rho == pytest.approx(0.9746295, abs=5e-8)
    assert result.tau_b == pytest.approx(0.8692, abs=5e-5)
    assert stats.correlation(wr, elo).rho == pytest.approx(0.9305, abs=5e-5)
