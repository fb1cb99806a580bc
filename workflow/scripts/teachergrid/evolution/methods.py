"""The methods of evolution: which steps an evolution has, and the function behind each stage.

A new method is a line in METHODS, its stages are lines in STAGES, and its prompts a file in `workflow/evolution/`.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..store.results import RESULTS
from . import autoif, autoif_stages, crab, elimination, grading, plans, rewriting, steps
from .steps import Method, Stage


def _nothing(_: dict) -> list[str]:
    return []


def _fine(_where: str, _entry: dict, _teachers: dict[str, dict]) -> None:
    return None


class Kind(NamedTuple):
    """A method.

    steps: plans its steps. prompts: name of its file of prompts.
    sets, teachers: return the names of sets and teachers that an entry reads besides `of`, `by` and `equal_by`.
    check: raises BadInput for an entry that contradicts itself; gets the config's key, the entry and all teachers.
    """

    steps: Method
    prompts: str
    sets: Callable[[dict], list[str]] = _nothing
    teachers: Callable[[dict], list[str]] = _nothing
    check: Callable[[str, dict, dict[str, dict]], None] = _fine


METHODS: dict[str, Kind] = {
    "evol-instruct": Kind(plans.evol_instruct, "evol-instruct.1"),
    "auto-evol": Kind(plans.auto_evol, "auto-evol.1"),
    "autoif": Kind(autoif.steps, "autoif.1", teachers=autoif.teachers, check=autoif.check),
    "crab": Kind(crab.steps, "crab.1", check=crab.check),
    "grade": Kind(grading.steps, "grade.1", check=grading.check),
}

JOINED = "joined"
STAGES: dict[str, Stage] = {
    JOINED: steps.joined,
    "rewrite.ask": rewriting.ask,
    "rewrite.read": rewriting.read,
    "equal.ask": elimination.ask_equal,
    "equal.read": elimination.read_equal,
    "autoif.instruct.ask": autoif_stages.ask_instructions,
    "autoif.instruct.read": autoif_stages.read_instructions,
    "autoif.functions.ask": autoif_stages.ask_functions,
    "autoif.functions.read": autoif_stages.read_functions,
    "autoif.back.ask": autoif_stages.ask_back,
    "autoif.nli.ask": autoif_stages.ask_entailment,
    "autoif.nli.read": autoif_stages.read_entailment,
    "autoif.join": autoif_stages.join_queries,
    "crab.ask": crab.ask,
    "crab.read": crab.read,
    "grade.ask": grading.ask,
    "grade.read": grading.read,
}

# where the outputs of other rules lie that steps may read: {rule: path with {} for the cell}
OUTPUTS: dict[str, str] = {"optimise": f"{RESULTS}/methods/{{}}.json"}
