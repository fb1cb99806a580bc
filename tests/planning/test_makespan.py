"""When a plan ends, on schedules that one can work out by hand."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.planning.makespan import Task, busy, critical, joined, longest_path, simulate


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


def test_a_second_phase_starts_when_the_first_is_over():
    """Its first jobs wait for the last one of the first phase, which decides the end with them."""
    one = simulate([gpu("a", 3), gpu("b", 5)], {"h100": 2})
    two = simulate([gpu("c", 2), gpu("d", 4, needs=(0,))], {"h100": 2})
    both = joined(one, two)
    assert both.seconds == 11 and [(run.start, run.end) for run in both.runs] == [(0, 3), (0, 5), (5, 7), (7, 11)]
    assert [run.task for run in critical(both)] == [1, 2, 3]
    empty = simulate([], {"h100": 2})
    assert joined(empty, two).seconds == 6 and joined(one, empty) == one
