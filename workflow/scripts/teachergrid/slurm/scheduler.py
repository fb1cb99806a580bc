"""SLURM's commands: squeue, sacct and scancel for the jobs of one working directory, and `ask` for any command.

Snakemake's executor plugin submits a job from the working directory, and writes `rule_R_wildcards_A_B` into its comment. We
recognise our jobs by both.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

ME, EVERYONE = ("--me",), ()  # options of squeue: whose jobs it shows

CONFIGURED = ("/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf")
ANSWER_S = 60  # seconds to wait for an answer, as long as the plugin does: a busy controller is slow
AT_ONCE = 500  # jobs in one scancel: the length of a command line is limited
COMMENT = re.compile(r"rule_(\w+?)(?:_wildcards_(.*))?")
# one _ separates wildcards, two belong to a name
BETWEEN = re.compile(r"(?<!_)_(?!_)")


class SlurmError(RuntimeError):
    """A command of SLURM is missing, failed, or did not answer in time. The message names the command."""


class Job(NamedTuple):
    """A live job of a folder. user: who submitted it."""

    id: str
    state: str  # SLURM's word, such as PENDING
    rule: str
    cell: str  # wildcard/wildcard
    node: str  # "" while it waits
    elapsed_s: int
    limit_s: int | None  # None without a limit
    partition: str = ""  # several, with commas, while it waits for any of them
    reason: str = ""  # why it waits, in squeue's words
    user: str = ""


class Start(TypedDict):
    """One start of a job in SLURM's accounting; a job that was put back into the queue has several."""

    JobID: str
    state: str  # one word, such as COMPLETED
    rule: str  # "", and so is cell, where the site does not store comments
    cell: str
    node: str
    submitted: float  # seconds since 1970
    elapsed_s: int
    gpus: int
    exit: str  # exit code:signal


