"""plan --probe: which kinds of jobs are probed, what a probe says about a job, and a small grid probed and then run."""

import json
import math
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import yaml
from teachergrid.commands import parser
from teachergrid.cost import actuals, estimate, machines, throughput, workload
from teachergrid.errors import BadInput
from teachergrid.grid import cells as grid_cells
from teachergrid.grid import config
from teachergrid.job import fingerprint
from teachergrid.planning import forecast, graph, options, pools
from teachergrid.probe import kinds, stages
from teachergrid.spec import canonical
from teachergrid.store import estimates
from teachergrid.store.job_index import PROBES, remember
from workspace import ROOT, setting

HERE = machines.read()
NOTHING = actuals.Actuals({}, {})
TINY = {"repo": str(ROOT / "workflow/miniworld/models/bs"), "revision": None, "dtype": "float32"}


# --- which kinds are probed


def job(rule="likelihood", cell="b/i__t", model=TINY, gpus=1, nodes=1, deepspeed=None, **parts) -> dict:
    parts = parts or {"likelihood": {}}
    row = {"spec": canonical.dump(model=model, **parts), "parameters": None, "gpus": gpus, "nodes": nodes, "rows": 100}
    return {"rule": rule, "cell": cell, "row": row | {"deepspeed": deepspeed}, "threads": 1}


def chosen(*jobs, on="h100=4,cpu=8", here=("h100", 4), held=NOTHING) -> tuple[list, dict]:
    asked = SimpleNamespace(cluster=pools.parse(on), gpu=None, actuals=held, machines=HERE)
    found, left = kinds.kinds([graph.Request(**one) for one in jobs], kinds.Machine(*here), asked)
    return [(kind.rule, kind.device, [cell for cell, _ in kind.cells]) for kind in found], dict(left)


def as_probe(row: dict, seconds=10.0, more_seconds=5.0, device="cpu", rule="likelihood", cell="b/i__t", **more):
    """A probe of 16 rows and 32 more."""
    on_cpu = {"gpus": 0} if device == "cpu" else {}
    done = workload.of_row(rule, row)._replace(rows=16, **on_cpu, **more)
    model = kinds.named(row)
    return actuals.Probe(rule, cell, model, done, device, seconds, done._replace(rows=32), more_seconds, 1.0, None, 1.0)


def test_one_kind_is_probed_once_and_in_the_order_of_the_texts():
    jobs = [job("finetune", "b__i__t__r__s1", recipe={}), job(cell="b/i__t"), job(cell="b/i__u")]
    jobs += [job(cell="c/i__t", likelihood={"batch_tokens": 64}), job("generate", "i__t", teacher={})]
    found, left = chosen(*jobs)
    assert found == [
        ("generate", "h100", ["i__t"]),
        ("likelihood", "h100", ["b/i__t", "b/i__u"]),
        ("likelihood", "h100", ["c/i__t"]),
        ("finetune", "h100", ["b__i__t__r__s1"]),
    ]
    assert left == {}


def test_jobs_without_a_model_are_not_probed():
    verifier = job("reward", "v/i__t", reward={"checker": {}})
    verifier["row"] |= {"parameters": 0, "gpus": 0}
    existing = job("generate", "i__t", teacher={"engine": "existing"})
    assert chosen(verifier, existing) == ([], {})


@pytest.mark.parametrize(
    ("wanted", "here", "why"),
    [
        (job(), ("cpu", 0), "ask for a GPU, and this machine has none"),
        (job(gpus=8), ("h100", 4), "more GPUs than the 4 of this machine"),
        (job(), ("x9000", 1), "no known type (x9000); add it under `gpus`"),
        (job("finetune", "s", gpus=2, recipe={}), ("h100", 4), "several processes"),
        (job("finetune", "s", gpus=2, nodes=2, recipe={}), ("h100", 4), "several processes"),
        (job("finetune", "s", deepspeed="zero2", recipe={}), ("h100", 4), "several processes"),
        (job(model={**TINY, "repo": "nowhere/at/all"}), ("h100", 4), "nowhere/at/all: no such folder"),
        (job(model={**TINY, "repo": "org/none", "revision": "0" * 40}), ("h100", 4), "org/none at 0000"),
    ],
)
def test_what_cannot_be_probed_is_said(wanted, here, why):
    found, left = chosen(wanted, here=here)
    assert found == [] and [why in said for said in left] == [True] and sum(left.values()) == 1


