"""Responses that exist in a file are joined with the instructions, or refused."""

import json
import math
import random
from collections import Counter
from pathlib import Path

import odd_cells
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generations import TEXTS, instructions
from teachergrid.data import files, generate, published
from teachergrid.data.notes import UNJOINED
from teachergrid.errors import BadInput
from teachergrid.hub import row_files
from teachergrid.scoring import reward
from teachergrid.store import artifacts

FIELDS = dict.fromkeys(["messages", "instruction", "input", "system", "answer", "category", "response"])
ALPACA_EVAL = Path(__file__).parents[3] / "shared/data/alpaca_eval"
NAN = float("nan")


def existing(tmp_path, rows, asked=TEXTS, notes=None, **teacher):
    path = tmp_path / "there.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"engine": "existing", "fields": FIELDS, "allow_missing": False} | teacher
    return generate.respond(instructions(asked), {"teacher": entry}, tmp_path, str(path), notes)[:2]


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


def test_a_published_finish_reason_is_kept(tmp_path):
    """One that was cut off is trained on and scored without an end token."""
    reasons = ["stop", "length", "max_tokens", None, "content_filter"]
    rows = [
        {"instruction": text, "output": "r", "finish_reason": reason}
        for text, reason in zip(TEXTS, reasons, strict=True)
    ]
    table, _ = existing(tmp_path, rows)
    assert table["finish_reason"].to_pylist() == ["stop", "length", "length", "unknown", "unknown"]


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
    rows, *_ = generate.respond(table, {"teacher": teacher}, tmp_path, tmp_path / "there.json")
    assert rows["id"].to_pylist() == [item["id"]]


def chat(text: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]}


def sharegpt(text: str, answer: str) -> dict:
    return {"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": answer}]}


RED = TEXTS[0]
WINS = "response: the assistant turn; column '{}' differs, name it as `fields.response` to take it"
SYSTEM = {"role": "system", "content": "brief"}


@pytest.mark.parametrize(
    ("row", "fields", "response", "noted"),
    [
        (chat(RED, "long") | {"answer": "27"}, {}, "long", WINS.format("answer")),
        (chat(RED, "long") | {"content": "page 12"}, {}, "long", WINS.format("content")),
        (sharegpt(RED, "long") | {"output": None}, {}, "long", None),
        (sharegpt(RED, "long") | {"output": NAN, "answer": "27"}, {}, "long", None),
        (chat(RED, "long") | {"response": "long"}, {}, "long", None),
        (chat(RED, "long") | {"answer": "27"}, {"response": "answer"}, "27", None),
        (chat(RED, " long\n") | {"id": "?"}, {}, " long\n", None),
        ({"messages": json.dumps(chat(RED, "long")["messages"])}, {}, "long", "chats read from JSON text"),
        ({"prompt": chat(RED, "long")["messages"], "answer": "27"}, {}, "long", WINS.format("answer")),
        ({"messages": [*chat(RED, "long")["messages"], *chat("why", "so")["messages"]]}, {}, "long", None),
        ({"messages": [SYSTEM, *chat(RED, "a")["messages"]]}, {}, "a", "instruction found by the user's text, though"),
        ({"prompt": RED, "system": "brief", "output": "a"}, {}, "a", None),
        ({"instruction": RED, "output": ["a"]}, {}, "a", None),
        ({"instruction": RED, "output": [None]}, {}, "", None),
        ({"instruction": RED, "output": NAN}, {}, "", None),
        ({"instruction": RED, "output": "nan"}, {}, "nan", "column 'output': the text 'nan' is read as it is"),
        ({"instruction": RED, "output": "caf\ufffd"}, {}, "caf\ufffd", "texts with the character U+FFFD"),
        ({"instruction": RED, "output": "a", "sample": "train-0"}, {}, "a", "column 'sample' holds no numbers"),
        ({"instruction": RED, "output": "a", "sample": "0", "id": NAN}, {}, "a", None),
        ({"instruction": RED, "output": "a", "id": ["x"]}, {}, "a", None),
    ],
)
def test_which_text_is_the_response(tmp_path, capsys, row, fields, response, noted):
    notes: Counter[str] = Counter()
    table, _ = existing(tmp_path, [row], allow_missing=True, fields=FIELDS | fields, notes=notes)
    assert table.select(["id", "sample", "response"]).to_pylist() == [{"id": IDS[0], "sample": 0, "response": response}]
    said = capsys.readouterr().out
    if noted:
        assert any(note.startswith(noted) for note in notes), notes
        assert noted in said
    elif "system" not in row:
        assert not notes
        joined = "1 of 1 rows answer 1 of 5 instructions; 0 rows answer none of them, 4 instructions have no response"
        assert said == f"{tmp_path / 'there.jsonl'}: {joined}\n"


