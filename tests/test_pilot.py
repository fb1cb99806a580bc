"""A pilot's two phases as exact job sets of the real Snakemake, what it chooses and how sure that is, and what it costs."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import report_data
import yaml
from conftest import ROOT, SMALL, Grid, copy_code, jobs, setting
from teachergrid import artifacts, instructions, pilot, pilot_ranking
from teachergrid.config import checked
from teachergrid.errors import BadInput
from teachergrid.grid import Cells
from teachergrid.planning import pilot_study
from teachergrid.report import page, read

PUBLISHED = ROOT.parent / "shared/facts/car_tables.csv"
# in place of the pilot's script: which teachers it keeps stands in a file
CHOICE = """
import json
from teachergrid import job, origin
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
    assert done.returncode == 0 and "the pilot of teachers has chosen: on with it" in done.stderr
    assert grid.jobs() == set()
    summary = json.loads((tmp_path / "results/run.json").read_text())
    assert summary["restarts"] == 0 and set(summary["done"]) == PHASE_ONE | PHASE_TWO


# --- the expansion, without Snakemake


@pytest.fixture
def small(tmp_path, monkeypatch) -> dict:
    """The small grid's config with a pilot, in a folder with its files."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SMALL, "config")
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    with_pilot(config)
    return config


def chose(cells: Cells, kept: dict) -> None:
    """Write a pilot's result as its job would."""
    bases = {base: {"kept": teachers} for base, teachers in kept.items()}
    file = pilot.path("results", "teachers")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"bases": bases, "origin": {"spec": cells.rows["pilot"]["teachers"]["spec"]}}))


def of(cells: Cells) -> set[str]:
    return {f"{rule} {cell}" for rule, rows in cells.rows.items() for cell in rows}


def test_the_phase_follows_from_the_result(small):
    first = Cells(checked(small))
    assert pilot.waiting(first) == ["teachers"] and first.chosen == {"teachers": None}
    # the gate's cell is there and no job asks for it: the pilot counts by itself what is over a limit
    assert of(first) == PHASE_ONE | jobs("gate seed.pilot2__{small,large}")
    chose(first, ONE_EACH)
    second = Cells(checked(small))
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
def test_a_result_is_stale_when_anything_it_rests_on_is_another(small, change, stale):
    chose(Cells(checked(small)), ONE_EACH)
    change(small)
    assert pilot.waiting(Cells(checked(small))) == (["teachers"] if stale else [])


def test_a_job_expands_what_its_run_settled_on(small):
    run = Cells(checked(small))
    pilot.settle("results", run.chosen)
    chose(run, ONE_EACH)
    assert of(Cells(checked(small), pilot.settled("results"))) == of(run)
    assert pilot.settled("elsewhere") == {}


def test_a_report_over_what_exists_waits_for_no_pilot(small):
    cells = Cells(checked(small | {"partial": True}))
    assert pilot.waiting(cells) == [] and not cells.rows["report"]


def test_derived_corpora_stay_and_excluded_teachers_are_no_candidates(small):
    small["corpora"] = {"best": {"instructions": "seed", "teachers": ["small", "large"], "by": "car"}}
    small["grids"]["teachers"] |= {"corpora": ["best"], "exclude": [{"base": "w", "teacher": "large"}]}
    cells = Cells(checked(small))
    assert json.loads(cells.rows["pilot"]["teachers"]["spec"])["candidates"] == {
        "q": ["large", "small"],
        "w": ["small"],
    }
    assert "likelihood w/seed.pilot2__large" not in of(cells)
    chose(cells, {"q": ["small"], "w": ["small"]})
    found = Cells(checked(small)).rows
    assert set(found["finetune"]) == {f"{b}__{c}__sft__s1" for b in "qw" for c in ("seed__small", "best")}


def test_savings_and_the_grid_that_knows_all(small):
    small["grids"]["whole"] = {k: v for k, v in small["grids"]["teachers"].items() if k != "pilot"}
    small["grids"]["other"] = small["grids"]["whole"] | {"performance": ["chat/wins"]}
    small["grids"]["part"] = small["grids"]["whole"] | {"bases": ["q"]}
    chose(Cells(checked(small)), {"q": ["small"], "w": ["small"]})
    report = Cells(checked(small)).rows["report"]["teachers"]
    saved = {"students_kept": 2, "students_all": 4, "responses_kept": 1, "responses_all": 2}
    assert json.loads(report["spec"])["saved"] == saved
    assert report["complete"] == ["whole"] and report["pilots"] == ["teachers"]


