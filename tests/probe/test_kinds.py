"""plan --probe: which kinds of jobs are probed, and the process of one probe."""

import json
import re
import subprocess
from types import SimpleNamespace

import pytest
from probes import HERE, NOTHING, TINY, as_probe, job
from teachergrid.cost import actuals, workload
from teachergrid.planning import forecast, pools, requests
from teachergrid.probe import kinds
from workspace import ROOT


def chosen(*jobs, on="h100=4,cpu=8", here=("h100", 4), held=NOTHING) -> tuple[list, dict]:
    asked = SimpleNamespace(cluster=pools.parse(on), gpu=None, actuals=held, machines=HERE)
    found, left = kinds.kinds([requests.Request(**one) for one in jobs], kinds.Machine(*here), asked)
    return [(kind.rule, kind.device, [cell for cell, _ in kind.cells]) for kind in found], dict(left)


def test_one_kind_is_probed_once_and_in_the_order_of_the_texts():
    jobs = [job("finetune", "b__i__t__r__s1", recipe={}), job(cell="b/i__t"), job(cell="b/i__u")]
    jobs += [job(cell="c/i__t", likelihood={"batch_tokens": 64}), job("generate", "i__t", teacher={})]
    found, left = chosen(*jobs)
    assert found == [
        ("generate", "h100", ["i__t"]),
        ("likelihood", "h100", ["b/i__t", "b/i__u"]),
        ("likelihood", "h100", ["c/i__t"]),
        ("finetune", "h100", ["b__i__t__r__s1"]),
    ]
    assert left == {}


def test_jobs_without_a_model_are_not_probed():
    verifier = job("reward", "v/i__t", reward={"checker": {}})
    verifier["row"] |= {"parameters": 0, "gpus": 0}
    existing = job("generate", "i__t", teacher={"engine": "existing"})
    assert chosen(verifier, existing) == ([], {})


@pytest.mark.parametrize(
    ("wanted", "here", "why"),
    [
        (job(), ("cpu", 0), "ask for a GPU, and this machine has none"),
        (job(gpus=8), ("h100", 4), "more GPUs than the 4 of this machine"),
        (job(), ("x9000", 1), "no known type (x9000); add it under `gpus`"),
        (
            job("generate", "i__t", teacher={"engine": "vllm"}),
            ("h100", 4),
            "the engine vllm, which is not installed here",
        ),
        (job("finetune", "s", gpus=2, recipe={}), ("h100", 4), "several processes"),
        (job("finetune", "s", gpus=2, nodes=2, recipe={}), ("h100", 4), "several processes"),
        (job("finetune", "s", deepspeed="zero2", recipe={}), ("h100", 4), "several processes"),
        (job(model={**TINY, "repo": "nowhere/at/all"}), ("h100", 4), "nowhere/at/all: no such folder"),
        (job(model={**TINY, "repo": "org/none", "revision": "0" * 40}), ("h100", 4), "org/none at 0000"),
    ],
)
def test_what_cannot_be_probed_is_said(wanted, here, why, monkeypatch):
    monkeypatch.setattr(kinds, "missing", lambda engine: "no" if engine == "vllm" else None)
    found, left = chosen(wanted, here=here)
    assert found == [] and [why in said for said in left] == [True] and sum(left.values()) == 1


def test_a_plan_on_cpus_is_probed_on_the_cpu():
    assert chosen(job(), on="cpu=4", here=("cpu", 0))[0] == [("likelihood", "cpu", ["b/i__t"])]
    # also where there is a GPU: the job would not see it
    assert chosen(job(gpus=0))[0] == [("likelihood", "cpu", ["b/i__t"])]
    assert forecast.pools_of({"gpus": 2, "gpu_model": "h100"}, pools.parse("cpu=4"), None) == {"cpu": "cpu"}


def test_what_was_probed_or_measured_is_not_probed_again():
    row = job()["row"]
    done = {"parameters": workload.parameters(row)}
    held = NOTHING._replace(probes=(as_probe(row, device="h100", **done),))
    assert chosen(job(), held=held) == ([], {})
    # another model of the same size, other settings, another device
    other = {**TINY, "repo": str(ROOT / "workflow/miniworld/models/steps-s")}
    assert [len(chosen(one, held=held)[0]) for one in (job(model=other), job(likelihood={"batch_tokens": 64}))] == [
        1,
        1,
    ]
    assert len(chosen(job(), here=("a100", 1), held=held)[0]) == 1
    finished = actuals.Actual(
        "likelihood", "b/i__t", workload.of_row("likelihood", row), "h100", 9.0, 1.0, *[None] * 3, 1.0
    )
    assert chosen(job(cell="b/i__new"), held=actuals.Actuals({"likelihood": [finished]}, {})) == ([], {})


def test_a_reference_answers_in_place_of_students():
    texts = SimpleNamespace(responses=lambda rule, cell, row: cell == "b/i__u" or None)
    student, reference = ("s/x", {"students": ["s"]}), ("r/x", {"students": []})
    assert kinds.representative(SimpleNamespace(rule="answer", cells=[student, reference]), texts) == reference
    # and texts that are there are scored
    assert (
        kinds.representative(SimpleNamespace(rule="reward", cells=[("b/i__t", {}), ("b/i__u", {})]), texts)[0]
        == "b/i__u"
    )


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (SimpleNamespace(returncode=-9), "killed, most likely for the memory of this machine"),
        (SimpleNamespace(returncode=1), "ended with 1: the last word"),
        (subprocess.TimeoutExpired("probe", 1), "killed: no end 60 s after its 5 s"),
    ],
)
def test_a_dying_probe_is_reported(tmp_path, monkeypatch, ended, why):
    def run(argv, stdout, **_):
        stdout.write(b"first\nthe last word\n")
        if isinstance(ended, Exception):
            raise ended
        return ended

    monkeypatch.setattr(kinds.subprocess, "run", run)
    kind = SimpleNamespace(work=SimpleNamespace(gpus=0), threads=1)
    assert kinds.started(kind, tmp_path, 5.0) == {"failed": why}


def test_a_real_process_ends_in_time(tmp_path):
    text = job(base=TINY, likelihood={"batch_tokens": 64})["row"]["spec"]
    given = {"rule": "likelihood", "spec": text, "rows": 5, "read": 5, "written": 5, "seconds": 0.2, "threads": 1}
    (tmp_path / "given.json").write_text(json.dumps(given))
    kind = SimpleNamespace(work=SimpleNamespace(gpus=0), threads=1)
    found = kinds.started(kind, tmp_path, 0.2)
    assert re.fullmatch("not (ready to start|one batch was done) within 0.2 s", found["failed"])
