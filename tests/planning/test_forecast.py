"""Where a job may run, and what would end a plan sooner."""

from teachergrid.cost.makespan import Task
from teachergrid.planning import forecast, graph, pools


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
    untyped = pools.of_partitions({"any": {"max_gpu": 2}}, 0, 4)
    assert forecast.pools_of({"gpus": 2, "gpu_model": None}, untyped, "a100") == {"gpu": "a100"}


def test_the_answers_of_a_student_without_weights_are_blocked_and_what_waits_for_them():
    needs = {
        "answer s/math": (),
        "verify s/math": (0,),
        "answer other/math": (),
        "report g": (1, 2),
        "answer s-2/math": (),
    }
    requests = [graph.Request(*name.split(), {}, 1, before) for name, before in needs.items()]
    blocked: list[str | None] = [None] * 5
    forecast.block_answers(requests, blocked, {"s"})
    waits = [f"waits for {name}, which cannot run" for name in ("answer s/math", "verify s/math")]
    assert blocked == ["the weights of the student were freed", waits[0], None, waits[1], None]
