"""The first paper's tables, as shipped in `published/` (its README.md states the source)."""

import csv
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "published"


def rows(name: str = "tables") -> list[dict]:
    """Return the rows of a shipped CSV; those of Table 6 with AP, which the paper does not print."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        found = list(csv.DictReader(file))
    if name == "tables":
        cells = {
            (r["base_model"], r["teacher"], r["metric"]): float(r["value"]) for r in found if r["table"] == "Table6"
        }
        for base, teacher in dict.fromkeys(key[:2] for key in cells):
            value = average_performance(cells[base, teacher, "AE2_LC"], cells[base, teacher, "AH"])
            named = {"table": "Table6", "base_model": base, "teacher": teacher, "metric": "AP"}
            found.append({**named, "value": f"{value:.3f}"})
    return found


def average_performance(lc: float, ah: float) -> float:
    """AP = (AlpacaEval 2 LC + Arena-Hard) / 2; the raw win rate is not in it."""
    return (lc + ah) / 2


def short(teacher: str) -> str:
    """Meta-Llama-3-8B-Instruct -> Llama-3-8B"""
    return re.sub(r"(-128k)?-([Ii]nstruct|it)$", "", teacher.removeprefix("Meta-"))
