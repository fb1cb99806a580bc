"""Where a job may run, and what would end a plan sooner."""

from types import SimpleNamespace

from probes import HERE, NOTHING, job
from teachergrid.cost import limits
from teachergrid.cost.makespan import Task
from teachergrid.planning import forecast, pools, requests


def gpu(name: str, seconds: float, amount: int = 1, needs=(), pool: str = "h100") -> Task:
    return Task(name, {pool: seconds}, amount, tuple(needs))


def test_what_would_end_it_sooner():
    tasks = [gpu(f"generate {i}", 10) for i in range(4)] + [Task("check a", {"cpu": 1}, 1, (0,))]
    found = forecast.halved(tasks, pools.parse("h100=2,cpu=1", delay=0), 20)
    assert found == [("4 h100 in place of 2", 11), ("generate twice as fast", 10)] or dict(found) == {
        "4 h100 in place of 2": 11,
        "generate twice as fast": 10,
    }


def test_where_a_job_may_run():
    two = pools.parse("h100=4,a100=8,cpu=8")
    assert forecast.pools_of({"gpus": 0}, two, None) == {"cpu": "cpu"}
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, two, None) == {"a100": "a100", "h100": "h100"}
    assert forecast.pools_of({"gpus": 8, "gpu_model": None}, two, None) == {"a100": "a100"}
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, two, "h100") == {"h100": "h100"}
    assert forecast.pools_of({"gpus": 2, "gpu_model": "h100"}, two, "a100") == {"h100": "h100"}
    untyped = pools.Cluster({"gpu": pools.Pool(2), "cpu": pools.Pool(4)}, 0, 4, "SLURM's partitions")
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, untyped, "a100") == {"gpu": "a100"}


def test_the_answers_of_a_student_without_weights_are_blocked_and_what_waits_for_them():
    needs = {
        "answer s/math": (),
        "verify s/math": (0,),
        "answer other/math": (),
        "report g": (1, 2),
        "answer s-2/math": (),
    }
    asked = [requests.Request(*name.split(), {}, 1, before) for name, before in needs.items()]
    blocked: list[str | None] = [None] * 5
    forecast.block_answers(asked, blocked, {"s"})
    waits = [f"waits for {name}, which cannot run" for name in ("answer s/math", "verify s/math")]
    assert blocked == ["the weights of the student were freed", waits[0], None, waits[1], None]


def test_on_slurm_a_job_runs_on_the_gpus_of_the_partition_that_takes_it(tmp_path):
    path = tmp_path / "partitions.yaml"
    path.write_text(
        """
partitions:
  short: {max_runtime: 60, max_gpu: 4, available_gpu_models: [a100]}
  long: {max_runtime: 2880, max_gpu: 4, available_gpu_models: [h100]}
"""
    )
    one = job()
    row = one["row"] | {"gpu_model": None}
    known = limits.Limits(str(path), SimpleNamespace(rows={"likelihood": {one["cell"]: row}}))
    sizes = {"a100": pools.Pool(8), "h100": pools.Pool(4), "cpu": pools.Pool(8)}
    cluster = pools.Cluster(sizes, 0, None, pools.SLURM)
    for partition, pool in (("short", "a100"), ("long", "h100")):
        place = known.place("likelihood", one["cell"])._replace(partition=partition)
        asked = requests.Request(**{**one, "row": row}, place=place)
        assert [*forecast.offers(asked, cluster, None, NOTHING, HERE)] == [pool]
        # of other machines each counts
        assert len(forecast.offers(asked, cluster._replace(source=pools.NAMED), None, NOTHING, HERE)) == 2


def test_jobs_that_ask_one_endpoint_take_turns():
    def asking(name: str, needs=(), at_once: int | None = 1) -> requests.Request:
        row = {"endpoint": {"name": name}} if at_once else {}
        return requests.Request("generate", "x", row, 1, tuple(needs), None, at_once)

    jobs = [asking("a"), asking("b"), asking("a", [1]), asking("", at_once=None), asking("a"), asking("c", at_once=2)]
    jobs += [asking("c", at_once=2), asking("c", at_once=2)]
    assert forecast.in_turn(jobs) == [(), (), (1, 0), (), (2,), (), (), (5,)]
