"""The table of operators and rounds of an evolved set, from hand-made rows."""

from evolved_rows import seed_row
from teachergrid.analysis import evolution
from teachergrid.store import artifacts


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
