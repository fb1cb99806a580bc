"""What is said of the second paper's tables beyond the paper."""

import pytest
from teachergrid.replication import evidence, evolvers


@pytest.fixture(scope="module")
def tables():
    return evolvers.load()


def test_what_the_tables_can_show_and_what_not(tables):
    said = " ".join(evidence.beyond(tables))
    assert "Table 1: 42 to 6 (p < 0.001)".replace("< 0", "<\u00a00") in said
    assert "Table 1: 6 to 0 (p 0.031)" in said and "Table 4: 3 to 0 (p 0.250)" in said
    assert "Every cell is one run" in said and "One item of HumanEval is 0.61 points" in said
    assert "28 of 564" in said and "9 of the 16 numbers of Table 11's 72B student" in said
    assert "HumanEval 65.35 and GSM8K 50.00" in said
    assert (
        "GSM8K 76.12" in said and "GSM8K 87.79" in said and "FollowBench 32.21 at two levels of Llama-3-8B, SLM" in said
    )
    assert "IC-IFD ranks them rightly, IFD wrongly" in said
    assert (
        "is 1.79 points better than all of round 3, but all of round 1 (43.19) and of round 2 (44.03) are better"
        in said
    )


def test_means_by_base(tables):
    means = evidence.by_base(tables.pairs["Table 11"])
    assert len(means) == 7 and [base for base, gap in means.items() if gap < 0] == ["Qwen-2.5-0.5B"]


def test_the_plot_script_is_no_table(tables):
    """Seeds (round 0) are not in Table 10."""
    off, both = evidence.plot_script(tables)
    assert both == 18 and off == 14
