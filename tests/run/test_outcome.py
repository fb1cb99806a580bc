"""The summary of a run, in words."""

from teachergrid.run import outcome


def test_what_stops_snakemake_itself_has_a_class_and_a_remedy():
    """Words of Snakemake 9 when the disk fills between a job's end and its record."""
    full = "WorkflowError:\nError recording metadata for finished job ([Errno 28] No space left on device). Please ensure ..."
    summary = {"failed": [], "errors": [full, full, "something else"], "done": [], "waiting": {"check": 3}}
    summary |= {"restarts": 0, "gpu_hours": 0, "started": 0, "ended": 60, "code": 1}
    first, second, *_ = outcome.lines("results", summary)
    assert first.startswith("Snakemake itself was stopped: disk full. Free space") and second.startswith("0 done")
    known = {"cell": "check a", "kind": "disk full", "line": "No space", "remedy": "Free space"}
    for other in ({"failed": [known]}, {"code": 0}):
        assert not any("itself" in line for line in outcome.lines("results", summary | other))
