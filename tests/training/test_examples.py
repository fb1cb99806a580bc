"""The examples that SFT sees."""

import pyarrow as pa
import pytest
from tables import instructions, responses
from teachergrid.errors import BadInput
from teachergrid.store import artifacts
from teachergrid.training import examples

INSTRUCTIONS = instructions("i1", "i2", "i3")


def test_examples_of_a_whole_teacher():
    table = responses({("i2", 0): "two", ("i1", 1): "one again", ("i1", 0): "one", ("i3", 0): "  \n"})
    rows, left_out = examples.examples({"t": table}, None, [INSTRUCTIONS])
    assert [row[1:] for row in rows] == [("one", "t", "i1", 0), ("one again", "t", "i1", 1), ("two", "t", "i2", 0)]
    assert rows[0][0] == [{"role": "user", "content": "ask i1"}]
    assert left_out == {"empty": 1}


def test_examples_of_a_derived_corpus():
    corpus = artifacts.table(
        [{"id": "i1", "sample": 0, "teacher": "b", "why": ""}, {"id": "i2", "sample": 0, "teacher": "a", "why": ""}],
        artifacts.CORPUS,
    )
    tables = {t: responses({("i1", 0): f"{t} one", ("i2", 0): f"{t} two"}) for t in "ab"}
    rows, left_out = examples.examples(tables, corpus, [INSTRUCTIONS])
    assert [row[1:] for row in rows] == [("b one", "b", "i1", 0), ("a two", "a", "i2", 0)] and left_out == {"empty": 0}


def test_examples_without_their_instruction_are_an_error():
    with pytest.raises(BadInput, match="id 'i9' is in none of the instruction sets"):
        examples.examples({"t": responses({("i9", 0): "nine"})}, None, [INSTRUCTIONS])


@pytest.mark.parametrize(
    ("setting", "texts", "rows", "left_out"),
    [("train", ["one", "one again", "two"], [1, 2], 0), ("leave_out", ["one"], [], 2)],
)
def test_unfinished_responses_are_trained_on_or_left_out(setting, texts, rows, left_out):
    table = responses({("i1", 0): "one", ("i1", 1): "one again", ("i2", 0): "two"})
    reasons = pa.array(["stop", "length", "content_filter"])
    sources = {"t": table.set_column(table.column_names.index("finish_reason"), "finish_reason", reasons)}
    found, unfinished = examples.unfinished(examples.examples(sources, None, [INSTRUCTIONS])[0], sources, setting)
    assert ([row.response for row in found], *unfinished) == (texts, rows, left_out)


def test_unfinished_responses_of_one_teacher_are_not_those_of_another():
    tables = {t: responses({("i1", 0): f"{t} one"}) for t in "ab"}
    index = tables["b"].column_names.index("finish_reason")
    tables["b"] = tables["b"].set_column(index, "finish_reason", pa.array(["length"]))
    rows = examples.examples(tables, None, [INSTRUCTIONS])[0]
    assert examples.unfinished(rows, tables, "train")[1].rows == [1]


def test_no_finished_response_is_an_error():
    table = responses({("i1", 0): "one"})
    index = table.column_names.index("finish_reason")
    sources = {"t": table.set_column(index, "finish_reason", pa.array(["length"]))}
    rows = examples.examples(sources, None, [INSTRUCTIONS])[0]
    with pytest.raises(BadInput, match=r"all 1 responses were cut off.*`sampling.max_tokens`.*`unfinished: train`"):
        examples.unfinished(rows, sources, "leave_out")
