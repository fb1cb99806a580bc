"""When a plan ends, on schedules that one can work out by hand."""

from types import SimpleNamespace

import pytest
from teachergrid.errors import BadInput
from teachergrid.planning import forecast, pools
from teachergrid.planning.makespan import Task, busy, critical, longest_path, simulate


def gpu(name: str, seconds: float, amount: int = 1, needs=(), pool: str = "h100") -> Task:
    return Task(name, {pool: seconds}, amount, tuple(needs))


def test_two_at_a_time():
    found = simulate([gpu(f"a {i}", 10) for i in range(5)], {"h100": 2})
    assert found.seconds == 30
    assert [(run.start, run.end) for run in found.runs] == [(0, 10), (0, 10), (10, 20), (10, 20), (20, 30)]


def test_a_chain_and_what_it_waits_for():
    tasks = [
        gpu("generate a", 10),
        gpu("finetune a", 20, needs=[0]),
        gpu("generate b", 5),
        gpu("finetune b", 3, needs=[2]),
    ]
    found = simulate(tasks, {"h100": 2})
    assert found.seconds == 30 and longest_path(tasks) == 30
    assert [tasks[run.task].name for run in critical(found)] == ["generate a", "finetune a"]
    # on one GPU the last one waits for room, and the chain goes through the job that had it
    one = simulate(tasks, {"h100": 1})
    assert one.seconds == 38 and len(critical(one)) == 4


def test_a_large_job_lets_small_ones_pass():
    tasks = [gpu("a 1", 10, 3), gpu("b 1", 10, 4), gpu("c 1", 10, 1)]
    found = simulate(tasks, {"h100": 4})
    assert [run.start for run in found.runs] == [0, 10, 0] and found.seconds == 20


def test_delay_and_what_may_be_submitted():
    tasks = [gpu("a 1", 10), gpu("b 1", 10, needs=[0])]
    assert simulate(tasks, {"h100": 1}, delay=3).seconds == 26
    # jobs in the queue wait for room alone
    assert simulate([gpu("a 1", 10), gpu("b 1", 10)], {"h100": 1}, delay=3).seconds == 23
    assert simulate([gpu(f"a {i}", 10) for i in range(4)], {"h100": 4}, submitted=1).seconds == 40


def test_a_job_takes_the_pool_where_it_ends_first():
    either = Task("a 1", {"h100": 10, "a100": 25}, 1, ())
    found = simulate([either] * 3, {"h100": 1, "a100": 1})
    assert [run.pool for run in found.runs] == ["h100", "a100", "h100"] and found.seconds == 25


def test_utilisation():
    found = simulate(tasks := [gpu("a 1", 10, 2), gpu("b 1", 10, 1, needs=[0])], {"h100": 2})
    assert busy(found, tasks, "h100", steps=4) == pytest.approx([2, 2, 1, 1])


def test_what_cannot_run():
    with pytest.raises(BadInput, match="a 1: needs 8 of one pool, but the cluster has h100=4"):
        simulate([gpu("a 1", 1, 8)], {"h100": 4})
    with pytest.raises(BadInput, match="a 1: waits for itself"):
        simulate([gpu("a 1", 1, needs=[1]), gpu("b 1", 1, needs=[0])], {"h100": 1})


def test_what_would_end_it_sooner():
    tasks = [gpu(f"generate {i}", 10) for i in range(4)] + [Task("check a", {"cpu": 1}, 1, (0,))]
    found = forecast.halved(tasks, pools.parse("h100=2,cpu=1", delay=0), 20)
    assert found == [("4 h100 in place of 2", 11), ("generate twice as fast", 10)] or dict(found) == {
        "4 h100 in place of 2": 11,
        "generate twice as fast": 10,
    }


# --- clusters


