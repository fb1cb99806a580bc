"""Do the statistics mean what is said of them? Coverage, false positives and calibration over simulated grids with known truth.

    python tests/bench/bench_statistics.py --grids 1000          # make bench-statistics
    python tests/bench/bench_statistics.py --grids 60 --only interaction

A grid has teachers with a true logit each (sd 0.25; with families, part of it is shared), a base x teacher part (sd 0.15), 700 items
that all share (sd 1.2), training seeds (sd 0 or 0.06), and metrics that correlate with the truth. A line is one figure, its bound, and
whether it holds. Every figure has a Monte Carlo error of about sqrt(p (1 - p) / grids).
"""

import argparse
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from teachergrid.stats import agreement, comparison, contrasts, families, pooling, rank, resampling, variance
from teachergrid.stats.nested_bootstrap import (
    DrawnRanks,
    nested_intervals,
    nested_rho,
    performance_draws,
    teacher_weights,
)

ITEMS, ROUNDS = 700, 500
NOISE = 0.087  # standard error of a teacher's mean of these items, in logits
SEED = 0.06  # sd of a training seed, in logits
COVERS, FALSE = (0.93, 0.97), (0.035, 0.065)


class Grid(NamedTuple):
    truth: np.ndarray  # [bases, units], logits
    cube: np.ndarray  # [bases, units, seeds, items]
    families: list[str | None]
    sd: float  # of the truth, over all teachers that there could be

    @property
    def z(self) -> np.ndarray:
        return self.truth / self.sd

    @property
    def ap(self) -> np.ndarray:
        return self.cube.mean((2, 3))


class Line(NamedTuple):
    name: str
    value: float
    low: float
    high: float
    note: str = ""  # what the figure is labelled with where it may lie outside

    @property
    def verdict(self) -> str:
        return "ok" if self.low <= self.value <= self.high else f"labelled: {self.note}" if self.note else "OUTSIDE"


def grid(rng, n=8, bases=2, seeds=1, seed_sd=0.0, spread=0.25, interaction=0.15, icc=0.0, sizes=None) -> Grid:
    sizes = sizes or [1] * n
    names = [None if size == 1 else f"f{i}" for i, size in enumerate(sizes) for _ in range(size)]
    shared = np.repeat(rng.normal(size=len(sizes)), sizes)
    teacher = spread * (math.sqrt(icc) * shared + math.sqrt(1 - icc) * rng.normal(size=n))
    truth = teacher + interaction * rng.normal(size=(bases, n))
    logits = truth[:, :, None] + seed_sd * rng.normal(size=(bases, n, seeds))
    p = 1 / (1 + np.exp(-(logits[..., None] + 1.2 * rng.normal(size=ITEMS) - 0.3)))
    return Grid(truth, (rng.random(p.shape) < p).astype(float), names, math.hypot(spread, interaction))


def metric(rng, z, rho, icc=0.0, sizes=None):
    """Return a metric [bases, n] that correlates with the truth of a base, over all teachers that there could be."""
    noise = rng.normal(size=z.shape)
    if icc:
        noise = math.sqrt(icc) * np.repeat(rng.normal(size=len(sizes)), sizes) + math.sqrt(1 - icc) * noise
    return rho * z + math.sqrt(1 - rho**2) * noise


def points(g: Grid) -> np.ndarray:
    """Return draws of AP in points [bases, rounds, units]."""
    return np.stack([100 * performance_draws(list(of_base), ROUNDS) for of_base in g.cube])


# --- metric against metric


