"""Figures that are no mean, as values whose mean they are and whose spread is their noise."""

import numpy as np
import pytest
from teachergrid.evaluation.measures import add, named, pass_at, ratio


def test_the_mean_of_a_ratios_values_is_the_ratio():
    parts = [(1, 1), (0, 3), (2, 3), (1, 2)]
    assert np.mean(ratio(parts)) == pytest.approx(4 / 9)
    assert ratio([(1, 2), (2, 2)]) == [0.5, 1]


def test_the_spread_of_a_ratios_values_is_its_noise():
    rng = np.random.default_rng(1)
    of = rng.integers(1, 4, 500)
    met = rng.binomial(of, 0.7)
    values = np.array(ratio(list(zip(met.tolist(), of.tolist(), strict=True))))
    draws = rng.integers(0, 500, (4000, 500))
    ratios = met[draws].sum(1) / of[draws].sum(1)
    assert values.std(ddof=1) / np.sqrt(500) == pytest.approx(ratios.std(), rel=0.05)


@pytest.mark.parametrize(
    ("k", "samples", "right", "value"), [(1, 4, 1, 0.25), (2, 4, 1, 0.5), (4, 4, 1, 1), (2, 4, 0, 0), (2, 3, 2, 1)]
)
def test_pass_at_k(k, samples, right, value):
    """The share of draws of k that hold a right one."""
    assert pass_at(k, samples, right) == pytest.approx(value)


def test_measures_of_a_tasks_answers():
    def row(id, score):
        return {"id": id, "score": score}

    rows = [row("a", 1.0), row("a", 0.0), row("b", 0.0), row("b", 0.0), row("c", None), row("c", 1.0)]
    parts = [{"loose": (2, 2)}, {"loose": (1, 2)}, {"loose": (1, 1)}, {"loose": (0, 1)}, {}, {"loose": (1, 1)}]
    add(rows, parts, at=[1, 2])
    values = [{one["measure"]: one["value"] for one in row["measures"] or ()} for row in rows]
    assert values[4] == {}
    assert [one["pass@2"] for one in values[:4]] == [1, 1, 0, 0]
    # c has one answer with a score, which is too few for 2
    assert values[5] == {"loose": pytest.approx(values[5]["loose"]), "pass@1": 1}
    assert np.mean([one["loose"] for one in values if one]) == pytest.approx(5 / 7)
    assert named({"a": 1}) == [{"measure": "a", "value": 1.0}]
    rows = [row("a", 1.0)]
    add(rows, [{}])
    assert rows[0]["measures"] is None
