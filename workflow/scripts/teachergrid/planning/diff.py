"""Compare two plans: jobs and costs that were added, removed or changed, by reason."""

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
from .pools import listing
from .sums import summed
from .terminal import table, wrapped

CONFIG = "config/config.yaml"


def earlier(what: str, setting: Setting) -> Document:
    """Return the plan document that a new one is compared with.

    Args:
        what: a file, `last`, the hash of a saved plan, or a git revision; its config is then planned on the current results.
    Raises:
        BadInput: where there is no such plan.
    """
    if Path(what).is_file():
        return archive.read(what)
    if path := archive.find(what):
        return archive.read(path)
    if what == "last":
        raise BadInput("--diff last: there is no earlier plan of these results")
    return of_revision(what, setting)


def of_revision(revision: str, setting: Setting) -> Document:
    """Return the plan of the config files of a git revision. Files that they name (prompts, templates) are the current ones."""
    with tempfile.TemporaryDirectory() as folder:
        files = [exported(revision, path, folder) for path in setting.args.configfile or [CONFIG]]
        lock = exported(revision, pins.LOCK, folder, needed=False)
        with pinned_by(lock):
            return setting.plan_with(files)


@contextmanager
def pinned_by(lock: Path) -> Iterator[None]:
    """Take the commits of models and data sets from another lock file, for as long as the context lasts.

    The Snakefile checks the config, so the path of the lock file cannot be passed to it as an argument.
    """
    current, pins.LOCK = pins.LOCK, lock
    try:
        yield
    finally:
        pins.LOCK = current


def exported(revision: str, path: str | Path, folder: str, needed: bool = True) -> Path:
    """Write a file of a git revision into a folder and return its path. Raises BadInput where a `needed` file is missing."""
    target = Path(folder, re.sub(r"\W", "_", str(Path(path).parent)), Path(path).name)
    target.parent.mkdir(exist_ok=True)
    process = subprocess.run(["git", "show", f"{revision}:./{path}"], capture_output=True)
    if process.returncode and needed:
        message = "".join(process.stderr.decode(errors="replace").strip().splitlines()[-1:])
        raise BadInput(
            f"--diff {revision}: neither a plan file, a saved plan nor a git revision with {path} ({message}); name a "
            "file of `plan --json`, a plan's hash, `last`, or a revision"
        )
    if not process.returncode:
        target.write_bytes(process.stdout)
    return target


def between(before: Document, now: Document) -> dict[str, Any]:
    """Return the difference of two plan documents.

    A job counts as changed when its spec differs; other times or costs alone do not count.
    Keys: added, removed, changed (sums of their jobs, with `reasons`), kept (number of unchanged jobs), drifts (sentences on GPUs,
    files ... of jobs in both), seconds (of both plans, None without a schedule), from, to.
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
        "drifts": drifts(before, now),
        "seconds": [plan["schedule"]["seconds"] if plan["schedule"] else None for plan in (before, now)],
    }


def by_reason(jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return the sums of jobs by (reason, detail), the costliest first, each with the names of its jobs."""
    groups: dict[tuple[str, str], list[JobRow]] = defaultdict(list)
    for job in jobs:
        groups[job["because"]["reason"], job["because"]["detail"]].append(job)
    rows: list[dict[str, Any]] = [
        {"reason": reason, "detail": detail, "names": [job["job"] for job in group], **summed(group)}
        for (reason, detail), group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["gpu_hours"]["expected"], -row["jobs"], row["reason"], row["detail"]))


def text(difference: dict[str, Any], width: int, most: int = 5) -> str:
    """Return a difference as text. difference: of `between`. most: how many reasons are listed for each kind of change."""
    drifted = "".join(f"\n{line}" for text in difference["drifts"] for line in wrapped(f"! {text}", width, "  "))
    if not any(difference[kind]["jobs"] for kind in ("added", "removed", "changed")):
        same = f"the same {count(difference['kept'])} jobs{', but:' if drifted else ''}"
        return f"since {difference['from']['hash']} ({difference['from']['made']}): {same}{drifted}"
    rows = []
    for kind, sign in (("added", "+"), ("removed", "-"), ("changed", "~")):
        for row in difference[kind]["reasons"][:most]:
            hours, key = ("gpu_hours", "GPU-h") if row["gpu_hours"]["high"] else ("cpu_hours", "CPU-h")
            which = row["names"][0] + (" ..." if row["jobs"] > 1 else "")
            why = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
            rows.append([f"{sign}{count(row['jobs'])}", f"{sign}{number(row[hours]['expected'])} {key}", which, why])
        if others := difference[kind]["reasons"][most:]:
            rows.append([f"{sign}{count(sum(row['jobs'] for row in others))}", "", "", f"{len(others)} other reasons"])
    ends = [span(seconds) if seconds is not None else "unknown" for seconds in difference["seconds"]]
    head = f"since {difference['from']['hash']} ({difference['from']['made']}): {count(difference['kept'])} jobs unchanged; takes {ends[1]}, before {ends[0]}"
    return f"{head}\n{table(['jobs', 'costs', 'for example', 'why'], rows, width)}{drifted}"


