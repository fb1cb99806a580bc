"""Why a job died. tests/failures holds logs of jobs that really died: of a SLURM 22.05 without cgroups, a full tmpfs, a hub
that was out of reach, torchrun with a rank that was killed or gave up."""

import os
from pathlib import Path

import pytest
from teachergrid import failures
from teachergrid.report import facts, page, read, text

RECORDED = Path(__file__).parent / "failures"
CUDA = (
    "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.02 GiB is free. "
    "Including non-PyTorch memory, this process has 78.07 GiB memory in use."
)
KILLED = "slurmstepd: error: *** JOB 7 ON a1 CANCELLED AT 2026-11-21T18:04:53 "


@pytest.mark.parametrize(
    "log, kind, line",
    [
        ("slurm_time", failures.TIME_OUT, "DUE TO TIME LIMIT"),
        ("slurm_memory", failures.MEMORY, "Exceeded job memory limit"),  # SLURM's state of this job is FAILED
        ("slurm_cancel", failures.CANCELLED, "JOB 3 ON cpu1 CANCELLED AT"),
        ("slurm_preempt", failures.PREEMPTED, "DUE TO PREEMPTION"),
        ("slurm_node", failures.NODE, "DUE TO NODE FAILURE"),
        ("disk_python", failures.DISK, "OSError: [Errno 28] No space left on device"),
        ("disk_parquet", failures.DISK, "Error writing bytes to file"),
        ("disk_safetensors", failures.DISK, "SafetensorError"),
        ("disk_torch", failures.DISK, "unexpected pos 576 vs 534"),
        ("torch_cpu", failures.MEMORY, "DefaultCPUAllocator"),
        ("python_memory", failures.MEMORY, "MemoryError"),
        ("hub_transformers", failures.MISSING, "couldn't find them in the cached files"),
        ("hub_file", failures.MISSING, "LocalEntryNotFoundError"),
        ("torchrun_kill", failures.MEMORY, "(exitcode: -9) local_rank: 1"),
        ("torchrun_exit", failures.LAUNCH, "Connection closed by peer"),
        ("torchrun_alone", failures.LAUNCH, "RendezvousTimeoutError"),
    ],
)
def test_recorded_logs(log, kind, line):
    found = failures.of([RECORDED / f"{log}.log"])
    assert found.kind == kind and line in found.line
    assert not found.line.startswith("ERROR")


@pytest.mark.parametrize(
    "text, state, kind, line",
    [
        # job.py's last line decides, whatever stands above it
        ("ERROR: config.x: there is no 'y'", None, failures.BAD_INPUT, "config.x: there is no 'y'"),
        (f"{CUDA}\nERROR: org/q: too small; mend it", None, failures.BAD_INPUT, "org/q: too small; mend it"),
        ("step 1\nERROR: KeyError: 'x'", None, failures.UNKNOWN, "KeyError: 'x'"),
        ("ERROR: AssertionError: ", None, failures.UNKNOWN, "AssertionError"),
        # only the first line of a message carries the word
        ("ERROR: OSError: one\ntwo", None, failures.UNKNOWN, "OSError: one"),
        # no last line of ours: what was raised, else what was said last
        (
            "ModuleNotFoundError: No module named 'x'\nExiting.",
            None,
            failures.UNKNOWN,
            "ModuleNotFoundError: No module named 'x'",
        ),
        ("loading\nKilled\n\n", None, failures.UNKNOWN, "Killed"),
        ("", None, failures.UNKNOWN, failures.SILENT),
        # causes before what follows from them
        (
            f"[rank1]: torch.OutOfMemoryError: {CUDA}\nfailed (exitcode: 1) local_rank: 1",
            None,
            failures.GPU_MEMORY,
            CUDA,
        ),
        ("ERROR: ValueError: No available memory for the cache blocks.", None, failures.GPU_MEMORY, "cache blocks"),
        ("ERROR: org/q: too large for 2 GPUs, parts of it lie on cpu", None, failures.GPU_MEMORY, "too large"),
        ("ERROR: disk full: No space left on device at results (1 kB free)", None, failures.DISK, "disk full"),
        ("OSError: [Errno 122] Disk quota exceeded: 'x'", None, failures.DISK, "quota"),
        ("step 9 of 10, loss nan, 1 s left\nERROR: ValueError: x", None, failures.NAN, "loss nan"),
        ("ERROR: FloatingPointError: loss is inf at step 9", None, failures.NAN, "loss is inf"),
        ("loss 0.1, information of the run\nERROR: ValueError: x", None, failures.UNKNOWN, "ValueError: x"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.", None, failures.MEMORY, "oom_kill"),
        ("srun: error: a1: task 0: Out Of Memory", None, failures.MEMORY, "task 0"),
        (
            "ERROR: RuntimeError: 1 processes train together, 2 were asked for",
            None,
            failures.LAUNCH,
            "2 were asked for",
        ),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp", None, failures.LAUNCH, "NCCL error"),
        (
            "failed (exitcode: 1) local_rank: 1\nERROR: RuntimeError: rank 1: KeyError: 'x'",
            None,
            failures.UNKNOWN,
            "rank 1: KeyError: 'x'",
        ),
        # SLURM knows better what it did, and a log of an earlier try may stand beside it
        (f"ERROR: config.x: no\n{KILLED}DUE TO TIME LIMIT ***", None, failures.TIME_OUT, "DUE TO TIME LIMIT"),
        ("ERROR: KeyError: 'x'", "TIMEOUT", failures.TIME_OUT, "SLURM ended it: TIMEOUT"),
        (f"{KILLED}***", "CANCELLED by 0", failures.CANCELLED, "JOB 7"),
        (f"{KILLED}***", "PREEMPTED", failures.PREEMPTED, "SLURM ended it: PREEMPTED"),
        ("", "NODE_FAIL", failures.NODE, "SLURM ended it: NODE_FAIL"),
        ("", "OUT_OF_MEMORY", failures.MEMORY, "SLURM ended it: OUT_OF_MEMORY"),
        ("ERROR: KeyError: 'x'", "FAILED", failures.UNKNOWN, "KeyError: 'x'"),
        # a log tells more than a state where a GPU or a disk was full
        (f"ERROR: OutOfMemoryError: {CUDA}", "CANCELLED by 0", failures.GPU_MEMORY, CUDA),
        ("ERROR: OSError: [Errno 28] No space left on device", "TIMEOUT", failures.DISK, "No space"),
    ],
)
def test_classes(text, state, kind, line):
    found = failures.classify(text, state)
    assert found.kind == kind and line in found.line and found.remedy == failures.REMEDIES[kind]


def write(path: Path, text: str, age_s: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1e9 - age_s, 1e9 - age_s))


