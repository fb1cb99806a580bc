"""Published responses in the layouts that people use: several in a cell, ShareGPT, Alpaca and messages."""

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generations import TEXTS, instructions
from teachergrid.data import joining, loading, published
from teachergrid.data.notes import UNJOINED
from teachergrid.errors import BadInput
from teachergrid.hub import row_files
from teachergrid.scoring import reward
from teachergrid.store import artifacts

FIELDS = dict.fromkeys(["messages", "instruction", "input", "system", "answer", "category", "response", "teacher"])
ITEMS = instructions(TEXTS[:2]).to_pylist()
RED, SORT = (item["id"] for item in ITEMS)
SUFFIXES = (".jsonl", ".json", ".parquet")


def written(path, rows) -> str:
    """Write rows as the suffix of the path says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def teacher(**fields) -> dict:
    return {"engine": "existing", "fields": FIELDS | fields, "written_by": None, "allow_missing": False}


def answers(path: str, items=ITEMS, noted=None, **fields) -> list[tuple]:
    rows = published.load(items, teacher(**fields), path, noted)
    return [(row["id"], row["sample"], row["response"], row["finish_reason"]) for row in rows]


# --- several responses in a cell

LISTS = [
    {"prompt": TEXTS[1], "responses": ["s0"], "scores": [0.5], "finish_reason": ["length"]},
    {"prompt": "else", "responses": ["x", "y"], "scores": [9.0, 9.0], "finish_reason": ["stop", "stop"]},
    {
        "prompt": TEXTS[0],
        "responses": ["r0", None, "r2"],
        "scores": [0.1, None, 0.3],
        "finish_reason": ["stop", "length"],
    },
]
STRUCTS = [
    {
        "prompt": row["prompt"],
        "other": "big",
        "all": [{"text": text, "score": score} for text, score in zip(row["responses"], row["scores"], strict=True)],
    }
    for row in LISTS
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_list_of_responses(tmp_path, suffix, capsys):
    noted: Counter[str] = Counter()
    path = written(tmp_path / f"a{suffix}", LISTS)
    assert answers(path, noted=noted, response="responses") == [
        (RED, 0, "r0", "stop"),
        (RED, 1, "", "length"),
        (RED, 2, "r2", "unknown"),
        (SORT, 0, "s0", "length"),
    ]
    joined = "2 of 3 rows answer 2 of 2 instructions; 1 rows answer none of them, 0 instructions have no response"
    assert f"{path}: {joined}" in capsys.readouterr().out
    assert noted == {UNJOINED: 1}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("rows", "place", "column"),
    [(LISTS, "responses", "scores"), (STRUCTS, ["all", "text"], "score")],
    ids=["lists", "a list of structs"],
)
def test_stored_rewards_of_several_responses(tmp_path, suffix, rows, place, column):
    path = written(tmp_path / f"a{suffix}", rows)
    values = published.rewards(ITEMS, teacher(response=place), path, column)
    assert values == {(RED, 0): 0.1, (RED, 1): None, (RED, 2): 0.3, (SORT, 0): 0.5}
    responses = artifacts.table(published.load(ITEMS, teacher(response=place), path), artifacts.RESPONSES)
    assert responses["response"].to_pylist() == ["r0", "", "r2", "s0"]
    found = reward.stored(responses, values, {"column": column, "scale": "raw"})
    assert found["reward"].to_pylist() == [0.1, None, 0.3, 0.5]


def test_of_a_list_of_structs_only_the_key_is_read(tmp_path, monkeypatch):
    read, seen = row_files.read, []
    monkeypatch.setattr(row_files, "read", lambda *args: map(lambda row: seen.append(row) or row, read(*args)))
    answers(written(tmp_path / "a.parquet", STRUCTS), response=["all", "text"], instruction="prompt")
    assert seen[0] == {"prompt": TEXTS[1], "all": [{"text": "s0"}]}


CHAT = [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("row", "fields", "read"),
    [
        ({"messages": CHAT, "note": "x"}, {"messages": "messages"}, {"messages"}),
        ({"chat": CHAT, "output": "b", "note": "x"}, {"messages": "chat"}, {"chat", "output"}),
        ({"q": TEXTS[0], "answer": "a", "note": "x"}, {"instruction": "q"}, {"q", "answer"}),
        (
            {"prompt": TEXTS[0], "answer": "b", "text": "a", "by": "me"},
            {"response": "text", "teacher": "by"},
            {"prompt", "text", "by"},
        ),
        ({"prompt": TEXTS[0], "answer": "a", "note": "x"}, {}, {"prompt", "answer", "note"}),
    ],
)
def test_of_a_parquet_file_only_what_is_needed_is_read(tmp_path, monkeypatch, row, fields, read):
    actual, seen = row_files.read, []
    monkeypatch.setattr(row_files, "read", lambda *args: map(lambda row: seen.append(row) or row, actual(*args)))
    entry = teacher(**fields) | {"written_by": "me"}
    [found] = published.load(ITEMS[:1], entry, written(tmp_path / "a.parquet", [row]))
    assert found["response"] == "a" and seen[0].keys() == read


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rewards_of_one_of_several_teachers_in_a_column(tmp_path, suffix):
    rows = [
        {"prompt": text, "by": by, "text": by + text, "score": number * 10 + i}
        for number, by in enumerate(("a", "b"))
        for i, text in enumerate(TEXTS[:2])
    ]
    entry = teacher(teacher="by", response="text") | {"written_by": "b"}
    path = written(tmp_path / f"a{suffix}", rows)
    assert published.rewards(ITEMS, entry, path, "score") == {(RED, 0): 10, (SORT, 0): 11}
    assert [row["response"] for row in published.load(ITEMS, entry, path)] == ["b" + text for text in TEXTS[:2]]


@pytest.mark.parametrize(
    ("row", "fields", "says"),
    [
        (
            {"output": ["a", "b"]},
            {},
            "row 1, column 'output': a list of 2 responses; name it as `fields.response` to take each as a sample, or write one row",
        ),
        (
            {"output": ["a", "b"], "sample": 1},
            {"response": "output"},
            "row 1, column 'output': a list of 2 responses, though column 'sample' numbers the row; remove the one or the other",
        ),
        ({"output": ["a", 3]}, {"response": "output"}, "row 1: no text in 'output', but '3'"),
        ({"output": ["a", ["b"]]}, {"response": "output"}, r"row 1: no text in 'output', but \"\['b'\]\""),
        ({"all": ["a", "b"]}, {"response": ["all", "text"]}, "row 1: no column 'text', there is no struct"),
        ({"output": []}, {"response": "output"}, "1 of 1 instructions have no response|none of its 1 rows"),
    ],
)
def test_lists_that_cannot_be_read(tmp_path, row, fields, says):
    path = written(tmp_path / "a.jsonl", [{"instruction": TEXTS[0]} | row])
    with pytest.raises(BadInput, match=says):
        answers(path, ITEMS[:1], **fields)


def test_rewards_without_a_response_are_refused(tmp_path):
    path = written(tmp_path / "a.jsonl", [{"prompt": TEXTS[0], "responses": ["a"], "scores": [1, 2]}])
    values = published.rewards(ITEMS[:1], teacher(response="responses"), path, "scores")
    responses = artifacts.table(published.load(ITEMS[:1], teacher(response="responses"), path), artifacts.RESPONSES)
    says = f"column 'scores': 1 rewards belong to no response, such as number 2 of {RED}; it has to hold one for each response"
    with pytest.raises(BadInput, match=says):
        reward.stored(responses, values, {"column": "scores", "scale": "raw"})


# --- layouts

ALPACA = [
    {"instruction": "add", "input": "1 and 2", "output": "3"},
    {"instruction": "say hello", "input": "", "output": "hello"},
]
SYSTEM = {"from": "system", "value": "brief"}
SHAREGPT = [
    {"conversations": [SYSTEM, {"from": "human", "value": "add 1 and 2"}, {"from": "gpt", "value": "3"}]},
    {
        "conversations": [
            {"from": "human", "value": "hi"},
            {"from": "gpt", "value": "hello"},
            {"from": "human", "value": "bye"},
            {"from": "gpt", "value": "good bye"},
        ]
    },
]


def as_messages(row: dict) -> dict:
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    return {"messages": [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("rows", "asked", "answered"),
    [
        (ALPACA, [["add\n\n1 and 2"], ["say hello"]], ["3", "hello"]),
        (SHAREGPT, [["brief", "add 1 and 2"], ["hi", "hello", "bye"]], ["3", "good bye"]),
        ([*map(as_messages, SHAREGPT)], [["brief", "add 1 and 2"], ["hi", "hello", "bye"]], ["3", "good bye"]),
    ],
    ids=["alpaca", "sharegpt", "messages"],
)
def test_one_file_is_instructions_and_responses(tmp_path, suffix, rows, asked, answered):
    path = written(tmp_path / f"a{suffix}", rows)
    items = loading.load(path, {"source": path, "fields": FIELDS}, "set").to_pylist()
    assert [[turn["content"] for turn in item["messages"]] for item in items] == asked
    assert [row[2] for row in answers(path, items)] == answered
    assert answers(path, items, noted := Counter()) and not noted


@pytest.mark.parametrize("layout", [SHAREGPT, [*map(as_messages, SHAREGPT)]], ids=["sharegpt", "messages"])
def test_a_set_of_one_layout_is_answered_by_a_file_of_another(tmp_path, layout):
    """Also where the set asks the first turn of a chat alone, and the file has an instruction and a response for it."""
    path = written(tmp_path / "set.jsonl", layout)
    items = loading.load(path, {"source": path, "fields": FIELDS, "turns": "first"}, "set").to_pylist()
    rows = [{"instruction": "add 1 and 2", "system": "brief", "output": "3!"}, {"prompt": "hi", "output": "oh hi"}]
    rows = [
        {
            "instruction": row.get("instruction", row.get("prompt")),
            "system": row.get("system", ""),
            "output": row["output"],
        }
        for row in rows
    ]
    assert [row[2] for row in answers(written(tmp_path / "a.jsonl", rows), items)] == ["3!", "oh hi"]
    assert [row[2] for row in answers(path, items)] == ["3", "hello"]


def test_what_is_asked_twice_by_its_last_turn_is_not_found_by_it():
    items = [
        {"id": id, "messages": [{"role": "system", "content": id}, {"role": "user", "content": "why"}]} for id in "ab"
    ]
    assert joining.Asked.of([*items, *ITEMS]).by_text == {TEXTS[0]: RED, TEXTS[1]: SORT}
