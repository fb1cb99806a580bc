"""Numbers, times and sizes as a terminal shows them."""

from teachergrid import units


def test_what_is_not_quite_nothing_is_never_zero():
    assert [units.number(n) for n in (0, 0.001, 0.02, 3.21, 1234.5)] == ["0.0", "<0.01", "<0.1", "3.2", "1,234"]


def test_times_are_shown_in_the_unit_that_fits():
    assert [units.span(n) for n in (50, 250, 8000, 300000)] == ["50 s", "4 min", "2.2 h", "3.5 d"]
    assert [units.span(300000, largest=unit) for unit in ("min", "h", "d")] == ["5000 min", "83.3 h", "3.5 d"]


def test_sizes_are_shown_in_the_unit_that_fits():
    sizes = (999, 1000, 36_100_000, 145_400_000_000, 2e15)
    assert [units.size(n) for n in sizes] == ["999 bytes", "1.0 kB", "36.1 MB", "145.4 GB", "2000.0 TB"]
    assert units.gigabytes(36_100_000) == "0.0 GB"


def test_a_range_is_shown_where_it_says_something():
    assert (units.between(8, 21), units.between(0.02, 0.03)) == ("8.0 to 21.0", "<0.1")
    assert units.with_range(12, 8, 21.4, "GPU-hours") == "12.0 GPU-hours (8.0 to 21.4)"
    assert units.with_range(0.01, 0.006, 0.04, "USD") == "<0.1 USD"
    assert units.with_range(0.01, 0.006, 0.2) == "<0.1 (<0.1 to 0.2)"


def test_counts_shares_and_long_texts():
    assert (units.count(12800), units.percent(0.731)) == ("12,800", "73 %")
    assert (units.clipped("abcd", 4), units.clipped("abcde", 4)) == ("abcd", "abc…")


def test_control_characters_are_visible():
    text = "\x1b]0;title\x07\r\x9b2J\x7f \u202eabc\u2066 \u2028 \ud800 \U000e0041"
    shown = r"\x1b]0;title\x07\r\x9b2J\x7f \u202eabc\u2066 \u2028 \ud800 \U000e0041"
    assert units.visible(text) == shown
    plain = "a\tb\nc é 中 👩\u200d🚀 12\u202f800\u00a0s \\x1b 'q'"
    assert units.visible(plain) == plain