def contrast(grids: int):
    for n, bases, rho in ((8, 1, 0.7), (20, 1, 0.7), (20, 1, 0.0), (8, 2, 0.7), (20, 5, 0.7)):
        rng, found = np.random.default_rng(1), defaultdict(list)
        for i in range(grids):
            g = grid(rng, n, bases)
            values = {name: metric(rng, g.z, rho) for name in "ab"}
            c = contrasts.Contrasts(values, g.ap, g.families, ROUNDS, i).difference("a", "b")
            found["p"].append(c.p <= 0.05)
            if c.interval:
                found["bca"].append(c.interval[0] <= 0 <= c.interval[1])
        name = f"metric - metric, {n} x {bases}, rho {rho}"
        yield Line(f"{name}: interval covers 0", np.mean(found["bca"]), *COVERS)
        yield Line(f"{name}: false positives", np.mean(found["p"]), *FALSE)
    sizes = [6, 5, 3, 2, 2, 1]
    rng, found = np.random.default_rng(2), defaultdict(list)
    for i in range(grids):
        g = grid(rng, 19, 1, icc=0.8, sizes=sizes, interaction=0.05)
        values = {name: metric(rng, g.z, 0.0, 0.8, sizes) for name in "ab"}
        c = contrasts.Contrasts(values, g.ap, g.families, ROUNDS, i).difference("a", "b")
        found["plain"].append(c.p <= 0.05)
        found["family"].append(c.p_family <= 0.05)
    yield Line(
        "metric - metric, families, ICC .8: false positives, units swapped",
        np.mean(found["plain"]),
        *FALSE,
        "takes units as independent",
    )
    yield Line(
        "metric - metric, families, ICC .8: false positives, families swapped", np.mean(found["family"]), 0, FALSE[1]
    )


def partial(grids: int):
    kinds = {"": "", "two clusters of lengths": "", "more noise where long": "noise of one size is presumed"}
    for (kind, note), (n, bases) in itertools.product(kinds.items(), ((8, 1), (20, 1), (20, 5))):
        rng, hits = np.random.default_rng(3), []
        for i in range(grids):
            g = grid(rng, n, bases)
            length = metric(rng, g.z, 0.7)
            if kind == "two clusters of lengths":  # as where some teachers think aloud
                length = np.sign(length) + 0.15 * rng.normal(size=length.shape)
            noise = np.where(length > 0, 1.5, 0.5) if kind == "more noise where long" else 1
            shown = 0.8 * length + 0.6 * noise * rng.normal(
                size=length.shape
            )  # knows of the truth through length alone
            # performance given length: length explains all that the metric knows
            ap = 0.7 * length + 0.7 * noise * rng.normal(size=length.shape)
            p = contrasts.partials([shown], ap, [length], i)[0].p
            hits.append(p is not None and p <= 0.05)  # none where both rank alike
        name = f"partial at equal length{kind and ', '}{kind}, {n} x {bases}"
        yield Line(f"{name}: false positives", np.mean(hits), *FALSE, note)


# --- intervals of rho


# {name: (teachers, bases, rho of metric and truth, seeds, sd of seeds)}
RHOS = {
    "8 x 1": (8, 1, 0.7, 1, 0),
    "20 x 1": (20, 1, 0.7, 1, 0),
    "20 x 1, rho 0.9": (20, 1, 0.9, 1, 0),
    "8 x 2": (8, 2, 0.7, 1, 0),
    "8 x 2, rho 0": (8, 2, 0.0, 1, 0),
    "8 x 2, 3 seeds": (8, 2, 0.7, 3, SEED),
    "20 x 5": (20, 5, 0.7, 1, 0),
    "20 x 5, rho 0.9": (20, 5, 0.9, 1, 0),
    "20 x 5, 1 seed with noise": (20, 5, 0.7, 1, SEED),
    "20 x 5, 3 seeds": (20, 5, 0.7, 3, SEED),
}


def rho(grids: int):
    for name, (n, bases, of_truth, seeds, sd) in RHOS.items():
        rng, found = np.random.default_rng(4), defaultdict(list)
        truth = population_rho(bases, of_truth, seeds, sd)
        for i in range(grids):
            g = grid(rng, n, bases, seeds, sd)
            x = metric(rng, g.z, of_truth)
            pooled = rank.pooled(x, g.ap, i, ROUNDS)
            weights = teacher_weights(n, ROUNDS, i)
            nested = nested_rho(x, g.ap, [DrawnRanks(draws, weights) for draws in points(g)])
            for kind, ends in (("BCa", pooled.bca), ("nested", nested)):
                if ends:
                    found[kind].append(ends[0] <= truth <= ends[1])
            if bases == 1 and (ends := rank.bonett_wright(pooled.rho, n)):
                found["Bonett-Wright"].append(ends[0] <= truth <= ends[1])
        note = (
            "few teachers: wide"
            if n == 8
            else "nested, of a strong metric: covers 91 to 93 %"
            if of_truth > 0.8
            else ""
        )
        for kind, covered in found.items():
            yield Line(f"rho, {name}: {kind} covers", np.mean(covered), *COVERS, note)


