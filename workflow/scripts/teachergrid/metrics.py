"""Metrics of a corpus: the names of their variants, values of single responses, values of the corpus with intervals."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from .errors import BadInput
from .formulas import FORMULAS, Formula, Inputs

VANISHES = 1e-6  # nats per token; a ratio to a smaller loss says nothing
LOSSES = {"alone": "loss of the answer alone", "question": "loss of the question"}
BLOCK = 32  # bootstrap rounds that are multiplied together

# --- names


def full_name(entry: dict, beta: float | None = None) -> str:
    """Return the name of a variant, such as car_mean/verify+offset=2/plain/beta=1/by=gpt2/no-end. Unique among variants."""
    formula = FORMULAS[entry["formula"]]
    parts = [entry["formula"]]
    if "reward" in formula.needs:
        parts.append(entry["reward"] + ("" if entry["offset"] is None else f"+offset={entry['offset']:g}"))
    if "likelihood" in formula.needs:
        parts.append(entry["format"])
    if formula.is_car:
        parts.append(f"beta={entry['beta'][0] if beta is None else beta:g}")
    scored = "likelihood" in formula.needs or entry["formula"] == "length"
    if scored and entry["scorer"] != "self":
        parts.append(f"by={entry['scorer']}")
    if "likelihood" in formula.needs and not entry["end_token"]:
        parts.append("no-end")
    return "/".join(parts)


def own_variant(entry: dict) -> str:
    """Return the full name of the variant that an entry states: its first beta, its format, its end_token."""
    return full_name(entry)


class Variant(NamedTuple):
    name: str  # of the entry in the config
    entry: dict
    beta: float | None
    own: bool


def variants(entries: dict) -> dict[str, Variant]:
    """Return {full name: variant}: each entry's own, then the other betas, text formats and treatments of end tokens.

    Where two entries have a variant in common, it belongs to the one that states it.
    """
    found = {}
    for name, entry in entries.items():
        found.setdefault(own_variant(entry), Variant(name, entry, _betas(entry)[0], True))
    for name, entry in entries.items():
        scored = "likelihood" in FORMULAS[entry["formula"]].needs
        for format in ("chat", "plain") if scored else (entry["format"],):
            for end_token in (True, False) if scored else (entry["end_token"],):
                variant = {**entry, "format": format, "end_token": end_token}
                for beta in _betas(entry):
                    found.setdefault(full_name(variant, beta), Variant(name, variant, beta, False))
    return found


def _betas(entry: dict) -> list:
    return entry["beta"] if FORMULAS[entry["formula"]].is_car else [None]


# --- values


def per_response(entry: dict, frame, beta: float | None = None):
    """Return (values [n], reasons [n]) of single responses: NaN and a reason where undefined, else "". beta: default the first.

    A reward of 0, such as a verifier's no, gives the lowest CAR, 0; below 0 CAR is undefined.
    Raises KeyError where the frame lacks the reward or the likelihoods that the entry needs.
    """
    formula = FORMULAS[entry["formula"]]
    if formula.combine is None:
        raise BadInput(
            f"formula '{entry['formula']}' measures a whole corpus and ranks no single response; choose by another"
        )
    columns, reasons = _columns(entry, frame)
    ones = np.ones((len(columns), 1))
    with np.errstate(all="ignore"):
        values = formula.combine(np.hstack([columns, ones]), _betas(entry)[0] if beta is None else beta)
    _flag(reasons, np.isnan(values), "reward below 0: CAR is undefined (state `offset`)")
    return values, reasons


def measure(entries: dict, frame, seed: int, rounds: int = 500) -> list[dict]:
    """Return the rows of artifacts.METRICS of a corpus: every variant of every entry {name: metric}.

    Intervals are 95 % percentiles over `rounds` draws of instructions, the same draws for all metrics; formulas on the
    corpus as a whole have none (a drawn corpus repeats instructions, which they count as repetition). Variants beside
    an entry's own are left out where their likelihoods have no values.
    """
    measured = {name: entry for name, entry in entries.items() if FORMULAS[entry["formula"]].needs}
    wanted = {full: v for full, v in variants(measured).items() if v.own or _has_values(v.entry, frame)}
    parts = _parts([variant.entry for variant in wanted.values()], frame)
    draws = _draws([sums for sums, _ in parts.values()], rounds, seed)
    drawn = dict(zip(parts, draws, strict=True))
    rows = []
    for full, variant in wanted.items():
        key, formula = full_name(variant.entry), FORMULAS[variant.entry["formula"]]
        if formula.whole:
            result = _whole(formula, frame)
        elif key in parts:
            result = _result(formula, variant.beta, *parts[key], drawn[key])
        else:
            result = {"n": 0, "missing": len(frame.id), "reason": _lacking(variant.entry, frame)}
        if variant.entry["formula"] == "length" and (unit := _length(variant.entry, frame)[1]):
            result["reason"] = "; ".join(filter(None, [result["reason"], f"counted in {unit}"]))
        rows.append({"metric": full, "entry": variant.name, **_labels(variant), **result})
    return rows


def sums(entries: dict, frame):
    """Return (instructions [n], {name: what its formula sums over an instruction's responses [n, columns + 1]}).

    The last column counts responses. `combine` of a formula takes the total over instructions, or any multiple of it.
    Raises KeyError where the frame lacks what an entry needs.
    """
    parts = _parts(list(entries.values()), frame)
    return np.unique(frame.id), {name: parts[full_name(entry)][0] for name, entry in entries.items()}


def _parts(entries: list[dict], frame) -> dict:
    """{full name: (what a formula sums [instructions, columns + 1], reasons [n])}, once for all betas."""
    instructions, member = np.unique(frame.id, return_inverse=True)
    parts = {}
    for entry in entries:
        if full_name(entry) in parts or FORMULAS[entry["formula"]].whole or _lacking(entry, frame):
            continue
        columns, reasons = _columns(entry, frame)
        counted = np.hstack([columns, np.ones((len(columns), 1))])
        counted[reasons != ""] = 0
        sums = [np.bincount(member, column, len(instructions)) for column in counted.T]
        parts[full_name(entry)] = np.stack(sums, axis=1), reasons
    return parts


def _labels(variant: Variant) -> dict:
    entry, needs = variant.entry, FORMULAS[variant.entry["formula"]].needs
    scored = {"scorer": entry["scorer"], "format": entry["format"]} if "likelihood" in needs else {}
    reward = {"reward": entry["reward"]} if "reward" in needs else {}
    return {"formula": entry["formula"], "beta": variant.beta, **reward, **scored}


def _lacking(entry: dict, frame) -> str | None:
    """Why a metric cannot be computed on this frame at all."""
    needs = FORMULAS[entry["formula"]].needs
    if "reward" in needs and entry["reward"] not in frame.rewards:
        return f"no rewards by '{entry['reward']}'"
    if "likelihood" in needs and (entry["scorer"], entry["format"]) not in frame.likelihoods:
        return f"no likelihoods by '{entry['scorer']}' in {entry['format']} format"
    return None


def _has_values(entry: dict, frame) -> bool:
    if _lacking(entry, frame):
        return False
    scored = frame.likelihoods.get((entry["scorer"], entry["format"]))
    return scored is not None and not np.isnan(scored["answer_given_question"]).all()


def _flag(reasons: np.ndarray, where: np.ndarray, text) -> None:
    """Give rows a reason (a text, or one per row), unless they have one."""
    free = where & (reasons == "")
    reasons[free] = text if isinstance(text, str) else text[free]


def _columns(entry: dict, frame):
    """Return (columns [n, k], reasons [n]) of a formula; a row is NaN where anything it needs is undefined."""
    formula, reasons = FORMULAS[entry["formula"]], np.full(len(frame.id), "", object)
    inputs = Inputs()
    with np.errstate(all="ignore"):
        if "reward" in formula.needs:
            inputs = _rewards(inputs, entry, frame, reasons)
        if "likelihood" in formula.needs:
            inputs = _losses(inputs, entry, frame, reasons)
        if "text" in formula.needs:
            inputs = inputs._replace(length=_length(entry, frame)[0])
            _flag(reasons, np.isnan(inputs.length), "no token count")
        for name in formula.divides_by:
            known = frame.likelihoods[entry["scorer"], entry["format"]]["reason"]
            _flag(reasons, np.isnan(getattr(inputs, name)), known)
            _flag(reasons, ~(getattr(inputs, name) >= VANISHES), f"{LOSSES[name]} is not above {VANISHES:g}")
        columns = np.stack(formula.columns(inputs), axis=1)
    _flag(reasons, ~np.isfinite(columns).all(1), "value is not finite")
    columns[reasons != ""] = np.nan
    return columns, reasons


def _rewards(inputs: Inputs, entry: dict, frame, reasons: np.ndarray) -> Inputs:
    table = frame.rewards[entry["reward"]]
    _flag(reasons, np.isnan(table["reward"]), table["reason"])
    _flag(reasons, ~np.isfinite(table["reward"]), "reward is not a finite number")
    return inputs._replace(reward=table["reward"] + (entry["offset"] or 0))


def _losses(inputs: Inputs, entry: dict, frame, reasons: np.ndarray) -> Inputs:
    table = frame.likelihoods[entry["scorer"], entry["format"]]
    has_end = entry["end_token"] & (table["n_end"] > 0)

    def with_end(answer: str, end: str):
        return table[answer] + np.where(has_end, table[end], 0)

    given, tokens = -with_end("answer_given_question", "end_given_question"), with_end("n_answer", "n_end")
    _flag(reasons, np.isnan(given), table["reason"])
    _flag(reasons, np.isnan(given), "no likelihood")
    _flag(reasons, ~(table["n_answer"] > 0), "response has no tokens")
    loss, alone = given / tokens, -with_end("answer", "end") / tokens
    return inputs._replace(
        given=given, tokens=tokens, loss=loss, alone=alone, question=-table["question"] / table["n_question"]
    )


def _length(entry: dict, frame):
    """Return (lengths [n], unit unless it is the scorer's tokens): all in one unit, the first that there is."""
    scored = frame.likelihoods.get((entry["scorer"], entry["format"]), {}).get("n_answer", np.array([np.nan]))
    if not np.isnan(scored).all():
        return scored, None
    if not np.isnan(frame.response_tokens).any():
        return frame.response_tokens, "the teacher's tokens"
    return frame.words, "words"


def _draws(sums: list, rounds: int, seed: int) -> list:
    """Sums [rounds, k] of resampled instructions, for each of the sums [instructions, k] per instruction."""
    if not sums:
        return []
    table, n, rng = np.hstack(sums), len(sums[0]), np.random.default_rng(seed)
    blocks = []
    for start in range(0, rounds, BLOCK):
        picks = rng.integers(n, size=(min(BLOCK, rounds - start), n))
        blocks.append(np.stack([np.bincount(row, minlength=n) for row in picks]).astype(float) @ table)
    return np.split(np.concatenate(blocks), np.cumsum([part.shape[1] for part in sums])[:-1], axis=1)


def _result(formula: Formula, beta, sums: np.ndarray, reasons: np.ndarray, drawn: np.ndarray) -> dict:
    total, left_out = sums.sum(0), Counter(reasons[reasons != ""].tolist())
    n, missing = int(total[-1]), left_out.total()
    result = {"n": n, "missing": missing}
    often = min(left_out, key=lambda reason: (-left_out[reason], reason), default="")
    notes = [f"{missing} of {len(reasons)} responses left out, most often: {often}"] if missing else []
    if n == 0:
        return {**result, "reason": notes[0]}
    if formula.is_car and total[0] <= 0:
        return {**result, "reason": "; ".join(["mean reward <= 0: CAR is undefined (state `offset`)", *notes])}
    with np.errstate(all="ignore"):
        value, values = formula.combine(total, beta), formula.combine(drawn, beta)
    if not np.isfinite(value):
        return {**result, "reason": "; ".join(["value is not finite", *notes])}
    undefined = int((~np.isfinite(values)).sum())
    if np.count_nonzero(sums[:, -1]) < 2:
        notes.append("no interval: one instruction")
    elif undefined:
        notes.append(f"no interval: undefined in {undefined} of {len(values)} draws")
    else:
        low, high = np.quantile(values, (0.025, 0.975))
        result |= {"low": float(low), "high": float(high)}
    return {**result, "value": float(value), "reason": "; ".join(notes) or None}


def _whole(formula: Formula, frame) -> dict:
    value, empty = formula.whole(frame.response), int((frame.words == 0).sum())
    result = {"n": len(frame.id) - empty, "missing": empty}
    if np.isnan(value):
        return {**result, "reason": "too little text"}
    return {**result, "value": float(value), "reason": f"{empty} responses have no text" if empty else None}
