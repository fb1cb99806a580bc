"""Counts, shares, sizes, times and the text of others as a terminal shows them.

The pages of a report have their own typography (pages/text).
"""

import re
from typing import Literal

# What changes how a terminal or a browser shows the text around it, or is invisible itself: control characters (also C1) but
# tab and newline, marks and overrides of the writing direction, separators of lines, halves of a character, and tags.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def count(n: int) -> str:
    """12800 -> 12,800"""
    return f"{n:,}"


def number(value: float) -> str:
    """1234.5 -> 1,234; 3.21 -> 3.2; a small number above 0 is shown as <0.1 or <0.01, never as 0."""
    if 0 < value < 0.05:
        return "<0.1" if value >= 0.005 else "<0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def between(low: float, high: float) -> str:
    """8.0 to 21; one number where both ends are shown alike."""
    return number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"


def with_range(value: float, low: float, high: float, unit: str = "") -> str:
    """12 GPU-hours (8.0 to 21); the value alone where its range says no more."""
    text, ends = f"{number(value)} {unit}".rstrip(), between(low, high)
    return text if ends == number(value) else f"{text} ({ends})"


def percent(share: float) -> str:
    """0.731 -> 73 %"""
    return f"{100 * share:.0f} %"


def clipped(text: str, width: int) -> str:
    """Return the text, cut to so many characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def span(seconds: float, largest: Literal["min", "h", "d"] = "d") -> str:
    """50 -> 50 s, 250 -> 4 min, 8000 -> 2.2 h, 300000 -> 3.5 d. largest: the largest unit to use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400 or largest == "min":
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400 or largest == "h":
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"


def size(n_bytes: float) -> str:
    """999 -> 999 bytes, 36_100_000 -> 36.1 MB, in the unit that fits, up to TB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if n_bytes < 1000 or unit == "TB":
            break
        n_bytes /= 1000
    return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"


def gigabytes(n_bytes: float) -> str:
    """145_400_000_000 -> 145.4 GB: always in GB, so that several sizes compare at a glance."""
    return f"{n_bytes / 1e9:.1f} GB"


def visible(text: str) -> str:
    """Return a text with each character of UNSEEN as an escape of Python: ESC -> \\x1b. Tabs and newlines stay.

    Text of a model, a data set or a log could otherwise clear a terminal, set its title, or hide a line.
    """
    return UNSEEN.sub(lambda match: ascii(match[0])[1:-1], text)
