"""Why a job died. tests/failures holds logs of jobs that really died: of a SLURM 22.05 without cgroups, a full tmpfs, a hub
that was out of reach, torchrun with a rank that was killed or gave up."""

from pathlib import Path

import pytest
from teachergrid.job import failures
from teachergrid.pages import text
from teachergrid.report import data, page, read

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
    found = failures.classify((RECORDED / f"{log}.log").read_text())
    assert found.kind == kind and line in found.line
    assert not found.line.startswith("ERROR")


@pytest.mark.parametrize(
    "message, log, kind, line",
    [
        # a message of our own is about itself, whatever the log says before it
        ("config.x: there is no 'y'", None, failures.BAD_INPUT, "config.x: there is no 'y'"),
        ("org/q: too small; fix it", None, failures.BAD_INPUT, "org/q: too small; fix it"),
        ("one\ntwo", None, failures.BAD_INPUT, "one"),
        ("org/q: too large for 2 GPUs, parts of it lie on cpu", None, failures.GPU_MEMORY, "too large"),
        ("disk full: No space left on device at results (1 kB free)", None, failures.DISK, "disk full"),
        # an exception may follow from what the log says before it
        ("KeyError: 'x'", "step 1", failures.UNKNOWN, "KeyError: 'x'"),
        ("AssertionError: ", "", failures.UNKNOWN, "AssertionError"),
        ("OSError: one\ntwo", "", failures.UNKNOWN, "OSError: one"),
        ("ValueError: No available memory for the cache blocks.", "", failures.GPU_MEMORY, "cache blocks"),
        (f"OutOfMemoryError: {CUDA}", "", failures.GPU_MEMORY, CUDA),
        ("OSError: [Errno 28] No space left on device", "", failures.DISK, "No space"),
        ("ValueError: x", "step 9 of 10, loss nan, 1 s left", failures.NAN, "loss nan"),
        ("FloatingPointError: loss is inf at step 9", "", failures.NAN, "loss is inf"),
        ("ValueError: x", "loss 0.1, information of the run", failures.UNKNOWN, "ValueError: x"),
        ("RuntimeError: 1 processes train together, 2 were asked for", "", failures.LAUNCH, "2 were asked for"),
        # a process of an engine: its cause, where its log shows one
        ("RuntimeError: Engine core initialization failed. See root cause above.", "", failures.ENGINE, "Engine core"),
        ("vllm.v1.engine.exceptions.EngineDeadError: x", "CUDA out of memory", failures.GPU_MEMORY, "CUDA out of"),
        ("RuntimeError: copy 2 of the model has ended with exit code 1; why", "KeyError: 1", failures.ENGINE, "copy 2"),
        ("RuntimeError: copy 2 of the model has ended with exit code -9; why", "", failures.MEMORY, "exit code -9"),
        (
            "RuntimeError: rank 1: KeyError: 'x'",
            "failed (exitcode: 1) local_rank: 1",
            failures.UNKNOWN,
            "rank 1: KeyError: 'x'",
        ),
        ("endpoint gpt needs a key: the environment variable K is not set; set it", None, failures.KEY, "variable K"),
        ("endpoint gpt refuses the key in K with code 401; set another", None, failures.KEY, "code 401"),
        ("endpoint gpt would pass its cap of 3 USD: 2.9 are spent; raise it", None, failures.MONEY, "cap of 3 USD"),
        ("endpoint gpt has no credit left (code 429); pay for more", None, failures.MONEY, "no credit"),
        ("endpoint gpt gave no answer to 3 requests in 8 tries each", None, failures.ENDPOINT, "3 requests"),
        ("no guard for programs of models holds on this machine (x); y", None, failures.SANDBOX, "this machine (x)"),
        ("config.x: no guard for programs of models", None, failures.BAD_INPUT, "config.x"),
    ],
)
def test_classes_of_an_error(message, log, kind, line):
    """log: None where the message is our own."""
    found = failures.of_message(message) if log is None else failures.of_exception(message, log)
    assert found.kind == kind and line in found.line and found.remedy == failures.REMEDIES[kind]


BAD = failures.Failure(failures.BAD_INPUT, "config.x: no")
KEY_ERROR = failures.Failure(failures.UNKNOWN, "KeyError: 'x'")
NO_MEMORY = failures.Failure(failures.GPU_MEMORY, CUDA)
NO_SPACE = failures.Failure(failures.DISK, "OSError: [Errno 28] No space left on device")


