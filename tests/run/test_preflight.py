"""Jobs of an earlier run that are alive when the next one starts: refused, waited for or cancelled."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.resources import Resource
from teachergrid.errors import BadInput
from teachergrid.grid.config import checked
from teachergrid.planning.options import PlanOptions
from teachergrid.run import preflight
from teachergrid.slurm import scheduler
from teachergrid.slurm.scheduler import Job
from teachergrid.store import lock
from work_rows import generation

ME = lock.user_name(os.getuid())
LEFT = Job("41", "RUNNING", "generate", "seed__large", "a1", 60, 3600, user=ME)
OF_BOB = LEFT._replace(id="121", user="bob")


@pytest.fixture
def queue(monkeypatch) -> dict[str, list[list[Job] | None]]:
    """What squeue answers for each folder, one answer after the other."""
    answers: dict[str, list[list[Job] | None]] = {}
    monkeypatch.setattr(preflight.scheduler, "live", lambda folder, whose: answers[folder].pop(0))
    return answers


def test_without_live_jobs_a_run_starts(queue):
    queue |= {"/a": [[]], "/b": [[]]}
    assert preflight.guard(["/a", "/b"], "refuse") is False


def test_live_jobs_of_any_checkout_are_refused(queue):
    queue |= {"/a": [[]], "/b": [[LEFT]]}
    with pytest.raises(BadInput) as error:
        preflight.guard(["/a", "/b"], "refuse")
    text = str(error.value)
    assert "41 RUNNING generate seed__large a1" in text and text.endswith("scancel 41")


@pytest.mark.parametrize("live", ["wait", "cancel"])
def test_they_are_waited_for_or_cancelled_until_they_are_gone(queue, monkeypatch, live):
    cancelled = []
    monkeypatch.setattr(preflight.scheduler, "cancel", lambda ids: cancelled.extend(ids))
    monkeypatch.setattr(preflight.time, "sleep", lambda seconds: None)
    queue["/a"] = [[LEFT], [LEFT], []]
    assert preflight.guard(["/a"], live) is True
    assert queue["/a"] == [] and cancelled == (["41", "41"] if live == "cancel" else [])


def test_no_answer_is_not_taken_for_an_empty_queue(queue):
    queue["/a"] = [None]
    with pytest.raises(BadInput, match="squeue"):
        preflight.guard(["/a"], "wait")


def refused(monkeypatch, tmp_path, runtime: str, planned: list[str]) -> list[str]:
    """Return what is told before a run whose `generate` states a runtime. Raises BadInput where it is refused."""
    path, said = tmp_path / "partitions.yaml", []
    path.write_text("partitions: {gpu_short: {max_runtime: 60, max_mem_mb: 64000, max_gpu: 4}}")
    rows = {"generate": {cell: generation(1.0, gpus=4, gpu_model="h200") for cell in ("i__a", "i__b")}}
    stated = {"generate": {"runtime": Resource.from_cli_expression("runtime", runtime)}}
    known = preflight.limits.Limits(str(path), SimpleNamespace(rows=rows), stated)
    monkeypatch.setattr(preflight, "parse_quietly", lambda argv: SimpleNamespace(retries=2))
    monkeypatch.setattr(preflight.cells, "Cells", lambda config: None)
    monkeypatch.setattr(preflight.limits.Limits, "of_options", lambda args, cells: known)
    jobs = [SimpleNamespace(rule=SimpleNamespace(name="generate"), wildcards=[cell]) for cell in planned]
    monkeypatch.setattr(preflight.graph, "planned", lambda argv: jobs)
    monkeypatch.setattr(preflight, "tell", said.append)
    preflight.refuse_unplaced(SimpleNamespace(argv=[], config={}))
    return said


def test_a_job_that_no_partition_takes_is_refused_before_the_start(monkeypatch, tmp_path):
    """It would wait for ever: the plugin submits it without a partition."""
    with pytest.raises(BadInput) as error:
        refused(monkeypatch, tmp_path, "600 * attempt", ["i__a", "i__b"])
    first, second = str(error.value).splitlines()
    assert first.startswith("generate: 600 min, 4 h200, ") and first.endswith(
        "takes it (gpu_short: 60 min); i__a and 1 other"
    )
    assert "set-resources" in second


def test_neither_what_is_made_nor_what_fits_is_refused(monkeypatch, tmp_path):
    assert refused(monkeypatch, tmp_path, "600 * attempt", []) == []
    assert refused(monkeypatch, tmp_path, "20 * attempt", ["i__a"]) == []


def test_a_retry_that_would_fit_no_partition_is_told(monkeypatch, tmp_path):
    [line] = refused(monkeypatch, tmp_path, "40 * attempt", ["i__a"])
    assert line.startswith("generate: `set-resources` states 80 minutes for try 2") and line.endswith("it asks for 60")


@pytest.mark.parametrize(
    ("live", "words"),
    [
        ("refuse", "a second time.*--live wait.*ask bob: scancel 121"),
        ("cancel", "you cannot cancel another.*ask bob: scancel 121"),
    ],
)
def test_another_users_jobs_are_refused_and_never_cancelled(queue, monkeypatch, live, words):
    """Whatever their number: one of them would run beside the new run's job of the same cell."""
    cancelled = []
    monkeypatch.setattr(preflight.scheduler, "cancel", cancelled.extend)
    queue["/a"] = [[LEFT, OF_BOB]]
    with pytest.raises(BadInput, match=f"(?s)2 jobs of an earlier run are alive .bob's: 121., and .*{words}"):
        preflight.guard(["/a"], live)
    assert cancelled == []


