"""A probe's process: its time limit, what was done when the time is up, and the words of an error."""

import time

import pytest
from teachergrid.cost.workload import PROBED
from teachergrid.errors import BadInput
from teachergrid.probe import stages


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_limit_that_was_not_heard_is_told_again():
    class Deaf:
        def __del__(self):
            time.sleep(0.2)  # what is raised in here, Python ignores

    def work():
        for _ in range(2):
            Deaf()
        time.sleep(30)

    ended = []
    stages.limit(0.1)
    assert not stages.in_time(lambda: ended.append(work()))
    assert ended == [], "the work was ended, and not waited for"


def test_what_is_done_when_the_time_is_up_counts(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.table({"prompt_tokens": [10, 20], "response_tokens": [1, 3]})

    def work():
        for i in range(2):
            pq.write_table(texts, tmp_path / f"{i}.parquet")
        raise stages.TimeUp

    found = stages.by_shard(work, tmp_path, 30, 3, texts)()
    assert (found.rows, found.parts, len(found.ends), found.whole) == (30, 3, 2, False)
    assert (found.read, found.written) == (15, 2)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (BadInput("m: no model could be loaded"), "m: no model could be loaded"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_words_of_an_error(error, said):
    assert stages.in_words(error) == said


def test_a_rule_without_a_probe_is_never_proposed_for_one():
    """The plan says which probe would narrow it: one of these."""
    assert {*stages.STAGES} == {*PROBED}


@pytest.mark.parametrize(("threads", "possible", "counted"), [(1, True, False), (1, False, True), (2, True, True)])
def test_imports_count_where_a_job_has_them(tmp_path, monkeypatch, threads, possible, counted):
    """Jobs that are forks find them done; this process has had them for longer than a probe's stage takes here."""
    ended = stages.Probed(4, 1, [time.time()], 10.0, 5.0, True)
    monkeypatch.setattr(stages, "Given", lambda *_: None)
    monkeypatch.setitem(stages.STAGES, "likelihood", lambda *_: lambda: ended)
    monkeypatch.setattr(stages.forks, "possible", lambda: possible)
    monkeypatch.setattr(stages.usage, "age", lambda: 100.0)
    monkeypatch.setattr(stages.usage, "cpu_seconds", iter([40.0, 42.0] if not counted else [42.0]).__next__)
    found = stages.probed(tmp_path, {"rule": "likelihood", "spec": '{"model": {}}', "rows": 4, "threads": threads})
    assert found["seconds"] == pytest.approx(100.0 if counted else 0.0, abs=0.2)
    assert found["cpu_seconds"] == (42.0 if counted else 2.0)
