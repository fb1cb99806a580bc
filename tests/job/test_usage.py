"""What a job took: its rows and tokens, its device, its memory."""

import resource
import subprocess
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from teachergrid.job import usage
from teachergrid.spec import canonical
from teachergrid.store import artifacts
from work_rows import MODEL
from workspace import ENV, ROOT


def snakemake(tmp_path, rule: str, text: str, output, given=()) -> SimpleNamespace:
    return SimpleNamespace(
        rule=rule, params=SimpleNamespace(spec=text), resources={"gpu": 1}, output=[str(output)], input=given
    )


def test_what_a_job_notes(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHERGRID_DEVICES", "")  # no GPU, whatever this machine has
    rows = [
        {
            "id": str(i),
            "sample": 0,
            "response": "a",
            "finish_reason": "stop",
            "prompt_tokens": 5,
            "response_tokens": 10 * i,
        }
        for i in range(3)
    ]
    path = tmp_path / "r.parquet"
    artifacts.write(path, rows, artifacts.RESPONSES, None)
    text = canonical.dump(model=MODEL, teacher={"batch": 16, "sampling": {"max_tokens": 80}})
    took = usage.measure(snakemake(tmp_path, "generate", text, path), 0.0)
    assert (took["rows"], took["tokens"], took["read"]) == (3, 30, 15)
    assert took["settings"] == {"engine": "transformers", "batch": 16, "limit": 80, "bytes": 2}
    assert (took["device"], took["gpus"], took["gpu_gb"], took["parameters"]) == ("cpu", 0, None, 8.0)
    assert took["host_gb"] == pytest.approx(usage.host_gb(), abs=0.02)  # measured a moment before
    now = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    assert 0 < took["cpu_seconds"] <= sum(used.ru_utime + used.ru_stime for used in now) + 0.005  # it is rounded
    # it waited for devices: no work
    age = usage.age()
    waited = usage.measure(snakemake(tmp_path, "generate", text, path), age - 1)
    assert 0.99 < waited["seconds"] < 1.01 + usage.age() - age


@pytest.mark.parametrize("start", ["", "exec "])
def test_memory_is_that_of_the_job_and_not_of_what_started_it(start):
    """Linux counts the peak of a program as one of the program that takes its place: here pytest's, elsewhere Snakemake's."""
    program = "from teachergrid.job import usage; text = bytearray({} << 20); del text; print(usage.host_gb())"
    large = bytearray(b"x") * (400 << 20)
    small, larger = (
        float(subprocess.check_output(f"{start}{sys.executable} -c '{program.format(n)}'", shell=True, env=env))
        for n in (0, 200)
        for env in [ENV | {"PYTHONPATH": str(ROOT / "workflow/scripts")}]
    )
    assert len(large) / 1e9 > 0.4 > small + 0.2
    assert larger - small == pytest.approx(200 * 1.048576 / 1000, abs=0.02)


def test_rows_of_other_jobs(tmp_path):
    for name, n in (("one", 2), ("two", 3)):
        pq.write_table(pa.table({"id": range(n)}), tmp_path / name)
    given = SimpleNamespace(responses=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert usage.counted("metric", given, [tmp_path / "out.parquet"]) == {"rows": 5}
    assert usage.counted("report", given, ["report.html"]) == {"rows": 5}
    assert usage.counted("gate", given, ["passed"]) == {}
    # counted as the plan counts them, so that the two can be compared: what is drawn from a file, 1,000 rows for each model
    (tmp_path / "pool.jsonl").write_text("{}\n" * 4)
    loaded = SimpleNamespace(files=str(tmp_path / "pool.jsonl"), prompts=[])
    assert usage.counted("load_instructions", loaded, [tmp_path / "two"]) == {"rows": 3}
    scores = [f"results/scores/{model}/chat/verify.parquet" for model in ("a", "b")]
    compared = SimpleNamespace(verified=scores, judged=["results/scores/b/chat/wins.parquet"])
    assert usage.counted("correlate", compared, ["correlations.parquet"]) == {"rows": 2_000}
    # the rewards of the other side are computed once for all models
    assert usage.counted("judge", given, [tmp_path / "two"]) == {"rows": 3}
    student = tmp_path / "student.json"
    student.write_text('{"examples": 7, "trained_tokens": 70}')
    assert usage.counted("finetune", given, [student]) == {"rows": 7, "tokens": 70}
