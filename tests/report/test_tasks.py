"""Gains by task."""

from page_words import Words, body_of
from teachergrid.pages import text
from teachergrid.report import page, tasks
from teachergrid.report.data import gather


def test_short_names_of_measures():
    measures = ["suite/verify", "suite/verify/problems", "suite/verify/problems/add", "suite/verify/problems/sub"]
    finest = tasks.finest(measures)
    assert finest == measures[2:] and [tasks.short(name, finest) for name in finest] == ["add", "sub"]


def test_gains_by_task_are_not_adjusted_for_their_number_and_the_page_says_so(data):
    read = Words(page.build(data)).text
    assert "of 84 gains," in read and "If none were real, about 2.1 would be on each side" in read
    assert "95 % interval, not adjusted for the number of tasks" in read


def test_which_teacher_is_best_where(data):
    """One benchmark has no such table. Two have: the best, how many are tied with it, and all distances."""
    assert tasks.benchmarks(gather(data)) is None
    whole = [row for row in data["performance"] if row["measure"] == "miniworld/verify"]
    turned = [{**row, "measure": "exam/verify/b"} for row in whole]
    for row in turned:
        if row["kind"] == "student" and row.get("value") is not None and row["base"] == "bs":
            row["behind_best"] = 0.0 if row["unit"] == "concise-s" else 7.5
            row["tied_with_best"] = row["unit"] in ("concise-s", "steps-l")
    more = [
        {**row, "measure": name} for row in turned for name in ("exam/verify", "exam/verify/a", "exam/verify/b/easy")
    ]
    made = {**data, "performance": [*data["performance"], *turned, *more]}
    found = tasks.benchmarks(gather(made))
    # the suite `exam` has two tasks, `miniworld` has one; a category is no benchmark
    assert set(found["scores"]) == {"miniworld/verify", "exam/verify/a", "exam/verify/b"}
    # a named value is one where it is part of AP
    named = [{**row, "measure": f"exam/verify/a:{name}"} for row in turned for name in ("pass@1", "pass@5")]
    settings = {**data["settings"], "grid": {**data["settings"]["grid"], "performance": ["exam/verify/a:pass@1"]}}
    with_named = {**made, "performance": [*made["performance"], *named], "settings": settings, "recommendation": {}}
    assert set(tasks.benchmarks(gather(with_named))["scores"]) - set(found["scores"]) == {"exam/verify/a:pass@1"}
    cells = {row["score"]: row["cells"][0] for row in found["rows"]}
    assert (cells["exam/verify/b"]["best"], cells["exam/verify/b"]["tied"]) == ("concise-s", 1)
    html = page.build(made)
    body = body_of(html, "Which teacher is best where")
    row = next(row for row in body if row[0].startswith("exam/verify/b"))
    assert row[0].endswith("700 items") and row[1].startswith("concise-s") and row[1].endswith("tied with 1 of 6")
    heat = body_of(html, "Points behind the best, bs")
    head, *rows = heat
    by_unit = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    assert by_unit["steps-l"]["exam/verify/b"] == f"{text.MINUS}7.5"
    assert not by_unit["concise-s"]["exam/verify/b"].startswith(text.MINUS)
    assert "best where" not in page.build(data)