def test_another_users_jobs_are_waited_for_by_name(monkeypatch):
    """Everyone's jobs are asked for once: the queue of a cluster is long."""
    asked, answers = [], [[LEFT, OF_BOB], [LEFT], [OF_BOB], [], []]
    monkeypatch.setattr(preflight.scheduler, "live", lambda _, whose: asked.append(whose) or answers.pop(0))
    monkeypatch.setattr(preflight.time, "sleep", lambda seconds: None)
    assert preflight.guard(["/a"], "wait")
    one_by_one = [scheduler.of_user(user) for user in sorted((ME, "bob"))]
    assert asked == [scheduler.EVERYONE, *one_by_one, *one_by_one]


@pytest.fixture
def dead(tmp_path, monkeypatch):
    """A folder with the lock of bob's dead run, on a cluster that shows nobody's jobs."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    owner = {**lock.this_process(), "pid": 2**22 + 1, "uid": os.getuid() + 1, "user": "bob"}
    Path("results", lock.LOCK).write_text(json.dumps(owner))
    monkeypatch.setattr(lock, "hides_jobs", lambda owner: False)
    monkeypatch.setattr(preflight.scheduler, "live", lambda folder, whose=scheduler.ME: [])
    return lambda **more: SimpleNamespace(
        **{"on_cluster": True, "live": "refuse", "take_over": False, "config": {}, "plan": PlanOptions([]), **more}
    )


def test_where_jobs_are_hidden_another_users_dead_run_is_taken_over_only_by_a_flag(dead, monkeypatch):
    monkeypatch.setattr(preflight.scheduler, "hides_others", lambda: True)
    with pytest.raises(
        BadInput, match=r"of bob on .* is dead, but squeue shows no jobs of other users.*run --take-over"
    ):
        preflight.begin(dead())
    assert lock.holder("results")["user"] == "bob"
    preflight.begin(dead(take_over=True))
    assert lock.holder("results")["pid"] == os.getpid()


def test_where_jobs_are_shown_another_users_dead_run_is_continued(dead, monkeypatch, capsys):
    monkeypatch.setattr(preflight.scheduler, "hides_others", lambda: False)
    preflight.begin(dead())
    assert "of bob on" in (said := capsys.readouterr().err) and "died; its lock is freed" in said


def test_no_answer_is_not_taken_for_an_open_site(dead, monkeypatch):
    def silent():
        raise scheduler.SlurmError("scontrol: down")

    monkeypatch.setattr(preflight.scheduler, "hides_others", silent)
    with pytest.raises(BadInput, match=r"SLURM does not say whether it shows jobs of others .scontrol: down"):
        preflight.begin(dead())


def test_a_local_run_asks_for_the_jobs_of_a_dead_run_too(dead, monkeypatch):
    monkeypatch.setattr(preflight.scheduler, "hides_others", lambda: False)
    monkeypatch.setattr(preflight.scheduler, "available", lambda: True)
    monkeypatch.setattr(preflight.scheduler, "live", lambda folder, whose=scheduler.ME: [OF_BOB])
    with pytest.raises(BadInput, match="ask bob: scancel 121"):
        preflight.begin(dead(on_cluster=False))


@pytest.mark.parametrize("planned", [["seed__large"], []])
def test_a_run_without_its_engine_does_not_start(small, monkeypatch, planned):
    """Where its jobs are finished, or Snakemake deploys their environment, nothing is in the way."""
    monkeypatch.setattr(
        "teachergrid.grid.cells.missing", lambda engine: "no vllm: make it" if engine == "vllm" else None
    )
    jobs = [SimpleNamespace(rule=SimpleNamespace(name="generate"), wildcards=[cell]) for cell in planned]
    monkeypatch.setattr(preflight.graph, "planned", lambda argv: jobs)
    small["teachers"]["large"]["engine"] = "vllm"
    config = checked(small)
    Path("Snakefile").touch()
    if planned:
        with pytest.raises(BadInput, match=r"no vllm: make it \(1 jobs\)"):
            preflight.refuse_engines(SimpleNamespace(argv=[], config=config))
    else:
        preflight.refuse_engines(SimpleNamespace(argv=[], config=config))
    preflight.refuse_engines(SimpleNamespace(argv=["--sdm", "conda"], config=config))
