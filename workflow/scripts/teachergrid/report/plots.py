"""Plots as inline SVG. They are drawn 400 units wide, so that their text stays readable on a phone and in a column."""

from statistics import fmean

from markupsafe import Markup

from . import svg
from .text import number

WIDTH = 400
LETTER = 6.6  # mean width of a letter at the plots' 11 units, in a wide font
# of a label beside its point: right and left on the line, above and below it, then over and under the point
PLACES = (
    *((7, 4, 0), (-7, 4, 1), (7, -6, 0), (7, 14, 0), (-7, -6, 1), (-7, 14, 1)),
    *((0, -9, 0.5), (0, 17, 0.5), (0, -21, 0.5), (0, 29, 0.5)),
)
CROWD = 12  # points; among more a label stands right beside its point or not at all
RHO_STEPS = (-1, -0.5, 0, 0.5, 1)


def dots(rows, title, description, axis, lines=(), domain=None, values=None) -> Markup:
    """Values with intervals, one row each: label left, dot and whisker, text right.

    rows: {"label", "value", "low", "high", "text", "css", "title", "series"}; a null value keeps its row and its text.
    lines: (value, label, css), vertical. values: numbers the axis must cover.
    """
    rows, lines = list(rows), list(lines)
    left = 14 + LETTER * min(max((len(row["label"]) for row in rows), default=0), 24)
    right = WIDTH - 8 - LETTER * max((len(row.get("text") or "") for row in rows), default=0)
    top, step = 8 + 14 * len([label for _, label, _ in lines if label]), 21
    bottom = top + step * len(rows)
    shown = (
        [row.get(key) for row in rows for key in ("value", "low", "high")]
        + [v for v, _, _ in lines]
        + list(values or ())
    )
    x = svg.Scale(shown, left + 6, right - 10, domain=domain)
    parts = []
    for value, label in x.ticks(5):
        parts.append(svg.line(x(value), top, x(value), bottom, "rule"))
        parts.append(svg.text(x(value), bottom + 15, label, "middle", "tick"))
    parts.append(svg.text((left + right) / 2, bottom + 31, axis, "middle", "axis"))
    for i, (value, label, css) in enumerate(lines):
        parts.append(svg.line(x(value), 14 * i + 6 if label else top, x(value), bottom, f"level {css}"))
    for i, (value, label, css) in enumerate(lines):
        room_right = x(value) + 5 + LETTER * len(label) < WIDTH
        at, anchor = (x(value) + 4, "start") if room_right else (x(value) - 4, "end")
        parts.append(svg.text(at, 14 * i + 12, label, anchor, f"level {css}") if label else "")
    for i, row in enumerate(rows):
        y, css = top + step * (i + 0.5), row.get("css") or ""
        parts.append(svg.text(left - 4, y + 4, _short(row["label"]), "end", css))
        if row.get("value") is not None:
            if row.get("low") is not None and row.get("high") is not None:
                parts.append(svg.line(x(row["low"]), y, x(row["high"]), y, f"whisker s{row.get('series', 0)} {css}"))
            parts.append(svg.mark(x(row["value"]), y, row.get("series", 0), css, row.get("title")))
        parts.append(svg.text(WIDTH - 4, y + 4, row.get("text") or "", "end", f"value {css}"))
    return svg.picture(WIDTH, bottom + 38, title, description, *parts)


def scatter(points, title, description, x_axis, y_axis, log=None) -> Markup:
    """Points with intervals on both axes.

    points: {"x", "y", "x_low", "x_high", "y_low", "y_high", "label", "series", "css", "title"}; those without x or y
    are left out. "link" joins the points of a series, by their mean at each x. log: makes the x axis logarithmic, with a
    tick at every x as this function writes it.
    """
    points = [p for p in points if p["x"] is not None and p["y"] is not None and (p["x"] > 0 or not log)]
    height, left, bottom = 300, 44, 258
    x = svg.Scale(_extent(points, "x"), left + 8, WIDTH - 14, log=bool(log))
    y = svg.Scale(_extent(points, "y"), bottom - 6, 22)
    parts = []
    for value, label in y.ticks(7):
        parts += [
            svg.line(left, y(value), WIDTH - 4, y(value), "rule"),
            svg.text(left - 6, y(value) + 4, label, "end", "tick"),
        ]
    for value, label in _apart([(v, log(v)) for v in sorted({p["x"] for p in points})], x) if log else x.ticks():
        parts += [svg.line(x(value), bottom, x(value), bottom + 4, "rule")]
        parts += [svg.text(x(value), bottom + 17, label, "middle", "tick")]
    parts += [svg.text((left + WIDTH) / 2, height - 6, x_axis, "middle", "axis"), svg.text(4, 9, y_axis, css="axis")]
    at = _beside(points, x)
    for series in sorted({p["series"] for p in points if p.get("link")}):
        linked = [p for p in points if p["series"] == series and p.get("link")]
        chain = [(x(v), y(fmean(p["y"] for p in linked if p["x"] == v))) for v in sorted({p["x"] for p in linked})]
        if len(chain) > 1:
            parts.append(svg.polyline(chain, f"link s{series % len(svg.SHAPES)}"))
    for p, px in zip(points, at, strict=True):
        css = f"whisker s{p['series'] % len(svg.SHAPES)}"
        if p.get("x_low") is not None and p.get("x_high") is not None:
            parts.append(svg.line(x(p["x_low"]), y(p["y"]), x(p["x_high"]), y(p["y"]), css))
        if p.get("y_low") is not None and p.get("y_high") is not None:
            parts.append(svg.line(px, y(p["y_low"]), px, y(p["y_high"]), css))
    placed, places = [], PLACES if len(points) <= CROWD else PLACES[:2]
    for p, px in zip(points, at, strict=True):
        parts.append(svg.mark(px, y(p["y"]), p["series"], p.get("css") or "", p.get("title")))
        placed.append((px - 5, y(p["y"]) - 5, px + 5, y(p["y"]) + 5))
    for p, px in zip(points, at, strict=True):
        parts.append(_label(px, y(p["y"]), p["label"], placed, (left, 12, WIDTH - 2, bottom), places))
    return svg.picture(WIDTH, height, title, description, *parts)


