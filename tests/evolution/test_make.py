"""A set of instructions from files of other sets and of responses, with its lineage."""

import json

import pytest
from evolved_rows import ASK, READ, said, seed_row
from teachergrid.data import loading
from teachergrid.errors import BadInput
from teachergrid.evolution import make
from teachergrid.store import artifacts

SEEDS = [seed_row("Name two cities of France"), seed_row("Name three cities of France")]
HARDER = "Name two cities of France that lie on a river, and say which"


def written(folder, name, rows, schema=artifacts.INSTRUCTIONS):
    path = str(folder / f"{name}.parquet")
    artifacts.write(path, [{key: row[key] for key in schema.names if key in row} for row in rows], schema, None)
    return path


def answered(folder, asked, *texts):
    rows = [
        {"id": prompt["id"], "sample": 0, "response": text, "finish_reason": "stop"}
        for prompt, text in zip(asked, texts, strict=True)
    ]
    return written(folder, "responses", rows, artifacts.RESPONSES)


def evolved(folder, *texts):
    seeds = written(folder, "seeds", SEEDS)
    asked = make.make("e.r1.asked", {"stage": "rewrite.ask", "settings": ASK}, [seeds], [], [])[0].items
    sets = [seeds, written(folder, "asked", asked)]
    responses = [answered(folder, asked, *texts)]
    return make.make("e.r1", {"stage": "rewrite.read", "settings": READ}, sets, responses, [])


def test_a_round_through_files(tmp_path, capsys):
    loaded, lineage = evolved(tmp_path, HARDER, "I cannot help with that.")
    assert said(loaded.items) == [HARDER]
    table = artifacts.table(lineage, artifacts.EVOLVED).to_pylist()
    assert [(row["id"], row["reason"], row["root"]) for row in table] == [
        (loaded.items[0]["id"], None, SEEDS[0]["id"]),
        (None, "refusal", SEEDS[1]["id"]),
    ]
    assert [row["operator"] for row in table] == ["a", "b"]
    assert table[1]["text"] == "I cannot help with that."
    assert "e.r1: 1 rows; of 2 that were asked: kept 1, refusal 1" in capsys.readouterr().out
    artifacts.table(loaded.items, artifacts.INSTRUCTIONS)


def test_a_set_without_rows_is_an_error_with_the_reasons(tmp_path):
    with pytest.raises(
        BadInput, match=r"e.r1: no instruction is left \(empty 1, refusal 1\); look at what the evolver"
    ):
        evolved(tmp_path, "", "I cannot help with that.")


def test_rows_with_the_same_id_are_one(tmp_path):
    seeds = written(tmp_path, "seeds", SEEDS)
    step = {"stage": "joined", "settings": {"join": [[0, []], [1, []]], "paired": []}}
    loaded, lineage = make.make("j", step, [seeds, seeds], [], [])
    assert said(loaded.items) == said(SEEDS) and lineage == []


def test_the_text_below_an_instruction_is_read_from_the_source(tmp_path):
    """As `item_of` joins them: Alpaca's columns, or those that `fields` names."""
    rows = [{"instruction": "Sort these words", "input": "pear fig"}, {"instruction": "Name a city", "input": ""}]
    source = tmp_path / "alpaca.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"fields": {}, "turns": "last"}
    items = loading.read(str(source), entry, "q").items
    seeds = written(tmp_path, "seeds", items)
    step = {"stage": "rewrite.ask", "settings": ASK | {"beside": entry}}
    loaded, _ = make.make("e.r1.asked", step, [seeds], [], files=[str(source)])
    assert said(items)[0] == "Sort these words\n\npear fig"
    assert said(loaded.items) == ["A: Sort these words", "B: Name a city"]


def test_a_set_that_is_made_from_no_other():
    settings = {
        "text": "{number} like {seeds}",
        "seeds": ["Use no commas."],
        "calls": 2,
        "each": 3,
        "shown": None,
        "shuffle": True,
        "seed": 1,
    }
    loaded, lineage = make.make("a.instruct.asked", {"stage": "autoif.instruct.ask", "settings": settings}, [], [])
    assert [row["messages"][0]["content"] for row in loaded.items] == ["3 like Use no commas."] * 2 and lineage == []
    assert make.yields(lineage).num_rows == 0


def test_yields_count_what_became_of_each_kind():
    fates = [("line", None), ("line", None), ("line", "repeated"), (None, None)]
    rows = make.yields([{"operator": what, "reason": reason} for what, reason in fates]).to_pylist()
    assert [(row["what"], row["outcome"], row["rows"]) for row in rows] == [
        ("", "kept", 1),
        ("line", "kept", 2),
        ("line", "repeated", 1),
    ]
