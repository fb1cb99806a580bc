"""Accuracies that no number of right answers gives, columns that look exchanged, numbers that occur twice."""

import pytest
from teachergrid.replication import evolvers, misprints


@pytest.fixture(scope="module")
def tables():
    return evolvers.load()


@pytest.mark.parametrize(
    ("text", "items", "possible"),
    [
        ("24.39", 164, True),  # 40 of 164 is 24.390
        ("10.20", 164, False),  # 17 of 164 is 10.366
        ("65.35", 1319, True),
        ("65.35", 164, False),
        ("58.83", 5000, False),  # two decimals of k/5000 are even
        ("0.00", 541, True),
        ("100.00", 541, True),
    ],
)
def test_possible_by_hand(text, items, possible):
    assert misprints.possible(text, items) is possible


def test_the_28_of_564(tables):
    found = tables.misprints()
    assert (len(tables.accuracies()), len(found)) == (564, 28)
    assert sum(one.by_one_digit for one in found) == 12
    of_table = [one for one in found if one.printed.run[0] == "Table 11"]
    assert sum("72B" in one.printed.run[1] for one in of_table) == 9
    named = {(one.printed.run[0], one.printed.run[1], one.printed.text) for one in found}
    assert {
        ("Table 11", "Qwen-2.5-1.5B", "49.94"),
        ("Table 11", "Qwen-2.5-1.5B", "42.67"),
        ("Table 2", "Llama-3-8B", "38.92"),
        ("Table 2", "Llama-3-8B", "52.19"),
        ("Table 2", "InternLM-2-7B", "44.12"),
        ("Table 2", "InternLM-2-7B", "58.73"),
        ("Table 9", "Mistral-7B-v0.3", "10.20"),
    } <= named
    worst = max(found, key=lambda one: one.off)
    assert (worst.printed.text, worst.nearest, round(worst.off, 2)) == ("70.96", "70.73", 0.23)


def test_exchanged_columns(tables):
    assert [(a.text, b.text) for a, b in misprints.swapped(tables.accuracies())] == [
        ("65.35", "50.00"),
        ("70.96", "54.27"),
    ]


def test_numbers_that_occur_twice(tables):
    found = {tuple(cell.text for cell in of) for _, _, of in misprints.repeated(tables.accuracies())}
    assert found == {("34.75", "45.80"), ("76.12",), ("87.79",), ("0.56",)}
