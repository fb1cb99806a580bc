"""Metrics of a corpus: the names of their variants, values of single responses, values of the corpus with intervals."""

from typing import NamedTuple

import numpy as np

from . import columns, expressions, resampled
from .errors import BadInput
from .expressions import OWN, compiled, formula_of, needs, settled, swept

# --- names


def full_name(entry: dict, value: float | None = None) -> str:
    """Return the name of a variant, such as car_mean/verify+offset=2/plain/beta=1/by=gpt2/no-end. Unique among variants.

    value: of the parameter that the entry sweeps; by default the entry's first.
    """
    found = compiled(entry)
    parts = [f"({expressions.canonical(entry)})" if entry["formula"] == OWN else entry["formula"]]
    if found and found.uses("reward"):
        parts.append(entry["reward"] + ("" if entry["offset"] is None else f"+offset={entry['offset']:g}"))
    scored = found and found.uses("scorer")
    if scored:
        parts.append(entry["format"])
    parameter, values = swept(entry)
    if parameter:
        parts.append(f"{parameter}={values[0] if value is None else value:g}")
    if (scored or ("text" in needs(entry) and found)) and entry["scorer"] != "self":
        parts.append(f"by={entry['scorer']}")
    if scored and not entry["end_token"]:
        parts.append("no-end")
    if entry["below"] is not None:
        parts.append(f"below={entry['below']:g}")
    if entry["formula"] == OWN and entry["best"] == "lowest":
        parts.append("lowest")
    return "/".join(parts)


def own_variant(entry: dict) -> str:
    """Return the full name of the variant that an entry states: its first beta, its format, its end_token."""
    return full_name(entry)


class Variant(NamedTuple):
    name: str  # of the entry in the config
    entry: dict
    value: float | None  # of the parameter that it sweeps
    own: bool


def variants(entries: dict) -> dict[str, Variant]:
    """Return {full name: variant}: each entry's own, then its other parameters, text formats and treatments of end tokens.

    Where two entries have a variant in common, it belongs to the one that states it.
    """
    found = {}
    for name, entry in entries.items():
        found.setdefault(own_variant(entry), Variant(name, entry, swept(entry)[1][0], True))
    for name, entry in entries.items():
        scored = compiled(entry) and compiled(entry).uses("scorer")
        for format in ("chat", "plain") if scored else (entry["format"],):
            for end_token in (True, False) if scored else (entry["end_token"],):
                variant = {**entry, "format": format, "end_token": end_token}
                for value in swept(entry)[1]:
                    found.setdefault(full_name(variant, value), Variant(name, variant, value, False))
    return found


# --- values


def sign(entry: dict) -> int:
    """Return 1 where a high value promises a better student, else -1."""
    return 1 if formula_of(entry).best == "highest" else -1


def per_response(entry: dict, frame, value: float | None = None):
    """Return (values [n], reasons [n]) of single responses: NaN and a reason where undefined, else "".

    value: of the entry's parameter, by default its first. A reward of 0, such as a verifier's no, gives the lowest CAR, 0;
    below 0 CAR is undefined. Raises KeyError where the frame lacks the reward or the likelihoods that the entry needs.
    """
    if compiled(entry) is None:
        raise BadInput(
            f"formula '{entry['formula']}' measures a whole corpus and ranks no single response; choose by another"
        )
    value = swept(entry)[1][0] if value is None else value
    filled, left = columns.columns(entry, frame, value)
    return columns.single(entry, filled, left, value), left.reasons()


def wanted(entries: dict) -> dict:
    """Return what a frame must hold for these metrics beside numbers: arguments of frames.frame."""
    return {
        "text": any(formula_of(entry).whole for entry in entries.values()),
        "ranks": any("ranks" in needs(entry) for entry in entries.values()),
    }


def measure(entries: dict, frame, seed: int, rounds: int = 500) -> list[dict]:
    """Return the rows of artifacts.METRICS: of all responses, then by category.

    By category there are the own variants of what is computed over responses: texts as a whole are not compared in parts.

    Intervals are 95 % percentiles over `rounds` draws of instructions, the same draws for all metrics; formulas on the
    corpus as a whole have none (a drawn corpus repeats instructions, which they count as repetition). Variants beside
    an entry's own are left out where their likelihoods have no values.
    """
    measured = {name: entry for name, entry in entries.items() if needs(entry)}
    chosen = {full: v for full, v in variants(measured).items() if v.own or columns.has_values(v.entry, frame)}
    rows = _measured(chosen, frame, seed, rounds)
    own = {full: variant for full, variant in chosen.items() if variant.own and compiled(variant.entry)}
    categories = sorted(set(frame.category.tolist()))
    for category in categories if len(categories) > 1 else ():
        if category:  # instructions without one are in no part
            part = frame.where(frame.category == category)
            rows += [{**row, "category": category} for row in _measured(own, part, seed, rounds)]
    return rows


