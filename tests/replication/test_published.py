"""The first paper's tables as shipped: AP, and short names of teachers."""

import pytest
from teachergrid.replication import published


@pytest.mark.parametrize(
    ("teacher", "short"),
    [
        ("Meta-Llama-3-8B-Instruct", "Llama-3-8B"),
        ("Phi-3-mini-128k-instruct", "Phi-3-mini"),
        ("gemma-2-9b-it", "gemma-2-9b"),
        ("Mistral-Large", "Mistral-Large"),
    ],
)
def test_short_names(teacher, short):
    assert published.short(teacher) == short


def test_every_cell_of_table_6_has_an_ap():
    rows = [row for row in published.rows() if row["table"] == "Table6"]
    cells = {}
    for row in rows:
        cells.setdefault((row["base_model"], row["teacher"]), {})[row["metric"]] = float(row["value"])
    assert len(cells) == 5 * 19
    for scores in cells.values():
        assert scores["AP"] == pytest.approx((scores["AE2_LC"] + scores["AH"]) / 2, abs=6e-4)
