"""A small grid probed and then run."""

import json
import math
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml
from probes import HERE, NOTHING
from teachergrid.cost import actuals, estimate, workload
from teachergrid.grid import cells as grid_cells
from teachergrid.grid import config
from teachergrid.store.job_index import PROBES
from workspace import ROOT, setting


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
        "probe" in page.stdout.split("\nbasis")[1].split("\n")[0] and "<td>probe</td>" in Path("plan.html").read_text()
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
