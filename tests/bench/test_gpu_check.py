"""The check of a machine with a GPU: all of it on a tiny model and a CPU, what it judges, and that plans learn from it."""

import json
import subprocess
import sys

import pytest
from probes import HERE, NOTHING, job
from teachergrid.cost import actuals, estimate, workload
from workspace import ENV, ROOT

CHECK = ROOT / "tests/gpu_check.py"


def call(*argv, folder=ROOT) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, CHECK, *argv], cwd=folder, env=ENV, capture_output=True, text=True)


def probe(rule: str, row: dict, rate: float) -> dict:
    """A line as the check writes it: of a GPU that computes `rate` rows a second."""
    work = workload.of_row(rule, row)
    took = {"rows": 10, "seconds": 40.0, "more_rows": 20, "more_seconds": 20 / rate, "read": 150.0, "written": 350.0}
    took |= {
        "cpu_seconds": 1.0,
        "gpu_gb": 30.0,
        "host_gb": 2.0,
        "model": "gpu-check/scorer-7b",
        "device": "h100",
        "gpus": 1,
    }
    return {
        "rule": rule,
        "cell": "scorer-7b/gpu-check__scorer-7b",
        "took": took | {"parameters": work.parameters, "settings": dict(work.settings)},
    }


def test_plans_count_on_what_was_measured(tmp_path):
    row = job(likelihood={})["row"] | {"parameters": 7.5, "rows": 100_000}
    larger = row | {"parameters": 8.0}

    def hours(held: actuals.Actuals) -> float:
        found = estimate.estimate("likelihood", larger, "h100", held, HERE, "b/i__t")
        assert found.source == ("probe" if held.probes else "analytic")
        return found.expected

    document = {"version": 1, "machine": {"device": "h100"}, "probes": [probe("likelihood", row, 0.1)]}
    (tmp_path / "found.json").write_text(json.dumps(document))
    for _ in range(2):
        done = call("--learn", tmp_path / "found.json", "--results", tmp_path / "results")
        assert done.returncode == 0 and "1 measurements on h100 added" in done.stdout, done.stderr
    held = actuals.load(str(tmp_path / "results"))
    assert len(held.probes) == 1, "learnt twice, counted once"
    # a row in ten seconds is slow for an H100
    assert hours(held) > 1.5 * hours(NOTHING)


def test_without_a_gpu_it_says_how_to_try_it(tmp_path):
    done = call("--out", tmp_path / "found.json")
    assert done.returncode == 1 and "--device cpu --small tries the script without one" in done.stderr


@pytest.mark.slow
def test_every_part_on_a_tiny_model(tmp_path):
    done = call("--device", "cpu", "--small", "--minutes", "40", "--out", tmp_path / "found.json", "--work", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["missed"] == [] and found["parts"].pop("vllm") == {"model": "tiny", "missing": "vllm"}
    assert {name for name, part in found["parts"].items() if "probe" in part} == {
        "scorer", "sft", "lora", "generation", "armorm"
    }  # fmt: skip
    numbers = found["parts"]
    assert numbers["generation"]["equal"] == 1 and numbers["armorm"]["largest_difference"] < 1e-5
    assert numbers["lora"]["merged_difference"] < 1e-5 < numbers["lora"]["moved_by_training"]
    assert all(numbers[part]["ratio"] > 0.3 for part in ("scorer", "sft"))
    assert len(found["probes"]) == 5 and {one["took"]["device"] for one in found["probes"]} == {"cpu"}
    assert call("--learn", tmp_path / "found.json", "--results", tmp_path / "results").returncode == 0
    assert {one.rule for one in actuals.load(str(tmp_path / "results")).probes} == {
        one["rule"] for one in found["probes"]
    }
