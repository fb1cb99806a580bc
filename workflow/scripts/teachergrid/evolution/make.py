"""Make a set of instructions from other sets and from what models answered: the part of rule `load_instructions` that evolves."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import units
from ..data.loading import Loaded, rows_of
from ..data.rows import columns_of, input_of, item_of
from ..errors import BadInput
from ..store import artifacts
from .methods import STAGES
from .steps import Fate, Given, Made, Replies, Row, roots_within

LINEAGE = ".lineage"  # after the name of the table
KEPT = "kept"
# one row per kind of thing that was asked for, and what became of it; beside the set (x.parquet.yields). what: the operator, or line,
# reply, function, case, instruction. outcome: kept, or why it was left out
YIELDS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (("what", pa.string()), ("outcome", pa.string()), ("rows", pa.int64()))
    ]
)


def make(
    name: str,
    step: dict[str, Any],
    sets: Sequence[str],
    responses: Sequence[str],
    tables: Sequence[str] = (),
    files: Sequence[str] = (),
) -> tuple[Loaded, list[dict]]:
    """Return (the rows of a set, its lineage: rows of artifacts.EVOLVED).

    Args:
        name: of the set.
        step: of its spec: `stage` and `settings`; with `work`, a folder for unfinished work, where there is one.
        sets, responses, tables: paths of what it reads, in the order of its step.
        files: the source of the seeds, where texts below the instructions are read from a file.
    Raises:
        BadInput: no row is left.
    """
    settings = step["settings"]
    beside = _beside(files[0] if files else None, settings["beside"], name) if "beside" in settings else {}
    given = Given(
        name, [*map(_rows, sets)], [*map(_replies, responses)], [*map(Path, tables)], beside, step.get("work")
    )
    made = STAGES[step["stage"]](given, settings)
    rows: dict[str, Row] = {}
    for row in made.rows:
        rows.setdefault(row["id"], {"answer": None, "category": None, "parent_id": None, "operator": None, **row})
    _say(name, made, len(rows))
    if not rows:
        raise BadInput(
            f"{name}: no instruction is left ({_reasons(made.fates)}); look at what the evolver wrote in the responses that this set "
            "reads, then change its teacher, its prompts or `eliminate`"
        )
    source = f"the {len(sets)} sets that it is made from"
    return Loaded([*rows.values()], source, len(made.rows) - len(rows), 0, Counter()), _lineage(given, made)


def _rows(path: str) -> list[Row]:
    return artifacts.read(path, artifacts.INSTRUCTIONS).to_pylist()


def _replies(path: str) -> Replies:
    by_id: dict[str, list[dict]] = defaultdict(list)
    for reply in artifacts.read(path, artifacts.RESPONSES).to_pylist():
        by_id[reply["id"]].append(reply)
    return {id: sorted(replies, key=lambda reply: reply["sample"]) for id, replies in by_id.items()}


def _beside(path: str | None, entry: dict, name: str) -> dict[str, str]:
    """Return {id of a seed: the text below its instruction} of a source. entry: of the config, with `fields`."""
    found = {}
    for place, row in rows_of(path, entry, columns_of(entry["fields"])):
        if text := input_of(row, entry, place):
            found[item_of(row, entry, name, place)["id"]] = text
    return found


def _lineage(given: Given, made: Made) -> list[dict]:
    """Return one row for each instruction that was asked: what it became, or why it was left out."""
    root = roots_within(given.sets[0], given.sets[1:]) if given.sets else {}
    number = max((row["round"] for row in made.rows), default=0)
    return [
        {
            "id": fate.row["id"] if fate.row else None,
            "parent_id": fate.parent,
            "root": root.get(fate.parent, fate.parent),
            "round": fate.row["round"] if fate.row else number if fate.round is None else fate.round,
            "operator": fate.operator,
            "reason": fate.reason,
            "text": fate.text,
        }
        for fate in made.fates
    ]


def yields(lineage: list[dict]) -> pa.Table:
    """Return YIELDS: how many of what were kept, or left out for which reason. lineage: as `make` returns it."""
    counts = Counter((row["operator"] or "", row["reason"] or KEPT) for row in lineage)
    rows = [{"what": what, "outcome": outcome, "rows": number} for (what, outcome), number in sorted(counts.items())]
    return artifacts.table(rows, YIELDS)


def _say(name: str, made: Made, rows: int) -> None:
    """Print how many rows were made, and what was left out by reason."""
    print(
        f"{name}: {units.count(rows)} rows"
        + (f"; of {len(made.fates)} that were asked: {_reasons(made.fates)}" if made.fates else "")
    )


def _reasons(fates: list[Fate]) -> str:
    counts = Counter(fate.reason or KEPT for fate in fates)
    return ", ".join(f"{reason} {units.count(number)}" for reason, number in sorted(counts.items())) or "none was asked"
