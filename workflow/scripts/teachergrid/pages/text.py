"""Numbers as a person reads them. What is undefined is an em dash."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

DASH = "—"
MINUS = "\u2212"
SPACE = "\u00a0"  # keeps a number with its unit


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """Return a rounded number: 45.23 -> 45.2, -0.04 -> 0.0, None -> em dash; with sign: +17.8."""
    if value is None:
        return DASH
    rounded = round(value, digits) + 0.0  # -0.0 becomes 0.0
    text = f"{abs(rounded):.{digits}f}"
    if rounded < 0:
        return MINUS + text
    return "+" + text if sign and rounded > 0 else text


def significant(value: float | None, digits: int = 3) -> str:
    """Return significant digits without an exponent or trailing zeros: 0.001234 -> 0.00123, 0.5 -> 0.5, 1234.5 -> 1234."""
    if value is None:
        return DASH
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    decimal = number(value, min(max(decimals, 0), 8))
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal


def within(value: float | None, low: float | None, high: float | None, digits: int = 1, sign: bool = False) -> str:
    """Return 45.2 [43.1, 47.4]; the value alone where there is no interval."""
    if value is None or low is None or high is None:
        return number(value, digits, sign)
    return f"{number(value, digits, sign)} [{number(low, digits, sign)}, {number(high, digits, sign)}]"


def probability(p: float | None) -> str:
    if p is None:
        return DASH
    return "<" + SPACE + "0.001" if p < 0.001 else number(p, 3)


def percent(share: float | None) -> str:
    """Return 0.731 -> 73 %; shares below 10 % have one decimal, so that a rare event does not look like none."""
    if share is None:
        return DASH
    digits = 1 if 0 < share < 0.0995 else 0
    if 0 < share < 0.0005:
        return f"<{SPACE}0.1{SPACE}%"
    return f"{number(100 * share, digits)}{SPACE}%"


def count(n: float | None) -> str:
    """Return 12800 -> 12 800."""
    return DASH if n is None else f"{n:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Return 4.12 -> 4.1 s, 250 -> 4 min 10 s, 7500 -> 2 h 5 min"""
    if seconds is None:
        return DASH
    if round(seconds, 1) < 60:
        return f"{number(seconds)}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def parameters(billions: float | None) -> str:
    """Return 0.00027 -> 0.27 M, 7.6 -> 7.6 B"""
    if billions is None:
        return DASH
    value, unit = (billions, "B") if billions >= 1 else (1000 * billions, "M")
    return f"{significant(value)}{SPACE}{unit}"


def listing(names: list[str]) -> str:
    """Return "a, b and c"."""
    *first, last = list(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def together(names: list[str]) -> Markup:
    """Return the same with no line break inside a name."""
    *first, last = [Markup('<span class="name">{}</span>').format(name) for name in names] or [Markup()]
    return Markup("{} and {}").format(Markup(", ").join(first), last) if first else last


def breakable(name: str) -> Markup:
    """Allow a line break after every slash of a long name."""
    return escape(name).replace("/", Markup("/<wbr>"))


def coded(words: str) -> Markup:
    """Return run `x` -> run <code>x</code>."""
    parts = enumerate(words.split("`"))
    return Markup().join(Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in parts)


def clipped(text: str | None, longest: int = 900) -> str:
    """Return the text, cut with a note on how much is left out, so that a page stays small."""
    text = text or ""
    return text if len(text) <= longest else f"{text[:longest]} … ({count(len(text) - longest)} more characters)"


def clean(value: Any) -> Any:
    """Return nested data with NaN and infinities as None, so that what is undefined has one form."""
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
