"""The plan as text for a terminal: a headline to decide by, tables by stage, reason, teacher and base, and the end."""

import textwrap
import time
from collections.abc import Mapping
from typing import Any

from .. import units
from ..units import between, clipped, count, number, percent, span, with_range
from . import remarks
from .archive import Document, Spread

MOST = 6  # rows of the tables by teacher and base
REASONS = 12
MORE = "see also: --details (every job), --why FILE, --html FILE, --json, --diff last, --what-if list"
CHAIN = 4  # jobs of the critical path
LEFT = ("stage", "why", "teacher", "base", "basis", "for example", "variant")  # columns of names


def page(plan: Document, width: int = 80) -> str:
    """Return the text of a plan document. width: of the terminal, in characters."""
    if not plan["jobs"]:
        nothing = f"nothing to do: {count(plan['total']['reused'])} results are up to date"
        return "\n".join([nothing, *(line for text in plan["problems"] for line in wrapped(f"! {text}", width, "  "))])
    parts = [
        "\n".join(headline(plan, width)),
        stages(plan, width),
        reasons(plan, width),
        by("teacher", plan["teachers"], width),
        by("base", plan["bases"], width),
        finish(plan, width),
        folders(plan, width),
        warnings(plan, width),
    ]
    return "\n\n".join(part for part in parts if part)


def more(plan: Document) -> str:
    """Return how to run the plan and how to see more of it."""
    return f"to run exactly this plan: teachergrid run --plan {plan['hash']} ...\n{MORE}"


def headline(plan: Document, width: int) -> list[str]:
    """Return the lines to decide by: jobs, cost, end, disk."""
    total = plan["total"]
    blocked = f", {count(total['blocked'])} of them BLOCKED" if total["blocked"] else ""
    lines = {
        "jobs": f"{count(total['jobs'])} to do{blocked}; {reused(total['reused'])}",
        **cost_lines(plan),
        "asks": "; ".join(remarks.asked(plan)),
        "basis": remarks.basis(total),
        "end": ending(plan),
        "disk": room(plan),
        "finds": remarks.detectable(plan),
        "then": phase_two(plan),
    }
    lines = {word: text for word, text in lines.items() if text}
    return [line for word, text in lines.items() for line in wrapped(f"{word:6}{text}", width, " " * 6)]


def cost_lines(plan: Document) -> dict[str, str]:
    """Return the lines of work and cost; where a pilot is to choose, with what both phases take at most."""
    total, later = plan["total"], plan.get("phase_two")
    lines = {"work": work(total), "cost": money(total)}
    if later:
        most = {"work": work(later["total"]), "cost": money(later["total"])}
        lines = {word: f"at most {most[word]}; of that, in phase one {text}" for word, text in lines.items()}
    return lines


def phase_two(plan: Document, now: float | None = None) -> str:
    """Return what both phases take at most; nothing where no pilot is without a result. now: as of `ending`."""
    later = plan.get("phase_two")
    if not later:
        return ""
    total, seconds = later["total"], later["seconds"]
    ends = f"end {end_time(seconds, now)}, after {span(seconds)}" if seconds is not None else "end unknown"
    blocked = f", {count(total['blocked'])} of them BLOCKED" if total["blocked"] else ""
    return (
        f"this is phase one; when the pilot of {', '.join(later['grids'])} has chosen teachers, `run` goes on by itself. With "
        f"phase two at most {count(total['jobs'])} jobs{blocked}; {ends}; "
        f"up to {units.size(sum(later['storage']['new'].values()))} more on the disk"
    )


def reused(n: int) -> str:
    """Return in words how many results are up to date."""
    return f"{count(n)} results are reused" if n else "nothing to reuse yet"


def work(total: Mapping[str, Any]) -> str:
    """Return GPU-hours and CPU-hours with their intervals."""
    cpu = spread(total["cpu_hours"], "CPU-hours")
    return f"{spread(total['gpu_hours'], 'GPU-hours')}; {cpu}" if total["gpu_hours"]["high"] else f"{cpu}, no GPU"


def room(plan: Document) -> str:
    """Return how much disk space the plan needs, is free, and can be freed."""
    stored = plan["storage"]
    can_go = f", {units.size(stored['can_go'])} can be freed" if stored["can_go"] else ""
    return f"up to {units.size(sum(stored['new'].values()))} more, {units.size(stored['free'])} free{can_go}"


