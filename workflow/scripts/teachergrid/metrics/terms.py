"""The terms of metrics for single responses, and why a response is left out."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from . import expressions
from .expressions import Term
from .rows import JoinedRows, Reasons
from .variants import Metric

VANISHES = 1e-6  # nats per token; a ratio to a smaller loss says nothing
LOSSES = {"loss": "loss of the answer", "alone": "loss of the answer alone", "question": "loss of the question"}
CUT = "answer cut, no end token"  # in the reason of a row that scoring.likelihood cut at its max_length
NEGATIVE = "reward below 0: CAR is undefined (state `offset`)"


class LeftOut:
    """Which of n responses are left out, each with the first reason that applies.

    code: [n], index of the reason in texts; 0 is none.
    """

    def __init__(self, n: int) -> None:
        self.code, self.texts = np.zeros(n, np.int32), [""]

    def add(self, mask: np.ndarray, text: str) -> None:
        """Leave out the responses of a mask [n] that are not left out yet."""
        new = mask & (self.code == 0)
        if new.any():
            self.code[new] = len(self.texts)
            self.texts.append(text)

    def add_reasons(self, mask: np.ndarray, reasons: Reasons) -> None:
        """Leave out responses of a mask [n] for the reasons that their table gives, if it gives one."""
        new = mask & (self.code == 0) & (reasons.code > 0)
        if new.any():
            self.code[new] = reasons.code[new] + len(self.texts) - 1
            self.texts += reasons.texts[1:]

    @property
    def rows(self) -> np.ndarray:
        """The mask [n] of what is left out."""
        return self.code > 0

    def counts(self) -> Counter[str]:
        """Return how many responses are left out, by reason."""
        counts: Counter[str] = Counter()
        for text, count in zip(self.texts, np.bincount(self.code, minlength=len(self.texts)).tolist(), strict=True):
            if text and count:
                counts[text] += count
        return counts

    def reasons(self) -> np.ndarray:
        """Return [n] texts, "" for a response that counts."""
        return np.array(self.texts, object)[self.code]


def lacking(metric: Metric, rows: JoinedRows) -> str | None:
    """Return why a metric cannot be computed on these rows at all, or None."""
    for reward in metric.rewards:
        if reward not in rows.rewards:
            return f"no rewards by '{reward}'"
    for scorer, text_format in metric.likelihoods:
        if (scorer, text_format) not in rows.likelihoods:
            return f"no likelihoods by '{scorer}' in {text_format} format"
    for scorer, text_format in metric.distributions:
        if "squares" not in rows.likelihoods[scorer, text_format]:
            return f"no distributions by '{scorer}' in {text_format} format (config.likelihood.distributions)"
    return None


def has_values(metric: Metric, rows: JoinedRows) -> bool:
    """Return whether the rows have all that a metric joins, and at least one value of each of its likelihoods."""
    if lacking(metric, rows):
        return False
    tables = [rows.likelihoods[key] for key in metric.likelihoods]
    return not any(np.isnan(table["answer_given_question"]).all() for table in tables)


def term_values(metric: Metric, rows: JoinedRows) -> tuple[np.ndarray, LeftOut]:
    """Return (values [n, terms] of each response, the responses that are left out).

    A row is NaN where anything that any term needs is undefined, so that all terms are computed from the same responses.
    """
    left_out = LeftOut(len(rows.id))
    values = np.empty((len(rows.id), len(metric.terms)), order="F")
    with np.errstate(all="ignore"):
        for i, term in enumerate(metric.terms):
            inputs = _inputs(metric, term, rows, left_out)
            names = {**metric.fixed, **inputs}
            for guarded in expressions.positives(term.tree):
                left_out.add(expressions.evaluate(guarded, names) < 0, NEGATIVE)
            values[:, i] = expressions.evaluate(term.tree, names)
        left_out.add(~np.asarray(np.isfinite(values).all(axis=1)), "value is not finite")
    values[left_out.rows] = np.nan
    return values, left_out


def response_values(metric: Metric, terms: np.ndarray, left_out: LeftOut) -> np.ndarray:
    """Return the metric's values [n] of single responses.

    Args:
        terms: [n, terms], of `term_values`.
        left_out: of `term_values`; responses without a value, and those that are not below the entry's limit, are added to it.
    """
    names = _names(metric, terms)
    with np.errstate(all="ignore"):
        for guarded in expressions.positives(metric.tree):
            left_out.add(expressions.evaluate(guarded, names) < 0, NEGATIVE)
        values = combine(metric, terms)
    left_out.add(~np.isfinite(values), "value is not finite")
    if metric.settings["below"] is not None:
        left_out.add(~(values < metric.settings["below"]), not_below(metric))
    return np.where(left_out.rows, np.nan, values)


def not_below(metric: Metric) -> str:
    """Return the reason why a response is left out by the entry's `below`."""
    return f"value is not below {metric.settings['below']:g}"


