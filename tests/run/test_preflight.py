"""Jobs of an earlier run that are alive when the next one starts: refused, waited for or cancelled."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.run import preflight
from teachergrid.slurm.scheduler import Job

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