def ending(plan: Document, now: float | None = None) -> str:
    """Return when the plan ends, and on which machines. now: when it starts, in seconds since 1970; None: at once."""
    if plan["schedule"] is None:
        return f"unknown: {plan['no_schedule']}"
    pools = plan["cluster"]["pools"].items()
    machines = ", ".join(f"{kind}={pool['amount']}{guessed(pool)}" for kind, pool in pools)
    seconds = plan["schedule"]["seconds"]
    return f"{end_time(seconds, now)}, after {span(seconds)} on {machines} ({plan['cluster']['source']})"


def guessed(pool: Mapping[str, Any]) -> str:
    """Return what the GPU type of a pool is taken for, where that is a guess."""
    return f" (guessed: {pool['guessed']})" if pool.get("guessed") else ""


def stages(plan: Document, width: int) -> str:
    """Return the table of stages, with their sums."""
    rows = [line(row["stage"], row, row["reused"]) for row in plan["stages"] if row["jobs"] or width > 100]
    rows.append(line("all", plan["total"], plan["total"]["reused"]))
    if later := plan.get("phase_two"):
        rows.append(line("with phase two, at most", later["total"], plan["total"]["reused"]))
    return table(["stage", "to do", "reused", "blocked", *COST, "basis"], rows, width, last=width > 100)


COST = ["GPU-h", "low to high", "CPU-h", "USD"]


def line(name: str, row: Mapping[str, Any], reused: int) -> list[str]:
    """Return one line of the table of stages."""
    return [
        name,
        count(row["jobs"]),
        count(reused),
        count(row["blocked"]) if row["blocked"] else "",
        *cost(row),
        sources(row),
    ]


def sources(row: Mapping[str, Any]) -> str:
    """Return what estimates are based on, in short: "analytic 65, probe 92"."""
    return ", ".join(f"{source} {count(n)}" for source, n in row["sources"].items())


def cost(row: Mapping[str, Any]) -> list[str]:
    """Return the columns of COST. row: sums of jobs."""
    gpu, high = row["gpu_hours"], row["gpu_hours"]["high"]
    ends = between(gpu["low"], high) if high else ""
    cpu = number(row["cpu_hours"]["expected"]) if row["cpu_hours"]["high"] else ""
    return [number(gpu["expected"]) if high else "", ends, cpu, dollars(row)]


def reasons(plan: Document, width: int) -> str:
    """Return the table of reasons, the costliest first."""
    rows = []
    for row in plan["reasons"][:REASONS]:
        first = row["details"][0]["detail"] if row["details"] else ""
        others = len(row["details"]) - 1
        example = f"{first}, and others" if others > 0 else first
        hours, cpu = row["gpu_hours"], row["cpu_hours"]
        work = f"{number(hours['expected'])} GPU-h" if hours["high"] else f"{number(cpu['expected'])} CPU-h"
        rows.append([row["reason"], count(row["jobs"]), count(row["direct"]), work, example])
    return table(["why", "jobs", "directly", "costs", "for example"], rows, width)


def by(word: str, rows: list[dict[str, Any]], width: int) -> str:
    """Return the table of teachers (bases), the costliest first; nothing for a single one."""
    rows = [row for row in rows if row[word] is not None]
    if len(rows) < 2:
        return ""
    shown = [[row[word], count(row["jobs"]), *cost(row)] for row in rows[:MOST]]
    others = [f"... and {len(rows) - MOST} cheaper ones"] if len(rows) > MOST else []
    return "\n".join([table([word, "jobs", *COST], shown, width, last=True), *others])


def finish(plan: Document, width: int) -> str:
    """Return what decides the end: the critical path, how busy the machines are, and what would shorten the plan."""
    schedule = plan["schedule"]
    if not schedule or schedule["seconds"] < 60:
        return ""
    chain = sorted(schedule["critical"], key=lambda run: run["start"] - run["end"])
    longest = ", ".join(f"{run['job']} {span(run['end'] - run['start'])}" for run in chain[:CHAIN])
    more = f" and {len(chain) - CHAIN} shorter" if len(chain) > CHAIN else ""
    busy = ", ".join(f"{pool} {percent(sum(use) / len(use))}" for pool, use in schedule["utilisation"].items())
    faster = "; ".join(f"{item['change']}: {span(item['seconds'])}" for item in schedule["halving"][:3])
    lines = [f"decides the end: {longest}{more}", f"in use: {busy}"]
    lines.append(
        f"sooner with: {faster}"
        if faster
        else f"more machines do not shorten it: the longest chain of jobs takes {span(schedule['longest_path_s'])}"
    )
    return "\n".join(line for text in lines for line in wrapped(text, width, "  "))


