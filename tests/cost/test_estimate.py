"""What jobs will take: a published grid, and what is learned from finished jobs."""

import json
import math
import random
import shutil
from pathlib import Path

import pytest
import yaml
from job_lines import job_line
from teachergrid.cost import actuals, estimate, saved_estimates, throughput, workload
from teachergrid.errors import BadInput
from teachergrid.grid import cells as grid_cells
from teachergrid.grid import config
from teachergrid.spec import canonical
from work_rows import HERE, MODEL, generation, likelihood, sft
from workspace import ROOT

NOTHING = actuals.Actuals({}, {})
# jobs of the demo's first run on two cores, three of each kind: one JSON object a line, as job.usage measured them
FIRST_DEMO = [json.loads(line) for line in (Path(__file__).parent / "first_demo.jsonl").read_text().splitlines()]


def first_demo(folder: Path) -> actuals.Actuals:
    """What a plan knows once the demo has run in a folder."""
    for record in FIRST_DEMO:
        job_line(
            folder, record["rule"], record["cell"], **{k: v for k, v in record.items() if k not in ("rule", "cell")}
        )
    return actuals.load(str(folder))


def papers_cells(engine: str = "transformers") -> grid_cells.Cells:
    raw = yaml.safe_load((ROOT / "config/paper_car.yaml").read_text())
    for entry in (*raw["teachers"].values(), *raw["suites"].values()):
        if entry.get("engine", "transformers") == "transformers":
            entry["engine"] = engine
    return grid_cells.Cells(config.checked(raw))


def test_the_papers_grid(monkeypatch):
    """5 bases x 19 teachers of 1.5 to 405 B x 100,000 instructions.

    Published rates give 630 to 1,645 H100-hours with an engine of continuous batching, which generates in 250 to 660 of them;
    by transformers generation is another matter, and the rest the same: 380 to 985.
    """
    monkeypatch.chdir(ROOT)
    cells = papers_cells()
    hours = {}
    for rule in workload.MODEL_RULES:
        for cell, row in cells.rows[rule].items():
            found = estimate.estimate(rule, row, "h100", NOTHING, HERE, cell)
            assert found.source == "analytic"
            hours[rule] = hours.get(rule, 0) + found.expected * found.gpus / 3600
    assert 380 < sum(n for rule, n in hours.items() if rule not in ("generate", "answer")) < 985, hours
    # its largest part as published: SFT 250 to 700; and scoring by the bases 40 to 100
    assert 250 < hours["finetune"] < 700 and 40 < hours["likelihood"] < 100, hours


def test_the_papers_grid_by_a_serving_engine(monkeypatch):
    """Published rates give 630 to 1,645 H100-hours in all, 250 to 660 of them for generation."""
    monkeypatch.chdir(ROOT)
    cells, hours = papers_cells("vllm"), {}
    for rule in workload.MODEL_RULES:
        for cell, row in cells.rows[rule].items():
            found = estimate.estimate(rule, row, "h100", NOTHING, HERE, cell)
            hours[rule] = hours.get(rule, 0) + found.expected * found.gpus / 3600
    assert 250 < hours["generate"] < 660, hours
    assert 630 < sum(hours.values()) < 1_645, hours


@pytest.mark.parametrize("device", ["h100", "cpu"])
def test_the_papers_grid_beside_the_results_of_the_demo(tmp_path, monkeypatch, device):
    """Models of a millionth of the size that answer 80 tokens say nothing about it, under whatever names; so each stage stays."""
    monkeypatch.chdir(ROOT)
    cells, held = papers_cells(), first_demo(tmp_path)
    rules = {*workload.MODEL_RULES} - {"optimise", "ask", "loss"}  # which the demo has not
    assert set(held.jobs) >= {*rules, "metric", "correlate"} and held.lengths
    assert "teachers" in cells.rows["correlate"], "a cell of the demo's name"
    for rule, rows in cells.rows.items():
        alone, beside = (
            sum(estimate.estimate(rule, row, device, known, HERE, cell).expected for cell, row in rows.items())
            for known in (NOTHING, held)
        )
        assert beside == pytest.approx(alone, rel=0.1), rule


SPECS = {
    "generate": {"teacher": {"batch": 128, "sampling": {"max_tokens": 80}}},
    "answer": {"suite": {"tasks": ["t"], "batch": 128}, "tasks": {"t": {"sampling": {"max_tokens": 80}}}},
    "reward": {"reward": {"batch": 128, "max_length": 512}},
    "judge": {"reward": {"batch": 128, "max_length": 512}},
    "likelihood": {"likelihood": {"batch_tokens": 8192, "max_length": 512}},
    "finetune": {
        "recipe": {
            "per_device_train_batch_size": 16, "gradient_accumulation_steps": 1, "group_by_length": True, "max_length": 256,
            "num_train_epochs": 3, "dtype": "float32", "packing": False, "gradient_checkpointing": False,
        }
    },
}  # fmt: skip


def test_the_first_estimate_of_the_demo():
    """Before anything was measured: each stage of models within 1.5 of what it took, and 90 % of all jobs between low and high."""
    stages, inside = {}, []
    for record in FIRST_DEMO:
        rule, size = record["rule"], record["parameters"]
        parts = SPECS.get(rule, {}) | ({"model": {**MODEL, "dtype": "float32"}} if size else {})
        row = {"spec": canonical.dump(**parts), "parameters": size, "gpus": 0, "nodes": 1, "limit": 80}
        # these lines do not say how many rows a summary had
        row["rows"] = record.get("rows") or {"correlate": 22_000, "report": 4_800, "load_instructions": 600}.get(
            rule, 0
        )
        found = estimate.estimate(rule, row, "cpu", NOTHING, HERE, record["cell"])
        said, took = stages.get((rule, size > 0), (0, 0))
        stages[rule, size > 0] = said + found.expected, took + record["seconds"]
        inside.append(found.low <= record["seconds"] <= found.high)
    off = {
        rule: said / took for (rule, model), (said, took) in stages.items() if model and not 1 / 1.5 < said / took < 1.5
    }
    assert off == {} and sum(inside) >= 0.9 * len(inside)
    said, took = (sum(parts) for parts in zip(*stages.values(), strict=True))
    assert 1 / 1.5 < said / took < 1.5


