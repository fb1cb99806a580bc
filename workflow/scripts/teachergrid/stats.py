"""Statistics of the report: scores of models, ranks of teachers, metrics against performance.

Units are teachers (tens), items are instructions (hundreds to 100,000). A missing value is NaN: it is left out and
counted in `dropped`. What cannot be computed is None, and `reason` says why. Intervals are 95 %. Every draw comes from
`seed`. A metric is taken as higher-is-better: pass the negative of one that is not. The draws are in `resampling`.
"""

import math
from collections import namedtuple
from statistics import NormalDist

import numpy as np

from . import resampling

NO_INTERVAL = "no interval: rho is 1 or -1, or varies too little between resamples"
CLAIM_FROM = 10  # with fewer units a correlation is a description, whatever its p
# Largest sum of squared rank differences with two-sided p <= 0.05, for n = 5 .. 30 without ties: exact null up to
# n = 17, at least 3,000,000 random orders above (50,000,000 where p was within 0.0005 of the limit).
CRITICAL = (0, 4, 12, 22, 36, 58, 84, 118, 160, 210, 268, 338, 418, 512, 616, 736, 868, 1018, 1182, 1366, 1564, 1784)
CRITICAL = dict(enumerate((*CRITICAL, 2024, 2282, 2564, 2866), start=5))


def _result(name, fields):
    return namedtuple(name, fields, defaults=[None] * len(fields.split()))


Mean = _result("Mean", "mean se interval n dropped reason")
Paired = _result("Paired", "difference se interval p n dropped reason")
Correlation = _result(
    "Correlation", "rho tau_b n p exact bca bonett_wright regret_1 regret_3 pairwise_accuracy dropped reason"
)
Pooled = _result("Pooled", "rho n p exact bca lowest highest rhos dropped reason")
Stability = _result("Stability", "p_best p_rank n dropped reason")
Standing = _result("Standing", "mean interval p_best difference difference_interval p not_distinguishable")
Best = _result("Best", "best units n dropped reason")
Ceiling = _result("Ceiling", "ceiling performance_reliability metric_reliability reason")


def mean_interval(x, rounds=2000, seed=0):
    """Mean of items [n], SE = sd(ddof 1) / sqrt(n), percentile bootstrap over items."""
    x = np.asarray(x, float)
    kept = x[~np.isnan(x)]
    n, dropped = len(kept), len(x) - len(kept)
    if n == 0 or np.isinf(kept).any():
        return Mean(n=n, dropped=dropped, reason="infinite values" if n else "no items")
    if n == 1:
        return Mean(float(kept[0]), n=n, dropped=dropped, reason="fewer than 2 items")
    draws = resampling.bootstrap_means(kept[None], rounds, np.random.default_rng(seed))
    return Mean(float(kept.mean()), float(kept.std(ddof=1) / math.sqrt(n)), resampling.percentiles(draws), n, dropped)


