"""The plan as one self-contained HTML file: what the terminal shows, a Gantt chart, and the graph of stages."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import units
from ..pages.labels import LETTER
from ..pages.svg import element, line, picture, polyline
from ..pages.svg import text as words
from . import remarks, terminal
from .archive import Document, Schedule, Spread

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "template"
WIDE, ROW, LEFT, TOP = 760, 26, 130, 24  # of the charts, in pixels
PARTS = 150  # of the time, in a Gantt row
MOST = 2000  # jobs listed


def build(plan: Document, now: float | None = None) -> str:
    """Return the HTML page of a plan document. now: when the plan starts, in seconds since 1970; None: at once."""
    from ..pages.environment import environment
    from ..pages.text import coded

    shared = (units.count, units.number, units.span, units.percent, terminal.dollars, hours, bounds, coded)
    filters = {function.__name__: function for function in shared}
    total, schedule, later = plan["total"], plan["schedule"], plan.get("phase_two")
    templates = environment(TEMPLATES, filters)
    return templates.get_template("plan.html").render(
        plan=plan,
        remarks=[*remarks.texts(plan), *remarks.uncertain(plan)],
        head={
            "cost": headline(total),
            "work": work(total),
            "end": terminal.end_time(schedule["seconds"], now) if schedule else None,
            "takes": units.span(schedule["seconds"]) if schedule else None,
            "basis": remarks.basis(total),
            "asks": remarks.asked(plan),
            "price": terminal.cost_lines(plan)["cost"],
            "where": terminal.ending(plan, now),
            "most": work(later["total"]) if later else None,
            "disk": terminal.room(plan),
            "then": terminal.phase_two(plan, now),
        },
        shown=columns(plan),
        tables={
            "teacher": [row for row in plan["teachers"] if row["teacher"] is not None],
            "base": [row for row in plan["bases"] if row["base"] is not None],
        },
        gantt=schedule and gantt(plan, schedule),
        use=schedule and utilisation(plan, schedule),
        graph=graph(plan) if plan["jobs"] else None,
        jobs=sorted(plan["jobs"], key=lambda job: -job["seconds"]["expected"] * (job["gpus"] or 0.01))[:MOST],
        left=max(0, len(plan["jobs"]) - MOST),
    )


# --- hours in a unit that fits


def hours(spread: Spread, device: str = "") -> str:
    """Return an expected time such as 24 min or 3.2 h; with a device "24 CPU-minutes". In a unit that fits all of the spread."""
    size, short, long = _unit(spread)
    return f"{units.number(spread['expected'] * size)} {f'{device}-{long}' if device else short}"


def bounds(spread: Spread) -> str:
    """Return the ends of a spread in the unit of `hours`: 12 to 54 min."""
    size, short, _ = _unit(spread)
    return f"{units.between(spread['low'] * size, spread['high'] * size)} {short}"


def _unit(spread: Spread) -> tuple[float, str, str]:
    """Return how many of a unit an hour has, its sign, and its name."""
    if spread["expected"] >= 1.5:
        return 1, "h", "hours"
    return (60, "min", "minutes") if spread["expected"] * 60 >= 1.5 else (3600, "s", "seconds")


def work(total: Mapping[str, Any]) -> str:
    """Return the time on GPUs, where there is any, and on CPUs. total: sums of jobs."""
    used = [(total["gpu_hours"], "GPU"), (total["cpu_hours"], "CPU")]
    return " and ".join(_with_bounds(spread, device) for spread, device in used if spread["high"])


def _with_bounds(spread: Spread, device: str) -> str:
    said = bounds(spread) != hours(spread)
    return f"{hours(spread, device)} ({bounds(spread)})" if said else hours(spread, device)


def headline(total: Mapping[str, Any]) -> str:
    """Return what a plan costs, in a few words: 4,112 GPU-hours, about 11,514 USD. total: sums of jobs."""
    device = "GPU" if total["gpu_hours"]["high"] else "CPU"
    price = f", about {units.number(total['usd']['expected'])} USD" if total["usd"] else ""
    return f"{hours(total[f'{device.lower()}_hours'], device)}{price}"


def columns(plan: Document) -> dict[str, bool]:
    """Return which columns of the tables have a value in any row."""
    sums = [(plan.get("phase_two") or plan)["total"], plan["total"]]
    return {
        "gpu": any(row["gpu_hours"]["high"] for row in sums),
        "cpu": any(row["cpu_hours"]["high"] for row in sums),
        "usd": any(row["usd"] is not None for row in sums),
        "blocked": any(row["blocked"] for row in sums),
        "reused": any(row["reused"] for row in plan["stages"]),
        "example": any(row["details"] for row in plan["reasons"]),
    }


# --- charts


def gantt(plan: Document, schedule: Schedule) -> "Markup":
    """Return a chart with a row per stage, darker where more of its jobs run, and below it the critical path."""
    end, stages = schedule["seconds"] or 1.0, [row["stage"] for row in plan["stages"] if row["jobs"]]
    running = _running(plan, stages, end)
    content = []
    for index, stage in enumerate(stages):
        content.append(words(LEFT - 8, TOP + index * ROW + 15, stage, anchor="end", css="tick"))
        content += _bar(stage, running[stage], TOP + index * ROW, end)
    for run in schedule["critical"]:
        x = LEFT + run["start"] / end * (WIDE - LEFT)
        y = TOP + stages.index(run["job"].split()[0]) * ROW + ROW - 6.0
        width = max(1.5, (run["end"] - run["start"]) / end * (WIDE - LEFT))
        label = element("title", f"{run['job']} on {run['pool']}: {units.span(run['end'] - run['start'])}")
        content.append(element("rect", label, x=x, y=y, width=width, height=3.0, fill="currentColor", css="s1"))
    height = TOP + len(stages) * ROW + 20
    return picture(WIDE, height, "When each stage runs", "One row per stage over time.", *axis(end, height), *content)


def _running(plan: Document, stages: list[str], end: float) -> dict[str, list[float]]:
    """Return for each stage how many of its jobs run in each of PARTS equal parts of the time."""
    numbers = {stage: [0.0] * PARTS for stage in stages}
    for job in plan["jobs"]:
        first, last = (job["start"] or 0.0) / end * PARTS, (job["end"] or 0.0) / end * PARTS
        for part in range(int(first), min(PARTS, int(last) + 1)):
            numbers[job["rule"]][part] += max(0.0, min(last, part + 1) - max(first, part))
    return numbers


def _bar(stage: str, numbers: list[float], y: float, end: float) -> list["Markup"]:
    """Return the row of one stage, a rectangle for each part of the time in which some of its jobs run."""
    width, most = (WIDE - LEFT) / PARTS, max(numbers) or 1.0
    shape: dict[str, str | float] = {"y": y + 3.0, "width": width + 0.3, "height": ROW - 6.0, "fill": "currentColor"}
    rectangles = []
    for part, n in enumerate(numbers):
        if n > 0.005:
            label = element("title", f"{stage}: about {units.number(n)} jobs at {units.span(part / PARTS * end)}")
            opacity = f"{0.2 + 0.8 * n / most:.2f}"
            rectangles.append(element("rect", label, x=LEFT + part * width, **shape, opacity=opacity, css="s0"))
    return rectangles


def axis(end: float, height: float) -> list["Markup"]:
    """Return the marks of the time axis."""
    marks = []
    for part in range(5):
        x = LEFT + part / 4 * (WIDE - LEFT)
        anchor = "start" if part == 0 else "end" if part == 4 else "middle"
        marks.append(line(x, TOP - 4, x, height - 16, "rule"))
        marks.append(words(x, TOP - 10, units.span(part / 4 * end) if part else "start", anchor=anchor, css="tick"))
    return marks


def utilisation(plan: Document, schedule: Schedule) -> "Markup":
    """Return a chart with a curve per pool: the share of it that is in use."""
    use, end, high = schedule["utilisation"], schedule["seconds"], 56
    content = []
    for index, (pool, shares) in enumerate(use.items()):
        bottom = TOP + (index + 1) * (high + 14) - 10
        step = (WIDE - LEFT) / len(shares)
        corners = [(LEFT + i * step + d, bottom - high * share) for i, share in enumerate(shares) for d in (0, step)]
        amount = plan["cluster"]["pools"][pool]["amount"]
        content.append(words(LEFT - 8, bottom - high / 2, f"{amount} {pool}", anchor="end", css="tick"))
        mean = units.percent(sum(shares) / len(shares))
        content.append(words(LEFT - 8, bottom - high / 2 + 13, mean, anchor="end", css="tick"))
        points = [(LEFT, bottom), *corners, (WIDE, bottom)]
        content.append(element("g", polyline(points, "area"), css=f"s{index % 8}"))
    height = TOP + len(use) * (high + 14) + 10
    return picture(WIDE, height, "Machines in use", "The share of each pool over time.", *axis(end, height), *content)


def _box_lines(row: Mapping[str, Any]) -> list[str]:
    """Return what the box of a stage says. row: its sums."""
    device = "GPU" if row["gpu_hours"]["high"] else "CPU"
    cost = hours(row[f"{device.lower()}_hours"])
    return [row["stage"], f"{units.count(row['jobs'])} job{'s' * (row['jobs'] != 1)}", f"{cost} of {device}s"]


def graph(plan: Document) -> "Markup":
    """Return the stages as boxes, left to right in the order of what they read, with an arrow for each dependency."""
    jobs, rows = plan["jobs"], {row["stage"]: row for row in plan["stages"] if row["jobs"]}
    edges = Counter((jobs[need]["rule"], job["rule"]) for job in jobs for need in job["needs"])
    depth = dict.fromkeys(rows, 0)
    # stages come in the order of the workflow, each after those that it reads
    for stage in rows:
        depth[stage] = max((depth[a] + 1 for a, b in edges if b == stage and a in depth), default=0)
    by_depth = defaultdict(list)
    for stage in rows:
        by_depth[depth[stage]].append(stage)
    texts = {stage: _box_lines(row) for stage, row in rows.items()}
    box, gap, high = 16 + LETTER * max(len(text) for lines in texts.values() for text in lines), 30, 60
    tallest = max(map(len, by_depth.values()))
    place = {
        stage: (x * (box + gap), (tallest - len(column)) * (high + 14) / 2 + y * (high + 14) + 4)
        for x, column in by_depth.items()
        for y, stage in enumerate(column)
    }
    content = []
    for a, b in sorted(edges):
        (x1, y1), (x2, y2) = place[a], place[b]
        x1, y1, y2, bend = x1 + box, y1 + high / 2, y2 + high / 2, gap
        path = f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        content.append(element("path", d=path, css="rule"))
    for stage, (x, y) in place.items():
        content.append(element("rect", x=float(x), y=float(y), width=box, height=high, rx=5, css="box-of-stage"))
        for index, text in enumerate(texts[stage]):
            content.append(words(x + 8, y + 17 + 16 * index, text, css="tick" if index else "stage"))
    return picture(
        (max(by_depth) + 1) * (box + gap) - gap + 2,
        tallest * (high + 14) + 6,
        "Stages and what they read",
        "A box per stage, an arrow to each stage that reads it.",
        *content,
        readable=True,
    )
