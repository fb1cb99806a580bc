"""How good units truly are, given how noisy their means are: the best of noisy means is partly lucky."""

import numpy as np

from .resampling import TIE


def shrunk(means: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return draws of the units' true means, up to a constant: [rounds, units].

    The best of noisy means is partly lucky, and a plain bootstrap repeats its luck. Here the true means come from a normal
    distribution of unknown spread t, and the noise v is that of the draws. The share of noise b = v / (t^2 + v) is uniform
    beforehand (Daniels 1999), and each round takes one from its posterior: the deviations of the means from their average
    are multiplied by 1 - b, and the noise by the root of it.

    Args:
        means: [units]. draws: means under other items and seeds [rounds, units], see `unit_means`.
    """
    rounds, n = draws.shape
    centred = draws - draws.mean(1, keepdims=True)
    centred -= centred.mean(0)
    deviations = means - means.mean()
    noise = float((centred**2).mean(0).sum()) / max(1, n - 1)
    if n < 2 or noise <= TIE**2:
        return deviations + centred
    squares = float((deviations**2).sum())
    # fine where a wide field leaves next to no noise
    share = np.geomspace(1e-9, 1, 2001)
    log_posterior = (
        (n - 1) / 2 * np.log(share) - share * squares / (2 * noise) + np.log(share)
    )  # the last: its own width
    cumulated = np.cumsum(np.exp(log_posterior - log_posterior.max()))
    quantiles = rng.permutation((np.arange(rounds) + 0.5) / rounds)
    kept = 1 - share[np.minimum(np.searchsorted(cumulated / cumulated[-1], quantiles), len(share) - 2)][:, None]
    return kept * deviations + np.sqrt(kept) * centred
