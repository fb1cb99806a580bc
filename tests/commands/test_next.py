"""What `teachergrid next` proposes, from the tables of a grid and what jobs took."""

import json

import pytest
import yaml
from known_grid import SIX, SIX_REWARD, World
from teachergrid.__main__ import call
from teachergrid.commands import next as next_cells
from teachergrid.commands.next import Hours
from teachergrid.store import artifacts


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A grid of one seed, whose students of b2 took ten times as long."""
    monkeypatch.chdir(tmp_path)
    right = {base: {name: seeds[:1] for name, seeds in row.items()} for base, row in SIX.items()}
    found = World(right, reward=SIX_REWARD).summary()
    for number, row in enumerate(row for row in found.effects if row["effect"] == "next"):
        row["value"] = 0.1 * number  # the first is not worth a run
    folder = tmp_path / "results/grids/first"
    folder.mkdir(parents=True)
    (folder / "recommendation.yaml").write_text(yaml.safe_dump(found.recommendation))
    artifacts.write(folder / "effects.parquet", found.effects, artifacts.EFFECTS, {})
    artifacts.write(folder / "performance.parquet", found.performance, artifacts.PERFORMANCE, {})
    return found


STUDENTS = {(base, f"pool__{unit}", "sft"): 1.0 if base == "b1" else 10.0 for base in SIX for unit in SIX["b1"]}
HOURS = Hours(
    STUDENTS, {name: took / 5 for name, took in STUDENTS.items()}, {f"pool__{unit}": 2.0 for unit in SIX["b1"]}
)


def listed(monkeypatch, capsys, hours=HOURS, most=40):
    monkeypatch.setattr(next_cells, "hours_of_jobs", lambda: hours)
    assert call(["next", "--json", "--most", str(most)]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_lists_what_gains_most_for_its_hours(results, monkeypatch, capsys):
    found = listed(monkeypatch, capsys, most=3)["proposals"]
    rates = [one["gain"] / one["hours"] for one in found]
    assert rates == sorted(rates, reverse=True) and len(found) == 3
    assert call(["next", "--most", "40"]) == 0
    said = capsys.readouterr().out
    first = next(one["cell"] for one in found if one["cell"])
    assert f"- {{base: {first['base']}, corpus: {first['corpus']}, recipe: sft, seed: {first['seed']}}}" in said
    assert "grids.first" in said and "assumes 1 point" in said


def test_a_teacher_and_items_are_weighed_by_what_they_take(results, monkeypatch, capsys):
    found = {one["what"]: one for one in listed(monkeypatch, capsys)["proposals"]}
    after = {(r["base"], r["subject"], r["other"]): r["value"] for r in results.effects if r["effect"] == "after"}
    teacher = found["one more teacher, on all bases"]
    gains = [after[base, "one more teacher", "best"] - after[base, "now", "best"] for base in SIX]
    assert teacher["gain"] == pytest.approx(sum(gains)) and teacher["cell"] is None
    assert teacher["hours"] == pytest.approx(2 + 1 + 10)  # its responses, and a student of each base
    items = found["300 more benchmark items for b2"]
    assert items["gain"] == pytest.approx(after["b2", "now", "regret"] - after["b2", "300 more items", "regret"])
    assert items["hours"] == pytest.approx(6 * 2 * 300 / 20)  # six students took 2 hours each for 20 items
    without = {one["what"]: one for one in listed(monkeypatch, capsys, HOURS._replace(responses={}))["proposals"]}
    assert without["one more teacher, on all bases"]["hours"] is None


def test_one_more_teacher_takes_the_seeds_that_the_others_have(results, monkeypatch, capsys):
    path = next_cells.Path("results/grids/first/performance.parquet")
    rows = [row | {"seeds": [1, 2, 3] if row["base"] == "b2" else [1]} for row in results.performance]
    artifacts.write(path, rows, artifacts.PERFORMANCE, {})
    found = {one["what"]: one for one in listed(monkeypatch, capsys)["proposals"]}
    assert found["one more teacher, on all bases"]["hours"] == pytest.approx(2 + 1 + 3 * 10)


@pytest.mark.parametrize(
    ("compare", "hours", "word"), [("recipe", 11, "recipe"), ("instructions", None, "instruction set")]
)
def test_it_proposes_one_more_of_what_is_compared(results, monkeypatch, capsys, compare, hours, word):
    path = next_cells.Path("results/grids/first/recommendation.yaml")
    path.write_text(yaml.safe_dump(results.recommendation | {"compare": compare}))
    found = {one["what"]: one for one in listed(monkeypatch, capsys)["proposals"]}
    assert found[f"one more {word}, on all bases"]["hours"] == hours
    assert "one more teacher" not in " ".join(f"{one['what']} {one['note']}" for one in found.values())


def test_where_nothing_more_helps_the_fronts_are_told(results, monkeypatch, capsys):
    path = next_cells.Path("results/grids/first/effects.parquet")
    artifacts.write(path, [row for row in results.effects if row["effect"] in ("cost", "front")], artifacts.EFFECTS, {})
    found = listed(monkeypatch, capsys)
    assert found["proposals"] == [] and len(found["fronts"]) == 2
    assert call(["next"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Nothing further is expected to make a choice better") and "first, b1: u (x1" in said


@pytest.mark.parametrize("most", ["0", "-1", "2.5"])
def test_the_number_of_proposals_is_a_whole_one(results, capsys, most):
    assert call(["next", f"--most={most}"]) == 2
    assert f"--most: '{most}' is no whole number from 1 on" in capsys.readouterr().err


def test_more_responses_are_worth_what_the_metric_lacks(results, monkeypatch, capsys):
    path = next_cells.Path("results/grids/first/effects.parquet")
    row = {"base": "b1", "panel": "pool, sft", "effect": "pilot_rows", "other": "reward_mean/rm", "n": 4}
    rows = [row | {"subject": "now", "value": 1.5}, row | {"subject": "twice the responses", "value": 1.2}]
    artifacts.write(path, results.effects + rows, artifacts.EFFECTS, {})
    found = {one["what"]: one for one in listed(monkeypatch, capsys)["proposals"]}
    more = found["twice the responses for the primary metric"]
    assert (
        more["gain"] == pytest.approx(0.3) and more["hours"] == 12 and "first 3 of the primary metric" in more["note"]
    )


def test_it_names_the_teachers_that_none_beats_for_as_little(results, monkeypatch, capsys):
    fronts = listed(monkeypatch, capsys)["fronts"]
    b1 = next(front for front in fronts if front["base"] == "b1")
    assert [one["teacher"] for one in b1["teachers"]] == [
        "u",
        "v",
        "w",
        "x",
    ]  # sizes double from u to z, and x is the best
    assert [one["cost"] for one in b1["teachers"]] == [1, 2, 4, 8]
    assert call(["next"]) == 0
    assert "first, b1: u (x1, AP 20.0)" in capsys.readouterr().out


def test_a_job_that_ran_again_counts_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/.jobs").mkdir(parents=True)
    record = {
        "device": "cpu",
        "cpu_seconds": 1,
        "gpus": 0,
        "nodes": 1,
        "parameters": 1,
        "settings": {},
        "gpu_gb": None,
        "host_gb": 1,
    }
    jobs = [("finetune", "b__pool__t__sft__s1", 3600), ("verify", "b__pool__t__sft__s1/suite", 7200), ("verify", "b__pool__t__sft__s1/suite", 1800),
            ("generate", "pool__t", 3600), ("likelihood", "b/pool__t", 1800), ("load_instructions", "pool", 99)]  # fmt: skip
    lines = [
        f"{i} {rule} {cell} 0 {json.dumps(record | {'seconds': took}, separators=(',', ':'))}\n"
        for i, (rule, cell, took) in enumerate(jobs)
    ]
    (tmp_path / "results/.jobs/here").write_text("".join(lines))
    found = next_cells.hours_of_jobs()
    assert found.students == {("b", "pool__t", "sft"): 1.5} and found.items == {("b", "pool__t", "sft"): 0.5}
    assert found.responses == {"pool__t": 1.5}


def test_without_a_summary_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(["next"]) == 2
    assert "no grid has a summary" in capsys.readouterr().out
