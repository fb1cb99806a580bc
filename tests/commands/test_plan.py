"""`teachergrid plan` and `why` on a grid that was made: text, document, hash, and one result."""

import json

import jsonschema
import pytest
from expected_jobs import LARGE, add_teacher
from workspace import ROOT, jobs, setting

CLUSTER = ["--cluster", "h100=4,cpu=8"]


def document(grid, *argv) -> dict:
    done = grid.call("teachergrid", "plan", "--json", *argv)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_options_and_profiles_count(grid):
    grid.edit(add_teacher)
    (grid.folder / "profiles/site").mkdir()
    (grid.folder / "profiles/site/profile.yaml").write_text("set-resources: {generate: {gpu: 4}}")
    gpus = {job["job"]: job["gpu"] for job in grid.plan("--workflow-profile", "site")}
    assert gpus["generate seed__new"] == 4 and gpus["answer q__seed__new__sft__s1/math"] == 1


def test_a_plan_has_the_jobs_of_the_run_with_the_same_options(grid):
    """Also the options that leave something out: the count, the limits and the agreed plan mean what runs."""
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    generate, report = "generate seed__large", jobs("{correlate,report} teachers")
    large = "results/{}/seed__large.parquet"
    scored = jobs("{generate,check,gate} seed__large", "likelihood {q,w}/seed__large", "reward rm/seed__large")
    for options, expected in (
        (["--omit-from", "finetune", "correlate", "select", "metric"], scored),
        # the first half of the inputs of `correlate`
        (["--batch", "correlate=1/2"], LARGE - report - jobs("judge w__{seed__large,best}__sft__s1/chat/wins")),
        ([large.format("responses"), "--prioritize", large.format("health")], jobs("{generate,check} seed__large")),
        # Snakemake plans the rewards, too, and never starts them
        (["--until", "generate", "reward"], {generate}),
    ):
        assert grid.jobs(*options) == expected, options
    until = ["--until", "generate", "reward"]
    agreed = document(grid, *CLUSTER, *until)
    assert {job["job"] for job in agreed["jobs"]} == {generate}
    done = grid.call("teachergrid", "run", *until, "--plan", agreed["hash"], *CLUSTER)
    assert done.returncode == 0, done.stderr
    summary = json.loads((grid.folder / "results/run.json").read_text())
    assert summary["done"] == [generate] and summary["report"] is None
    assert "report:" not in done.stdout


def test_a_plan_is_agreed_on_and_held(grid):
    """The text, the document by its schema, the hash that `run` is held to, the difference to the plan before."""
    assert grid.call("teachergrid", "plan").stdout.startswith("nothing to do: 81 results are up to date\n")
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    page = grid.call("teachergrid", "plan", *CLUSTER, "--details").stdout
    assert page.startswith(f"jobs  {len(LARGE)} to do; {81 - len(LARGE)} results are reused\n")
    assert "sampling changed" in page and "on h100=4, cpu=8 (--cluster)" in page
    assert "sampling changed; teacher.sampling.temperature: 1 -> 0.2" in page
    plan = document(grid, *CLUSTER)
    jsonschema.validate(plan, json.loads((ROOT / "workflow/schemas/plan.schema.json").read_text()))
    assert {job["job"] for job in plan["jobs"]} == LARGE and plan["total"]["reused"] == 81 - len(LARGE)
    # what follows is on the account of its reason
    (one, *_) = [row for row in plan["reasons"] if row["reason"] == "sampling changed"]
    assert one["direct"] == 1 and one["jobs"] > 20
    assert sum(row["jobs"] for row in plan["stages"]) == len(LARGE)
    grid.edit(setting("models", "large", "revision", to="sha256-223"))
    refused = grid.call("teachergrid", "run", "--plan", plan["hash"])
    assert refused.returncode == 2 and "2 with other settings (generate seed__large, report teachers)" in refused.stderr
    told = grid.call("teachergrid", "plan", "--diff", plan["hash"]).stdout
    assert f"since {plan['hash']}" in told and "~1" in told
    over = grid.call("teachergrid", "run", "--max-gpu-hours", "0", *CLUSTER)
    assert over.returncode == 3 and "over budget" in over.stderr


def test_one_result(grid):
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    why = ["  teacher.sampling.temperature: 1 -> 0.2"]
    one = grid.call("teachergrid", "why", "results/responses/seed__large.parquet").stdout
    assert one.splitlines() == ["results/responses/seed__large.parquet: sampling changed", *why]
    assert grid.call("teachergrid", "plan", "--why", "generate seed__large").stdout == one
    unknown = grid.call("teachergrid", "plan", "--why", "generate seed__larg")
    assert unknown.returncode == 2 and "did you mean 'generate seed__large'?" in unknown.stderr


@pytest.mark.slow
def test_what_if_side_by_side(grid):
    grid.edit(add_teacher)
    done = grid.call(
        "teachergrid", "plan", *CLUSTER, "--what-if", "without-teacher=new", "--what-if", "gpu=a100+instructions=0.5"
    )
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("as planned", "without-", "gpu="))]
    # without the new teacher the grid's summary alone is another one
    assert [row[-1] for row in rows] and rows[1][0] == "without-teacher=new"
    assert done.returncode == 0 and int(rows[0][2]) > int(rows[1][1])


@pytest.mark.slow
def test_against_a_revision(grid):
    import subprocess

    for command in (
        ["init", "-q"],
        ["add", "config"],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=grid.folder, check=True)
    grid.edit(add_teacher)
    told = grid.call("teachergrid", "plan", "--diff", "HEAD").stdout
    assert "new teacher: new" in told
    wrong = grid.call("teachergrid", "plan", "--diff", "nothing")
    assert wrong.returncode == 2 and "--diff nothing: neither a plan file" in wrong.stderr
