r"""Check an answer against the reference answer by rule: the last match of a pattern, compared as text or number.

A GSM8K solution, and a model's answer to it:

    reference = "She makes 9 * 2 = $<<9*2=18>>18 every day at the farmer's market.\n#### 18"
    answer = "She sells 9 eggs at $2.\n#### 9\nNo, that is eggs.\n#### 18.00"
    verdict(answer, reference, {"extract": r"#### (\-?[0-9\.\,]+)", "compare": "number"})  # (1.0, "right", None)

The reference may be the bare answer, or a text in which the pattern finds it, as here.

Patterns come from the config and run as they are. One with nested repeats, such as (a+)+b, can take forever on a long answer.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import BadInput

# removed from both ends of a text; a minus, a plus, $, % and # are not among them, since they change what an answer means
_OUTER = " .,;:!?'\"()[]{}*_`\u2026\u201c\u201d\u2018\u2019\u00ab\u00bb"  # ... and typographic quotes
_OUTER += "\u3002\uff0c\u3001\uff1b\uff1a\uff01\uff1f"  # full-width . , , ; : ! ?
_NUMBER = re.compile(
    r"([+-]?)\s*[$€£]?\s*([+-]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?\s*%?"
)


class Verdict(NamedTuple):
    """Columns of artifacts.SCORES."""

    score: float | None  # 1 right, 0 wrong, None where it cannot be decided
    verdict: str | None  # right, wrong, no answer found, not a number
    reason: str | None  # why score is None


class Asked(NamedTuple):
    """An answer to check."""

    id: str  # of the item
    text: str
    reference: str | None  # the item's `answer`; JSON where the kind needs several columns


class Checked(NamedTuple):
    """What a checker says of an answer: the columns of artifacts.SCORES, and {measure: (met, of)}."""

    score: float | None
    verdict: str | None
    reason: str | None
    measures: Mapping[str, tuple[float, float]] = MappingProxyType({})


def extract(text: str, pattern: str) -> str | None:
    """Return what the pattern's one group holds at its last match, stripped; None where there is no match, or only white space.

    Empty matches do not count: (?s)(.*) matches the whole text, and then once more the empty end of it.

    Raises:
        BadInput: when the pattern does not compile, or has not exactly one group.
    """
    last = None
    for match in _compiled(pattern).finditer(text):
        if match.end() > match.start():
            last = match
    return (last[1] or "").strip() or None if last else None


def verdict(text: str, answer: str | None, checker: dict) -> Verdict:
    """Return whether a text holds the right answer.

    Args:
        answer: the reference: the bare answer, or a text in which the pattern finds it.
        checker: the config's {extract, compare}. extract is a pattern for `extract`. compare is `exact`; `lower`, which ignores
            case, outer punctuation and differences in white space; or `number`, which compares by value: 3.0 is 3, 1,234 is 1234,
            and 50 % is 50 (not 0.5).
    Raises:
        BadInput: as `extract` does.
    """
    extracted, comparable = extract(text, checker["extract"]), _COMPARABLE[checker["compare"]]
    if answer is None or not answer.strip():
        return Verdict(None, None, "no reference answer")
    reference = comparable(extract(answer, checker["extract"]) or answer.strip())
    if reference is None:
        return Verdict(None, None, f"the reference answer {answer[:80]!r} is not a number")
    if extracted is None:
        return Verdict(0.0, "no answer found", None)
    value = comparable(extracted)
    if value is None:
        return Verdict(0.0, "not a number", None)
    return Verdict(1.0, "right", None) if value == reference else Verdict(0.0, "wrong", None)


def columns_of(one: Asked) -> dict[str, Any]:
    """Return the columns of an item that its reference holds. Raises BadInput where it is no JSON."""
    try:
        columns = json.loads(one.reference or "")
    except ValueError:
        columns = None
    if not isinstance(columns, dict):
        raise BadInput(
            f"item {one.id}: its answer is no JSON of columns ({(one.reference or '')[:60]!r}); name them in the task as "
            "`fields: {answer: {columns: [...]}}`"
        )
    return columns


@cache
def _compiled(pattern: str) -> re.Pattern:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput(f"checker: extract {pattern!r} is not a valid regular expression ({error})") from error
    if compiled.groups != 1:
        raise BadInput(
            f"checker: extract {pattern!r} has {compiled.groups} groups and needs exactly one; "
            "put ( ) around the answer and write (?: ) elsewhere"
        )
    return compiled


def _lower(text: str) -> str:
    text = " ".join(text.casefold().split())
    return text.strip(_OUTER) or text  # an answer of nothing but punctuation is that punctuation


def _number(text: str) -> Decimal | None:
    """Return the value of a text that is one number, or None.

    Allowed are a sign, a currency, commas between thousands, decimals, an exponent and a percent sign.
    """
    match = _NUMBER.fullmatch(" ".join(text.split()).replace("\N{MINUS SIGN}", "-").rstrip(" .,;:!?"))
    if not match:
        return None
    sign_first, sign_second, integer, fraction, exponent = (part or "" for part in match.groups())
    if (sign_first and sign_second) or (not integer and fraction in ("", ".")):
        return None
    return Decimal(f"{sign_first or sign_second}{integer.replace(',', '') or '0'}{fraction}{exponent}")


_COMPARABLE: dict[str, Callable[[str], str | Decimal | None]] = {"exact": str, "lower": _lower, "number": _number}
