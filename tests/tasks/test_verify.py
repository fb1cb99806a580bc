"""How an answer is found in a response and compared with the reference answer."""

import json
import re
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.tasks.verify import extract, verdict

FINAL = {"extract": r"Answer: (.*)", "compare": "exact"}


GSM8K = Path(__file__).parents[3] / "shared/data/gsm8k/test_1319.jsonl"


RIGHT, WRONG, NONE = (1.0, "right", None), (0.0, "wrong", None), (0.0, "no answer found", None)


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("Answer: 1\nno, Answer:  2 \nBye", r"Answer: (.*)", "2"),
        (" all\nof it ", r"(?s)(.*)", "all\nof it"),
        ("nothing", r"Answer: (.*)", None),
        ("Answer: 1\nAnswer: ", r"Answer: (.*)", None),
        ("", r"(?s)(.*)", None),
        ("b", r"a(x)|b", None),
    ],
)
def test_extract(text, pattern, found):
    assert extract(text, pattern) == found


@pytest.mark.parametrize(
    ("compare", "text", "answer", "expected"),
    [
        ("exact", "Answer: red", "red", RIGHT),
        ("exact", "Answer: red ", " red", RIGHT),
        ("exact", "Answer: Red", "red", WRONG),
        ("exact", "red", "red", NONE),
        ("exact", "Answer: red\nAnswer: blue", "red", WRONG),
        ("exact", "Answer: red", "It is so. Answer: red", RIGHT),
        ("exact", "Answer: red", None, (None, None, "no reference answer")),
        ("exact", "Answer: red", " ", (None, None, "no reference answer")),
        ("lower", "Answer: **The  RED  one.**", "the red one", RIGHT),
        ("lower", "Answer: Stra\u00dfe", "STRASSE", RIGHT),
        ("lower", "Answer: \u201cred\u201d", "(Red)", RIGHT),
        ("lower", "Answer: -5", "5", WRONG),
        ("lower", "Answer: C++", "C", WRONG),
        ("lower", "Answer: ?", "!", WRONG),
        ("number", "Answer: 3.0", "3", RIGHT),
        ("number", "Answer: 1,234.50", "1234.5", RIGHT),
        ("number", "Answer: 1,23", "123", (0.0, "not a number", None)),
        ("number", "Answer: -5", "5", WRONG),
        ("number", "Answer: \N{MINUS SIGN}5.", "-5", RIGHT),
        ("number", "Answer: +5", "5", RIGHT),
        ("number", "Answer: $18", "18", RIGHT),
        ("number", "Answer: -$3", "-3", RIGHT),
        ("number", "Answer: 50 %", "50", RIGHT),
        ("number", "Answer: 50%", "0.5", WRONG),
        ("number", "Answer: .5", "0.50", RIGHT),
        ("number", "Answer: 1.2e3", "1200", RIGHT),
        ("number", "Answer: 0.1", "0.10000000000000000555", WRONG),
        ("number", "Answer: 1 2", "12", (0.0, "not a number", None)),
        ("number", "Answer: --5", "-5", (0.0, "not a number", None)),
        ("number", "Answer: .", "0", (0.0, "not a number", None)),
        ("number", "Answer: five", "5", (0.0, "not a number", None)),
        ("number", "five", "5", NONE),
        ("number", "Answer: 5", "five", (None, None, "the reference answer 'five' is not a number")),
    ],
)
def test_verdict(compare, text, answer, expected):
    assert verdict(text, answer, {**FINAL, "compare": compare}) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is not a valid regular expression"),
        ("Answer", "has 0 groups"),
        ("(a)(b)", "has 2 groups and needs exactly one"),
    ],
)
def test_bad_patterns(pattern, message):
    with pytest.raises(BadInput, match=re.escape(repr(pattern)) + ".*" + message):
        verdict("x", "x", {"extract": pattern, "compare": "exact"})


@pytest.mark.skipif(not GSM8K.exists(), reason=f"needs GSM8K's test set at {GSM8K}")
def test_gsm8k():
    golds = [json.loads(line)["answer"] for line in GSM8K.read_text(encoding="utf-8").split("\n") if line]
    checker = {"extract": r"#### (\-?[0-9\.\,]+)", "compare": "number"}
    bare = [extract(gold, checker["extract"]) for gold in golds]
    assert len(golds) == 1319 and None not in bare
    assert sum(verdict(gold, answer, checker).score for gold, answer in zip(golds, bare, strict=True)) == 1319
    assert all(verdict(gold, gold, checker) == RIGHT for gold in golds)
