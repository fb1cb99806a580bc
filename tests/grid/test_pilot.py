"""A pilot's two phases as exact job sets of the real Snakemake, what it costs and how it is set up."""

import json
import shutil
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid import pilot
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.instructions import loading
from workspace import Grid, copy_code, jobs, setting

# in place of the pilot's script: which teachers it keeps stands in a file
CHOICE = """
import json
from teachergrid.job import context as job
from teachergrid.store import origin
with job.running(snakemake) as (settings, made_from):
    kept = json.load(open("choice.json"))
    origin.replace_text(snakemake.output.pilot, json.dumps({"bases": {b: {"kept": t} for b, t in kept.items()}, "origin": made_from}))
"""
ONE_EACH = {"q": ["large"], "w": ["small"]}


def exams(*models: str) -> set[str]:
    return jobs(
        *(f"{{answer,verify}} {model}/{{math,chat}}" for model in models), *(f"judge {m}/chat/wins" for m in models)
    )


def column(teacher: str) -> set[str]:
    """What a pilot asks of one teacher."""
    responses = f"seed.pilot2__{teacher}"
    return jobs(
        f"{{generate,check}} {responses}", f"likelihood {{q,w}}/{responses}", f"reward rm/{responses}", "pilot teachers"
    )


def students(base: str, teacher: str) -> set[str]:
    """What follows for a teacher that is kept for a base, its full set of responses aside."""
    student = f"{base}__seed__{teacher}__sft__s1"
    return jobs(f"likelihood {base}/seed__{teacher}", f"metric {base}/seed__{teacher}", f"finetune {student}") | exams(
        student
    )


def responses(teacher: str) -> set[str]:
    return jobs(f"{{generate,check,gate}} seed__{teacher}", f"reward rm/seed__{teacher}")


PHASE_ONE = jobs("load_instructions seed.pilot2") | column("small") | column("large")
SUMMARY = jobs("{correlate,report} teachers")
PHASE_TWO = (
    jobs("load_instructions seed")
    | responses("large")
    | responses("small")
    | students("q", "large")
    | students("w", "small")
    | exams("q-raw", "w-raw")
    | SUMMARY
)


def with_pilot(config):
    """The small grid's first block alone, without its derived corpus."""
    config["corpora"] = {}
    config["grids"].pop("instructions")
    config["grids"]["teachers"] |= {"corpora": [], "pilot": {"sample": 2, "by": ["car"], "keep": 1}}


def add_teacher(config):
    config["teachers"]["new"] = {"model": {"repo": "org/new", "revision": "sha256-9"}, "sampling": {"temperature": 1}}


def choose(grid: Grid, chosen: dict) -> None:
    (grid.folder / "choice.json").write_text(json.dumps(chosen))


# --- job sets of the real Snakemake


@pytest.fixture(scope="module")
def piloted(tmp_path_factory) -> Path:
    """The small grid with a pilot, both phases made."""
    folder = tmp_path_factory.mktemp("piloted")
    copy_code(folder)
    (folder / "workflow/scripts/pilot.py").write_text(CHOICE)
    grid = Grid(folder)
    grid.edit(with_pilot)
    choose(grid, ONE_EACH)
    assert grid.jobs() == PHASE_ONE
    grid.run()
    assert grid.jobs() == PHASE_TWO
    grid.run()
    return folder


@pytest.fixture
def grid(piloted, tmp_path) -> Grid:
    shutil.copytree(piloted, tmp_path / "grid", symlinks=True)
    return Grid(tmp_path / "grid")


@pytest.mark.slow
def test_nothing_is_left_after_two_calls(grid):
    assert grid.jobs() == set()


@pytest.mark.slow
def test_a_new_teacher_that_is_not_kept(grid):
    """Its pilot column and the summaries; no student of another teacher."""
    grid.edit(add_teacher)
    assert grid.jobs() == column("new")
    grid.run()
    assert grid.jobs() == SUMMARY
    grid.run()
    assert grid.jobs() == set()


@pytest.mark.slow
def test_a_new_teacher_that_is_kept_for_one_base(grid):
    grid.edit(add_teacher)
    choose(grid, {"q": ["new"], "w": ["small"]})
    grid.run()
    # the students of the teacher that it replaces stay on disk and in no table
    assert grid.jobs() == responses("new") | students("q", "new") | SUMMARY