def refuse(what: str, plan: Document) -> None:
    """Raise BadInput, with the differences, unless a plan is the agreed one. what: hash or file of the agreed plan."""
    path = what if Path(what).is_file() else archive.find(what)
    if path is None and what != plan["hash"]:
        raise BadInput(
            f"--plan {what}: what would run is plan {plan['hash']}, and no plan {what} is saved in these results"
        )
    agreed = archive.read(path) if path else plan
    if agreed["format"] < archive.FORMAT:
        # to compare what it has would let the rest change unseen
        raise BadInput(
            f"--plan {what}: an earlier version made this plan, and it says neither what each job may cost nor what the files "
            "contain; make it again with `teachergrid plan` and agree on that one"
        )
    if changes := [*differing(agreed, plan), *drifts(agreed, plan)]:
        raise BadInput(
            f"--plan {what}: what would run differs from the agreed plan: {'; '.join(changes)}. Look at `teachergrid plan "
            f"--diff {what}`; what would run now is plan {plan['hash']}"
        )


def differing(agreed: Document, now: Document) -> list[str]:
    """Return in words which jobs a plan has more, which are missing, and which have other settings."""
    before, after = ({job["job"]: job["spec"] for job in plan["jobs"]} for plan in (agreed, now))
    groups = {
        "more": [name for name in after if name not in before],
        "missing": [name for name in before if name not in after],
        "with other settings": [name for name in after if before.get(name, after[name]) != after[name]],
    }
    return [
        f"{count(len(names))} {word} ({', '.join(sorted(names)[:3])}{' ...' if len(names) > 3 else ''})"
        for word, names in groups.items()
        if names
    ]


WORDS = {"gpus": "GPUs", "cpus": "CPUs", "gpu_model": "as GPU type", "parameters": "billion parameters"}


def drifts(agreed: Document, now: Document, most: int = 5) -> list[str]:
    """Return in words how the jobs that two plans share differ besides their specs: in what decides their price, in their files.

    And which model folders have other contents, where both plans know them. Nothing where one of the plans does not say it. most: how many differences are named.
    """
    if min(agreed["format"], now["format"]) < archive.FORMAT:
        return []
    before, groups = {job["job"]: job for job in agreed["jobs"]}, defaultdict(list)
    for job in now["jobs"]:
        if (old := before.get(job["job"])) is not None:
            for text in (*_costs(old["costs"], job["costs"]), *_files(old, job, agreed["files"], now["files"])):
                groups[text].append(job["job"])
    # a file that other jobs read, too, is named once
    lines = [text if text.endswith(CONTENTS) else f"{listing(names)}: {text}" for text, names in groups.items()]
    folders, then = archive.known(now.get("folders", {})), archive.known(agreed.get("folders", {}))
    lines += [f"{folder} {CONTENTS}" for folder, shown in folders.items() if then.get(folder, shown) != shown]
    return lines if len(lines) <= most else [*lines[:most], f"{len(lines) - most} other differences"]


def _costs(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield "8 GPUs, was 1" for each value that differs."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{now.get(name) or 'no'} {WORDS.get(name, name)}, was {before.get(name) or 'none'}"


CONTENTS = "has other contents"


def _files(old: JobRow, new: JobRow, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs in the contents of a job's files. before, now: {path: digest} of both plans."""
    if sorted(before[path] for path in old["files"]) == sorted(now[path] for path in new["files"]):
        return
    if old["files"] != new["files"]:
        yield f"reads {', '.join(new['files']) or 'no file'}, was {', '.join(old['files']) or 'none'}"
        return
    yield from (f"{path} {CONTENTS}" for path in new["files"] if before[path] != now[path])