def test_cluster_of_an_option():
    found = pools.parse("h100=16,a100=32@48h,cpu=128", delay=5)
    assert found.amounts() == {"h100": 16, "a100": 32, "cpu": 128} and found.delay == 5
    assert found.pools["a100"].limit_s == 48 * 3600 and found.pools["h100"].limit_s is None
    assert pools.parse("h100=2").pools["cpu"].amount == 8


@pytest.mark.parametrize("text", ["", "h100", "h100=0", "h100=-1", "h100=4@2", "h100:4"])
def test_mistakes_in_a_cluster(text):
    with pytest.raises(BadInput, match="say --cluster h100=16"):
        pools.parse(text)


def test_partitions_that_share_nodes():
    partitions = {
        "cpu": {"max_runtime": 1440},
        "a100,h100": {"max_runtime": 1440, "max_gpu": 4, "available_gpu_models": ["a100", "h100"]},
        "h100": {"max_runtime": "2-00:00:00", "max_gpu": 8, "available_gpu_models": ["h100"]},
        "any": {"max_gpu": 2},
    }
    found = pools.of_partitions(partitions, 30, 200)
    assert found.amounts() == {"cpu": 200, "a100": 4, "h100": 8, "gpu": 2}
    limits = {kind: pool.limit_s for kind, pool in found.pools.items()}
    assert limits == {"cpu": 86400, "a100": 86400, "h100": 172800, "gpu": None}


def test_a_job_longer_than_every_partition_allows():
    two = pools.parse("h100=16@24h,a100=8@48h")
    assert pools.too_long({"h100": 86000, "a100": 300000}, 8, two) is None
    # 90 h in parts of 24 h
    found = pools.too_long({"h100": 90 * 3600, "a100": 200 * 3600}, 8, two)
    assert found == pools.TooLong(90, "h100", 24, 4)
    told = found.text("generate", retries=2)
    assert told.startswith("takes 90 h on h100, where the time limit is 24 h: set `retries: 3` in the profile")
    assert told.endswith("4 smaller instruction sets")
    assert found.text("finetune", retries=3).endswith("goes on from its last checkpoint, in 4 parts")
    # a100 has no 16 GPUs, so that its 48 hours do not count
    assert pools.too_long({"h100": 30 * 3600, "a100": 40 * 3600}, 16, two).kind == "h100"


def test_where_a_job_may_run():
    two = pools.parse("h100=4,a100=8,cpu=8")
    assert forecast.pools_of({"gpus": 0}, two, None) == {"cpu": "cpu"}
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, two, None) == {"a100": "a100", "h100": "h100"}
    assert forecast.pools_of({"gpus": 8, "gpu_model": None}, two, None) == {"a100": "a100"}
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, two, "h100") == {"h100": "h100"}
    assert forecast.pools_of({"gpus": 2, "gpu_model": "h100"}, two, "a100") == {"h100": "h100"}
    untyped = pools.of_partitions({"any": {"max_gpu": 2}}, 0, 4)
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, untyped, "a100") == {"gpu": "a100"}


def test_this_machine():
    """A machine without a GPU runs all on its CPUs; a profile that states GPUs plans for the machine that has them."""
    job, stated = {"gpus": 2, "gpu_model": "h100"}, {"gpu": SimpleNamespace(value=4)}

    def here(resources, gpus):
        return pools.of_profile(SimpleNamespace(executor="local", cores=2, jobs=None, resources=resources), None, gpus)

    laptop = here({}, {})
    assert laptop.amounts() == {"cpu": 2} and "no GPU" in laptop.source
    assert forecast.pools_of(job, laptop, None) == {"cpu": "cpu"}
    assert forecast.pools_of(job, laptop, "a100") == {"h100": "h100"}  # asked what it would take there
    assert here({}, {"l4": 2}).amounts() == {"cpu": 2, "l4": 2}
    assert here(stated, {}).amounts() == {"cpu": 2, "gpu": 4}
    assert here(stated, {"l4": 8}).amounts() == {"cpu": 2, "l4": 4}
