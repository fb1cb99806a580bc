"""Where evolved instructions come from: the pool of a round, the root of each row, and sets that are joined or paired by root."""

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import BadInput
from .steps import Given, Made, Row


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