def test_upper_bound(small):
    """Of three teachers the largest for one base, the next for the other: each generates a full set, too."""
    add_teacher(small)
    sizes = {"small": 2, "large": 70, "new": 8}
    small["models"] |= {name: {"repo": name, "revision": "sha256-1", "parameters": n} for name, n in sizes.items()}
    small["teachers"]["new"]["model"] = "new"
    cells = Cells(checked(small))
    found = pilot.upper_bound(cells, cost=lambda rule, row: row["parameters"] * row["rows"])
    added = {f"{rule} {cell}" for rule, cell, _ in found}
    assert {name for name in added if name.startswith(("generate", "finetune"))} == jobs(
        "generate seed__{large,new}", "finetune q__seed__large__sft__s1", "finetune w__seed__new__sft__s1"
    )
    assert all({"spec", "rows"} <= row.keys() for rule, _, row in found if rule not in ("gate", "free"))
    chose(cells, {"q": ["small"], "w": ["small"]})
    later = Cells(checked(small))
    assert pilot.upper_bound(later) == []
    assert len(later.rows["finetune"]) <= len(pilot.at_most(cells).rows["finetune"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 2}, "pilot.keep: 2 of 2 teachers leaves none out"),
        ({"by": ["cra"]}, "there is no 'cra', did you mean 'car'?"),
        ({"by": ["borrowed"]}, "'borrowed' (borrowed) has no value of a single response"),
        ({"sample": 1}, "config.grids.teachers.pilot.sample: 1 is less than the minimum of 2"),
        ({"rungs": 3}, "unknown key 'rungs'"),
    ],
)
def test_errors(small, change, message):
    small["grids"]["teachers"]["pilot"] |= change
    with pytest.raises(BadInput) as error:
        checked(small)
    assert message in str(error.value)


def test_errors_of_the_block(small):
    for change, message in (
        (setting("instructions", "seed", "sample", to=2), "config.instructions.seed has 2 instructions"),
        (setting("grids", "teachers", "compare", to="recipe"), "it needs `compare: teacher` and recipes"),
        (setting("instructions", "seed.pilot2", to={"source": "config/seed.jsonl"}), "this name is taken by a pilot"),
    ):
        config = json.loads(json.dumps(small))
        change(config)
        with pytest.raises(BadInput, match=message):
            checked(config)


@pytest.mark.parametrize("sample", [None, 20])
def test_the_sample_is_part_of_the_full_set(small, sample, capsys):
    Path("pool.jsonl").write_text("".join(f'{{"instruction": "number {i}"}}\n' for i in range(50)))
    small["instructions"]["seed"] = {"source": "pool.jsonl", **({"sample": sample} if sample else {})}
    sets = checked(small)["instructions"]
    whole, drawn = (
        instructions.load("pool.jsonl", sets[name], name)["id"].to_pylist() for name in ("seed", "seed.pilot2")
    )
    assert len(whole) == (sample or 50) and len(drawn) == 2 and set(drawn) <= set(whole)


# --- the ranking


REWARD = {"formula": "reward_mean", "beta": [1]}
LOSS = {"formula": "nll_mean", "beta": [1]}


def sums(**teachers) -> dict:
    """{teacher: rewards of instructions 0, 1 ...; None where there is no response} as pilot_ranking.summed returns them."""
    found = {}
    for teacher, values in teachers.items():
        own = [(i, v) for i, v in enumerate(values) if v is not None]
        found[teacher] = np.array([str(i) for i, _ in own]), {"r": np.array([[v, 1] for _, v in own], float)}
    return found


