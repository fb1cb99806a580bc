"""The rows of the jobs that make sets of instructions: read from a source, or made from other sets and what models said of them."""

from collections.abc import Iterable
from functools import cache
from typing import Protocol

from .. import units
from ..data import sizes
from ..evolution import optimise, texts
from ..evolution.entries import NOTHING, made_by, up_to_date
from ..evolution.methods import METHODS, OUTPUTS
from ..hub import pins
from ..spec import canonical
from ..spec.canonical import picked, without
from ..spec.ids import Responses
from ..spec.seeds import derived_seed
from ..store.results import RESULTS
from .config_data import tasks_of
from .rows import GenerateRow, InstructionsRow


class Generating(Protocol):
    """What the functions here need of builder.Builder."""

    config: dict

    def generate(self, responses: str) -> GenerateRow:
        """Return the row that makes a teacher's responses."""

    def __hash__(self) -> int: ...


def row(build: Generating, name: str) -> InstructionsRow:
    """Return the row that makes a set."""
    source = build.config["instructions"][name]
    made = source.get("made") or NOTHING
    file: str | None = source["made"]["file"] if "made" in source else source["source"]
    return {
        "spec": spec(build, name),
        "files": [file] if file and not file.startswith(pins.HUB) else [],
        "prompts": [task["prompts"] for task in _removed(build.config, source).values()],
        "rows": drawn(build, name),
        "sets": [made_by(one) for one in made["sets"]],
        "responses": [f"{RESULTS}/responses/{one}.parquet" for one in made["responses"]],
        "tables": [OUTPUTS[rule].format(cell) for rule, cell in made["tables"]],
    }


def _removed(config: dict, entry: dict) -> dict[str, dict]:
    """Return {name: config entry}, sorted by name, of the tasks whose prompts are removed from a set. entry: the set's."""
    tasks = {task: of for suite in entry["decontaminate"] for task, of in tasks_of(config, suite).items()}
    return {task: tasks[task] for task in sorted(tasks)}


@cache
def spec(build: Generating, name: str) -> str:
    """Return the spec of a set."""
    source = build.config["instructions"][name]
    # the content of a file counts as an input, so its name stays out of the spec; so do the names of other sets, and of suites, whose
    # prompts count
    names = ["decontaminate", "join", "paired_with", "made", *([] if pins.is_data_set(source) else ["source"])]
    parts: dict[str, object] = {"made": picked(source["made"], "stage", "settings")} if "made" in source else {}
    if tasks := _removed(build.config, source):
        parts["tasks"] = {task: picked(entry, "fields") for task, entry in tasks.items()}
    return canonical.dump(instructions=without(source, *names), **parts)


def specs(build: Generating, name: str) -> dict[str, str]:
    """Return {job: its spec} of the job that makes a set, and of all jobs that make what a set is evolved or joined from."""
    made = build.config["instructions"][name].get("made") or NOTHING
    found = {f"load_instructions {name}": spec(build, name)}
    for one in made["sets"]:
        found |= specs(build, one)
    found |= {f"{rule} {cell}": table(build, rule, cell)["spec"] for rule, cell in made["tables"]}
    return found | {f"generate {one}": build.generate(one)["spec"] for one in made["responses"]}


def table(build: Generating, rule: str, name: str) -> GenerateRow:
    """Return the row of another rule whose output an evolution reads (methods.OUTPUTS). name: of the evolution."""
    assert rule == "optimise", f"no rule {rule} makes {name}"
    entry = build.config["evolutions"][name]
    model = build.generate(str(Responses(entry["of"], entry["by"])))
    words = texts.read(
        "prompts", entry["prompts"] or METHODS[entry["method"]].prompts, METHODS[entry["method"]].prompts
    )
    settings = {
        **entry["optimise"],
        "seed": derived_seed(build.config["seed"], "evolution") if entry["seed"] is None else entry["seed"],
        "texts": {key: words[key] for key in ("method", "analyse", "improve", "final", "labels")},
    }
    spec = canonical.dump(**canonical.load(model["spec"]), optimise=settings)
    return {**model, "spec": spec, "rows": optimise.calls(settings)}


@cache
def drawn(build: Generating, name: str) -> int:
    """Return how many instructions a set has at most; of one that is made from others exactly, once it is made."""
    entry = build.config["instructions"][name]
    is_known = "made" in entry and _is_made(build, name)
    return sizes.count(made_by(name)) if is_known else sizes.drawn(entry)


def bounded(build: Generating, names: Iterable[str]) -> list[str]:
    """Return a sentence where a plan cannot know yet how many rows models leave of sets. names: of the sets that it makes."""
    entries = build.config["instructions"]
    unknown = [name for name in names if entries[name].get("made", NOTHING)["responses"] and not _is_made(build, name)]
    if not unknown:
        return []
    most = max(drawn(build, name) for name in unknown)
    sets = (
        f"{len(unknown)} evolved sets, such as {unknown[0]},"
        if len(unknown) > 3
        else f"evolved sets ({', '.join(unknown)})"
    )
    return [
        f"how many instructions {sets} keep is known once they are made; the plan takes all, at most {units.count(most)} each, so "
        "the costs that follow from it are upper bounds"
    ]


@cache
def _is_made(build: Generating, name: str) -> bool:
    """Whether a set is there, made as the config says it, and so is all that it was made from."""
    entry = build.config["instructions"][name]
    made = entry.get("made") or NOTHING
    specs = {f"{RESULTS}/responses/{one}.parquet": build.generate(one)["spec"] for one in made["responses"]}
    specs |= {OUTPUTS[rule].format(cell): table(build, rule, cell)["spec"] for rule, cell in made["tables"]}
    source = None if "made" in entry else entry["source"]
    is_own = up_to_date({made_by(name): spec(build, name), **specs}, source)
    return is_own and all(_is_made(build, one) for one in made["sets"])
