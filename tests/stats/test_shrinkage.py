"""Probabilities of being truly the best, from draws of noisy means."""

import numpy as np
import pytest
from teachergrid.stats import resampling
from teachergrid.stats.shrinkage import freedom_of, shrunk


@pytest.mark.parametrize(("spread", "within"), [(0.5, 0.1), (3.0, 0.05)])
def test_the_probability_to_be_the_best_is_calibrated(spread, within):
    """Where units are close, the one with the highest mean is often just lucky. Noise has sd 1."""
    rng, said, true, plain = np.random.default_rng(3), [], [], []
    for _ in range(400):
        truth = rng.normal(0, spread, 8)
        means = truth + rng.normal(size=8)
        draws = means + rng.normal(size=(300, 8))
        said.append(resampling.rank_shares(shrunk(means, draws, rng))[:, 0])
        plain.append(resampling.rank_shares(draws)[:, 0].max())
        true.append(np.arange(8) == truth.argmax())
    first = np.argmax(said, axis=1)
    of_first = np.take_along_axis(np.array(said), first[:, None], 1).mean()
    hits = np.take_along_axis(np.array(true), first[:, None], 1).mean()
    assert of_first == pytest.approx(hits, abs=within)
    if spread < 1:
        assert np.mean(plain) > hits + 0.2  # the plain bootstrap is overconfident


def test_means_are_kept_as_far_as_an_integral_over_noise_of_unknown_size_says():
    """The posterior of the share b that is noise, with v by a sum over its quantiles. Five units, v of ten degrees of freedom."""
    rng, means, freedom = np.random.default_rng(4), np.array([-2.0, -1, 0, 0.5, 2.5]), 10
    sizes = freedom / rng.chisquare(freedom, (60000, 1))
    noise = rng.normal(size=(60000, 5))
    kept = shrunk(means, np.sqrt(sizes) * noise, rng) @ means / (means @ means)
    share, v = (np.arange(1000)[:, None] + 0.5) / 1000, sizes[:2000].T
    likelihood = (share / v) ** 2 * np.exp(-share * (means @ means) / (2 * v))
    of_share = likelihood.sum(1)
    assert kept.mean() == pytest.approx(1 - (share[:, 0] @ of_share) / of_share.sum(), abs=0.02)
    known = (share[:, 0] ** 2) * np.exp(-share[:, 0] * (means @ means) / 2)
    assert kept.mean() < 1 - share[:, 0] @ known / known.sum() - 0.02  # it would be kept more if v = 1 were known


@pytest.mark.parametrize("freedom", [10, 30])
def test_the_degrees_of_freedom_behind_noise(freedom):
    """Also where units differ in their noise, which makes sums of squares vary more."""
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(40000, 6)) * [1, 1, 1, 2, 2, 3]
    noise -= noise.mean(1, keepdims=True)
    size = np.sqrt(freedom / rng.chisquare(freedom, 40000))[:, None]
    assert freedom_of(size * noise) == pytest.approx(freedom, rel=0.2)
    assert freedom_of(noise) > 200


def test_without_noise_nothing_is_shrunk():
    means, rng = np.array([1.0, 2.0, 4.0]), np.random.default_rng(0)
    draws = shrunk(means, np.tile(means, (50, 1)), rng)
    assert draws - draws[:, :1] == pytest.approx(np.tile(means - 1, (50, 1)))


def test_one_unit_is_the_best():
    rng = np.random.default_rng(0)
    draws = shrunk(np.array([3.0]), rng.normal(size=(50, 1)), rng)
    assert resampling.rank_shares(draws).tolist() == [[1.0]]
