"""One row as an instruction: which columns count, and what is noted or refused rather than guessed."""

from collections import Counter

import odd_cells
import pytest
from teachergrid.data import rows
from teachergrid.errors import BadInput

FIELDS = dict.fromkeys(["messages", "instruction", "input", "system", "answer", "category", "response"])
NAN = float("nan")
BRIEF = {"role": "system", "content": "Be brief."}
RED = {"role": "user", "content": "red"}


def item(row: dict, **fields) -> tuple[dict, dict]:
    """Return (the instruction, what was noted)."""
    notes: Counter[str] = Counter()
    return rows.item_of(row, {"fields": FIELDS | fields}, "set", "f, row 1", notes), dict(notes)


@pytest.mark.parametrize(
    ("row", "fields", "messages", "noted"),
    [
        ({"prompt": "red", "system": " Be brief. "}, {}, [BRIEF, RED], "system prompts read from column 'system'"),
        ({"question": "red", "system_prompt": "Be brief."}, {}, [BRIEF, RED], "system prompts read from column"),
        ({"messages": [RED], "system": "Be brief."}, {}, [BRIEF, RED], "system prompts read from column 'system'"),
        ({"messages": [BRIEF, RED], "system": "Be brief."}, {}, [BRIEF, RED], None),
        ({"messages": [BRIEF | {"content": ""}, RED], "system": "Be brief."}, {}, [BRIEF, RED], "system prompts read"),
        ({"prompt": "red", "sys": "Be brief."}, {"system": "sys"}, [BRIEF, RED], None),
        ({"q": "red", "system": "Be brief."}, {"instruction": "q"}, [RED], "column 'system' not read, since `fields`"),
        ({"q": "red", "system": "Be brief."}, {"instruction": "q", "system": "system"}, [BRIEF, RED], None),
        ({"prompt": "red", "system": None}, {}, [RED], None),
        ({"prompt": "red", "system": NAN}, {}, [RED], None),
        ({"prompt": "red", "system": ""}, {}, [RED], None),
        ({"prompt": NAN, "question": "red"}, {}, [RED], None),
        ({"instruction": "red", "input": NAN}, {}, [RED], None),
        ({"prompt": "red", "input": "apple"}, {}, [RED], "column 'input' not read; name it as `fields.input`"),
        ({"instruction": "red", "context": "apple"}, {}, [RED], "column 'context' not read; name it as `fields.input`"),
        ({"instruction": "red", "history": [["a", "b"]]}, {}, [RED], "column 'history' not read"),
        ({"instruction": "red", "history": [], "context": ""}, {}, [RED], None),
        ({"prompt": '[{"role": "user", "content": "red"}]'}, {}, [RED], "chats read from JSON text"),
        ({"m": "[{'from': 'human', 'value': 'red'}]"}, {"messages": "m"}, [RED], "chats read from text of Python"),
        ({"messages": '[{"role": "user", "content": "red"}]', "n": 1}, {}, [RED], "chats read from JSON text"),
    ],
)
def test_messages_and_what_is_noted(row, fields, messages, noted):
    made, notes = item(row, **fields)
    assert made["messages"] == messages
    assert list(notes.values()) == ([1] if noted else [])
    assert all(note.startswith(noted) for note in notes)


def test_rows_with_other_system_prompts_are_other_instructions():
    made = [item({"prompt": "red", "system_prompt": text})[0]["id"] for text in ("Be brief.", "Be long.", "")]
    assert len(set(made)) == 3


@pytest.mark.parametrize("missing", [None, NAN])
def test_missing_labels_are_none(missing):
    made, notes = item({"prompt": "red", "answer": missing, "category": missing, "source": missing})
    assert (made["answer"], made["category"], made["source"], notes) == (None, None, "set", {})
    made, _ = item({"prompt": "red", "gold": missing, "kind": missing}, answer="gold", category="kind")
    assert (made["answer"], made["category"]) == (None, None)


@pytest.mark.parametrize(
    ("row", "answer", "noted"),
    [
        ({"answer": "nan"}, "nan", "column 'answer': the text 'nan' is read as it is"),
        ({"answer": "27"}, "27", None),
        ({"answer": 27}, "27", None),
        ({"answer": 27.0}, "27.0", "column 'answer': whole numbers with a fraction, as pandas writes them"),
        ({"answer": 0.5}, "0.5", None),
        ({"answer": ["a", "b"]}, None, "column 'answer' not read, since it holds list, not text"),
        ({"category": "<NA>"}, None, "column 'category': the text '<NA>' is read as it is"),
        ({"prompt": "caf\ufffd"}, None, "texts with the character U+FFFD"),
    ],
)
def test_what_may_be_wrong_is_read_and_noted(row, answer, noted):
    made, notes = item({"prompt": "red"} | row)
    assert made["answer"] == answer
    assert [note.startswith(noted) for note in notes] == [True] if noted else not notes


@pytest.mark.parametrize(
    ("row", "fields", "says"),
    [
        ({"prompt": "nan"}, {}, "f, row 1, column 'prompt': the text 'nan', as pandas writes a missing value"),
        ({"instruction": "red", "input": "nan"}, {}, "f, row 1, column 'input': the text 'nan'"),
        ({"prompt": NAN}, {}, "f, row 1: no text in"),
        (
            {"messages": "plain text"},
            {},
            "f, row 1, column 'messages': 'plain text' cannot be read as a list of messages",
        ),
        (
            {"prompt": "[{'role': 'user', 'content': nan}]"},
            {},
            "row 1, column 'prompt': .*cannot be read as a list of messages",
        ),
        ({"prompt": [1]}, {}, "row 1, column 'prompt': '1' is not a message"),
        ({"messages": [BRIEF, RED], "system": "Be long."}, {}, "row 1: the chat begins with another system prompt"),
        ({"prompt": "red"}, {"system": "sys"}, "row 1: no column 'sys', which `fields` names"),
        ({"prompt": "red", "sys": ["x"]}, {"system": "sys"}, "row 1: column 'sys' holds list, not text"),
    ],
)
def test_what_is_not_understood_is_refused(row, fields, says):
    with pytest.raises(BadInput, match=says):
        item(row, **fields)


def test_a_column_that_is_named_as_text_is_text():
    made, _ = item({"messages": "plain text"}, instruction="messages")
    assert made["messages"] == [{"role": "user", "content": "plain text"}]


def test_odd_cells_are_read_as_text_or_refused():
    read = refused = 0
    for row, fields in odd_cells.rows(4000):
        try:
            made, _ = item(row, **fields)
        except BadInput:
            refused += 1
            continue
        read += 1
        assert made["messages"][-1]["role"] == "user" and made["messages"][-1]["content"].strip()
        texts = [turn["content"] for turn in made["messages"]] + [made["source"], made["answer"] or ""]
        assert "\ud800" not in "".join(texts)
    assert read > 100 and refused > 1000
