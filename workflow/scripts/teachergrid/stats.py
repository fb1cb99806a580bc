"""Metrics against performance: rank correlations, what a metric's choice costs, tests and intervals over teachers.

Units are teachers (tens). A missing value is NaN: it is left out and counted in `dropped`. What cannot be computed is
None, and `reason` says why. Intervals are 95 %. Every draw comes from `seed`. A metric is taken as higher-is-better:
pass the negative of one that is not. The draws are in `resampling`; `noise` adds that of performance itself.
"""

import math
from statistics import NormalDist

import numpy as np

from . import resampling
from .resampling import result

NO_INTERVAL = "no interval: rho is 1 or -1, or varies too little between resamples"
POWER = 0.8  # a correlation or difference is called detectable when four of five studies would find it
CLAIM_FROM = 10  # with fewer units a correlation is a description, whatever its p
# Largest sum of squared rank differences with two-sided p <= 0.05, for n = 5 .. 30 without ties: exact null up to
# n = 17, at least 3,000,000 random orders above (50,000,000 where p was within 0.0005 of the limit).
CRITICAL = (0, 4, 12, 22, 36, 58, 84, 118, 160, 210, 268, 338, 418, 512, 616, 736, 868, 1018, 1182, 1366, 1564, 1784)
CRITICAL = dict(enumerate((*CRITICAL, 2024, 2282, 2564, 2866), start=5))

Correlation = result(
    "Correlation", "rho tau_b n p exact bca bonett_wright regret_1 regret_3 pairwise_accuracy dropped reason"
)
Pooled = result("Pooled", "rho n p exact bca lowest highest rhos dropped reason")


def spearman(x, y):
    """Pearson correlation of mid-ranks [n]; NaN when a side is constant, a value is missing or n < 3."""
    if np.isnan(np.asarray([x, y], float)).any():
        return math.nan
    return float(resampling.weighted_rho(resampling.signs(x), resampling.signs(y), np.ones((1, len(x))))[0])


def kendall_b(x, y):
    """Kendall's tau-b: concordant minus discordant pairs over sqrt(pairs untied in x * pairs untied in y)."""
    sx, sy = resampling.signs(x), resampling.signs(y)
    untied = math.sqrt((sx**2).sum() * (sy**2).sum())
    return float((sx * sy).sum() / untied) if untied else math.nan


def pairwise_accuracy(metric, performance):
    """Share of unit pairs ordered alike. A tie in the metric counts half; a tie in performance is no pair."""
    sx, sy = resampling.signs(metric), resampling.signs(performance)
    pairs = np.count_nonzero(sy)
    return float((1 + (sx * sy).sum() / pairs) / 2) if pairs else math.nan


def regret(metric, performance, k=1):
    """Performance of the best unit minus the best among the k units [n] that the metric ranks highest.

    Ties at the cut: expected value over a random choice among them. A unit without a metric value cannot be picked, but
    counts as the best if it is.
    """
    metric, performance = np.asarray(metric, float), np.asarray(performance, float)
    known = ~(np.isnan(metric) | np.isnan(performance))
    x, y = metric[known], performance[known]
    if len(x) == 0:
        return math.nan
    cut = np.sort(x)[-min(k, len(x))]
    sure, tied = y[x > cut], np.sort(y[x == cut])
    picks = min(k, len(x)) - len(sure)
    # Of all choices of `picks` among the tied, C(i, picks - 1) have the i-th smallest as their best.
    chance = np.array([math.comb(i, picks - 1) for i in range(len(tied))]) / math.comb(len(tied), picks)
    return float(np.nanmax(performance) - chance @ np.maximum(tied, sure.max(initial=-math.inf)))