def test_ranking_by_hand():
    """a is above b on every instruction, so in every draw; c has b's values in another order, and is above or below by luck."""
    b = [0, 1, 2, 3] * 25
    found = pilot_ranking.ranking({"r": REWARD}, sums(b=b, c=b[::-1], a=[v + 1 for v in b]), 2, {}, seed=0)
    a, *others = found["teachers"]
    assert (a["teacher"], a["rank"], a["rank_low"], a["rank_high"], a["p_best"], a["p_kept"]) == ("a", 1, 1, 1, 1, 1)
    assert a["metrics"]["r"]["value"] == 2.5 and a["metrics"]["r"]["n"] == 100
    # the mean's standard error is sd / sqrt(n) = 1.118 / 10
    assert a["metrics"]["r"]["low"] == pytest.approx(2.5 - 1.96 * 0.1118, abs=0.02)
    assert [row["rank"] for row in others] == [2.5, 2.5]
    assert [row["p_kept"] for row in others] == pytest.approx([0.5, 0.5], abs=0.04)
    assert found["kept"] == ["a", "b"] and found["p_best_kept"] == 1


def test_lower_is_better_where_the_formula_says_so():
    found = pilot_ranking.ranking({"r": LOSS}, sums(a=[1, 1], b=[2, 2]), 1, {}, seed=0)
    assert found["kept"] == ["a"] and found["teachers"][0]["metrics"]["r"]["value"] == 1


def test_who_cannot_be_ranked_is_last_with_its_reason():
    found = pilot_ranking.ranking(
        {"r": REWARD | {"formula": "car_mean"}} | {"s": REWARD},
        {
            # mean reward, mean loss, count: CAR of a negative reward is undefined
            name: (np.array(["0", "1"]), {"r": np.array([[r, 1, 1]] * 2, float), "s": np.array([[r, 1]] * 2, float)})
            for name, r in (("low", 1), ("negative", -1), ("high", 2), ("broken", 3))
        },
        keep=3,
        stopped={"broken": "gated: empty 50 %"},
        seed=0,
    )
    assert found["kept"] == ["high", "low"]
    assert {row["teacher"]: row["reason"] for row in found["teachers"][2:]} == {
        "broken": "gated: empty 50 %",
        "negative": "r has no value",
    }
    assert all(row["rank"] is None and row["p_kept"] is None for row in found["teachers"][2:])


def test_several_metrics_count_by_mean_rank():
    both = {
        name: (np.array(["0"]), {"r": np.array([[r, 1.0]]), "s": np.array([[s, 1.0]])})
        for name, (r, s) in {"a": (3, 1), "b": (2, 2), "c": (1, 2)}.items()
    }
    found = pilot_ranking.ranking({"r": REWARD, "s": REWARD}, both, 1, {}, seed=0)
    # ranks by r 1, 2, 3 and by s 3, 1.5, 1.5: means 2, 1.75, 2.25
    assert [row["teacher"] for row in found["teachers"]] == ["b", "a", "c"]


def performance(base: str, **ap) -> list[dict]:
    return [
        {
            "kind": "student",
            "measure": "AP",
            "base": base,
            "panel": "p",
            "teacher": teacher,
            "value": value,
            "reason": None,
        }
        for teacher, value in ap.items()
    ]


def test_regret():
    found = {"bases": {base: {"kept": ["b"]} for base in "qwz"}}
    known = performance("q", a=40.0, b=37.5, c=1.0) + performance("w", a=1.0, b=2.0, c=0.0)
    known.append(known[0] | {"teacher": "d", "value": None, "reason": "gated: empty"})
    first, second = pilot_ranking.regret(found, [*known, *performance("z", a=1.0, b=None, c=1.0)])
    assert (first["base"], first["best"], first["best_kept"], first["regret"]) == ("q", "a", "b", 2.5)
    assert (second["base"], second["best"], second["regret"]) == ("w", "b", 0)


def test_what_a_report_reads(tmp_path):
    """The pilot of its grid, with what it lost by the table of the grid that trained all."""
    found = {"bases": {"bs": {"kept": ["steps-s"]}}}
    (tmp_path / "pilot.json").write_text(json.dumps(found))
    rows = report_data.grid()["performance"]
    artifacts.write(tmp_path / "performance.parquet", rows, artifacts.PERFORMANCE, None)
    given = SimpleNamespace(pilots=[tmp_path / "pilot.json"], complete=[])
    assert read.pilot(given, {"saved": {"students_kept": 1}}) == found | {"saved": {"students_kept": 1}, "regret": None}
    given.complete = [tmp_path / "performance.parquet"]
    ap = {r["teacher"]: r.get("value") for r in rows if (r["measure"], r["kind"], r["base"]) == ("AP", "student", "bs")}
    (row,) = read.pilot(given, {"saved": {}})["regret"]
    assert row["regret"] == ap["steps-l"] - ap["steps-s"] > 0 and row["best"] == "steps-l"
    assert read.pilot(SimpleNamespace(pilots=[], complete=[]), {}) is None


