"""SLURM's answers in one place: squeue, sacct and scancel, for the jobs of one working directory.

The executor plugin names a job by its run, submits it from the working directory, and writes `rule_R_wildcards_A_B` into
its comment: that is how our jobs are told from others.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

CONFIGURED = ("/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf")
ANSWER_S = 60  # a busy controller answers late; the plugin waits as long
COMMENT = re.compile(r"rule_(\w+?)(?:_wildcards_(.*))?")
# one _ joins wildcards, two of them belong to a name
BETWEEN = re.compile(r"(?<!_)_(?!_)")


class Job(NamedTuple):
    """A job that SLURM knows. cell: wildcard/wildcard; node: "" while it waits; limit_s: None without a limit."""

    id: str
    state: str
    rule: str
    cell: str
    node: str
    elapsed_s: int
    limit_s: int | None


def available() -> bool:
    """Whether this machine can ask a SLURM: its commands are here, and a controller is configured."""
    # as for SLURM's own commands, the variable decides where it is set
    files = [os.environ["SLURM_CONF"]] if "SLURM_CONF" in os.environ else CONFIGURED
    configured = "SLURM_CONF_SERVER" in os.environ or any(Path(path).is_file() for path in files)
    return configured and shutil.which("squeue") is not None


def live(folder) -> list[Job] | None:
    """Return our jobs that wait, run or end, submitted from a folder. None: squeue did not answer, so nobody knows."""
    text = _ask("squeue", "--me", "--noheader", "--format=%i|%T|%N|%M|%l|%k|%Z")
    return None if text is None else parse_queue(text, folder)


def parse_queue(text: str, folder) -> list[Job]:
    """Return the jobs of a folder in squeue's lines `id|state|node|elapsed|limit|comment|folder`."""
    jobs = []
    for line in text.splitlines():
        id, state, node, elapsed, limit, comment, where = line.split("|", 6)
        if (named := _named(comment)) and _same(where, folder):
            jobs.append(Job(id, state, *named, node, seconds(elapsed) or 0, seconds(limit)))
    return jobs


def accounting(folder, since: float) -> list[dict]:
    """Return what sacct knows of a folder's jobs that were alive at or after `since` (seconds since 1970).

    One dict a start, so two for a job that was put back into the queue: JobID, state (one word), rule, cell (both "" where
    the site does not store comments), node, submitted (seconds since 1970), elapsed_s, gpus, exit. [] without accounting,
    or when it does not answer. sacct knows of a change one or two seconds late.
    """
    text = _ask(
        "sacct",
        "--allocations",
        "--duplicates",
        "--parsable2",
        "--noheader",
        f"--starttime={time.strftime('%Y-%m-%dT%H:%M:%S', time.localtime(since))}",
        "--endtime=now",  # without it sacct leaves jobs out
        "--format=JobIDRaw,State,NodeList,Submit,ElapsedRaw,AllocTRES,ExitCode,Comment,WorkDir",
    )
    return parse_accounting(text or "", folder)


def parse_accounting(text: str, folder) -> list[dict]:
    """Return the rows of a folder in sacct's lines `id|state|node|submit|elapsed|tres|exit|comment|folder`."""
    rows = []
    for line in text.splitlines():
        id, state, node, submit, elapsed, tres, code, comment, where = line.split("|", 8)
        if not _same(where, folder):
            continue
        rule, cell = _named(comment) or ("", "")
        row = {"JobID": id, "state": state.split()[0], "rule": rule, "cell": cell, "node": node}  # CANCELLED by 0
        row |= {"submitted": time.mktime(time.strptime(submit, "%Y-%m-%dT%H:%M:%S"))}
        rows.append(row | {"elapsed_s": int(elapsed), "gpus": _gpus(tres), "exit": code})
    return rows


def cancel(ids) -> bool:
    """Cancel jobs. Return whether SLURM took it; a job that has ended meanwhile is no error."""
    ids = list(ids)
    parts = [ids[at : at + 500] for at in range(0, len(ids), 500)]  # a command line has an end
    return all([_ask("scancel", *part) is not None for part in parts])


def seconds(text: str) -> int | None:
    """Return SLURM's [days-][hours:]minutes:seconds in seconds; None for UNLIMITED and the like."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not found:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _ask(*argv: str) -> str | None:
    """Return what a command of SLURM prints; None when it fails or does not answer in time."""
    try:
        # a session of its own: Ctrl-C is for us, and a question that it cut off would read as no answer
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=ANSWER_S, start_new_session=True, stdin=subprocess.DEVNULL
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return None
    return done.stdout if done.returncode == 0 else None


def _named(comment: str) -> tuple[str, str] | None:
    """Return (rule, wildcard/wildcard) of the plugin's comment; None for a job of somebody else."""
    found = COMMENT.fullmatch(comment)
    return (found[1], "/".join(BETWEEN.split(found[2] or ""))) if found else None


def _same(where: str, folder) -> bool:
    return os.path.realpath(where) == os.path.realpath(folder)


def _gpus(tres: str) -> int:
    """Return the GPUs in a list such as cpu=4,gres/gpu:h100=2,gres/gpu=2, where the untyped count is the sum if it is there."""
    counts = dict(part.split("=", 1) for part in tres.split(",") if part.startswith("gres/gpu"))
    return int(counts.get("gres/gpu") or sum(map(int, counts.values())))
