"""The entries of partitions.yaml: read as the plugin reads them, chosen as the plugin chooses, and why none takes a job."""

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm import partitions as plugin
from snakemake_executor_plugin_slurm.utils import parse_time_to_minutes
from teachergrid.errors import BadInput
from teachergrid.slurm import partitions

FILE = "the.yaml"
TEXT = """
partitions:
  batch: {max_runtime: 60, max_mem_mb: 4000}
  gpu_short: {max_runtime: "1:00:00", max_mem_mb: 64000, max_gpu: 8, available_gpu_models: [a100_80gb, h200]}
  "gpu-long,gpu-more": {max_runtime: 2-00:00:00, max_mem_mb: 32000, max_gpu: 4, available_gpu_models: [h200]}
"""


def entries(tmp_path, text: str = TEXT) -> list[partitions.Partition]:
    path = Path(tmp_path, FILE)
    path.write_text(text)
    return partitions.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "cannot read the partitions"),
        ("[]", "has no entries under `partitions`"),
        ("partitions: {}", "has no entries under `partitions`"),
        ("partitions: {gpu: }", "partitions.gpu: holds None"),
        ("partitions: {7: {max_gpu: 1}}", "partitions.7: is not the name of a partition; put it in quotes"),
        ("partitions: {gpu: {max_gpus: 1}}", "partitions.gpu: unknown key 'max_gpus', did you mean 'max_gpu'?"),
        (
            "partitions:\n  gpu: {max_gpu: 1}\n  gpu: {max_gpu: 2}",
            ", line 3: profile.partitions.gpu is stated a second time",
        ),
        ("partitions: {gpu: {max_gpu: many}}", "partitions.gpu.max_gpu: 'many' is not a number"),
        ("partitions: {gpu: {max_runtime: soon}}", "partitions.gpu.max_runtime: 'soon' is not minutes"),
        ("partitions: {gpu: {max_runtime: true}}", "partitions.gpu.max_runtime: True is not minutes"),
        (
            "partitions: {gpu: {available_gpu_models: h100}}",
            "partitions.gpu.available_gpu_models: 'h100' is not a list",
        ),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, text, said):
    with pytest.raises(BadInput) as error:
        entries(tmp_path, text)
    assert FILE in str(error.value) and said in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"none.yaml.*teachergrid site"):
        partitions.read(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "text", ["90", "60:30", "1:30:40", "2-12", "2-12:30", "2-00:00:00", "6d", "12h", "2d12h30m", "90s", "1.5h", "120.5"]
)
def test_times_are_those_of_the_plugin(text):
    assert partitions.minutes(text) == parse_time_to_minutes(text)


class Resources(dict):
    __getattr__ = dict.__getitem__


@pytest.mark.slow
def test_every_choice_is_the_plugins(tmp_path):
    """Drawn partitions and jobs: the plugin, which is installed beside us, chooses the same entry with the same score."""
    drawn = random.Random(5)
    quiet = SimpleNamespace(debug=lambda _: None, info=lambda _: None, warning=lambda _: None)
    chosen = 0
    for _ in range(300):
        lines = ["partitions:"]
        for number in range(3):
            limits = {
                "max_runtime": drawn.choice([60, '"2-00:00:00"', 1440]),
                "max_mem_mb": drawn.choice([8000, 64000]),
                "max_gpu": drawn.choice([0, 4, 8]),
                "available_gpu_models": drawn.choice(["[a100]", "[a100, h100]"]),
                "max_threads": drawn.choice([1, 16]),
                "max_nodes": drawn.choice([1, 4]),
                "max_cpus_per_gpu": drawn.choice([2, 8]),
                "max_cpus_per_task": drawn.choice([2, 8]),
                "available_constraints": drawn.choice(["[big]", "[big, fast]"]),
                "cluster": "other",
            }
            kept = [
                f"{key}: {value}"
                for key, value in limits.items()
                if drawn.random() < (0.1 if key == "cluster" else 0.6)
            ]
            lines.append(f"  p{number}: {{{', '.join(kept)}}}")
        path = tmp_path / FILE
        path.write_text("\n".join(lines))
        asked = {
            "runtime": drawn.choice([30, 600, 2880, 9000]),
            "mem_mb": drawn.choice([2000, 30000, 90000]),
            **drawn.choice(
                [{}, {"gpu": 4, "gpu_model": "h100"}, {"gpu": 1}, {"gres": "gpu:h100:8", "nodes": 2}, {"gpu": 9}]
            ),
            **drawn.choice([{}, {"cpus_per_gpu": 4}, {"cpus_per_task": 4}]),
            **drawn.choice([{}, {}, {"constraint": "big,fast"}]),
        }
        threads = drawn.choice([1, 8])
        job = SimpleNamespace(resources=Resources(asked), threads=threads, name="job")
        theirs = plugin.get_best_partition(plugin.read_partition_file(path), job, quiet)
        ours = partitions.best(partitions.read(path), asked | {"threads": threads})
        assert (ours and ours.name) == theirs, (lines, asked)
        for one, other in zip(partitions.read(path), plugin.read_partition_file(path), strict=True):
            score = partitions.score(one, asked | {"threads": threads})
            assert (
                score == pytest.approx(other.score_job_fit(job))
                if score is not None
                else other.score_job_fit(job) is None
            )
        chosen += ours is not None
    assert 50 < chosen < 250


def test_why_no_partition_takes_a_job(tmp_path):
    asked = {"runtime": 600, "mem_mb": 40000, "gpu": 4, "gpu_model": "a100_80gb"}
    assert partitions.best(entries(tmp_path), asked) is None
    assert partitions.refusal(entries(tmp_path), asked, FILE) == (
        "600 min, 4 a100_80gb, 40000 MB: no partition of the.yaml takes it (batch: no GPU; gpu_short: 60 min; "
        "gpu-long,gpu-more: 32000 MB, has h200)"
    )
    # only a partition that the job names counts
    named = partitions.refusal(entries(tmp_path), asked | {"slurm_partition": "gpu-more"}, FILE)
    assert named.endswith("(gpu-long,gpu-more: 32000 MB, has h200)")


def test_what_a_retry_asks_for_is_cut_to_the_partition_that_gives_most(tmp_path):
    first = {"runtime": 40, "mem_mb": 30000, "gpu": 1}

    def cut(**wanted):
        found = partitions.within(entries(tmp_path), first, first | wanted)
        assert partitions.best(entries(tmp_path), found) is not None
        return found["runtime"], found["mem_mb"]

    assert cut(runtime=80) == (80, 30000)  # gpu-long takes it
    assert cut(runtime=9000) == (2880, 30000)
    assert cut(mem_mb=90000) == (40, 64000)
    # an hour of twice the memory is a quarter of both; 32 GB for all of the time is half
    assert cut(runtime=240, mem_mb=64000) == (240, 32000)


def test_where_no_partition_takes_even_the_least_time_is_not_to_blame(tmp_path):
    first = {"runtime": 40, "mem_mb": 90000, "gpu": 1}
    cut = partitions.within(entries(tmp_path), first, first | {"runtime": 9000})
    assert cut == first | {"runtime": 2880}
    assert "gpu-long,gpu-more: 32000 MB)" in partitions.refusal(entries(tmp_path), cut, FILE)
    # what the least states is never cut
    long = first | {"runtime": 9000}
    assert partitions.within(entries(tmp_path), long, long) == long