def test_report():
    rows = [
        {
            "teacher": "steps-l",
            "rank": 1.0,
            "rank_low": 1.0,
            "rank_high": 2.0,
            "p_best": 0.9,
            "p_kept": 0.97,
            "kept": True,
        },
        {"teacher": "steps-s", **dict.fromkeys(("rank", "rank_low", "rank_high", "p_best", "p_kept")), "kept": False},
    ]
    values = {"car": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}}
    rows = [row | {"metrics": values, "reason": None if row["kept"] else "gated: empty"} for row in rows]
    lost = {"base": "bs", "panel": "p", "best": "steps-s", "value": 45, "best_kept": "steps-l", "kept_value": 43.75}
    found = {
        "sample": 300,
        "by": ["car"],
        "keep": 1,
        "bases": {"bs": {"kept": ["steps-l"], "p_best_kept": 0.97, "teachers": rows}},
        "saved": {"students_kept": 2, "students_all": 16, "responses_kept": 1, "responses_all": 8},
        "regret": [lost | {"regret": 1.25}],
    }
    data = report_data.grid(bases=("bs",), teachers=("steps-l", "steps-s"), seeds=(1,))
    text = " ".join(page.build(data | {"pilot": found}).split())
    for words in (
        "14 of 16 students",
        "7 of 8 full sets of responses",
        "1.0 [1.0, 2.0]",
        "0.500 [0.400, 0.600]",
        "gated: empty",
        "<strong>1.25 points</strong>; steps-s (45.0) was left out, the best of the kept is steps-l (43.8)",
    ):
        assert words in text
    assert "no grid of this config trains all" in page.build(data | {"pilot": found | {"regret": None}})
    assert 'id="pilot"' not in page.build(data)


# --- published tables


def test_lost_by_hand():
    ap = [5.0, 4.0, 1.0]
    assert pilot_study.lost(ap, [1, 2, 3], 1) == 4 and pilot_study.lost(ap, [1, 2, 3], 2) == 1
    # one of the two that tie for the last place, each as often
    assert pilot_study.lost(ap, [1, 1, 3], 2) == 0.5


def test_drawn_rankings_have_the_published_correlation():
    orders = pilot_study.rankings(19, 0.8842, seed=0)
    places = np.argsort(orders, axis=1)
    rhos = 1 - 6 * ((places - np.arange(19)) ** 2).sum(1) / (19 * (19 * 19 - 1))
    assert len(orders) == pilot_study.DRAWS and np.abs(rhos - 0.8842).max() <= pilot_study.TOLERANCE + 1e-12


def test_published_tables():
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED} is not beside the checkout")
    with PUBLISHED.open(newline="") as file:
        found = pilot_study.study(list(csv.DictReader(file)))
    mean = {
        (row["metric"], row["k"]): np.mean([r["lost"] for r in found if r["kind"] == row["kind"] and same(r, row)])
        for row in found
        if row["kind"] == "computed"
    }
    # the largest is always Llama-3.1-405B (6.28); the first three hold Qwen2.5-72B (0.52), and so do five
    assert [round(mean["size", k], 2) for k in (1, 3, 5)] == [6.28, 0.52, 0.52]
    # a borrowed ranking misses the bases whose own instruct version is the best teacher, by 1.19 and 0.99 points
    assert mean["borrowed", 5] == pytest.approx((12.915 - 11.725 + 19.795 - 18.805) / 5)
    assert len({row["metric"] for row in found if row["kind"] == "simulated"}) == 9 + 2
    print("\n".join(pilot_study.lines(found)))


def same(one: dict, other: dict) -> bool:
    return (one["metric"], one["k"]) == (other["metric"], other["k"])
