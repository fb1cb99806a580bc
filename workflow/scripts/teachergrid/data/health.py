"""What is wrong with a teacher's responses, counted: truncated, empty, refused, caught in a loop, in another language ...

Every check is a rule on one row, or on equal rows, and needs no model. Limits: refusals are recognised only by English
openings; languages are distinguished by script alone, so French and English are the same, and a translation or code without
a fence looks like another language; a loop whose rounds differ (with a counter, say) is not found.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache, partial
from itertools import starmap

import pyarrow as pa

from ..errors import BadInput
from .files import Notes
from .notes import UNJOINED, described

LOOP_CHARACTERS = 200  # shorter texts are never loops: a list of ten equal labels is an answer
LOOP_ROUNDS = 4
DUPLICATE_CHARACTERS = 20  # shorter texts may well be equal: "Paris", "4"
LETTERS = 20  # with fewer the script is unknown
SCRIPT_CHARACTERS = 2000  # only so many characters at the beginning of a text decide its script
# an apology or "as an AI" may come first; then inability and a verb of service, so "I can't believe it" is no refusal
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
# scripts that one text mixes, and letters whose Unicode name does not begin with their script
_SAME_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "FULLWIDTH": "LATIN", "MATHEMATICAL": "LATIN"}


def check(responses: pa.Table, instructions: pa.Table, settings: dict) -> list[dict]:
    """Return the rows of artifacts.HEALTH, one per check.

    A share is of the responses; in `missing`, of the instructions.

    Args:
        settings: the config's `health`.
    Raises:
        BadInput: when there are no responses, or some to instructions that are not in the set.
    """
    ids, messages = instructions["id"].to_pylist(), instructions["messages"].to_pylist()
    questions = dict(zip(ids, map(_question, messages), strict=True))
    rows = responses.select(["id", "response", "finish_reason", "response_tokens"]).to_pylist()
    _refuse_unknown_ids(rows, questions)
    doubled = _doubled(rows)
    faults: dict[str, Callable[[dict], bool]] = {
        "truncated": lambda row: row["finish_reason"] == "length",
        "prompt_too_long": lambda row: row["finish_reason"] == "prompt_too_long",
        "empty": lambda row: not row["finish_reason"].startswith("prompt_") and not row["response"].strip(),
        "refused": lambda row: refused(row["response"]),
        "repeated": lambda row: repeated(row["response"]),
        "long": lambda row: _length(row) > settings["long_tokens"],
        "language": lambda row: _other_script(questions[row["id"]], row["response"]),
        "duplicate": lambda row: _one_line(row["response"]) in doubled,
    }
    # of some templates and endpoints only
    for reason in ("prompt_refused", "content_filter"):
        if any(row["finish_reason"] == reason for row in rows):
            faults[reason] = partial(_ended_by, reason)
    checks = []
    for name, has_fault in faults.items():
        faulty = [(row["id"], row["response"]) for row in rows if has_fault(row)]
        checks.append(_row(name, faulty, len(rows)))
    answered = {row["id"] for row in rows}
    missing = [question for question in questions.items() if question[0] not in answered]
    return [*checks, _row("missing", missing, len(questions))]


def _ended_by(reason: str, row: dict) -> bool:
    return row["finish_reason"] == reason


def reading(notes: list[Notes], n: int) -> list[dict]:
    """Return a row of artifacts.HEALTH on what was read in another way than it is written; none where nothing was.

    It counts the responses of what concerns most of them; rows that are no response of this teacher are named, not counted.
    notes: of each file (instructions.notes). n: number of responses.
    """
    found = sorted({(note, rows) for of_file in notes for note, rows in of_file.items()})
    if not found:
        return []
    count = min(n, max((rows for note, rows in found if note != UNJOINED), default=0))
    text = "; ".join(starmap(described, found))
    return [{"check": "reading", "count": count, "n": n, "share": count / n, "example_id": None, "example": text}]


def limited(rows: list[dict], gates: dict[str, float | None]) -> list[dict]:
    """Return rows of `check` with the limit of their gate and whether they pass it. gates: {check: largest share or None}."""
    limits = [gates.get(row["check"]) for row in rows]
    return [
        {**row, "limit": limit, "passed": limit is None or row["share"] <= limit}
        for row, limit in zip(rows, limits, strict=True)
    ]


def gate(rows: list[dict]) -> list[str]:
    """Return a message for each check whose share is over its limit. rows: as `limited` returns them."""
    return [
        f"{row['check']} {row['share']:.1%} of {row['n']} > {row['limit']:.1%}".replace("%", " %")
        for row in rows
        if not row["passed"]
    ]


def refused(text: str) -> bool:
    """Return whether a text begins with an English refusal, such as "Sorry, but as an AI I can't help with"."""
    opening = (
        " ".join(text[:400].split())
        .casefold()
        .replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        .replace("i'm ", "i am ")
        .lstrip("\"'*")
    )
    return _REFUSAL.match(opening) is not None


def repeated(text: str) -> bool:
    """Return whether a text is caught in a loop.

    A loop is one block that repeats at least four times, fills more than half of the text and reaches its end; the last
    repetition may be cut off anywhere. Texts under 200 characters never count as loops.
    """
    n, last = len(text), text[-8:]
    if n < LOOP_CHARACTERS:
        return False
    match = n - len(last)
    # each earlier place of the last characters is a candidate for the length of the block; most texts have none
    while (match := text.rfind(last, 0, match + len(last) - 1)) >= 0:
        period = n - len(last) - match
        if LOOP_ROUNDS * period > n:
            return False
        start = n - max(n // 2 + 1, LOOP_ROUNDS * period)
        if text[start : n - period] == text[start + period :]:
            return True
    return False


def script(text: str) -> str | None:
    """Return the script of most letters outside of fenced code (LATIN, CYRILLIC, CJK with kana ...); None below 20 letters."""
    text = (_FENCED_CODE.sub(" ", text) if "```" in text else text)[:SCRIPT_CHARACTERS]
    if text.isascii():
        return "LATIN" if len(text.encode().translate(None, _NO_ASCII_LETTERS)) >= LETTERS else None
    letters: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            letters[_script_of(character)] += count
    return letters.most_common(1)[0][0] if letters.total() >= LETTERS else None


@cache
def _script_of(letter: str) -> str:
    first = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
    return _SAME_SCRIPT.get(first, first)


def _other_script(question: str, answer: str) -> bool:
    scripts = {script(question), script(answer)}
    return None not in scripts and len(scripts) == 2


def _length(row: dict) -> int:
    """Return the number of tokens, or of words where that is unknown."""
    return len(row["response"].split()) if row["response_tokens"] is None else row["response_tokens"]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _doubled(rows: list[dict]) -> set[str]:
    """Return the texts of 20 characters or more that answer several instructions."""
    answers_to = defaultdict(set)
    for row in rows:
        answers_to[_one_line(row["response"])].add(row["id"])
    return {text for text, ids in answers_to.items() if len(ids) > 1 and len(text) >= DUPLICATE_CHARACTERS}


def _question(messages: list[dict]) -> str:
    return messages[-1]["content"]


def _refuse_unknown_ids(rows: list[dict], questions: dict[str, str]) -> None:
    if not rows:
        raise BadInput("no responses to check: the teacher answered no instruction")
    unknown = [row["id"] for row in rows if row["id"] not in questions]
    if unknown:
        raise BadInput(
            f"{len(unknown)} of {len(rows)} responses answer instructions that are not in the set, such as {unknown[0]}; "
            "generate them again, or take the set they were made from"
        )


def _row(name: str, faulty: list[tuple[str, str]], n: int) -> dict:
    """Return a row of artifacts.HEALTH. faulty: (instruction id, text) of what has the fault; the first is the example."""
    example_id, example = faulty[0] if faulty else (None, None)
    return {
        "check": name,
        "count": len(faulty),
        "n": n,
        "share": len(faulty) / n,
        "example_id": example_id,
        "example": None if example is None else _cut(example),
    }


def _cut(text: str) -> str:
    """Return the beginning and the end of a text, since a loop or a cut shows at the end."""
    return text if len(text) <= 400 else f"{text[:250]} […] {text[-140:]}"
