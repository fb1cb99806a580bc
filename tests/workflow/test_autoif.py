"""AutoIF through the workflow, asked over real HTTP: killed in each stage, and the same tables as of an undisturbed run."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import evolving_run
import pyarrow.parquet as pq
import pytest
from teachergrid.engines import openai
from teachergrid.spec.seeds import derived_seed
from teachergrid.tasks import sandbox

SEEDS = ["Use no commas.", "Write in capital letters."]
INVENTED = "Sure, here are some:\n1. Write at most five words.\n2. Use no commas!\n3. Wait for a very long time."
COMMAS = "def evaluate(response):\n    return ',' not in response"
HELPED = "import re\nPATTERN = ','\ndef none(text):\n    return not re.search(PATTERN, text)\ndef evaluate(response):\n    return none(response)"
CAPITALS = "def evaluate(response):\n    return str(response.isupper())"
FEW = "def evaluate(response):\n    return len(response.split()) <= 5"
FEWER = "def evaluate(response):\n    return response.count(' ') < 5"
MANY = "def evaluate(response):\n    return len(response.split()) > 5"
HANGS = "def evaluate(response):\n    while True:\n        pass"
# constraint: the functions of its samples, what a right one says to a response, and what a function is said to mean
WRITTEN = {
    SEEDS[0]: ([COMMAS, HELPED, COMMAS, None], {"a b": True, "a, b": False}, "Leave out commas."),
    SEEDS[1]: ([CAPITALS] * 4, {"AB": True, "Ab": False}, "Write in small letters."),
    "Write at most five words.": (
        [FEW, FEWER, MANY, FEW],
        {"a": True, "a b c": True, "a b c d e f": False},
        "Be short.",
    ),
    "Wait for a very long time.": ([HANGS] * 4, {"a": True}, "Wait."),
}
SAMPLES = [openai.seed_of({"seed": derived_seed(1, "generation")}, sample) for sample in range(4)]
STAGES = (
    "build a collection",
    "experienced Python programmer",
    "The Python function below",
    "Here are two instructions",
)
SETS = ("instruct", "functions", "verified", "r1")


class Evolver(evolving_run.Evolver):
    """It is killed in the middle of each stage; a run may also be killed while functions are called in the sandbox."""

    def __init__(self, kills: bool) -> None:
        super().__init__(dict.fromkeys(STAGES, 2) if kills else {})
        self.kills = kills

    def kind(self, prompt: str) -> str:
        return next((stage for stage in STAGES if stage in prompt), "")

    def said(self, kind: str, prompt: str, seed: int) -> str:
        if kind == STAGES[0]:
            return INVENTED
        if kind == STAGES[1]:
            functions, cases, _ = next(value for text, value in WRITTEN.items() if text in prompt)
            held = [{"input": text, "output": str(wanted)} for text, wanted in cases.items()]
            source = functions[SAMPLES.index(seed)]
            return json.dumps({"func": source, "cases": held}) if source else "I cannot write that."
        if kind == STAGES[2]:
            return next(
                f"Instruction: {back}"
                for functions, _, back in WRITTEN.values()
                if any(one and one in prompt for one in functions)
            )
        if kind == STAGES[3]:
            return f"Verdict: {'contradiction' if 'small letters' in prompt else 'entailment'}"
        return "a b c"


OWN = {"calls": 2, "each": 3, "functions": 4, "constraints": 2, "queries": 2, "crosscheck": {"seconds": 1}}
MEASURES = {
    "rewards": {"obeys": {"checker": {"kind": "functions", "seconds": 1}}},
    "metrics": {"obeys": {"formula": "reward_mean", "reward": "obeys"}},
}
TARGET = "results/rewards/obeys/auto.r1__far.parquet"


def settings(folder: Path, url: str) -> dict:
    sampling = {"temperature": 0.7, "max_tokens": 8}
    asks, evolution = "What would you say about number {i}?", {"method": "autoif", "autoif": OWN}
    return evolving_run.settings(folder, url, evolution, asks, sampling, {"seeds": SEEDS}, MEASURES)


def run_to_the_end(folder: Path, kills: bool) -> tuple[Evolver, int]:
    """Run, and run again after each kill; return the evolver, and how many requests were answered."""
    evolver = Evolver(kills)
    return evolver, evolving_run.run_to_the_end(folder, evolver, settings, TARGET, lambda: waited(folder, evolver))


def waited(folder: Path, evolver: Evolver) -> int:
    """Return the exit status of a run, which is killed once while functions are called."""
    assert evolver.run is not None
    in_functions = evolver.kills and "functions" not in evolver.killed
    log = folder / "results/logs/load_instructions/auto.functions.log"
    while in_functions and not log.exists():
        try:
            return evolver.run.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    if in_functions:
        time.sleep(1)  # one of them hangs for longer than that
        evolver.kill("functions")
    return evolver.run.wait()


def tables(folder: Path) -> dict[str, bytes]:
    """Return the tables of the sets, their responses and rewards."""
    found = [
        path
        for part in ("instructions", "responses", "rewards")
        for path in (folder / "results" / part).rglob("*.parquet*")
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if not path.name.endswith(".origin")}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Both runs at once: most of the time is that of starting jobs."""
    if all(sandbox.gap(level) for level in sandbox.LEVELS):
        pytest.skip(sandbox.levels())
    places = [tmp_path_factory.mktemp(name) for name in ("killed", "undisturbed")]
    with ThreadPoolExecutor() as pool:
        return places, [*pool.map(run_to_the_end, places, (True, False))]


@pytest.mark.slow
def test_killed_in_each_stage_the_tables_are_the_same(folders):
    (killed, undisturbed), ((evolver, paid), (_, paid_undisturbed)) = folders
    assert sorted(evolver.killed) == sorted([*STAGES, "functions"])
    one, other = tables(killed), tables(undisturbed)
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == set()
    assert len([name for name in one if name.endswith(".parquet")]) == 8 + 1 + 5 + 1
    # answers that were paid for are not asked again; those that the kill cut off may have been
    assert paid_undisturbed <= paid <= paid_undisturbed + len(STAGES)


@pytest.mark.slow
def test_yields_are_counted_at_each_stage(folders):
    (_, folder), _ = folders
    found = {
        part: {(row["what"], row["outcome"]): row["rows"] for row in pq.read_table(folder / f"results/instructions/auto.{part}.parquet.yields").to_pylist()}
        for part in SETS
    }  # fmt: skip
    # both calls say the same: one of four lines is about the list, one repeats a seed
    assert found["instruct"] == {("line", "kept"): 2, ("line", "talks about the list"): 2, ("line", "repeated"): 4}
    functions = found["functions"]
    assert functions == {
        ("instruction", "kept"): 3,
        ("instruction", "no case on which functions agree"): 1,
        ("reply", "no JSON"): 1,
        ("function", "kept"): 2 + 1 + 2,
        ("function", "wrong too often"): 1,
        ("function", "its instruction is left out"): 1,
        ("case", "kept"): 2 + 2 + 3,
        ("case", "its instruction is left out"): 1,
    }
    assert found["verified"]["instruction", "kept"] == 2
    assert found["verified"]["instruction", "a back-translation contradicts it"] == 1
    assert found["r1"] == {("autoif", "kept"): 4}


@pytest.mark.slow
def test_responses_are_filtered_by_running_the_functions(folders):
    (_, folder), _ = folders
    rows = pq.read_table(folder / TARGET).to_pylist()
    assert [row["reward"] for row in rows] == [1.0] * 4
