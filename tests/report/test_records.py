"""Contamination and training on the page."""

import copy

from page_words import Words
from teachergrid.report import page, records
from teachergrid.report.data import gather
from teachergrid.store import artifacts


def test_training_is_shown_with_what_it_reached(data):
    changed = copy.deepcopy(data)
    rows = [row for row in changed["lineage"] if row["base"] == "bs" and row["teacher"] == "steps-l"]
    for row in rows:
        row |= {"trained_tokens": 1200, "steps": 7}
    read = Words(page.build(changed)).text
    assert "1 200 in 7 steps" in read and "What the students were trained on." in read
    for row in changed["lineage"]:
        row |= {"trained_tokens": 1200}
    assert "times the smallest" in read and "times the smallest" not in Words(page.build(changed)).text


def test_a_training_that_was_odd_is_flagged(data):
    changed = copy.deepcopy(data)
    changed["lineage"][0]["notes"] = "The loss grew from 1.20 to 9.00."
    student = changed["lineage"][0]["student"]
    assert f"{student} : The loss grew from 1.20 to 9.00." in Words(page.build(changed)).text
    assert "The loss grew" not in Words(page.build(data)).text
    for row in changed["lineage"]:
        row["notes"] = "The template opens a block."
    read = Words(page.build(changed)).text
    assert read.count("The template opens a block.") == 1 and f"and {len(changed['lineage']) - 3} others" in read


def test_contamination(data):
    row = {"instructions": "pool", "task": "gsm", "item": "x", "prompt": "a prompt <b>", "instruction": "mine"}
    found = [
        {**row, "id": "1", "how": "equal", "similarity": None, "removed": True},
        {**row, "id": "2", "how": "near", "similarity": 0.875, "removed": False},
        {**row, "id": "3", "how": "near", "similarity": 0.9, "removed": False},
    ]
    artifacts.table(found, artifacts.CONTAMINATION)
    read = Words(page.build(copy.deepcopy({**data, "contamination": found, "sizes": {"pool": 50}}))).text
    assert "pool gsm 0 0 2 4.0 % 1" in read.replace("\u202f", " ")
    assert "near 0.88" in read and "equal , removed" in read.replace("equal, removed", "equal , removed")
    assert "a prompt <b>" in read
    assert "No such instruction was found" in Words(page.build(copy.deepcopy(data))).text


def test_evolved_sets(data):
    row = {
        "instructions": "e.r1",
        "round": 1,
        "operator": "deepen",
        "asked": 4,
        "kept": 1,
        "words": 4.0,
        "distinct_2": 0.5,
    }
    found = [
        {**row, "left_out": {"equal": 1, "refusal": 2}},
        {"instructions": "joined", "round": 2, "operator": "breadth", "kept": 7},
    ]
    first, second = records.evolved(gather({"evolved": found}))
    assert (first["reasons"], first["share"]) == ("refusal 2, equal 1", 0.25)
    assert (second["reasons"], second["share"], second["asked"]) == ("—", None, None)
    shown = Words(page.build(copy.deepcopy({**data, "evolved": found}))).text
    costs = [
        {"instructions": "e.r1", "rows": 1, "jobs": 2, "gpu_s": 5400.0, "cpu_s": 120.0, "unknown": 1, "share": 0.5}
    ]
    with_costs = Words(page.build(copy.deepcopy({**data, "evolved": found, "evolution_costs": costs}))).text
    assert (
        "e.r1 1 50 % 2 1.50 GPU-h" in with_costs.replace("\u00a0", " ").replace("\u202f", " ")
        and "What each evolved set took" not in shown
    )
    assert "e.r1 1 deepen 4 1" in shown and "joined 2 breadth" in shown
    assert "How the instructions were evolved" not in Words(page.build(copy.deepcopy(data))).text


