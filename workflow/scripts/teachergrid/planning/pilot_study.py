"""What a pilot would have saved and lost in a published study: python -m teachergrid.planning.pilot_study [TABLES.csv]

Without a CSV the first paper's tables. A CSV has the columns table, base_model, teacher, metric, value. A metric AP holds the performance of every teacher's
student of a base, `spearman:NAME` (teacher: any text) how a metric ranked these teachers against it. Two kinds of rankings:

- computed: the teacher's size, as its name states it, and the mean AP of the other bases' students (borrowed). No draw.
- simulated: of other metrics only rho is published and no value of a teacher. So rankings with that rho are drawn (normal
  scores of AP plus normal noise, kept where Spearman's rho is within 0.01), as if a metric erred as often on any teacher.
  It need not: size and borrowed are simulated, too, and a borrowed ranking loses more than that, since it errs on the best
  teacher of a base, which descends from the base itself.

Lost is the AP of the best teacher less that of the best of k kept ones; saved the share of the students not trained.
"""

import csv
import re
import sys
from itertools import combinations

from .. import published

KEPT = (1, 3, 5, 10)
DRAWS = 4000
TOLERANCE = 0.01
# where the name does not say it, in billions (the models' cards)
SIZES = {"Phi-3-mini": 3.8, "Phi-3-small": 7, "Phi-3-medium": 14}


def main(argv: list[str]) -> int:
    print(*lines(study(read(argv[0]) if argv else published.rows())), sep="\n")
    return 0


def read(path: str) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def study(rows: list[dict]) -> list[dict]:
    """Return {metric, kind, base, k, teachers, saved, lost, low, high}: AP points; low and high (95 % of the draws) are those
    of a simulation."""
    from ..stats import spearman

    found = []
    for metric, base, ap, scores in computed(rows):
        for k in KEPT:
            row = {"metric": metric, "kind": "computed", "base": base, "k": k, "teachers": len(ap)}
            found.append(row | {"saved": 1 - k / len(ap), "lost": lost(ap, scores, k), "low": None, "high": None})
        # how far a simulation is from what is known
        found += simulated(metric, base, ap, spearman(scores, ap), seed=0)
    performance = tables(rows)
    for index, row in enumerate(rows):
        base, metric = row["base_model"], row["metric"].removeprefix("spearman:")
        if metric != row["metric"] and base in performance:
            found += simulated(metric, base, list(performance[base].values()), float(row["value"]), seed=index)
    return found


def tables(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Return {base: {teacher: AP}} of the largest table that holds AP."""
    by_table = {}
    for row in rows:
        if row["metric"] == "AP":
            by_base = by_table.setdefault(row["table"], {})
            by_base.setdefault(row["base_model"], {})[row["teacher"]] = float(row["value"])
    return max(by_table.values(), key=lambda by_base: sum(map(len, by_base.values())))


def computed(rows: list[dict]):
    """Yield (metric, base, APs, scores), higher scores first, of what needs no value that is not published."""
    performance = tables(rows)
    for base, ap in performance.items():
        others = [table for other, table in performance.items() if other != base]
        yield "size", base, list(ap.values()), [size(teacher) for teacher in ap]
        yield "borrowed", base, list(ap.values()), [sum(table[t] for table in others) / len(others) for t in ap]


def size(teacher: str) -> float:
    """Return a teacher's parameters in billions."""
    stated = next((value for name, value in SIZES.items() if teacher.startswith(name)), None)
    return stated or float(re.search(r"-([\d.]+)b", teacher.lower())[1])


def lost(ap: list[float], scores: list[float], k: int) -> float:
    """Return AP lost by the k highest scores; where a tie is cut, the mean over all ways to cut it."""
    order = sorted(scores, reverse=True)
    sure = [value for value, score in zip(ap, scores, strict=True) if score > order[k - 1]]
    tied = [value for value, score in zip(ap, scores, strict=True) if score == order[k - 1]]
    ways = [max([*sure, *way]) for way in combinations(tied, k - len(sure))]
    return max(ap) - sum(ways) / len(ways)


def simulated(metric: str, base: str, ap: list[float], rho: float, seed: int) -> list[dict]:
    import numpy as np

    ap = np.sort(ap)[::-1]
    best = np.maximum.accumulate(ap[rankings(len(ap), rho, seed)], axis=1)
    rows = []
    for k in KEPT:
        gap = ap[0] - best[:, k - 1]
        low, high = np.quantile(gap, (0.025, 0.975))
        row = {
            "metric": metric,
            "kind": "simulated",
            "base": base,
            "k": k,
            "teachers": len(ap),
            "saved": 1 - k / len(ap),
        }
        rows.append(row | {"lost": float(gap.mean()), "low": float(low), "high": float(high)})
    return rows


def rankings(n: int, rho: float, seed: int):
    """Return orders [DRAWS, n] of n units, which are numbered from the best, whose Spearman correlation with that is rho."""
    from statistics import NormalDist

    import numpy as np

    rng, kept, count = np.random.default_rng(seed), [], 0
    scores = np.array([NormalDist().inv_cdf((n - i - 0.375) / (n + 0.25)) for i in range(n)])
    scores /= scores.std()
    pull = 2 * np.sin(np.pi * rho / 6)
    while count < DRAWS:
        orders = np.argsort(-(pull * scores + np.sqrt(1 - pull**2) * rng.standard_normal((20_000, n))), axis=1)
        reached = 1 - 6 * ((np.argsort(orders, axis=1) - np.arange(n)) ** 2).sum(1) / (n * (n * n - 1))
        kept.append(orders[np.abs(reached - rho) <= TOLERANCE])
        count += len(kept[-1])
    return np.concatenate(kept)[:DRAWS]


def lines(found: list[dict]) -> list[str]:
    """Return the tables as text: per metric the mean over bases, then each base."""
    bases = list(dict.fromkeys(row["base"] for row in found))
    heads = [f"k={k} ({1 - k / found[0]['teachers']:.0%} saved)" for k in KEPT]
    text = ["AP points lost by the best k teachers of a ranking; in brackets 95 % of the simulated rankings"]
    for base in [None, *bases]:
        text += ["", f"{base or f'mean of {len(bases)} bases':<34}" + "".join(f"{head:>22}" for head in heads)]
        for kind, metric in dict.fromkeys((row["kind"], row["metric"]) for row in found):
            of_metric = [r for r in found if (r["kind"], r["metric"]) == (kind, metric) and base in (None, r["base"])]
            cells = [cell([row for row in of_metric if row["k"] == k]) for k in KEPT]
            name = f"{metric.removeprefix('Reward:')[:30]}{'' if kind == 'computed' else ' ~'}"
            text.append(f"{name:<34}" + "".join(f"{value:>22}" for value in cells))
    return [*text, "", "~ simulated with the published rho; the others are computed"]


def cell(rows: list[dict]) -> str:
    mean = sum(row["lost"] for row in rows) / len(rows)
    one = len(rows) == 1 and rows[0]["low"] is not None
    return f"{mean:.2f}" + (f" [{rows[0]['low']:.2f}, {rows[0]['high']:.2f}]" if one else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
