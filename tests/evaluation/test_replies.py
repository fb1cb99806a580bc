"""What odd replies of a judge mean, with verdicts made by hand, and 804 stored ones."""

import math

import pytest
from stored_judgments import ALPACA, annotations, lines, needs_alpaca
from teachergrid.evaluation.protocols import MODEL_FIRST, alpaca_order
from teachergrid.evaluation.replies import (
    Reply,
    choice_by_logprobs,
    choice_in_brackets,
    label_of_v01,
    label_of_v2,
    list_on_last_line,
    rating_in_brackets,
)


@needs_alpaca
def test_parser_and_order_of_804_stored_judgments():
    stored = lines(ALPACA / "raw_judge_completions_claude-2.jsonl")
    by_index = {row["index"]: row for row in annotations("claude-2")}
    right = switched = 0
    for row in stored:
        if row["top_logprobs"] is None:
            continue  # an identical pair needs no call
        order = alpaca_order(by_index[row["index"]]["instruction"])
        read = choice_by_logprobs(Reply(row["text"], row["finish_reason"], row["top_logprobs"]))
        score = 1 - read.score if order == MODEL_FIRST else read.score
        right += (order == MODEL_FIRST) == row["output_order_switched"] and math.isclose(
            1 + score, row["preference"], abs_tol=2e-6
        )
        switched += order == MODEL_FIRST
    assert (right, switched) == (804, 405)


@pytest.mark.parametrize(
    ("text", "logprobs", "score", "reason"),
    [
        ("M", [("M", math.log(0.9)), ("m", math.log(0.1))], 0.9, None),
        # what the sampled text says does not matter
        ("m", [("M", math.log(0.6)), ("m", math.log(0.3)), ("The", -3.0)], 2 / 3, None),
        ("m", [("m", -0.1), ("Model", -3.0)], 0.0, None),
        ("M", [("M", 0.0)], 1.0, None),
        ("M", [("M", -2000.0), ("m", -2001.0)], 1 / (1 + math.exp(-1)), None),
        ("The", [("The", -0.1), (" M", -2.0), ("Both", -3.0)], None, "no log-probability of m or M"),
        ("M", [], None, "no log-probability of m or M"),
        ("M", [("M", math.nan)], None, "no log-probability of m or M"),
        # an endpoint that gives no log-probabilities
        ("M", None, 1.0, None),
        (' "m".', None, 0.0, None),
        ("<think>is M good?</think>\n\nm", None, 0.0, None),
        ("M is better", None, None, "no verdict"),
        ("", None, None, "no verdict"),
    ],
)
def test_choice_by_logprobs(text, logprobs, score, reason):
    read = choice_by_logprobs(Reply(text, "stop", logprobs))
    assert read.reason == reason
    assert read.score == (None if score is None else pytest.approx(score))


@pytest.mark.parametrize(
    ("text", "v2", "v01"),
    [
        ("My final verdict is tie: [[A=B]]", "A=B", "A=B"),
        ("[[a>>b]]", "A>>B", "A>>B"),
        ("First [[A>B]], but on reflection [[B>A]].", "B>A", None),
        ("[[A>B]] ... so [[A>B]]", "A>B", "A>B"),
        ("**[B>>A]**", "B>>A", None),
        ("[A>B] was my first thought, [[B<<A]] is final", "B<<A", "B<<A"),
        ("<think>perhaps [[A>>B]]</think>It is [[B>A]]", "B>A", "B>A"),
        ("<think>perhaps [[A>>B]]", None, None),  # cut off while it thinks
        ("Assistant A is better.", None, None),
        ("[[A]]", None, None),
        ("[[A>>>B]]", None, None),
        ("[[A > B]]", None, None),
        ("[[]] [[=]]", None, None),
        ("", None, None),
    ],
)
def test_five_labels(text, v2, v01):
    assert (label_of_v2(Reply(text)).label, label_of_v01(Reply(text)).label) == (v2, v01)
    for label, read in ((v2, label_of_v2(Reply(text))), (v01, label_of_v01(Reply(text)))):
        # a missing verdict says why, and has no score
        assert (read.score is None) == (read.reason is not None) == (label is None)
    assert label_of_v2(Reply("[[B>A]]")).score == 1 and label_of_v2(Reply("[[A>>B]]")).score == 0


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("The first one. [[A]]", 0.0),
        ("[[b]]", 1.0),
        ("[[ Tie ]]", 0.5),
        ("[[C]]", 0.5),
        ("[[A]] or rather [[B]]", 1.0),
        ("A", None),
        ("[A]", None),
        ("[[D]]", None),
    ],
)
def test_choice_in_brackets(text, score):
    assert choice_in_brackets(Reply(text)).score == score


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Rating: [[10]]", 1.0),
        ("[[1]]", 0.0),
        ("[[ 5.5 ]]", 0.5),
        ("between [[3]] and [[4]]", 1 / 3),
        ("[[0]]", None),
        ("[[11]]", None),
        ("[[-3]]", None),
        ("8/10", None),
        ("[[8/10]]", None),
    ],
)
def test_rating_in_brackets(text, score):
    assert rating_in_brackets(Reply(text)).score == (None if score is None else pytest.approx(score))


@pytest.mark.parametrize(
    ("text", "count", "satisfied"),
    [
        ("1) ...\n['YES', 'NO', 'YES']", 3, (True, False, True)),
        ('So:\n["yes", "yes"]', 2, (True, True)),
        ("```python\n['YES', 'YES']\n```", 2, (True, True)),
        ("**[YES, NO]**", 2, (True, False)),
        ("['YES', 'PARTIAL', 'N/A']", 3, (True, False, False)),
        ("The list ['NO','NO'] is final: ['YES','NO']", 2, (True, False)),
        ("YES", 1, (True,)),
        ("The answer satisfies it: YES.", 1, (True,)),
        ("['NO']", 1, (False,)),
        ("<think>['NO']</think>['YES']", 1, (True,)),
        ("['YES', 'NO']\n\n", 2, (True, False)),
        ("YES or NO", 1, None),
        ("YES, NO", 2, None),
        ("['YES', 'NO']", 3, None),
        ("['YES', 'YES', 'YES', 'YES']", 3, None),
        ("['YES', __import__('os')]", 2, None),
        ("['YES', 'PROBABLY']", 2, None),
        ("['YES', 'NO']\nThat is my judgement.", 2, None),
        ("[]", 1, None),
        ("", 1, None),
        ("KNOWN", 1, None),
    ],
)
def test_list_on_last_line(text, count, satisfied):
    read = list_on_last_line(Reply(text), count)
    assert read.satisfied == (satisfied or ())
    assert read.score == (None if satisfied is None else float(all(satisfied)))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Let me first write my own answer", "length"), "the judge's answer is cut off: no verdict"),
        (Reply("", "content_filter"), "the judge's answer was filtered"),
        (Reply("", "prompt_too_long"), "the judge's prompt is too long"),
        (Reply("", "prompt_refused"), "prompt refused"),
        (Reply("I'm sorry, but I can\u2019t compare these."), "the judge refused: no verdict"),
        (Reply("I cannot decide"), "the judge refused: no verdict"),
        (Reply("Both are fine."), "no verdict"),
        (Reply("[[B<>A]]"), "no label: B<>A"),
    ],
)
def test_why_a_verdict_is_missing(reply, reason):
    assert label_of_v2(reply) == (None, None, reason, ())


def test_a_verdict_before_the_end_counts():
    """A reply that was cut off, or begins like a refusal, is read if its verdict stands there."""
    assert label_of_v2(Reply("I apologize for the length. [[A>B]] Now, in detail", "length")).label == "A>B"
