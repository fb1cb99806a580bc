"""What reruns where results are shared, moved, borrowed, interrupted, or made by other code: exact job sets on the small grid."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from expected_jobs import (
    ALL_REPORTS,
    INSTRUCTIONS,
    LARGE,
    METRICS,
    REPORT,
    SWAPPED,
    add_instructions,
    add_teacher,
    column,
    reasons,
)
from teachergrid.job import fingerprint
from teachergrid.store import lock, origin
from teachergrid.store.job_index import INDEX
from workspace import ENV, Grid, copy_code, jobs, setting

GENERATED = jobs("generate {seed__small,seed__large,evolved__small}")
# of a colleague's results all but logs, records and the grids' own tables
KINDS = [
    "instructions",
    "responses",
    "health",
    "rewards",
    "likelihoods",
    "corpora",
    "students",
    "answers",
    "scores",
    "metrics",
]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in sorted(folder.rglob("*"))}


# --- cost and place


def test_devices_partitions_walltime_and_profile(grid):
    """What a job costs and where it runs is no part of what it makes; keeping less deletes weights and trains nothing."""

    def other_machine(config):
        for model in config["models"].values():
            model |= {"gpus": 8, "gpu_model": "h100"}
        config["recipes"]["sft"] |= {"gpus": 4, "nodes": 2, "deepspeed": "zero3", "keep": "none"}

    grid.edit(other_machine)
    asked = ["generate:runtime=7", "generate:slurm_partition=other", "finetune:mem_mb=9000"]
    planned = grid.jobs("--workflow-profile", "slurm", "--set-resources", *asked)
    assert planned == jobs("free {q,w}__{seed__small,seed__large,best}__sft__s1", "free q__evolved__small__sft__s1")


@pytest.mark.slow
def test_a_fresh_git_checkout_over_existing_results(grid, tmp_path):
    """A checkout gives every file the present time, in place and in a new clone that the results are moved into."""

    def git(*argv, folder=grid.folder):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, *argv], cwd=folder, check=True, capture_output=True)

    (grid.folder / ".gitignore").write_text("results\n.snakemake\n")
    for argv in (["init"], ["add", "."], ["commit", "-m", "all"]):
        git(*argv)
    for part in ("Snakefile", "workflow", "config", "profiles"):
        path = grid.folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    git("checkout", ".")
    assert grid.jobs() == set()
    git("clone", str(grid.folder), str(tmp_path / "clone"))
    shutil.move(grid.folder / "results", tmp_path / "clone/results")
    assert Grid(tmp_path / "clone").jobs() == set()


@pytest.mark.slow
def test_results_on_another_disk(grid, tmp_path):
    """Moved with new times and a link left in their place; what is made later lies there, too."""
    disk = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    place = disk / f"teachergrid-{os.getpid()}"
    try:
        subprocess.run(["cp", "-r", grid.folder / "results", place], check=True)
        shutil.rmtree(grid.folder / "results")
        (grid.folder / "results").symlink_to(place)
        assert grid.jobs() == set()
        grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
        assert grid.jobs() == LARGE
        grid.run("--until", "generate")
        assert grid.jobs() == LARGE - jobs("generate seed__large")
    finally:
        shutil.rmtree(place)


# --- a colleague's results


@pytest.fixture
def mate(made, tmp_path) -> Path:
    """The made grid's results as another's: nothing in them may change."""
    folder = tmp_path / "mate"
    shutil.copytree(made / "results", folder)
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def borrowing(folder: Path, mate: Path, kinds=KINDS) -> Grid:
    """Return a new checkout whose results link to a colleague's files, as the documentation says."""
    copy_code(folder)
    (folder / "results").mkdir()
    links = ["cp", "-rsn", "--no-preserve=mode", *(str(mate / kind) for kind in kinds), "results/"]
    subprocess.run(links, cwd=folder, check=True)
    return Grid(folder)


def test_a_colleagues_results(mate, tmp_path):
    """All that fits is taken as it is; what another setting asks for is planned, and not what is beside it."""
    grid = borrowing(tmp_path / "mine", mate)
    before = times(mate)
    assert grid.jobs() == ALL_REPORTS
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    assert grid.jobs() == LARGE | ALL_REPORTS
    assert times(mate) == before


