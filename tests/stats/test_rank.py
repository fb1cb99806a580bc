"""Statistics against hand-computed values, scipy, published numbers, properties and degenerate input."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from rank_orders import with_rank_differences
from teachergrid.stats import comparison, rank, resampling

SHARED = Path(__file__).resolve().parents[3] / "shared"
NAN, INF = math.nan, math.inf


def shared_rows(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not next to the checkout")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):  # a cell left out, or one with a note in it
        return NAN


def test_rank_correlations_by_hand():
    # x and y without ties: rank differences 0, 1, 1, 0
    assert rank.spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / 60)
    assert rank.kendall_b([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    # one tie in x: 5 of 6 pairs untied in x, all concordant; the tied pair counts half
    assert rank.kendall_b([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(5 * 6))
    assert rank.pairwise_accuracy([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5.5 / 6)
    assert rank.pairwise_accuracy([1, 2, 3, 4], [1, 1, 3, 2]) == pytest.approx(4 / 5)
    assert rank.pairwise_accuracy([5, 5, 5], [1, 2, 3]) == 0.5


def test_rank_correlations_equal_scipy():
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(0)
    for n in (3, 4, 5, 8, 19, 40):
        for levels in (3, 1000):
            x, y = rng.integers(0, levels, (2, n))
            if np.ptp(x) and np.ptp(y):
                assert rank.spearman(x, y) == pytest.approx(spearmanr(x, y)[0], abs=1e-12)
                assert rank.kendall_b(x, y) == pytest.approx(kendalltau(x, y)[0], abs=1e-12)


def test_ranks_ignore_order_and_monotone_transforms():
    rng = np.random.default_rng(1)
    for _ in range(20):
        x, y = rng.integers(0, 8, (2, 12)).astype(float)
        order = rng.permutation(12)
        for measure in (rank.spearman, rank.kendall_b, rank.pairwise_accuracy):
            value = measure(x, y)
            assert measure(x[order], y[order]) == pytest.approx(value)
            assert measure(np.exp(x), 3 * y**3 - 1) == pytest.approx(value)
            if measure is not rank.pairwise_accuracy:
                assert measure(y, x) == pytest.approx(value)
                assert measure(-x, y) == pytest.approx(-value)
        assert rank.pairwise_accuracy(-x, y) == pytest.approx(1 - rank.pairwise_accuracy(x, y))


def test_permutation_p_is_exact_for_few_units():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(2)
    for n in (4, 5, 6):
        x, y = rng.normal(size=(2, n)).round(1)
        null = [abs(spearmanr(x, order)[0]) for order in itertools.permutations(y)]
        expected = np.mean(np.array(null) >= abs(spearmanr(x, y)[0]) - 1e-9)
        assert rank.permutation_p(x, y) == (pytest.approx(expected), True)


def test_monte_carlo_p_agrees_with_the_exact_one(monkeypatch):
    rng = np.random.default_rng(4)
    x, y = np.arange(8), np.arange(8) + rng.normal(0, 2.5, 8)
    exact, _ = rank.permutation_p(x, y)
    monkeypatch.setattr(resampling, "EXACT_UNITS", 0)
    orders, is_exact = resampling.draw_orders(8, resampling.PERMUTATIONS, rng)
    assert not is_exact
    p = resampling.two_sided_p(resampling.permuted_rhos(x, y, orders), rank.spearman(x, y), is_exact)
    assert p == pytest.approx(exact, abs=0.01)
    assert rank.permutation_p(np.arange(30), np.arange(30)) == (1 / 10_000, False)


def test_correlation_by_hand():
    y = with_rank_differences(20, 40)
    result = rank.correlation(np.arange(20), y)
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
    theirs = bootstrap((x, y), rank.spearman, **options).confidence_interval
    assert rank.correlation(x, y, rounds=40_000).bca == pytest.approx(tuple(theirs), abs=0.02)


def test_missing_teachers_are_dropped_and_counted():
    x, y = [1, 2, NAN, 3, 5, 4], [2, 1, 9, 3, 4, None]
    result, complete = rank.correlation(x, y), rank.correlation([1, 2, 3, 5], [2, 1, 3, 4])
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
    result = rank.correlation(x, y)
    assert reason in result.reason
    assert (result.rho, result.tau_b, result.p, result.bca, result.bonett_wright) == (None,) * 5
    assert result.n + result.dropped == len(x)
    assert rank.max_t({"m": x}, y) == {"m": None}
    pool = rank.pooled([x, x], [y, y])
    assert (pool.rho, pool.p, pool.bca) == (None,) * 3
    assert "base 2: " + result.reason in pool.reason


def test_a_perfect_correlation_has_no_interval():
    result = rank.correlation(range(6), range(6))
    assert (result.rho, result.tau_b, result.pairwise_accuracy) == (1, 1, 1)
    assert result.p == pytest.approx(2 / 720)
    assert (result.bca, result.bonett_wright) == (None, None)
    assert "rho is 1" in result.reason


def test_results_are_deterministic_and_plain():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20))
    first = rank.correlation(x, y, seed=3)
    assert first == rank.correlation(x, y, seed=3)
    assert first.bca != rank.correlation(x, y, seed=4).bca
    assert {type(value) for value in first} <= {float, int, bool, tuple, type(None)}
    assert {type(value) for value in comparison.paired(x, y)} <= {float, int, tuple, type(None)}


def test_regret_by_hand():
    performance = [10, 8, 6, 1]
    assert rank.regret([4, 3, 2, 1], performance, 1) == 0
    assert rank.regret([1, 2, 3, 4], performance, 1) == 9
    assert rank.regret([1, 2, 3, 4], performance, 3) == 2
    assert rank.regret([1, 2, 3, 4], performance, 4) == 0
    assert rank.regret([1, 2, 2, 0], performance, 1) == pytest.approx(10 - (8 + 6) / 2)
    assert rank.regret([0] * 4, performance, 1) == pytest.approx(10 - 25 / 4)
    assert math.isnan(rank.regret([NAN], [1]))


def test_regret_with_ties_is_the_mean_over_tie_breaks():
    rng = np.random.default_rng(6)
    for _ in range(20):
        metric, performance, k = rng.integers(0, 3, 6), rng.normal(size=6), int(rng.integers(1, 6))
        losses = []
        for noise in itertools.permutations(range(6)):
            kept = np.argsort(-(metric + np.array(noise) / 100))[:k]
            losses.append(performance.max() - performance[kept].max())
        assert rank.regret(metric, performance, k) == pytest.approx(np.mean(losses))


def test_pooled_by_hand():
    x = np.tile(np.arange(6), (2, 1))
    y = np.array([with_rank_differences(6, 4), with_rank_differences(6, 12)])
    result = rank.pooled(x, y)
    rhos = 1 - 24 / 210, 1 - 72 / 210
    assert result.rhos == pytest.approx(rhos)
    assert result.rho == pytest.approx(math.tanh((math.atanh(rhos[0]) + math.atanh(rhos[1])) / 2))
    assert (result.lowest, result.highest) == pytest.approx((rhos[1], rhos[0]))
    assert (result.n, result.dropped, result.exact, result.reason) == (6, 0, True, None)
    limit, null = 1 - 6 / 210, []
    for order in itertools.permutations(range(6)):
        rho_b = [rank.spearman(metric, own[list(order)]) for metric, own in zip(x, y, strict=True)]
        null.append(abs(np.arctanh(np.clip(rho_b, -limit, limit)).mean()))
    assert result.p == pytest.approx(np.mean(np.array(null) >= math.atanh(result.rho) - 1e-9))


def test_pooling_copies_of_one_base_adds_no_evidence():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 8))
    one, three = rank.pooled([x], [y]), rank.pooled([x] * 3, [y] * 3)
    assert (three.rho, three.p, three.n) == pytest.approx((one.rho, one.p, one.n))
    assert three.bca == pytest.approx(one.bca)
    single = rank.correlation(x, y)
    assert (one.rho, one.p) == pytest.approx((single.rho, single.p))


def test_pooled_perfect_base_is_clipped():
    result = rank.pooled([range(6)] * 2, [range(6), with_rank_differences(6, 12)])
    assert result.rhos[0] == 1
    expected = (math.atanh(1 - 6 / 210) + math.atanh(1 - 72 / 210)) / 2
    assert result.rho == pytest.approx(math.tanh(expected))
    perfect = rank.pooled([range(6)] * 2, [range(6)] * 2)
    assert perfect.rho == pytest.approx(1 - 6 / 210)
    assert perfect.bca is None and "no interval" in perfect.reason


def test_pooled_with_missing_teachers_and_a_missing_base():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(3, 9))
    y = x + rng.normal(0, 0.5, (3, 9))
    x[0, 2], y[1, 5], y[2] = NAN, NAN, NAN
    result = rank.pooled(x, y)
    assert result.rhos[0] == pytest.approx(rank.correlation(x[0], y[0]).rho)
    assert result.rhos[2] is None
    assert result.rho == pytest.approx(np.tanh(np.arctanh(result.rhos[:2]).mean()))
    assert result.reason == "base 3: fewer than 4 teachers"
    assert (result.n, result.dropped) == (8, 11)  # 9 teachers, 8 on each base
    assert result.bca[0] < result.rho < result.bca[1]


def test_pooled_p_is_uniform_when_nothing_is_related():
    rng, small = np.random.default_rng(10), 0
    for round_ in range(300):
        shared = rng.normal(size=6)  # students agree on teachers, the metric knows nothing
        y = shared + rng.normal(0, 0.3, (4, 6))
        y[0, rng.integers(6)] = NAN
        small += rank.pooled(np.tile(rng.normal(size=6), (4, 1)), y, seed=round_, rounds=20).p <= 0.10
    assert small / 300 <= 0.14


def test_max_t():
    rng = np.random.default_rng(11)
    y = rng.normal(size=8)
    good, other = y + rng.normal(0, 0.3, 8), rng.normal(size=8)
    alone = {name: rank.permutation_p(x, y)[0] for name, x in (("good", good), ("other", other))}
    family = rank.max_t({"good": good, "other": other, "flat": np.ones(8)}, y)
    assert family["flat"] is None
    assert all(alone[name] <= family[name] <= 2 * alone[name] + 1e-12 for name in alone)
    copies = rank.max_t({"a": good, "b": good}, y)
    assert copies["a"] == copies["b"] == pytest.approx(alone["good"])


def test_published_anchor_of_alpaca_eval():
    rows = shared_rows("data/alpaca_eval/benchmarks_arena_elo.csv")
    columns = ("LC AlpacaEval 2.0", "AlpacaEval 2.0", "Arena Elo\n[Feb 2, 2024]")
    lc, wr, elo = (np.array([number(row[column]) for row in rows]) for column in columns)
    result = rank.correlation(lc, elo)
    assert result.n == 37
    assert result.rho == pytest.approx(0.9746295, abs=5e-8)
    assert result.tau_b == pytest.approx(0.8692, abs=5e-5)
    assert rank.correlation(wr, elo).rho == pytest.approx(0.9305, abs=5e-5)


def test_leaving_a_family_out_by_hand():
    x, y = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1, 4, 3, 6, 5])
    found = rank.leave_one_out(x, y, ["a", "a", "b", "b", "c", None])
    without = {"a": [2, 3, 4, 5], "b": [0, 1, 4, 5], "c": [0, 1, 2, 3, 5]}
    assert found == {name: pytest.approx(rank.spearman(x[rows], y[rows])) for name, rows in without.items()}
    both = rank.leave_one_out(np.array([x, x]), np.array([y, x]), ["a", "a", "b", "b", "c", None])
    rows = without["c"]
    assert both["c"] == pytest.approx(rank.pooled([x[rows]] * 2, [y[rows], x[rows]]).rho)


def test_published_intervals():
    assert rank.bonett_wright(0.9695, 20) == pytest.approx((0.907, 0.990), abs=1e-3)
    assert rank.fieller(0.8888, 19) == pytest.approx((0.72, 0.96), abs=5e-3)
    assert (rank.bonett_wright(1.0, 20), rank.fieller(0.5, 3)) == (None, None)