def combine(metric: Metric, means: np.ndarray) -> np.ndarray:
    """Return the values [...] of a metric from the means (or medians) of its terms [..., terms]."""
    return expressions.evaluate(metric.tree, _names(metric, means))


def undefined(metric: Metric, means: np.ndarray) -> str | None:
    """Return why a corpus with these means [terms] has no value, or None."""
    names = _names(metric, means)
    with np.errstate(all="ignore"):
        # a mean of 0 is a CAR of 0: a teacher whose answers are all wrong is the surest loser, and stays in the ranking
        if any(expressions.evaluate(guarded, names) < 0 for guarded in expressions.positives(metric.tree)):
            return "mean reward below 0: CAR is undefined (state `offset`)"
        return None if np.isfinite(combine(metric, means)) else "value is not finite"


def lengths(settings: Mapping, rows: JoinedRows) -> tuple[np.ndarray, str | None]:
    """Return (lengths [n], their unit; None for the scorer's tokens).

    All lengths have one unit: the scorer's tokens, else the teacher's tokens, else words. They are those of whole responses:
    where the scorer read only a beginning (`cut`), the length is estimated, see `_whole_lengths`.
    """
    likelihoods = rows.likelihoods.get((settings["scorer"], settings["format"]))
    if likelihoods is not None and not np.isnan(likelihoods["n_answer"]).all():
        return _whole_lengths(likelihoods, rows), None
    if not np.isnan(rows.response_tokens).any():
        return rows.response_tokens, "the teacher's tokens"
    return rows.words, "words"


def cut(metric: Metric, rows: JoinedRows) -> np.ndarray:
    """Return which responses [n] any scorer of a metric read only in part, because of `likelihood.max_length`."""
    cut_rows = np.zeros(len(rows.id), bool)
    for key in {*metric.likelihoods, *((s["scorer"], s["format"]) for s in metric.settings_for("text"))}:
        # most tables have no cut row, and a cell asks for each of its metrics
        if key in rows.likelihoods and any(CUT in text for text in rows.likelihoods[key]["reason"].texts):
            cut_rows |= _is_cut(rows.likelihoods[key])
    return cut_rows


def _is_cut(table: Mapping) -> np.ndarray:
    """Return which rows [n] of a table of likelihoods have values of the beginning of an answer only."""
    reasons: Reasons = table["reason"]
    return np.array([CUT in text for text in reasons.texts])[reasons.code] & ~np.isnan(table["n_answer"])


def _whole_lengths(table: Mapping, rows: JoinedRows) -> np.ndarray:
    """Return the lengths [n] of whole responses in the scorer's tokens; NaN where they cannot be told.

    The scorer counted only the part of a response that it read. So the length of a cut one is that in the teacher's own
    tokens (in words where these are unknown), times how many of the scorer's tokens these have in the teacher's responses
    that were not cut; in those of all teachers where all of this one's were. It is at least what the scorer read.
    """
    read, cut_rows = table["n_answer"], _is_cut(table)
    if not cut_rows.any():
        return read
    size = rows.words if np.isnan(rows.response_tokens[cut_rows]).any() else rows.response_tokens
    usable = ~cut_rows & (read > 0) & (size > 0)
    whole = read.copy()
    for teacher in np.unique(rows.teacher[cut_rows]):
        own = rows.teacher == teacher
        known = usable & own if (usable & own).any() else usable
        ratio = read[known].sum() / size[known].sum() if known.any() else np.nan
        estimated = own & cut_rows
        # fmax would keep what was read where nothing tells the rest
        whole[estimated] = np.maximum(ratio * size[estimated], read[estimated])
    return whole


