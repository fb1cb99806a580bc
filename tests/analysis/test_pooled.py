"""Correlations over all bases of a grid whose answer is known."""

import numpy as np
import pytest
from known_grid import SIX, SIX_REWARD, World, correlation


@pytest.fixture(scope="module")
def six():
    return World(SIX, reward=SIX_REWARD).summary()


def test_the_pooled_row_has_what_the_rows_of_the_bases_have(six):
    """max-T, ceiling, tau-b and regret: the page says that every correlation comes with them."""
    for metric in ("reward_mean/rm", "nll_mean/chat", "borrowed"):
        row = correlation(six, "pooled", metric)
        bases = [correlation(six, base, metric) for base in ("b1", "b2")]
        for key in ("tau_b", "regret_1", "regret_3", "pairwise_accuracy"):
            assert row[key] == pytest.approx(np.mean([base[key] for base in bases]))
        assert row["p"] <= row["p_max_t"] <= 1
        assert min(base["ceiling"] for base in bases) <= row["ceiling"] <= max(base["ceiling"] for base in bases)


def test_the_pooled_n_is_that_of_the_smaller_base(six):
    row = correlation(six, "pooled", "reward_mean/rm (without self-pairs)")
    assert row["n"] == 5 and "n: 5, 6 teachers on the bases" in row["reason"]


def test_the_p_of_a_borrowed_ranking_is_that_of_one_base_where_there_are_two(six):
    """With two bases both rhos are the same number, so pooling cannot make it surer."""
    row, one = correlation(six, "pooled", "borrowed"), correlation(six, "b1", "borrowed")
    assert row["rho"] == pytest.approx(one["rho"]) == pytest.approx(correlation(six, "b2", "borrowed")["rho"])
    assert row["p"] == pytest.approx(one["p"], abs=0.015)


def test_without_self_pairs_the_interval_does_not_hang_on_them(six):
    right = {base: dict(row) for base, row in SIX.items()}
    right["b1"]["x"] = [1, 1]
    metric, other = "reward_mean/rm", World(right, reward=SIX_REWARD).summary()
    ends = {
        name: [
            [correlation(found, "pooled", name)[f"{end}_nested"] for end in ("low", "high")] for found in (six, other)
        ]
        for name in (metric, f"{metric} (without self-pairs)")
    }
    assert ends[metric][0] != ends[metric][1]
    assert ends[f"{metric} (without self-pairs)"][0] == ends[f"{metric} (without self-pairs)"][1]
