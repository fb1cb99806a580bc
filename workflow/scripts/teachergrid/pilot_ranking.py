"""The result of a pilot: the teachers ranked for each base, which are kept, and how sure that is.

Teachers are ranked by the mean of their ranks under the pilot's metrics. Instructions are drawn again and again, the same for
all teachers and metrics, and all is ranked anew: intervals, p_best and p_kept say how the order hangs on which instructions
were asked. Whether the metrics promise better students is another question, which only students answer.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from . import artifacts, health, metrics, resampling
from .errors import BadInput
from .frames import join_teacher
from .ids import Responses
from .seeds import derived_seed
from .variants import Metric

ROUNDS = 2000
LIKELIHOOD_FORMATS = ("chat", "plain")


def result(settings: dict, files, grid: str) -> dict:
    """Return {"sample", "by", "keep", "bases": {base: answer of `ranking`}}.

    settings: those of the job; files: its inputs. Raises BadInput where no teacher of a base can be ranked.
    """
    asked, stopped = settings["pilot"], gated(files.health, settings["gates"])
    bases = {}
    for base, teachers in settings["candidates"].items():
        frames = {teacher: frames_of(settings["metrics"], files, base, teacher) for teacher in teachers}
        sums = summed(settings["metrics"], frames)
        seed = derived_seed(0, f"{grid}/{base}")
        bases[base] = ranking(settings["metrics"], sums, asked["keep"], stopped, seed)
        if not bases[base]["kept"]:
            reasons = "; ".join(f"{row['teacher']}: {row['reason']}" for row in bases[base]["teachers"])
            raise BadInput(f"config.grids.{grid}.pilot: no teacher of {base} can be ranked ({reasons})")
    return {**asked, "bases": bases}


def gated(paths, gates: dict) -> dict[str, str]:
    """Return {teacher: why a gate would stop its students}."""
    found = {}
    for path in paths:
        rows = health.limited(artifacts.read(path, artifacts.HEALTH).to_pylist(), gates)
        if failed := health.gate(rows):
            found[Responses.parse(Path(path).stem).teacher] = f"gated: {'; '.join(failed)}"
    return found


def frames_of(entries: dict, files, base: str, teacher: str) -> list:
    """Return the rows of a teacher's responses to each set, with what scored them and these metrics ask for."""
    asked = {scorer for entry in entries.values() for scorer, _ in Metric(entry).likelihoods}
    scorers, found = {base if name == "self" else name for name in asked}, []
    for path in files.responses:
        name = Path(path).stem
        if Responses.parse(name).teacher == teacher:
            mine = SimpleNamespace(
                responses=[path],
                rewards=[other for other in files.rewards if Path(other).stem == name],
                **{
                    format: [o for o in files[format] if Path(o).stem == name and Path(o).parts[-3] in scorers]
                    for format in LIKELIHOOD_FORMATS
                },
            )
            found.append(join_teacher(mine, base, teacher, **metrics.extras(entries)))
    return found


def summed(entries: dict, frames: dict[str, list]) -> dict[str, tuple]:
    """Return {teacher: (instructions, {metric: its sums per instruction [n, columns + 1]})} over all sets."""
    found = {}
    for teacher, parts in frames.items():
        own = [metrics.sums(entries, part) for part in parts]
        ids = np.concatenate([ids for ids, _ in own])
        found[teacher] = ids, {name: np.concatenate([sums[name] for _, sums in own]) for name in entries}
    return found


def ranking(entries: dict, sums: dict[str, tuple], keep: int, stopped: dict[str, str], seed: int) -> dict:
    """Return {"kept": teachers, "p_best_kept", "teachers": rows, the first ranked first} of one base.

    sums: of `summed`. A row: teacher, rank (1 is best), rank_low, rank_high (95 %), p_best, p_kept (shares of the draws),
    kept, metrics {name: {value, low, high, n}}, reason (why it is not ranked, else null). p_best_kept: the share of draws
    whose first is kept. A teacher that is gated, or has a metric without a value, is last and in no draw.
    """
    values = {name: drawn(entry, name, sums, seed) for name, entry in entries.items()}
    reasons = {teacher: stopped.get(teacher) or lacking(values, i) for i, teacher in enumerate(sums)}
    ranked = [i for i, teacher in enumerate(sums) if not reasons[teacher]]
    rows = [
        {
            "teacher": teacher,
            **dict.fromkeys(("rank", "rank_low", "rank_high", "p_best", "p_kept")),
            "kept": False,
            "metrics": {name: shown(value, i) for name, value in values.items()},
            "reason": reasons[teacher],
        }
        for i, teacher in enumerate(sums)
    ]
    if ranked:
        fill_in([rows[i] for i in ranked], {name: v["draws"][:, ranked] for name, v in values.items()}, keep)
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"], row["teacher"]))
    for row in rows[: min(keep, len(ranked))]:
        row["kept"] = True
    first = [row["p_best"] for row in rows if row["kept"]]
    return {
        "kept": [row["teacher"] for row in rows if row["kept"]],
        "p_best_kept": float(sum(first)) if first else None,
        "teachers": rows,
    }