def lark(ids: np.ndarray, loss: np.ndarray, brier: np.ndarray) -> np.ndarray:
    """Return the values [n] of LARK; NaN where loss or Brier score is undefined. Sums are over the other responses with the same id."""
    group = np.unique(ids, return_inverse=True)[1]
    defined = np.isfinite(loss) & np.isfinite(brier)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, np.where(defined, values, 0))[group]

    values = loss / total(loss) * (2 * brier / loss - total(brier) / total(loss))
    return np.where(defined, values, np.nan)


def _names(metric: Metric, means: np.ndarray) -> dict[str, object]:
    """Return the values of the names in a metric's tree: its parameter, and its terms by their numbers."""
    return {**metric.fixed, **{str(i): means[..., i] for i in range(means.shape[-1])}}


def _inputs(metric: Metric, term: Term, rows: JoinedRows, left_out: LeftOut) -> dict[str, np.ndarray]:
    """Return {one of expressions.COLUMNS: [n]} of all that a term of a metric needs."""
    settings = term.resolve(metric.settings)
    inputs = _rewards(settings, rows, left_out) if "reward" in term.needs else {}
    if "likelihood" in term.needs:
        inputs |= _losses(term, settings, rows, left_out)
    if "text" in term.needs:
        inputs["length"] = lengths(settings, rows)[0]
        left_out.add(np.isnan(inputs["length"]) & cut(metric, rows), "answer cut, and none to estimate its length from")
        left_out.add(np.isnan(inputs["length"]), "no token count")
    return inputs


def _rewards(settings: Mapping, rows: JoinedRows, left_out: LeftOut) -> dict[str, np.ndarray]:
    table = rows.rewards[settings["reward"]]
    left_out.add_reasons(np.isnan(table["reward"]), table["reason"])
    left_out.add(~np.isfinite(table["reward"]), "reward is not a finite number")
    return {"reward": table["reward"] + (settings["offset"] or 0)}


def _losses(term: Term, settings: Mapping, rows: JoinedRows, left_out: LeftOut) -> dict[str, np.ndarray]:
    """Return the columns of a term that come from likelihoods, in nats (`given`) or nats per token."""
    table = rows.likelihoods[settings["scorer"], settings["format"]]
    has_end = settings["end_token"] & (table["n_end"] > 0)

    def with_end(answer: str, end: str) -> np.ndarray:
        return table[answer] + np.where(has_end, table[end], 0)

    given, tokens = -with_end("answer_given_question", "end_given_question"), with_end("n_answer", "n_end")
    left_out.add_reasons(np.isnan(given), table["reason"])
    left_out.add(np.isnan(given), "no likelihood")
    left_out.add(~(table["n_answer"] > 0), "response has no tokens")
    losses = {"given": given, "tokens": tokens, "loss": given / tokens, "alone": -with_end("answer", "end") / tokens}
    losses |= {"question": -table["question"] / table["n_question"], "asked": table["n_question"]}
    if "ranks" in term.needs:
        losses["rank"] = with_end("ranks_answer", "ranks_end") / tokens
        left_out.add(np.isnan(losses["rank"]), "no ranks of its tokens were kept (config.likelihood.tokens)")
    if "distributions" in term.needs:
        brier = 1 + (with_end("squares", "end_squares") - 2 * with_end("probability", "end_probability")) / tokens
        losses |= {"brier": brier, "entropy": with_end("entropy", "end_entropy") / tokens}
        losses |= {name: with_end(name, f"end_{name}") / tokens for name in ("top", "sure")}
        losses["lark"] = lark(rows.id, losses["loss"], brier)
    if "top" in term.needs:
        left_out.add(
            np.isnan(losses["top"]) & ~np.isnan(given), "no likeliest tokens were kept (config.likelihood.top)"
        )
    for name in {*term.columns} & {*losses}:
        left_out.add_reasons(np.isnan(losses[name]), table["reason"])
    for name in term.divides_by:
        left_out.add_reasons(np.isnan(losses[name]), table["reason"])
        left_out.add(~(losses[name] >= VANISHES), f"{LOSSES[name]} is not above {VANISHES:g}")
    return losses
