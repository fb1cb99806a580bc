"""Scales of plots."""

import pytest
from teachergrid.pages import svg


def test_scales_put_values_where_they_belong():
    even = svg.Scale([], 100, 200, domain=(0, 10))
    assert [even(v) for v in (0, 5, 10, 99)] == [100, 150, 200, 200]
    assert [label for _, label in even.ticks(5)] == ["0", "2", "4", "6", "8", "10"]
    log = svg.Scale([], 0, 100, log=True, domain=(1, 100))
    assert log(10) == pytest.approx(50)
    constant = svg.Scale([3.0, 3.0], 0, 100)
    assert constant(3) == pytest.approx(50)
