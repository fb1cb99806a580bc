"""What the cells of people's files hold: ids of messages, and chats in all the forms in which they are kept."""

import json

import pytest
from teachergrid.data import files
from teachergrid.errors import BadInput

CHAT = [{"role": "user", "content": "what's 2 + 2?"}, {"role": "assistant", "content": '"4"'}]
SHAREGPT = [{"from": "human", "value": "what's 2 + 2?"}, {"from": "gpt", "value": '"4"'}]
NONE = {"role": None, "content": None, "from": None, "value": None}


def test_message_id_is_a_hash_of_roles_and_contents():
    # printf '[["user","h\\u00e9"]]' | sha256sum
    assert files.message_id([{"role": "user", "content": "hé"}]) == "118247fcc709bc66"
    asked = [{"role": "user", "content": "sort"}]
    assert files.message_id(asked) != files.message_id([{"role": "system", "content": ""}, *asked])


def test_missing():
    assert all(map(files.is_missing, (None, float("nan"))))
    assert not any(map(files.is_missing, ("", 0, 0.0, "nan", [])))


@pytest.mark.parametrize(
    ("cell", "noted"),
    [
        (CHAT, set()),
        (SHAREGPT, set()),
        (tuple(CHAT), set()),
        ([NONE | turn for turn in SHAREGPT], set()),
        ([NONE | turn for turn in CHAT], set()),
        ({"role": ["user", "assistant"], "content": [turn["content"] for turn in CHAT]}, set()),
        ({"role": ["user", "assistant"], "content": [turn["content"] for turn in CHAT], "tag": None}, set()),
        ([{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in CHAT], set()),
        (json.dumps(CHAT), {"chats read from JSON text"}),
        (json.dumps(SHAREGPT, indent=1), {"chats read from JSON text"}),
        (json.dumps(json.dumps(CHAT)), {"chats read from JSON text"}),
        ([json.dumps(turn) for turn in CHAT], {"chats read from JSON text"}),
        (str(CHAT), {"chats read from text of Python values"}),
        ([turn | {"weight": 0} for turn in CHAT], {"key 'weight' of turns not read"}),
        ([turn | {"name": None, "tool_calls": []} for turn in CHAT], set()),
    ],
)
def test_chats_in_all_forms(cell, noted):
    found: set[str] = set()
    assert [files.turn(turn, "here", found) for turn in files.chat(cell, "here", found)] == CHAT
    assert found == noted


def test_one_message_is_a_chat():
    assert files.chat(CHAT[0], "here", set()) == files.chat(json.dumps(CHAT[0]), "here", set()) == CHAT[:1]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("Human: hi\n\nAssistant: hello", "here: 'Human: hi.*cannot be read as a list of messages"),
        (str(CHAT).replace("}, {", "}\n {"), "cannot be read as a list of messages"),  # a column of numpy arrays
        (f"array({CHAT}, dtype=object)", "cannot be read as a list of messages"),
        (json.dumps(CHAT)[:-9], "cannot be read as a list of messages"),
        ("7", "here: '7' is not a list of messages"),
        ({"role": ["user"], "content": ["a", "b"]}, "lists do not belong together"),
    ],
)
def test_what_is_no_chat_is_refused(cell, says):
    with pytest.raises(BadInput, match=says):
        files.chat(cell, "here", set())


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (["user", "hi"], "is not a message"),
        ({"role": "user"}, "is not a message"),
        ({"role": "tool", "content": "x"}, "a turn of 'tool' with str content"),
        ({"role": ["user"], "content": "x"}, "a turn of '.'user'.' with str content"),
        ({"role": "assistant", "content": None}, "a turn of 'assistant' with NoneType content"),
        ({"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]}, "with list content"),
        ({"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}, "`tool_calls`; turns are text alone"),
        ({"role": "user", "content": "\ud800"}, "half a surrogate pair"),
    ],
)
def test_what_is_no_turn_is_refused(message, says):
    with pytest.raises(BadInput, match=says):
        files.turn(message, "here", set())


def test_a_text_about_messages_is_no_chat():
    assert files.looks_like_chat(json.dumps(CHAT)) and files.looks_like_chat(f" {CHAT}\n")
    assert not files.looks_like_chat(f"{json.dumps(CHAT)} What is wrong with this JSON?")
    assert not files.looks_like_chat("[1, 2, 3]")
