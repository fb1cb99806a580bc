"""What a judge said becomes a verdict, or a reason why it is none. A reply that cannot be read is missing, never a tie.

Each reader takes one reply and gives the share of a win of the answer that was shown second, or the label, list or number that the
judge wrote. Think blocks do not count. All readers are pure: a better one reads the stored replies again, and asks nobody.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..data.reasoning import strip
from ..stats.battles import LABELS

ONE, TWO = "m", "M"  # names of the answer shown first and of the one shown second
_LABEL = (re.compile(r"\[\[([AB<>=]+)\]\]"), re.compile(r"\[([AB<>=]+)\]"))
_CHOICE = re.compile(r"\[\[\s*(A|B|C|TIE)\s*\]\]")
_SHARES = {"A": 0.0, "B": 1.0, "C": 0.5, "TIE": 0.5}  # of the answer shown second, B
_NUMBER = re.compile(r"\[\[\s*([0-9]{1,3}(?:\.[0-9]+)?)\s*\]\]")
LOWEST, HIGHEST = 1, 10  # of a rating
_LIST = re.compile(r"\[([^\[\]]*)\]")
_ANSWERS = {"YES": True, "NO": False, "PARTIAL": False, "MAYBE": False, "UNKNOWN": False, "N/A": False}
_YES_OR_NO = re.compile(r"\b(YES|NO)\b")
_AROUND = " \t\"'`*_"  # of a word in a list
# how a judge begins that will not judge; only asked where no verdict was found
_REFUSAL = re.compile(
    r"(?i)\W*(?:i['\u2019]?m sorry|i am sorry|sorry,|i apologi[sz]e|i can(?:no|['\u2019])t|i['\u2019]?m (?:unable|not able)|as an ai)"
)
NO_LOGPROBS, NO_VERDICT = "no log-probability of m or M", "no verdict"


class Reply(NamedTuple):
    """What a judge answered to one request."""

    text: str
    finish_reason: str = "stop"
    logprobs: Sequence[tuple[str, float]] | None = (
        None  # likeliest first tokens with their log-probabilities; None: not given
    )


class Read(NamedTuple):
    """A verdict of one reply. score: 0..1; None: missing, with a reason. label: what the judge wrote."""

    score: float | None
    label: str | None = None
    reason: str | None = None
    satisfied: tuple[bool, ...] = ()  # of a list: whether each constraint is


def choice_by_logprobs(reply: Reply) -> Read:
    """Return the probability of M against m as the first token; m and M name the answers shown first and second.

    Without log-probabilities the text decides, if it is one of the two names and nothing else.
    """
    if reply.logprobs is None:
        text = strip(reply.text).strip(_AROUND + "\n.")
        return Read(float(text == TWO), text) if text in (ONE, TWO) else _missing(reply, NO_VERDICT)
    found = {token: value for token, value in reversed(reply.logprobs) if token in (ONE, TWO) and not math.isnan(value)}
    one, two = found.get(ONE, -math.inf), found.get(TWO, -math.inf)
    if max(one, two) == -math.inf:
        return _missing(reply, NO_LOGPROBS)
    # exp(two) / (exp(one) + exp(two)), which no log-probability is too small for
    score = 1 / (1 + math.exp(one - two)) if two >= one else 1 - 1 / (1 + math.exp(two - one))
    return Read(score, TWO if score > 0.5 else ONE)


def label_of_v2(reply: Reply) -> Read:
    """Return the last of Arena-Hard's five labels, in double brackets, else in single ones. A is the answer shown first."""
    text = strip(reply.text).upper()
    for pattern in _LABEL:
        if found := pattern.findall(text):
            return _label(reply, found[-1])
    return _missing(reply, NO_VERDICT)


def label_of_v01(reply: Reply) -> Read:
    """Return the label in double brackets; several labels that differ are none."""
    found = {*_LABEL[0].findall(strip(reply.text).upper())}
    if len(found) > 1:
        return Read(None, None, f"several labels: {', '.join(sorted(found))}")
    return _label(reply, found.pop()) if found else _missing(reply, NO_VERDICT)


def _label(reply: Reply, label: str) -> Read:
    if label not in LABELS:
        return _missing(reply, f"no label: {label[:20]}")
    gains = LABELS[label]
    return Read(1 - sum(gains) / len(gains), label)


def choice_in_brackets(reply: Reply) -> Read:
    """Return the last of [[A]], [[B]] and [[C]] (or [[tie]]); A is the answer shown first."""
    found = _CHOICE.findall(strip(reply.text).upper())
    return Read(_SHARES[found[-1]], found[-1]) if found else _missing(reply, NO_VERDICT)


def rating_in_brackets(reply: Reply) -> Read:
    """Return the last number in double brackets, from LOWEST to HIGHEST, as a share of this range."""
    found = _NUMBER.findall(strip(reply.text))
    if not found:
        return _missing(reply, NO_VERDICT)
    value = float(found[-1])
    if not LOWEST <= value <= HIGHEST:
        return Read(None, found[-1], f"the rating {found[-1]} is not between {LOWEST} and {HIGHEST}")
    return Read((value - LOWEST) / (HIGHEST - LOWEST), found[-1])


def list_on_last_line(reply: Reply, count: int) -> Read:
    """Return whether each of `count` constraints is satisfied, from the list of YES and NO on the last line.

    The score is 1 where all are. A word that leaves it open (partial, maybe, unknown, n/a) is a no, as in FollowBench. For one
    constraint the word alone will do.
    """
    lines = [line for line in strip(reply.text).upper().splitlines() if line.strip(" \t`")]
    last = lines[-1] if lines else ""
    if not (lists := _LIST.findall(last)):
        words = {*_YES_OR_NO.findall(last)}
        if count > 1 or len(words) != 1:
            return _missing(reply, NO_VERDICT)
        lists = [words.pop()]
    words_in = [word.strip(_AROUND) for word in lists[-1].split(",") if word.strip(_AROUND)]
    if unknown := [word for word in words_in if word not in _ANSWERS]:
        return _missing(reply, f"neither YES nor NO: {unknown[0][:20]}")
    if len(words_in) != count:
        return _missing(reply, f"{len(words_in)} verdicts on {count} constraints")
    satisfied = tuple(_ANSWERS[word] for word in words_in)
    return Read(float(all(satisfied)), ",".join(words_in), None, satisfied)


def _missing(reply: Reply, what: str) -> Read:
    """Return a missing verdict with its class: filtered, cut off, refused, or what is given."""
    if reply.finish_reason == "content_filter":
        return Read(None, None, "the judge's answer was filtered")
    if reply.finish_reason in ("prompt_too_long", "prompt_refused"):
        return Read(None, None, "the judge's prompt is too long" if "long" in reply.finish_reason else "prompt refused")
    if reply.finish_reason == "length" and reply.logprobs is None:
        return Read(None, None, f"the judge's answer is cut off: {what}")
    if _REFUSAL.match(strip(reply.text)):
        return Read(None, None, f"the judge refused: {what}")
    return Read(None, None, what)
