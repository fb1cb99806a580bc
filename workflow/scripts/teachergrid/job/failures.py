"""Why a job failed: its class, the line that decides it, what to do about it; and one record of it beside the job's log.

A job that ends in an error writes its own record. `teachergrid run` writes it where the job could not: killed by the kernel
or by SLURM, or never begun. Whoever asks later (`status`, the report) reads these records and no logs. A record is removed
when its job starts again or succeeds.

Patterns are for the words of others only (torch, NCCL, SLURM, loaders); whoever writes the record applies them.
"""

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, TypedDict

from ..store import origin

TIME_OUT = "time-out"
MEMORY = "out of memory"
GPU_MEMORY = "GPU out of memory"
PREEMPTED = "preempted"
NODE = "node failure"
CANCELLED = "cancelled"
DISK = "disk full"
NAN = "NaN loss"
MISSING = "missing model"
BAD_INPUT = "bad input"
LAUNCH = "launch"
REFUSED = "refused"
UNKNOWN = "unknown"
REMEDIES = {
    TIME_OUT: "Run again: it goes on from its last shard or checkpoint; if it never gets far enough, raise this rule's "
    "`runtime` under `set-resources` in the profile.",
    MEMORY: "Raise this rule's `mem_mb` under `set-resources` in the profile, then run again.",
    GPU_MEMORY: "Lower the batch (`batch`, `batch_tokens`; for SFT `per_device_train_batch_size` with more "
    "`gradient_accumulation_steps`), or raise `gpus` of the model or recipe, for SFT with `deepspeed: zero3`.",
    PREEMPTED: "Run again: it goes on from its last shard or checkpoint; a partition that is not preempted needs no second try.",
    NODE: "Run again: it goes on from its last shard or checkpoint; if one node does it twice, tell the cluster's "
    "administrators and leave it out by `slurm_extra: \"'--exclude=NODE'\"`.",
    CANCELLED: "Somebody cancelled it: run again, and it goes on from its last shard or checkpoint.",
    DISK: "Free space or raise the quota (`teachergrid status` shows what lies where; `keep: none` or `keep: adapter` in "
    "the recipe keeps fewer weights), then run again.",
    NAN: "Lower the recipe's `learning_rate`, lengthen its warm-up, or train in `dtype: float32`.",
    MISSING: "Run `teachergrid prefetch` where the internet is reachable; for a gated model log in first (`hf auth login`).",
    BAD_INPUT: "Mend what the message names, then run again.",
    LAUNCH: "Run again; if it repeats, the first error of a rank stands further up in the log, and `nodes: 1` or fewer "
    "`gpus` in the recipe tells a broken network from a broken job.",
    REFUSED: "sbatch did not take it: mend what it says in the profile (partition, account, limits), or wait, then run again.",
    UNKNOWN: "Read its log; what ended without a word was most often killed for its memory.",
}
# What sacct and squeue say of a dead job, where that decides.
STATES = {
    "TIMEOUT": TIME_OUT,
    "DEADLINE": TIME_OUT,
    "OUT_OF_MEMORY": MEMORY,
    "PREEMPTED": PREEMPTED,
    "NODE_FAIL": NODE,
    "BOOT_FAIL": NODE,
    "CANCELLED": CANCELLED,
}
# The first that any line of the logs matches decides, so causes stand before what follows from them: a full GPU or disk
# brings a launch down, and SLURM says CANCELLED also of a job that it killed for its memory or time.
PATTERNS = [
    (REFUSED, r"SLURM sbatch failed"),
    (
        GPU_MEMORY,
        r"(CUDA|HIP) out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
        # vLLM
        r"|No available memory for the cache blocks|less than desired GPU memory utilization"
        r"|larger than the available KV cache memory|too large for \d+ GPUs",
    ),
    # the last: what torch.save says of it
    (DISK, r"No space left on device|Disk quota exceeded|inline_container.*unexpected pos \d+ vs \d+"),
    (TIME_OUT, r"CANCELLED AT .* DUE TO TIME LIMIT"),
    (PREEMPTED, r"CANCELLED AT .* DUE TO PREEMPTION"),
    (NODE, r"CANCELLED AT .* DUE TO NODE FAILURE"),
    (MEMORY, r"oom[-_]kill|exceeded (job |step )?memory limit|: Out Of Memory$"),
    (CANCELLED, r"CANCELLED AT|^KeyboardInterrupt"),
    (MEMORY, r"\b(Arrow)?MemoryError\b|Cannot allocate memory|std::bad_alloc"),
    (NAN, r"\bloss\b.{0,30}\b(nan|inf)\b|\bloss\b.{0,30}not finite"),
    (
        MISSING,
        r"\b(LocalEntryNotFound|RepositoryNotFound|RevisionNotFound|GatedRepo)Error\b|OfflineModeIsEnabled"
        r"|couldn't find them in the cached files|cannot find the requested files in the local cache"
        r"|is not a local folder and is not a valid model identifier|teachergrid prefetch",
    ),
    # SIGKILL of a rank that SLURM does not own up to is the kernel's
    (MEMORY, r"failed \(exitcode: -9\)"),
    (
        LAUNCH,
        r"\bDist(Backend|Network|Store)?Error\b|\bNCCL error\b|\bnccl\w*Error\b|Watchdog caught collective operation timeout"
        r"|\bRendezvous\w*Error\b|EADDRINUSE|gloo/transport",
    ),
    # one rank's own error takes the others down
    (UNKNOWN, r"^RuntimeError: rank \d+: |^\[rank\d+\]: [\w.]*(Error|Exception)\b"),
    (
        LAUNCH,
        r"processes train together, \d+ were asked for|DeepSpeed is (on|off), asked for|of \d+ processes these (had started|ran)"
        r"|no port from \d+ to \d+ is free|failed \(exitcode: -?\d+\)",
    ),
]
SIGNS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in PATTERNS]
OF_THE_LOG = (GPU_MEMORY, DISK)  # tell more than the state that SLURM gives the job
ERROR = "ERROR: "  # how job.py begins the last line of its log
# "Error in rule" begins what Snakemake says of any dead job
RAISED = re.compile(r"^(?!Error in rule)[\w.]*(?<!Workflow)(?<!CalledProcess)(Error|Exception)\b")
SUFFIX = ".failed.json"  # of a record
SILENT = "its process ended without a word"


