"""What changed since an earlier plan: jobs and cost added, removed and changed, by reason."""

import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..hub import pins
from ..units import count, number, span
from . import archive
from .archive import Document, JobRow
from .document import Setting
from .sums import summed
from .terminal import table

CONFIG = "config/config.yaml"


def earlier(what: str, setting: Setting) -> Document:
    """Return the plan document that a new one is compared with.

    Args:
        what: a file, `last`, the hash of a saved plan, or a git revision, whose config is planned on the same results.
    Raises:
        BadInput: where there is no such plan.
    """
    if Path(what).is_file():
        return archive.read(what)
    if path := archive.find(what):
        return archive.read(path)
    if what == "last":
        raise BadInput("--diff last: no plan of these results was made before")
    return of_revision(what, setting)


def of_revision(revision: str, setting: Setting) -> Document:
    """Return the plan of the config files of a git revision; the files that they name (prompts, templates) are today's."""
    with tempfile.TemporaryDirectory() as folder:
        files = [exported(revision, path, folder) for path in setting.args.configfile or [CONFIG]]
        lock = exported(revision, pins.LOCK, folder, needed=False)
        with pinned_by(lock):
            return setting.plan_with(files)


@contextmanager
def pinned_by(lock: Path) -> Iterator[None]:
    """Take the commits of models and data sets from another lock file. Snakemake checks the config: no argument reaches it."""
    current, pins.LOCK = pins.LOCK, lock
    try:
        yield
    finally:
        pins.LOCK = current


def exported(revision: str, path: str | Path, folder: str, needed: bool = True) -> Path:
    """Return a copy of a file as a revision has it. Raises BadInput where a needed one is missing."""
    target = Path(folder, re.sub(r"\W", "_", str(Path(path).parent)), Path(path).name)
    target.parent.mkdir(exist_ok=True)
    done = subprocess.run(["git", "show", f"{revision}:./{path}"], capture_output=True)
    if done.returncode and needed:
        message = "".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
        raise BadInput(
            f"--diff {revision}: no plan file, kept plan or git revision with {path} ({message}); say a file of "
            "`plan --json`, a plan's hash, `last`, or a revision"
        )
    if not done.returncode:
        target.write_bytes(done.stdout)
    return target


def between(before: Document, now: Document) -> dict[str, Any]:
    """Return the difference of two plan documents.

    A job is changed when it would be made from another spec; another time alone is no change.
    Keys: added, removed, changed (sums of their jobs, with `reasons`), kept (a number of jobs), seconds (of both plans, None
    without a schedule), from, to.
    """
    old, new = ({job["job"]: job for job in plan["jobs"]} for plan in (before, now))
    both = [name for name in new if name in old]
    changed = [name for name in both if new[name]["spec"] != old[name]["spec"]]
    parts = {
        "added": [new[name] for name in new if name not in old],
        "removed": [old[name] for name in old if name not in new],
        "changed": [new[name] for name in changed],
    }
    return {
        "from": {"hash": before["hash"], "made": before["made"]},
        "to": {"hash": now["hash"], "made": now["made"]},
        **{kind: {**summed(jobs), "reasons": by_reason(jobs)} for kind, jobs in parts.items()},
        "kept": len(both) - len(changed),
        "seconds": [plan["schedule"]["seconds"] if plan["schedule"] else None for plan in (before, now)],
    }


def by_reason(jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return the sums of jobs by reason and its first detail, the costliest first, with the names of the jobs."""
    groups: dict[tuple[str, str], list[JobRow]] = defaultdict(list)
    for job in jobs:
        groups[job["because"]["reason"], job["because"]["detail"]].append(job)
    rows: list[dict[str, Any]] = [
        {"reason": reason, "detail": detail, "names": [job["job"] for job in group], **summed(group)}
        for (reason, detail), group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["gpu_hours"]["expected"], -row["jobs"], row["reason"], row["detail"]))


def text(found: dict[str, Any], width: int, most: int = 5) -> str:
    """Return a difference in words. found: of `between`; most: reasons listed of each kind of change."""
    if not any(found[kind]["jobs"] for kind in ("added", "removed", "changed")):
        return f"since {found['from']['hash']} ({found['from']['made']}): the same {count(found['kept'])} jobs"
    rows = []
    for kind, sign in (("added", "+"), ("removed", "-"), ("changed", "~")):
        for row in found[kind]["reasons"][:most]:
            hours, key = ("gpu_hours", "GPU-h") if row["gpu_hours"]["high"] else ("cpu_hours", "CPU-h")
            which = row["names"][0] + (" ..." if row["jobs"] > 1 else "")
            why = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
            rows.append([f"{sign}{count(row['jobs'])}", f"{sign}{number(row[hours]['expected'])} {key}", which, why])
        if left := found[kind]["reasons"][most:]:
            rows.append([f"{sign}{count(sum(row['jobs'] for row in left))}", "", "", f"{len(left)} other reasons"])
    ends = [span(seconds) if seconds is not None else "unknown" for seconds in found["seconds"]]
    head = f"since {found['from']['hash']} ({found['from']['made']}): {count(found['kept'])} jobs as before; takes {ends[1]}, was {ends[0]}"
    return f"{head}\n{table(['jobs', 'costs', 'for example', 'why'], rows, width)}"


def refuse(what: str, found: Document) -> None:
    """Raise BadInput with the difference when a plan is not the agreed one. what: the hash or file of the agreed plan."""
    path = what if Path(what).is_file() else archive.find(what)
    if path is None and what != found["hash"]:
        raise BadInput(f"--plan {what}: what would run is plan {found['hash']}, and these results keep no plan {what}")
    now = {job["job"]: job["spec"] for job in found["jobs"]}
    agreed = {job["job"]: job["spec"] for job in archive.read(path)["jobs"]} if path else now
    if agreed != now:
        raise BadInput(
            f"--plan {what}: what would run is not what was agreed: {differing(agreed, now)}. Look at `teachergrid plan "
            f"--diff {what}`; what would run now is plan {found['hash']}"
        )


def differing(agreed: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return the jobs that come, go or change, in words. Both: job -> digest of its spec."""
    groups = {
        "more": [name for name in found if name not in agreed],
        "missing": [name for name in agreed if name not in found],
        "with other settings": [name for name in found if agreed.get(name, found[name]) != found[name]],
    }
    return "; ".join(
        f"{count(len(names))} {word} ({', '.join(sorted(names)[:3])}{' ...' if len(names) > 3 else ''})"
        for word, names in groups.items()
        if names
    )