def sums(entries: dict, frame):
    """Return (instructions [n], {name: what its own variant sums over an instruction's responses [n, terms + 1]}).

    The last column counts responses. `combine` takes the total over instructions, or any multiple of it.
    Raises KeyError where the frame lacks what an entry needs.
    """
    pool = resampled.Pool(frame)
    parts = {name: pool.part(entry, swept(entry)[1][0]) for name, entry in entries.items()}
    table = pool.table()
    return frame.id[pool.first], {name: table[:, part.columns] for name, part in parts.items()}


def combine(entry: dict, sums: np.ndarray) -> np.ndarray:
    """Return the values [...] of an entry's own variant, which has no median, from sums [..., terms + 1]."""
    with np.errstate(all="ignore"):
        return columns.combined(entry, sums[..., :-1] / sums[..., -1:], swept(entry)[1][0])


# --- rows of the table


def _measured(chosen: dict[str, Variant], frame, seed: int, rounds: int) -> list[dict]:
    # before the rest, since words take as much memory as all numbers
    texts = {full: _whole(variant.entry, frame) for full, variant in chosen.items() if not compiled(variant.entry)}
    if frame.texts:
        frame.texts.forget()
    pool, parts, rows = resampled.Pool(frame), {}, []
    for variant in chosen.values():
        key = _key(variant)
        if key not in parts and compiled(variant.entry) and not columns.lacking(variant.entry, frame):
            parts[key] = pool.part(variant.entry, variant.value)
    drawn = pool.drawn(parts, rounds, seed)
    for full, variant in chosen.items():
        entry, key = variant.entry, _key(variant)
        if key in parts:
            result = _result(variant, parts[key], drawn[key])
        elif full in texts:
            result = texts[full]
        else:
            result = {"n": 0, "missing": len(frame.id), "reason": columns.lacking(entry, frame)}
        if unit := next((columns.lengths(term, frame)[1] for term in settled(entry, "text")), None):
            result["reason"] = "; ".join(filter(None, [result["reason"], f"counted in {unit}"]))
        rows.append({"metric": full, "entry": variant.name, **_labels(variant), **result})
    return rows


def _key(variant: Variant) -> str:
    """What is summed over responses is the same for all values of a parameter, unless it hangs on them."""
    found = compiled(variant.entry)
    per_value = found and (found.per_value or variant.entry["below"] is not None)
    return full_name(variant.entry, variant.value if per_value else None)


def _labels(variant: Variant) -> dict:
    entry, found = variant.entry, compiled(variant.entry)
    keys = [key for key in ("reward", "scorer", "format") if found and found.uses(key)]
    parameter, _ = swept(entry)
    value = {parameter: variant.value} if parameter else {}
    return {"formula": entry["formula"], **value, **{key: entry[key] for key in keys}}


def _result(variant: Variant, part, means: np.ndarray) -> dict:
    """means: of the terms [1 + rounds, terms], first over all instructions."""
    entry, counts = variant.entry, part.left.counts()
    removed = None if entry["below"] is None else counts.pop(columns.not_below(entry), 0)
    negative, missing, rows = counts[columns.NEGATIVE], counts.total(), len(part.left.code)
    n = rows - missing - (removed or 0)
    result, notes = {"n": n, "missing": missing, **({} if removed is None else {"removed": removed})}, []
    if missing:
        often = min(counts, key=lambda reason: (-counts[reason], reason))
        notes.append(f"{missing} of {rows} responses left out, most often: {often}")
    if removed:
        notes.append(f"{removed} of {rows} responses removed: {columns.not_below(entry)}")
    undefined = f"{negative} of {rows} responses: {columns.NEGATIVE}" if negative else None
    if n and not undefined:
        undefined = columns.undefined(entry, means[0], variant.value)
    if n == 0 or undefined:
        return {**result, "reason": "; ".join(filter(None, [undefined, *notes]))}
    with np.errstate(all="ignore"):
        values = columns.combined(entry, means, variant.value)
    lost = int((~np.isfinite(values[1:])).sum())
    if part.instructions < 2:
        notes.append("no interval: one instruction")
    elif lost:
        notes.append(f"no interval: undefined in {lost} of {len(values) - 1} draws")
    else:
        low, high = np.quantile(values[1:], (0.025, 0.975))
        result |= {"low": float(low), "high": float(high)}
    return {**result, "value": float(values[0]), "reason": "; ".join(notes) or None}


def _whole(entry: dict, frame) -> dict:
    value, empty = formula_of(entry).whole(frame.texts), int((frame.words == 0).sum())
    result = {"n": len(frame.id) - empty, "missing": empty}
    if np.isnan(value):
        return {**result, "reason": "too little text"}
    return {**result, "value": float(value), "reason": f"{empty} responses have no text" if empty else None}
