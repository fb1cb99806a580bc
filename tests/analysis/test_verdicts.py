"""Which verdicts a page shows, and the texts that belong to them."""

import pytest
from judged_rows import answers, replies
from teachergrid.analysis import verdicts
from teachergrid.store import artifacts

# {judge: {item: (score, first, second)}} of the model m; `b` is asked in no order, as a reward is
SCORES = {
    "a": {"q1": (1, 1, 1), "q2": (0.5, 1, 0), "q3": (0.5, 0.5, 0.5), "q4": (1, 1, 1), "q5": (None, None, None)},
    "b": {"q1": (0, 0, 0), "q2": (0.5, 0.5, 0.5), "q3": (0.5, 0.5, 0.5), "q4": (1, 1, 1), "q5": (0, 0, 0)},
}


def write(judge: str, rows: dict) -> str:
    made = [
        {"task": "open", "id": id, "sample": 0, "score": s, "first": a, "second": b, "verdict": "decided"}
        for id, (s, a, b) in rows.items()
    ]
    names = ["answers/m/s", "answers/base/s"] + [f"verdicts/m/s/{judge}"] * (judge == "a")
    made_from = {"rule": "score", "spec": "{}", "inputs": {f"results/{name}.parquet": "x" for name in names}}
    path = f"results/scores/m/s/{judge}.parquet"
    artifacts.write(path, artifacts.table(made, artifacts.SCORES), artifacts.SCORES, made_from)
    return path


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    items = [f"q{n}" for n in range(1, 6)]
    for model in ("m", "base"):
        table = answers(**{id: f"{model} says {id}" for id in items})
        artifacts.write(f"results/answers/{model}/s.parquet", table, artifacts.ANSWERS, None)
    said = replies(*((id, order, f"{order}: {id}") for id in items for order in ("model first", "model second")))
    artifacts.write("results/verdicts/m/s/a.parquet", said, artifacts.VERDICTS, None)
    return [write(judge, rows) for judge, rows in SCORES.items()]


def test_disagreement_comes_first_then_a_flip_a_tie_and_a_decided_one_of_each_judge(results):
    shown = verdicts.shown(results)
    by_why = {}
    for row in shown:
        by_why.setdefault(row["why"], []).append((row["judge"], row["id"]))
    assert by_why[verdicts.DISAGREE] == [("a", "q1")] and by_why[verdicts.FLIP] == [("a", "q2")]
    assert {judge for judge, _ in by_why[verdicts.TIE]} == {"a", "b"} and ("a", "q3") in by_why[verdicts.TIE]
    assert set(by_why[verdicts.USUAL]) <= {("a", "q4"), ("b", "q1"), ("b", "q4"), ("b", "q5")}
    assert len(shown) == len({(row["judge"], row["id"]) for row in shown}) <= verdicts.AT_MOST
    assert verdicts.shown(reversed(results)) == shown


def test_a_verdict_has_both_answers_and_the_words_of_the_judge_in_each_order(results):
    first = verdicts.shown(results)[0]
    assert (first["answer"], first["opponent"], first["opponent_answer"]) == ("m says q1", "base", "base says q1")
    assert first["others"] == {"b": 0.0} and (first["score"], first["suite"], first["task"]) == (1, "s", "open")
    assert first["orders"] == [
        {"order": "model first", "score": 1, "text": "model first: q1"},
        {"order": "model second", "score": 1, "text": "model second: q1"},
    ]
    reward = next(row for row in verdicts.shown(results) if row["judge"] == "b")
    assert reward["orders"] == []


def test_what_needed_no_judge_is_not_shown(results):
    rows = [{"task": "open", "id": "q1", "sample": 0, "score": 0.5, "verdict": "identical"}]
    artifacts.write(results[0], artifacts.table(rows, artifacts.SCORES), artifacts.SCORES, None)
    assert verdicts.shown(results[:1]) == []
