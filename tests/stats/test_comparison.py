"""Means, comparisons of two, and who is best, against hand-computed values, scipy, properties and degenerate input."""

import itertools
import math

import numpy as np
import pytest
from teachergrid.stats import comparison, nested_bootstrap, resampling

NAN, INF = math.nan, math.inf


def test_mean_interval_by_hand():
    result = comparison.mean_interval([0, 1, 1, 1, NAN])
    assert (result.mean, result.n, result.dropped, result.reason) == (0.75, 4, 1, None)
    assert result.se == pytest.approx(0.5 / 2)  # sd = sqrt(0.75 / 3)
    assert result.interval == (0.25, 1.0)


def test_mean_interval_is_near_the_normal_one():
    x = np.random.default_rng(0).normal(3, 2, 500)
    result = comparison.mean_interval(x)
    assert result.interval == pytest.approx((x.mean() - 1.96 * result.se, x.mean() + 1.96 * result.se), abs=0.02)


def test_mcnemar_by_hand():
    a = np.array([1] * 8 + [0] * 2 + [1] * 5 + [0] * 5)
    b = np.array([0] * 8 + [1] * 2 + [1] * 5 + [0] * 5)
    result = comparison.paired(a, b)
    assert result.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert result.difference == pytest.approx(6 / 20)
    assert result.se == pytest.approx((a - b).std(ddof=1) / math.sqrt(20))
    assert comparison.paired(b, a).p == result.p
    assert comparison.paired(a, a).p == 1.0


def test_mcnemar_equals_the_binomial_test():
    from scipy.stats import binomtest

    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = rng.integers(0, 2, (2, 300))
        more, fewer = int((a > b).sum()), int((a < b).sum())
        assert comparison.paired(a, b, rounds=10).p == pytest.approx(binomtest(more, more + fewer).pvalue)


def test_sign_flip_matches_all_signs():
    d = np.array([0.5, 1.0, -0.5, 1.0, 0.5, 0.5, -1.0, 1.0])
    signs = np.array(list(itertools.product((-1, 1), repeat=len(d))))
    exact = (np.abs(signs @ d) >= abs(d.sum())).mean()
    assert comparison.paired(d, 0 * d).p == pytest.approx(exact, abs=0.015)


def test_sign_flip_survives_float_ties():
    tenths = np.array([1, 2, -3, 4, 1, 2, -3, 4])  # 0.1 + 0.2 - 0.3 + 0.4 is above 0.4, -0.1 - 0.2 + 0.3 + 0.4 is not
    signs = np.array(list(itertools.product((-1, 1), repeat=8)))
    exact = (np.abs(signs @ tenths) >= tenths.sum()).mean()
    assert comparison.paired(tenths / 10, 0 * tenths).p == pytest.approx(exact, abs=0.015)


def test_paired_refuses_different_items():
    with pytest.raises(ValueError, match="differ in number"):
        comparison.paired([0, 1], [0, 1, 1])


def test_paired_interval_covers_the_truth():
    rng, inside = np.random.default_rng(7), 0
    for round_ in range(400):
        easy = rng.normal(0, 1, 80)
        a, b = easy + rng.normal(0.3, 0.5, 80), easy + rng.normal(0, 0.5, 80)
        low, high = comparison.paired(a, b, rounds=400, permutations=9, seed=round_).interval
        inside += low <= 0.3 <= high
    assert 0.91 <= inside / 400 <= 0.98


def test_holm_by_hand():
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    adjusted = comparison.holm([NAN, 0.02, 0.01])
    assert np.isnan(adjusted[0])
    assert adjusted[1:].tolist() == pytest.approx([0.02, 0.02])
    assert comparison.holm([]).tolist() == []


def test_best_names_those_it_cannot_tell_apart():
    rng = np.random.default_rng(14)
    chance = np.array([0.3, 0.6, 0.6, 0.5])
    items = (rng.random((4, 2, 700)) < chance[:, None, None]).astype(float)
    result = comparison.best_with_uncertainty(items)
    assert result.best in (1, 2)
    assert [unit.not_distinguishable for unit in result.units] == [False, True, True, False]
    means = items.mean((1, 2))
    for unit, mean in zip(result.units, means, strict=True):
        assert unit.mean == pytest.approx(mean)
        assert unit.interval[0] < mean < unit.interval[1]
        assert unit.difference == pytest.approx(mean - means.max())
    assert sum(unit.p_best for unit in result.units) == pytest.approx(1)
    assert result == comparison.best_with_uncertainty(items)


