"""What is wrong with a teacher's responses, counted: truncated, empty, refused, caught in a loop, in another language ...

Every check is a rule on one row, or on equal rows, without a model. Limits: refusals are known by their English openings
alone; languages are told apart by script, so French and English are the same, and a translation or code without a fence
looks like another language; a loop whose rounds differ (a counter that goes on) is no loop here.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache

import pyarrow as pa

from .errors import BadInput

LOOP_CHARACTERS = 200  # shorter texts are never loops: a list of ten equal labels is an answer
LOOP_ROUNDS = 4
DUPLICATE_CHARACTERS = 20  # shorter texts are equal by right: "Paris", "4"
LETTERS = 20  # fewer do not tell a script
SCRIPT_CHARACTERS = 2000  # of each text are looked at for its script

# an apology or "as an AI" may stand first; then inability and a verb of service, so that "I can't believe it" is none
_SORRY = (
    r"(?:i am (?:very |so |really |truly )?sorry|sorry|i apologi[sz]e|my apologies|unfortunately)[,.!;: \u2013\u2014-]*"
)
_AS_AN_AI = (
    r"(?:as|i am) (?:just |only )?an? (?:ai|artificial|large language|language)\b[^.!?]{0,60}?[,.;]? (?:and |so )?"
)
_CANNOT = r"(?:cannot|can't|can not|will not|won't|am unable to|am not able to) (?:\w+ly )?"
_SERVE = (
    r"(?:help(?! but)|assist|provide|answer|fulfill?|comply|create|generate|write|do that|do this|support|engage|discuss"
    r"|share|complete|offer|give(?! up)|continue|browse|access|respond|reply|produce|perform|recommend|suggest|encourage"
    r"|promote)\b"
)
_DECLINE = r"(?:do not|don't) feel comfortable|(?:must|have to) (?:\w+ly )?(?:decline|refuse)\b"
_REFUSAL = re.compile(rf"(?:{_SORRY})?(?:but |however,? )?(?:{_AS_AN_AI})?(?:but )?i (?:{_CANNOT}{_SERVE}|{_DECLINE})")
_FENCED_CODE = re.compile(r"(?s)```.*?(?:```|$)")
_NO_ASCII_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
# scripts that one text mixes, and letters whose names do not begin with their script
_SAME_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "FULLWIDTH": "LATIN", "MATHEMATICAL": "LATIN"}


def check(responses: pa.Table, instructions: pa.Table, settings: dict) -> list[dict]:
    """Return the rows of artifacts.HEALTH, one per check.

    settings: the config's `health`. A share is of the responses, but of the instructions in `missing`.
    Raises BadInput when there are no responses, or some to instructions that are not there.
    """
    asked = dict(zip(instructions["id"].to_pylist(), map(_question, instructions["messages"].to_pylist()), strict=True))
    rows = responses.select(["id", "response", "finish_reason", "response_tokens"]).to_pylist()
    _refuse_strangers(rows, asked)
    doubled = _doubled(rows)
    finds = {
        "truncated": lambda row: row["finish_reason"] == "length",
        "prompt_too_long": lambda row: row["finish_reason"] == "prompt_too_long",
        "empty": lambda row: row["finish_reason"] != "prompt_too_long" and not row["response"].strip(),
        "refused": lambda row: refused(row["response"]),
        "repeated": lambda row: repeated(row["response"]),
        "long": lambda row: _length(row) > settings["long_tokens"],
        "language": lambda row: _other_script(asked[row["id"]], row["response"]),
        "duplicate": lambda row: _collapsed(row["response"]) in doubled,
    }
    checks = []
    for name, finds_fault in finds.items():
        found = [row for row in rows if finds_fault(row)]
        example = (found[0]["id"], found[0]["response"]) if found else None
        checks.append(_row(name, len(found), len(rows), example))
    answered = {row["id"] for row in rows}
    missing = [item for item in asked.items() if item[0] not in answered]
    return [*checks, _row("missing", len(missing), len(asked), missing[0] if missing else None)]


def limited(rows: list[dict], gates: dict) -> list[dict]:
    """Return the rows with the limit of their gate and whether they passed it. gates: {check: largest share or None}."""
    limits = [gates.get(row["check"]) for row in rows]
    return [
        {**row, "limit": limit, "passed": limit is None or row["share"] <= limit}
        for row, limit in zip(rows, limits, strict=True)
    ]


def gate(rows: list[dict]) -> list[str]:
    """Return a message for every check whose share is over its limit. rows: as `limited` returns them."""
    return [
        f"{row['check']} {row['share']:.1%} of {row['n']} > {row['limit']:.1%}".replace("%", " %")
        for row in rows
        if not row["passed"]
    ]


def refused(text: str) -> bool:
    """Tell whether a text opens with an English refusal: sorry or not, as an AI or not, "I can't help with ..."."""
    opening = (
        " ".join(text[:400].split())
        .casefold()
        .replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        .replace("i'm ", "i am ")
        .lstrip("\"'*")
    )
    return _REFUSAL.match(opening) is not None


def repeated(text: str) -> bool:
    """Tell whether a text is caught in a loop: more than half of it, up to its last character, is one block again and
    again, at least four times (the last round may be cut off anywhere). Texts under 200 characters never are.
    """
    n, last = len(text), text[-8:]
    if n < LOOP_CHARACTERS:
        return False
    at = n - len(last)
    # where the last characters stood before, the period may begin: mostly nowhere, so this is quick
    while (at := text.rfind(last, 0, at + len(last) - 1)) >= 0:
        period = n - len(last) - at
        if LOOP_ROUNDS * period > n:
            return False
        start = n - max(n // 2 + 1, LOOP_ROUNDS * period)
        if text[start : n - period] == text[start + period :]:
            return True
    return False


def script(text: str) -> str | None:
    """Return the script of most letters (LATIN, CYRILLIC, CJK with the kana ...) outside of fenced code; None below 20."""
    text = (_FENCED_CODE.sub(" ", text) if "```" in text else text)[:SCRIPT_CHARACTERS]
    if text.isascii():
        return "LATIN" if len(text.encode().translate(None, _NO_ASCII_LETTERS)) >= LETTERS else None
    letters = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            letters[_script_of(character)] += count
    return letters.most_common(1)[0][0] if letters.total() >= LETTERS else None


@cache
def _script_of(letter: str) -> str:
    first = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
    return _SAME_SCRIPT.get(first, first)


def _other_script(question: str, answer: str) -> bool:
    asked, answered = script(question), script(answer)
    return asked is not None and answered is not None and asked != answered


def _length(row: dict) -> int:
    """Return tokens, or words where the tokens are not known."""
    return len(row["response"].split()) if row["response_tokens"] is None else row["response_tokens"]


def _collapsed(text: str) -> str:
    return " ".join(text.split())


def _doubled(rows: list[dict]) -> set[str]:
    """Return the texts, from 20 characters on, that answer more than one instruction."""
    answers_to = defaultdict(set)
    for row in rows:
        answers_to[_collapsed(row["response"])].add(row["id"])
    return {text for text, ids in answers_to.items() if len(ids) > 1 and len(text) >= DUPLICATE_CHARACTERS}


def _question(messages: list[dict]) -> str:
    return messages[-1]["content"]


def _refuse_strangers(rows: list[dict], asked: dict) -> None:
    if not rows:
        raise BadInput("no responses to check: the teacher answered no instruction")
    strangers = [row["id"] for row in rows if row["id"] not in asked]
    if strangers:
        raise BadInput(
            f"{len(strangers)} of {len(rows)} responses answer instructions that are not in the set, such as {strangers[0]}; "
            "generate them again, or take the set they were made from"
        )


def _row(name: str, count: int, n: int, example: tuple[str, str] | None) -> dict:
    example_id, text = example or (None, None)
    return {
        "check": name,
        "count": count,
        "n": n,
        "share": count / n,
        "example_id": example_id,
        "example": None if text is None else _cut(text),
    }


def _cut(text: str) -> str:
    """Return beginning and end of a text: a loop or a cut shows at the end."""
    return text if len(text) <= 400 else f"{text[:250]} […] {text[-140:]}"