def _extent(points, axis):
    return [p.get(key) for p in points for key in (axis, f"{axis}_low", f"{axis}_high")]


def _beside(points, scale):
    """Places on the x axis; points of the same x stand side by side, so that their whiskers can be told apart."""
    places = []
    for i, p in enumerate(points):
        same = [k for k, other in enumerate(points) if other["x"] == p["x"]]
        places.append(scale(p["x"]) + 9 * (same.index(i) - (len(same) - 1) / 2))
    return places


def _apart(ticks, scale):
    """Leave out the ticks whose labels would touch the one before."""
    kept = []
    for value, label in ticks:
        if not kept or scale(value) - scale(kept[-1][0]) > LETTER * (len(label) + len(kept[-1][1])) / 2 + 4:
            kept.append((value, label))
    return kept


def _label(x, y, text, placed, frame, places):
    """Put a label beside its point where it covers no other point or label; where no place is free it is left out (the
    point says it when hovered over, and a table has all)."""
    width, text = LETTER * len(_short(text)), _short(text)
    for dx, dy, anchor in places:
        start, base = x + dx - anchor * width, y + dy
        if anchor == 0.5:
            start = min(max(start, frame[0]), frame[2] - width)
        box = (start, base - 9, start + width, base + 2)
        inside = box[0] >= frame[0] and box[2] <= frame[2] and box[1] >= frame[1] and box[3] <= frame[3]
        if inside and not any(a < box[2] and box[0] < c and b < box[3] and box[1] < d for a, b, c, d in placed):
            placed.append(box)
            return svg.text(start, base, text, css="name")
    return ""


def lines(series, title, description, x_axis, y_axis, steps=RHO_STEPS) -> Markup:
    """Rank correlations, or shares, over a parameter. steps: where y has a rule, from its lowest value to its highest.

    series: {"label", "points": [(x, y)], "series"}; x are few values, placed evenly, since a sweep is rarely regular.
    """
    places = sorted({x for s in series for x, _ in s["points"]})
    names = [s["label"] for s in series]
    height, left, bottom = 250, 40, 208
    right = WIDTH - 16 - LETTER * max((len(_short(name)) for name in names), default=0)
    x = svg.Scale([0, max(len(places) - 1, 1)], left + 14, right, pad=0.02)
    y = svg.Scale([], bottom, 18, domain=(steps[0], steps[-1]))
    parts = [svg.text(4, 9, y_axis, css="axis"), svg.text((left + right) / 2, height - 6, x_axis, "middle", "axis")]
    for value in steps:
        css = "zero" if value == 0 else "rule"
        parts += [
            svg.line(left, y(value), right + 6, y(value), css),
            svg.text(left - 6, y(value) + 4, number(value), "end", "tick"),
        ]
    parts += [svg.text(x(i), bottom + 17, f"{value:g}", "middle", "tick") for i, value in enumerate(places)]
    ends = []
    for s in series:
        chain = [(x(places.index(a)), y(b)) for a, b in sorted(s["points"]) if b is not None]
        if len(chain) > 1:
            parts.append(svg.polyline(chain, f"link s{s['series'] % len(svg.SHAPES)}"))
        for (a, b), (px, py) in zip([p for p in sorted(s["points"]) if p[1] is not None], chain, strict=True):
            parts.append(svg.mark(px, py, s["series"], "", f"{s['label']}: {x_axis} {a:g}, {number(b, 2)}"))
        if chain:
            ends.append([chain[-1][1], _short(s["label"])])
    lowest = 0.0
    for height_at, name in sorted(ends):
        lowest = max(lowest + 13, height_at + 4)  # labels that would overlap move down
        parts.append(svg.text(right + 10, lowest, name, css="name"))
    return svg.picture(WIDTH, height, title, description, *parts)


def key(series: int) -> Markup:
    """Return the mark of a series for a legend beside the plots."""
    return svg.element("svg", svg.mark(6, 6, series), viewBox="0 0 12 12", aria_hidden="true")


def _short(label: str, longest: int = 24) -> str:
    return label if len(label) <= longest else label[: longest - 1] + "…"
