"""The optimisation of a method of evolution through the workflow, over real HTTP: killed, planned, and what a change runs again."""

import json
from pathlib import Path

import evolving_run
import pyarrow.parquet as pq
import pytest
from teachergrid.errors import BadInput
from teachergrid.grid import cells
from teachergrid.grid import config as grid_config
from teachergrid.planning.requests import Request, asked
from teachergrid.store import artifacts, origin

METHOD, BETTER = "Final task: {instruction}", "Final task: think, then {instruction}"
ANALYSE, IMPROVE = "What failed?", "Write a better one."
TARGET = "results/instructions/auto.r1.parquet"


class Evolver(evolving_run.Evolver):
    """It kills its client in the middle of a dev set, an analysis and a new method."""

    def __init__(self, kills: bool) -> None:
        super().__init__({"task": 3, "answer": 2, ANALYSE: 2, IMPROVE: 1} if kills else {})

    def kind(self, prompt: str) -> str:
        return next(
            (text for text in (ANALYSE, IMPROVE) if text in prompt), "task" if prompt.startswith("Final") else "answer"
        )

    def said(self, kind: str, prompt: str, seed: int) -> str:
        if kind == ANALYSE:
            return "Case 1 is no harder."
        if kind == IMPROVE:
            return f"```\n{BETTER}\n```"
        if kind == "task":
            return prompt
        return "4" if "think" in prompt else "Sure, which number?"


WORDS = {
    "method": METHOD,
    "analyse": f"{ANALYSE}\n{{trajectories}}",
    "improve": f"{IMPROVE}\n{{method}}\n{{feedback}}",
    "final": ["Final task"],
    "labels": [],
}
EVOLUTION = {
    "method": "auto-evol",
    "eliminate": [],
    "optimise": {"steps": 3, "batch": 2, "dev": 3, "candidates": 1, "rounds": 1},
}


def settings(folder: Path, url: str) -> dict:
    measures = {"metrics": {"long": {"formula": "length"}}}
    return evolving_run.settings(folder, url, EVOLUTION, "Add 2 to {i}.", {"max_tokens": 30}, WORDS, measures)


def run_to_the_end(folder: Path, kills: bool) -> Evolver:
    evolver = Evolver(kills)
    evolving_run.run_to_the_end(folder, evolver, settings, TARGET)
    return evolver


@pytest.mark.slow
def test_killed_in_each_kind_of_call_the_method_is_the_same(tmp_path):
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert len(run_to_the_end(killed, kills=True).killed) == 4
    run_to_the_end(undisturbed, kills=False)
    method = "results/methods/auto.json"
    assert (killed / method).read_bytes() == (undisturbed / method).read_bytes()
    found = json.loads((undisturbed / method).read_text())
    assert found["method"] == BETTER and (found["start"]["failure_rate"], found["failure_rate"]) == (1.0, 0.0)
    assert len(found["steps"]) == 2, "the second step found nothing better"
    # the evolved set is made with the method
    rows = [pq.read_table(folder / TARGET).to_pylist() for folder in (killed, undisturbed)]
    assert rows[0] == rows[1] and len(rows[0]) == 6
    assert all(row["messages"][-1]["content"].startswith("think, then Add 2") for row in rows[0])


# --- planned


def rows_of(folder, monkeypatch, **changes):
    monkeypatch.chdir(folder)
    config = settings(folder, "http://127.0.0.1:9")
    config["evolutions"]["auto"] |= changes
    return cells.Cells(grid_config.checked(config)).rows


def test_the_plan_has_one_job_that_optimises_with_its_cost(tmp_path, monkeypatch):
    rows = rows_of(tmp_path, monkeypatch)
    assert [*rows["optimise"]] == ["auto"]
    row = rows["optimise"]["auto"]
    assert row["instructions"] == ["q"] and row["rows"] == 2 * 3 + 3 * (2 + 1 * (2 + 2 * 3)) and row["gpus"] == 0
    assert row["endpoint"]["name"] == "hostile"
    assert rows["load_instructions"]["auto.r1.asked"]["tables"] == ["results/methods/auto.json"]


def test_all_that_it_may_ask_an_endpoint_counts(tmp_path, monkeypatch):
    """What the log answers is not known before: each prompt depends on what the model wrote. A limit of cost must hold."""
    row = rows_of(tmp_path, monkeypatch)["optimise"]["auto"]
    # one instruction is there, and not answered
    messages = [{"role": "user", "content": "Add."}]
    blank = dict.fromkeys(("answer", "category", "parent_id", "operator")) | {"round": 0}
    path = Path("results/instructions/q.parquet")
    path.parent.mkdir(parents=True)
    instructions = [{"id": "a", "messages": messages, "source": "q.jsonl", **blank}]
    artifacts.write(path, instructions, artifacts.INSTRUCTIONS, origin.of("load_instructions", "{}", []))
    assert asked(Request("optimise", "auto", row, 1)).requests == row["rows"] > 1
    assert asked(Request("generate", "q__far", row, 1)).requests == 1


def test_only_its_own_settings_change_the_optimisation(tmp_path, monkeypatch):
    def spec(**changes):
        return rows_of(tmp_path, monkeypatch, **changes)["optimise"]["auto"]["spec"]

    own = spec()
    assert spec(rounds=2) == own and spec(eliminate=["refusal"]) == own
    assert spec(optimise={"steps": 4, "batch": 2, "dev": 3, "candidates": 1, "rounds": 1}) != own
    assert spec(seed=7) != own


def test_an_evolution_without_it_is_as_before(tmp_path, monkeypatch):
    rows = rows_of(tmp_path, monkeypatch, optimise=None)
    assert not rows["optimise"] and rows["load_instructions"]["auto.r1.asked"]["tables"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": "evol-instruct", "prompts": None},
            r"auto\.optimise: only `method: auto-evol` has a method to improve",
        ),
        ({"as_published": True}, r"auto\.optimise: the published run left this out"),
    ],
)
def test_what_it_does_not_go_with(tmp_path, monkeypatch, changes, message):
    with pytest.raises(BadInput, match=message):
        rows_of(tmp_path, monkeypatch, **changes)
