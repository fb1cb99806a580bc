"""Components of performance, and what more would buy."""

import math

import numpy as np
import pytest
from teachergrid.stats import variance


def test_noise_of_a_table_by_hand():
    """Two units, one seed, two items: rows (1, 0) and (0, 0). The interaction is 1/4 in every cell."""
    found = variance.noise([np.array([[1.0, 0.0]]), np.array([[0.0, 0.0]])])
    assert found.items == pytest.approx(4 * 0.25**2 / 1 / 2) and found.seed is None and found.seeds == 1
    assert variance.noise([np.ones((1, 5))]) is None


def test_more_items_and_seeds_make_less_noise():
    found = variance.Noise(items=4.0, seed=2.0, seeds=1, n=300)
    assert found.total == 6 and found.after(more_items=300) == 4 and found.after(more_seeds=1) == 5


def test_components_are_those_that_were_drawn():
    rng, sizes, found = np.random.default_rng(0), [5, 5, 4, 3, 2, 1], []
    names = [f"f{i}" for i, size in enumerate(sizes) for _ in range(size)]
    for _ in range(200):
        family = np.repeat(rng.normal(size=6) * 3, sizes)
        teacher = family + 2 * rng.normal(size=20)
        means = teacher + 1.5 * rng.normal(size=(4, 20)) + rng.normal(size=(4, 20))
        noises = [variance.Noise(1.0, None, 1, 100)] * 4
        c = variance.components(means, noises, 0.25, names)
        found.append((c.family, c.teacher, c.interaction))
    assert np.mean(found, axis=0) == pytest.approx([9, 4, 2.25], rel=0.15)


def test_what_one_base_and_no_family_cannot_tell_is_none():
    noises = [variance.Noise(1.0, None, 1, 100)]
    found = variance.components(np.array([[1.0, 5, 9, 2]]), noises, 1.0, [None] * 4)
    assert found.interaction is None and found.family is None and found.icc is None
    assert found.teacher == pytest.approx(np.var([1, 5, 9, 2], ddof=1) - 1)
    assert variance.components(np.array([[1.0, 5]]), noises, 1.0, [None] * 2) is None


def test_effective_n():
    assert variance.effective_n(["a"] * 4 + ["b"] * 4, 1, 1) == pytest.approx(2)
    assert variance.effective_n(["a"] * 4 + ["b"] * 4, 0.5, 0) == 8
    assert variance.effective_n([None] * 5, 1, 1) == 5
    assert variance.family_icc(np.array([1.0, 1, 5, 5]), ["a", "a", "b", "b"]) == 1
    assert variance.family_icc(np.array([1.0, 2]), [None, None]) is None


def test_reliability_after():
    assert variance.reliability_after(0.8, 2, 2) == pytest.approx(0.8)
    assert variance.reliability_after(0.5, 2, 1) == pytest.approx(2 / 3)  # Spearman-Brown: twice as long


def test_expected_regret_of_two_units_by_hand():
    """The better one by d ~ N(0, 2 s) is missed with Phi(-d / sqrt(2 v)); the integral is (a - a^2 / b) / sqrt(pi) with a^2 = s,
    b^2 = s + v."""
    spread, noise = 4.0, 1.0
    wanted = (math.sqrt(spread) - spread / math.sqrt(spread + noise)) / math.sqrt(math.pi)
    assert variance.expected_regret(spread, noise, 2) == pytest.approx(wanted, abs=1e-6)
    assert (
        variance.expected_regret(spread, 0, 5)
        == variance.expected_regret(0, noise, 5)
        == variance.expected_best(0, 0, 5)
        == 0
    )
    assert variance.expected_best(spread, 0, 2) == pytest.approx(2 / math.sqrt(math.pi), abs=1e-6)


def test_expected_regret_of_many_units_by_drawing():
    rng, rounds = np.random.default_rng(0), 40_000
    truth = 2 * rng.normal(size=(rounds, 20))
    chosen = truth[np.arange(rounds), (truth + 1.5 * rng.normal(size=truth.shape)).argmax(1)]
    assert variance.expected_regret(4.0, 2.25, 20) == pytest.approx((truth.max(1) - chosen).mean(), abs=0.02)
    assert variance.expected_best(4.0, 2.25, 20) == pytest.approx(chosen.mean(), abs=0.03)


def test_a_seed_is_worth_most_where_it_may_change_the_choice():
    means, seeds = np.array([50.0, 49.8, 40, 20]), np.ones(4)
    found = variance.seed_gains(means, 100.0, 1.0, 2.0, seeds)
    assert found[0] == pytest.approx(found[1], rel=0.01) and found[1] > 10 * found[2] > found[3] >= 0
    assert (variance.seed_gains(means, 100.0, 1.0, 0.0, seeds) == 0).all()
    # by drawing what one more seed of the second would make of its estimate
    rng, rounds = np.random.default_rng(0), 400_000
    shrink = 100 / 103
    believed = means.mean() + shrink * (means - means.mean())
    learned = math.sqrt(100 * 3 / 103 - 100 * 2 / 102)
    moved = believed[1] + learned * rng.normal(size=rounds)
    wanted = np.maximum(moved, believed[0]).mean() - believed.max()
    assert found[1] == pytest.approx(wanted, abs=0.005)