def intervals(grids: int):
    """Intervals of AP, and of what else is said of a metric; the true best among those that are tied with the best seen."""
    fields = {
        "8, 1 seed": (8, 1, 0.0, 0.25),
        "20, 1 seed": (20, 1, 0.0, 0.25),
        "20, 1 seed with noise": (20, 1, SEED, 0.25),
        "20, 3 seeds": (20, 3, SEED, 0.25),
        "8, close": (8, 1, 0.0, 0.07),
    }
    for name, (n, seeds, sd, spread) in fields.items():
        rng, covered, said, true = np.random.default_rng(13), defaultdict(list), defaultdict(list), defaultdict(list)
        for i in range(grids):
            g = grid(rng, n, 1, seeds, sd, spread, 0.0)
            x, mean = metric(rng, g.z, 0.7)[0], 100 * expected(g.truth[0], sd)
            found = comparison.best_with_uncertainty(100 * g.cube[0], ROUNDS, i).units
            covered["AP"] += [unit.interval[0] <= m <= unit.interval[1] for unit, m in zip(found, mean, strict=True)]
            covered["the true best is among the tied"].append(found[int(mean.argmax())].not_distinguishable)
            draws = performance_draws(list(100 * g.cube[0]), ROUNDS, i)
            (nested,) = nested_intervals([x], 100 * g.ap[0], draws, i)
            for kind, ends, value in (
                ("regret@1", nested.regret_1, rank.regret(x, mean)),
                ("regret@3", nested.regret_3, rank.regret(x, mean, 3)),
                ("pairs", nested.pairwise_accuracy, rank.pairwise_accuracy(x, mean)),
            ):
                said[kind].append(ends)
                true[kind].append(value)
        for kind, ends in said.items():
            low, high = np.array(ends).T
            for whose, value in (
                ("of these teachers", np.array(true[kind])),
                ("over others, too", np.mean(true[kind])),
            ):
                covered[f"{kind} {whose}"] = (low <= value) & (value <= high)
        for kind, values in covered.items():
            high = 1 if kind.startswith("the true best") else COVERS[1]
            note = "leaves the noise of seeds out: covers about 90 %" if name.endswith("with noise") else ""
            if kind.split()[0] in said:
                note = "69 to 99 %: often [0, 0]" if kind == "regret@3 over others, too" else "covers 98 to 100 %"
            yield Line(f"{kind}, {name}: covers", np.mean(values), COVERS[0], high, note)


def population_rho(bases: int, of_truth: float, seeds: int, sd: float) -> float:
    """Return the rho of such a metric with measured performance over very many teachers."""
    rng = np.random.default_rng(99)
    found = []
    for _ in range(20):
        g = grid(rng, 400, bases, seeds, sd)
        found.append(rank.pooled(metric(rng, g.z, of_truth), g.ap, 0, 1).rho)
    return float(np.mean(found))


# --- best, ceiling, equality


def noise(grids: int):
    """Intervals of one unit's lead over another, over items and seeds."""
    for n in (2, 4, 8, 20):
        for seeds, sd in ((1, 0.0), (2, SEED), (2, 0.2), (3, SEED), (3, 0.2)):
            rng, covered = np.random.default_rng(12), []
            for i in range(grids):
                g = grid(rng, n, 1, seeds, sd, 0.25, 0.0)
                draws = performance_draws(list(g.cube[0]), ROUNDS, i)
                low, high = resampling.percentiles(draws[:, 0] - draws[:, 1])
                mean = expected(g.truth[0], sd)
                covered.append(low <= mean[0] - mean[1] <= high)
            note = "few seeds: covers about 90 %" if n < 8 else ""
            yield Line(f"difference, {n} units, {seeds} seeds of sd {sd}: covers", np.mean(covered), *COVERS, note)


