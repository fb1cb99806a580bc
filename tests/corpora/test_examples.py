"""The examples that SFT sees."""

import pytest
from tables import instructions, responses
from teachergrid.corpora.examples import examples
from teachergrid.errors import BadInput
from teachergrid.store import artifacts

INSTRUCTIONS = instructions("i1", "i2", "i3")


def test_examples_of_a_whole_teacher():
    table = responses({("i2", 0): "two", ("i1", 1): "one again", ("i1", 0): "one", ("i3", 0): "  \n"})
    rows, left_out = examples({"t": table}, None, [INSTRUCTIONS])
    assert [row[1:] for row in rows] == [("one", "t", "i1", 0), ("one again", "t", "i1", 1), ("two", "t", "i2", 0)]
    assert rows[0][0] == [{"role": "user", "content": "ask i1"}]
    assert left_out == {"empty": 1}


def test_examples_of_a_derived_corpus():
    corpus = artifacts.table(
        [{"id": "i1", "sample": 0, "teacher": "b", "why": ""}, {"id": "i2", "sample": 0, "teacher": "a", "why": ""}],
        artifacts.CORPUS,
    )
    tables = {t: responses({("i1", 0): f"{t} one", ("i2", 0): f"{t} two"}) for t in "ab"}
    rows, left_out = examples(tables, corpus, [INSTRUCTIONS])
    assert [row[1:] for row in rows] == [("b one", "b", "i1", 0), ("a two", "a", "i2", 0)] and left_out == {"empty": 0}


def test_examples_without_their_instruction_are_an_error():
    with pytest.raises(BadInput, match="id 'i9' is in none of the instruction sets"):
        examples({"t": responses({("i9", 0): "nine"})}, None, [INSTRUCTIONS])
