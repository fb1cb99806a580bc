"""`teachergrid plan` and `why` on a grid that was made: text, document, hash, and one result."""

import json
import re

import jsonschema
import pytest
from expected_jobs import LARGE, add_teacher
from pilot_grid import PHASE_ONE, PHASE_TWO, SUMMARY, with_pilot
from teachergrid.planning import budget
from workspace import ROOT, Grid, copy_code, jobs, setting

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


@pytest.mark.slow
def test_a_plan_has_the_jobs_of_the_run_with_the_same_options(grid):
    """Also the options that leave something out: the count, the limits and the agreed plan mean what runs."""
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    generate, report = "generate seed__large", jobs("{correlate,report} teachers")
    large = "results/{}/seed__large.parquet"
    scored = jobs("{generate,check,gate} seed__large", "likelihood {q,w}/seed__large", "reward rm/seed__large")
    for options, expected in (
        (["--omit-from", "finetune", "correlate", "select", "metric"], scored),
        # the first half of the inputs of `correlate`, which need all that is not a summary
        (["--batch", "correlate=1/2"], LARGE - report),
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


@pytest.mark.slow
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


RESPONSES = "results/responses/seed__large.parquet"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--configfile", "config/config.yaml", "other.yaml"],
        ["--config", "seed=2"],
        ["--set-resources", "generate:gpu=2"],
        ["--configfile", "config/config.yaml", "--", "all"],
    ],
)
def test_one_result_beside_options_that_take_many_words(grid, options):
    """Snakemake's --configfile takes all words that follow: a file to explain, or options of ours, do not stand behind it."""
    (grid.folder / "other.yaml").write_text("{}")
    for argv in (["why", RESPONSES, *options], ["plan", "--why", RESPONSES, *options]):
        done = grid.call("teachergrid", *argv)
        assert done.returncode == 0 and done.stdout.startswith(f"{RESPONSES}: "), (argv, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv",
    [
        ["plan"],
        ["plan", "--jsonl"],
        ["plan", "--why", RESPONSES],
        ["plan", "--older", "generate"],
        ["why", RESPONSES],
        ["status"],
        ["prefetch", "--check"],
        ["run"],
    ],
)
def test_a_mistake_in_the_config_is_told_once_with_exit_code_2(grid, argv):
    grid.edit(setting("recipes", "sft", "learning_rate", to="5e-4"))
    done = grid.call("teachergrid", *argv)
    assert done.returncode == 2 and done.stderr.count("learning_rate") == 1, done.stderr
    assert "Traceback" not in done.stderr and "common.smk" not in done.stderr and not done.stdout
    number = next(
        i for i, line in enumerate((grid.folder / "config/config.yaml").read_text().splitlines(), 1) if "5e-4" in line
    )
    assert f"config/config.yaml, line {number}: config.recipes.sft.learning_rate: '5e-4'" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--configfile", "missing.yaml"], "--configfile missing.yaml: cannot be read as a config"),
        (["--configfile", "config/config.yaml", "binary"], "--configfile binary: cannot be read as a config"),
        (["results/no_such_file"], "results/no_such_file"),
        (["--older", "generat"], "--older: there is no 'generat', did you mean 'generate'?"),
        (["--workflow-profile", "profiles/broken"], "profile"),
    ],
)
def test_mistakes_that_snakemake_finds(grid, options, told):
    (grid.folder / "binary").write_bytes(b"PAR1\xff\xfe")
    (grid.folder / "profiles/broken").mkdir()
    (grid.folder / "profiles/broken/profile.yaml").write_text("jobs: [1\n")
    # `status` reads no profile and no target
    for command in ("plan", "status") if options[0] == "--configfile" else ("plan",):
        done = grid.call("teachergrid", command, *options)
        assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr, (command, done.stderr)


@pytest.fixture
def unmade(tmp_path) -> Grid:
    """The small grid without results."""
    (tmp_path / "grid").mkdir()
    copy_code(tmp_path / "grid")
    return Grid(tmp_path / "grid")