# --- what is learned


def ran(row: dict, cell: str, seconds: float, device="h100", rule="likelihood") -> actuals.Actual:
    return actuals.Actual(rule, cell, workload.of_row(rule, row), device, seconds, 1.0, None, None, None, 1.0)


def known(*jobs) -> actuals.Actuals:
    by_rule = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    return actuals.Actuals(by_rule, {})


def expected(row, held, cell="b/i__new", device="h100", rule="likelihood") -> saved_estimates.Estimate:
    return estimate.estimate(rule, row, device, held, HERE, cell)


def arithmetic(row, device="h100") -> float:
    return sum(throughput.seconds(workload.of_row("likelihood", row), HERE.device(device)))


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


def test_start_and_rate_are_learned_apart():
    """Short jobs that start slowly say nothing against the rate of long ones."""
    short = [likelihood(rows=n) for n in (1, 2, 3, 4, 5, 6)]
    slow = known(*(ran(row, f"b/i__{i}", 4 * arithmetic(row)) for i, row in enumerate(short)))
    long = likelihood(rows=1_000_000)
    assert expected(short[0], slow).expected > 3 * arithmetic(short[0])
    assert expected(long, slow).expected < 1.2 * arithmetic(long)
    # and are no reason to be sure of long ones
    found = expected(long, slow)
    assert found.high / found.low > 4


def test_what_an_estimate_is_based_on():
    row = likelihood(rows=50_000) | {"limit": 4096, "writer": 7.0}

    def basis(held, cell="b/i__new"):
        return estimate.basis("likelihood", row, expected(row, held, cell), held, HERE, cell)

    assert basis(NOTHING) == {"alike": 0, "lengths": "usual", "texts": 0}
    like, far = ran(row, "b/i__t", 50.0), ran(likelihood(0.001), "b/i__u", 50.0)
    a100 = ran(row, "b/i__v", 50.0, "a100")
    assert basis(known(like, far, a100))["alike"] == pytest.approx(1 + estimate.DEVICE, abs=0.05)
    settings = workload.settings("generate", generation(7.0)["spec"])
    texts = {("generate", f"i__{name}"): actuals.Lengths(settings, 50, 500, 7.0) for name in "ab"}
    assert basis(actuals.Actuals({}, texts)) == {"alike": 0, "lengths": "alike", "texts": 2}
    assert basis(actuals.Actuals({}, texts), "b/i__a") == {"alike": 0, "lengths": "own", "texts": 1}


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
        return actuals.expected_work("finetune", sft(3), held, f"b__i__{teacher}__r__s1")

    assert [student(name)[0].written for name in "ab"] == [200, 2_000] and student("a")[1] == 0
    found = actuals.expected_work("generate", generation(7.0), held, "i__c")
    # between what is usual (600), known to a factor of e^0.4, and the two others, each to a factor of e^0.3
    logs = [(1 / 0.4**2, 600), (1 / 0.3**2, 200), (1 / 0.3**2, 2_000)]
    mean = math.exp(sum(n * math.log(length) for n, length in logs) / sum(n for n, _ in logs))
    assert found.work.written == pytest.approx(mean) and (found.lengths, found.texts) == ("alike", 2)
    assert 0.3 < found.unsure < actuals.expected_work("generate", generation(7.0), NOTHING, "i__c").unsure
    # of another set only the same teacher counts, and less; a pilot's set is a part of the whole
    texts = [
        actuals.expected_work("generate", generation(7.0), held, cell).texts
        for cell in ("j__a", "j__c", "i.pilot50__c", "j.pilot50__c")
    ]
    assert texts == [0.3, 0, 2, 0]
    # what reads them knows the limit and the size of the writer from its row
    reads = sft(3) | {"limit": 4096, "writer": 7.0}
    assert actuals.expected_work("finetune", reads, held, "b__i__c__r__s1").work.written == pytest.approx(mean)
    assert actuals.expected_work("finetune", reads | {"limit": 80}, held, "b__i__c__r__s1").lengths == "usual"
    assert actuals.expected_work("finetune", reads | {"limit": 80}, held, "b__i__a__r__s1").work.written == 32
    # a writer of a tenth of the size says less, one of a thousandth nothing
    toys = actuals.Actuals({}, {("generate", "i__a"): actuals.Lengths(settings, 50, 200, 0.0007)})
    assert actuals.expected_work("finetune", reads, toys, "b__i__c__r__s1").lengths == "usual"
    assert actuals.expected_work("finetune", reads, toys, "b__i__a__r__s1").lengths == "usual"
    small = actuals.Actuals({}, {("generate", "i__a"): actuals.Lengths(settings, 50, 200, 0.7)})
    assert 0.2 < actuals.expected_work("finetune", reads, small, "b__i__c__r__s1").texts < 0.4
    # under another limit nothing is known
    other = generation(7.0) | {"spec": canonical.dump(model=MODEL, teacher={"sampling": {"max_tokens": 80}})}
    assert actuals.expected_work("generate", other, held, "i__a")[0].written == 32


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
        assert found.source == "measured", (job, found)
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
