"""What a pilot would have saved and lost in a published study: python -m teachergrid.replication.pilot [TABLES.csv]

Without a CSV: the first paper's tables. A CSV has the columns table, base_model, teacher, metric, value. A metric AP
holds the performance of every teacher's student of a base, `spearman:NAME` (teacher: any text) how well a metric ranked
these teachers. Two kinds of rankings:

- computed: the teacher's size, as its name states it, and the mean AP of the other bases' students (borrowed). No draw.
- simulated: of other metrics only rho is published and no value of a teacher. So rankings with that rho are drawn
  (normal scores of AP plus normal noise, kept where Spearman's rho is within 0.01), as if a metric erred equally
  often on all teachers. That need not be so: size and borrowed are also simulated, and a borrowed ranking loses more than
  its simulation, because it errs on the best teacher of a base, which descends from the base itself.

The loss is the AP of the best teacher minus that of the best of the k that are kept; saved is the share of students that
are not trained.
"""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from . import published

if TYPE_CHECKING:
    import numpy as np

KEPT = (1, 3, 5, 10)
DRAWS = 4000
TOLERANCE = 0.01
# parameters in billions of models whose name does not state them (from their model cards)
SIZES = {"Phi-3-mini": 3.8, "Phi-3-small": 7, "Phi-3-medium": 14}


class Loss(NamedTuple):
    """What a pilot that keeps k teachers saves and loses on one base."""

    metric: str
    kind: str  # computed or simulated
    base: str
    k: int
    teachers: int
    saved: float  # share of the students
    lost: float  # points of AP; the mean over the draws of a simulation
    low: float | None  # 95 % of the draws; None where it is computed
    high: float | None


def main(argv: list[str]) -> int:
    print(*lines(study(read(argv[0]) if argv else published.rows())), sep="\n")
    return 0