@pytest.mark.slow
def test_a_part_of_a_colleagues_results(mate, tmp_path):
    """His teachers' responses and their scores for one base; everything else is made here."""
    grid = borrowing(tmp_path / "mine", mate, ["instructions", "responses", "health", "rewards"])
    everything = grid.jobs("--forceall")
    taken = GENERATED | jobs("load_instructions {seed,evolved}", "reward rm/{seed__small,seed__large,evolved__small}")
    taken |= jobs("{check,gate} {seed__small,seed__large,evolved__small}")
    assert taken < everything and grid.jobs() == everything - taken


@pytest.mark.slow
def test_a_colleagues_files_are_never_written(mate, tmp_path):
    """Where a cell is made again its link gives way to a file; root, who may write anywhere, has not."""
    grid = borrowing(tmp_path / "mine", mate)
    before = times(mate), content(mate)
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    grid.run()
    assert grid.jobs() == set()
    assert (times(mate), content(mate)) == before
    large, small = (grid.folder / f"results/responses/seed__{name}.parquet" for name in ("large", "small"))
    assert small.is_symlink() and not large.is_symlink()


@pytest.mark.slow
def test_a_colleague_who_goes(mate, tmp_path):
    """A link to a file that is gone is a missing file; a linked folder is looked into."""
    grid = borrowing(tmp_path / "mine", mate, [kind for kind in KINDS if kind != "rewards"])
    (grid.folder / "results/rewards").symlink_to(mate / "rewards")
    answers = grid.folder / "results/answers/q-raw/math.parquet"
    answers.unlink()
    answers.symlink_to(tmp_path / "gone.parquet")
    assert grid.jobs() == jobs("{answer,verify} q-raw/math") | ALL_REPORTS
    grid.edit(setting("rewards", "rm", "batch", to=3))
    assert jobs("reward rm/{seed__small,seed__large,evolved__small}") <= grid.jobs()


# --- without history


def test_unknown_origins_are_said(grid):
    shutil.rmtree(grid.folder / "results/.history")
    (grid.folder / "results/corpora/best/w.parquet.origin").unlink()
    damaged = grid.folder / "results/scores/w__best__sft__s1/math/verify.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    why = reasons(grid)
    assert why["select best/w"] == ["origin unknown", ["the output does not record what it was made from"]]
    assert set(why) == jobs("select best/w", "finetune w__best__sft__s1", "metric w/best") | exams_of_best() | REPORT


def exams_of_best() -> set[str]:
    return jobs("{answer,verify} w__best__sft__s1/{math,chat}", "judge w__best__sft__s1/chat/wins")


# --- code


def fix(grid, rule: str) -> None:
    """Change what a rule's script does, and its rows."""
    grid.replace(f"workflow/scripts/{rule}.py", "for i in range(3)]", "for i in range(4)][:3][::-1]")


def comment(grid, *names: str) -> None:
    for name in names:
        path = grid.folder / f"workflow/scripts/{name}.py"
        path.write_text("# a comment\n" + path.read_text().replace('"""', '"""Other words. ', 1))


def test_a_fixed_bug_in_a_cheap_stage(grid):
    """It is made again by itself, with what follows; comments and docstrings beside it are not seen."""
    fix(grid, "metric")
    comment(grid, "verify", "report", "teachergrid/store/origin")
    why = reasons(grid)
    assert set(why) == METRICS | ALL_REPORTS
    assert why["metric q/best"] == ["code changed", ["its code changed"]]
    assert why["correlate teachers"][0] == "follows"


@pytest.mark.slow
def test_a_fixed_bug_in_a_gpu_stage(grid):
    """Nothing is made again by itself; the plan says what older code has made and how to make it again."""
    fix(grid, "generate")
    comment(grid, "finetune")
    assert grid.jobs() == set()
    once = "teachergrid run -R generate --until generate && teachergrid run"
    assert older(grid).split(": ") == ["      3 of 3 generate", once]
    why = grid.call("teachergrid", "why", "results/responses/seed__large.parquet").stdout.splitlines()
    assert why[0] == "results/responses/seed__large.parquet: up to date" and why[1].startswith("  made by older code")


