"""Plots as inline SVG. They are drawn 400 units wide, so that their text stays readable on a phone and in a column."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from statistics import fmean
from typing import NamedTuple

from markupsafe import Markup

from . import svg
from .labels import LETTER, Placed, Point, Segment, labels, shortened
from .text import number

WIDTH = 400
RHO_STEPS = (-1, -0.5, 0, 0.5, 1)


class Dot(NamedTuple):
    """A row of `dots`: a label, a value with its interval, and what is written at the right."""

    label: str
    value: float | None  # without it the row has only its label and text
    low: float | None
    high: float | None
    text: str
    css: str = ""
    title: str | None = None  # shown while the pointer is on it
    series: int = 0  # decides colour and shape


class Level(NamedTuple):
    """A vertical line of `dots`."""

    value: float
    label: str = ""
    css: str = "zero"


ZERO = Level(0.0)


class Line(NamedTuple):
    """A line of `lines` through (x, y)."""

    label: str
    points: Sequence[tuple[float, float | None]]
    series: int


def dots(
    rows: Sequence[Dot],
    title: str,
    description: str,
    axis: str,
    lines: Sequence[Level] = (),
    domain: tuple[float, float] | None = None,
) -> Markup:
    """Return a plot of values with intervals, one row each: label left, dot and whisker, text right.

    Args:
        domain: the ends of the axis; otherwise it covers all values, intervals and lines.
    """
    if all(row.value is None for row in rows):
        return svg.nothing(title)
    left = 14 + LETTER * min(max((len(row.label) for row in rows), default=0), 24)
    right = WIDTH - 8 - LETTER * max((len(row.text) for row in rows), default=0)
    top, step = 8 + 14 * sum(bool(line.label) for line in lines), 21
    bottom = top + step * len(rows)
    covered = [value for row in rows for value in (row.value, row.low, row.high)] + [line.value for line in lines]
    x = svg.Scale(covered, left + 6, right - 10, domain=domain)
    parts: list[Markup] = []
    for value, label in x.ticks(5):
        parts.append(svg.line(x(value), top, x(value), bottom, "rule"))
        parts.append(svg.text(x(value), bottom + 15, label, "middle", "tick"))
    parts.append(svg.text((left + right) / 2, bottom + 31, axis, "middle", "axis"))
    parts += _levels(lines, x, top, bottom)
    for i, row in enumerate(rows):
        parts += _dot(row, x, left, top + step * (i + 0.5))
    return svg.picture(WIDTH, bottom + 38, title, description, *parts)


def _levels(lines: Sequence[Level], x: svg.Scale, top: float, bottom: float) -> list[Markup]:
    """Return the vertical lines, then their labels, each label one line lower than the one before."""
    drawn, labels = [], []
    for i, line in enumerate(lines):
        line_x, css = x(line.value), f"level {line.css}"
        drawn.append(svg.line(line_x, 14 * i + 6 if line.label else top, line_x, bottom, css))
        if line.label:
            fits = line_x + 5 + LETTER * len(line.label) < WIDTH
            labels.append(
                svg.text(line_x + 4 if fits else line_x - 4, 14 * i + 12, line.label, "start" if fits else "end", css)
            )
    return [*drawn, *labels]


def _dot(row: Dot, x: svg.Scale, left: float, y: float) -> list[Markup]:
    parts = [svg.text(left - 4, y + 4, shortened(row.label), "end", row.css)]
    if row.value is not None:
        if row.low is not None and row.high is not None:
            parts.append(svg.line(x(row.low), y, x(row.high), y, f"whisker {svg.series_class(row.series)} {row.css}"))
        parts.append(svg.mark(x(row.value), y, row.series, row.css, row.title))
    parts.append(svg.text(WIDTH - 4, y + 4, row.text, "end", f"value {row.css}"))
    return parts


def scatter(
    points: Iterable[Point],
    title: str,
    description: str,
    x_axis: str,
    y_axis: str,
    log: Callable[[float], str] | None = None,
) -> Markup:
    """Return a plot of points with intervals on both axes.

    log: makes the x axis logarithmic, with a tick at every x; it returns a tick's label.
    """
    shown = [p for p in points if p.x is not None and p.y is not None and (p.x > 0 or not log)]
    if not shown:
        return svg.nothing(title)
    height, left, bottom = 300, 44, 258
    xs = [value for p in shown for value in (p.x, p.x_low, p.x_high)]
    ys = [value for p in shown for value in (p.y, p.y_low, p.y_high)]
    x = svg.Scale(xs, left + 8, WIDTH - 14, log=bool(log))
    y = svg.Scale(ys, bottom - 6, 22)
    ticks = _apart([(v, log(v)) for v in sorted({p.x for p in shown if p.x is not None})], x) if log else x.ticks()
    placed = _placed(shown, x, y)
    whiskers = [(p, segment) for p in placed for segment in _whiskers(p, x, y)]
    parts = [
        *_axes(x, y, ticks, left, bottom),
        svg.text((left + WIDTH) / 2, height - 6, x_axis, "middle", "axis"),
        svg.text(4, 9, y_axis, css="axis"),
        *_links(placed, y),
        # before the whiskers, which the paper around a label would hide
        *labels(placed, (left, 12, WIDTH - 2, bottom), [segment for _, segment in whiskers]),
        *(svg.line(*segment, f"whisker {svg.series_class(p.point.series)}") for p, segment in whiskers),
        *(svg.mark(p.mark_x, p.y, p.point.series, p.point.css, p.point.title) for p in placed),
    ]
    return svg.picture(WIDTH, height, title, description, *parts)


def _axes(x: svg.Scale, y: svg.Scale, x_ticks: list[tuple[float, str]], left: float, bottom: float) -> list[Markup]:
    parts: list[Markup] = []
    for value, label in y.ticks(7):
        parts.append(svg.line(left, y(value), WIDTH - 4, y(value), "rule"))
        parts.append(svg.text(left - 6, y(value) + 4, label, "end", "tick"))
    for value, label in x_ticks:
        parts.append(svg.line(x(value), bottom, x(value), bottom + 4, "rule"))
        parts.append(svg.text(x(value), bottom + 17, label, "middle", "tick"))
    return parts


def _apart(ticks: list[tuple[float, str]], scale: svg.Scale) -> list[tuple[float, str]]:
    """Return the ticks without those whose label would touch the one before."""
    shown: list[tuple[float, str]] = []
    for value, label in ticks:
        if not shown or scale(value) - scale(shown[-1][0]) > LETTER * (len(label) + len(shown[-1][1])) / 2 + 4:
            shown.append((value, label))
    return shown


def _placed(points: list[Point], x: svg.Scale, y: svg.Scale) -> list[Placed]:
    """Return where points go. Those of the same x are side by side, so that their whiskers do not cover each other."""
    placed = []
    for i, p in enumerate(points):
        assert p.x is not None and p.y is not None
        indices = [k for k, other in enumerate(points) if other.x == p.x]
        mark_x = x(p.x) + 9 * (indices.index(i) - (len(indices) - 1) / 2)
        placed.append(Placed(p, x(p.x), y(p.y), mark_x))
    return placed


def _links(placed: list[Placed], y: svg.Scale) -> list[Markup]:
    """Return a line for each series of linked points, through the mean of y at each x."""
    links = []
    linked = sorted((p for p in placed if p.point.linked), key=lambda p: (p.point.series, p.x))
    for series, members in groupby(linked, key=lambda p: p.point.series):
        groups = ((x, list(group)) for x, group in groupby(members, key=lambda p: p.x))
        means = [(x, y(fmean(p.point.y for p in group if p.point.y is not None))) for x, group in groups]
        if len(means) > 1:
            links.append(svg.polyline(means, f"link {svg.series_class(series)}"))
    return links


def _whiskers(placed: Placed, x: svg.Scale, y: svg.Scale) -> list[Segment]:
    p, whiskers = placed.point, []
    if p.x_low is not None and p.x_high is not None:
        whiskers.append((x(p.x_low), placed.y, x(p.x_high), placed.y))
    if p.y_low is not None and p.y_high is not None:
        whiskers.append((placed.mark_x, y(p.y_low), placed.mark_x, y(p.y_high)))
    return whiskers


def lines(
    series: Sequence[Line], title: str, description: str, x_axis: str, y_axis: str, steps: Sequence[float] = RHO_STEPS
) -> Markup:
    """Return a plot of rank correlations, or shares, over a parameter.

    Args:
        series: x takes few values; they are drawn at equal distances, since the values of a sweep rarely have such.
        steps: the values of y that have a horizontal line, from the lowest to the highest.
    """
    if all(y is None for line in series for _, y in line.points):
        return svg.nothing(title)
    values = sorted({x for line in series for x, _ in line.points})
    height, left, bottom = 250, 40, 208
    right = WIDTH - 16 - LETTER * max((len(shortened(line.label)) for line in series), default=0)
    x = svg.Scale([0, max(len(values) - 1, 1)], left + 14, right, pad=0.02)
    y = svg.Scale([], bottom, 18, domain=(steps[0], steps[-1]))
    parts = [svg.text(4, 9, y_axis, css="axis"), svg.text((left + right) / 2, height - 6, x_axis, "middle", "axis")]
    for value in steps:
        parts.append(svg.line(left, y(value), right + 6, y(value), "rule" if value else "zero"))
        parts.append(svg.text(left - 6, y(value) + 4, number(value), "end", "tick"))
    parts += [svg.text(x(i), bottom + 17, f"{value:g}", "middle", "tick") for i, value in enumerate(values)]
    ends = []
    for line in series:
        defined = [(a, b) for a, b in sorted(line.points) if b is not None]
        corners = [(x(values.index(a)), y(b)) for a, b in defined]
        if len(corners) > 1:
            parts.append(svg.polyline(corners, f"link {svg.series_class(line.series)}"))
        for (a, b), corner in zip(defined, corners, strict=True):
            parts.append(svg.mark(*corner, line.series, "", f"{line.label}: {x_axis} {a:g}, {number(b, 2)}"))
        if corners:
            ends.append((corners[-1][1], shortened(line.label)))
    return svg.picture(WIDTH, height, title, description, *parts, *_end_labels(ends, right + 10))


def _end_labels(ends: list[tuple[float, str]], x: float) -> list[Markup]:
    """Return the labels at the ends of lines, from (y, label); those that would overlap move down."""
    labels, lowest = [], 0.0
    for y, name in sorted(ends):
        lowest = max(lowest + 13, y + 4)
        labels.append(svg.text(x, lowest, name, css="name"))
    return labels


def key(series: int) -> Markup:
    """Return the mark of a series, for a legend next to the plots."""
    return svg.element("svg", svg.mark(6, 6, series), viewBox="0 0 12 12", aria_hidden="true")