def fill_in(rows: list[dict], draws: dict, keep: int) -> None:
    """Rank some teachers. draws: {metric: [1 + rounds, teachers]}, higher is better, the first row of all instructions."""
    places = position(-np.mean([position(values) for values in draws.values()], axis=0))
    shares = resampling.rank_shares(-places[1:])
    low, high = np.quantile(places[1:], (0.025, 0.975), axis=0)
    for i, row in enumerate(rows):
        row |= {"rank": float(places[0, i]), "rank_low": float(low[i]), "rank_high": float(high[i])}
        row |= {"p_best": float(shares[i, 0]), "p_kept": float(shares[i, :keep].sum())}


def position(values: np.ndarray) -> np.ndarray:
    """Return the ranks [draws, n] of values [draws, n]: 1 is the highest, ties share the mean of theirs, NaN is last."""
    values = np.round(np.where(np.isnan(values), -np.inf, values), 12)[:, :, None]
    ahead = (values < values.swapaxes(1, 2)).sum(2)
    tied = (values == values.swapaxes(1, 2)).sum(2)
    return ahead + (tied + 1) / 2


def drawn(entry: dict, name: str, sums: dict[str, tuple], seed: int) -> dict:
    """Return a metric's {"draws" [1 + rounds, teachers] signed so that higher is better, "sign", "n" [teachers]}."""
    every = np.unique(np.concatenate([ids for ids, _ in sums.values()]))
    table = np.zeros((len(sums), len(every), sums[next(iter(sums))][1][name].shape[1]))
    for own, (ids, parts) in zip(table, sums.values(), strict=True):
        own[np.searchsorted(every, ids)] = parts[name]
    flat = table.transpose(0, 2, 1).reshape(-1, len(every))
    means = resampling.bootstrap_means(flat, ROUNDS, np.random.default_rng(seed))
    means = np.concatenate([flat.mean(1)[None], means]).reshape(ROUNDS + 1, len(sums), -1)
    sign, values = Metric(entry).sign, metrics.value_of_sums(Metric(entry), means)
    return {"draws": sign * np.where(np.isfinite(values), values, np.nan), "sign": sign, "n": table[:, :, -1].sum(1)}


def lacking(values: dict, i: int) -> str | None:
    return next((f"{name} has no value" for name, found in values.items() if np.isnan(found["draws"][0, i])), None)


def shown(found: dict, i: int) -> dict:
    """Return a teacher's value of a metric with its 95 % interval and the responses it rests on."""
    own = found["sign"] * found["draws"][:, i]
    low, high = (None, None) if np.isnan(own).any() else map(float, np.quantile(own[1:], (0.025, 0.975)))
    return {"value": None if np.isnan(own[0]) else float(own[0]), "low": low, "high": high, "n": int(found["n"][i])}


def regret(found: dict, performance: list[dict]) -> list[dict]:
    """Return what a pilot loses, where a grid trained all teachers: rows {base, panel, best, value, best_kept, kept_value,
    regret} in points of AP.

    found: of `result`; performance: rows of artifacts.PERFORMANCE of that grid. Who was gated there has no students. A base
    and panel where another teacher has no AP is left out: its regret is not known.
    """
    rows = []
    units = [row for row in performance if row["kind"] == "student" and row["measure"] == "AP" and row["teacher"]]
    units = [row for row in units if not (row["reason"] or "").startswith("gated")]
    for base, answer in found["bases"].items():
        for panel in dict.fromkeys(row["panel"] for row in units if row["base"] == base):
            ap = {row["teacher"]: row["value"] for row in units if (row["base"], row["panel"]) == (base, panel)}
            kept = [teacher for teacher in answer["kept"] if teacher in ap]
            if None in ap.values() or not kept:
                continue
            best, of_kept = max(ap, key=ap.get), max(kept, key=ap.get)
            named = {"best": best, "value": ap[best], "best_kept": of_kept, "kept_value": ap[of_kept]}
            rows.append({"base": base, "panel": panel, **named, "regret": ap[best] - ap[of_kept]})
    return rows
