"""Numbers and names as text."""

import math

import pytest
from teachergrid.pages import text


@pytest.mark.parametrize(
    "shown, wanted",
    [
        (text.within(45.24, 43.06, 47.44), "45.2 [43.1, 47.4]"),
        (text.within(-0.04, None, 1), "0.0"),
        (text.within(-3.25, -5, 1, 1, True), "\u22123.2 [\u22125.0, +1.0]"),
        (text.number(None), "—"),
        (text.probability(0.00004), "<\u00a00.001"),
        (text.probability(0.0471), "0.047"),
        (text.percent(0.731), "73\u00a0%"),
        (text.percent(0.004), "0.4\u00a0%"),
        (text.percent(0.00001), "<\u00a00.1\u00a0%"),
        (text.percent(0), "0\u00a0%"),
        (text.significant(0.0005, 2), "0.0005"),
        (text.significant(0), "0"),
        (text.significant(1234.5), "1234"),
        (text.parameters(0.00027), "0.27\u00a0M"),
        (text.parameters(7.62), "7.62\u00a0B"),
        (text.parameters(405), "405\u00a0B"),
        (text.count(12800), "12\u202f800"),
        (text.duration(59.97), "1\u00a0min 0\u00a0s"),
        (text.duration(4.12), "4.1\u00a0s"),
        (text.duration(7500), "2\u00a0h 5\u00a0min"),
        (text.listing(["a", "b", "c"]), "a, b and c"),
        (text.listing([]), ""),
        (text.together(["<b>"]), '<span class="name">&lt;b&gt;</span>'),
        (text.breakable("a/<b"), "a/<wbr>&lt;b"),
        (text.clipped("x" * 12, 10), "xxxxxxxxxx … (2 more characters)"),
    ],
)
def test_numbers_as_text(shown, wanted):
    assert shown == wanted


def test_undefined_numbers_have_one_form():
    given = {"a": [math.nan, 1.0, (math.inf, "nan")], "b": {"c": -math.inf, "d": 0}}
    assert text.clean(given) == {"a": [None, 1.0, [None, "nan"]], "b": {"c": None, "d": 0}}