# --- the class of a failure


class Failure(NamedTuple):
    """kind: a key of REMEDIES; line: quoted from the log, or what SLURM says."""

    kind: str
    line: str

    @property
    def remedy(self) -> str:
        return REMEDIES[self.kind]


def of_message(message: str) -> Failure:
    """Return the failure of a job that ends with a message of our own: bad input, unless the message names another cause."""
    line = message.strip().partition("\n")[0]
    return Failure(sign([line])[0] or BAD_INPUT, plain(line))


def of_exception(message: str, log: str) -> Failure:
    """Return the failure of a job that ends with an exception. message: "KeyError: 'x'"; log: all that the job printed."""
    lines = [*lines_of(log), *lines_of(message)]
    kind, line = sign(lines)
    return Failure(kind or UNKNOWN, plain(line or message.partition("\n")[0]))


def classify(text: str, slurm_state: str | None = None, own: Failure | None = None) -> Failure:
    """Return why a job died, as others tell it.

    Args:
        text: the rule's log and SLURM's.
        slurm_state: as sacct or squeue give it ("CANCELLED by 0").
        own: what the job itself recorded. The text then counts for what SLURM says in it alone, which knows what it ended.
    """
    lines, state = lines_of(text), state_of(slurm_state)
    if own is None:
        kind, line = sign(lines)
    else:
        kind, line = sign([line for line in lines if "slurmstepd" in line])
        if kind is None or own.kind in OF_THE_LOG:
            kind, line = own
    if state in STATES and kind not in OF_THE_LOG:
        kind, line = STATES[state], line if kind == STATES[state] else f"SLURM ended it: {slurm_state}"
    raised = [line for line in lines if RAISED.match(line)]
    return Failure(kind or UNKNOWN, plain(line or [SILENT, *lines[-1:], *raised[-1:]][-1]))


