"""FollowBench's answers that rules can check: whether an answer satisfies all constraints of its level.

An instruction of level n has n constraints, and a level keeps those of the levels below. Which source has which constraints, and how each is
tested, is the benchmark's, with its oddities (a number and its dot count as a sentence), so that values can be compared. White space
around an answer does not count. Levels 4 and 5 of format group 22 want numbered paragraphs and sentences of more than 20 words; by the
benchmark's way to count no answer has both.

Source: YJiangcm/FollowBench, code/rule_based_evaluation.py; Jiang et al. 2024 (arXiv:2310.20410).
"""

import ast
import re
import string
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ..errors import BadInput

LEVELS = 5
Test = Callable[[str], bool]
_SENTENCE_END = re.compile(r"[.!?]")
# ends of sentences, but not those of abbreviations such as e.g. or Mr.
_SPLIT_30 = re.compile(r"(?<!\w\.\w.)(?<![A-Z][a-z]\.)(?<=[.?])\s")


class Item(NamedTuple):
    """What an item's row says of how it is checked."""

    category: str  # content, situation, style, format, mixed or example
    group: int
    level: int
    source: str
    target: str


def item(row: dict) -> Item:
    """Return an item from a row of the benchmark, whose numbers may be texts. Raises BadInput for a column that lacks or is none."""
    try:
        group, level = int(row["example_id"]), int(row["level"])
        return Item(row["category"], group, level, row["source"], row.get("target") or "")
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"a row of FollowBench lacks {error}; `fields.answer` needs the columns category, example_id, level, source and target"
        ) from error


def by_rule(one: Item) -> bool:
    """Whether rules check an item; a judge does for all others."""
    return one.category == "example" or one.source in _TARGETS or _constraints(one) is not None


def satisfied(one: Item, answer: str) -> bool:
    """Return whether an answer satisfies all constraints of its item's level. For items of `by_rule`."""
    answer = answer.strip()
    if one.category == "example":
        return _template(one.target).fullmatch(answer) is not None
    if one.source in _TARGETS:
        return _TARGETS[one.source](answer, one.target)
    constraints = _constraints(one)
    assert constraints is not None, f"{one.source}: a judge checks this item"
    return all(test(answer) for test in constraints[: one.level])


def _constraints(one: Item) -> list[Test] | None:
    """Return the constraints of an item's group, one a level, or None."""
    if one.category == "format" and one.group in (22, 30):
        # level 5 of group 22 adds a paragraph, which changes the first constraint
        return _FORMAT_30 if one.group == 30 else _format_22(4 if one.level == LEVELS else 3)
    return _SUMMARIES.get(one.source)


@cache
def _template(target: str) -> re.Pattern:
    """Return the pattern of an answer in the form of an example: the text around {answer}, with anything on one line in it."""
    text = target.replace("{instruction}\n", "").replace("{{", "{").replace("}}", "}")
    return re.compile(".*".join(map(re.escape, text.split("{answer}"))))


# --- answers that have one right text


def _last(pattern: str) -> Callable[[str, str], bool]:
    """Return a test whether the last match of a pattern is the target."""
    compiled = re.compile(pattern)
    return lambda answer, target: compiled.findall(answer)[-1:] == [target]


def _one_of(answer: str, target: str) -> bool:
    return answer in ast.literal_eval(target)


_TARGETS: dict[str, Callable[[str, str], bool]] = {
    "E2E": lambda answer, target: answer == target.strip(),
    "text_editing": lambda answer, target: answer == target.strip(),
    "WIKIEVENTS": lambda answer, target: {*answer.split("\n")} <= {*target.split("\n")},
    "CONLL2003": _one_of,
    "BBH_logical": _last(r"\([A-Z]\)"),
    "BBH_time": _last(r"\d{2}/\d{2}/\d{4}"),
    "self_made_space": lambda answer, target: target in answer,
    "gsm_8k": _last(r"\$\d+"),
}


# --- constraints on form


def sentences(text: str) -> list[str]:
    """Return what stands between full stops, exclamation and question marks."""
    return [part for part in _SENTENCE_END.split(text) if part]


def _count(number: int) -> Test:
    return lambda text: len(sentences(text)) == number


def _has(word: str) -> Test:
    pattern = re.compile(rf"\b{re.escape(word)}\b")
    return lambda text: pattern.search(text) is not None


def _not(test: Test) -> Test:
    return lambda text: not test(text)


def _sentence(number: int, test: Test) -> Test:
    """Return a test of one sentence, counted from 1; without it the test fails."""
    return lambda text: len(sentences(text)) >= number and test(sentences(text)[number - 1])


def _words(fits: Callable[[int], bool]) -> Test:
    """Return a test of the number of words; every space begins one."""
    return lambda text: fits(len(text.split(" ")))


def _matches(pattern: str) -> Test:
    compiled = re.compile(pattern)
    return lambda text: compiled.search(text) is not None


def _signs(text: str) -> int:
    return sum(char in string.punctuation for char in text)


def _all(*tests: Test) -> Test:
    return lambda text: all(test(text) for test in tests)


_PRESENT_PERFECT = _matches(r"\b(has|have)\s+\w+")
_PRESENT_CONTINUOUS = _matches(r"\b(am|is|are)\s+\w+ing\b")
_SUMMARIES: dict[str, list[Test]] = {
    "cnn_dailymail": [
        _count(3),
        lambda text: all(len(part.split()) < 15 for part in sentences(text)),
        _all(_sentence(1, _has("Potter")), _sentence(2, _has("actor")), _sentence(3, _has("films"))),
        _not(_sentence(2, _has("lavish"))),
        _sentence(3, _PRESENT_PERFECT),
    ],
    "xsum": [
        _count(1),
        _words(lambda n: n < 20),
        _not(_has("Newton Stewart")),
        _PRESENT_CONTINUOUS,
        _has("operation"),
    ],
    "samsum": [
        _count(1),
        _words(lambda n: n < 15),
        _has("stuff"),
        lambda text: "procrast" not in text.lower(),
        lambda text: _signs(text) == 1,
    ],
    "gigaword": [
        _words(lambda n: n == 8),
        lambda text: not _signs(text),
        str.islower,
        _not(_has("bus")),
        _has("in"),
    ],
    "arxiv": [
        _count(1),
        _words(lambda n: n <= 20),
        lambda text: text.startswith("We"),
        _has("activations"),
        _not(_has("transformer")),
    ],
}


def _paragraphs(text: str) -> list[str]:
    return text.split("\n\n")


def _format_22(paragraphs: int) -> list[Test]:
    return [
        lambda text: len(_paragraphs(text)) == paragraphs,
        lambda text: all(len(sentences(part)) < 3 for part in _paragraphs(text)[:3]),
        lambda text: all(len(part.split()) > 20 for part in sentences(text)),
        lambda text: all(re.match(r"\d+\.", part.lstrip()) for part in _paragraphs(text) if part.strip()),
        lambda text: text.endswith("Those are suggestions"),
    ]


def _points_are_short(text: str) -> bool:
    """Return whether each part with a number and a dot, 1 to 5, has at most one more dot."""
    numbered = [part for part in _SPLIT_30.split(text) if any(f"{number}." in part for number in range(1, 6))]
    return all(len(part.split(".")) < 3 for part in numbered)


_FORMAT_30: list[Test] = [
    lambda text: "**" in text,
    lambda text: len(re.findall(r"\*\*\d.+?:", text)) == 5,
    _points_are_short,
    lambda text: all(10 <= len(part.split()) <= 15 for part in _SPLIT_30.split(text)),
    lambda text: not any(word.endswith("-ly") for word in text.split()),
]
