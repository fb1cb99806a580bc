"""What jobs will take: published runs on an H100, and what is learned from finished jobs."""

import json
import random
import resource
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from teachergrid.cost import actuals, estimate, machines, resources, throughput, workload
from teachergrid.errors import BadInput
from teachergrid.grid import cells as grid_cells
from teachergrid.grid import config
from teachergrid.job import fingerprint, usage
from teachergrid.spec import canonical
from teachergrid.store import artifacts, estimates
from teachergrid.store.job_index import INDEX
from workspace import ROOT

HERE = machines.read()
NOTHING = actuals.Actuals({}, {})
MODEL = {"repo": "org/none"}


def generation(billions, gpus=1, model=MODEL, **row) -> dict:
    text = canonical.dump(model=model, teacher={"sampling": {"max_tokens": 4096}})
    return {"spec": text, "parameters": billions, "gpus": gpus, "nodes": 1, "rows": 100_000, **row}


def sft(billions, gpus=1, **recipe) -> dict:
    text = canonical.dump(model=MODEL, recipe=recipe)
    return {"spec": text, "parameters": billions, "gpus": gpus, "nodes": 1, "deepspeed": None, "rows": 100_000}


def speed(rule: str, row: dict, device: str = "h100") -> float:
    """Tokens of responses (SFT: of examples) a second and GPU, without the start."""
    job = workload.of_row(rule, row)
    tokens = job.rows * (job.written + (job.read if rule == "finetune" else 0)) * job.get("num_train_epochs", 1)
    return tokens / throughput.seconds(job, HERE.device(device)).work / row["gpus"]


# --- published runs


@pytest.mark.parametrize(
    ("billions", "recipe", "published"),
    [
        (7, {"packing": True}, 6_500),  # OLMo-3-7B on 8 H100
        (3, {"packing": True}, 14_000),  # 2 to 4 B: 12,000 to 16,000
        (3, {"packing": True, "gradient_checkpointing": True}, 14_000),
        (8, {"packing": True}, 6_500),
    ],
)
def test_sft(billions, recipe, published):
    assert published / 1.6 < speed("finetune", sft(billions, **recipe)) < published * 1.6


def test_sft_of_other_kinds():
    # NeMo, 7 B: LoRA 24,824 against 16,891; unpacked TRL is 2 to 3 times slower than packed
    lora = speed("finetune", sft(7, lora={})) / speed("finetune", sft(7))
    assert 1.47 / 1.2 < lora < 1.47 * 1.2
    unpacked = speed("finetune", sft(3)) / speed("finetune", sft(3, packing=False))
    assert 2 / 1.2 < unpacked < 3 * 1.2


def test_an_a100_is_2_to_3_times_slower():
    assert 2 < speed("finetune", sft(7)) / speed("finetune", sft(7), "a100") < 3.2


def test_transformers_takes_no_gain_from_gpus():
    row = generation(7.0)
    assert speed("generate", row | {"gpus": 2}) == pytest.approx(speed("generate", row) / 2)


def test_the_papers_grid(monkeypatch):
    """5 bases x 19 teachers of 1.5 to 405 B x 100,000 instructions.

    Published rates give 630 to 1,645 H100-hours with an engine of continuous batching, which generates in 250 to 660 of them;
    by transformers generation is another matter, and the rest the same: 380 to 985.
    """
    monkeypatch.chdir(ROOT)
    cells = grid_cells.Cells(config.checked(yaml.safe_load((ROOT / "config/paper_car.yaml").read_text())))
    hours = {}
    for rule in workload.MODEL_RULES:
        for cell, row in cells.rows[rule].items():
            found = estimate.estimate(rule, row, "h100", NOTHING, HERE, cell)
            assert found.source == "analytic"
            hours[rule] = hours.get(rule, 0) + found.expected * found.gpus / 3600
    assert 380 < sum(n for rule, n in hours.items() if rule not in ("generate", "answer")) < 985, hours
    # its largest part as published: SFT 250 to 700
    assert 250 < hours["finetune"] < 700, hours


# --- a line a job


