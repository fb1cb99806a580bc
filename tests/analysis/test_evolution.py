"""The table of operators and rounds of an evolved set, from hand-made rows."""

import json

from evolved_rows import seed_row
from teachergrid.analysis import evolution
from teachergrid.engines.request_log import paid_by
from teachergrid.store import artifacts, job_index, origin


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
    numbers = [tuple(cost[key] for key in ("rows", "jobs", "gpu_s", "cpu_s", "unknown")) for cost in costs]
    assert numbers == [(1, 1, 200.0, 0, 0), (1, 2, 200.0, 30.0, 0), (1, 3, 200.0, 30.0, 1), (1, 2, 200.0, 30.0, 0)]
    # joined from one set and paired with another, which costs it nothing; one of two rows is its own
    of_one = evolution.cost(joined, "results", ["e.r1"])
    assert (of_one["gpu_s"], of_one["cpu_s"], of_one["jobs"], of_one["share"]) == (200.0, 0, 1, 1.0)
    assert evolution.cost(joined, "results", ["e.r1", "e.r2"])["share"] == 0.5
    assert evolution.cost(joined, "results", ["q"]) is None
    # money of the jobs that asked an endpoint, whatever its model is called there
    assert costs[0]["usd"] is None
    log = tmp_path / "results/.requests/maker%2Fmodel/generate/e.r2.asked__t.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(line) + "\n" for line in map(request_line, (0.5, 0.25))))
    assert [evolution.cost(path, "results", (), paid_by)["usd"] for path in sets[1:3]] == [None, 0.75]


def request_line(usd):
    blank = dict.fromkeys(("answered_by", "text", "finish_reason", "problem"))
    return {
        **blank,
        "key": "k",
        "endpoint": "e",
        "prompt_tokens": 1,
        "response_tokens": 1,
        "usd": usd,
        "sure": True,
        "time": 0.0,
    }


def test_the_cost_of_a_method_that_was_optimised_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeds = made("results", "q", ["q.jsonl"])
    method = tmp_path / "results/methods/auto.json"
    method.parent.mkdir(parents=True)
    method.write_text("{}")
    origin.write_beside(method, {"rule": "optimise", "spec": "{}", "inputs": {seeds: "sha256:0"}})
    asked = made("results", "auto.r1.asked", [seeds, "results/methods/auto.json"])
    for rule, cell, seconds in (("optimise", "auto", 50.0), ("generate", "auto.r1.asked__t", 10.0)):
        job_index.remember("results", rule, cell, "code", {"seconds": seconds, "device": "cpu", "gpus": 0})
    answers = made("results", "auto.r1.asked__t", [asked], "responses")
    found = evolution.cost(made("results", "auto.r1", [seeds, asked, answers]), "results")
    assert (found["jobs"], found["cpu_s"]) == (2, 60.0)


def lineage_row(parent, number, operator, text, **more):
    return {
        "id": parent,
        "parent_id": parent,
        "root": parent,
        "round": number,
        "operator": operator,
        "text": text,
        **more,
    }


def test_grades_by_round_and_operator(tmp_path):
    said = [
        ("s", 0, None, "Level: easy\nScore: 10"),
        ("a", 1, "deepen", "Level: hard\nScore: 70"),
        ("b", 1, "deepen", "Level: very hard\nScore: 90"),
        ("c", 1, "breadth", "Level: hard\nScore: 50"),
        ("d", 1, "breadth", "What do you mean?"),
    ]
    path = tmp_path / "g.r1.parquet"
    artifacts.write(f"{path}.lineage", [lineage_row(*row) for row in said], artifacts.EVOLVED, None)
    rows = evolution.grades(str(path), "mine", "judge")
    assert all(set(row) == {*evolution.GRADES} and row["instructions"] == "mine" for row in rows)
    found = {(row["round"], row["operator"]): row for row in rows}
    assert [*found] == [(0, ""), (1, "all"), (1, "breadth"), (1, "deepen")]
    assert (found[1, "deepen"]["mean"], found[1, "deepen"]["n"]) == (80.0, 2)
    assert found[1, "deepen"]["levels"] == {"hard": 1, "very hard": 1}
    assert (found[1, "breadth"]["n"], found[1, "breadth"]["unclear"], found[1, "breadth"]["low"]) == (1, 1, None)
    every = found[1, "all"]
    assert (every["mean"], every["n"], every["unclear"]) == (70.0, 3, 1)
    # 1.96 times the standard deviation of 50, 70 and 90, over the root of 3
    assert round(every["high"] - 70, 9) == round(1.96 * 20 / 3**0.5, 9)


def test_rewards_of_answers_by_round_and_operator(tmp_path):
    rows = [seed_row(text, operator=operator, round=1) for text, operator in (("x", "a"), ("y", "a"), ("z", "b"))]
    for name, content in (("e.r1", rows), ("q", [seed_row("x")])):
        artifacts.write(tmp_path / f"{name}.parquet", content, artifacts.INSTRUCTIONS, None)
    values = [
        {"id": row["id"], "sample": 0, "reward": value} for row, value in zip(rows, (1.0, 0.0, None), strict=True)
    ]
    values[2]["reason"] = "no reference answer"
    artifacts.write(tmp_path / "right.parquet", values, artifacts.REWARDS, None)
    artifacts.write(tmp_path / "seeds.parquet", values[:1], artifacts.REWARDS, None)
    rewards = {
        ("right", f"{name}__t"): str(tmp_path / f"{file}.parquet") for name, file in (("e.r1", "right"), ("q", "seeds"))
    }
    found = {row["operator"]: row for row in evolution.scores(str(tmp_path / "e.r1.parquet"), rewards)}
    assert all(set(row) == {*evolution.SCORES} for row in found.values())
    assert (found["a"]["mean"], found["a"]["n"], found["b"]["mean"], found["b"]["n"]) == (0.5, 2, None, 0)
    assert (found["all"]["n"], found["all"]["answered_by"], found["all"]["reward"]) == (2, "t", "right")
    # of the seeds, for comparison
    (seed,) = evolution.scores(str(tmp_path / "q.parquet"), rewards)
    assert (seed["round"], seed["operator"], seed["mean"], seed["n"]) == (0, "", 1.0, 1)


def test_ways_that_a_model_listed_before_it_rewrote(tmp_path):
    path = tmp_path / "e.r1.parquet"
    row = seed_row("harder", operator="auto", round=1)
    artifacts.write(path, [row], artifacts.INSTRUCTIONS, None)
    said = [
        "Ways:\n- Add a limit.\n2. Ask for a proof!\n**Plan:** both\n- no way",
        "Ways:\n1) add a limit\n- ask for a table\nPlan: x",
    ]
    rows = [lineage_row(row["id"], 1, "auto", said[0]), lineage_row("b", 1, "auto", said[1], reason="equal")]
    artifacts.write(f"{path}.lineage", rows, artifacts.EVOLVED, None)
    (found,) = evolution.summary(str(path))
    assert set(found) == {*evolution.COLUMNS} and (found["ways"], found["distinct_ways"]) == (4, 0.75)