@pytest.mark.slow
def test_a_plan_of_a_pilot_counts_what_follows(unmade):
    """At most: with the costliest choice. Limits hold for both phases."""
    unmade.edit(with_pilot)
    plan = document(unmade, *CLUSTER)
    jsonschema.validate(plan, json.loads((ROOT / "workflow/schemas/plan.schema.json").read_text()))
    later = plan["phase_two"]
    assert {job["job"] for job in plan["jobs"]} == PHASE_ONE and later["grids"] == ["teachers"]
    added = {job["job"] for job in later["jobs"]}
    assert len(added) == len(PHASE_TWO) and added > SUMMARY and not added & PHASE_ONE
    both = [*plan["jobs"], *later["jobs"]]
    hours = sum(job["gpus"] * job["seconds"]["expected"] for job in both) / 3600
    assert later["total"]["jobs"] == len(both) and later["total"]["gpu_hours"]["expected"] == pytest.approx(
        hours, abs=1e-3
    )
    assert later["seconds"] == pytest.approx(
        plan["schedule"]["seconds"] + max(job["end"] for job in later["jobs"]), abs=0.3
    )
    one = plan["total"]["gpu_hours"]["expected"]
    page = unmade.call(
        "teachergrid", "plan", *CLUSTER, "--max-gpu-hours", str((one + hours) / 2), "--html", "plan.html"
    )
    words = f"phase two at most {len(both)} jobs"
    assert page.returncode == 3 and "expected, at most, with phase two" in page.stderr
    assert words in " ".join(page.stdout.split()) and words in (unmade.folder / "plan.html").read_text()
    assert unmade.call("teachergrid", "plan", *CLUSTER, "--max-gpu-hours", str(hours + 0.01)).returncode == 0
    between = (plan["schedule"]["seconds"] + later["seconds"]) / 2 / 3600
    assert unmade.call("teachergrid", "run", *CLUSTER, "--deadline", f"{between:.5f}").returncode == 3
    assert "phase two: at most" in unmade.call("teachergrid", "status").stdout
    assert {row["stage"] for row in later["stages"]} >= {"generate", "finetune", "report"}
    work = next(line for line in page.stdout.splitlines() if line.startswith("work"))
    assert work.startswith("work  at most") and "in phase one" in page.stdout, "what a pilot leads to stands first"
    # nothing of phase one trains: that is no reason to say that nothing is to do
    only = unmade.call("teachergrid", "plan", *CLUSTER, "--until", "finetune")
    assert only.returncode == 0 and "! the pilot of teachers is not among these jobs" in only.stdout


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["--deadline", "--max-gpu-hours"])
def test_the_plan_after_an_advised_cut_says_the_advised_number(unmade, limit):
    def alone(config):
        with_pilot(config)
        config["grids"]["teachers"]["pilot"] = None

    def spent(plan):
        return plan["schedule"]["seconds"] if limit == "--deadline" else plan["total"]["gpu_hours"]["expected"]

    cluster = ["--cluster", "h100=2,cpu=8"]
    unmade.edit(alone)
    bound = 0.8 * spent(document(unmade, *cluster))
    text = f"{bound / 3600:.6f}h" if limit == "--deadline" else f"{bound:.6f}"
    told = unmade.call("teachergrid", "plan", *cluster, limit, text).stderr
    cuts = re.findall(r"without (teacher|base) ([\w-]+): about (.*)", told)
    assert cuts
    for kind, name, number in cuts:
        unmade.edit(setting("grids", "teachers", "exclude", to=[{kind: name}]))
        after = document(unmade, *cluster)
        assert spent(after) <= bound
        assert number == budget.shown(limit[2:].replace("-", "_"), spent(after))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            "results/responses/seed__larg.parquet",
            "no job of the grid makes this file, did you mean 'results/responses/seed__large.parquet'?",
        ),
        ("results/none", "results/none: no job of the grid makes this file"),
        ("/etc/passwd", "the grid has no such cell; name a file in results/, or a cell as"),
        ("generate seed__larg", "the grid has no such cell, did you mean 'generate seed__large'?"),
    ],
)
def test_why_of_a_wrong_file(grid, what, told):
    done = grid.call("teachergrid", "why", what)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr and not done.stdout


def test_why_takes_any_output_of_a_job_however_its_path_is_written(grid):
    for path in ("./results/health/seed__large.passed", str(grid.folder / "results/health/seed__large.parquet")):
        done = grid.call("teachergrid", "why", path)
        assert done.returncode == 0 and done.stdout.endswith(": up to date\n"), done.stderr
