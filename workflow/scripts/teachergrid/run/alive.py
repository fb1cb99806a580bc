"""Which run works on the results, in words, and what to do when it has died."""

import json
from pathlib import Path

from ..slurm import scheduler
from ..store import lock
from ..store.results import RESULTS
from .outcome import SUMMARY, Summary


def summary() -> Summary:
    """Return the summary of the last run; an empty one where there is none, or a full disk has cut it off."""
    try:
        return json.loads(Path(RESULTS, SUMMARY).read_text())
    except (OSError, ValueError):
        return {}


def who_runs(queue: list[scheduler.Job] | None) -> str:
    """Return in words which run works on the results. queue: its live jobs on the cluster; None without an answer of squeue."""
    owner = lock.holder(RESULTS)
    silent = "; squeue does not answer, so what runs there is unknown" if queue is None else ""
    if owner is None:
        left = f"{counted(queue)} on the cluster: {wait()}" if queue else ""
        cut = "the last run left no summary: it was killed, or the disk was full (results/logs/run.log)"
        last = summary()
        return (
            "; ".join(["no run is alive", *[left] * bool(left), *[cut] * (bool(last) and not last.get("ended"))])
            + silent
        )
    who = lock.described(owner)
    if not lock.is_dead(owner):
        return f"run of {who}{silent}"
    if queue:
        return f"the run of {who} died and has left {counted(queue)} on the cluster: {wait()}"
    if working := lock.orphaned_jobs(owner["folder"] or ""):
        pids = ", ".join(map(str, working))
        return f"the run of {who} died, and its jobs still work (processes {pids}): `teachergrid run` continues when they have ended{silent}"
    return f"the run of {who} died; `teachergrid run` continues it{silent}"


def counted(queue: list[scheduler.Job]) -> str:
    return f"{len(queue)} job{'s' * (len(queue) != 1)}"


def wait() -> str:
    return "`teachergrid run --live wait` waits for them and continues, `--live cancel` cancels them first"