def sign(lines: list[str]) -> tuple[str | None, str | None]:
    """Return the first kind that a line shows, and the last line that shows it; (None, None) where no line does."""
    for kind, pattern in SIGNS:
        shown = [line for line in lines if pattern.search(line)]
        if shown:
            return kind, shown[-1]
    return None, None


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def plain(line: str) -> str:
    """Return a line of a log as it is quoted."""
    return line.removeprefix(ERROR).rstrip(": ")


def state_of(slurm_state: str | None) -> str:
    """Return the first word of a state: CANCELLED of "CANCELLED by 0"."""
    return (slurm_state or "").split(" ")[0].rstrip("+")


def text_of(logs: Iterable[str | Path]) -> str:
    """Return the text of all logs that exist."""
    return "\n".join(path.read_text(errors="replace") for path in map(Path, logs) if path.exists())


def log_with(logs: list[Path], line: str) -> str | None:
    """Return the log that holds a line, the first log where none does; None without logs."""
    return str(next((path for path in logs if line in path.read_text(errors="replace")), logs[0])) if logs else None


# --- its record


@dataclass(frozen=True)
class Record:
    """A failed job. cell: "wildcard/wildcard"; outputs: their paths; log: of the line; exception: its type, where the job itself
    wrote this; time: in seconds since 1970."""

    rule: str
    cell: str
    kind: str
    line: str
    outputs: list[str] = field(default_factory=list)
    log: str | None = None
    exception: str | None = None
    time: float = field(default_factory=time.time)

    @property
    def job(self) -> str:
        return f"{self.rule} {self.cell}".strip()

    @property
    def failure(self) -> Failure:
        return Failure(self.kind, self.line)


def record_path(results: str, rule: str, cell: str) -> Path:
    return Path(results, "logs", rule, f"{cell}{SUFFIX}")


def write(results: str, record: Record) -> None:
    """Write the record of a failed job. A disk that is full is no error: it is often why the job failed."""
    with suppress(OSError):
        origin.replace_text(record_path(results, record.rule, record.cell), json.dumps(asdict(record), indent=1) + "\n")


def remove(results: str, rule: str, cell: str) -> None:
    """Remove the record of a job that starts again or has succeeded."""
    record_path(results, rule, cell).unlink(missing_ok=True)


def load(path: Path) -> Record | None:
    """Return the record in a file; None where there is none, or not a whole one."""
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def read(results: str) -> dict[tuple[str, str], Record]:
    """Return (rule, cell) -> the record of each job whose last try failed, sorted. A job with an output has finished since."""
    paths = sorted(Path(results, "logs").glob(f"*/**/*{SUFFIX}"))
    records = [record for record in map(load, paths) if record and not any(map(os.path.exists, record.outputs))]
    return {(record.rule, record.cell): record for record in records}


class Group(TypedDict):
    """Failed jobs of one class. cells: what is shown of each job."""

    kind: str
    remedy: str
    cells: list[Mapping]


def grouped(failed: Iterable[tuple[str, Mapping]]) -> list[Group]:
    """Return the failed jobs by class, the largest class first. failed: (kind, what is shown of the job)."""
    by_kind: dict[str, list[Mapping]] = defaultdict(list)
    for kind, shown in failed:
        by_kind[kind].append(shown)
    ordered = sorted(by_kind.items(), key=lambda item: -len(item[1]))
    return [{"kind": kind, "remedy": REMEDIES[kind], "cells": cells} for kind, cells in ordered]