def test_grades_and_rewards_by_round(data):
    row = {"instructions": "small-1", "round": 1, "n": 4, "low": 60.0, "high": 80.0}
    graded = {**row, "graded_by": "judge", "unclear": 1, "levels": {"hard": 3, "easy": 1}}
    grades = [{**graded, "operator": "all", "mean": 70.0}, {**graded, "operator": "deepen", "mean": 71.0}]
    scored = {**row, "operator": "deepen", "mean": 0.25, "low": None, "answered_by": "t", "reward": "right"}
    html = page.build(copy.deepcopy({**data, "grades": grades, "evolution_scores": [scored]}))
    shown = Words(html).text.replace("\u202f", " ").replace("\u00a0", " ")
    assert "How hard judge finds the instructions" in html and "right of the answers of t" in html
    assert "small-1 judge 1 deepen 4 0 % 25 % 0 % 75 % 0 % 71.0 [60.0, 80.0] 1" in shown
    assert "small-1 t right 1 deepen 4 0.250" in shown
    # the figure has one row for each set and round, that of all operators
    assert html.count("small-1, round 1: 70.0") == 1 and "small-1, round 1: 71.0" not in html
    assert "How hard the instructions are" not in Words(page.build(copy.deepcopy(data))).text


def test_health_shows_checks_that_stop_or_found_something():
    def row(check, count, limit, passed=True, example=None):
        return {"check": check, "count": count, "n": 10, "limit": limit, "passed": passed, "example": example}

    found = records.health(
        gather(
            {
                "health": {
                    "pool__a": [row("empty", 0, 0.1), row("long", 0, None), row("language", 0, None)],
                    "pool__b": [row("empty", 5, 0.1, False, "a blank"), row("long", 2, None)],
                    "pool__c": [],
                    "pool__d": [row("empty", 0, 0.1), row("content_filter", 1, None)],
                }
            }
        )
    )
    assert found["checks"] == [("empty", 0.1), ("long", None), ("content_filter", None)]
    names = [(row["name"], row["n"], row["gated"]) for row in found["rows"]]
    assert names == [("a", 10, []), ("b", 10, ["empty"]), ("d", 10, [])]
    assert [row["cells"][2].get("count") for row in found["rows"]] == [None, None, 1]
    assert [(row["name"], row["example"]) for row in found["examples"]] == [("b", "a blank")]


def test_time_of_stages_is_shared_and_summed_where_it_is_known():
    rows = [
        {"rule": "generate", "jobs": 2, "wall_s": 30.0, "cpu_s": 10.0, "max_rss_mb": 5.0},
        {"rule": "check", "jobs": 1, "wall_s": 10.0, "cpu_s": None, "max_rss_mb": 7.0},
    ]
    found = records.stages(gather({"stages": rows}))
    assert found["total"] == {"jobs": 3, "wall_s": 40.0, "cpu_s": 10.0, "max_rss_mb": 7.0}
    assert found["share"] == {"generate": 0.75, "check": 0.25}
    assert records.stages(gather({})) == {"rows": [], "total": dict.fromkeys(found["total"]), "share": {}}


def test_long_texts_of_samples_are_cut_and_missing_keys_are_null():
    answers = [{"teacher": "t", "text": "x" * 10_000}]
    found = records.samples(gather({"samples": {"responses": [{"question": "y" * 2000, "answers": answers}, {}]}}))
    first, second = found["responses"]
    assert len(first["question"]) < 1600 and first["answers"][0]["text"].endswith("more characters)")
    assert first["answers"][0]["reward"] is None and second["answers"] == [] and found["answers"] == []


def test_provenance_is_flat():
    nested = {"a": {"b": 1, "c": {}}, "d": [1, 2], "e": [{"f": None}, {"f": ""}], "g": False}
    assert records.flat(nested) == [
        ("a / b", "1"),
        ("a / c", "—"),
        ("d", "1, 2"),
        ("e 1 / f", "—"),
        ("e 2 / f", "—"),
        ("g", "False"),
    ]
