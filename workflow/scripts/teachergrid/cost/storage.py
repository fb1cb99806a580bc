"""The disk space in bytes that the results of a grid need, and whether the disk has it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from .. import units
from ..store import disk
from ..store.results import RESULTS
from . import resources, workload

# Bytes per weight: of a saved student by the recipe's dtype, and of a checkpoint (float32 and two values of Adam).
SAVED, TRAINED = {"float32": 4, "bfloat16": 2}, 12
# so many are kept: the newest may be half written when the machine dies
CHECKPOINTS = 2
# of a model's weights, at rank 64 on all linear layers
ADAPTER_SHARE = 0.03
SHARE_KEPT = {"model": 1, "adapter": ADAPTER_SHARE, "none": 0}
# Bytes: a row's id and counts; a token's text; its log-probability and rank (measured, compressed).
ROW, TEXT, LIKELIHOOD = 25, 3, 8
# in the spec of likelihoods that keep distributions, too: these take as much again
DISTRIBUTIONS = '"distributions": true'


class HasRows(Protocol):
    """The table of cells (grid.cells.Cells), as this room sees it: {rule: {cell: row}}."""

    @property
    def rows(self) -> Mapping[str, Mapping[str, dict]]: ...


def peak(cells: HasRows, at_once: int) -> dict[str, int]:
    """Return the most bytes that a grid holds at once, by kind.

    The kinds are responses, likelihoods, answers, students and checkpoints. Weights that will be deleted count while their student
    trains and while it answers.

    Args:
        at_once: jobs that run at the same time.
    """
    rows = cells.rows
    tables = {
        "responses": sum(table(row, TEXT) for row in rows["generate"].values()),
        # two text formats; the passes of a job see the tokens several times
        "likelihoods": sum(
            2 * (1 + (DISTRIBUTIONS in row["spec"])) * table(row, LIKELIHOOD / resources.LIKELIHOOD_PASSES)
            for row in rows["likelihood"].values()
        ),
        "answers": sum(table(row, TEXT) for row in rows["answer"].values()),
    }
    students = rows["finetune"].values()
    kept = sum(saved(row) * SHARE_KEPT[row["keep"]] for row in students)
    freed = sorted(saved(row) * (1 - SHARE_KEPT[row["keep"]]) for row in students)
    checkpoints = sorted(map(checkpoint_bytes, students))
    return {
        **tables,
        # at_once students that train, and as many that answer
        "students": int(kept + sum(freed[-2 * at_once :])),
        "checkpoints": int(sum(checkpoints[-at_once:])),
    }


def table(row: dict, per_token: float) -> int:
    """Return the bytes of a job's table. per_token: bytes of a token."""
    return int(row["rows"] * (ROW + row["tokens"] * per_token))


def weights(row: dict) -> float:
    """Return how many weights a model has."""
    return 1e9 * workload.parameters(row)


def saved(row: dict) -> float:
    """Return the bytes of a student's weights as they are saved."""
    return weights(row) * SAVED[row["dtype"]]


def checkpoint_bytes(row: dict) -> float:
    """Return the bytes that a student's checkpoints take while it trains."""
    return CHECKPOINTS * weights(row) * TRAINED * (ADAPTER_SHARE if row["lora"] else 1)


def lacking(cells: HasRows, at_once: int) -> str | None:
    """Return a sentence where the disk has too little space for what a grid still needs, else None."""
    needed = peak(cells, at_once)
    more = sum(needed.values()) - sum(disk.size(path) for path in Path(RESULTS).glob("[!.]*"))
    free = disk.free_bytes(RESULTS)
    if more <= free:
        return None
    parts = ", ".join(f"{name} {units.size(n)}" for name, n in sorted(needed.items(), key=lambda item: -item[1]) if n)
    return (
        f"{RESULTS} will need up to {units.size(more)} more ({parts}) and has {units.size(free)} free; `keep: none` or "
        "`keep: adapter` in a recipe deletes weights after a student's last answer, and fewer jobs at once need fewer checkpoints"
    )
