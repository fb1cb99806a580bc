"""The document of a plan: its hash, its prices, and jobs that cannot run. Whole documents: commands/test_plan."""

from types import SimpleNamespace

import pytest
from probes import HERE, NOTHING, job
from teachergrid.cost import limits
from teachergrid.job import reasons
from teachergrid.planning import document, forecast, pools, requests, sums


def test_long_reasons_are_cut_and_say_so():
    details = [f"line {i}" for i in range(reasons.DETAILS + 2)]
    short = reasons.shortened(details)
    assert short[:-1] == details[:-2] and "2" in short[-1]
    assert reasons.shortened(details[:-2]) == details[:-2]


def test_a_file_is_known_by_its_contents(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path / "cache"))
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text("1"), other.write_text("1")
    found = document.digests([str(one), str(other), str(tmp_path / "gone"), str(one)])
    assert found[str(one)] == found[str(other)] != found[str(tmp_path / "gone")] == "missing"


def test_electricity_is_added_where_it_has_a_price():
    hours = {"low": 1.0, "expected": 2.0, "high": 4.0}
    without = HERE._replace(electricity_usd_per_kwh=None)
    prices = sums.usd(without, "h100", hours)
    assert prices["expected"] == 2 * prices["low"] == without.usd("h100", 2.0)
    added = sums.usd(HERE._replace(electricity_usd_per_kwh=10.0), "h100", hours)
    assert added["low"] - prices["low"] == pytest.approx(10 * HERE.kwh("h100", 1.0))


def blocked(*jobs: requests.Request, on: str, retries: int = 0) -> tuple[list[str | None], list[str]]:
    """Return which of these jobs cannot run on a cluster, and what is wrong with the plan."""
    return blocked_on(pools.parse(on), jobs, retries)


def blocked_on(cluster: pools.Cluster, jobs, retries: int = 0) -> tuple[list[str | None], list[str]]:
    found = forecast.forecast(jobs, cluster, None, NOTHING, HERE)
    return forecast.block(
        jobs, found, retries, cluster, HERE, {"models": {}, "instructions": {}, "teachers": {}, "references": {}}
    )


def likelihood(cell: str, billions: float, rows: int = 100, needs: tuple[int, ...] = ()) -> requests.Request:
    one = job(cell=cell)
    return requests.Request(
        **{**one, "row": one["row"] | {"parameters": billions, "rows": rows, "gpu_model": None}, "needs": needs}
    )


def test_what_waits_for_a_job_that_fits_no_gpu_cannot_run_either():
    jobs = [likelihood("b/i__t", 1.0), likelihood("b/i__huge", 900.0), likelihood("b/i__after", 1.0, needs=(1,))]
    why, problems = blocked(*jobs, on="h100=4")
    assert why[0] is None and why[1] is not None and "likelihood b/i__huge" in why[2]
    assert len(problems) == 1 and problems[0].startswith("likelihood b/i__huge: ")


def test_a_job_that_is_too_long_needs_as_many_tries():
    jobs = [likelihood("b/i__t", 7.0), likelihood("b/i__long", 7.0, rows=50_000_000)]
    why, [problem] = blocked(*jobs, on="h100=4@24h")
    assert why[0] is None and why[1] is not None and problem.startswith("likelihood b/i__long: ")
    why, [problem] = blocked(*jobs, on="h100=4@24h", retries=10**6)
    assert why == [None, None], "it is said and stops nothing"


def test_what_no_partition_takes_is_blocked_and_told_once_a_rule(tmp_path):
    """With --cluster it is only told: other machines are meant."""
    path = tmp_path / "partitions.yaml"
    path.write_text("partitions: {gpu: {max_runtime: 60, max_mem_mb: 30000, max_gpu: 4}}")
    one, many = likelihood("b/i__t", 7.0), likelihood("b/i__large", 8.0, rows=2_000_000)
    cells = SimpleNamespace(rows={"likelihood": {job.cell: job.row for job in (one, many)}})
    known = limits.Limits(str(path), cells)
    jobs = [job._replace(place=known.place(job.rule, job.cell)) for job in (one, many)]
    assert [job.place.partition for job in jobs] == ["gpu", None]
    text = f"no partition of {path} takes it (gpu: 30000 MB)"
    cluster = pools.Cluster({"h100": pools.Pool(8), "cpu": pools.Pool(8)}, 0, None, "SLURM's partitions")
    why, problems = blocked_on(cluster, jobs)
    assert why[0] is None and text in why[1] and len(problems) == 1 and text in problems[0]
    assert problems[0].startswith("likelihood b/i__large: ")
    why, problems = blocked_on(cluster._replace(source=pools.NAMED), jobs)
    assert why[0] is None and text in problems[0] and (why[1] is None or text not in why[1])


def test_a_job_has_to_end_in_the_walltime_that_its_tries_ask_for(tmp_path):
    """Though no limit of the machines stands in its way."""
    path = tmp_path / "partitions.yaml"
    path.write_text("partitions: {gpu: {max_runtime: 60, max_gpu: 4}}")
    long = likelihood("b/i__long", 7.0, rows=2_000_000)
    known = limits.Limits(str(path), SimpleNamespace(rows={"likelihood": {long.cell: long.row}}))
    jobs = [long._replace(place=known.place("likelihood", long.cell))]
    free = pools.parse("h100=8")
    [why], [problem] = blocked_on(free, jobs, retries=2)
    assert "and asks SLURM for 1 h: set `retries: " in why and why in problem
    [why], [problem] = blocked_on(free, jobs, retries=10**3)
    assert why is None and "goes on from its last shard, in " in problem
    assert blocked_on(free, [long], retries=0) == ([None], [])
