"""A grid whose answer is known: 2 bases, 3 teachers, 2 SFT seeds, 20 items."""

import yaml
from tables import entry
from teachergrid.decisions.summary import Results, summarise
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts

ITEMS = [f"q{i:02}" for i in range(20)]
# right answers of 20: {base: {teacher: one number per seed}}
RIGHT = {"b1": {"x": [16, 14], "y": [12, 12], "z": [4, 4]}, "b2": {"x": [8, 8], "y": [12, 12], "z": [17, 15]}}
UNTUNED = {"b1": {"chat": 8, "plain": 6}, "b2": {"chat": 10, "plain": 12}}
REWARD = {"x": 3.0, "y": 2.0, "z": 1.0}
METRICS = {"reward": entry("reward_mean", reward="rm"), "loss": entry("nll_mean"), "size": entry("size")}
# how a derived corpus chooses its rows, as a config states it in full
CHOICE = {
    "matched": False,
    "least": {},
    "by": None,
    "choose": "best",
    "share": None,
    "rows": None,
    "tokens": None,
    "each": [],
    "ratios": {},
}
SIX = {
    "b1": {name: [number, number] for name, number in zip("uvwxyz", (4, 6, 8, 16, 10, 12), strict=True)},
    "b2": {name: [number, number] for name, number in zip("uvwxyz", (5, 4, 9, 8, 11, 15), strict=True)},
}
SIX_REWARD = dict(zip("uvwxyz", (1.0, 2.0, 3.0, 6.0, 5.0, 4.0), strict=True))


def score_rows(right: int, task="sums", items=ITEMS, category=None):
    return [
        {"task": task, "id": id, "sample": 0, "score": float(i < right), "verdict": "right", "category": category}
        for i, id in enumerate(items)
    ]


def scores_of(right, **settings):
    return artifacts.table(score_rows(right, **settings), artifacts.SCORES)


def metric_table(reward: float, loss: float):
    def row(name, value, formula, **settings):
        metric = Metric(entry(formula, **settings))
        return {"entry": name, "own": True, **metric.labels, "value": value, "n": 4, "missing": 0}

    rows = [
        row("reward", reward, "reward_mean", reward="rm"),
        row("another block's name", loss, "nll_mean"),
        row("loss", loss, "nll_mean", end_token=False),
        row("only in another block", 9.0, "ppl"),
    ]
    return artifacts.table(rows, artifacts.METRICS)


class World:
    """A grid's settings and results; tests take parts away."""

    def __init__(self, right=RIGHT, untuned=UNTUNED, reward=REWARD, **grid):
        teachers = list(next(iter(right.values())))
        block = {
            "compare": "teacher",
            "instructions": ["pool"],
            "teachers": teachers,
            "corpora": [],
            "recipes": ["sft"],
        }
        block |= {
            "performance": ["test/verify"],
            "primary": "reward",
            "bootstrap": 400,
            "seed": 5,
            "smallest_difference": 2,
            "suites": ["test"],
            **grid,
        }
        cells = [(b, t, s) for b, row in right.items() for t in teachers for s in range(len(row[t]))]
        label = {"family": "f", "parent": None, "licence": "apache-2.0", "output_terms": "free"}
        self.settings = {
            "grid": block,
            "students": [
                {
                    "student": f"{b}__pool__{t}__sft__s{s}",
                    "base": b,
                    "corpus": f"pool__{t}",
                    "instructions": "pool",
                    "teacher": t,
                    "recipe": "sft",
                    "seed": s,
                    "self_pair": (b, t) == ("b1", "x"),
                }
                for b, t, s in cells
            ],
            "references": [
                {"name": f"{b}.{format}", "base": b, "role": "untuned", "format": format}
                for b in right
                for format in untuned.get(b, {})
            ],
            "pairs": [[b, f"pool__{t}"] for b in right for t in teachers],
            "metrics": METRICS,
            "teachers": {t: {**label, "model": t, "parameters": 2.0**i} for i, t in enumerate(teachers)},
            "bases": {b: {**label, "model": b, "parameters": 1} for b in right},
            "suites": {"test": ["verify"]},
            "gates": {"empty": 0.1},
        }
        self.scores = {(f"{b}__pool__{t}__sft__s{s}", "test", "verify"): scores_of(right[b][t][s]) for b, t, s in cells}
        for b in right:
            for format, number in untuned.get(b, {}).items():
                self.scores[f"{b}.{format}", "test", "verify"] = scores_of(number)
        self.metrics = {(b, f"pool__{t}"): metric_table(reward[t], -reward[t]) for b in right for t in teachers}
        made = {"steps": 3, "examples": 4, "trained_tokens": 50, "weights": {"model.safetensors": "sha256:1"}}
        self.students = {student["student"]: made for student in self.settings["students"]}
        self.health = {}
        self.chosen = {}

    def summary(self):
        found = summarise(self.settings, Results(self.scores, self.metrics, self.students, self.health, self.chosen))
        artifacts.table(found.performance, artifacts.PERFORMANCE)
        artifacts.table(found.metrics, artifacts.GRID_METRICS)
        artifacts.table(found.correlations, artifacts.CORRELATIONS)
        artifacts.table(found.effects, artifacts.EFFECTS)
        artifacts.table(found.lineage, artifacts.LINEAGE)
        assert yaml.safe_load(yaml.safe_dump(found.recommendation)) == found.recommendation
        return found


def ap(found, base, unit):
    return next(r for r in found.performance if (r["base"], r.get("unit"), r["measure"]) == (base, unit, "AP"))


def correlation(found, base, metric):
    return next(row for row in found.correlations if (row["base"], row["metric"]) == (base, metric))


def doubts(found) -> str:
    return "\n".join(found.recommendation["cannot_say"])
