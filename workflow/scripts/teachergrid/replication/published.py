"""The first paper's tables, as shipped in `tables/` (its README.md states the source)."""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

FOLDER = Path(__file__).parent / "tables"
Points = TypeVar("Points", float, "np.ndarray")


def rows(name: str = "tables") -> list[dict[str, str]]:
    """Return the rows of a shipped CSV; those of Table 6 with AP, which the paper does not print."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        shipped = list(csv.DictReader(file))
    return shipped + _ap_rows(shipped) if name == "tables" else shipped


def _ap_rows(shipped: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return rows with the AP of Table 6."""
    scores = {
        (r["base_model"], r["teacher"], r["metric"]): float(r["value"]) for r in shipped if r["table"] == "Table6"
    }
    ap_rows = []
    for base, teacher in dict.fromkeys((base, teacher) for base, teacher, _ in scores):
        value = average_performance(scores[base, teacher, "AE2_LC"], scores[base, teacher, "AH"])
        row = {"table": "Table6", "base_model": base, "teacher": teacher, "metric": "AP"}
        ap_rows.append({**row, "value": f"{value:.3f}"})
    return ap_rows


def average_performance(lc: Points, ah: Points) -> Points:
    """Return AP = (AlpacaEval 2 LC + Arena-Hard) / 2, in points; the raw win rate is not in it."""
    return (lc + ah) / 2


def short(teacher: str) -> str:
    """Return a teacher's name without vendor and suffix: Meta-Llama-3-8B-Instruct -> Llama-3-8B."""
    return re.sub(r"(-128k)?-([Ii]nstruct|it)$", "", teacher.removeprefix("Meta-"))
