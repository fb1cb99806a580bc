"""What a study of n units can show: the smallest significant rho, the smallest true rho that most studies detect, and a
warning where n is too small for a claim. Units are teachers.
"""

import math
from statistics import NormalDist

POWER = 0.8  # a correlation or difference is called detectable when four of five studies would find it
CLAIM_FROM = 10  # with fewer units a correlation is a description, whatever its p
# {n: largest sum of squared rank differences with two-sided p <= 0.05}, without ties. Up to n = 17 from the exact null
# (tests/stats/test_sample_size.py counts it again), above from at least 3,000,000 random orders (50,000,000 where p was within
# 0.0005 of the limit); the tests compare these with Zar's table.
CRITICAL = dict(
    enumerate(
        [0, 4, 12, 22, 36, 58, 84, 118, 160, 210, 268, 338, 418]  # n = 5 .. 17
        + [512, 616, 736, 868, 1018, 1182, 1366, 1564, 1784, 2024, 2282, 2564, 2866],  # n = 18 .. 30
        start=5,
    )
)


# variance of the difference of two models' scores on the same items, as a share of what it is on different items: the median over
# 1,485 pairs of models on AlpacaEval
PAIRED = 0.64


def detectable_difference(items: int, paired: bool) -> float:
    """Return the smallest true difference of two models' scores (shares of 1) that four of five comparisons detect at p <= 0.05.

    (1.96 + 0.84) sqrt(2 p (1 - p) / items) for 0/1 scores at p = 0.5, where it is largest; paired: times the root of PAIRED.
    """
    quantiles = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)
    return quantiles * math.sqrt(2 * 0.25 * (PAIRED if paired else 1) / items)


def minimum_detectable_rho(n: int) -> float | None:
    """Return the smallest |rho| over n units with two-sided permutation p <= 0.05; None below 5 units, where none has.

    From CRITICAL up to n = 30, above by Student's t: rho = t / sqrt(t^2 + n - 2). Without ties.
    """
    if n <= 30:
        return 1 - 6 * CRITICAL[n] / (n * (n**2 - 1)) if n in CRITICAL else None
    from scipy.special import stdtrit

    t = float(stdtrit(n - 2, 0.975))
    return t / math.sqrt(t**2 + n - 2)


def detectable_rho(n: int) -> float | None:
    """Return the smallest true rho that four of five studies with n units detect at p <= 0.05; None below 5 units.

    Solves atanh(rho) = atanh(minimum_detectable_rho(n)) + 0.84 sqrt((1 + rho^2/2) / (n - 3)), where 0.84 is the normal
    quantile of POWER and the variance is that of `bonett_wright`.
    """
    smallest = minimum_detectable_rho(n)
    if smallest is None:
        return None
    # just below 1 for 5 units, where only a perfect order is significant
    limit = math.atanh(min(smallest, 1 - 1e-6))
    rho = 0.0
    for _ in range(50):  # contracts: each step moves rho by at most a quarter of the last
        rho = math.tanh(limit + NormalDist().inv_cdf(POWER) * math.sqrt((1 + rho**2 / 2) / (n - 3)))
    return rho


def small_n_note(n: int, units: str = "teachers") -> str | None:
    """Return a warning in plain words where n units are too few for a claim, else None. units: what they are called."""
    if n < 5:
        return f"{n} {units}: no correlation can reach p <= 0.05. Read the values as a description of these {units}."
    if n < CLAIM_FROM:
        return (
            f"{n} {units}: only |rho| >= {minimum_detectable_rho(n):.3f} reaches p <= 0.05, and intervals are wide. "
            f"Read the values as a description of these {units}, not as evidence about others."
        )
    return None