def permutation_p(x, y, permutations=9999, seed=0):
    """(p, exact) of Spearman's rho, two-sided: all n! orders up to n = 8, else (hits + 1) / (permutations + 1)."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    orders, exact = resampling.draw_orders(len(x), permutations, np.random.default_rng(seed))
    rho = spearman(x, y)
    if math.isnan(rho):
        return math.nan, exact
    return resampling.two_sided_p(resampling.permuted_rhos(x, y, orders), rho, exact), exact


def correlation(metric, performance, seed=0, rounds=2000, permutations=9999):
    """A metric against performance over teachers [n], as a Correlation.

    bca: BCa bootstrap over teachers (Efron 1987). Regret is in units of performance; with n <= k nothing is left to
    choose, and it is None.
    """
    metric, performance = np.asarray(metric, float), np.asarray(performance, float)
    known = ~(np.isnan(metric) | np.isnan(performance))
    x, y, n = metric[known], performance[known], int(known.sum())
    result = Correlation(n=n, dropped=len(known) - n, reason=resampling.undefined(metric, performance))
    if not np.isinf([metric, performance]).any():
        lost = [regret(metric, performance, k) if n > k else None for k in (1, 3)]
        result = result._replace(regret_1=lost[0], regret_3=lost[1])
    if result.reason:
        return result
    rho = spearman(x, y)
    p, exact = permutation_p(x, y, permutations, seed)
    result = result._replace(rho=rho, tau_b=kendall_b(x, y), p=p, exact=exact)
    bca = resampling.bca(reweighted(x, y), n, rounds, np.random.default_rng(seed))
    wright = bonett_wright(rho, n)
    reason = None if bca and wright else NO_INTERVAL
    return result._replace(bca=bca, bonett_wright=wright, pairwise_accuracy=pairwise_accuracy(x, y), reason=reason)


def bonett_wright(rho, n):
    """tanh(atanh(rho) +- 1.96 sqrt((1 + rho^2/2) / (n - 3))) (Bonett and Wright 2000); None where |rho| is 1 or n < 4."""
    return _around(rho, (1 + rho**2 / 2) / (n - 3)) if n > 3 else None


def fieller(rho, n):
    """tanh(atanh(rho) +- 1.96 sqrt(1.06 / (n - 3))) (Fieller, Hartley and Pearson 1957): narrower, and too narrow where
    |rho| is high. Papers print it as Fisher's interval."""
    return _around(rho, 1.06 / (n - 3)) if n > 3 else None


