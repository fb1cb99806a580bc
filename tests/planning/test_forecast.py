"""Where a job may run, and what would end a plan sooner."""

from teachergrid.planning import forecast, pools
from teachergrid.planning.makespan import Task


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
