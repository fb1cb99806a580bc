"""What earlier jobs took, read from the index of jobs."""

import time

import pytest
from job_lines import job_line
from teachergrid.cost import actuals
from teachergrid.job import fingerprint
from teachergrid.store.job_index import INDEX


def test_lines_are_read_and_a_line_without_actuals_counts_for_code_alone(tmp_path):
    job_line(tmp_path, "generate", "i__t", 50.0, rows=10, tokens=300, read=100)
    job_line(tmp_path, "likelihood", "b/i__t", 20.0, when=2, rows=10)
    with (tmp_path / INDEX / "host").open("a") as file:
        file.write('3 reward r/i__t f\n4 generate i__u f {"seconds":1,"set')
    found = actuals.load(str(tmp_path))
    assert {rule: len(jobs) for rule, jobs in found.jobs.items()} == {"generate": 1, "likelihood": 1}
    # a scorer reads the very responses whose length was counted
    scored = found.jobs["likelihood"][0].work
    assert (scored.rows, scored.read, scored.written) == (10, 10, 30)
    assert fingerprint.remembered(str(tmp_path))["reward", "r/i__t"] == "f"


@pytest.mark.bench
def test_tens_of_thousands_of_lines_are_read_at_once(tmp_path):
    (tmp_path / INDEX).mkdir()
    settings = '"settings":{"batch":32,"bytes":2,"engine":"transformers","limit":2048}'
    said = (
        f'{{"seconds":61.5,"cpu_seconds":0.48,"device":"h100","gpus":1,"nodes":1,"parameters":8.0,{settings},"rows":3}}'
    )
    lines = (f"{i} answer b__i__t__r__s{i}/suite 667adefa235a17ca {said}\n" for i in range(40_000))
    (tmp_path / INDEX / "host").write_text("".join(lines))
    begun = time.process_time()
    found = actuals.load(str(tmp_path))
    assert len(found.jobs["answer"]) == 40_000
    assert time.process_time() - begun < 4  # about 0.6 s; a margin for a machine under load