def test_the_same_system_prompt_in_a_column_or_a_turn_is_the_same_instruction(tmp_path):
    asked = [SYSTEM, {"role": "user", "content": "red"}]
    item = {"id": files.message_id(asked), "messages": asked, "source": "test", "round": 0}
    other = [SYSTEM | {"content": "long"}, asked[1]]
    more = {"id": files.message_id(other), "messages": other, "source": "test", "round": 0}
    table = artifacts.table([item, more], artifacts.INSTRUCTIONS)
    rows = [
        {"prompt": "red", "system": "long", "output": "l"},
        {"prompt": "red", "system_prompt": "brief", "output": "b"},
    ]
    (tmp_path / "there.json").write_text(json.dumps(rows))
    teacher = {"engine": "existing", "fields": FIELDS, "allow_missing": False}
    found, *_ = generate.respond(table, {"teacher": teacher}, tmp_path, tmp_path / "there.json")
    assert dict(zip(found["id"].to_pylist(), found["response"].to_pylist(), strict=True)) == {
        item["id"]: "b",
        more["id"]: "l",
    }


def test_samples_that_pandas_made_floats_are_numbers(tmp_path):
    rows = [{"instruction": RED, "output": str(sample), "sample": sample} for sample in (1.0, 0.0, 2)]
    table, _ = existing(tmp_path, rows, allow_missing=True)
    assert table["sample"].to_pylist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {"output": ["a", "b"]},
            "row 1, column 'output': a list of 2 responses; name it as `fields.response` to take each as a sample, or write one row",
        ),
        ({"output": "a", "sample": -1}, "row 1, column 'sample': -1 is not the number of a response"),
        ({"output": "a", "sample": 0.5}, "row 1, column 'sample': 0.5 is not the number"),
        ({"output": "a", "sample": True}, "row 1, column 'sample': True is not the number"),
        ({"output": "a", "sample": 1e400}, "row 1, column 'sample': inf is not the number"),
        (
            {"messages": [*chat(RED, "a")["messages"], {"role": "assistant", "content": "b"}]},
            "row 1: two assistant turns answer the instruction",
        ),
        ({"messages": [{"role": "assistant", "content": "b"}]}, "row 1: no user turn"),
        ({"messages": "User: red Assistant: b"}, "row 1, column 'messages': .* cannot be read as a list of messages"),
    ],
)
def test_what_is_no_response_is_refused(tmp_path, row, says):
    with pytest.raises(BadInput, match=says):
        existing(tmp_path, [row if "messages" in row else {"instruction": RED} | row], allow_missing=True)


@pytest.mark.skipif(not ALPACA_EVAL.exists(), reason=f"needs the AlpacaEval files at {ALPACA_EVAL}")
@pytest.mark.parametrize("model", ["claude-2", "alpaca-7b"])
def test_real_responses_are_joined(tmp_path, model):
    source = ALPACA_EVAL / f"annotations_{model}.parquet"
    rows = pq.read_table(source).to_pylist()
    items = instructions([row["instruction"].strip() for row in rows])
    teacher, notes = {"engine": "existing", "fields": FIELDS, "allow_missing": False}, Counter()
    table, *_ = generate.respond(items, {"teacher": teacher}, tmp_path, str(source), notes)
    assert table["response"].to_pylist() == [row["output"] for row in rows]
    assert table.num_rows == 805 and not notes


def test_odd_cells_are_responses_or_refused(monkeypatch):
    item = {"id": IDS[0], "messages": [{"role": "user", "content": "red"}]}
    joined = refused = 0
    for row, fields in odd_cells.rows(4000):
        monkeypatch.setattr(row_files, "read", lambda source, columns, row=row: iter([row]))
        try:
            (answer,) = published.load([item], {"fields": fields, "allow_missing": True}, "f")
        except BadInput as error:
            refused += 1
            assert str(error).startswith("f")
            continue
        joined += 1
        assert isinstance(answer["response"], str) and isinstance(answer["sample"], int)
    assert joined > 10 and refused > 1000


# --- several teachers in one source