def expected(truth: np.ndarray, seed_sd: float) -> np.ndarray:
    """Return the mean score of each unit [n] over all items and seeds that there could be."""
    z, weights = np.polynomial.hermite_e.hermegauss(41)
    p = 1 / (1 + np.exp(-(truth[:, None] + math.hypot(1.2, seed_sd) * z - 0.3)))
    return p @ weights / weights.sum()


def best(grids: int):
    # {name: (sd of the truth, seeds)}. Of all widths: the noise is a share of the variance of the means that is uniform, as `shrunk` presumes
    fields = {
        "of all widths": (None, 1),
        "close": (0.07, 1),
        "close, 2 seeds": (0.07, 2),
        "close, 3 seeds": (0.07, 3),
        "wide": (0.29, 1),
        "wide, 2 seeds": (0.25, 2),
        "wide, 3 seeds": (0.25, 3),
    }
    for name, (width, seeds) in fields.items():
        for n in (8, 20):
            rng, said, true = np.random.default_rng(5), [], []
            for i in range(grids):
                noise = rng.random() if width is None else math.nan
                spread = NOISE * math.sqrt((1 - noise) / noise) if width is None else width
                g = grid(rng, n, 1, seeds, SEED if seeds > 1 else 0.0, spread, 0.0)
                result = comparison.best_with_uncertainty(g.cube[0], ROUNDS, i)
                said += [unit.p_best for unit in result.units]
                true += list(np.arange(n) == g.truth[0].argmax())
            p, hit = np.array(said), np.array(true)
            for low, high in ((0.05, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.01)):
                inside_bin = (p >= low) & (p < high)
                if inside_bin.sum() >= 60:
                    shown = p[inside_bin]
                    off, error = (
                        hit[inside_bin].mean() - shown.mean(),
                        math.sqrt((shown * (1 - shown)).sum()) / len(shown),
                    )
                    yield Line(
                        f"P(best), {name}, n {n}, {low:.2f}-{high:.2f} ({inside_bin.sum()}): true minus said, error {error:.3f}",
                        off,
                        -0.05,
                        0.05,
                        "a field of one width: see docs/statistics.md" if name.startswith("close") else "",
                    )


def ceiling(grids: int):
    for n, seeds, sd in ((12, 3, 0.12), (12, 4, 0.2), (8, 2, 0.06), (20, 3, 0.06), (12, 3, 0.06)):
        rng, said, true = np.random.default_rng(6), [], []
        for i in range(min(grids, 300)):
            g = grid(rng, n, 1, seeds, sd, 0.25, 0.0)
            said.append(comparison.ceiling(g.cube[0], seed=i))
            true.append(rank.spearman(g.truth[0], g.ap[0]))
        yield Line(
            f"ceiling, n {n}, {seeds} seeds of sd {sd}: said minus true", np.mean(said) - np.mean(true), -0.02, 0.02
        )


def components(grids: int):
    rng, found = np.random.default_rng(7), defaultdict(list)
    sizes = [4, 4, 3, 3, 2, 2, 1, 1]
    for _ in range(min(grids, 300)):
        g = grid(rng, 20, 5, 2, 0.06, 0.25, 0.15, 0.5, sizes)
        noises = [variance.noise([100 * unit for unit in base]) for base in g.cube]
        shared = variance.interaction_square(100 * g.cube.mean((0, 2))) / ITEMS
        c = variance.components(100 * g.ap, noises, shared, g.families)
        slope = 100 * np.mean([np.polyfit(t, a, 1)[0] for t, a in zip(g.truth, g.ap, strict=True)])
        for name, value, true in (
            ("teacher + family", c.teacher + c.family, 0.25**2),
            ("base x teacher", c.interaction, 0.15**2),
            ("seed", np.mean([noise.seed for noise in noises]), 0.06**2),
            ("family share", c.icc, 0.5),
        ):
            found[name].append(value / (true if name == "family share" else true * slope**2))
    for name, values in found.items():
        yield Line(f"component {name}, 20 x 5 x 2: mean of estimate over truth", np.mean(values), 0.85, 1.15)