def ask(*command: str) -> str:
    """Return the output of a command of SLURM. Raises SlurmError."""
    try:
        # in a session of its own, so that Ctrl-C reaches only us: a query that it cut off would look like no answer
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_S, start_new_session=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise SlurmError(f"{command[0]}: not found; run this on a login node of the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]}: no answer within a minute; is slurmctld up?") from error
    if done.returncode:
        raise SlurmError(f"{command[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout


def available() -> bool:
    """Whether this machine has SLURM: its commands are installed, and a controller is configured."""
    # the variable has precedence where it is set, as for SLURM's own commands
    files = [os.environ["SLURM_CONF"]] if "SLURM_CONF" in os.environ else CONFIGURED
    configured = "SLURM_CONF_SERVER" in os.environ or any(Path(path).is_file() for path in files)
    return configured and shutil.which("squeue") is not None


def live(folder: str | Path, whose: tuple[str, ...] = ME, answer_s: float | None = None) -> list[Job] | None:
    """Return jobs in the queue (waiting, running or ending) that were submitted from a folder; None without an answer.

    whose: ME, of_user(...) or EVERYONE. The controller itself picks the jobs of one user, but sends those of everyone, so
    EVERYONE is for the start of a run only. answer_s: seconds to wait for the answer, by default a minute.
    """
    try:
        options = *whose, "--noheader", "--format=%i|%T|%N|%M|%l|%P|%r|%u|%k|%Z"
        return parse_queue(ask(*_within(answer_s), "squeue", *options), folder)
    except SlurmError:
        return None


def of_user(name: str) -> tuple[str, ...]:
    """Return the options of squeue for the jobs of one user, for `live`."""
    return (f"--user={name}",)


def hides_others() -> bool:
    """Whether squeue may show us our own jobs only (PrivateData=jobs). Raises SlurmError."""
    said = re.search(r"^PrivateData\s*=\s*(.*)$", ask("scontrol", "show", "config"), re.MULTILINE)
    return os.getuid() != 0 and (said is None or "jobs" in re.split(r"[,\s]+", said[1]))


def parse_queue(text: str, folder: str | Path) -> list[Job]:
    """Return the jobs of a folder in squeue's lines `id|state|node|elapsed|limit|partition|reason|user|comment|folder`."""
    jobs, is_folder = [], cache(lambda where: _same(where, folder))
    for line in text.splitlines():
        id, state, node, elapsed, limit, partition, reason, user, comment, where = line.split("|", 9)
        # the comment first: a look at the folders of everyone's jobs takes long on a network file system
        if (name := _rule_and_cell(comment)) and is_folder(where):
            times = seconds(elapsed) or 0, seconds(limit)
            jobs.append(Job(id, state, *name, node, *times, partition, reason.replace("None", ""), user))
    return jobs


def accounting(folder: str | Path, since: float, answer_s: float | None = None) -> list[Start]:
    """Return what sacct knows of a folder's jobs that were alive at or after `since` (seconds since 1970).

    Returns [] without accounting, or where sacct does not answer (within answer_s seconds, by default a minute). sacct shows a change one or two seconds late.
    """
    options = [
        "--allocations",
        "--duplicates",
        "--parsable2",
        "--noheader",
        f"--starttime={time.strftime('%Y-%m-%dT%H:%M:%S', time.localtime(since))}",
        "--endtime=now",  # without it sacct leaves jobs out
        "--format=JobIDRaw,State,NodeList,Submit,ElapsedRaw,AllocTRES,ExitCode,Comment,WorkDir",
    ]
    try:
        return parse_accounting(ask(*_within(answer_s), "sacct", *options), folder)
    except SlurmError:
        return []


def parse_accounting(text: str, folder: str | Path) -> list[Start]:
    """Return the rows of a folder in sacct's lines `id|state|node|submit|elapsed|tres|exit|comment|folder`."""
    starts: list[Start] = []
    for line in text.splitlines():
        id, state, node, submit, elapsed, tres, code, comment, where = line.split("|", 8)
        if not _same(where, folder):
            continue
        rule, cell = _rule_and_cell(comment) or ("", "")
        start: Start = {
            "JobID": id,
            "state": state.split()[0],  # CANCELLED by 0
            "rule": rule,
            "cell": cell,
            "node": node,
            "submitted": time.mktime(time.strptime(submit, "%Y-%m-%dT%H:%M:%S")),
            "elapsed_s": int(elapsed),
            "gpus": _gpus(tres),
            "exit": code,
        }
        starts.append(start)
    return starts


def end_of(id: str) -> str | None:
    """Return what sacct knows of the state of a job, such as "CANCELLED by 1000"; None without accounting or an answer."""
    try:
        return ask("sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={id}", "--format=State").strip()
    except SlurmError:
        return None


def cancel(ids: Iterable[str]) -> bool:
    """Cancel jobs. Return whether SLURM accepted all of it; a job that has already ended is no error."""
    ids, accepted = list(ids), True
    for first in range(0, len(ids), AT_ONCE):
        try:
            ask("scancel", *ids[first : first + AT_ONCE])
        except SlurmError:
            accepted = False
    return accepted


def seconds(text: str) -> int | None:
    """Return SLURM's [days-][hours:]minutes:seconds in seconds; None for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not match:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _within(answer_s: float | None) -> list[str]:
    """Return the words before a command that end it after so many seconds."""
    return ["timeout", str(answer_s)] if answer_s else []


def _rule_and_cell(comment: str) -> tuple[str, str] | None:
    """Return (rule, wildcard/wildcard) from the plugin's comment; None for a job that is not ours."""
    match = COMMENT.fullmatch(comment)
    return (match[1], "/".join(BETWEEN.split(match[2] or ""))) if match else None


def _same(where: str, folder: str | Path) -> bool:
    """Whether two paths are the same folder."""
    return os.path.realpath(where) == os.path.realpath(folder)


def _gpus(tres: str) -> int:
    """Return how many GPUs a list such as cpu=4,gres/gpu:h100=2,gres/gpu=2 has; the untyped count, where given, is their sum."""
    counts = dict(part.split("=", 1) for part in tres.split(",") if part.startswith("gres/gpu"))
    return int(counts.get("gres/gpu") or sum(map(int, counts.values())))
