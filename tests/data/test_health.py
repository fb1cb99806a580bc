"""Health checks of responses: what each flags, what it must not flag, gates and examples."""

from collections import Counter

import pytest
from teachergrid.data import health
from teachergrid.data.notes import UNJOINED
from teachergrid.errors import BadInput
from teachergrid.spec import schema
from teachergrid.store import artifacts

ENGLISH = "Please tell me something about the history of bridges."
RUSSIAN = "Мосты строили ещё в древнем Риме, из камня и дерева."
CHINESE = "古罗马人用石头和木头建造桥梁。许多桥梁至今仍在使用。令人赞叹不已。十分坚固。"
JAPANESE = "ローマ人は石と木で橋を作りました。今でも使われている橋がたくさんあります。"


def check(rows: list[dict], questions: dict | None = None, **settings) -> dict[str, dict]:
    """Return check name -> row. rows: {response, ...}; instruction i is asked in English unless `questions` has it."""
    full = [
        {"id": f"i{k}", "sample": 0, "finish_reason": "stop", "response_tokens": 5, "response": "", **row}
        for k, row in enumerate(rows)
    ]
    asked = {row["id"]: ENGLISH for row in full} | (questions or {})
    instructions = [
        {"id": id, "messages": [{"role": "user", "content": text}], "source": "test", "round": 0}
        for id, text in asked.items()
    ]
    settings = schema.filled(settings, schema.definition("health"), outside_too=True)
    found = health.check(
        artifacts.table(full, artifacts.RESPONSES),
        artifacts.table(instructions, artifacts.INSTRUCTIONS),
        settings,
    )
    artifacts.table(found, artifacts.HEALTH)
    return {row["check"]: row for row in health.limited(found, settings["gates"])}


def test_table_is_complete():
    found = check([{"response": "A bridge."}])
    assert list(found) == (
        ["truncated", "prompt_too_long", "empty", "refused", "repeated", "long", "language", "duplicate", "missing"]
    )
    assert all(row["count"] == 0 and row["passed"] and row["example"] is None for row in found.values())
    # every limit of the config reaches its row
    limits = {name: row["limit"] for name, row in found.items() if row["limit"] is not None}
    assert limits == {"truncated": 0.2, "empty": 0.1, "refused": 0.3, "repeated": 0.2, "language": 0.2}


def test_finish_reasons():
    rows = [
        {"response": "cut", "finish_reason": "length"},
        {"response": "x", "finish_reason": "unknown", "response_tokens": None},
        {"response": "x", "finish_reason": "stop", "response_tokens": 100},
        {"response": "", "finish_reason": "prompt_too_long"},
        {"response": " \n"},
    ]
    found = check(rows)
    assert {name: found[name]["count"] for name in ("truncated", "prompt_too_long", "empty")} == {
        "truncated": 1,
        "prompt_too_long": 1,
        "empty": 1,
    }
    assert found["truncated"]["example_id"] == "i0" and found["truncated"]["example"] == "cut"
    assert found["empty"]["example_id"] == "i4"
    assert found["prompt_too_long"]["passed"] and found["prompt_too_long"]["limit"] is None


def test_answers_that_an_endpoint_kept_to_itself_are_counted():
    filtered = {"finish_reason": "content_filter"}
    found = check([{"response": "Half an ans", **filtered}, {"response": "", **filtered}, {"response": "A bridge."}])
    row = found["content_filter"]
    assert (row["count"], row["n"], row["example_id"], row["example"]) == (2, 3, "i0", "Half an ans")
    assert row["passed"] and row["limit"] is None and found["empty"]["count"] == 1
    assert "content_filter" not in check([{"response": "A bridge."}]), "of endpoints only"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I\u2019m really sorry, but I can\u2019t help you with this.",
        "I am unable to provide medical advice.",
        "  I cannot fulfill this request.",
        "Sorry, I can't do that.",
        "As an AI language model, I cannot provide personal opinions.",
        "I'm sorry, but as an AI, I am not able to browse the internet.",
        "I apologize, but I do not feel comfortable roleplaying as a criminal.",
        "Unfortunately, I won't write that.",
        "I must respectfully decline.",
    ],
)
def test_refusals(text):
    assert health.refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that your dog died.",
        "I can't help but smile when it rains.",
        "I can't believe it!",
        "I will not give up, said the captain.",
        "I don't recommend eggs with that.",
        "I do not have a strong opinion, but here is a summary.",
        "As an AI language model, I can suggest the following.",
        "Banks cannot provide cash.",
        "Sure! I can't give medical advice, but here is a list.",
        "The knight said: I cannot help you.",
        "",
    ],
)
def test_no_refusals(text):
    assert not health.refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is: " + "I think that this is so. " * 12,
        "Words: " + "\n* Arista\n* Aristic\n* Ariste\n* Aristo" * 8 + "\n* Ari",  # cut off in the middle of a round
        "ha" * 150,
        "A good start of some length, with words. " * 1 + "-" * 200,
        "\n" * 300,
        ("x = 1\n" * 3 + "y = 2\n") * 12,  # the last characters return inside one round too
    ],
)
def test_loops(text):
    assert health.repeated(text)