def read(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def study(rows: list[dict[str, str]]) -> list[Loss]:
    """Return the losses of all metrics, bases and k from the rows of a CSV."""
    from ..stats.rank import spearman

    losses = []
    for metric, base, ap, scores in computed(rows):
        for k in KEPT:
            saved = 1 - k / len(ap)
            losses.append(Loss(metric, "computed", base, k, len(ap), saved, ap_lost(ap, scores, k), None, None))
        # to compare the simulation with the computed loss
        losses += simulated(metric, base, ap, spearman(scores, ap), seed=0)
    performance = tables(rows)
    for index, row in enumerate(rows):
        base, metric = row["base_model"], row["metric"].removeprefix("spearman:")
        if metric != row["metric"] and base in performance:
            losses += simulated(metric, base, list(performance[base].values()), float(row["value"]), seed=index)
    return losses


def tables(rows: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Return {base: {teacher: AP}} of the largest table that holds AP."""
    by_table: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if row["metric"] == "AP":
            by_base = by_table.setdefault(row["table"], {})
            by_base.setdefault(row["base_model"], {})[row["teacher"]] = float(row["value"])
    return max(by_table.values(), key=lambda by_base: sum(map(len, by_base.values())))


def computed(rows: list[dict[str, str]]) -> Iterator[tuple[str, str, list[float], list[float]]]:
    """Yield (metric, base, APs, scores), higher scores first, of the metrics that follow from the published values."""
    performance = tables(rows)
    for base, ap in performance.items():
        others = [table for other, table in performance.items() if other != base]
        yield "size", base, list(ap.values()), [size(teacher) for teacher in ap]
        yield "borrowed", base, list(ap.values()), [sum(table[t] for table in others) / len(others) for t in ap]


def size(teacher: str) -> float:
    """Return a teacher's parameters in billions; raises ValueError where neither its name nor SIZES states them."""
    stated = next((value for name, value in SIZES.items() if teacher.startswith(name)), None)
    if stated is not None:
        return stated
    match = re.search(r"-([\d.]+)b", teacher.lower())
    if match is None:
        raise ValueError(f"the name of {teacher} states no size, and SIZES has none")
    return float(match[1])


def ap_lost(ap: Sequence[float], scores: Sequence[float], k: int) -> float:
    """Return the AP lost by keeping the k highest scores; where a tie is cut, the mean over all ways to cut it.

    Example: ap_lost([5, 4, 1], [1, 2, 3], 2) is 1: the best teacher has the lowest score.
    """
    cut = sorted(scores, reverse=True)[k - 1]
    above = [value for value, score in zip(ap, scores, strict=True) if score > cut]
    tied = [value for value, score in zip(ap, scores, strict=True) if score == cut]
    best = [max([*above, *choice]) for choice in combinations(tied, k - len(above))]
    return max(ap) - sum(best) / len(best)


def simulated(metric: str, base: str, ap: Sequence[float], rho: float, seed: int) -> list[Loss]:
    """Return the losses for each k over drawn rankings that have this rho with AP."""
    import numpy as np

    descending = np.sort(ap)[::-1]
    best = np.maximum.accumulate(descending[rankings(len(ap), rho, seed)], axis=1)
    losses = []
    for k in KEPT:
        draws = descending[0] - best[:, k - 1]
        low, high = np.quantile(draws, (0.025, 0.975))
        saved = 1 - k / len(ap)
        ends = float(draws.mean()), float(low), float(high)
        losses.append(Loss(metric, "simulated", base, k, len(ap), saved, *ends))
    return losses


def rankings(n: int, rho: float, seed: int) -> "np.ndarray":
    """Return drawn orders of n units, which are numbered from the best, whose Spearman correlation with that is rho.

    Returns: [DRAWS, n]; correlations are within TOLERANCE of rho. Blom's normal scores plus normal noise; the Pearson
    correlation that gives rho under a bivariate normal is 2 sin(pi rho / 6).
    """
    from statistics import NormalDist

    import numpy as np

    rng, accepted, count = np.random.default_rng(seed), [], 0
    scores = np.array([NormalDist().inv_cdf((n - i - 0.375) / (n + 0.25)) for i in range(n)])
    scores /= scores.std()
    pearson = 2 * np.sin(np.pi * rho / 6)
    while count < DRAWS:
        orders = np.argsort(-(pearson * scores + np.sqrt(1 - pearson**2) * rng.standard_normal((20_000, n))), axis=1)
        rhos = 1 - 6 * ((np.argsort(orders, axis=1) - np.arange(n)) ** 2).sum(1) / (n * (n * n - 1))
        accepted.append(orders[np.abs(rhos - rho) <= TOLERANCE])
        count += len(accepted[-1])
    return np.concatenate(accepted)[:DRAWS]


def lines(losses: list[Loss]) -> list[str]:
    """Return the tables as text: per metric the mean over bases, then each base."""
    bases = list(dict.fromkeys(loss.base for loss in losses))
    headers = [f"k={k} ({1 - k / losses[0].teachers:.0%} saved)" for k in KEPT]
    text = ["AP points lost by the best k teachers of a ranking; in brackets 95 % of the simulated rankings"]
    for base in [None, *bases]:
        text += ["", f"{base or f'mean of {len(bases)} bases':<34}" + "".join(f"{head:>22}" for head in headers)]
        for kind, metric in dict.fromkeys((loss.kind, loss.metric) for loss in losses):
            metric_losses = [x for x in losses if (x.kind, x.metric) == (kind, metric) and base in (None, x.base)]
            cells = [_cell([loss for loss in metric_losses if loss.k == k]) for k in KEPT]
            name = f"{metric.removeprefix('Reward:')[:30]}{'' if kind == 'computed' else ' ~'}"
            text.append(f"{name:<34}" + "".join(f"{value:>22}" for value in cells))
    return [*text, "", "~ simulated with the published rho; the others are computed"]


def _cell(losses: list[Loss]) -> str:
    """Return the mean loss; that of one base with its interval, if it has one."""
    mean = sum(loss.lost for loss in losses) / len(losses)
    with_interval = len(losses) == 1 and losses[0].low is not None
    return f"{mean:.2f}" + (f" [{losses[0].low:.2f}, {losses[0].high:.2f}]" if with_interval else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