def job_line(folder, rule, cell, seconds, when=1, **more):
    said = {
        "seconds": seconds,
        "cpu_seconds": 1.0,
        "device": "h100",
        "gpus": 1,
        "nodes": 1,
        "parameters": 7.0,
        "settings": {},
    }
    (folder / INDEX).mkdir(exist_ok=True, parents=True)
    with (folder / INDEX / "host").open("a") as file:
        file.write(f"{when} {rule} {cell} f {json.dumps({**said, **more}, separators=(',', ':'))}\n")


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
    # measured a moment before: the peak of this process, or of the largest that it has started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    assert took["host_gb"] == pytest.approx(peak, abs=0.02)
    now = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    assert 0 < took["cpu_seconds"] <= sum(used.ru_utime + used.ru_stime for used in now) + 0.005  # it is rounded
    # it waited for devices: no work
    age = usage.age()
    waited = usage.measure(snakemake(tmp_path, "generate", text, path), age - 1)
    assert waited["seconds"] == pytest.approx(1 + usage.age() - age, abs=0.5)


def test_rows_of_other_jobs(tmp_path):
    for name, n in (("one", 2), ("two", 3)):
        pq.write_table(pa.table({"id": range(n)}), tmp_path / name)
    given = SimpleNamespace(responses=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert usage.counted("metric", given, [tmp_path / "out.parquet"]) == {"rows": 5}
    assert usage.counted("report", given, ["report.html"]) == {}
    # the judge scores both sides of a row
    assert usage.counted("judge", given, [tmp_path / "two"]) == {"rows": 6}
    student = tmp_path / "student.json"
    student.write_text('{"examples": 7, "trained_tokens": 70}')
    assert usage.counted("finetune", given, [student]) == {"rows": 7, "tokens": 70}


def test_what_a_killed_job_left_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_from = {"rule": "generate", "spec": "{}", "inputs": {}}
    from teachergrid.store import unfinished

    assert not unfinished.has_unfinished("results/responses/a.parquet", made_from)
    folder = unfinished.folder("results/responses/a.parquet", made_from)
    assert not unfinished.has_unfinished("results/responses/a.parquet", made_from)
    (folder / "shard").touch()
    assert unfinished.has_unfinished("results/responses/a.parquet", made_from)


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


def test_make_clean_keeps_the_lines(tmp_path):
    results = tmp_path / "results"
    job_line(results, "generate", "i__t", 1.0)
    for name in ("README.md", "responses/a.parquet", ".history/a"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()
    recipe = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("\tfind results"))
    subprocess.run(recipe.strip(), shell=True, cwd=tmp_path, check=True)
    left = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    assert left == {"README.md", f"{INDEX}/host"}


# --- what is learned


def likelihood(billions=7.0, rows=1_000, **settings) -> dict:
    text = canonical.dump(model=MODEL, likelihood=settings)
    return {"spec": text, "parameters": billions, "gpus": 1, "nodes": 1, "rows": rows}


def ran(row: dict, cell: str, seconds: float, device="h100", rule="likelihood") -> actuals.Actual:
    return actuals.Actual(rule, cell, workload.of_row(rule, row), device, seconds, 1.0, None, None, None, 1.0)


def known(*jobs) -> actuals.Actuals:
    by_rule = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    return actuals.Actuals(by_rule, {})


def expected(row, held, cell="b/i__new", device="h100", rule="likelihood") -> estimates.Estimate:
    return estimate.estimate(rule, row, device, held, HERE, cell)


def arithmetic(row, device="h100") -> float:
    return sum(throughput.seconds(workload.of_row("likelihood", row), HERE.device(device)))


def test_copies_score_side_by_side_where_one_fits_a_gpu():
    def rows(billions, gpus):
        return throughput.seconds(
            workload.of_row("likelihood", likelihood(billions) | {"gpus": gpus}), HERE.device("h100")
        ).work

    assert rows(7.0, 4) == pytest.approx(rows(7.0, 1) / 4)
    assert rows(70.0, 4) == rows(70.0, 1), "140 GB of weights lie over all four, which take turns"


def test_nothing_measured_is_arithmetic_with_a_wide_interval():
    found = expected(likelihood(), NOTHING)
    assert found.source == "analytic" and found.expected == pytest.approx(arithmetic(likelihood()))
    assert found.high / found.low > 4 and (found.gpus, found.device) == (1, "h100")


def test_a_cell_that_ran_is_expected_to_take_as_long_again():
    row, long = likelihood(), 3 * arithmetic(likelihood())
    found = expected(row, known(ran(row, "b/i__t", long)), "b/i__t")
    assert found.source == "measured" and found.expected == pytest.approx(long)
    assert found.low > long / 3 and found.high < long * 3
    # not when it is done otherwise now
    other = expected(likelihood(batch_tokens=1024), known(ran(row, "b/i__t", long)), "b/i__t")
    assert other.expected < 0.9 * long


def test_twice_the_rows_of_a_measured_cell_take_less_than_twice():
    row = likelihood(rows=20_000)
    held = known(ran(row, "b/i__t", 1_000.0))
    assert 1_000 < expected(likelihood(rows=40_000), held, "b/i__t").expected < 2_000


def test_more_measured_jobs_move_the_estimate_and_narrow_the_interval():
    row = likelihood(rows=50_000)
    truth, widths, errors = 3 * arithmetic(row), [], []
    for n in (0, 1, 4, 16):
        found = expected(row, known(*(ran(row, f"b/i__{i}", truth) for i in range(n))))
        widths.append(found.high / found.low)
        errors.append(abs(found.expected - truth))
    assert widths == sorted(widths, reverse=True) and errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * truth


def test_start_and_rate_are_told_apart():
    """Short jobs that start slowly say nothing against the rate of long ones."""
    short = [likelihood(rows=n) for n in (1, 2, 3, 4, 5, 6)]
    slow = known(*(ran(row, f"b/i__{i}", 4 * arithmetic(row)) for i, row in enumerate(short)))
    long = likelihood(rows=1_000_000)
    assert expected(short[0], slow).expected > 3 * arithmetic(short[0])
    assert expected(long, slow).expected < 1.2 * arithmetic(long)
    # and are no reason to be sure of long ones
    found = expected(long, slow)
    assert found.high / found.low > 4


def test_outliers_count_little():
    row = likelihood(rows=50_000)
    jobs = [ran(row, f"b/i__{i}", arithmetic(row)) for i in range(9)]
    held = known(*jobs, ran(row, "b/i__stuck", 50 * arithmetic(row)))
    assert expected(row, held).expected < 1.35 * arithmetic(row)


def test_another_gpu_type_is_scaled():
    row = likelihood(rows=50_000)
    held = known(*(ran(row, f"b/i__{i}", 2 * arithmetic(row, "a100"), "a100") for i in range(9)))
    found = expected(row, held)
    assert found.source == "scaled" and 1.6 * arithmetic(row) < found.expected < 2.1 * arithmetic(row)
    # a CPU says nothing about a GPU, nor does a type that nobody knows
    for device in ("cpu", "x9000"):
        assert expected(row, known(*(ran(row, f"b/i__{i}", 9e9, device) for i in range(9)))).source == "analytic"


def test_far_sizes_count_less_than_near_ones():
    row = likelihood(7.0, rows=50_000)
    near = known(
        *(ran(likelihood(8.0, 50_000), f"b/i__{i}", 3 * arithmetic(likelihood(8.0, 50_000))) for i in range(3))
    )
    far = known(*(ran(likelihood(0.1, 50_000), f"b/i__{i}", 3 * arithmetic(likelihood(0.1, 50_000))) for i in range(3)))
    assert expected(row, near).expected > 1.5 * arithmetic(row)
    assert expected(row, far).source == "analytic" and expected(row, far).expected < 1.1 * arithmetic(row)


def test_measured_lengths_decide_what_comes_after():
    """A teacher of long answers is dear to train on; lengths of others stand in until its own are known."""
    text = dict(workload.settings("generate", generation(7.0)["spec"]))
    settings = tuple(sorted(text.items()))
    held = actuals.Actuals(
        {}, {("generate", f"i__{name}"): actuals.Lengths(settings, 50, n) for name, n in (("a", 200), ("b", 2_000))}
    )

    def student(teacher):
        return estimate.expected_work("finetune", sft(3), held, f"b__i__{teacher}__r__s1")

    assert [student(name)[0].written for name in "ab"] == [200, 2_000] and student("a")[1] == 0
    planned, unsure = estimate.expected_work("generate", generation(7.0), held, "i__c")
    assert planned.written == 2_000 and unsure > 0
    # under another limit nothing is known
    other = generation(7.0) | {"spec": canonical.dump(model=MODEL, teacher={"sampling": {"max_tokens": 80}})}
    assert estimate.expected_work("generate", other, held, "i__a")[0].written == 40


def test_intervals_bracket_what_is_drawn_around_a_fit():
    """Sizes, rows and cells that were not measured: at least 80 % of jobs lie between low and high."""
    draw = random.Random(1)

    def drawn(i):
        row = likelihood(draw.choice([1.5, 3.0, 7.0, 8.0]), round(10 ** draw.uniform(2, 5)))
        arith = throughput.seconds(workload.of_row("likelihood", row), HERE.device("h100"))
        return row, (1.8 * arith.start + 0.6 * arith.work) * draw.lognormvariate(0, 0.3)

    held = known(*(ran(row, f"b/i__{i}", seconds) for i, (row, seconds) in enumerate(map(drawn, range(40)))))
    found = [(expected(row, held), seconds) for row, seconds in map(drawn, range(200))]
    inside = sum(one.low <= seconds <= one.high for one, seconds in found)
    assert 160 <= inside <= 199
    total = sum(one.expected for one, _ in found) / sum(seconds for _, seconds in found)
    assert 1 / 1.3 < total < 1.3


def test_a_job_without_model_or_gpu():
    found = estimate.estimate("metric", {"rows": 1_000, "spec": "{}"}, "h100", NOTHING, HERE, "b/i__t")
    assert (found.gpus, found.device) == (0, "cpu") and found.expected > 0
    verifier = {"rows": 10, "spec": canonical.dump(reward={"checker": {}}), "parameters": 0, "gpus": 0, "nodes": 1}
    assert estimate.estimate("reward", verifier, "h100", NOTHING, HERE).device == "cpu"
    with pytest.raises(BadInput, match="no GPU type"):
        expected(likelihood(), NOTHING, device="h10")


# --- the same grid again


def in_cpu_seconds(jobs: dict) -> dict:
    """Count a job's CPU seconds as its seconds: jobs of one thread on a quiet machine; other work on it is no error of ours."""
    return {rule: [job._replace(seconds=job.cpu_seconds) for job in found] for rule, found in jobs.items()}


@pytest.mark.bench
def test_a_finished_demo_cleaned_and_planned_again(tmp_path, monkeypatch):
    """Real jobs of the mini world: stages over 10 s within a factor 1.5, 80 % of the jobs within their interval."""
    from small_demo import small_demo

    demo = small_demo(tmp_path / "demo")
    demo.run("-j1")
    monkeypatch.chdir(demo.folder)
    cells = grid_cells.Cells(config.checked(yaml.safe_load(Path("config/config.yaml").read_text())))
    held = actuals.load("results")
    held = held._replace(jobs=in_cpu_seconds(held.jobs))
    planned = {
        (rule, cell): estimate.estimate(rule, row, "cpu", held, HERE, cell)
        for rule, rows in cells.rows.items()
        for cell, row in rows.items()
    }
    shutil.rmtree("results")
    shutil.rmtree(".snakemake")
    demo.run("-j1")
    stages, inside = {}, []
    done = [job for jobs in in_cpu_seconds(actuals.load("results").jobs).values() for job in jobs]
    assert {(job.rule, job.cell) for job in done} == set(planned)
    for job in done:
        found = planned[job.rule, job.cell]
        assert found.source == "measured"
        before, now = stages.get(job.rule, (0, 0))
        stages[job.rule] = before + found.expected, now + job.seconds
        inside.append(found.low <= job.seconds <= found.high)
    off = {rule: said / took for rule, (said, took) in stages.items() if took > 10 and not 1 / 1.5 < said / took < 1.5}
    assert off == {} and sum(inside) >= 0.8 * len(inside)
    # and jobs of which every other of their kind was measured, but not they
    held = held._replace(jobs={rule: jobs[::2] for rule, jobs in held.jobs.items()})
    kept = {(job.rule, job.cell) for jobs in held.jobs.values() for job in jobs}
    others = [job for job in done if (job.rule, job.cell) not in kept]
    again = [estimate.estimate(job.rule, cells.rows[job.rule][job.cell], "cpu", held, HERE, job.cell) for job in others]
    inside = [one.low <= job.seconds <= one.high for one, job in zip(again, others, strict=True)]
    assert sum(inside) >= 0.8 * len(inside)


def test_costs_take_their_rates_from_here():
    row = generation(7.0, rows=1_000)
    long = workload.of_row("generate", row)
    seconds = throughput.seconds(long._replace(written=long.written / workload.MEAN), HERE.device("h100")).work
    assert resources.minutes("generate", row, 1) == pytest.approx(10 + 7 / 6 + resources.SLACK * seconds / 60, abs=1)