def test_a_plan_on_cpus_is_probed_on_the_cpu():
    assert chosen(job(), on="cpu=4", here=("cpu", 0))[0] == [("likelihood", "cpu", ["b/i__t"])]
    # also where there is a GPU: the job would not see it
    assert chosen(job(gpus=0))[0] == [("likelihood", "cpu", ["b/i__t"])]
    assert forecast.pools_of({"gpus": 2, "gpu_model": "h100"}, pools.parse("cpu=4"), None) == {"cpu": "cpu"}


def test_what_was_probed_or_measured_is_not_probed_again():
    row = job()["row"]
    done = {"parameters": workload.parameters(row)}
    held = NOTHING._replace(probes=(as_probe(row, device="h100", **done),))
    assert chosen(job(), held=held) == ([], {})
    # another model of the same size, other settings, another device
    other = {**TINY, "repo": str(ROOT / "workflow/miniworld/models/steps-s")}
    assert [len(chosen(one, held=held)[0]) for one in (job(model=other), job(likelihood={"batch_tokens": 64}))] == [
        1,
        1,
    ]
    assert len(chosen(job(), here=("a100", 1), held=held)[0]) == 1
    finished = actuals.Actual(
        "likelihood", "b/i__t", workload.of_row("likelihood", row), "h100", 9.0, 1.0, *[None] * 3, 1.0
    )
    assert chosen(job(cell="b/i__new"), held=actuals.Actuals({"likelihood": [finished]}, {})) == ([], {})


def test_a_reference_answers_in_place_of_students():
    texts = SimpleNamespace(responses=lambda rule, cell, row: cell == "b/i__u" or None)
    student, reference = ("s/x", {"students": ["s"]}), ("r/x", {"students": []})
    assert kinds.representative(SimpleNamespace(rule="answer", cells=[student, reference]), texts) == reference
    # and texts that are there are scored
    assert (
        kinds.representative(SimpleNamespace(rule="reward", cells=[("b/i__t", {}), ("b/i__u", {})]), texts)[0]
        == "b/i__u"
    )


# --- what a probe says


def likelihood(rows=50_000, billions=7.0, **settings) -> dict:
    return job(likelihood=settings)["row"] | {"parameters": billions, "rows": rows}


def timed(row: dict, start=1.0, rate=1.0, device="h100") -> actuals.Probe:
    """A probe of a machine whose start and work take so many times what arithmetic says."""
    found = as_probe(row, device=device)
    first, more = (throughput.seconds(part, HERE.device(device)) for part in (found.work, found.more))
    return found._replace(seconds=start * first.start + rate * first.work, more_seconds=rate * more.work)


def expected(row: dict, *probes, jobs=(), device="h100", cell="b/i__new") -> estimates.Estimate:
    held = actuals.Actuals({"likelihood": list(jobs)}, {}, probes)
    return estimate.estimate("likelihood", row, device, held, HERE, cell)


def finished(row: dict, rate: float, device="h100") -> actuals.Actual:
    done = workload.of_row("likelihood", row)
    found = throughput.seconds(done, HERE.device(device))
    return actuals.Actual("likelihood", "b/i__t", done, device, found.start + rate * found.work, 1.0, *[None] * 3, 1.0)


def width(found: estimates.Estimate) -> float:
    return found.high / found.low


def test_a_probe_moves_an_estimate_less_than_a_finished_job():
    row = likelihood()
    guess, probed, known = expected(row), expected(row, timed(row, rate=3)), expected(row, jobs=[finished(row, 3)])
    assert [one.source for one in (guess, probed, known)] == ["analytic", "probe", "measured"]
    truth = finished(row, 3).seconds
    assert truth / 2 < probed.expected < known.expected < truth
    assert width(guess) > width(probed) > width(known)


def test_a_finished_job_of_the_same_kind_takes_the_place_of_a_probe():
    row = likelihood()
    job = finished(row, 3)
    assert expected(row, timed(row, rate=30), jobs=[job]) == expected(row, jobs=[job])
    # one of another kind stands beside it
    other = expected(likelihood(batch_tokens=64), timed(row, rate=30), jobs=[finished(likelihood(batch_tokens=64), 3)])
    assert other != expected(likelihood(batch_tokens=64), jobs=[finished(likelihood(batch_tokens=64), 3)])


def test_a_probe_tells_start_and_rate_apart():
    short, long = likelihood(rows=1), likelihood(rows=1_000_000)
    slow_start, slow_rate = timed(short, start=5), timed(short, rate=5)
    assert expected(short, slow_start).expected > 2 * expected(short, slow_rate).expected
    assert expected(long, slow_rate).expected > 2.5 * expected(long, slow_start).expected


