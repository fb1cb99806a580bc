"""Why a job died: the class of a failure, the line of its logs that decides it, and what to do about it."""

import re
from pathlib import Path
from typing import NamedTuple

from .cluster import BETWEEN

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
SIGNS = [
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
    (UNKNOWN, r"^ERROR: RuntimeError: rank \d+: |^\[rank\d+\]: [\w.]*(Error|Exception)\b"),
    (
        LAUNCH,
        r"processes train together, \d+ were asked for|DeepSpeed is (on|off), asked for|of \d+ processes these (had started|ran)"
        r"|no port from \d+ to \d+ is free|failed \(exitcode: -?\d+\)",
    ),
]
SIGNS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in SIGNS]
OF_THE_LOG = (GPU_MEMORY, DISK)  # tell more than the state that SLURM gives the job

ERROR = "ERROR: "
EXCEPTION = re.compile(r"[A-Z]\w*:( |$)")  # how job.py begins the message of all but BadInput
# "Error in rule" begins what Snakemake says of any dead job
RAISED = re.compile(r"^(?!Error in rule)[\w.]*(?<!Workflow)(?<!CalledProcess)(Error|Exception)\b")
GOOD_END = "steps (100%) done"  # Snakemake's last word in a SLURM log
SILENT = "its process ended without a word"


class Failure(NamedTuple):
    """kind: a key of REMEDIES; line: quoted from the log, or what SLURM says."""

    kind: str
    line: str
    remedy: str


def classify(text: str, slurm_state: str | None = None) -> Failure:
    """Return why a job died. text: its rule's log and SLURM's; slurm_state: as sacct or squeue give it ("CANCELLED by 0")."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    state = state_of(slurm_state)
    errors = [line for line in lines if line.startswith(ERROR.strip())]
    told = None if not errors or EXCEPTION.match(errors[-1].removeprefix(ERROR)) else errors[-1]
    # a message of our own is about itself: what stands above it in the log does not matter, what SLURM did does
    kind, line = sign([line for line in lines if line == told or "slurmstepd" in line] if told else lines)
    if state in STATES and kind not in OF_THE_LOG:
        kind, line = STATES[state], line if kind == STATES[state] else f"SLURM ended it: {slurm_state}"
    elif kind is None:
        kind = BAD_INPUT if told else UNKNOWN
    raised = [line for line in lines if RAISED.match(line)]
    line = line or [SILENT, *lines[-1:], *raised[-1:], *errors[-1:]][-1]
    return Failure(kind, line.removeprefix(ERROR).rstrip(": "), REMEDIES[kind])


def sign(lines: list[str]) -> tuple[str | None, str | None]:
    """Return the first kind that a line shows, and the last line that does: job.py repeats what decided at the end."""
    for kind, pattern in SIGNS:
        shown = [line for line in lines if pattern.search(line)]
        if shown:
            return kind, shown[-1]
    return None, None


def tried(folder) -> list[tuple[str, str]]:
    """Return (rule, "wildcard/wildcard") of every cell that has a log of its own or of SLURM, sorted."""
    own = (path.relative_to(folder).with_suffix("").parts for path in Path(folder).glob("*/**/*.log"))
    found = {(rule, "/".join(cell)) for rule, *cell in own if rule != "slurm"}
    slurm = Path(folder, "slurm").glob("rule_*/*")
    found |= {(path.parent.name.removeprefix("rule_"), "/".join(BETWEEN.split(path.name))) for path in slurm}
    return sorted(found)


def logs(folder: str, rule: str, cell: str) -> list[Path]:
    """Return the logs of a cell's last try ("wildcard/wildcard"), those that there are: the rule's, and that of its SLURM job
    unless it was run without SLURM since."""
    own = Path(folder, rule, f"{cell}.log")
    slurm = Path(folder, "slurm", f"rule_{rule}", cell.replace("/", "_")).glob("*.log")
    last = sorted(slurm, key=lambda path: int(path.stem))[-1:]
    if not own.exists():
        return last
    return [own, *(path for path in last if path.stat().st_mtime >= own.stat().st_mtime)]


def of(paths: list, slurm_state: str | None = None) -> Failure:
    """Return why the job of these logs died."""
    return classify(read(paths), slurm_state)


def died(paths: list, slurm_state: str | None = None) -> Failure | None:
    """Return why a job died, or None where neither its logs nor SLURM say that it did."""
    text = read(paths)
    lines = [line.strip() for line in text.splitlines()]
    ended_badly = any(line.startswith(ERROR.strip()) for line in lines) or (
        any("slurmstepd" in line for line in lines) and sign(lines)[0] and not any(GOOD_END in line for line in lines)
    )
    return classify(text, slurm_state) if ended_badly or state_of(slurm_state) in STATES else None


def quoted(paths: list[Path], line: str) -> str | None:
    """Return the log that holds a line, the first one where none does; None without logs."""
    return str(next((path for path in paths if line in path.read_text(errors="replace")), paths[0])) if paths else None


def read(paths: list) -> str:
    return "\n".join(Path(path).read_text(errors="replace") for path in paths)


def state_of(slurm_state: str | None) -> str:
    """Return the one word of it: CANCELLED of "CANCELLED by 0"."""
    return (slurm_state or "").split(" ")[0].rstrip("+")
