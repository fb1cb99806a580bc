"""The second paper's tables: every number, and gaps by hand."""

import pytest
from teachergrid.replication import comparisons, evolvers, published


@pytest.fixture(scope="module")
def tables():
    return evolvers.load()


@pytest.fixture(scope="module")
def sections(tables):
    return {section.title: section for section in evolvers.sections(tables)}


def test_the_published_numbers_are_all_there():
    rows = published.rows("evolvers")
    assert len(rows) == 1017 and sum(row["paper"] == evolvers.PAPER for row in rows) == 872


def test_every_number_comes_out(sections):
    assert comparisons.counts(list(sections.values())) == {
        "printed": 14,
        "printed_ok": 14,
        "derived": 70,
        "derived_ok": 70,
    }
    assert {title for title, section in sections.items() if section.printed} == {
        "FollowBench averages of Table 3",
        "Means of Table 15",
    }


def test_the_numbers_asked_for(sections):
    cells = dict(sections["Small against large evolvers"].rows)
    wanted = {"Table 1": (42, 48), "Table 2": (39, 48), "Table 3": (68, 84), "Table 4": (23, 24)}
    wanted |= {"Table 10": (20, 24), "Table 11": (45, 56), "Table 12": (11, 12)}
    assert {name: (row["better"].ours, row["cells"].ours) for name, row in cells.items() if name in wanted} == wanted
    gaps = {name: row["points"].printed for name, row in sections["Mean differences"].rows}
    assert list(gaps.values()) == ["2.24", "2.03", "3.44", "5.02", "3.69", "2.06", "1.37", "2.00"]


def test_a_gap_and_its_noise_by_hand():
    pair = evolvers.Pair("base", "1", "", "HumanEval", "pass@1", small=50.0, large=30.0)
    assert pair.gap == 20
    assert pair.noise == pytest.approx(100 * (0.5 * 0.5 / 164 + 0.3 * 0.7 / 164) ** 0.5)
    assert pair._replace(benchmark="MMLU", metric="acc").noise is None


def test_a_win_rate_and_its_interval(tables):
    first = tables.wins()[0]
    assert first.name == "Llama-3-8B, IC-IFD vs IFD, ratio 5%"
    wins = [1.0] * 421 + [0.5] * 57 + [0.0] * 327
    mean = sum(wins) / 805
    error = (sum((win - mean) ** 2 for win in wins) / 805 / 805) ** 0.5
    assert (first.rate, first.low, first.high) == pytest.approx(
        [100 * mean, 100 * (mean - 1.96 * error), 100 * (mean + 1.96 * error)]
    )


def test_the_two_sets_of_table_15(tables):
    small, large = tables.sets()["SLM"], tables.sets()["LLM"]
    assert large["mean of 4 IFEval metrics"] > small["mean of 4 IFEval metrics"]
    assert large["mean IC-IFD"] > small["mean IC-IFD"] and large["mean IFD"] < small["mean IFD"]