def test_seed_noise_widens_the_intervals():
    rng = np.random.default_rng(15)
    base = (rng.random((8, 1, 700)) < 0.5).astype(float)

    def width(items):
        return np.mean([np.ptp(unit.interval) for unit in comparison.best_with_uncertainty(items).units])

    same = np.repeat(base, 2, axis=1)
    assert width(same) == pytest.approx(width(base), rel=0.05)  # two equal seeds show no training noise
    fresh = (rng.random((8, 2, 700)) < 0.5).astype(float)  # seed means differ only as their items do
    assert width(fresh) == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 1400), rel=0.15)
    noisy = same + rng.normal(0, 0.1, (8, 2, 1))
    seen = noisy.mean(2).var(1, ddof=1).mean()  # with 8 degrees of freedom, so about as Student's t
    expected = 2 * 2.26 * math.sqrt(8 / 9) * math.sqrt(0.25 / 700 + seen / 2)
    assert width(noisy) == pytest.approx(expected, rel=0.05)
    missing = noisy.copy()
    missing[0, 1], missing[1] = NAN, NAN
    result = comparison.best_with_uncertainty(missing)
    assert result.units[0].interval is not None
    assert result.units[1] == comparison.UnitResult()
    assert (result.n, result.dropped) == (700, 0)


def test_best_interval_covers_with_seeds():
    rng, inside, total = np.random.default_rng(16), 0, 0
    for round_ in range(60):
        chance = 0.5 + rng.normal(0, 0.2, (1, 1, 200)) + rng.normal(0, 0.04, (6, 2, 1))
        items = (rng.random((6, 2, 200)) < np.clip(chance, 0, 1)).astype(float)
        for unit in comparison.best_with_uncertainty(items, 400, round_).units:
            inside += unit.interval[0] <= 0.5 <= unit.interval[1]
            total += 1
    assert 0.88 <= inside / total <= 0.99


DEGENERATE_ITEMS = {
    "no units": (np.empty((0, 2, 5)), "no items"),
    "no items": (np.empty((3, 2, 0)), "no items"),
    "all missing": (np.full((3, 2, 5), NAN), "no items"),
    "one item": (np.ones((3, 2, 1)), "fewer than 2 items"),
    "no shared item": (np.array([[[1, NAN, 1, NAN]], [[NAN, 1, NAN, 1]]]), "fewer than 2 items"),
    "infinite": (np.array([[[1, 2, 3.0]], [[1, 2, INF]]]), "infinite"),
}


@pytest.mark.parametrize(("items", "reason"), DEGENERATE_ITEMS.values(), ids=DEGENERATE_ITEMS)
def test_items_that_decide_nothing_are_explained(items, reason):
    result = comparison.best_with_uncertainty(items)
    assert result.best is None and reason in result.reason
    assert list(result.units) == [comparison.UnitResult()] * len(items)
    assert reason in resampling.shared_items(items[:, 0])[3]
    assert comparison.reliability(items[:, 0]) is None


def test_equal_units_and_few_items_are_not_told_apart():
    equal = comparison.best_with_uncertainty(np.ones((3, 2, 20)))
    assert all(unit.not_distinguishable for unit in equal.units)
    assert [unit.p_best for unit in equal.units] == pytest.approx([1 / 3] * 3)
    few = comparison.best_with_uncertainty(np.array([[[1.0] * 4], [[0.0] * 4]]))
    assert few.units[1].not_distinguishable and few.units[1].p == pytest.approx(1 / 8)
    alone = comparison.best_with_uncertainty(np.random.default_rng(0).random((1, 1, 30)))
    assert alone.best == 0 and alone.units[0].p_best == 1


@pytest.mark.parametrize(
    ("x", "reason"), [([], "no items"), ([NAN], "no items"), ([1.0], "fewer than 2"), ([1.0, INF], "infinite")]
)
def test_means_of_nearly_nothing_are_explained(x, reason):
    for result in (comparison.mean_interval(x), comparison.paired(x, x)):
        assert reason in result.reason
        assert (result.se, result.interval) == (None, None)
        assert result.n + result.dropped == len(x)


def test_reliability_and_ceiling():
    rng = np.random.default_rng(17)
    truth = rng.normal(size=60)
    noisy = truth[:, None] + rng.normal(0, 6, (60, 100))  # var of a mean 0.36: reliability 1 / 1.36
    assert comparison.reliability(noisy) == pytest.approx(1 / 1.36, abs=0.08)
    assert comparison.reliability(truth[:, None] + np.zeros((60, 10))) == pytest.approx(1)
    assert comparison.reliability(np.ones((6, 20))) is None
    assert comparison.reliability(np.random.default_rng(3).random((5, 40))) >= 0
    assert comparison.ceiling(noisy) == pytest.approx(math.sqrt(comparison.reliability(noisy)))
    assert comparison.ceiling(noisy[:3]) is None


def many_units(rng, rates, items=700, seeds=1, seed_sd=0.0):
    """Return scores [units, seeds, items] of 0 and 1 on shared items. rates: logits of the units; seed_sd: logits."""
    rates = np.asarray(rates, float)
    logits = rates[:, None, None] + rng.normal(0, seed_sd, (len(rates), seeds, 1)) + 1.2 * rng.normal(size=items) - 0.3
    return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


