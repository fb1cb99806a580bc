"""The few SVG elements that the plots are made of. Text and lines take the page's colours, in light and dark."""

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

from .text import MINUS


def element(name: str, *content: str, **attributes: str | float | None) -> Markup:
    """Return <name attribute="value">content</name>, all text escaped; `css` becomes class, _ becomes -."""
    written = {key.replace("_", "-"): value for key, value in attributes.items() if value is not None}
    if "css" in written:
        written = {"class": written.pop("css"), **written}
    inner = Markup("").join(escape(part) for part in content)
    opening = Markup("<{}{}").format(
        Markup(name), Markup("").join(Markup(' {}="{}"').format(Markup(k), _short(v)) for k, v in written.items())
    )
    return Markup("{}>{}</{}>").format(opening, inner, Markup(name)) if inner else opening + Markup("/>")


def _short(value: str | float) -> str | float:
    """Return a number as short text, to a tenth of a unit; anything else as it is."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def picture(width: float, height: float, title: str, description: str, *content: str, readable: bool = False) -> Markup:
    """Return a plot that scales with its column and has a description for screen readers.

    Args:
        readable: never drawn smaller than it is, so that its text stays readable: it then needs a box that scrolls.
    """
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *content,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        aria_label=title,
        style=f"min-width:{width:.0f}px" if readable else None,
    )


def nothing(title: str) -> Markup:
    """Return the sentence that stands where a plot would be empty. title: of the plot."""
    return element("p", f"{title}: nothing to draw, because no value is known.", css="note")


def text(x: float, y: float, content: str, anchor: str = "start", css: str | None = None) -> Markup:
    return element("text", content, x=float(x), y=float(y), text_anchor=None if anchor == "start" else anchor, css=css)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    return element(
        "path", d=f"M{_short(float(x1))} {_short(float(y1))}L{_short(float(x2))} {_short(float(y2))}", css=css
    )


def polyline(points: list[tuple[float, float]], css: str) -> Markup:
    return element("path", d="M" + "L".join(f"{_short(float(x))} {_short(float(y))}" for x, y in points), css=css)


LEAST_ROOM = 0.04  # decades at both ends of a logarithmic scale: values that are nearly equal look so, and share a tick

# outlines around (0, 0), of about equal area, so that series differ in shape as well as in colour
SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "M-3.6-3.6h7.2v7.2h-7.2Z",
    "M0-4.8L4.6 3.4H-4.6Z",
    "M0-5L5 0L0 5L-5 0Z",
    "M0 4.8L4.6-3.4H-4.6Z",
    "M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3Z",
    "M-4.6-2.4L-2.4-4.6L0-2.2L2.4-4.6L4.6-2.4L2.2 0L4.6 2.4L2.4 4.6L0 2.2L-2.4 4.6L-4.6 2.4L-2.2 0Z",
    "M-2.4-4.4h4.8L4.8 0L2.4 4.4h-4.8L-4.8 0Z",
)


def series_class(series: int) -> str:
    """Return the CSS class of a series. After the last one colours and shapes start again."""
    return f"s{series % len(SHAPES)}"


def mark(x: float, y: float, series: int = 0, css: str = "", title: str | None = None) -> Markup:
    """Return the mark of a series at a place. title: shown while the pointer is on it."""
    return element(
        "path",
        *([element("title", title)] if title else []),
        d=SHAPES[series % len(SHAPES)],
        transform=f"translate({_short(float(x))} {_short(float(y))})",
        css=f"dot {series_class(series)} {css}".strip(),
    )


class Scale:
    """A map from values to places on the page, linear or (log) by their logarithm.

    Args:
        values: the scale covers all of them; None, and what has no logarithm, is left out.
        start, end: the places of its lowest and its highest value.
        pad: what is added at both ends, as a share of the range of the values.
        domain: the lowest and the highest value, instead of values and pad.
    """

    def __init__(
        self,
        values: Iterable[float | None],
        start: float,
        end: float,
        log: bool = False,
        pad: float = 0.06,
        domain: tuple[float, float] | None = None,
    ) -> None:
        defined = [v for v in values if v is not None and (v > 0 or not log)]
        low, high = domain or (min(defined, default=1.0 if log else 0.0), max(defined, default=10.0 if log else 1.0))
        self.log, self.start, self.end = log, start, end
        low, high = self._inner(low), self._inner(high)
        room = max(pad * (high - low), LEAST_ROOM if log else 0) if high > low else 0.5 * (abs(high) or 1)
        self.low, self.high = (low, high) if domain else (low - room, high + room)

    def _inner(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        share = (self._inner(value) - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[tuple[float, str]]:
        """Return (value, label) at multiples of 1, 2 or 5 times a power of ten, on a linear scale."""
        least = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(least))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= least * 0.999)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(i * step, f"{i * step + 0.0:.{digits}f}".replace("-", MINUS)) for i in range(first, last + 1)]
