"""What each planned job needs, as plain values."""

from types import SimpleNamespace

from teachergrid.planning import requests


def test_the_price_of_a_job_follows_from_what_its_row_states():
    row = {"gpus": 8, "nodes": 1, "gpu_model": None, "rows": 100, "spec": "{}", "instructions": ["seed"]}
    assert requests.costs(requests.Request("generate", "seed__large", row, 4)) == {
        "gpus": 8,
        "nodes": 1,
        "rows": 100,
        "cpus": 4,
    }


def test_the_files_of_a_job_are_those_that_no_job_makes():
    job = SimpleNamespace(input=["results/answers/m/s.parquet", "config/b.jsonl", "config/a.jsonl", "config/b.jsonl"])
    assert requests.files_of(job) == ["config/a.jsonl", "config/b.jsonl"]
