"""Responses that exist in a file are joined with the instructions, or refused."""

import json
import random

import pytest
from generations import TEXTS, instructions
from teachergrid.errors import BadInput
from teachergrid.instructions import files
from teachergrid.responses import generate
from teachergrid.store import artifacts

FIELDS = dict.fromkeys(["messages", "instruction", "input", "answer", "category", "response"])


def existing(tmp_path, rows, asked=TEXTS, **teacher):
    path = tmp_path / "there.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"engine": "existing", "fields": FIELDS, "allow_missing": False} | teacher
    return generate.respond(instructions(asked), {"teacher": entry}, tmp_path, str(path))


IDS = instructions(TEXTS)["id"].to_pylist()


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (lambda i, text: {"id": IDS[i], "output": f"r{i}"}, {}),
        (lambda i, text: {"instruction": text, "response": f"r{i}"}, {}),
        (lambda i, text: {"prompt": text, "content": f"r{i}"}, {}),
        (lambda i, text: {"messages": [{"role": "user", "content": text}], "answer": f"r{i}"}, {}),
        (lambda i, text: {"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": f"r{i}"}]}, {}),
        (lambda i, text: {"q": text, "a": f"r{i}", "output": "not this"}, {"instruction": "q", "response": "a"}),
    ],
    ids=["id", "instruction", "prompt", "messages", "conversations", "fields"],
)
def test_existing_responses_are_joined(tmp_path, row, fields):
    rows = [row(i, text) for i, text in enumerate(TEXTS)] + [row(0, "an instruction that was not drawn") | {"id": "?"}]
    random.Random(0).shuffle(rows)
    table, groups = existing(tmp_path, rows, fields=FIELDS | fields)
    assert table["id"].to_pylist() == IDS
    assert table["response"].to_pylist() == [f"r{i}" for i in range(5)]
    assert set(table["finish_reason"].to_pylist()) == {"unknown"}
    assert table["response_tokens"].null_count == 5
    assert groups == [5]


def test_existing_null_is_empty_samples_are_numbered_and_missing_may_be_allowed(tmp_path):
    rows = [{"instruction": TEXTS[1], "output": None}]
    rows += [{"instruction": TEXTS[0], "output": text, "sample": k} for k, text in ((1, "b"), (0, "a"))]
    table, _ = existing(tmp_path, rows, allow_missing=True)
    assert table.select(["id", "sample", "response"]).to_pylist() == [
        {"id": IDS[0], "sample": 0, "response": "a"},
        {"id": IDS[0], "sample": 1, "response": "b"},
        {"id": IDS[1], "sample": 0, "response": ""},
    ]


GOOD = [{"instruction": text, "output": "x"} for text in TEXTS]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (GOOD[:3], f"2 of 5 instructions have no response, such as {IDS[3]} 'list of colour'.*allow_missing"),
        ([*GOOD, GOOD[0], GOOD[2]], f"2 instructions have more than one response, such as {IDS[0]} 'red'"),
        ([{"instruction": "else", "output": "x"}], "none of its 1 rows belongs to one of the 5 instructions"),
        ([{"instruction": text} for text in TEXTS], "row 1: no text in 'response' or 'output'.*`fields`"),
        ([{"instruction": text, "output": 3} for text in TEXTS], "row 1: no text in 'output'"),
        ([{"output": "x"}], "row 1: no text in.*'instruction'"),
    ],
    ids=["missing", "doubled", "no overlap", "no response column", "no text", "no instruction column"],
)
def test_existing_responses_that_do_not_fit_are_refused(tmp_path, rows, says):
    with pytest.raises(BadInput, match=says) as error:
        existing(tmp_path, rows)
    assert "there.jsonl" in str(error.value)


def test_existing_finds_a_single_turn_by_its_text_where_the_instruction_has_more(tmp_path):
    asked = [{"role": "system", "content": "brief"}, {"role": "user", "content": "red"}]
    item = {"id": files.message_id(asked), "messages": asked, "source": "test", "round": 0}
    (tmp_path / "there.json").write_text('[{"instruction": "red", "output": "x"}]')
    teacher = {"engine": "existing", "fields": FIELDS, "allow_missing": False}
    table = artifacts.table([item], artifacts.INSTRUCTIONS)
    rows, _ = generate.respond(table, {"teacher": teacher}, tmp_path, tmp_path / "there.json")
    assert rows["id"].to_pylist() == [item["id"]]
