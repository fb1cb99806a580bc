"""Whether bases agree, and whether units are equal."""

import numpy as np
import pytest
from scipy import stats
from teachergrid.stats import agreement

TABLE = np.array([[1.0, 2, 3, 4, 5], [2, 1, 3, 4, 5], [1, 3, 2, 5, 4]])


def test_kendalls_w():
    """W = (chi2 of Friedman's test) / (bases (n - 1))."""
    found = agreement.kendall_w(TABLE)
    assert found.w == pytest.approx(stats.friedmanchisquare(*TABLE.T).statistic / (3 * 4))
    assert found.p < 0.05 and (found.bases, found.n) == (3, 5)
    assert agreement.kendall_w(np.tile(TABLE[0], (3, 1))).w == pytest.approx(1)
    assert agreement.kendall_w(TABLE[:1]).reason == "one base only"
    assert "equal" in agreement.kendall_w(np.ones((2, 4))).reason


def test_interaction_beyond_noise():
    rng = np.random.default_rng(0)
    teacher, noise = 5 * rng.normal(size=10), rng.normal(size=(3, 500, 10))
    additive = teacher + np.arange(3)[:, None] + rng.normal(size=(3, 10))
    assert agreement.interaction(additive, additive[:, None] + noise).p > 0.05
    crossed = additive + 4 * rng.normal(size=(3, 10))
    found = agreement.interaction(crossed, crossed[:, None] + noise)
    assert found.p < 0.01 and 0.1 < found.share < 0.7
    assert agreement.interaction(TABLE[:1], TABLE[:1, None]).reason == "one base only"


def test_one_unit_for_all_bases():
    table = np.array([[10.0, 9, 0], [1, 9, 10], [2, 9, 4]])
    truths = np.tile(table[:, None], (1, 7, 1))
    found = agreement.one_for_all(table, truths)
    assert (found.unit, found.by_z, found.by_rank) == (1, 1, 1)
    assert found.regret == pytest.approx((1 + 1 + 0) / 3) and found.own_regret == 0
    assert agreement.one_for_all(table[:1], truths[:1]) is None


def test_equal_is_shown_and_not_what_is_left_over():
    rng = np.random.default_rng(0)
    draws = rng.normal(-0.3, 0.5, 4000)
    assert agreement.equivalent(-0.3, draws, 2.0).equivalent and agreement.equivalent(-0.3, draws, 2.0).p < 0.01
    wide = rng.normal(-0.3, 2.0, 4000)  # tied, but not shown to be equal
    assert not agreement.equivalent(-0.3, wide, 2.0).equivalent
    low, high = agreement.equivalent(-0.3, wide, 2.0).interval
    assert (low, high) == pytest.approx((-0.3 - 1.645 * 2, -0.3 + 1.645 * 2), abs=0.15)
