"""Turn `evolutions`, and instruction sets that join others, into entries of `instructions` that rule `load_instructions` makes.

Such an entry has a key `made` that no user writes: {stage, settings, sets, responses, tables, most, ancestors}, see steps.Step.
Its `source` is the file that its own job writes: a plan that finds it there knows its rows.
"""

import os
from contextlib import suppress
from typing import Any

from ..data import sizes
from ..engines.engine import generates
from ..errors import BadInput
from ..hub.pins import HUB
from ..spec import schema
from ..spec.seeds import derived_seed
from ..spec.spelling import known, nearest
from ..store import origin
from ..store.results import RESULTS
from . import texts
from .methods import JOINED, METHODS
from .steps import Asked, Step

# how a set is made that is read from a source
NOTHING: dict[str, list] = {"sets": [], "responses": [], "tables": []}


def expand(config: dict) -> None:
    """Add the instruction sets of all evolutions, and make those that join others known. Changes the config.

    Raises BadInput for an entry that contradicts itself, names what is not there, or is made of itself.
    """
    sets, evolutions = config["instructions"], config["evolutions"]
    waiting: dict[str, list[str]] = {}
    for name, entry in sets.items():
        _source(f"config.instructions.{name}", entry)
        if entry["join"]:
            waiting[f"instructions.{name}"] = [*entry["join"], *entry["paired_with"]]
    for name, entry in evolutions.items():
        _teachers(f"config.evolutions.{name}", entry, config)
        waiting[f"evolutions.{name}"] = [entry["of"], *METHODS[entry["method"]].sets(entry)]
    ready = {name for name, entry in sets.items() if not entry["join"]}
    while waiting:
        where = next((key for key, needed in waiting.items() if ready.issuperset(needed)), None)
        if where is None:
            raise _stuck(waiting, ready)
        del waiting[where]
        kind, _, name = where.partition(".")
        if kind == "instructions":
            sets[name]["made"] = _joined(name, sets)
            sets[name]["source"] = made_by(name)
            ready.add(name)
        else:
            ready |= _evolved(name, config)


def made_by(name: str) -> str:
    """Return the file that the job of an instruction set writes."""
    return f"{RESULTS}/instructions/{name}.parquet"


def up_to_date(specs: dict[str, str], source: str | None) -> bool:
    """Whether files are there and were made by jobs of these specs. specs: {path: spec}. source: a file that is older, or None."""
    is_file = source is not None and not source.startswith(HUB)
    try:
        times = [os.path.getmtime(path) for path in specs]
        if is_file and os.path.getmtime(str(source)) > min(times):
            return False
    except OSError:
        return False
    return all((origin.read(path) or {}).get("spec") == spec for path, spec in specs.items())


def _source(where: str, entry: dict) -> None:
    if (entry["source"] is None) != bool(entry["join"]):
        raise BadInput(f"{where}: state either `source` or `join`")
    if entry["paired_with"] and not entry["join"]:
        raise BadInput(
            f"{where}.paired_with: needs `join`; write `join: [SET]` in place of the source, and name that set"
        )


def _teachers(where: str, entry: dict, config: dict) -> None:
    """Check that the teachers which an evolution asks are there and generate."""
    named = {"by": entry["by"], "equal_by": entry["equal_by"]}
    named |= {f"{entry['method']} ({name})": name for name in METHODS[entry["method"]].teachers(entry)}
    for key, name in named.items():
        if name is None:
            continue
        known(f"{where}.{key}", name, config["teachers"])
        teacher = config["teachers"][name]
        # one without its reasoning answers as the teacher that it is made from
        if not generates(config["teachers"].get(teacher["of"], teacher)["engine"]):
            raise BadInput(
                f"{where}.{key}: teacher '{name}' has published responses, and answers no prompt; name one that generates"
            )


