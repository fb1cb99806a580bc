"""The table of operators and rounds of an evolved set, from hand-made rows."""

from evolved_rows import seed_row
from teachergrid.analysis import evolution
from teachergrid.store import artifacts, job_index


def test_counts_reasons_and_lengths_by_operator(tmp_path):
    path = tmp_path / "e.r1.parquet"
    rows = [seed_row("one two three", operator="a", round=1), seed_row("one two four five six", operator="a", round=1)]
    rows += [seed_row("x y", operator="b", round=1), seed_row("a seed that stayed")]
    fates = [(row["id"], row["operator"], None) for row in rows[:3]]
    fates += [(None, "b", "refusal"), (None, "b", "equal"), (None, "b", "equal"), (None, "c", "empty")]
    artifacts.write(path, rows, artifacts.INSTRUCTIONS, None)
    lineage = [
        {"id": id, "parent_id": "p", "root": "p", "round": 1, "operator": operator, "reason": reason, "text": ""}
        for id, operator, reason in fates
    ]
    artifacts.write(f"{path}.lineage", lineage, artifacts.EVOLVED, None)
    a, b, c = evolution.summary(str(path))
    assert (a["operator"], a["asked"], a["kept"], a["left_out"], a["words"]) == ("a", 2, 2, {}, 4.0)
    assert a["distinct_2"] == 5 / 6
    assert (b["operator"], b["asked"], b["kept"], b["left_out"]) == ("b", 4, 1, {"equal": 2, "refusal": 1})
    assert (c["asked"], c["kept"], c["words"], c["distinct_2"]) == (1, 0, None, None)


def test_a_set_that_no_model_evolved_has_no_rows_and_a_joined_one_no_reasons(tmp_path):
    artifacts.write(tmp_path / "q.parquet", [seed_row("a b c")], artifacts.INSTRUCTIONS, None)
    assert evolution.summary(str(tmp_path / "q.parquet")) == []
    artifacts.write(tmp_path / "j.parquet", [seed_row("a b c", operator="a", round=2)], artifacts.INSTRUCTIONS, None)
    (row,) = evolution.summary(str(tmp_path / "j.parquet"))
    assert (row["round"], row["asked"], row["left_out"]) == (2, None, None)


def made(results, name, inputs, folder="instructions"):
    path = f"{results}/{folder}/{name}.parquet"
    made_from = {"rule": "r", "spec": "{}", "inputs": dict.fromkeys(inputs, "sha256:0")}
    rows, schema = ([seed_row(name)], artifacts.INSTRUCTIONS) if folder == "instructions" else ([], artifacts.RESPONSES)
    artifacts.write(path, rows, schema, made_from)
    return path


def test_the_cost_of_a_set_is_that_of_all_answers_it_was_made_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeds = made("results", "q", ["q.jsonl"])
    assert evolution.cost(seeds, "results") is None
    sets = [seeds]
    for name, seconds, gpus in (("e.r1", 100.0, 2), ("e.r2", 30.0, 0), ("e.r3", None, 0)):
        asked = made("results", f"{name}.asked", sets)
        answers = made("results", f"{name}.asked__t", [asked], "responses")
        took = seconds and {"seconds": seconds, "device": "h100" if gpus else "cpu", "gpus": gpus}
        job_index.remember("results", "generate", f"{name}.asked__t", "code", took)
        sets.append(made("results", name, [*sets, asked, answers]))
    joined = made("results", "j", sets[1:3])
    costs = [evolution.cost(path, "results") for path in (*sets[1:], joined)]
    numbers = [tuple(cost[key] for key in evolution.COSTS[1:]) for cost in costs]
    assert numbers == [(1, 1, 200.0, 0, 0), (1, 2, 200.0, 30.0, 0), (1, 3, 200.0, 30.0, 1), (1, 2, 200.0, 30.0, 0)]
