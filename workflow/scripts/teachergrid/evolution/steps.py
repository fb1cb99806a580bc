"""What all methods share: a method is a list of steps, and each step makes one set of instructions.

Usually two steps belong together: the first writes prompts (`NAME.r1.asked`), a teacher answers them (rule `generate`), and the
second reads the answers (`NAME.r1`). Both are made by rule `load_instructions`, so no rule of evolution loads a model.

And where evolved instructions come from: the pool of a round, the root of each row, and sets that are joined or paired by root.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ..errors import BadInput

Row: TypeAlias = dict[str, Any]  # of artifacts.INSTRUCTIONS
# {id of an instruction: its rows of artifacts.RESPONSES, by sample}
Replies: TypeAlias = Mapping[str, list[dict]]


class Step(NamedTuple):
    """One set of instructions that an evolution adds to the config.

    name: whole, such as `wiz.r1.asked`. stage: key of methods.STAGES, the function that makes it.
    sets: names of the sets that it reads. responses: ids of the responses that it reads, `{set}__{teacher}`.
    tables: (rule, cell) of the outputs of other rules that it reads.
    settings: all that decides its rows besides these inputs; they are its spec, so the names of sets and teachers stay out.
    ancestors: sets over which `parent_id` leads from its rows back to their roots. most: rows at most.
    file: the source of the seeds, where the texts below the instructions are read from it (setting `beside`).
    """

    name: str
    stage: str
    sets: tuple[str, ...]
    settings: dict[str, Any]
    most: int
    responses: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    ancestors: tuple[str, ...] = ()
    file: str | None = None


class Given(NamedTuple):
    """What a stage gets, each list in the order in which its step names them.

    name: of the set to make. tables: paths. beside: {id of a seed: the text below it that is not rewritten}. work: folder in which long
    work may save its finished parts; None: there is none.
    """

    name: str
    sets: list[list[Row]]
    responses: list[Replies]
    tables: list[Path]
    beside: Mapping[str, str] = {}
    work: Path | None = None


class Fate(NamedTuple):
    """What became of one row that was asked. parent: the row's id. row: what it became; None: nothing, for this reason.

    text: what the evolver wrote. round: of the row where it differs from that of the set, such as in a set of several rounds.
    """

    parent: str
    operator: str | None
    row: Row | None
    reason: str | None
    text: str
    round: int | None = None


class Made(NamedTuple):
    """What a stage makes: the rows of the set, and the fate of all rows that were asked (none in a set of prompts)."""

    rows: list[Row]
    fates: list[Fate] = []  # noqa: RUF012 (never changed)


# makes the rows of a set from what it reads and its settings
Stage: TypeAlias = Callable[[Given, dict[str, Any]], Made]


class Asked(NamedTuple):
    """What a method gets to plan its steps.

    name: of the evolution. entry: its settings, with all defaults. seed: derived from the root seed. seeds: rows of the set
    `of` at most. ancestors: of the set `of`, from the oldest on. texts: of the prompts, by their names.
    tables: (rule, cell) of other rules' outputs that the entry's method reads, such as that of `optimise`.
    source: entry of the set `of`, where that is read from a source.
    """

    name: str
    entry: dict[str, Any]
    seed: int
    seeds: int
    ancestors: tuple[str, ...]
    texts: dict[str, Any]
    tables: tuple[tuple[str, str], ...] = ()
    source: dict[str, Any] | None = None

    @property
    def where(self) -> str:
        """The config's key, for messages."""
        return f"config.evolutions.{self.name}"


# returns the steps of an evolution, in the order in which they are made
Method: TypeAlias = Callable[[Asked], list[Step]]


# --- where rows come from


def pool(seeds: list[Row], rounds: Sequence[list[Row]], retry: bool) -> list[Row]:
    """Return the rows that a round evolves: those that the round before made, and with `retry` those that it left out.

    Args:
        seeds: the rows of the set that the evolution began with.
        rounds: the rows of all rounds so far, the first one first.
    """
    rows = seeds
    for made in rounds:
        done = {row["parent_id"] for row in made} | {row["id"] for row in made}
        left = [row for row in rows if row["id"] not in done] if retry else []
        rows = [*made, *left]
    return rows


def roots(rows: list[Row], ancestors: Iterable[list[Row]]) -> dict[str, str]:
    """Return {id of a row: id of the instruction that it goes back to}. ancestors: rows of the sets in between, the oldest first.

    A row of a set that no method made is its own root.
    """
    root: dict[str, str] = {}
    for made in (*ancestors, rows):
        extend(root, made)
    return {row["id"]: root[row["id"]] for row in rows}


def roots_within(seeds: list[Row], rounds: Sequence[list[Row]]) -> dict[str, str]:
    """Return {id: id of the seed} of all rows of an evolution, whatever its seeds were made from themselves."""
    root = {row["id"]: row["id"] for row in seeds}
    for made in rounds:
        extend(root, made)
    return root


def extend(root: dict[str, str], made: list[Row]) -> None:
    """Add the rows of a set to the roots of the sets before it. A row that was there before has its root already."""
    for row in made:
        parent: str | None = row["parent_id"]
        root.setdefault(row["id"], row["id"] if parent is None else root.get(parent, parent))


def joined(given: Given, settings: dict[str, Any]) -> Made:
    """Return the rows of several sets together, each instruction once; with `paired`, those whose root other sets have, too.

    settings: `join`, `paired`: for each set [place of its rows, places of its ancestors' rows] among `given.sets`.
    """
    others = [{*_roots(given, part).values()} for part in settings["paired"]]
    rows: dict[str, Row] = {}
    for part in settings["join"]:
        root = _roots(given, part) if others else {}
        kept = [row for row in given.sets[part[0]] if all(root[row["id"]] in other for other in others)]
        for row in kept:
            rows.setdefault(row["id"], row)
    if not rows:
        raise BadInput(
            f"{given.name}: no instruction is left, since no root survived in all sets that it is paired with; pair fewer sets, or "
            "eliminate less"
        )
    return Made([*rows.values()])


def _roots(given: Given, part: list) -> dict[str, str]:
    place, ancestors = part
    return roots(given.sets[place], [given.sets[other] for other in ancestors])


def last_turn(row: Row) -> str:
    """Return the text of an instruction: its last user turn, without the turns before."""
    return row["messages"][-1]["content"]


def with_last_turn(row: Row, text: str) -> list[dict]:
    """Return the messages of a row with another text in its last turn."""
    return [*row["messages"][:-1], {**row["messages"][-1], "content": text}]
