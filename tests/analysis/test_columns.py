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
    assert columns.family_p_columns(x, x, families, 0) == {}


def test_too_few_families_for_a_test_are_counted():
    x = np.arange(6.0)
    assert columns.family_p_columns(x, x, list("aabbcc"), 0) == {"p_family": None, "families": 3}
    assert columns.family_p_columns(x, x, list("aabbcd"), 0)["families"] == 4