def zoo_file(tmp_path, texts=TEXTS):
    """Write a file in the layout of Magpie-100K-Generator-Zoo: a struct with response and rewards for each teacher."""
    names = ["Q-2.5-72B", "gemma-2-9b-it"]
    rows = [
        {"uuid": f"u{i}", "instruction": text}
        | {name: {"content": f"{name} {i}", "ArmoRM-v0.1": i / 4, "Sky-2-27B": -float(i)} for name in names}
        for i, text in enumerate([*texts, "one that is not asked"])
    ]
    rows[1]["Q-2.5-72B"]["Sky-2-27B"] = None
    path = tmp_path / "zoo.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def zoo_teacher(name, **more):
    fields = FIELDS | {"teacher": None, "instruction": "instruction", "response": [name, "content"]}
    return {"engine": "existing", "fields": fields, "written_by": None, "allow_missing": False} | more


def test_a_struct_for_each_teacher(tmp_path, capsys):
    path, items, noted = zoo_file(tmp_path), instructions(TEXTS).to_pylist(), Counter()
    for name in ("Q-2.5-72B", "gemma-2-9b-it"):
        rows = published.load(items, zoo_teacher(name), path, noted)
        assert [row["response"] for row in rows] == [f"{name} {i}" for i in range(5)]
        joined = "5 of 6 rows answer 5 of 5 instructions; 1 rows answer none of them, 0 instructions have no response"
        assert f"{path}: {joined}" in capsys.readouterr().out
    assert noted == {UNJOINED: 2}


def test_only_the_columns_of_the_teacher_are_read(tmp_path, monkeypatch):
    read, seen = row_files.read, []
    monkeypatch.setattr(row_files, "read", lambda *args: map(lambda row: seen.append(row) or row, read(*args)))
    published.load(instructions(TEXTS).to_pylist(), zoo_teacher("Q-2.5-72B"), zoo_file(tmp_path))
    assert seen[0] == {"instruction": TEXTS[0], "uuid": "u0", "Q-2.5-72B": {"content": "Q-2.5-72B 0"}}


def test_stored_rewards_are_those_of_the_file(tmp_path):
    path, items, teacher = zoo_file(tmp_path), instructions(TEXTS).to_pylist(), zoo_teacher("Q-2.5-72B")
    values = published.rewards(items, teacher, path, "Sky-2-27B")
    assert values == {(id, 0): None if i == 1 else -float(i) for i, id in enumerate(IDS)}
    responses = artifacts.table(published.load(items, teacher, path), artifacts.RESPONSES)
    for scale, expected in {"raw": -2.0, "sigmoid": 1 / (1 + math.exp(2))}.items():
        table = reward.stored(responses, values, {"column": "Sky-2-27B", "scale": scale})
        assert table.schema.equals(artifacts.REWARDS)
        assert table["id"].to_pylist() == IDS
        assert table["reward"].to_pylist()[2] == pytest.approx(expected)
        assert table["reason"].to_pylist() == [None, reward.NOT_STORED, None, None, None]
    with pytest.raises(BadInput, match="column 'x': holds no reward"):
        reward.stored(responses, {}, {"column": "x", "scale": "raw"})


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("Sky", "no column 'Sky' in 'Q-2.5-72B', there are 'content', 'ArmoRM-v0.1', 'Sky-2-27B'"),
        ("content", "'Q-2.5-72B 0' is no number; name another column"),
    ],
)
def test_a_column_without_rewards_is_refused(tmp_path, column, message):
    with pytest.raises(BadInput, match=message):
        published.rewards(instructions(TEXTS).to_pylist(), zoo_teacher("Q-2.5-72B"), zoo_file(tmp_path), column)


def test_a_struct_that_is_missing_is_named(tmp_path):
    with pytest.raises(
        BadInput, match=r"no column 'q', there are 'uuid', 'instruction', 'Q-2\.5-72B', 'gemma-2-9b-it'"
    ):
        published.load(instructions(TEXTS).to_pylist(), zoo_teacher("q"), zoo_file(tmp_path))


def test_a_column_of_teachers(tmp_path):
    rows = [{"prompt": text, "model": by, "output": by + text} for text in TEXTS for by in ("A/b", "c")]
    fields = FIELDS | {"teacher": "model"}
    table, _ = existing(tmp_path, rows, fields=fields, written_by="c")
    assert table["response"].to_pylist() == ["c" + text for text in TEXTS]
    with pytest.raises(BadInput, match="no row has 'b' in column 'model', which holds 'A/b', 'c'; fix `written_by`"):
        existing(tmp_path, rows, fields=fields, written_by="b")
    rows[2]["model"] = "c"
    with pytest.raises(BadInput, match="1 instructions have more than one response"):
        existing(tmp_path, rows, fields=fields, written_by="c")