def paired(a, b, rounds=2000, permutations=9999, seed=0):
    """Two models on the same items [n]: d = a - b with SE and bootstrap interval, and a two-sided p.

    0/1 items: exact McNemar, 2 sum_{k <= min(b, c)} C(b + c, k) / 2^(b + c) with b and c the discordant items. Other
    scores (means over seeds, rewards): random signs of d, (hits + 1) / (permutations + 1).
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise ValueError(f"paired items differ in number: {a.shape} and {b.shape}")
    known = ~(np.isnan(a) | np.isnan(b))
    a, b, n, dropped = a[known], b[known], int(known.sum()), int((~known).sum())
    if n == 0 or np.isinf([a, b]).any():
        return Paired(n=n, dropped=dropped, reason="infinite values" if n else "no items")
    d = a - b
    if np.isin([a, b], (0, 1)).all():
        discordant, fewer = int((d != 0).sum()), int(min((d > 0).sum(), (d < 0).sum()))
        p = min(1.0, 2 * sum(math.comb(discordant, k) for k in range(fewer + 1)) / 2**discordant)
    else:
        rng = np.random.default_rng(seed)
        sums = resampling.sign_flip_sums(d, permutations, rng)
        p = resampling.two_sided_p(sums, d.sum(), exact=False, tolerance=resampling.TIE * np.abs(d).sum())
    mean = mean_interval(d, rounds, seed)
    return Paired(mean.mean, mean.se, mean.interval, p, n, dropped, mean.reason)


def holm(p):
    """Holm-adjusted p values [m]: max over j <= i of min(1, (m - j + 1) p_(j)). NaN stays NaN and does not count."""
    p = np.asarray(p, float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


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

    bca: BCa bootstrap over teachers (Efron 1987). bonett_wright: tanh(atanh(rho) +- 1.96 sqrt((1 + rho^2/2) / (n - 3)))
    (Bonett and Wright 2000). Regret is in units of performance; with n <= k nothing is left to choose, and it is None.
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
    rho, sx, sy = spearman(x, y), resampling.signs(x), resampling.signs(y)
    p, exact = permutation_p(x, y, permutations, seed)
    result = result._replace(rho=rho, tau_b=kendall_b(x, y), p=p, exact=exact)
    rng = np.random.default_rng(seed)
    bca = resampling.bca(lambda weights: resampling.weighted_rho(sx, sy, weights), n, rounds, rng)
    wright = None
    if abs(rho) < 1 - resampling.TIE:
        half = NormalDist().inv_cdf(0.975) * math.sqrt((1 + rho**2 / 2) / (n - 3))
        wright = math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)
    reason = None if bca and wright else NO_INTERVAL
    return result._replace(bca=bca, bonett_wright=wright, pairwise_accuracy=pairwise_accuracy(x, y), reason=reason)


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
    n, n_base = known.shape[1], known.sum(1, keepdims=True)
    limit = 1 - 6 / (n_base * (n_base**2 - 1))
    signs = [(resampling.signs(a), resampling.signs(b)) for a, b in zip(x, y, strict=True)]

    def centre(base_rhos):  # [bases, draws] -> [draws]
        return np.tanh(np.arctanh(np.clip(base_rhos, -limit, limit)).mean(0))

    def reweighted(weights):  # [draws, teachers] -> [draws]
        bases = zip(signs, known, strict=True)
        return centre([resampling.weighted_rho(*own, weights * row) for own, row in bases])

    rng = np.random.default_rng(seed)
    rho = float(reweighted(np.ones((1, n)))[0])
    orders, exact = resampling.draw_orders(n, permutations, rng)
    null = centre([resampling.permuted_rhos(a, b, orders) for a, b in zip(x, y, strict=True)])
    p, bca = resampling.two_sided_p(null, rho, exact), resampling.bca(reweighted, n, rounds, rng)
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


def rank_stability(items, rounds=2000, seed=0):
    """P(best) [units] and P(rank) [units, ranks] from items [units, items]: bootstrap over items, the same for all.

    Units that tie share their ranks equally. An item that one unit lacks is left out for all; a unit without any item
    has NaN.
    """
    scores, has, dropped, reason = resampling.shared_items(items)
    p_rank = np.full((len(has), len(has)), np.nan)
    if not reason:
        p_rank[has] = 0
        draws = resampling.bootstrap_means(scores, rounds, np.random.default_rng(seed))
        p_rank[has, : len(scores)] = resampling.rank_shares(draws)
    return Stability(p_rank[:, :1].ravel(), p_rank, scores.shape[1], dropped, reason)


def best_with_uncertainty(items, rounds=2000, seed=0):
    """Which unit is best of [units, seeds, items], and which cannot be told from it: Best with one Standing per unit.

    Bootstrap over items, the same for all units, and over the training seeds of each unit (see `seed_noise`); with one
    seed its noise is not in the intervals. A unit is not distinguishable when the Holm-adjusted p of its difference to
    the best (twice the smaller share of rounds on one side of 0) exceeds 0.05; `difference_interval` is unadjusted.
    """
    scores, has, dropped, reason = resampling.shared_items(items)  # has [units, seeds], scores [has.sum(), items]
    units, n = [Standing()] * len(has), scores.shape[1]
    if reason:
        return Best(None, units, n, dropped, reason)
    rng, present = np.random.default_rng(seed), np.flatnonzero(has.any(1))
    by_unit = [scores[np.nonzero(has)[0] == unit] for unit in present]
    means = np.array([own.mean() for own in by_unit])
    draws = resampling.bootstrap_means(np.array([own.mean(0) for own in by_unit]), rounds, rng)
    draws += resampling.seed_noise(by_unit, rounds, rng)
    best = int(np.argmax(np.round(means, 12)))
    gaps, p_best = draws - draws[:, [best]], resampling.rank_shares(draws)[:, 0]
    side = np.minimum((gaps <= resampling.TIE).sum(0), (gaps >= -resampling.TIE).sum(0))
    p = np.clip(2 * (side + 1) / (rounds + 1), 0.5 ** (n - 1), 1)  # no sign-flip test on n items goes lower
    p = holm(np.where(np.arange(len(present)) == best, np.nan, p))
    for i, unit in enumerate(present):
        gap = (float(means[i] - means[best]), resampling.percentiles(gaps[:, i]), float(p[i]), bool(p[i] > 0.05))
        own = float(means[i]), resampling.percentiles(draws[:, i]), float(p_best[i])
        units[unit] = Standing(*own, *(gap if i != best else (0.0, None, None, True)))
    return Best(int(present[best]), units, n, dropped, reason)


def reliability(items, rounds=200, seed=0):
    """Reliability of the ranking of units by the mean of items [units, items], or None: r_xx = 2 r / (1 + r)
    (Spearman-Brown) with r the mean Spearman correlation between random halves of the items, 0 if it is negative."""
    scores, _, _, reason = resampling.shared_items(items)
    if reason or len(scores) < 4:
        return None
    rng, half = np.random.default_rng(seed), scores.shape[1] // 2
    orders = (rng.permutation(scores.shape[1]) for _ in range(rounds))
    r = [spearman(scores[:, order[:half]].mean(1), scores[:, order[half : 2 * half]].mean(1)) for order in orders]
    r = np.mean([value for value in r if not math.isnan(value)] or [math.nan])
    return None if math.isnan(r) else float(max(0, 2 * r / (1 + r)))


def ceiling(performance, metric=None, rounds=200, seed=0):
    """Highest rho that noise lets a perfect metric reach, sqrt(r_xx r_yy) (Spearman 1904), from items [units, items] of
    performance and of the metric; a metric without items counts as measured without noise."""
    r_yy = reliability(performance, rounds, seed)
    r_xx = 1.0 if metric is None else reliability(metric, rounds, seed)
    if r_xx is None or r_yy is None:
        return Ceiling(None, r_yy, r_xx, "reliability undefined: fewer than 4 units or 2 items, or all equal")
    return Ceiling(math.sqrt(r_xx * r_yy), r_yy, r_xx)


def minimum_detectable_rho(n):
    """Smallest |rho| over n units with two-sided permutation p <= 0.05; None below 5, where none has.

    From CRITICAL up to n = 30, above by Student's t: rho = t / sqrt(t^2 + n - 2). Without ties.
    """
    if n <= 30:
        return 1 - 6 * CRITICAL[n] / (n * (n**2 - 1)) if n in CRITICAL else None
    from scipy.special import stdtrit

    t = float(stdtrit(n - 2, 0.975))
    return t / math.sqrt(t**2 + n - 2)


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
