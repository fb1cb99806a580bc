"""The result of a pilot: the teachers ranked for each base, which are kept, and how sure that is.

Teachers are ranked by the mean of their ranks under the pilot's metrics. Bootstrap: instructions are drawn with
replacement, the same for all teachers and metrics, and all teachers are ranked anew. So intervals, p_best and p_kept
show how the order depends on the choice of instructions. Whether the metrics predict better students is another
question, which only students can answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, Protocol

import numpy as np

from ..data import health
from ..errors import BadInput
from ..metrics import measure
from ..metrics.join import join_teacher
from ..metrics.rows import JoinedRows
from ..metrics.variants import Metric
from ..spec.ids import Responses
from ..spec.seeds import derived_seed
from ..stats import resampling
from ..store import artifacts

ROUNDS = 2000
LIKELIHOOD_FORMATS = ("chat", "plain")
# of one teacher: its instructions [n], and for each metric its sums per instruction [n, columns + 1] (see measure.sums)
Sums = tuple[np.ndarray, dict[str, np.ndarray]]


class InputFiles(Protocol):
    """The inputs of the rule `pilot`, as Snakemake passes them; `files[format]` are likelihoods in a text format."""

    responses: Sequence[str]
    rewards: Sequence[str]
    health: Sequence[str]
    distributions: Sequence[str]

    def __getitem__(self, text_format: str) -> Sequence[str]: ...


class MetricDraws(NamedTuple):
    """A metric's bootstrap over instructions."""

    draws: np.ndarray  # [1 + rounds, teachers], higher is better; the first row is of all instructions; NaN: no value
    sign: int  # draws = sign * values of the metric
    n: np.ndarray  # [teachers], responses behind the value


# --- from the files


def result(settings: dict, files: InputFiles, grid: str) -> dict:
    """Return {"sample", "by", "keep", "bases": {base: answer of `ranking`}}.

    settings: those of the job. Raises BadInput where no teacher of a base can be ranked.
    """
    pilot, gate_reasons = settings["pilot"], gated(files.health, settings["gates"])
    bases = {}
    for base, teachers in settings["candidates"].items():
        rows = {teacher: joined_rows(settings["metrics"], files, base, teacher) for teacher in teachers}
        sums = sums_by_teacher(settings["metrics"], rows)
        seed = derived_seed(0, f"{grid}/{base}")
        bases[base] = ranking(settings["metrics"], sums, pilot["keep"], gate_reasons, seed)
        if not bases[base]["kept"]:
            reasons = "; ".join(f"{row['teacher']}: {row['reason']}" for row in bases[base]["teachers"])
            raise BadInput(f"config.grids.{grid}.pilot: no teacher of {base} can be ranked ({reasons})")
    return {**pilot, "bases": bases}


def gated(paths: Iterable[str], gates: dict) -> dict[str, str]:
    """Return {teacher: why a gate would stop its students} from the paths of health tables."""
    reasons = {}
    for path in paths:
        rows = health.limited(artifacts.read(path, artifacts.HEALTH).to_pylist(), gates)
        if failed := health.gate(rows):
            reasons[Responses.parse(Path(path).stem).teacher] = f"gated: {'; '.join(failed)}"
    return reasons


def joined_rows(entries: dict[str, dict], files: InputFiles, base: str, teacher: str) -> list[JoinedRows]:
    """Return a teacher's responses to each instruction set, joined with the scores that these metrics need."""
    names = {scorer for entry in entries.values() for scorer, _ in Metric(entry).likelihoods}
    scorers = {base if name == "self" else name for name in names}
    joined = []
    for path in files.responses:
        name = Path(path).stem
        if Responses.parse(name).teacher == teacher:
            teacher_files = SimpleNamespace(
                responses=[path],
                rewards=[other for other in files.rewards if Path(other).stem == name],
                distributions=[
                    other
                    for other in files.distributions
                    if Path(other).stem == name and Path(other).parts[-3] in scorers
                ],
                **{
                    text_format: [
                        other
                        for other in files[text_format]
                        if Path(other).stem == name and Path(other).parts[-3] in scorers
                    ]
                    for text_format in LIKELIHOOD_FORMATS
                },
            )
            joined.append(join_teacher(teacher_files, base, teacher, **measure.extras(entries)))
    return joined


def sums_by_teacher(entries: dict[str, dict], rows: Mapping[str, list[JoinedRows]]) -> dict[str, Sums]:
    """Return {teacher: its sums per instruction} over all instruction sets."""
    result = {}
    for teacher, parts in rows.items():
        part_sums = [measure.sums(entries, part) for part in parts]
        ids = np.concatenate([ids for ids, _ in part_sums])
        result[teacher] = ids, {name: np.concatenate([sums[name] for _, sums in part_sums]) for name in entries}
    return result


# --- ranking


def ranking(
    entries: dict[str, dict], sums: dict[str, Sums], keep: int, gate_reasons: dict[str, str], seed: int
) -> dict:
    """Return {"kept": teachers, "p_best_kept", "teachers": rows, the first ranked first} of one base.

    A row: teacher, rank (1 is best), rank_low, rank_high (95 %), p_best, p_kept (shares of the draws), kept, metrics
    {name: {value, low, high, n}}, reason (why it is not ranked, else null). p_best_kept: the share of draws whose first
    is kept. A teacher that is gated, or that a metric has no value for, comes last and is in no draw.

    Args:
        sums: {teacher: ...}, see `sums_by_teacher`.
        keep: the number of teachers to keep.
        gate_reasons: {teacher: why a gate stops its students}.
    """
    values = {name: bootstrap(entry, name, sums, seed) for name, entry in entries.items()}
    rows: list[dict] = []
    ranked: list[int] = []
    for i, teacher in enumerate(sums):
        reason = gate_reasons.get(teacher) or _without_value(values, i)
        rows.append(
            {
                "teacher": teacher,
                **dict.fromkeys(("rank", "rank_low", "rank_high", "p_best", "p_kept")),
                "kept": False,
                "metrics": {name: _value(metric, i) for name, metric in values.items()},
                "reason": reason,
            }
        )
        if not reason:
            ranked.append(i)
    if ranked:
        _rank([rows[i] for i in ranked], [metric.draws[:, ranked] for metric in values.values()], keep)
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"], row["teacher"]))
    best = rows[: min(keep, len(ranked))]
    for row in best:
        row["kept"] = True
    return {
        "kept": [row["teacher"] for row in best],
        "p_best_kept": float(sum(row["p_best"] for row in best)) if best else None,
        "teachers": rows,
    }


def _rank(rows: list[dict], draws: list[np.ndarray], keep: int) -> None:
    """Fill in the ranks of some teachers, from each metric's draws [1 + rounds, teachers]."""
    ranks = mid_ranks(-np.mean([mid_ranks(values) for values in draws], axis=0))
    shares = resampling.rank_shares(-ranks[1:])
    low, high = np.quantile(ranks[1:], (0.025, 0.975), axis=0)
    for i, row in enumerate(rows):
        row |= {"rank": float(ranks[0, i]), "rank_low": float(low[i]), "rank_high": float(high[i])}
        row |= {"p_best": float(shares[i, 0]), "p_kept": float(shares[i, :keep].sum())}


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks [draws, n] of values [draws, n]: 1 is the highest, ties share the mean of theirs, NaN is last.

    As scipy.stats.rankdata(-values, axis=1), except that values that differ by less than 1e-12 are ties.
    """
    values = np.round(np.where(np.isnan(values), -np.inf, values), 12)[:, :, None]
    ahead = (values < values.swapaxes(1, 2)).sum(2)
    tied = (values == values.swapaxes(1, 2)).sum(2)
    return ahead + (tied + 1) / 2


def bootstrap(entry: dict, name: str, sums: dict[str, Sums], seed: int) -> MetricDraws:
    """Return the values of a metric for all teachers over resampled instructions, the same for all teachers."""
    ids_of_all = np.unique(np.concatenate([ids for ids, _ in sums.values()]))
    columns = next(iter(sums.values()))[1][name].shape[1]
    table = np.zeros((len(sums), len(ids_of_all), columns))
    for teacher_table, (ids, by_metric) in zip(table, sums.values(), strict=True):
        teacher_table[np.searchsorted(ids_of_all, ids)] = by_metric[name]
    flat = table.transpose(0, 2, 1).reshape(-1, len(ids_of_all))
    means = resampling.bootstrap_means(flat, ROUNDS, np.random.default_rng(seed))
    means = np.concatenate([flat.mean(1)[None], means]).reshape(ROUNDS + 1, len(sums), -1)
    sign, values = Metric(entry).sign, measure.value_of_sums(Metric(entry), means)
    return MetricDraws(sign * np.where(np.isfinite(values), values, np.nan), sign, table[:, :, -1].sum(1))


def _without_value(values: dict[str, MetricDraws], i: int) -> str | None:
    """Return which metric of teacher i has no value, as a reason; None if all have one."""
    return next((f"{name} has no value" for name, metric in values.items() if np.isnan(metric.draws[0, i])), None)


def _value(metric: MetricDraws, i: int) -> dict:
    """Return the value of a metric for teacher i, with its 95 % interval and the number of responses behind it."""
    values = metric.sign * metric.draws[:, i]
    low, high = (None, None) if np.isnan(values).any() else map(float, np.quantile(values[1:], (0.025, 0.975)))
    value = None if np.isnan(values[0]) else float(values[0])
    return {"value": value, "low": low, "high": high, "n": int(metric.n[i])}


# --- against the students


def regret(pilot: dict, performance: list[dict]) -> list[dict]:
    """Return the AP that a pilot lost, in points, from a grid that trained students of all teachers.

    A base and panel where any teacher has no AP is left out: its regret is unknown. Teachers that were gated in
    that grid have no students and do not count.

    Args:
        pilot: see `result`.
        performance: rows of artifacts.PERFORMANCE of that grid.
    Returns: rows {base, panel, best, value, best_kept, kept_value, regret}.
    """
    rows = []
    units = [row for row in performance if row["kind"] == "student" and row["measure"] == "AP" and row["teacher"]]
    units = [row for row in units if not (row["reason"] or "").startswith("gated")]
    for base, answer in pilot["bases"].items():
        for panel in dict.fromkeys(row["panel"] for row in units if row["base"] == base):
            ap = {row["teacher"]: row["value"] for row in units if (row["base"], row["panel"]) == (base, panel)}
            candidates = [teacher for teacher in answer["kept"] if teacher in ap]
            if None in ap.values() or not candidates:
                continue
            best, best_kept = max(ap, key=lambda teacher: ap[teacher]), max(candidates, key=lambda teacher: ap[teacher])
            values = {"best": best, "value": ap[best], "best_kept": best_kept, "kept_value": ap[best_kept]}
            rows.append({"base": base, "panel": panel, **values, "regret": ap[best] - ap[best_kept]})
    return rows