def _evolved(name: str, config: dict) -> set[str]:
    """Add the sets of an evolution and return their names."""
    entry, sets, where = config["evolutions"][name], config["instructions"], f"config.evolutions.{name}"
    method = METHODS[entry["method"]]
    method.check(where, entry, config["teachers"])
    seeds = sets[entry["of"]]
    asked = Asked(
        name,
        entry,
        derived_seed(config["seed"], "evolution") if entry["seed"] is None else entry["seed"],
        most_of(seeds),
        ancestors_of(seeds),
        texts.read(f"{where}.prompts", entry["prompts"] or method.prompts, method.prompts),
        tables=_optimised(where, name, entry),
        source=None if "made" in seeds else seeds,
    )
    steps = method.steps(asked)
    for step in steps:
        if step.name in sets:
            raise BadInput(f"config.instructions.{step.name}: evolution '{name}' needs this name; rename it")
        sets[step.name] = _entry(step)
    return {step.name for step in steps}


def _optimised(where: str, name: str, entry: dict) -> tuple[tuple[str, str], ...]:
    """Return the result of rule `optimise` that an evolution reads, if it does."""
    if entry["optimise"] is None:
        return ()
    if entry["method"] != "auto-evol":
        raise BadInput(f"{where}.optimise: only `method: auto-evol` has a method to improve; remove the key")
    if entry["as_published"]:
        raise BadInput(f"{where}.optimise: the published run left this out; remove the key, or `as_published`")
    return (("optimise", name),)


def _entry(step: Step) -> dict:
    """Return a step as an entry of `instructions`."""
    made = {**step._asdict(), "sets": [*step.sets], "responses": [*step.responses], "ancestors": [*step.ancestors]}
    made["tables"] = [list(table) for table in made["tables"]]
    entry = schema.filled({"source": made_by(made.pop("name"))}, schema.definition("instructions"), outside_too=True)
    return {**entry, "made": made}


def _joined(name: str, sets: dict[str, dict]) -> dict:
    """Return how a set that joins others is made."""
    entry = sets[name]
    read: dict[str, int] = {}

    def part(of: str) -> list:
        # the roots are needed for pairs alone
        ancestors = ancestors_of(sets[of]) if entry["paired_with"] else ()
        return [read.setdefault(of, len(read)), [read.setdefault(one, len(read)) for one in ancestors]]

    settings = {"join": [part(of) for of in entry["join"]], "paired": [part(of) for of in entry["paired_with"]]}
    ancestors = dict.fromkeys(
        one for of in entry["join"] for one in (*ancestors_of(sets[of]), of) if sets[of].get("made")
    )
    most = sum(most_of(sets[of]) for of in entry["join"])
    step = Step(name, JOINED, tuple(read), settings, most, ancestors=tuple(ancestors))
    made: dict[str, Any] = _entry(step)["made"]
    return made


def ancestors_of(entry: dict) -> tuple[str, ...]:
    """Return the sets over which the rows of a set go back to their roots, the oldest first. entry: of config.instructions."""
    made = entry.get("made")
    return tuple(made["ancestors"]) if made else ()


def most_of(entry: dict) -> int:
    """Return how many rows a set has at most; a source that cannot be read counts as unknown: the check of sources says more."""
    with suppress(BadInput, OSError):
        return sizes.drawn(entry)
    return sizes.UNKNOWN_ROWS


def _stuck(waiting: dict[str, list[str]], ready: set[str]) -> BadInput:
    """Return what is wrong where no entry can be made: one names a set that is not there, or some are made of each other."""
    coming = {where.partition(".")[2] for where in waiting}
    for where, needed in waiting.items():
        for name in needed:
            # a set of an evolution that waits has the evolution's name before its own
            if name not in ready and not any(name == one or name.startswith(f"{one}.") for one in coming):
                key = "of" if where.startswith("evolutions.") else "join"
                return BadInput(
                    f"config.{where}.{key}: there is no '{name}'"
                    + (nearest(name, ready) or f"; known: {', '.join(sorted(ready))}")
                )
    circle = " and ".join(f"config.{where}" for where in waiting)
    return BadInput(
        f"{circle}: made of each other, or of a round that is not there; name a set that has a `source`, or a lower round"
    )
