"""How good units truly are, given how noisy their means are: the best of noisy means is partly lucky."""

import numpy as np

from .resampling import TIE


def shrunk(means: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return draws of the units' true means, up to a constant: [rounds, units].

    The best of noisy means is partly lucky, and a plain bootstrap repeats its luck. Here the true means come from a normal
    distribution of unknown spread t, and the noise v is that of the draws. The share of noise b = v / (t^2 + v) is uniform
    beforehand (Daniels 1999), and each round takes one from its posterior: the deviations of the means from their average
    are multiplied by 1 - b, and the noise by the root of it.

    With few seeds v is uncertain itself: its size differs from round to round (see `resampling.seed_noise`). With f degrees of freedom
    behind it (see `freedom_of`), means with a sum of squares s have the likelihood b^((n - 1) / 2) (f v + b s)^(-(f + n - 1) / 2).

    Args:
        means: [units]. draws: means under other items and seeds [rounds, units], see `unit_means`.
    """
    rounds, n = draws.shape
    centred = draws - draws.mean(1, keepdims=True)
    centred -= centred.mean(0)
    deviations = means - means.mean()
    noise = (centred**2).sum(1)
    if n < 2 or noise.mean() <= TIE**2:
        return deviations + centred
    # fine where a wide field leaves next to no noise
    share = np.geomspace(1e-9, 1, 2001)
    freedom = freedom_of(centred)
    of_noise = (freedom - 2) * noise.mean() / (n - 1)  # f v: the mean of v over chi-square of f is v / (f - 2)
    squares = np.log1p(share * float((deviations**2).sum()) / of_noise)
    # the last for the width that a share stands for
    log_posterior = (n - 1) / 2 * np.log(share) - (freedom + n - 1) / 2 * squares + np.log(share)
    cumulated = np.cumsum(np.exp(log_posterior - log_posterior.max()))
    quantiles = rng.permutation((np.arange(rounds) + 0.5) / rounds)
    kept = 1 - share[np.minimum(np.searchsorted(cumulated / cumulated[-1], quantiles), len(share) - 2)][:, None]
    return kept * deviations + np.sqrt(kept) * centred


def freedom_of(centred: np.ndarray) -> float:
    """Return the degrees of freedom behind the size of the noise, by moments; more than 4, and very many where it is known.

    centred: draws of the noise [rounds, n], with a mean of 0 over the units and over the rounds.

    The variance of a round's sum of squares, over its squared mean, is 2 tr(C^2) / tr(C)^2 where the noise is normal with
    covariance C. A size of f degrees of freedom adds to it: the variance of 1 / chi-square is 2 / (f - 4) of its squared mean.
    """
    squares, covariance = (centred**2).sum(1), centred.T @ centred / len(centred)
    seen = 1 + squares.var() / squares.mean() ** 2
    normal = 1 + 2 * float((covariance**2).sum() / np.trace(covariance) ** 2)
    return 4 + 2 / max(1e-6, seen / normal - 1)
