"""The numbers of single responses that formulas are made of, and why a response has none."""

from collections import Counter

import numpy as np

from . import expressions

VANISHES = 1e-6  # nats per token; a ratio to a smaller loss says nothing
LOSSES = {"loss": "loss of the answer", "alone": "loss of the answer alone", "question": "loss of the question"}
NEGATIVE = "reward below 0: CAR is undefined (state `offset`)"


class LeftOut:
    """Which of n responses are left out, each for the first reason that was given."""

    def __init__(self, n: int):
        self.code, self.texts = np.zeros(n, np.int32), [""]

    def add(self, where: np.ndarray, text: str) -> None:
        free = where & (self.code == 0)
        if free.any():
            self.code[free] = len(self.texts)
            self.texts.append(text)

    def add_known(self, where: np.ndarray, reasons) -> None:
        """Leave out rows for reasons that their table gives (frames.Reasons), if it gives one."""
        free = where & (self.code == 0) & (reasons.code > 0)
        if free.any():
            self.code[free] = reasons.code[free] + len(self.texts) - 1
            self.texts += reasons.texts[1:]

    @property
    def rows(self) -> np.ndarray:
        return self.code > 0

    def counts(self) -> Counter:
        found = Counter()
        for text, count in zip(self.texts, np.bincount(self.code, minlength=len(self.texts)).tolist(), strict=True):
            if text and count:
                found[text] += count
        return found

    def reasons(self) -> np.ndarray:
        """Return [n] texts, "" for a response that counts."""
        return np.array(self.texts, object)[self.code]


def lacking(entry: dict, frame) -> str | None:
    """Return why a metric cannot be computed on this frame at all."""
    for term in expressions.settled(entry, "reward"):
        if term["reward"] not in frame.rewards:
            return f"no rewards by '{term['reward']}'"
    for term in expressions.settled(entry, "likelihood"):
        if (term["scorer"], term["format"]) not in frame.likelihoods:
            return f"no likelihoods by '{term['scorer']}' in {term['format']} format"
    return None


def has_values(entry: dict, frame) -> bool:
    """Return whether every likelihood that a metric joins has any value."""
    scored = [(term["scorer"], term["format"]) for term in expressions.settled(entry, "likelihood")]
    tables = [frame.likelihoods.get(key) for key in scored]
    return not lacking(entry, frame) and not any(np.isnan(t["answer_given_question"]).all() for t in tables)


def columns(entry: dict, frame, value: float | None):
    """Return (columns [n, terms], LeftOut) of a metric at a value of its parameter.

    A row is NaN where anything that any term needs is undefined, so that all terms rest on the same responses.
    """
    found, left = expressions.compiled(entry), LeftOut(len(frame.id))
    filled = np.empty((len(frame.id), len(found.terms)), order="F")
    with np.errstate(all="ignore"):
        for i, term in enumerate(found.terms):
            names = {found.parameter: value, **_inputs(term, term.settled(entry), frame, left)}
            for guarded in expressions.positives(term.tree):
                left.add(expressions.evaluate(guarded, names) < 0, NEGATIVE)
            filled[:, i] = expressions.evaluate(term.tree, names)
        left.add(~np.isfinite(filled).all(1), "value is not finite")
    filled[left.rows] = np.nan
    return filled, left


def single(entry: dict, filled: np.ndarray, left: LeftOut, value: float | None) -> np.ndarray:
    """Return the values [n] of single responses from their columns, and leave out those without a value and those that are
    not below the entry's limit."""
    tree, names = expressions.compiled(entry).tree, _names(entry, filled, value)
    with np.errstate(all="ignore"):
        for guarded in expressions.positives(tree):
            left.add(expressions.evaluate(guarded, names) < 0, NEGATIVE)
        values = combined(entry, filled, value)
    left.add(~np.isfinite(values), "value is not finite")
    if entry["below"] is not None:
        left.add(~(values < entry["below"]), not_below(entry))
    return np.where(left.rows, np.nan, values)


def not_below(entry: dict) -> str:
    return f"value is not below {entry['below']:g}"


def combined(entry: dict, means: np.ndarray, value: float | None) -> np.ndarray:
    """Return the values [...] of a metric from the means (or medians) of its terms [..., terms]."""
    return expressions.evaluate(expressions.compiled(entry).tree, _names(entry, means, value))


def undefined(entry: dict, means: np.ndarray, value: float | None) -> str | None:
    """Return why a corpus with these means [terms] has no value, or None."""
    tree, names = expressions.compiled(entry).tree, _names(entry, means, value)
    with np.errstate(all="ignore"):
        if any(expressions.evaluate(guarded, names) <= 0 for guarded in expressions.positives(tree)):
            return "mean reward <= 0: CAR is undefined (state `offset`)"
        return None if np.isfinite(combined(entry, means, value)) else "value is not finite"


def _names(entry: dict, means: np.ndarray, value: float | None) -> dict:
    return {expressions.swept(entry)[0]: value, **{str(i): means[..., i] for i in range(means.shape[-1])}}


def _inputs(term, entry: dict, frame, left: LeftOut) -> dict:
    inputs = _rewards(entry, frame, left) if "reward" in term.needs else {}
    if "likelihood" in term.needs:
        inputs |= _losses(term, entry, frame, left)
    if "text" in term.needs:
        inputs["length"] = lengths(entry, frame)[0]
        left.add(np.isnan(inputs["length"]), "no token count")
    return inputs


def _rewards(entry: dict, frame, left: LeftOut) -> dict:
    table = frame.rewards[entry["reward"]]
    left.add_known(np.isnan(table["reward"]), table["reason"])
    left.add(~np.isfinite(table["reward"]), "reward is not a finite number")
    return {"reward": table["reward"] + (entry["offset"] or 0)}


def _losses(term, entry: dict, frame, left: LeftOut) -> dict:
    table = frame.likelihoods[entry["scorer"], entry["format"]]
    has_end = entry["end_token"] & (table["n_end"] > 0)

    def with_end(answer: str, end: str):
        return table[answer] + np.where(has_end, table[end], 0)

    given, tokens = -with_end("answer_given_question", "end_given_question"), with_end("n_answer", "n_end")
    left.add_known(np.isnan(given), table["reason"])
    left.add(np.isnan(given), "no likelihood")
    left.add(~(table["n_answer"] > 0), "response has no tokens")
    found = {"given": given, "tokens": tokens, "loss": given / tokens, "alone": -with_end("answer", "end") / tokens}
    found["question"] = -table["question"] / table["n_question"]
    if "ranks" in term.needs:
        found["rank"] = with_end("ranks_answer", "ranks_end") / tokens
        left.add(np.isnan(found["rank"]), "no ranks of its tokens were kept (config.likelihood.tokens)")
    for name in {*term.columns} & {*found}:
        left.add_known(np.isnan(found[name]), table["reason"])
    for name in term.divides_by:
        left.add_known(np.isnan(found[name]), table["reason"])
        left.add(~(found[name] >= VANISHES), f"{LOSSES[name]} is not above {VANISHES:g}")
    return found


def lengths(entry: dict, frame):
    """Return (lengths [n], unit unless it is the scorer's tokens): all in one unit, the first that there is."""
    scored = frame.likelihoods.get((entry["scorer"], entry["format"]), {}).get("n_answer", np.array([np.nan]))
    if not np.isnan(scored).all():
        return scored, None
    if not np.isnan(frame.response_tokens).any():
        return frame.response_tokens, "the teacher's tokens"
    return frame.words, "words"