def interaction(grids: int):
    for n, bases in ((8, 2), (20, 5)):
        rng, hits, w = np.random.default_rng(8), [], []
        for i in range(grids):
            g = grid(rng, n, bases, interaction=0.0)
            hits.append(agreement.interaction(100 * g.ap, points(g)).p <= 0.05)
            w.append(agreement.kendall_w(rng.normal(size=(bases, n)), i, 999).p <= 0.05)
        yield Line(f"base x teacher, {n} x {bases}: false positives", np.mean(hits), *FALSE)
        yield Line(f"Kendall's W, {n} x {bases}: false positives", np.mean(w), *FALSE)


def equality(grids: int):
    """Where the true difference is exactly the limit, a unit may count as equivalent in 5 %."""
    rng, hits = np.random.default_rng(9), []
    for _ in range(grids):
        p = 1 / (1 + np.exp(-(1.2 * rng.normal(size=ITEMS) - 0.3)))
        lower = np.clip(p - 0.08, 0, 1)
        cube = (rng.random((2, 1, ITEMS)) < np.stack([p, lower])[:, None]).astype(float)
        draws = 100 * performance_draws(list(cube), ROUNDS)
        limit = 100 * float((p - lower).mean())
        hits.append(agreement.equivalent(0.0, draws[:, 1] - draws[:, 0], limit).equivalent)
    yield Line("equivalence at the limit: false positives", np.mean(hits), 0.0, FALSE[1])


def tests(grids: int):
    sizes = [6, 5, 3, 2, 2, 1]
    for icc in (0.0, 0.3, 0.5, 0.8):
        rng, found = np.random.default_rng(10), defaultdict(list)
        for i in range(grids):
            g = grid(rng, 19, 1, icc=icc, sizes=sizes, interaction=0.05)
            x = metric(rng, rng.normal(size=(1, 19)), 0.0, icc, sizes)[0]
            found["units"].append(rank.permutation_p(x, g.ap[0], i)[0] <= 0.05)
            found["families"].append(families.family_p(x, g.ap[0], g.families, i).p <= 0.05)
            ends = families.family_interval(x, g.ap[0], g.families, ROUNDS, i)
            found["interval"].append(ends is not None and ends[0] <= 0 <= ends[1])
        note = "takes units as independent; said beside it" if icc else ""
        yield Line(
            f"permutation p, families of ICC {icc}: false positives, units", np.mean(found["units"]), *FALSE, note
        )
        yield Line("the same, families shuffled", np.mean(found["families"]), 0.0, FALSE[1])
        yield Line(
            "the same, interval with families redrawn covers", np.mean(found["interval"]), *COVERS, "covers about 90 %"
        )
    rng, hits = np.random.default_rng(11), []
    for i in range(min(grids, 400)):
        hits.append(pooling.borrowed_p(rng.normal(size=(5, 19)), i, 199) <= 0.05)
    yield Line("borrowed, 19 x 5, bases independent: false positives", np.mean(hits), *FALSE)


PARTS: dict[str, Callable] = {
    part.__name__: part
    for part in (contrast, partial, rho, intervals, noise, best, ceiling, components, interaction, equality, tests)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grids", type=int, default=1000)
    parser.add_argument("--only", choices=[*PARTS], nargs="*", default=[*PARTS])
    arguments = parser.parse_args()
    outside = 0
    for name in arguments.only:
        started = time.time()
        for line in PARTS[name](arguments.grids):
            outside += line.verdict == "OUTSIDE"
            print(
                f"{line.value:7.3f}  in {line.low:.3f} .. {line.high:.3f}  {line.verdict:10}  {line.name}", flush=True
            )
        print(f"         {name}: {time.time() - started:.0f} s", flush=True)
    print(f"{outside} figures outside")


if __name__ == "__main__":
    main()