@pytest.mark.parametrize(
    "text",
    [
        "yes\n" * 40,  # short: 160 characters
        "\n".join(f"{i}. Buy {i} apples at the market." for i in range(40)),  # a list
        "\n".join(f"| {i} | {i * i} | {i**3} |" for i in range(40)),  # a table
        "This is a good answer with its own words and a long tail of thought about many different things. "
        * 3,  # three rounds
        "".join(chr(97 + i * i % 23) for i in range(400))[:300] + "end. " * 40,  # a loop shorter than half
        " ".join(f"word{i * 7919 % 1000}" for i in range(300)),
    ],
)
def test_no_loops(text):
    assert not health.repeated(text)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        (ENGLISH, "LATIN"),
        (RUSSIAN, "CYRILLIC"),
        (CHINESE, "CJK"),
        (JAPANESE, "CJK"),
        ("Die Brücke über den Fluß wurde größer gebaut.", "LATIN"),
        ("Short one.", None),
        ("1234567890 " * 20, None),
        ("Мост: ```python\nprint('hello world, this is a lot of Latin')\n```", None),
        (RUSSIAN + " API, HTTP", "CYRILLIC"),
    ],
)
def test_script(text, script):
    assert health.script(text) == script


def test_language_needs_letters_in_both():
    rows = [
        {"response": RUSSIAN},
        {"response": "Да."},
        {"response": ENGLISH},
        {"response": RUSSIAN},
        {"response": CHINESE},
    ]
    found = check(rows, {"i2": "4 * 4 = ?", "i3": "Расскажи, пожалуйста, что-нибудь про мосты.", "i4": JAPANESE})
    assert found["language"]["count"] == 1 and found["language"]["example_id"] == "i0"


def test_duplicates_are_between_instructions_and_not_short():
    same = "The bridge is made of stone."
    rows = [
        {"response": same},
        {"response": f" {same.replace(' ', '  ')}\n"},
        {"response": "Paris"},
        {"response": "Paris"},
        {"response": "Twice the same answer to one instruction.", "id": "i4"},
        {"response": "Twice the same answer to one instruction.", "id": "i4", "sample": 1},
    ]
    found = check(rows)["duplicate"]
    assert (found["count"], found["n"], found["share"], found["example_id"]) == (2, 6, 2 / 6, "i0")


def test_long_counts_tokens_or_words():
    rows = [
        {"response": "one", "response_tokens": 11},
        {"response": "w " * 50, "response_tokens": 10},
        {"response": "w " * 11, "response_tokens": None},
        {"response": "w " * 10, "response_tokens": None},
    ]
    assert check(rows, long_tokens=10)["long"]["count"] == 2


def test_missing_is_a_share_of_the_instructions():
    found = check(
        [{"response": "a"}, {"response": "b", "id": "i0", "sample": 1}], {"m1": "first missing", "m2": "second"}
    )
    assert (found["missing"]["count"], found["missing"]["n"]) == (2, 3)
    assert (found["missing"]["example_id"], found["missing"]["example"]) == ("m1", "first missing")


def test_gate():
    rows = [{"response": "x", "finish_reason": "length"}] * 43 + [{"response": "y"}] * 57
    rows = [row | {"id": f"r{k}"} for k, row in enumerate(rows)]
    assert health.gate(list(check(rows).values())) == ["truncated 43.0 % of 100 > 20.0 %"]
    assert health.gate(list(check(rows, gates={"truncated": 0.43}).values())) == [], "the limit itself passes"
    assert health.gate(list(check(rows, gates={"truncated": None}).values())) == []


def test_long_examples_keep_both_ends():
    example = check([{"response": "start " + "x" * 2000 + " end", "finish_reason": "length"}])["truncated"]["example"]
    assert example.startswith("start ") and example.endswith(" end") and len(example) < 450


def test_bad_input():
    with pytest.raises(BadInput, match="no responses"):
        check([], {"i0": ENGLISH})
    responses = artifacts.table(
        [{"id": "zz", "sample": 0, "response": "x", "finish_reason": "stop"}], artifacts.RESPONSES
    )
    with pytest.raises(BadInput, match="1 of 1 responses answer instructions that are not in the set, such as zz"):
        health.check(responses, artifacts.INSTRUCTIONS.empty_table(), {})


def test_a_loop_whose_rounds_repeat_inside():
    round = "ab " * 40 + "c "
    assert health.repeated(round * 100 + "ab")
    assert not health.repeated(round * 100 + "ab" + "x")


def test_what_was_guessed_while_reading_is_a_row():
    assert health.reading([Counter(), Counter()], 4) == []
    (row,) = health.reading([Counter({"system prompts read from column 'system'": 9}), Counter({"x": 1})], 4)
    artifacts.table([row], artifacts.HEALTH)
    assert (row["check"], row["count"], row["n"], row["share"]) == ("reading", 4, 4, 1.0)
    assert row["example"] == "system prompts read from column 'system' (9 rows); x (1 row)"
    # a set may hold many more rows than are asked for
    (row,) = health.reading([Counter({UNJOINED: 95000, "x": 1})], 5)
    assert (row["count"], row["share"]) == (1, 0.2)
    assert row["example"] == "answers none of the instructions, not read (95,000 rows); x (1 row)"
    (row,) = health.reading([Counter({UNJOINED: 7})], 5)
    assert (row["count"], row["example"]) == (0, "answers none of the instructions, not read (7 rows)")
    assert health.gate(health.limited([row], {"empty": 0.0})) == []
