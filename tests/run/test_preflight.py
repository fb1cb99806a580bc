"""Jobs of an earlier run that are alive when the next one starts: refused, waited for or cancelled."""

from types import SimpleNamespace

import pytest
from snakemake.resources import Resource
from teachergrid.errors import BadInput
from teachergrid.run import preflight
from teachergrid.slurm.scheduler import Job
from work_rows import generation

LEFT = Job("41", "RUNNING", "generate", "seed__large", "a1", 60, 3600)


@pytest.fixture
def queue(monkeypatch) -> dict[str, list[list[Job] | None]]:
    """What squeue answers for each folder, one answer after the other."""
    answers: dict[str, list[list[Job] | None]] = {}
    monkeypatch.setattr(preflight.scheduler, "live", lambda folder: answers[folder].pop(0))
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
