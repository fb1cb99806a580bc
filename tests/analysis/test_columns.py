"""The columns of rows of correlations."""

import numpy as np
import pytest
from teachergrid.analysis import columns

NAN = float("nan")


def test_the_choice_names_all_that_tie():
    x, y = np.array([3.0, 5.0, 5.0, 9.0]), np.array([1.0, 2.0, 3.0, NAN])
    assert columns.choice(x, y, list("wxyz")) == "x, y"
    assert columns.choice(x * NAN, y, list("wxyz")) is None


def test_an_interval_takes_the_sign_of_the_values():
    assert columns.signed((0.2, 0.6), -1) == (-0.6, -0.2)
    assert columns.signed(None, -1) == (None, None)


@pytest.mark.parametrize("families", [["a"] * 6, list("abcdef"), [None] * 6])
def test_one_family_or_all_different_ones_need_no_test_over_families(families):
    x = np.arange(6.0)
    assert columns.family_p_columns(x, x, families, 50, 0, 1) == {}


def test_too_few_families_for_a_test_are_counted():
    x = np.arange(6.0)
    few = columns.family_p_columns(x, x, list("aabbcc"), 50, 0, 1)
    wanted = {"p_family": None, "families": 3, "low_of_families": None, "high_of_families": None}
    # ranks of 0 1 | 2 3 | 4 5: mean squares 8 between and 0.5 within, so the ICC is 7.5 / 8.5; n / (1 + ICC^2)
    assert few == wanted | {"n_effective": pytest.approx(6 / (1 + (7.5 / 8.5) ** 2))}
    assert columns.turned(few, -1) == few


def test_an_interval_over_families_has_the_sign_of_the_values():
    x = np.arange(8.0)
    y = np.array([1.0, 0, 3, 2, 5, 4, 7, 6])
    up = columns.family_p_columns(x, y, list("aabbccdd"), 200, 0, 1)
    assert up["families"] == 4 and -1 <= up["low_of_families"] <= up["high_of_families"] <= 1
    down = columns.family_p_columns(x, y, list("aabbccdd"), 200, 0, -1)
    assert down == columns.turned(up, -1) and down["low_of_families"] == -up["high_of_families"]
