"""Think blocks are taken out of a teacher's responses, and nothing else."""

import pyarrow as pa
import pytest
from tables import responses
from teachergrid.data import generate, reasoning
from teachergrid.spec import schema
from teachergrid.store import artifacts


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("no block, <b>tags</b>  ", "no block, <b>tags</b>  "),
        ("", ""),
        ("<think>\nfirst\n\nthen\n</think>\n\nThe answer.\n", "The answer.\n"),
        ("<think>a</think>x <think>b</think> y", "x y"),
        ("<think></think>\n", ""),
        ("opened in the prompt\n</think>\n\nThe answer.", "The answer."),
        ("<think>cut off before an answ", ""),
        ("Said before. <think>and cut off", "Said before. "),
        ("<think>a <think> b</think> answer", "answer"),
        ("[THINK]a[/THINK]answer", "answer"),
        ("a[/THINK]answer", "answer"),
        ("<|START_THINKING|>a<|END_THINKING|>answer", "answer"),
        ("<seed:think>a</seed:think>answer", "answer"),
        ("◁think▷a◁/think▷answer", "answer"),
        ("◁think▷a", ""),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>answer", "answer"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>comm", ""),
        ("<|channel|>final<|message|>answer<|end|>", "answer"),
        ("<|start|>assistant<|channel|>analysis<|message|>a", ""),
    ],
)
def test_strip(text, left):
    assert reasoning.strip(text) == left
    assert reasoning.strip(left) == left


def test_stripped_responses(tmp_path, capsys):
    raw = responses(
        {("i1", 0): "<think>x</think>yes", ("i1", 1): "no", ("i2", 0): "<think>"}, {("i1", 0): 5, ("i1", 1): 1}
    )
    artifacts.write(path := tmp_path / "raw.parquet", raw, artifacts.RESPONSES, None)
    settings = {"teacher": schema.filled({"engine": "stripped"}, schema.definition("teacher"))}
    rows, row_groups, _ = generate.respond(pa.table({}), settings, tmp_path, str(path))
    assert rows.schema.equals(artifacts.RESPONSES) and row_groups == [3]
    assert rows["response"].to_pylist() == ["yes", "no", ""] and rows["response_tokens"].to_pylist() == [None, 1, None]
    assert rows.drop_columns(["response", "response_tokens"]).equals(raw.drop_columns(["response", "response_tokens"]))
    assert "2 of 3 responses had a think block; 1 had nothing else" in capsys.readouterr().out
