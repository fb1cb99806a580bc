"""What jobs ask SLURM for: held against the partitions of the profile's file, in a plan, before a run, and for each try."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.resources import Resource
from teachergrid.cost import limits, resources
from work_rows import generation

CELL = "seed__large"
TEXT = """
partitions:
  cpu: {max_runtime: 90, max_mem_mb: 6000}
  gpu_short: {max_runtime: 60, max_mem_mb: 64000, max_gpu: 4, available_gpu_models: [h200]}
"""


def table(rows: int = 1_000, **row) -> SimpleNamespace:
    """A table of one generation by 4 GPUs, and one check of its rows."""
    generated = generation(7.0, gpus=4, gpu_model="h200", **row) | {"rows": rows}
    return SimpleNamespace(rows={"generate": {CELL: generated}, "check": {CELL: {"rows": rows}}, "gate": {CELL: {}}})


@pytest.fixture
def made(tmp_path):
    def make(cells=None, text: str = TEXT, overruled=None) -> limits.Limits:
        path = Path(tmp_path, "partitions.yaml")
        path.write_text(text)
        stated = {
            rule: {name: Resource.from_cli_expression(name, str(value)) for name, value in values.items()}
            for rule, values in (overruled or {}).items()
        }
        return limits.Limits(str(path), cells or table(), stated)

    return make


def times(found: limits.Limits, rule: str) -> list[int]:
    return [found.asked(rule, CELL, attempt)["runtime"] for attempt in (1, 2, 3)]


def test_a_job_goes_to_the_partition_that_it_fills_best(made):
    assert made().place("check", CELL).partition == "cpu" and made().place("generate", CELL).partition == "gpu_short"
    assert made().unplaced() == {}


def test_our_own_requests_are_cut_to_the_longest_time_that_fits(made):
    wanted = resources.need("generate", "runtime", table().rows["generate"][CELL], 1)
    assert wanted > 60 and times(made(), "generate") == [60, 60, 60]
    assert times(made(), "check") == [20, 40, 60]
    # memory grows for as long as a node has it
    one = made(text="partitions: {cpu: {max_mem_mb: 6000}}")
    asked = [one.asked("check", CELL, attempt)["mem_mb"] for attempt in (1, 2, 3, 4)]
    assert asked == [2030, 4060, 6000, 6000]


def test_a_job_longer_than_a_day_asks_for_it_where_a_partition_allows_it(made):
    """What is expected with slack, instead of a day, three times of which may not be enough."""
    day, row = resources.LONGEST, generation(70.0, gpus=4, gpu_model="h200")
    cells = SimpleNamespace(rows={"generate": {CELL: row}})
    text = "partitions: {{gpu: {{max_gpu: 4{}}}}}"
    for limit, expected in ((", max_runtime: 4320", 3 * day), (", max_runtime: 60", 60)):
        assert made(cells, text.format(limit)).asked("generate", CELL)["runtime"] == expected
    # 83 hours are expected on an H100
    tries = [made(cells, text.format("")).asked("generate", CELL, attempt)["runtime"] for attempt in (1, 2)]
    assert tries == [pytest.approx(1.5 * 83.4 * 60, rel=0.01), limits.UNLIMITED]
    assert resources.need("generate", "runtime", row, 1) == day  # where no partition is known
    short = SimpleNamespace(rows={"generate": {CELL: row | {"rows": 20_000}}})
    assert made(short, text.format("")).asked("generate", CELL)["runtime"] == pytest.approx(
        1.5 * 83.4 / 5 * 60, rel=0.1
    )


def test_what_a_profile_states_for_the_first_try_is_meant(made):
    found = made(overruled={"generate": {"runtime": "600 * attempt"}})
    [(place, cell)] = found.unplaced()["generate"]
    assert cell == CELL and place.partition is None and found.place("check", CELL).partition == "cpu"
    memory = place.asked["mem_mb"]
    said = f"600 min, 4 h200, {memory} MB: no partition of {found.file} takes it (cpu: no GPU; gpu_short: 60 min)"
    assert place.refusal() == said and limits.told([(place, "generate x")]) == (said, ["generate x"])


def test_later_tries_of_what_a_profile_states_are_cut_and_said(made):
    found = made(overruled={"generate": {"runtime": "40 * attempt"}, "check": {"mem_mb": "30000 * attempt"}})
    assert times(found, "generate") == [40, 60, 60] and found.unplaced() == {}
    check, generate = found.cut(retries=2)
    assert check.startswith("check: `set-resources` states 90000 MB for try 3") and check.endswith("it asks for 64000")
    assert generate.startswith("generate: `set-resources` states 80 minutes for try 2")
    assert made(overruled={"generate": {"runtime": "20 * attempt"}}).cut(retries=2) == []


def test_seconds_of_all_tries(made):
    place = made(overruled={"generate": {"runtime": "40 * attempt"}}).place("generate", CELL)
    assert place.walltimes(3, seconds=2400) == [] and place.walltimes(3, seconds=2401) == [2400, 3600, 3600]
    assert place.described() == {"partition": "gpu_short", "mem_mb": place.asked["mem_mb"], "minutes": 40}


def test_an_expression_that_reads_the_job_is_evaluated_for_the_job(made):
    found = made(overruled={"generate": {"runtime": "70 if wildcards.responses == 'seed__large' else 10"}})
    of = limits.Of(SimpleNamespace(responses="seed__large"))
    assert found.place("generate", CELL, of).partition is None
    assert found.place("generate", CELL, limits.Of(SimpleNamespace(responses="other"))).partition == "gpu_short"
    # before there is a graph of jobs it is not known
    assert found.place("generate", CELL).partition == "gpu_short"


def test_a_partition_that_the_profile_names_and_the_file_does_not_know_is_taken_as_it_is(made):
    found = made(overruled={"generate": {"slurm_partition": "'secret'"}})
    assert found.place("generate", CELL).partition == "secret"


def test_threads_of_the_options_count(made, tmp_path):
    text = "partitions: {small: {max_threads: 2}, large: {max_threads: 16}}"
    file = made(text=text).file
    for threads, partition in ((1, "small"), (8, "large"), (Resource("_cores", 8), "large")):
        assert limits.Limits(file, table(), threads={"check": threads}).place("check", CELL).partition == partition


def test_only_a_run_on_slurm_with_a_file_has_limits(tmp_path, monkeypatch):
    path = tmp_path / "p.yaml"
    path.write_text(TEXT)
    options = {"set_resources": {}, "default_resources": None, "set_threads": {}}

    def of(executor, file):
        return limits.Limits.of_options(
            SimpleNamespace(executor=executor, slurm_partition_config=file, **options), table()
        )

    assert of("local", str(path)) is None and of("slurm", None) is None and of("slurm", path).file == str(path)
    monkeypatch.setenv(limits.ENVIRONMENT, str(path))
    assert of("slurm", None).file == str(path)


def test_snakemake_is_given_what_is_cut(made):
    """In a workflow: the rule's function gives way to ours, which knows the file once the executor has its settings."""
    file, cells = made().file, table()
    stated = {"runtime": Resource("runtime", lambda wildcards, attempt: 999 * attempt), "mem_mb": Resource("mem_mb", 5)}
    rules = [SimpleNamespace(name=name, resources=dict(stated)) for name in ("generate", "gate", "all")]
    asked = SimpleNamespace(overwrite_resources={}, default_resources={}, overwrite_threads={})
    workflow = SimpleNamespace(rules=rules, executor_settings=None, resource_settings=asked)

    def runtime(rule):
        return rule.resources["runtime"].evaluate(
            [CELL], input=[], attempt=2, threads=1, rulename=rule.name, async_run=None
        )

    limits.hold(workflow, cells)
    assert runtime(rules[0]).value == 999 * 2 and rules[1].resources == rules[2].resources == stated
    workflow.executor_settings = SimpleNamespace(partition_config=file)
    rules[0].resources = dict(stated)
    limits.hold(workflow, cells)
    assert runtime(rules[0]).value == 60 and rules[0].resources["mem_mb"].name == "mem_mb"
