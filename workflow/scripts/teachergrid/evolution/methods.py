"""The methods of evolution: which steps an evolution has, and the function behind each stage.

A new method is a line in METHODS, its stages are lines in STAGES, and its prompts a file in `workflow/evolution/`.
"""

from collections.abc import Callable
from typing import NamedTuple

from . import elimination, lineage, plans, rewriting
from .steps import Method, Stage


def _nothing(_: dict) -> list[str]:
    return []


class Kind(NamedTuple):
    """A method.

    steps: plans its steps. prompts: name of its file of prompts.
    sets, teachers: return the names of sets and teachers that an entry reads besides `of`, `by` and `equal_by`.
    """

    steps: Method
    prompts: str
    sets: Callable[[dict], list[str]] = _nothing
    teachers: Callable[[dict], list[str]] = _nothing


METHODS: dict[str, Kind] = {
    "evol-instruct": Kind(plans.evol_instruct, "evol-instruct.1"),
    "auto-evol": Kind(plans.auto_evol, "auto-evol.1"),
}

JOINED = "joined"
STAGES: dict[str, Stage] = {
    JOINED: lineage.joined,
    "rewrite.ask": rewriting.ask,
    "rewrite.read": rewriting.read,
    "equal.ask": elimination.ask_equal,
    "equal.read": elimination.read_equal,
}

# where the outputs of other rules lie that steps may read: {rule: path with {} for the cell}
OUTPUTS: dict[str, str] = {}
