"""Measure what a finished job took: seconds, memory, devices, rows and tokens. Plans estimate from these numbers."""

import json
import os
import re
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..cost import machines, workload
from ..cost import resources as job_resources
from ..store import owner
from . import devices

if TYPE_CHECKING:
    from snakemake.io import InputFiles
    from snakemake.script import Snakemake

# {rule: (column of the tokens before a response, column of those in it)}
COLUMNS = {
    "generate": ("prompt_tokens", "response_tokens"),
    "answer": ("prompt_tokens", "answer_tokens"),
    "ask": ("prompt_tokens", "response_tokens"),
    "likelihood": ("n_question", "n_answer"),
}
# rules whose rows are those of their input responses, and those of the first output
OF_RESPONSES = ("check", "select", "metric", "pilot", "report")
OF_OUTPUT = (
    "load_instructions",
    "generate",
    "answer",
    "verify",
    "reward",
    "likelihood",
    "judge",
    "ask",
    "loss",
    "score",
)


def measure(snakemake: "Snakemake", waited: float) -> dict:
    """Return what a finished job took, for its line in the index of jobs. waited: seconds for which it waited for devices."""
    resources = snakemake.resources
    rule, gpus = snakemake.rule, job_resources.gpus(resources)
    settings = workload.settings(rule, snakemake.params.spec) if rule in workload.MODEL_RULES else ()
    row = {"spec": snakemake.params.spec, "parameters": None}
    has_model = "model" in json.loads(snakemake.params.spec)
    device = device_type() if gpus else machines.CPU
    return {
        "seconds": round(age() - waited, 2),
        "cpu_seconds": round(cpu_seconds(), 2),
        "device": device,
        "gpus": gpus if device != machines.CPU else 0,
        "nodes": resources.get("nodes") or 1,
        "parameters": workload.parameters(row) if has_model else 0,
        "settings": dict(workload.with_cost(settings, deepspeed=resources.get("deepspeed") or None)),
        "gpu_gb": gpu_gb(),
        "host_gb": host_gb(),
        **counted(rule, snakemake.input, snakemake.output),
    }


def device_type() -> str:
    """Return the type of this machine's GPUs, or `cpu` where it has none."""
    if not devices.known():
        return machines.CPU
    name = re.search(r"GPU \d+: (.*?) \(UUID", devices.nvidia_smi())
    return machines.type_of(name[1], machines.read().gpus) if name else machines.CPU


def age() -> float:
    """Return the seconds since this process started."""
    start = int(owner.start_ticks(os.getpid()) or 0) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def host_gb() -> float:
    """Return the peak memory in GB of this process, or of the largest of its children that have ended."""
    # not what getrusage says of this process: that begins with the peak of the program that started it, such as Snakemake's, which
    # is large for a large grid
    own = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    peaks = int(own[1]) if own else 0, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(max(peaks) * 1024 / 1e9, 2)


def gpu_gb() -> float | None:
    """Return the peak memory of torch on one GPU in GB; None where this process used no GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    peaks = [torch.cuda.max_memory_reserved(i) for i in range(torch.cuda.device_count())]
    return round(max(peaks) / 1e9, 2) or None


def counted(rule: str, inputs: "InputFiles", outputs: Sequence[str | Path]) -> dict:
    """Return rows and tokens of a job, as far as its files contain them, counted as in the rows of grid.cells.Cells."""
    path = str(outputs[0])
    if rule == "finetune":
        student = json.loads(Path(path).read_text())
        return {"rows": student.get("examples"), "tokens": student.get("trained_tokens")}
    if rule in OF_RESPONSES:
        return {"rows": sum(map(_rows, _several(inputs.responses)))}
    if rule == "correlate":
        # results/scores/{model}/{suite}/{judge}.parquet; a suite counts as in grid.blocks
        scores = [*_several(inputs.verified), *_several(inputs.judged)]
        return {"rows": 1_000 * len({Path(path).parts[-3] for path in scores})}
    if rule not in OF_OUTPUT:
        return {}
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    names = [name for name in COLUMNS.get(rule, ()) if name in file.schema_arrow.names]
    sums = [pc.sum(column).as_py() for column in file.read(columns=names).columns] if names else []
    return {"rows": file.metadata.num_rows} | dict(zip(("read", "tokens"), sums, strict=False))


def _several(files: str | Sequence[str]) -> Sequence[str]:
    """Return the files of an input, which is a text where it is one file alone."""
    return [files] if isinstance(files, str) else files


def _rows(path: str | Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows
