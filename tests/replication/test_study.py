"""The first paper's tables through the statistics: every number."""

import numpy as np
import pytest
from teachergrid.replication import comparisons, study
from teachergrid.stats import families

WANTED = {
    "AP of Table 2": 7,
    "AP of Table 3": 8,
    "Averages of Table 4": 9,
    "Borrowed ranking": 6,
    "Regret of one teacher for all bases": 4,
    "Steps within a family": 78,
    "Intervals of Table 4's averages": 6,
    "Teacher size": 5,
    "Two benchmarks": 5,
    "Teacher and base": 4,
}


@pytest.fixture(scope="module")
def sections():
    return {section.title: section for section in study.sections(study.load())}


@pytest.mark.parametrize("title", WANTED)
def test_every_number_comes_out(sections, title):
    comparisons = sections[title].comparisons
    assert len(comparisons) == WANTED[title]
    assert [comparison.text for comparison in comparisons if not comparison.ok] == []


def test_no_section_goes_untested(sections):
    assert list(sections) == list(WANTED)


def test_the_numbers_asked_for(sections):
    borrowed = dict(sections["Borrowed ranking"].rows)["borrowed ranking"]
    assert [borrowed[base].printed for base in study.BASES] == ["0.925", "0.909", "0.868", "0.935", "0.925"]
    regrets = [row["mean"].printed for _, row in sections["Regret of one teacher for all bases"].rows]
    assert regrets == ["0.52", "1.33", "6.28", "7.53"]
    intervals = {
        of: (row["low"].printed, row["high"].printed) for of, row in sections["Intervals of Table 4's averages"].rows
    }
    assert intervals["CAR"] == ("0.72", "0.96") and len(intervals) == 3
    assert dict(sections["Averages of Table 4"].rows)["CAR"]["average"].printed == "0.8888"


def test_published_siblings_and_kinship():
    published_study = study.load()
    assert len(published_study.steps()) == 13
    assert [int((gaps > 0).sum()) for _, _, gaps in published_study.steps()][:2] == [4, 0]  # Phi-3
    own = families.kinship(published_study.ap, published_study.self_pair)
    assert own.cells == 3 and own.p < 0.01
    # the published residuals are from the mean of all five bases; from the other four they are 5/4 of that
    assert own.mean == pytest.approx((1.433 + 1.165 + 0.610) / 3 * 5 / 4, abs=1e-3)
    for b, teacher in zip(*np.nonzero(published_study.self_pair), strict=True):
        z = (published_study.ap - published_study.ap.mean(1, keepdims=True)) / published_study.ap.std(1, keepdims=True)
        others = z[b, teacher] - np.delete(z[:, teacher], b).mean()
        assert others == pytest.approx(families.residuals(published_study.ap)[b, teacher] * 5 / 4)


def test_the_numbers_that_the_paper_prints_are_told_from_those_that_follow(sections):
    assert comparisons.counts(list(sections.values())) == {
        "printed": 24,
        "printed_ok": 24,
        "derived": 108,
        "derived_ok": 108,
    }
    assert {title for title, section in sections.items() if section.printed} == {
        "AP of Table 2",
        "AP of Table 3",
        "Averages of Table 4",
    }


def test_what_is_said_beyond_the_paper():
    said = " ".join(study.beyond(study.load()))
    assert "teach it +1.34 sd better than they teach the others" in said
    assert "neither an effect nor that there is none" in said
    assert "overlapping intervals are no test" in said
    assert "p with the 6 families shuffled" in said
