"""Instructions are graded by a model behind an endpoint: killed in the middle, and on the page of the grid that compares them."""

import re
from pathlib import Path

import evolving_run
import pyarrow.parquet as pq
import pytest
from page_words import Words

LEVELS = (
    "easy",
    "easy",
    "medium",
    "hard",
    "hard",
    None,
)  # of the instructions, by their number; None: it says nothing clear
TARGET = "results/grids/g/report.html"


class Grader(evolving_run.Evolver):
    """It is killed at the fourth grade."""

    def __init__(self) -> None:
        super().__init__({"grade": 4})

    def kind(self, prompt: str) -> str:
        return "grade" if "Level:" in prompt else "answer"

    def said(self, kind: str, prompt: str, seed: int) -> str:
        if kind == "answer":
            return "a b c"
        number = int(re.search(r"Add 2 to (\d)", prompt)[1])
        level = LEVELS[number]
        return f"It needs a sum.\nLevel: {level}\nScore: {10 * number}" if level else "Add them."


def settings(folder: Path, url: str) -> dict:
    measures = {"metrics": {"long": {"formula": "length"}}}
    config = evolving_run.settings(folder, url, {"method": "grade"}, "Add 2 to {i}.", {"max_tokens": 30}, {}, measures)
    config["grids"]["g"]["instructions"] = ["q"]
    return config


@pytest.mark.slow
def test_a_graders_verdicts_are_a_set_and_a_table_of_the_report(tmp_path):
    grader = Grader()
    paid = evolving_run.run_to_the_end(tmp_path / "grid", grader, settings, TARGET)
    assert grader.killed == ["grade"] and 12 <= paid <= 13
    made = tmp_path / "grid/results/instructions/auto.r1.parquet"
    found = {row["messages"][0]["content"]: row["category"] for row in pq.read_table(made).to_pylist()}
    assert found == {f"Add 2 to {number}.": level for number, level in enumerate(LEVELS) if level}
    lineage = pq.read_table(f"{made}.lineage").to_pylist()
    assert sorted(row["reason"] or "" for row in lineage) == [""] * 5 + ["no clear grade"]
    shown = Words((tmp_path / "grid" / TARGET).read_text()).text.replace("\u202f", " ").replace("\u00a0", " ")
    # five of six, two of them easy, one medium and two hard; the mean of 0, 10, 20, 30 and 40
    assert "q far 0 — 5 0 % 40 % 20 % 40 % 0 % 20.0 [6.1, 33.9] 1" in shown