@pytest.mark.slow
def test_a_changed_teacher_is_piloted_before_it_is_trained_on(grid):
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.5))
    assert grid.jobs() == column("large")
    grid.run()
    assert grid.jobs() == responses("large") | students("q", "large") | SUMMARY


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (setting("grids", "teachers", "pilot", "keep", to=1.0), set()),
        (setting("grids", "teachers", "pilot", "by", to=["length"]), jobs("pilot teachers")),
        (setting("grids", "teachers", "bootstrap", to=500), SUMMARY),
        (
            setting("grids", "teachers", "seeds", to=[1, 2]),
            jobs("finetune q__seed__large__sft__s2", "finetune w__seed__small__sft__s2")
            | exams("q__seed__large__sft__s2", "w__seed__small__sft__s2")
            | SUMMARY,
        ),
        (setting("models", "large", "gpus", to=8), set()),
    ],
    ids=["1.0 for 1", "ranked by another metric", "bootstrap", "a seed", "gpus"],
)
def test_reruns(grid, change, expected):
    grid.edit(change)
    assert grid.jobs() == expected


@pytest.mark.slow
def test_a_result_made_anew_does_not_disturb_the_jobs_of_its_run(grid):
    """The pilot runs again beside a job of phase two, and chooses others: that run ends with what it began with."""
    choose(grid, {"q": ["small"], "w": ["large"]})
    (grid.folder / "results/students/q__seed__large__sft__s1/student.json").unlink()
    grid.run("--forcerun", "pilot", "finetune")
    assert (grid.folder / "results/students/q__seed__large__sft__s1/student.json").exists()
    assert grid.jobs() == students("q", "small") | students("w", "large") | SUMMARY


@pytest.mark.slow
def test_one_command_runs_both_phases(tmp_path):
    copy_code(tmp_path)
    (tmp_path / "workflow/scripts/pilot.py").write_text(CHOICE)
    grid = Grid(tmp_path)
    grid.edit(with_pilot)
    choose(grid, ONE_EACH)
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0 and "the pilot of teachers has chosen teachers; continuing with them" in done.stderr
    assert grid.jobs() == set()
    summary = json.loads((tmp_path / "results/run.json").read_text())
    assert summary["restarts"] == 0 and set(summary["done"]) == PHASE_ONE | PHASE_TWO


# --- the expansion, without Snakemake


@pytest.fixture
def entries(small) -> dict:
    """The small grid's config with a pilot."""
    with_pilot(small)
    return small


def chose(cells: Cells, kept: dict) -> None:
    """Write a pilot's result as its job would."""
    bases = {base: {"kept": teachers} for base, teachers in kept.items()}
    file = pilot.path("results", "teachers")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"bases": bases, "origin": {"spec": cells.rows["pilot"]["teachers"]["spec"]}}))


def of(cells: Cells) -> set[str]:
    return {f"{rule} {cell}" for rule, rows in cells.rows.items() for cell in rows}


def test_the_phase_follows_from_the_result(entries):
    first = Cells(checked(entries))
    assert pilot.waiting(first) == ["teachers"] and first.chosen == {"teachers": None}
    # the gate's cell is there and no job asks for it: the pilot counts by itself what is over a limit
    assert of(first) == PHASE_ONE | jobs("gate seed.pilot2__{small,large}")
    chose(first, ONE_EACH)
    second = Cells(checked(entries))
    assert second.chosen == {"teachers": ONE_EACH} and pilot.waiting(second) == []
    assert of(second) == of(first) | PHASE_TWO


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (add_teacher, True),
        (setting("teachers", "large", "sampling", "temperature", to=0.5), True),
        (setting("rewards", "rm", "batch", to=8), True),
        (setting("bases", "w", "system", to="Be brief."), True),
        (setting("grids", "teachers", "pilot", "sample", to=3), True),
        (setting("grids", "teachers", "seeds", to=[1, 2]), False),
        (setting("models", "large", "gpus", to=8), False),
    ],
)
def test_a_result_is_stale_when_anything_it_rests_on_is_another(entries, change, stale):
    chose(Cells(checked(entries)), ONE_EACH)
    change(entries)
    assert pilot.waiting(Cells(checked(entries))) == (["teachers"] if stale else [])


def test_a_job_expands_what_its_run_settled_on(entries):
    run = Cells(checked(entries))
    pilot.save_choices("results", run.chosen)
    chose(run, ONE_EACH)
    assert of(Cells(checked(entries), pilot.saved_choices("results"))) == of(run)
    assert pilot.saved_choices("elsewhere") == {}


def test_a_report_over_what_exists_waits_for_no_pilot(entries):
    cells = Cells(checked(entries | {"partial": True}))
    assert pilot.waiting(cells) == [] and not cells.rows["report"]


