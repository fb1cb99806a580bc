"""The rows of sets that are made from other sets: what they read, and how many rows a plan takes them to have."""

import json
import os
from pathlib import Path

import pytest
from teachergrid.grid import cells, config, sets
from teachergrid.spec import canonical
from teachergrid.store import artifacts, origin

WIZ = {"of": "seed", "by": "small", "rounds": 2, "operators": ["deepen", "constraint"]}


def table(small, **wiz):
    """Return the table of cells, with rounds of which a block measures the second."""
    small["evolutions"] = {"wiz": WIZ | wiz}
    small["grids"]["instructions"]["instructions"] = ["seed", "wiz.r2"]
    return cells.Cells(config.checked(small))


def made(build, name, rows):
    """Write a table as the job of a set, or of responses, would."""
    kind, spec = (
        ("responses", build.generate(name)["spec"]) if "__" in name else ("instructions", sets.spec(build, name))
    )
    path = Path(f"results/{kind}/{name}.parquet")
    made_from = {"rule": "r", "spec": spec, "inputs": {}}
    row = {"id": "", "messages": [{"role": "user", "content": "x"}], "source": "s", "round": 1}
    if kind == "responses":
        row = {"id": "", "sample": 0, "response": "x", "finish_reason": "stop"}
    schema = artifacts.RESPONSES if kind == "responses" else artifacts.INSTRUCTIONS
    all_rows = [row | {"id": str(i)} for i in range(rows)]
    artifacts.write(path, all_rows, schema, made_from, beside=kind == "instructions")


def test_a_set_reads_paths_and_its_spec_has_no_names(small):
    rows = table(small).rows["load_instructions"]
    row = rows["wiz.r2"]
    assert row["sets"] == [f"results/instructions/{name}.parquet" for name in ("seed", "wiz.r1", "wiz.r2.asked")]
    assert row["responses"] == ["results/responses/wiz.r2.asked__small.parquet"]
    assert (row["files"], row["tables"]) == ([], [])
    assert "wiz" not in row["spec"] and "small" not in row["spec"]
    assert rows["seed"]["files"] == ["config/seed.jsonl"] and rows["seed"]["sets"] == []


def test_only_what_is_needed_is_made(small):
    found = table(small).rows
    assert {"wiz.r1", "wiz.r1.asked", "wiz.r2", "wiz.r2.asked"} < {*found["load_instructions"]}
    assert {"wiz.r1.asked__small", "wiz.r2.asked__small", "wiz.r2__small"} <= {*found["generate"]}
    assert "wiz.r1__small" not in found["generate"]


def test_the_same_evolver_under_another_name_has_the_same_specs(small):
    found = table(small)
    small["evolutions"]["other"] = WIZ
    other = config.checked(small)
    assert sets.spec(cells.Builder(other), "other.r1") == found.rows["load_instructions"]["wiz.r1"]["spec"]


def test_a_set_is_counted_once_it_is_made_and_up_to_date(small):
    Path("config/seed.jsonl").write_text("".join(json.dumps({"instruction": f"q{i}"}) + "\n" for i in range(9)))
    build = table(small).build
    assert build.drawn("wiz.r1") == 9
    (sentence,) = sets.bounded(build, ["seed", "wiz.r1.asked", "wiz.r1"])
    assert "evolved sets (wiz.r1) keep" in sentence and "at most 9 each" in sentence
    for name, rows in (("seed", 9), ("wiz.r1.asked", 9), ("wiz.r1.asked__small", 9), ("wiz.r1", 7)):
        made(build, name, rows)
    now = table(small)
    assert now.build.drawn("wiz.r1") == 7 and now.rows["generate"]["wiz.r2__small"]["rows"] == 9
    assert sets.bounded(now.build, ["wiz.r1"]) == []
    # what it was made from is to be made again
    assert table(small, schedule="random").build.drawn("wiz.r1") == 9
    small["teachers"]["small"]["sampling"]["temperature"] = 0.5
    assert table(small).build.drawn("wiz.r1") == 9


def test_a_source_that_has_changed_since_makes_the_number_a_bound_again(small):
    Path("config/seed.jsonl").write_text("".join(json.dumps({"instruction": f"q{i}"}) + "\n" for i in range(9)))
    build = table(small).build
    for name, rows in (("seed", 9), ("wiz.r1.asked", 9), ("wiz.r1.asked__small", 9), ("wiz.r1", 7)):
        made(build, name, rows)
    later = os.path.getmtime("results/instructions/wiz.r1.parquet") + 10
    os.utime("config/seed.jsonl", (later, later))
    assert table(small).build.drawn("wiz.r1") == 9


def test_a_damaged_table_is_no_set(small):
    build = table(small).build
    path = Path("results/instructions/wiz.r1.parquet")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    assert origin.read(path) is None and build.drawn("wiz.r1") == 1


def test_a_table_of_no_rule_is_a_mistake_of_ours(small):
    with pytest.raises(AssertionError, match="no rule judge"):
        sets.table(table(small).build, "judge", "wiz")


def test_tasks_are_removed_from_joined_sets_too(small):
    small["instructions"]["both"] = {"join": ["seed", "evolved"], "decontaminate": ["math"]}
    small["grids"]["instructions"]["instructions"] = ["both"]
    row = cells.Cells(config.checked(small)).rows["load_instructions"]["both"]
    assert row["prompts"] == ["config/gsm.jsonl"]
    assert {"tasks", "made"} < canonical.load(row["spec"]).keys()


def test_what_only_evolution_reads_is_not_checked_for_training(small):
    """Its health decides about no student, so no job would make it, and `status` would show it as still to do."""
    rows = table(small).rows
    assert {*rows["check"]} == {*rows["generate"]} - {"wiz.r1.asked__small", "wiz.r2.asked__small"}
    assert {*rows["gate"]} == {*rows["check"]}


def test_a_pilot_on_an_evolved_set_is_out_of_date_with_its_evolver(small):
    small["grids"]["instructions"] |= {"compare": "teacher", "teachers": ["small", "large"]}
    small["grids"]["instructions"]["pilot"] = {"sample": 2, "by": ["car"], "keep": 1}
    Path("config/seed.jsonl").write_text("".join(json.dumps({"instruction": f"q{i}"}) + "\n" for i in range(9)))
    before = table(small).rows["pilot"]["instructions"]["spec"]
    small["teachers"]["evolver"] = {"model": "large", "sampling": {"temperature": 0.5}}
    assert table(small, by="evolver").rows["pilot"]["instructions"]["spec"] != before