def older(grid) -> str:
    """Return what the plan says about the one rule whose results older code has made."""
    lines = grid.call("teachergrid", "plan").stdout.splitlines()
    (at,) = [n for n, line in enumerate(lines) if line.startswith("made by older code, and reused")]
    return lines[at + 1]


@pytest.mark.slow
def test_the_command_makes_these_again_and_then_what_follows(grid):
    """The command as printed, first half: it makes the three responses; then what reads them is planned, for they changed."""
    fix(grid, "generate")
    first = older(grid).split(": ")[1].split(" && ")[0].split()
    assert grid.call(*first).returncode == 0
    follows = column("small") | LARGE | INSTRUCTIONS_OF_SMALL
    assert grid.jobs() == (follows | ALL_REPORTS) - GENERATED
    assert "older code" not in grid.call("teachergrid", "plan").stdout


INSTRUCTIONS_OF_SMALL = {job.replace("more__", "evolved__") for job in INSTRUCTIONS if "more__" in job}


@pytest.mark.slow
def test_made_again_with_the_same_rows(grid):
    """Other code, the same bytes: nothing follows. One file at a time, the rest stays listed, by files of its own."""
    for rule in ("finetune", "answer"):
        grid.replace(f"workflow/scripts/{rule}.py", "BESIDE = (", "BESIDE = OTHERS = (")
    student = "results/students/q__best__sft__s1/student.json"
    why = grid.call("teachergrid", "why", student).stdout
    command = re.search(r"again: (.*) &&", why)[1]
    assert command == f"teachergrid run -R {student} --until finetune"
    assert grid.call(*command.split()).returncode == 0
    assert grid.jobs() == set()
    page = grid.call("teachergrid", "plan").stdout
    assert "6 of 7 finetune: teachergrid run -R $(teachergrid plan --older finetune) --until finetune" in page
    older = grid.call("teachergrid", "plan", "--older", "finetune").stdout.split()
    assert len(older) == 6 and student not in older and all(Path(grid.folder, path).exists() for path in older)


def without_code(text: str) -> str:
    """Return an origin as it was before specs held the code of cheap rules."""
    made_from = json.loads(text)
    spec = json.loads(made_from["spec"])
    spec.pop("code", None)
    return origin.text({**made_from, "spec": json.dumps(spec, sort_keys=True, ensure_ascii=False)})


@pytest.mark.slow
def test_results_of_before_code_was_recorded(grid):
    """Cheap stages are made once more, everything else is kept and said to be unknown."""
    shutil.rmtree(grid.folder / "results" / INDEX)
    for path in (grid.folder / "results").rglob("*.origin"):
        path.write_text(without_code(path.read_text()))
    for path in (grid.folder / "results").rglob("*.parquet"):
        table = pq.read_table(path)
        if made_from := (table.schema.metadata or {}).get(origin.KEY):
            text = without_code(made_from.decode())
            if text != made_from.decode():
                pq.write_table(table.replace_schema_metadata({origin.KEY: text}), path)
    why = reasons(grid)
    # no language model judges in this grid
    assert {job.split()[0] for job in why} == set(fingerprint.CHEAP) - {"score"}
    assert why["metric q/best"] == ["code changed", ["its code was not recorded"]]
    page = grid.call("teachergrid", "plan").stdout
    assert "made by unrecorded code: 17 answer" in page and "older code" not in page


# --- two runs, and runs that end in between


