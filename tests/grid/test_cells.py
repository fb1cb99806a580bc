"""The table of cells: which jobs a config has, and what their rows hold."""

from pathlib import Path

import chat_templates
import pytest
from teachergrid.cost import workload
from teachergrid.grid.builder import Builder
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical


@pytest.fixture
def config(small) -> dict:
    return checked(small)


def test_the_table_has_the_rows_that_builders_give(config):
    rows, build = Cells(config).rows, Builder(config)
    assert rows["generate"]["seed__large"] == build.generate("seed__large")
    assert rows["load_instructions"]["seed"] == build.instructions("seed")
    shared = build.scorer("q")
    assert rows["likelihood"]["q/seed__large"].items() >= shared.items()


def test_unknown_cell(grid):
    text = grid.run("--dry-run", "results/responses/seed__smal.parquet", ok=False)
    assert "the grids have no 'seed__smal', did you mean 'seed__small'?" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "target, said",
    [
        (
            "results/responses/seed__smal.parquet",
            "generate: the grids have no 'seed__smal', did you mean 'seed__small'?",
        ),
        (
            "results/likelihoods/q/chat/seed__smal.parquet",
            "likelihood: the grids have no 'q/seed__smal', did you mean 'q/seed__small'?",
        ),
        (
            "results/respons/seed__small.parquet",
            "results/respons/seed__small.parquet: no job of the grid makes this file, did you mean "
            "'results/responses/seed__small.parquet'?",
        ),
        ("zzz", "zzz: no job of the grid makes this file; `teachergrid plan --details` lists all that there is"),
    ],
)
def test_a_target_that_the_grid_does_not_have(grid, target, said):
    """One line in our words, with the nearest cell or file."""
    done = grid.call("teachergrid", "plan", target)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("Using workflow", "Building DAG"))]
    assert (done.returncode, done.stdout, lines) == (2, "", [said])


def test_a_ninth_teacher_is_five_lines_in_one_place(small):
    small["teachers"]["new"] = {"model": {"repo": "org/new", "revision": "1"}}
    cells = Cells(checked(small))
    assert "seed__new" in cells.rows["generate"] and "q__seed__new__sft__s1" in cells.rows["finetune"]


def test_include_and_exclude(small):
    block = small["grids"]["teachers"]
    block["exclude"] = [{"base": "w", "teacher": "large"}]
    block["include"] = [{"base": "w", "instructions": "evolved", "teacher": "large"}]
    students = Cells(checked(small)).rows["finetune"]
    assert "w__seed__large__sft__s1" not in students and "q__seed__large__sft__s1" in students
    assert "w__evolved__large__sft__s1" in students and "q__evolved__large__sft__s1" not in students


def test_a_block_without_recipes_only_measures(small):
    for key in ("recipes", "seeds", "suites", "performance"):
        small["grids"]["teachers"].pop(key)
    del small["grids"]["instructions"]
    rows = Cells(checked(small)).rows
    assert not rows["finetune"] and not rows["answer"] and rows["metric"] and rows["likelihood"]


def test_a_subset_of_the_likelihoods_is_in_their_spec_and_in_their_cost(small):
    Path("config/seed.jsonl").write_text('{"prompt": "p"}\n' * 5)
    small["instructions"]["seed"]["sample"] = 5
    before = Cells(checked(small)).rows["likelihood"]["q/seed__large"]
    small["likelihood"] = {"subset": None}
    assert Cells(checked(small)).rows["likelihood"]["q/seed__large"] == before
    small["likelihood"]["subset"] = 2
    rows = Cells(checked(small)).rows
    assert canonical.load(rows["likelihood"]["q/seed__large"]["spec"])["likelihood"]["subset"] == 2
    assert (before["rows"], rows["likelihood"]["q/seed__large"]["rows"]) == (5, 2)
    assert rows["reward"]["rm/seed__large"]["rows"] == rows["generate"]["seed__large"]["rows"] == 5


def test_self_pairs_follow_the_parents(small):
    small["models"]["large"]["parent"] = "small"
    small["models"]["small"]["parent"] = "w"
    students = canonical.load(Cells(checked(small)).rows["correlate"]["teachers"]["spec"])["students"]
    marked = {(s["base"], s["teacher"]) for s in students if s["self_pair"]}
    assert marked == {("w", "small"), ("w", "large")}


def test_labels_are_in_no_spec_but_the_tables(small):
    before = Cells(checked(small)).rows
    small["models"]["large"] |= {"family": "F", "parameters": 7, "licence": "L", "output_terms": "O", "gpus": 8}
    after = Cells(checked(small)).rows
    changed = {
        (rule, key) for rule in after for key in after[rule] if after[rule][key]["spec"] != before[rule][key]["spec"]
    }
    assert changed == {("correlate", "teachers")}


def test_a_base_whose_template_opens_a_think_block_is_named(small, tmp_path):
    path = tmp_path / "opens.jinja"
    path.write_text(chat_templates.R1)
    assert Cells(checked(small)).warnings() == []
    small["bases"]["q"]["template"] = str(path)
    [warning] = Cells(checked(small)).warnings()
    assert warning.startswith("base 'q': the chat template opens '<think>' in each prompt")
    # one that no grid trains or measures is not named
    small["bases"]["unused"] = small["bases"]["q"]
    assert Cells(checked(small)).warnings() == [warning]


def test_jobs_know_how_long_the_responses_may_be_that_they_read_and_who_writes_them(small):
    """By this a plan tells a toy's responses from those of a teacher of thousands of tokens."""
    small["models"] = {name: {**entry, "parameters": 7.0} for name, entry in small["models"].items()}
    cells = Cells(checked(small))
    teachers, tasks = cells.config["teachers"], cells.config["tasks"]
    for rule in ("reward", "likelihood", "finetune"):
        for cell, row in cells.rows[rule].items():
            by = workload.read_by(rule, cell)
            if by and cells.rows["generate"][by[1]]["parameters"]:
                limit = teachers[by[1].split("__")[1]]["sampling"]["max_tokens"]
                assert (row["limit"], row["writer"]) == (limit, 7.0), (rule, cell)
    for row in cells.rows["judge"].values():
        assert row["limit"] in {task["sampling"]["max_tokens"] for task in tasks.values()} and row["writer"] == 7.0
    assert all(cells.rows[rule] for rule in ("reward", "likelihood", "finetune", "judge"))


def test_engines_that_are_not_installed_are_told_with_their_jobs(small, monkeypatch):
    monkeypatch.setattr("teachergrid.grid.cells.missing", lambda engine: "no vllm here" if engine == "vllm" else None)
    assert Cells(checked(small)).lacking() == {}
    small["teachers"]["large"]["engine"] = "vllm"
    suite = next(iter(small["suites"]))
    small["suites"][suite]["engine"] = "vllm"
    cells = Cells(checked(small))
    [(lack, jobs)] = cells.lacking().items()
    assert lack == "no vllm here" and lack in cells.warnings()
    assert {cell for rule, cell in jobs if rule == "generate"} == {
        cell for cell in cells.rows["generate"] if cell.endswith("__large")
    }
    assert {cell for rule, cell in jobs if rule == "answer"} == {
        cell for cell in cells.rows["answer"] if cell.endswith(f"/{suite}")
    }