def test_derived_corpora_stay_and_excluded_teachers_are_no_candidates(entries):
    entries["corpora"] = {"best": {"instructions": "seed", "teachers": ["small", "large"], "by": "car"}}
    entries["grids"]["teachers"] |= {"corpora": ["best"], "exclude": [{"base": "w", "teacher": "large"}]}
    cells = Cells(checked(entries))
    assert json.loads(cells.rows["pilot"]["teachers"]["spec"])["candidates"] == {
        "q": ["large", "small"],
        "w": ["small"],
    }
    assert "likelihood w/seed.pilot2__large" not in of(cells)
    chose(cells, {"q": ["small"], "w": ["small"]})
    found = Cells(checked(entries)).rows
    assert set(found["finetune"]) == {f"{b}__{c}__sft__s1" for b in "qw" for c in ("seed__small", "best")}


def test_savings_and_the_grid_that_knows_all(entries):
    entries["grids"]["whole"] = {k: v for k, v in entries["grids"]["teachers"].items() if k != "pilot"}
    entries["grids"]["other"] = entries["grids"]["whole"] | {"performance": ["chat/wins"]}
    entries["grids"]["part"] = entries["grids"]["whole"] | {"bases": ["q"]}
    chose(Cells(checked(entries)), {"q": ["small"], "w": ["small"]})
    report = Cells(checked(entries)).rows["report"]["teachers"]
    saved = {"students_kept": 2, "students_all": 4, "responses_kept": 1, "responses_all": 2}
    assert json.loads(report["spec"])["saved"] == saved
    assert report["complete"] == ["whole"] and report["pilots"] == ["teachers"]


def test_upper_bound(entries):
    """Of three teachers the largest for one base, the next for the other: each generates a full set, too."""
    add_teacher(entries)
    sizes = {"small": 2, "large": 70, "new": 8}
    entries["models"] |= {name: {"repo": name, "revision": "sha256-1", "parameters": n} for name, n in sizes.items()}
    entries["teachers"]["new"]["model"] = "new"
    cells = Cells(checked(entries))
    found = pilot.upper_bound(cells, cost=lambda rule, row: row["parameters"] * row["rows"])
    added = {f"{rule} {cell}" for rule, cell, _ in found}
    assert {name for name in added if name.startswith(("generate", "finetune"))} == jobs(
        "generate seed__{large,new}", "finetune q__seed__large__sft__s1", "finetune w__seed__new__sft__s1"
    )
    assert all({"spec", "rows"} <= row.keys() for rule, _, row in found if rule not in ("gate", "free"))
    chose(cells, {"q": ["small"], "w": ["small"]})
    later = Cells(checked(entries))
    assert pilot.upper_bound(later) == []
    assert len(later.rows["finetune"]) <= len(pilot.at_most(cells).rows["finetune"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 2}, "pilot.keep: 2 of 2 teachers drops none"),
        ({"by": ["cra"]}, "there is no 'cra', did you mean 'car'?"),
        ({"by": ["borrowed"]}, "'borrowed' (borrowed) has no value of a single response"),
        ({"sample": 1}, "config.grids.teachers.pilot.sample: 1 is less than the minimum of 2"),
        ({"rungs": 3}, "unknown key 'rungs'"),
    ],
)
def test_errors(entries, change, message):
    entries["grids"]["teachers"]["pilot"] |= change
    with pytest.raises(BadInput) as error:
        checked(entries)
    assert message in str(error.value)


def test_errors_of_the_block(entries):
    for change, message in (
        (setting("instructions", "seed", "sample", to=2), "config.instructions.seed has only 2 instructions"),
        (setting("grids", "teachers", "compare", to="recipe"), "it needs `compare: teacher` and recipes"),
        (setting("instructions", "seed.pilot2", to={"source": "config/seed.jsonl"}), "a pilot needs this name"),
    ):
        config = json.loads(json.dumps(entries))
        change(config)
        with pytest.raises(BadInput, match=message):
            checked(config)


@pytest.mark.parametrize("sample", [None, 20])
def test_the_sample_is_part_of_the_full_set(entries, sample, capsys):
    Path("pool.jsonl").write_text("".join(f'{{"instruction": "number {i}"}}\n' for i in range(50)))
    entries["instructions"]["seed"] = {"source": "pool.jsonl", **({"sample": sample} if sample else {})}
    sets = checked(entries)["instructions"]
    whole, drawn = (loading.load("pool.jsonl", sets[name], name)["id"].to_pylist() for name in ("seed", "seed.pilot2"))
    assert len(whole) == (sample or 50) and len(drawn) == 2 and set(drawn) <= set(whole)