def test_logs_of_the_last_try(tmp_path):
    own, slurm = tmp_path / "answer/q__s1/math.log", tmp_path / "slurm/rule_answer/q__s1_math"
    write(own, "", age_s=10)
    write(slurm / "9.log", KILLED, age_s=20)
    write(slurm / "10.log", f"{KILLED}DUE TO TIME LIMIT ***")
    write(tmp_path / "slurm/rule_judge/q_math_wins/11.log", KILLED)
    write(tmp_path / "run.log", "")
    assert failures.tried(tmp_path) == [("answer", "q__s1/math"), ("judge", "q/math/wins")]
    assert failures.logs(tmp_path, "answer", "q__s1/math") == [own, slurm / "10.log"]
    # a later try without SLURM is what counts
    write(slurm / "10.log", f"{KILLED}DUE TO TIME LIMIT ***", age_s=20)
    assert failures.logs(tmp_path, "answer", "q__s1/math") == [own]


@pytest.mark.parametrize(
    "texts, state, kind",
    [
        (["", f"{KILLED}DUE TO TIME LIMIT ***"], None, failures.TIME_OUT),
        (["ERROR: config.x: no", "Exiting because a job failed"], None, failures.BAD_INPUT),
        # put back into the queue, and done
        (["", f"{KILLED}DUE TO PREEMPTION ***\n1 of 1 steps (100%) done"], None, None),
        # a warning in a good log is no failure
        (["CUDA out of memory, so smaller batches", "1 of 1 steps (100%) done"], "COMPLETED", None),
        ([], "NODE_FAIL", failures.NODE),
        ([], None, None),
    ],
)
def test_what_died_and_what_did_not(tmp_path, texts, state, kind):
    paths = [tmp_path / f"{i}.log" for i in range(len(texts))]
    for path, log in zip(paths, texts, strict=True):
        path.write_text(log)
    found = failures.died(paths, state)
    assert (found and found.kind) == kind


def test_the_report_shows_failures_by_class(tmp_path):
    student = "q__seed__small__sft__s1"
    write(tmp_path / f"finetune/{student}.log", "", age_s=10)
    slurm = tmp_path / f"slurm/rule_finetune/{student}/9.log"
    write(slurm, f"{KILLED}DUE TO TIME LIMIT ***")
    write(tmp_path / f"answer/{student}/math.log", "ERROR: config.<x>: no\n")
    write(tmp_path / f"answer/{student}/chat.log", "good\n")
    write(tmp_path / "finetune/another__grid__sft__s1.log", "ERROR: config.y: no\n")
    asked = {"students": [{"student": student, "corpus": "seed__small", "base": "q"}], "references": [], "pairs": []}
    found = read.failed(str(tmp_path), asked)
    assert [(row["rule"], row["kind"], row["log"]) for row in found] == [
        ("answer", failures.BAD_INPUT, str(tmp_path / f"answer/{student}/math.log")),
        ("finetune", failures.TIME_OUT, str(slurm)),
    ]
    html = page.build({"failures": found, "settings": {}})
    for kind in (failures.BAD_INPUT, failures.TIME_OUT):
        assert f"<h3>{kind}: 1</h3>" in html and text.coded(failures.REMEDIES[kind]) in html
    assert f"answer {student}/math" in html and "config.&lt;x&gt;: no" in html and "DUE TO TIME LIMIT" in html
    assert facts.why_missing(facts.gather({"failures": found, "settings": asked}), "q", "seed__small").startswith(
        "answer"
    )
