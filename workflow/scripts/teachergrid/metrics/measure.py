"""Measure metrics: their values of single responses, and of a corpus with intervals."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from ..errors import BadInput
from . import bootstrap, terms
from .rows import JoinedRows, together
from .variants import Metric, Variant, variants

# --- values


def per_response(metric: Metric, rows: JoinedRows) -> tuple[np.ndarray, np.ndarray]:
    """Return (values [n], reasons [n]) of single responses: NaN and a reason where undefined, else "".

    A reward of 0, such as a verifier's no, gives the lowest CAR, 0; below 0 CAR is undefined.

    Raises:
        BadInput: the metric measures a whole corpus.
        KeyError: the rows lack the reward or the likelihoods that the metric needs.
    """
    if metric.expression is None:
        raise BadInput(
            f"formula '{metric.settings['formula']}' measures a whole corpus and ranks no single response; choose by another"
        )
    values, left_out = terms.term_values(metric, rows)
    return terms.response_values(metric, values, left_out), left_out.reasons()


def per_teacher(metric: Metric, rows_of: Mapping[str, JoinedRows]) -> dict[str, np.ndarray]:
    """Return {teacher: values [n] of its responses}, as `per_response` gives them; candidates of all teachers are compared.

    rows_of: {teacher: joined rows of its responses}.
    """
    if not metric.compares:
        return {teacher: per_response(metric, rows)[0] for teacher, rows in rows_of.items()}
    values = per_response(metric, together([*rows_of.values()]))[0]
    bounds = np.cumsum([len(rows.id) for rows in rows_of.values()])[:-1]
    return dict(zip(rows_of, np.split(values, bounds), strict=True))


class Extras(TypedDict):
    """What joined rows hold in addition to numbers: arguments of join.join."""

    text: bool
    ranks: bool


def extras(entries: Mapping[str, Mapping]) -> Extras:
    """Return what these metrics need of joined rows in addition to numbers. entries: {name: entry of the config}."""
    metrics = [Metric(entry) for entry in entries.values()]
    return {
        "text": any(metric.formula.text_function for metric in metrics),
        "ranks": any("ranks" in metric.needs for metric in metrics),
    }


def measure(entries: Mapping[str, Mapping], rows: JoinedRows, seed: int, rounds: int = 500) -> list[dict]:
    """Return the rows of artifacts.METRICS: of all responses, then by category.

    By category there are only the variants that entries state themselves, and no metric of the texts together.

    Intervals are 95 % percentiles over `rounds` draws of instructions, the same draws for all metrics; formulas of the
    texts together have none (a drawn corpus repeats instructions, which they count as repetition). Variants other than
    an entry's own are left out where their likelihoods have no values.

    Args:
        entries: {name: entry of the config}.
    """
    joining = {name: entry for name, entry in entries.items() if Metric(entry).needs}
    requested = {name: v for name, v in variants(joining).items() if v.own or terms.has_values(v.metric, rows)}
    metric_rows = _metric_rows(requested, rows, seed, rounds)
    own_variants = {name: variant for name, variant in requested.items() if variant.own and variant.metric.expression}
    categories = sorted(set(rows.category.tolist()))
    for category in categories if len(categories) > 1 else ():
        if category:  # instructions without one are in no part
            part = rows.where(rows.category == category)
            metric_rows += [{**row, "category": category} for row in _metric_rows(own_variants, part, seed, rounds)]
    return metric_rows


def sums(entries: Mapping[str, Mapping], rows: JoinedRows) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return (instructions [n], {name of an entry: the sums of its own variant over each instruction's responses}).

    The sums are [n, terms + 1]; the last column counts responses. `value_of_sums` takes their total over instructions, or
    any multiple of it. Raises KeyError where the rows lack what an entry needs.
    """
    pool = bootstrap.Pool(rows)
    parts = {name: pool.part(Metric(entry)) for name, entry in entries.items()}
    table = pool.table()
    return rows.id[pool.first], {name: table[:, part.columns] for name, part in parts.items()}


def value_of_sums(metric: Metric, sums: np.ndarray) -> np.ndarray:
    """Return the values [...] of a metric that has no median from sums [..., terms + 1] (see `sums`)."""
    with np.errstate(all="ignore"):
        return terms.combine(metric, sums[..., :-1] / sums[..., -1:])


# --- rows of the table