def folders(plan: Document, width: int, most: int = MOST) -> str:
    """Return which models are folders without a revision, with their digests. most: that are named."""
    there = [f"{folder} ({digest.removeprefix('folder ')})" for folder, digest in (plan.get("folders") or {}).items()]
    if not there:
        return ""
    more = f" and {len(there) - most} more (--details)" if len(there) > most else ""
    return "\n".join(wrapped(f"models in folders without a `revision`: {', '.join(there[:most])}{more}", width, "  "))


def warnings(plan: Document, width: int) -> str:
    """Return the problems of the plan, a paragraph each."""
    later = plan.get("phase_two")
    lacking = (later or plan)["storage"]["lacking"]
    texts = [
        *remarks.texts(plan),
        *remarks.uncertain(plan),
        *plan["problems"],
        *([f"disk: {lacking}"] if lacking else []),
    ]
    return "\n".join(line for text in texts for line in wrapped(f"! {text}", width, "  "))


def details(plan: Document) -> str:
    """Return a line for every job: its reason, time and place; then a line for each model folder without a revision."""
    lines = []
    for job in plan["jobs"]:
        why = "; ".join([job["reason"], *job["details"][:3]])
        pool = plan["cluster"]["pools"].get(job["pool"]) or {}
        device = f"{job['pool']}{guessed(pool)}" if job["gpus"] and guessed(pool) else job["device"]
        time = f"{span(job['seconds']['expected'])} on {job['gpus'] or job['cpus']} {device} ({job['source']})"
        lines.append(
            f"  {job['job']}  {time}{asked(job.get('slurm'))}; {why}{'; BLOCKED: ' + job['blocked'] if job['blocked'] else ''}"
        )
    lines += [f"  {folder}  {digest}" for folder, digest in (plan.get("folders") or {}).items()]
    return "\n".join(lines)


def asked(slurm: Mapping[str, Any] | None) -> str:
    """Return what a job asks SLURM for: ", asks gpu-h100 for 64 GB and 24 h"; "" for a run elsewhere."""
    if not slurm:
        return ""
    memory = units.size(1e6 * slurm["mem_mb"]) if slurm["mem_mb"] else "no memory"
    limit = span(60 * slurm["minutes"]) if slurm["minutes"] else "no time limit"
    return f", asks {slurm['partition'] or 'no partition'} for {memory} and {limit}"


# --- words and numbers


def end_time(seconds: float, now: float | None = None) -> str:
    """Return when a plan that starts now (or at a time since 1970) ends, in local time."""
    return time.strftime("%a %d %b %H:%M", time.localtime((time.time() if now is None else now) + seconds))


def table(header: list[str], rows: list[list[str]], width: int, last: bool = True) -> str:
    """Return a table of text, cut to the width: names aligned left, numbers right, empty columns left out.

    last: whether to show the last column.
    """
    columns = header if last else header[:-1]
    shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    lines = [""] * (1 + len(rows))
    for i in shown:
        column = [row[i] for row in [header, *rows]]
        longest = max(map(len, column))
        cells = [cell.ljust(longest) if header[i] in LEFT else cell.rjust(longest) for cell in column]
        lines = [f"{line}{'' if i == shown[0] else '  '}{cell}" for line, cell in zip(lines, cells, strict=True)]
    return "\n".join(clipped(line.rstrip(), width) for line in lines)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text, all but the first indented."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def spread(bounds: Spread, unit: str) -> str:
    """Return an estimate with its interval, such as "12 GPU-hours (8.0 to 21)"."""
    return with_range(bounds["expected"], bounds["low"], bounds["high"], unit)


def dollars(row: Mapping[str, Any]) -> str:
    """Return the expected price in USD, with "+?" where some jobs have no known price. row: sums of jobs."""
    if row["usd"] is None:
        return "unknown"
    return number(row["usd"]["expected"]) + ("+?" if row["unpriced"] else "")


def money(row: Mapping[str, Any]) -> str:
    """Return the price with its interval, and how many jobs have no known price. row: sums of jobs."""
    if row["usd"] is None:
        return "unknown: these machines have no price in config/machines.yaml or --machines"
    unpriced = f" and {count(row['unpriced'])} jobs of unknown price" if row["unpriced"] else ""
    return f"{spread(row['usd'], 'USD')}{unpriced}"