def test_a_probe_on_another_gpu_is_scaled_and_one_on_a_cpu_says_nothing_of_gpus():
    row = likelihood()
    found = expected(row, timed(row, rate=3, device="a100"))
    assert found.source == "scaled" and found.expected > 1.2 * expected(row).expected
    assert expected(row, as_probe(row, device="cpu")) == expected(row)


def test_what_a_probed_teacher_said_is_how_long_its_answers_are():
    text = canonical.dump(model=TINY, teacher={"sampling": {"max_tokens": 4096}})
    row = {"spec": text, "parameters": 7.0, "gpus": 1, "nodes": 1, "rows": 9}
    found = as_probe(row, rule="generate", cell="i__t", read=40.0, written=1_000.0)
    held = NOTHING._replace(probes=(found,))
    planned, unsure = estimate.expected_work("generate", row, held, "i__t")
    assert (planned.read, planned.written, unsure) == (40, 1_000, estimate.SAMPLED)
    # those who score or learn from it, and, less surely, other teachers
    scored, _ = estimate.expected_work("likelihood", likelihood(), held, "b/i__t")
    assert scored.written == 1_000
    assert estimate.expected_work("generate", row, held, "i__other")[1] == estimate.OTHERS


LINE = {
    "rows": 8.0, "seconds": 9.5, "more_rows": 16.0, "more_seconds": 0.5, "cpu_seconds": 5.0, "read": 30.0, "written": 20.0, "gpu_gb": None,
    "host_gb": 0.6, "model": "org/m@1", "device": "cpu", "gpus": 0, "parameters": 0.1, "settings": {"bytes": 2, "batch": 8},
}  # fmt: skip


def test_lines_of_probes_are_no_finished_jobs(tmp_path):
    for seconds in (9.5, 7.5):
        line = LINE | {"seconds": seconds}
        remember(str(tmp_path / "results"), "generate", "i__t", "f" * 16, line, PROBES)
    found = actuals.load(str(tmp_path / "results"))
    assert found.jobs == {} and found.lengths == {} and fingerprint.remembered(str(tmp_path / "results")) == {}
    (one,) = found.probes  # the latest of its kind
    assert (one.seconds, one.work.rows, one.more.rows, one.work.written, one.model) == (7.5, 8, 16, 20, "org/m@1")
    assert one.work.get("batch") == 8
    recipe = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("\tfind results"))
    subprocess.run(recipe.strip(), shell=True, cwd=tmp_path, check=True)
    assert actuals.load(str(tmp_path / "results")).probes == found.probes


# --- one probe


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (SimpleNamespace(returncode=-9), "killed, most likely for the memory of this machine"),
        (SimpleNamespace(returncode=1), "ended with 1: the last word"),
        (subprocess.TimeoutExpired("probe", 1), "killed: no end 60 s after its 5 s"),
    ],
)
def test_a_dying_probe_is_reported(tmp_path, monkeypatch, ended, why):
    def run(argv, stdout, **_):
        stdout.write(b"first\nthe last word\n")
        if isinstance(ended, Exception):
            raise ended
        return ended

    monkeypatch.setattr(kinds.subprocess, "run", run)
    kind = SimpleNamespace(work=SimpleNamespace(gpus=0), threads=1)
    assert kinds.started(kind, tmp_path, 5.0) == {"failed": why}


def test_a_real_process_ends_in_time(tmp_path):
    text = job(base=TINY, likelihood={"batch_tokens": 64})["row"]["spec"]
    given = {"rule": "likelihood", "spec": text, "rows": 5, "read": 5, "written": 5, "seconds": 0.2}
    (tmp_path / "given.json").write_text(json.dumps(given))
    kind = SimpleNamespace(work=SimpleNamespace(gpus=0), threads=1)
    found = kinds.started(kind, tmp_path, 0.2)
    assert re.fullmatch("not (ready to start|one batch was done) within 0.2 s", found["failed"])


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


