"""Estimates that were noted before jobs ran, held against what the jobs took."""

import json
from pathlib import Path

import pytest
from teachergrid.cost import saved_estimates
from teachergrid.cost.saved_estimates import Estimate, Finished
from teachergrid.store import job_index


def guess(expected: float, device: str = "cpu", gpus: int = 0) -> Estimate:
    return Estimate(expected / 2, expected, expected * 2, "analytic", gpus, device)


def job(began: float, seconds: float = 10, device: str = "cpu", gpus: int = 0, rule: str = "check") -> Finished:
    return Finished(rule, "a", began, seconds, device, gpus)


def test_the_last_starts_are_kept_and_the_same_estimates_once(tmp_path):
    for start in range(saved_estimates.MOST + 5):
        saved_estimates.save({"check": {"a": [guess(start)]}}, str(tmp_path), 100 + start)
    saved_estimates.save({"check": {"a": [guess(start)]}}, str(tmp_path), 1000)
    names = [path.name for path in saved_estimates.saved(str(tmp_path))]
    assert names == [f"{100 + start}.json.gz" for start in range(5, saved_estimates.MOST + 5)]
    assert len(list(Path(tmp_path, saved_estimates.FOLDER).iterdir())) == saved_estimates.MOST


NOTED = [
    (100.0, {"check": {"a": [guess(1)]}}),
    (200.0, {"check": {"a": [guess(2), guess(20, "h100", 1)]}}),
    (300.0, {"generate": {"a": [guess(3)]}}),
]


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (job(99), None),
        (job(150), 1),
        (job(200), 2),
        # the last start did not know this cell: what was said of it before counts
        (job(400), 2),
        (job(400, device="h100", gpus=1), 20),
        # nobody counted with this type: the likeliest stands for it
        (job(400, device="a100", gpus=1), 2),
        (job(250, rule="generate"), None),
        (job(400, rule="verify"), None),
    ],
)
def test_the_last_estimate_before_a_job_began_is_its_own(done, expected):
    for noted in (NOTED, json.loads(json.dumps(NOTED))):
        [(same, found)] = saved_estimates.paired([done], noted)
        assert same == done and (found and found.expected) == expected


def test_stages_are_summed_apart_on_gpus_and_cpus():
    pairs = [
        (job(0, 10), guess(10)),
        (job(0, 30), guess(10)),
        (job(0, 5), guess(10)),
        (job(0, 3600, "h100", 4), guess(1800, "h100", 4)),
    ]
    assert saved_estimates.by_stage(pairs) == [
        # the bounds themselves are inside
        {"rule": "check", "on_gpus": False, "jobs": 3, "estimated_s": 30, "actual_s": 45, "inside": 2},
        {"rule": "check", "on_gpus": True, "jobs": 1, "estimated_s": 7200, "actual_s": 14400, "inside": 1},
    ]


def test_a_results_folder(tmp_path, monkeypatch):
    times = iter(range(10, 100, 10))
    monkeypatch.setattr(job_index.time, "time_ns", lambda: next(times) * 10**9)
    results = str(tmp_path)
    took = {"seconds": 4, "device": "cpu", "gpus": 0}

    def done(cell: str, told: dict | None = took, rule: str = "check") -> None:
        job_index.remember(results, rule, cell, "abc", told)

    done("early")  # at 10
    saved_estimates.save({"check": {cell: [guess(5)] for cell in ("early", "twice", "killed")}}, results, 15 * 10**9)
    done("twice", took | {"seconds": 400})
    done("killed")
    done("twice", took | {"seconds": 6, "device": "h100", "gpus": 2})  # the last one is what is there
    done("killed", None)  # at 50
    done("unheard-of")
    done("of another config")
    asked = [("check", cell) for cell in ("early", "twice", "killed", "unheard-of", "not yet")]
    assert saved_estimates.compared(results, asked) == {
        "stages": [{"rule": "check", "on_gpus": True, "jobs": 1, "estimated_s": 10, "actual_s": 12, "inside": 1}],
        "unplanned": 2,
        "resumed": 1,
        "elsewhere": 1,
    }
    nothing = {"stages": [], "unplanned": 0, "resumed": 0, "elsewhere": 0}
    assert saved_estimates.compared(str(tmp_path / "none"), asked) == nothing