def _around(rho, variance):
    if abs(rho) >= 1 - resampling.TIE:
        return None
    half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def reweighted(metric, performance):
    """Spearman's rho as a function of weights [draws, teachers] -> [draws]: how often each teacher occurs.

    metric [teachers], or [bases, teachers] for the rho over bases of `pooled`. performance is the same, or has draws of
    its own [..., draws, teachers]. A teacher without a value has no weight.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    known = ~np.isnan(x) & ~np.isnan(y if x.ndim == y.ndim else y[..., 0, :])
    if x.ndim == 1:
        pair = resampling.signs(x), resampling.signs(y)
        return lambda weights: resampling.weighted_rho(*pair, weights * known)
    bases = [(resampling.signs(a), resampling.signs(b), row) for a, b, row in zip(x, y, known, strict=True)]
    return lambda weights: _centre([resampling.weighted_rho(a, b, weights * row) for a, b, row in bases], known)


def _centre(rhos, known):
    """tanh of the mean atanh of rhos [bases, draws] -> [draws], clipped as `pooled` says for units known [bases, n]."""
    n = known.sum(1, keepdims=True)
    limit = 1 - 6 / (n * (n**2 - 1))
    return np.tanh(np.arctanh(np.clip(rhos, -limit, limit)).mean(0))


def leave_one_out(metric, performance, families):
    """{family: rho without its units}, from values [n] or [bases, n] as `reweighted` takes them and families [n].

    None is no family. Left out: families without which fewer than 4 units have both values, or one side is constant.
    """
    x, y, found = np.asarray(metric, float), np.asarray(performance, float), {}
    for name in sorted({own for own in families if own is not None}):
        kept = np.array([own != name for own in families])
        if (kept & ~np.isnan(x) & ~np.isnan(y)).sum(-1).min() >= 4:
            found[name] = float(reweighted(np.where(kept, x, math.nan), y)(np.ones((1, len(kept))))[0])
    return {name: rho for name, rho in found.items() if not math.isnan(rho)}


def pooled(metric, performance, seed=0, rounds=2000, permutations=9999):
    """One metric over several bases [bases, teachers]: rho = tanh(mean over bases of atanh(rho_b)).

    Bases are fixed and share their teachers: permutation and bootstrap take the same teachers in every base, so n is
    teachers. |rho_b| is clipped at 1 - 6 / (n_b (n_b^2 - 1)), half a step of Spearman's rho below 1, lest one perfect
    base decides alone. A base whose rho is undefined is left out; `reason` names it, counting from 1.
    """
    x, y = np.array(metric, float, ndmin=2), np.array(performance, float, ndmin=2)
    known = ~(np.isnan(x) | np.isnan(y))
    undefined = [resampling.undefined(*base) for base in zip(x, y, strict=True)]
    rhos = [None if undefined[b] else spearman(x[b, row], y[b, row]) for b, row in enumerate(known)]
    reasons = [f"base {b + 1}: {text}" for b, text in enumerate(undefined) if text]
    dropped, used = int((~known).sum()), [b for b, text in enumerate(undefined) if not text]
    if not used:
        return Pooled(n=0, rhos=rhos, dropped=dropped, reason="; ".join(reasons))
    cells = np.ix_(used, np.flatnonzero(known[used].any(0)))
    x, y, known = x[cells], y[cells], known[cells]
    n, statistic = known.shape[1], reweighted(x, y)
    rng = np.random.default_rng(seed)
    rho = float(statistic(np.ones((1, n)))[0])
    orders, exact = resampling.draw_orders(n, permutations, rng)
    null = _centre([resampling.permuted_rhos(a, b, orders) for a, b in zip(x, y, strict=True)], known)
    p, bca = resampling.two_sided_p(null, rho, exact), resampling.bca(statistic, n, rounds, rng)
    reason = "; ".join(reasons + [NO_INTERVAL] * (bca is None)) or None
    return Pooled(rho, n, p, exact, bca, min(rhos[b] for b in used), max(rhos[b] for b in used), rhos, dropped, reason)


def max_t(metrics, performance, permutations=9999, seed=0):
    """Family-wise p of metrics {name: [n]}: performance is shuffled once for all of them, and each |rho| compared with
    the largest |rho*| of the shuffle (Westfall and Young 1993). None for a metric without a rho."""
    y = np.asarray(performance, float)
    orders, exact = resampling.draw_orders(len(y), permutations, np.random.default_rng(seed))
    rhos, largest = {}, np.zeros(len(orders))
    for name, values in metrics.items():
        x = np.asarray(values, float)
        known = ~(np.isnan(x) | np.isnan(y))
        if not resampling.undefined(x, y):
            rhos[name] = spearman(x[known], y[known])
            largest = np.maximum(largest, np.abs(resampling.permuted_rhos(x, y, orders)))
    return {name: resampling.two_sided_p(largest, rhos[name], exact) if name in rhos else None for name in metrics}


def minimum_detectable_rho(n):
    """Smallest |rho| over n units with two-sided permutation p <= 0.05; None below 5, where none has.

    From CRITICAL up to n = 30, above by Student's t: rho = t / sqrt(t^2 + n - 2). Without ties.
    """
    if n <= 30:
        return 1 - 6 * CRITICAL[n] / (n * (n**2 - 1)) if n in CRITICAL else None
    from scipy.special import stdtrit

    t = float(stdtrit(n - 2, 0.975))
    return t / math.sqrt(t**2 + n - 2)


def detectable_rho(n):
    """Smallest true rho that four of five studies with n units would find at p <= 0.05; None below 5 units.

    Solves atanh(rho) = atanh(minimum_detectable_rho(n)) + 0.84 sqrt((1 + rho^2/2) / (n - 3)).
    """
    if n < 5:
        return None
    # just below 1 for 5 units, where only a perfect order is significant
    limit = math.atanh(min(minimum_detectable_rho(n), 1 - 1e-6))
    rho = 0.0
    for _ in range(50):  # contracts: each step moves rho by at most a quarter of the last
        rho = math.tanh(limit + NormalDist().inv_cdf(POWER) * math.sqrt((1 + rho**2 / 2) / (n - 3)))
    return rho


def small_n_note(n):
    """A warning in plain words where n teachers are too few for a claim, else None."""
    if n < 5:
        return f"{n} teachers: no correlation can reach p <= 0.05. Read the values as a description of these teachers."
    if n < CLAIM_FROM:
        return (
            f"{n} teachers: only |rho| >= {minimum_detectable_rho(n):.3f} reaches p <= 0.05, and intervals are wide. "
            "Read the values as a description of these teachers, not as evidence about others."
        )
    return None