@pytest.mark.parametrize(
    "text, state, own, kind, line",
    [
        # no record of the job: what was raised, else what was said last
        (
            "ModuleNotFoundError: No module named 'x'\nExiting.",
            None,
            None,
            failures.UNKNOWN,
            "ModuleNotFoundError: No module named 'x'",
        ),
        ("loading\nKilled\n\n", None, None, failures.UNKNOWN, "Killed"),
        ("", None, None, failures.UNKNOWN, failures.SILENT),
        # causes before what follows from them
        (
            f"[rank1]: torch.OutOfMemoryError: {CUDA}\nfailed (exitcode: 1) local_rank: 1",
            None,
            None,
            failures.GPU_MEMORY,
            CUDA,
        ),
        ("OSError: [Errno 122] Disk quota exceeded: 'x'", None, None, failures.DISK, "quota"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.", None, None, failures.MEMORY, "oom_kill"),
        ("srun: error: a1: task 0: Out Of Memory", None, None, failures.MEMORY, "task 0"),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp", None, None, failures.LAUNCH, "NCCL error"),
        # SLURM knows better what it did, and a log of an earlier try may lie beside it
        (f"{KILLED}DUE TO TIME LIMIT ***", None, BAD, failures.TIME_OUT, "DUE TO TIME LIMIT"),
        ("KeyError: 'x'", "TIMEOUT", KEY_ERROR, failures.TIME_OUT, "SLURM ended it: TIMEOUT"),
        ("KeyError: 'x'", "TIMEOUT", None, failures.TIME_OUT, "SLURM ended it: TIMEOUT"),
        (f"{KILLED}***", "CANCELLED by 0", None, failures.CANCELLED, "JOB 7"),
        (f"{KILLED}***", "PREEMPTED", None, failures.PREEMPTED, "SLURM ended it: PREEMPTED"),
        ("", "NODE_FAIL", None, failures.NODE, "SLURM ended it: NODE_FAIL"),
        ("", "OUT_OF_MEMORY", None, failures.MEMORY, "SLURM ended it: OUT_OF_MEMORY"),
        # else the job itself does, whatever its log says before
        ("KeyError: 'x'", "FAILED", KEY_ERROR, failures.UNKNOWN, "KeyError: 'x'"),
        (CUDA, "FAILED", BAD, failures.BAD_INPUT, "config.x: no"),
        # and more than a state where a GPU or a disk was full
        (f"{KILLED}***", "CANCELLED by 0", NO_MEMORY, failures.GPU_MEMORY, CUDA),
        ("", "TIMEOUT", NO_SPACE, failures.DISK, "No space"),
    ],
)
def test_classes_of_a_dead_job(text, state, own, kind, line):
    found = failures.classify(text, state, own)
    assert found.kind == kind and line in found.line and found.remedy == failures.REMEDIES[kind]


@pytest.mark.parametrize("state, kind", failures.STATES.items())
def test_a_state_of_slurm_is_a_class(state, kind):
    assert failures.classify("", state) == (kind, f"SLURM ended it: {state}")


# --- its record


def record(rule="finetune", cell="q__s1", **known) -> failures.Record:
    return failures.Record(rule, cell, known.pop("kind", failures.MEMORY), known.pop("line", "killed"), **known)


def test_a_record_is_read_until_the_job_has_an_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = record("answer", "q__s1/math", outputs=["results/answers/q__s1/math.parquet"])
    second = record(kind=failures.NAN, exception="ValueError", log="q__s1.log")
    for one in (second, first):
        failures.write("results", one)
    assert Path("results/logs/answer/q__s1/math.failed.json").is_file()
    assert list(failures.read("results").items()) == [
        (("answer", "q__s1/math"), first),
        (("finetune", "q__s1"), second),
    ]
    (tmp_path / first.outputs[0]).parent.mkdir(parents=True)
    (tmp_path / first.outputs[0]).touch()
    assert list(failures.read("results").values()) == [second], "it has finished since"
    failures.remove("results", "finetune", "q__s1")
    failures.remove("results", "finetune", "q__s1")
    assert failures.read("results") == {} == failures.read("elsewhere")


def test_groups_of_failed_jobs():
    failed = [(failures.NAN, {"job": "a"}), (failures.DISK, {"job": "b"}), (failures.DISK, {"job": "c"})]
    assert failures.grouped(failed) == [
        {"kind": failures.DISK, "remedy": failures.REMEDIES[failures.DISK], "cells": [{"job": "b"}, {"job": "c"}]},
        {"kind": failures.NAN, "remedy": failures.REMEDIES[failures.NAN], "cells": [{"job": "a"}]},
    ]


def test_the_report_shows_failures_by_class(tmp_path):
    student, results = "q__seed__small__sft__s1", str(tmp_path)
    failures.write(
        results, record(cell=student, kind=failures.TIME_OUT, line=f"{KILLED}DUE TO TIME LIMIT ***", log="9.log")
    )
    failures.write(results, record("answer", f"{student}/math", kind=failures.BAD_INPUT, line="config.<x>: no"))
    failures.write(results, record(cell="another__grid__sft__s1", kind=failures.BAD_INPUT))
    asked = {"students": [{"student": student, "corpus": "seed__small", "base": "q"}], "references": [], "pairs": []}
    found = read.failed(results, asked)
    assert [(row["rule"], row["kind"], row["log"]) for row in found] == [
        ("answer", failures.BAD_INPUT, None),
        ("finetune", failures.TIME_OUT, "9.log"),
    ]
    html = page.build({"failures": found, "settings": {}})
    for kind in (failures.BAD_INPUT, failures.TIME_OUT):
        assert f"<h3>{kind}: 1</h3>" in html and text.coded(failures.REMEDIES[kind]) in html
    assert f"answer {student}/math" in html and "config.&lt;x&gt;: no" in html and "DUE TO TIME LIMIT" in html
    assert data.why_missing(data.gather({"failures": found, "settings": asked}), "q", "seed__small").startswith(
        "answer"
    )


def test_a_record_that_cannot_be_read_is_no_failure(tmp_path):
    path = failures.record_path(str(tmp_path), "generate", "a")
    failures.write(str(tmp_path), failures.Record("generate", "a", failures.MEMORY, "killed"))
    assert list(failures.read(str(tmp_path))) == [("generate", "a")]
    whole = path.read_text()
    for content in ("", whole[:30], "{}", "[]", "null", whole.replace(failures.MEMORY, "another class")):
        path.write_text(content)
        assert failures.read(str(tmp_path)) == {}


def test_a_line_of_a_log_cannot_control_a_terminal(tmp_path):
    other, log = tmp_path / "other.log", tmp_path / "job.log"
    other.write_text("loading\n")
    log.write_text("ERROR: role '\x1b[2J\x07' is unknown\n")
    shown = r"role '\x1b[2J\x07' is unknown"
    assert failures.of_message("role '\x1b[2J\x07' is unknown").line == shown
    assert failures.classify(log.read_text()).line == shown
    assert failures.log_with([other, log], shown) == str(log)
