"""Probabilities of being truly the best, from draws of noisy means."""

import numpy as np
import pytest
from teachergrid.stats import resampling
from teachergrid.stats.shrinkage import shrunk


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


def test_without_noise_nothing_is_shrunk():
    means, rng = np.array([1.0, 2.0, 4.0]), np.random.default_rng(0)
    draws = shrunk(means, np.tile(means, (50, 1)), rng)
    assert draws - draws[:, :1] == pytest.approx(np.tile(means - 1, (50, 1)))


def test_one_unit_is_the_best():
    rng = np.random.default_rng(0)
    draws = shrunk(np.array([3.0]), rng.normal(size=(50, 1)), rng)
    assert resampling.rank_shares(draws).tolist() == [[1.0]]
