"""What a probe says about a job: less than a finished one, more than none."""

import subprocess

from probes import HERE, NOTHING, TINY, as_probe, job
from teachergrid.cost import actuals, estimate, saved_estimates, throughput, workload
from teachergrid.job import fingerprint
from teachergrid.spec import canonical
from teachergrid.store.job_index import PROBES, remember
from workspace import ROOT


def likelihood(rows=50_000, billions=7.0, **settings) -> dict:
    return job(likelihood=settings)["row"] | {"parameters": billions, "rows": rows}


def timed(row: dict, start=1.0, rate=1.0, device="h100") -> actuals.Probe:
    """A probe of a machine whose start and work take so many times what arithmetic says."""
    found = as_probe(row, device=device)
    first, more = (throughput.seconds(part, HERE.device(device)) for part in (found.work, found.more))
    return found._replace(seconds=start * first.start + rate * first.work, more_seconds=rate * more.work)


def expected(row: dict, *probes, jobs=(), device="h100", cell="b/i__new") -> saved_estimates.Estimate:
    held = actuals.Actuals({"likelihood": list(jobs)}, {}, probes)
    return estimate.estimate("likelihood", row, device, held, HERE, cell)


def finished(row: dict, rate: float, device="h100") -> actuals.Actual:
    done = workload.of_row("likelihood", row)
    found = throughput.seconds(done, HERE.device(device))
    return actuals.Actual("likelihood", "b/i__t", done, device, found.start + rate * found.work, 1.0, *[None] * 3, 1.0)


def width(found: saved_estimates.Estimate) -> float:
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
    known = actuals.expected_work("generate", row, held, "i__t")
    assert (known.work.read, known.work.written, known.unsure, known.lengths) == (40, 1_000, actuals.SAMPLED, "probe")
    # those who score or learn from it, and, less surely, other teachers
    assert actuals.expected_work("likelihood", likelihood(), held, "b/i__t").work.written == 1_000
    other = actuals.expected_work("generate", row, held, "i__other")
    assert actuals.OTHERS < other.unsure < 0.5 and 600 < other.work.written < 1_000


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