def _metric_rows(requested: Mapping[str, Variant], rows: JoinedRows, seed: int, rounds: int) -> list[dict]:
    # before the rest, since words take as much memory as all numbers
    texts = {name: _of_texts(v.metric, rows) for name, v in requested.items() if not v.metric.expression}
    if rows.texts:
        rows.texts.forget()
    pool, parts = bootstrap.Pool(rows), {}
    for variant in requested.values():
        metric, key = variant.metric, _sums_key(variant.metric)
        if key not in parts and metric.expression and not terms.lacking(metric, rows):
            parts[key] = pool.part(metric)
    means_of = pool.draw(parts, rounds, seed)
    metric_rows = []
    for name, variant in requested.items():
        metric, key = variant.metric, _sums_key(variant.metric)
        if key in parts:
            result = _result(metric, parts[key], means_of[key]) | _cut(metric, rows, parts[key])
            result["reason"] = "; ".join(filter(None, [result.pop("cut_note", None), result["reason"]])) or None
        elif name in texts:
            result = texts[name]
        else:
            result = {"n": 0, "missing": len(rows.id), "reason": terms.lacking(metric, rows)}
        if unit := next((terms.lengths(settings, rows)[1] for settings in metric.settings_for("text")), None):
            result["reason"] = "; ".join(filter(None, [result["reason"], f"counted in {unit}"]))
        metric_rows.append({"entry": variant.entry, "own": variant.own, **metric.labels, **result})
    return metric_rows


def _cut(metric: Metric, rows: JoinedRows, part: bootstrap.Part) -> dict:
    """Return the number of a metric's responses that a scorer read only in part, and what that does to the value."""
    if not (metric.likelihoods or "text" in metric.needs):
        return {}
    cut_rows = terms.cut(metric, rows)
    if not cut_rows.any() or not (number := int((cut_rows & ~part.left_out.rows).sum())):
        return {"cut": 0}
    n = int((~part.left_out.rows).sum())
    what = "losses are those of the beginning, without end token" if metric.likelihoods else "length estimated"
    note = f"{number} of {n} answers ({100 * number / n:.3g} %) are cut at likelihood.max_length: {what}"
    return {"cut": number, "cut_note": note}


def _sums_key(metric: Metric) -> str:
    """Return a name that metrics with the same sums share: all values of a parameter, unless the sums depend on it."""
    expression = metric.expression
    per_value = expression is not None and (expression.parameter_in_terms or metric.settings["below"] is not None)
    return metric.name if per_value else Metric(metric.settings).name


def _result(metric: Metric, part: bootstrap.Part, means: np.ndarray) -> dict:
    """Return the columns of a metric's value. means: of the terms [1 + rounds, terms], first over all instructions."""
    counts, responses = part.left_out.counts(), len(part.left_out.code)
    limited = metric.settings["below"] is not None
    removed = counts.pop(terms.not_below(metric), 0) if limited else 0
    negative, missing = counts[terms.NEGATIVE], counts.total()
    n = responses - missing - removed
    result: dict[str, object] = {"n": n, "missing": missing, **({"removed": removed} if limited else {})}
    notes = []
    if missing:
        commonest = min(counts, key=lambda reason: (-counts[reason], reason))
        notes.append(f"{missing} of {responses} responses left out, most often: {commonest}")
    if removed:
        notes.append(f"{removed} of {responses} responses removed: {terms.not_below(metric)}")
    undefined = f"{negative} of {responses} responses: {terms.NEGATIVE}" if negative else None
    if n and not undefined:
        undefined = terms.undefined(metric, means[0])
    if n == 0 or undefined:
        return {**result, "reason": "; ".join(filter(None, [undefined, *notes]))}
    with np.errstate(all="ignore"):
        values = terms.combine(metric, means)
    undefined_draws = int((~np.isfinite(values[1:])).sum())
    if part.instructions < 2:
        notes.append("no interval: one instruction")
    elif undefined_draws:
        notes.append(f"no interval: undefined in {undefined_draws} of {len(values) - 1} draws")
    else:
        low, high = np.quantile(values[1:], (0.025, 0.975))
        result |= {"low": float(low), "high": float(high)}
    return {**result, "value": float(values[0]), "reason": "; ".join(notes) or None}


def _of_texts(metric: Metric, rows: JoinedRows) -> dict:
    """Return the columns of the value of a formula of all texts of a corpus together."""
    assert metric.formula.text_function is not None, f"'{metric.settings['formula']}' is computed over a grid"
    value, empty = metric.formula.text_function(rows.texts), int((rows.words == 0).sum())
    result = {"n": len(rows.id) - empty, "missing": empty}
    if np.isnan(value):
        return {**result, "reason": "too little text"}
    return {**result, "value": float(value), "reason": f"{empty} responses have no text" if empty else None}


def reached(least: Mapping[str, float], entries: Mapping[str, Mapping], rows: JoinedRows) -> np.ndarray:
    """Return whether each response [n] reaches all of some values, in its metric's direction; one without a value does not.

    Args:
        least: {name of a metric: value}. entries: {name: entry of the config}.
    """
    fits = np.ones(len(rows.id), bool)
    for name, value in sorted(least.items()):
        metric = Metric(entries[name])
        enough = metric.sign * per_response(metric, rows)[0] >= metric.sign * value
        print(
            f"{int((fits & ~enough).sum())} of {len(fits)} responses left out: not {metric.name} of {value:g} or better"
        )
        fits &= enough
    return fits