def started(grid, *argv: str) -> subprocess.Popen:
    """Start a command in a process group of its own."""
    argv = [sys.executable, "-m", *argv]
    return subprocess.Popen(
        argv, cwd=grid.folder, env=ENV, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def ended(run: subprocess.Popen) -> None:
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def wait_for(path: Path, run: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def hang_at_each_rule(grid) -> None:
    """Let the first job of every rule say so, write half of its first output, and hang; the second try goes through."""
    hang = """
        mark = Path("hung", snakemake.rule)
        if mark.parent.is_dir() and not mark.exists():
            Path(snakemake.output[0]).write_text("half")
            mark.touch()
            import time; time.sleep(600)
        with Path("journal").open("a") as journal:
            journal.write(" ".join([snakemake.rule, "/".join(snakemake.wildcards)]) + "\\n")
"""
    place = "        rule, table = snakemake.rule"
    for script in (grid.folder / "workflow/scripts").glob("*.py"):
        grid.replace(f"workflow/scripts/{script.name}", place, hang.lstrip("\n") + place)


@pytest.mark.slow
def test_two_runs_at_once(grid, tmp_path):
    """From one checkout and from another that shares the results: the second names the first and makes nothing."""
    grid.edit(setting("recipes", "sft", to=SWAPPED))
    hang_at_each_rule(grid)
    (grid.folder / "hung").mkdir()
    other = Grid(tmp_path / "other")
    copy_code(other.folder)
    shutil.copy2(grid.folder / "config/config.yaml", other.folder / "config")
    (other.folder / "results").symlink_to(grid.folder / "results")
    # one job at a time, and the first one hangs: a file that comes or goes while a graph is built would end it otherwise
    run = started(grid, "teachergrid", "run", "--cores", "1")
    try:
        while not any((grid.folder / "hung").iterdir()):
            assert run.poll() is None
            time.sleep(0.05)
        owner = lock.holder(str(grid.folder / "results"))
        for second in (grid, other):
            done = second.call("teachergrid", "run")
            assert done.returncode == 2, done.stderr
            assert f"another run works on these results (process {owner['pid']}" in done.stderr
        # Snakemake alone: its own lock within a checkout, ours between two
        assert "LockException" in grid.run(ok=False)
        assert "wait for it or stop it" in other.run(ok=False)
        # which a dry run beside a live one says, too, before a file of that one can end it
        dry = other.call("snakemake", "-n")
        assert f"another run works on these results (process {owner['pid']}" in dry.stderr
        assert not (other.folder / "journal").exists() and lock.holder(str(grid.folder / "results")) == owner
    finally:
        ended(run)


@pytest.mark.slow
def test_a_kill_in_every_stage(grid, made, tmp_path):
    """kill -9 within the first job of each rule: the next plan is what was not finished, and at the end all is the same."""

    def change(config):
        add_instructions(config)
        add_teacher(config)
        config["teachers"]["large"]["sampling"]["temperature"] = 0.2

    todo = INSTRUCTIONS | column("new") | LARGE | ALL_REPORTS
    undisturbed = Grid(Path(shutil.copytree(grid.folder, tmp_path / "undisturbed", symlinks=True)))
    for one in (undisturbed, grid):
        one.edit(change)
        hang_at_each_rule(one)
    cheap = {job for job in grid.jobs() if job.split()[0] in fingerprint.CHEAP}
    assert grid.jobs() == todo | cheap
    undisturbed.run()
    (grid.folder / "hung").mkdir()
    journal = grid.folder / "journal"
    journal.touch()
    rules = {job.split()[0] for job in todo}
    for n in range(len(rules)):
        run = started(grid, "snakemake", "--cores", "1", "--quiet", "all")
        deadline = time.monotonic() + 300
        while len(list((grid.folder / "hung").iterdir())) <= n:
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        ended(run)
        for job in lock.orphaned_jobs(str(grid.folder)):
            os.kill(job, signal.SIGKILL)
        grid.run("--unlock")
        assert grid.jobs() == (todo | cheap) - set(journal.read_text().splitlines())
    assert {path.name for path in (grid.folder / "hung").iterdir()} == rules
    grid.run()
    assert grid.jobs() == set()
    finished = journal.read_text().splitlines()
    assert len(finished) == len(set(finished)) == len(todo | cheap), "no job was made twice"
    results = [
        {k: v for k, v in content(g.folder / "results").items() if k.endswith(".parquet")} for g in (grid, undisturbed)
    ]
    assert results[0] == results[1]