def test_a_detectable_difference_is_found_in_four_of_five_studies():
    """By the report's own rule, which compares the best with all others and adjusts for their number."""
    rng, n, units = np.random.default_rng(6), 400, 8
    cubes = [rng.normal(0, 1, (1, n)) for _ in range(units)]
    least = comparison.detectable_difference(nested_bootstrap.performance_draws(cubes, 2000))
    assert least == pytest.approx((2.69 + 0.84) * math.sqrt(2 / n), rel=0.06)  # 2.69: two-sided 0.05 / 7
    behind = []
    for i in range(60):
        # one unit lies that far behind the best; the others lie between, too close to be found
        truth = np.r_[0, -least, np.full(units - 2, -0.02)]
        found = comparison.best_with_uncertainty(truth[:, None, None] + rng.normal(0, 1, (units, 1, n)), 300, i)
        behind.append(not found.units[1].not_distinguishable)
    assert np.mean(behind) == pytest.approx(0.8, abs=0.12)
    assert comparison.detectable_difference(np.ones((5, 1))) is None


@pytest.mark.parametrize(("units", "rounds"), [(4, 100), (60, 2000)])
def test_many_units_and_few_rounds_hide_no_difference(units, rounds):
    """Best 90 % right, all others 10 %: the smallest p of the draws alone would not survive Holm's correction."""
    rng = np.random.default_rng(1)
    items = (rng.random((units, 1, 700)) < np.r_[0.9, np.full(units - 1, 0.1)][:, None, None]).astype(float)
    found = comparison.best_with_uncertainty(items, rounds)
    assert sum(unit.not_distinguishable for unit in found.units) == 1


def test_the_set_of_units_that_are_not_behind_holds_the_best():
    """The best is picked from the data, so some unit is often called behind where all are equal; the true best is not."""
    rng, held = np.random.default_rng(2), []
    for i in range(80):
        truth = rng.normal(0, 0.1, 8)
        found = comparison.best_with_uncertainty(many_units(rng, truth, 200), 200, i)
        held.append(found.units[int(truth.argmax())].not_distinguishable)
    assert np.mean(held) >= 0.95


@pytest.mark.parametrize(("seeds", "seed_sd"), [(4, 0.2), (3, 0.15)])
def test_the_ceiling_takes_the_noise_of_seeds_for_noise(seeds, seed_sd):
    rng, ceilings, reached, of_items = np.random.default_rng(5), [], [], []
    for i in range(40):
        truth = rng.normal(0, 0.25, 12)
        items = many_units(rng, truth, 700, seeds, seed_sd)
        ceilings.append(math.sqrt(comparison.reliability(items, 40, i)))
        of_items.append(math.sqrt(comparison.reliability(items.mean(1), 20, i)))
        reached.append(comparison.spearman(truth, items.mean((1, 2))))
    assert np.mean(ceilings) == pytest.approx(np.mean(reached), abs=0.03)
    assert np.mean(of_items) > np.mean(reached) + 0.03


def test_the_ceiling_of_equal_teachers_is_low():
    """Seeds alone make their means differ, in the same way on all items: halves of the items would say 0.97."""
    rng = np.random.default_rng(5)
    found = [comparison.reliability(many_units(rng, np.zeros(12), 300, 3, 0.3), 40, i) for i in range(20)]
    assert np.mean(found) < 0.25


def test_the_ceiling_of_units_with_unequal_numbers_of_seeds():
    rng = np.random.default_rng(8)
    items = list(many_units(rng, rng.normal(0, 0.4, 12), 300, 3, 0.1))
    items[0] = items[0][:2]
    assert 0.5 < comparison.ceiling(items) <= 1
    items[1] = items[1][:1]  # one seed says nothing about its noise
    assert comparison.ceiling(items) == pytest.approx(comparison.ceiling([unit.mean(0) for unit in items]), abs=0.01)


def test_gains_cover_the_noise_of_seeds():
    """Students of 3 seeds that differ by 0.3 logits: items alone would cover the truth in fewer than 9 of 10 studies."""
    rng, rates, covered, items_only = np.random.default_rng(4), np.full(6, 0.4), [], []
    difficulty = np.random.default_rng(0).normal(size=20_000) * 1.2 - 0.3
    truth = np.mean(1 / (1 + np.exp(-(0.4 + difficulty)))) - np.mean(1 / (1 + np.exp(-difficulty)))
    for i in range(40):
        scores = many_units(rng, np.r_[rates, 0], 250, 3, np.r_[np.full(6, 0.3), 0][:, None, None])
        students, untuned = list(scores[:-1]), scores[-1, 0]
        for low, high in (gain.interval for gain in comparison.gains(students, untuned, 200, 9, i)):
            covered.append(low <= truth <= high)
        for student in students[:3]:
            low, high = comparison.mean_interval(student.mean(0) - untuned, 200, i).interval
            items_only.append(low <= truth <= high)
    assert np.mean(covered) > np.mean(items_only) + 0.03 and 0.90 <= np.mean(covered) <= 0.99


def test_gains_of_one_seed_are_paired_differences():
    rng = np.random.default_rng(4)
    scores = many_units(rng, [0, 0.3], 100)
    found = comparison.gains(list(scores), scores[0, 0], 200, seed=7)
    assert found[1] == comparison.paired(scores[1, 0], scores[0, 0], 200, seed=7)
    assert found[0].p == 1
