"""Where the labels of a plot's points go, so that they cover no point, no whisker and no other label."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from . import svg

LETTER = 6.6  # mean width of a letter at the plots' 11 units, in a wide font
# where a label goes, as (dx, dy, anchor): right and left of its point, right and left above and below it, over and under it
LABEL_PLACES = (
    *((7, 4, 0), (-7, 4, 1), (7, -6, 0), (7, 14, 0), (-7, -6, 1), (-7, 14, 1)),
    *((0, -9, 0.5), (0, 17, 0.5), (0, -21, 0.5), (0, 29, 0.5)),
)
CROWD = 12  # points; among more of them, a label is right or left of its point or left out
Box = tuple[float, float, float, float]  # left, top, right, bottom
Segment = tuple[float, float, float, float]  # x and y of one end, x and y of the other


class Point(NamedTuple):
    """A point of `scatter`, left out where x or y is None."""

    x: float | None
    y: float | None
    label: str
    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    series: int = 0
    css: str = ""
    title: str | None = None
    linked: bool = False  # whether a line joins it with the others of its series


class Placed(NamedTuple):
    """A point of `scatter` on the page: its mark is at (mark_x, y), its interval in x is drawn around (x, y)."""

    point: Point
    x: float
    y: float
    mark_x: float  # next to x where several points have the same x


def labels(placed: Sequence[Placed], frame: Box, whiskers: Iterable[Segment] = ()) -> list[Markup]:
    """Return the labels, each where it covers no point and no other label, and if possible no whisker.

    Where no place is free a label is left out: hovering over the point shows it, and a table lists all points.
    """
    places = LABEL_PLACES if len(placed) <= CROWD else LABEL_PLACES[:2]
    boxes = [(p.mark_x - 5, p.y - 5, p.mark_x + 5, p.y + 5) for p in placed]
    lines = [(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1) for a, b, c, d in whiskers]
    drawn = []
    for p in placed:
        name = shortened(p.point.label)
        possible = [(_box(p, LETTER * len(name), place, frame), place[1]) for place in places]
        free = [(box, dy) for box, dy in possible if _is_free(box, frame, boxes)]
        if free:
            box, dy = next((found for found in free if _is_free(found[0], frame, lines)), free[0])
            boxes.append(box)
            drawn.append(svg.text(box[0], p.y + dy, name, css="name"))
    return drawn


def _box(p: Placed, width: float, place: tuple[float, float, float], frame: Box) -> Box:
    dx, dy, anchor = place
    start, baseline = p.mark_x + dx - anchor * width, p.y + dy
    if anchor == 0.5:
        start = min(max(start, frame[0]), frame[2] - width)
    return start, baseline - 9, start + width, baseline + 2


def _is_free(box: Box, frame: Box, boxes: list[Box]) -> bool:
    """Return whether a box is inside the frame and overlaps none of the others."""
    inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
    return inside and not any(a < box[2] and box[0] < c and b < box[3] and box[1] < d for a, b, c, d in boxes)


def shortened(label: str, longest: int = 24) -> str:
    """Return a label that fits into a plot: cut to so many characters."""
    return label if len(label) <= longest else label[: longest - 1] + "…"
