"""Show the state of a grid (run.status): as text for a terminal, and as an HTML page."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

from .. import units
from ..pages import estimates, text
from ..slurm import waits

if TYPE_CHECKING:
    from ..engines.spending import Spent
    from ..grid.phases import Following
    from ..job.failures import Group
    from .outcome import Report


class RunningJob(TypedDict):
    """A job that runs now."""

    job: str
    node: str | None
    elapsed_s: float | None
    limit_s: float | None
    slurm: str | None  # id of its SLURM job
    partition: str | None


class WaitingJob(TypedDict):
    """A job that waits in the cluster's queue. reason: in squeue's words."""

    job: str
    slurm: str | None
    partition: str | None
    reason: str | None


class View(TypedDict):
    """The values of `status.gather`, which are also the JSON of `teachergrid status --json`."""

    stages: dict[str, dict[str, int]]  # {rule: {state: number of cells}}
    run: str  # which run is alive, in words
    reports: "list[Report]"  # of the config's grids, where they exist
    running: list[RunningJob]
    waiting: list[WaitingJob]
    retried: list[dict]  # cells with earlier tries: {"job", "state", "tries": of attempts.shown}
    time_left: dict  # of phase one, where a pilot has no result
    phase_two: "Following | None"
    failures: list["Group"]
    gpu_hours: dict
    endpoints: "dict[str, Spent]"
    estimates: dict
    disk: dict[str, int]  # {folder: bytes}
    unread: str  # which files may not be read, in words; "" where all may
    disk_free: int  # bytes


TEMPLATES = Path(__file__).parent / "template"
COLOURS = {"done": 32, "running": 36, "waiting": 33, "failed": 31, "blocked": 35}
SHOWN = 3  # cells of a class of failures
SHOWN_RUNNING = 20
FULL = 65_536  # free bytes with which no log can be written


def terminal() -> tuple[int, bool]:
    """Return the columns of the terminal, 80 where there is none, and whether it shows colours."""
    return shutil.get_terminal_size((80, 24)).columns, sys.stdout.isatty() and "NO_COLOR" not in os.environ


def terminal_view(view: View, width: int = 80, colour: bool = False) -> str:
    """Return the view as text. width: of the terminal. colour: whether to use terminal colours."""

    def wrapped(words: str, indent: int) -> list[str]:
        first, others = " " * indent, " " * (indent + 2)
        lines = textwrap.TextWrapper(width, first, others, max_lines=4, placeholder=" …", break_on_hyphens=False)
        return lines.wrap(words)

    def painted(words: str, state: str) -> str:
        return f"\033[{COLOURS[state]}m{words}\033[0m" if colour and state in COLOURS else words

    lines = [view["run"], "", *table(view["stages"], painted)]
    if unknown := sum(counts.get("unknown", 0) for counts in view["stages"].values()):
        why = "they were submitted, and squeue shows no job of them: it does not answer, their jobs are another user's, or have just ended"
        lines += ["", *wrapped(f"unknown: {unknown}; {why}", 0)]
    running = view["running"]
    if running:
        lines += ["", painted(f"running: {len(running)}", "running")]
        rows = [(job["job"], where(job)) for job in running[:SHOWN_RUNNING]]
        longest = max(len(job) for job, _ in rows)
        fits = all(longest + len(place) + 4 <= width for _, place in rows)
        lines += [f"  {job:{longest}}  {place}" if fits else f"  {job}\n    {place}" for job, place in rows]
        lines += [f"  and {len(running) - SHOWN_RUNNING} more"] * (len(running) > SHOWN_RUNNING)
    lines += queued(view["waiting"], wrapped, painted)
    for group in view["failures"]:
        n = len(group["cells"])
        lines += ["", painted(f"failed: {group['kind']}, {n}", "failed"), *wrapped(group["remedy"], 2)]
        for cell in group["cells"][:SHOWN]:
            lines += [f"  {cell['job']}", *wrapped(cell["line"], 4)]
            lines += [f"    log: {cell['log']}"] * bool(cell["log"])
        lines += [f"  and {n - SHOWN} more; --json lists all"] * (n > SHOWN)
    lines += tried(view["retried"], wrapped)
    lines += [""]
    for name, words in totals(view).items():
        lines += wrapped(f"{name + ':':10} {words}", 0)
    return "\n".join(lines)


def totals(view: View) -> dict[str, str]:
    """Return {name: in words} of what concerns the whole grid."""
    found = {
        "time left": left(view["time_left"]),
        "GPU-hours": spent(view["gpu_hours"]),
        "disk": disk(view["disk"], view["disk_free"]),
    }
    if later := view["phase_two"]:
        found["phase two"] = then(later)
    if view["endpoints"]:
        found["endpoints"] = asked(view["endpoints"])
    if comparison := estimates.table(view["estimates"]):
        found["estimated"] = " ".join(comparison["sentences"])
    if view["unread"]:
        found["unknown"] = view["unread"]
    return found


def table(stages: dict[str, dict[str, int]], painted: Callable[[str, str], str]) -> list[str]:
    """Return a line per stage with the number of cells in each state, and a line of sums.

    painted: a function of (text, state) that colours the text.
    """
    states = shown_states(stages)
    columns, last = (9, 8) if len(states) < 7 else (8, 6)  # at most 80 in all
    rows = {**stages, "all": {state: sum(counts[state] for counts in stages.values()) for state in states}}
    head = f"{'stage':18}" + "".join(f"{state:>{columns}}" for state in states) + f"{'all':>{last}}"
    return [
        head,
        *(
            f"{rule:18}"
            + "".join(painted(f"{counts[state] or '.':>{columns}}", state if counts[state] else "") for state in states)
            + f"{sum(counts.values()):{last}}"
            for rule, counts in rows.items()
        ),
    ]


def shown_states(stages: dict[str, dict[str, int]]) -> list[str]:
    """Return the states that are shown: `unknown` only where a cell is in it."""
    states = list(next(iter(stages.values()), {}))
    return [state for state in states if state != "unknown" or any(counts[state] for counts in stages.values())]


def queued(
    waiting: list[WaitingJob], wrapped: Callable[[str, int], list[str]], painted: Callable[[str, str], str]
) -> list[str]:
    """Return the waiting jobs as lines, by reason: first those that never start by themselves, with what to do."""
    by_reason: dict[str, list[WaitingJob]] = {}
    for job in waiting:
        by_reason.setdefault(job["reason"] or "no reason yet", []).append(job)
    lines = []
    for reason, jobs in sorted(by_reason.items(), key=lambda item: (not waits.of(item[0]).stuck, -len(item[1]))):
        found = waits.of(reason)
        head = f"{'does not start by itself' if found.stuck else 'waiting'}: {reason}, {len(jobs)}"
        lines += ["", painted(head, "failed" if found.stuck else "waiting")]
        if found.means:
            lines += wrapped(f"{found.means}: {found.remedy}", 2)
        for job in jobs[:SHOWN]:
            lines += wrapped(f"{job['job']}  SLURM job {job['slurm']}, partition {job['partition']}", 2)
        lines += [f"  and {len(jobs) - SHOWN} more; --json lists all"] * (len(jobs) > SHOWN)
    return lines


def tried(retried: list[dict], wrapped: Callable[[str, int], list[str]]) -> list[str]:
    """Return the cells that needed several tries as lines: how the earlier ones ended, where, and their logs."""
    lines = ["", f"needed several tries: {len(retried)}"] if retried else []
    for cell in retried[:SHOWN]:
        lines += [f"  {cell['job']} ({cell['state']})"]
        for one in cell["tries"]:
            lines += wrapped(f"{how(one)}: {one['line']}", 4)
            lines += [f"      log: {one['log']}"] * bool(one["log"])
    return [*lines, *[f"  and {len(retried) - SHOWN} more; --json lists all"] * (len(retried) > SHOWN)]


def how(one: dict) -> str:
    """Return how a try ended, and where. one: of attempts.shown."""
    asked = ", ".join(f"{name} {n}" for name, n in one["resources"].items())
    places = [one["node"], f"SLURM job {one['slurm']}" if one["slurm"] else None, asked]
    place = ", ".join(filter(None, places))
    return f"{one['kind']} ({place})" if place else one["kind"]


def where(job: RunningJob) -> str:
    """Return node, SLURM job, partition and running time of a job."""
    limit = f" of {text.duration(job['limit_s'])}" if job["limit_s"] else ""
    elapsed = f"{text.duration(job['elapsed_s'])}{limit}" if job["elapsed_s"] is not None else ""
    slurm = f" (SLURM job {job['slurm']}, {job['partition']})" if job["slurm"] else ""
    return f"{job['node'] or ''}{slurm}  {elapsed}".strip()


def left(time_left: dict) -> str:
    """Return the time left in words, and the jobs for which it is unknown. time_left: of `status.time_left`."""
    unknown = ", ".join(f"{rule} {n}" for rule, n in time_left["unknown"].items())
    if not time_left["job_s"]:
        return f"unknown: no job has finished yet of {unknown}" if unknown else "nothing left that can run"
    if time_left["seconds"] is None:
        words = f"{text.duration(time_left['job_s'])} of jobs one after another; none runs now"
    else:
        words = f"about {text.duration(time_left['seconds'])} with {time_left['at_a_time']} at a time"
    return f"{words}, without jobs of unknown length: no job has finished yet of {unknown}" if unknown else words


def then(later: "Following") -> str:
    """Return in words what follows phase one."""
    return (
        f"at most {units.count(later['cells'])} more cells, when the pilot of {', '.join(later['grids'])} has chosen teachers; "
        "the time left is that of phase one, and `teachergrid plan` shows both"
    )


def spent(gpu_hours: dict) -> str:
    """Return the GPU-hours in words. gpu_hours: of `status.gpu_hours`."""
    return f"{text.significant(gpu_hours['hours'])} ({gpu_hours['of']})"


def asked(endpoints: "dict[str, Spent]") -> str:
    """Return what these results have cost at endpoints, in words."""
    words = []
    for name, sums in endpoints.items():
        more = {"perhaps, by requests that broke off": sums["perhaps"], "on the way": sums["promised"]}
        also = "".join(f", up to {usd:.2f} more {how}" for how, usd in more.items() if usd)
        words.append(f"{name} {sums['spent']:.2f} USD{also}")
    return "; ".join(words)


def disk(used: dict, free: int) -> str:
    """Return the used and free disk space in words, with the folders that hold more than 1 %. used: {folder: bytes}."""
    parts = [f"{stage} {units.size(n)}" for stage, n in used.items() if n >= sum(used.values()) / 100]
    words = f"{units.size(sum(used.values()))}: {', '.join(parts)}" if parts else "nothing yet"
    if free >= FULL:
        return f"{words}; {units.size(free)} free"
    return (
        f"full ({units.size(free)} free): jobs fail, and neither their records nor the run's summary can be written, so failures "
        f"may be missing above. Free space, then run again. Used by the results: {words}"
    )


def headline(stages: dict[str, dict[str, int]]) -> str:
    """Return how far a grid is, what failed first: 9 failed, 902 of 950 jobs done."""
    failed, done = (sum(counts.get(state, 0) for counts in stages.values()) for state in ("failed", "done"))
    of_all = sum(sum(counts.values()) for counts in stages.values())
    return f"{units.count(failed)} failed, " * bool(failed) + f"{units.count(done)} of {units.count(of_all)} jobs done"


def page(view: View, file: str | Path = "status.html") -> str:
    """Return the view as one self-contained HTML file.

    Args:
        file: where it will lie, from which it links to the reports.
    """
    from ..pages.environment import environment

    return (
        environment(TEMPLATES)
        .get_template("status.html")
        .render(
            found=view,
            states=[
                state
                for state in shown_states(view["stages"])
                if state == "done" or any(counts[state] for counts in view["stages"].values())
            ],
            reasons=waits.of,
            how=how,
            folder=Path.cwd().name,
            headline=headline(view["stages"]),
            reports=[
                {**report, "link": quote(os.path.relpath(report["report"], Path(file).parent))}
                for report in view["reports"]
            ],
            where=where,
            left=left(view["time_left"]),
            then=then(view["phase_two"]) if view["phase_two"] else None,
            spent=spent(view["gpu_hours"]),
            asked=asked(view["endpoints"]),
            used=disk(view["disk"], view["disk_free"]),
            estimates=estimates.table(view["estimates"]),
        )
    )