def test_options():
    assert options.read(*parser.parse(["plan", "--probe"])).probe
    assert options.read(*parser.parse(["plan"])).probe_seconds == 300
    with pytest.raises(BadInput, match="--probe-seconds 0"):
        options.read(*parser.parse(["plan", "--probe-seconds", "0"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "model", "parts", "rows"),
    [
        ("generate", "bs", {"teacher": {"batch": 4, "sampling": {"max_tokens": 5, "samples": 2}}}, 12),
        ("answer", "bs", {"reference": {}, "suite": {"batch": 4}, "tasks": {"a": {}, "b": {}}}, 12),
        ("judge", "rm", {"reward": {"batch": 4}, "judge": {}, "tasks": {"a": {}}}, 12),
        ("likelihood", "bs", {"base": {}, "likelihood": {}}, 12),
        ("finetune", "bs", {"base": {}, "recipe": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
          "max_length": 64, "num_train_epochs": 2, "packing": False}, "seed": 1}, 6),
    ],
)  # fmt: skip
def test_texts_are_made_up_where_there_are_none(tmp_path, rule, model, parts, rows):
    """Of about the expected length, enough for three parts (SFT: four updates) or as many as there are to do."""
    for task in parts.get("tasks", {}).values():
        task["sampling"] = {"max_tokens": 5}
    text = canonical.dump(model={**TINY, "repo": str(ROOT / "workflow/miniworld/models" / model)}, **parts)
    given = {"rule": rule, "spec": text, "rows": 12, "read": 12.0, "written": 9.0, "seconds": 300.0}
    found = stages.probed(tmp_path, given)
    assert found["rows"] + found["more_rows"] == pytest.approx(rows)  # SFT: 12 in one epoch count as 6 in two
    assert found["more_seconds"] > 0 and 8 < found["read"] < 40
    assert found["written"] <= 5 if rule in ("generate", "answer") else 6 < found["written"] < 14
    assert (tmp_path / "probed.parquet").exists() == (rule in ("generate", "answer"))


# --- a small grid


def planned(demo, *argv) -> tuple[dict, str]:
    done = demo.call("teachergrid", "plan", "--cluster", "cpu=1", "--json", *argv)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def in_cpu_seconds(one: actuals.Probe) -> actuals.Probe:
    """As on a machine without other work: jobs of one thread take as long as their CPU."""
    share = one.cpu_seconds / (one.seconds + one.more_seconds)
    return one._replace(seconds=share * one.seconds, more_seconds=share * one.more_seconds)


@pytest.mark.slow
def test_a_small_grid_is_probed_and_then_run(tmp_path, monkeypatch):
    from small_demo import small_demo

    demo = small_demo(tmp_path / "demo")
    monkeypatch.chdir(demo.folder)
    demo.edit(lambda config: config["teachers"].pop("concise-s"))
    whole = yaml.safe_load(Path("config/config.yaml").read_text())
    shutil.copytree(ROOT / "workflow/miniworld/models/steps-s", "broken")
    Path("broken/model.safetensors").write_bytes(b"cut off")
    for name, model in (("broken", {"repo": "broken"}), ("far", {"repo": "org/none", "revision": "0" * 40})):
        demo.edit(setting("models", name, to=model))
        demo.edit(setting("teachers", name, to={"model": name, "sampling": {"max_tokens": 80}}))
    found, said = planned(demo, "--probe")
    jsonschema.validate(found, json.loads((ROOT / "workflow/schemas/plan.schema.json").read_text()))
    # a model that cannot be loaded, or is not there, costs no plan
    assert [p for p in found["problems"] if p.startswith("generate pool__broken: its probe failed on cpu")]
    assert "not probed: 1 job: org/none at 0000" in said
    # no output is made, and nothing is left but what was learned
    left = {path.relative_to("results").parts[0] for path in Path("results").rglob("*") if path.is_file()}
    assert left - {".history"} == {PROBES, ".plans"}

    Path("config/config.yaml").write_text(yaml.safe_dump(whole))
    page = demo.call("teachergrid", "plan", "--cluster", "cpu=1", "--probe", "--html", "plan.html")
    assert "no kind of job to probe" in page.stderr
    assert (
        "probe" in page.stdout.split("\nfrom")[1].split("\n")[0] and "<td>probe</td>" in Path("plan.html").read_text()
    )

    cells = grid_cells.Cells(config.checked(whole))
    held = actuals.load("results")
    held = held._replace(probes=tuple(map(in_cpu_seconds, held.probes)))
    demo.run("-j1", "--until", "judge", "likelihood")
    off = {}
    for rule in workload.MODEL_RULES:
        done, row = actuals.load("results").jobs.get(rule, []), cells.rows[rule]
        took = sum(job.cpu_seconds for job in done)
        by_probe, guess = (
            [estimate.estimate(rule, row[job.cell], "cpu", known, HERE, job.cell) for job in done]
            for known in (held, NOTHING)
        )
        assert done == [] or {one.source for one in by_probe} == {"probe"}
        off[rule] = [abs(math.log(sum(one.expected for one in said) / took)) for said in (by_probe, guess) if done]
    print({rule: [round(n, 2) for n in both] for rule, both in off.items()})
    assert all(both[0] < max(math.log(2), both[1]) for both in off.values() if both), off
    assert sum(bool(both) for both in off.values()) == 5  # the small grid has no reward model among its metrics
    # a finished job takes the place of a probe
    assert "probe" not in planned(demo, "--forceall")[0]["total"]["sources"]
