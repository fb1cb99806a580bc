"""What a report is about: the tables of a grid block, in the order and under the names that all its sections use."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import artifacts, schema

POOLED = "pooled"
NO_FAMILY = "no family stated"
NOT_ASKED = "not in this grid"


@dataclass
class Facts:
    """cells: the AP row of every (base, panel, unit) that has one; units, bases, panels: in the order of the config."""

    data: dict
    settings: dict
    compare: str
    bases: list[str]
    units: list[str]
    panels: list[str | None]
    cells: dict[tuple, dict] = field(default_factory=dict)
    references: dict[str, list[dict]] = field(default_factory=dict)  # AP rows by base

    def cell(self, base, panel, unit) -> dict:
        """Return the AP row of a cell, all null where there is none."""
        return self.cells.get((base, panel, unit)) or blank("performance")

    @property
    def only_measured(self) -> bool:
        """Whether nothing is trained: a block without recipes only measures responses, and its cells have no student."""
        return bool(self.settings["students"]) and not any(s["student"] for s in self.settings["students"])

    def series(self, unit: str) -> int:
        """Return the number of a unit's family: its colour and shape in every plot."""
        return self.families.index(self.family(unit))

    @property
    def families(self) -> list[str]:
        return list(dict.fromkeys(self.family(unit) for unit in self.units))

    @property
    def stated_families(self) -> list[str]:
        return [name for name in self.families if name != NO_FAMILY]

    def family(self, unit: str) -> str:
        return (self.settings["teachers"].get(unit) or {}).get("family") or NO_FAMILY

    def corpora(self, unit: str, base: str | None = None) -> list[str]:
        students = [
            s for s in self.settings["students"] if unit_of(s, self.compare) == unit and base in (None, s["base"])
        ]
        return list(dict.fromkeys(s["corpus"] for s in students))


def gather(data: dict) -> Facts:
    """Return the facts of a report. Every key of data may be missing or null."""
    data = with_columns(clean(data))
    settings = {key: (data.get("settings") or {}).get(key) or kind() for key, kind in SETTINGS.items()}
    settings["metrics"] = {
        name: schema.filled(entry, schema.definition("metric")) for name, entry in settings["metrics"].items()
    }
    # all sections but one are about all responses of a cell
    data["by_category"] = [row for row in data["metrics"] if row["category"] is not None]
    data["metrics"] = [row for row in data["metrics"] if row["category"] is None]
    settings["grid"] = {**dict.fromkeys(("compare", "seeds", "performance", "primary")), **settings["grid"]}
    block, rows = settings["grid"], data["performance"]
    compare = block["compare"] or "teacher"
    aps = [row for row in rows if row["measure"] == "AP"]
    students = [row for row in aps if row["kind"] != "reference"]
    named = [unit_of(s, compare) for s in settings["students"]]
    ordered = [name for name in block.get(LISTED[compare]) or [] if name in named]
    facts = Facts(
        data,
        settings,
        compare,
        bases=_distinct([s["base"] for s in settings["students"]] + [row["base"] for row in students]),
        units=_distinct(ordered + named + [row["unit"] for row in students]),
        panels=list(dict.fromkeys(row["panel"] for row in students)) or [None],
    )
    facts.cells = {(row["base"], row["panel"], row["unit"]): row for row in students}
    for row in aps:
        if row["kind"] == "reference":
            for base in [row["base"]] if row["base"] else facts.bases:
                facts.references.setdefault(base, []).append(row)
    return facts


LISTED = {
    "teacher": "teachers",
    "instructions": "instructions",
    "recipe": "recipes",
}  # key of the grid that lists the units
TABLES = {
    "performance": artifacts.PERFORMANCE.names,
    "metrics": artifacts.GRID_METRICS.names,
    "correlations": artifacts.CORRELATIONS.names,
    "effects": artifacts.EFFECTS.names,
    "lineage": artifacts.LINEAGE.names,
    "contamination": artifacts.CONTAMINATION.names,
    "failures": ("cell", "rule", "kind", "reason", "log"),
    "stages": ("rule", "jobs", "wall_s", "cpu_s", "max_rss_mb"),
    "reward_quality": ("reward", "same_prompt_accuracy", "auc", "auc_difficulty_only", "n_pairs"),
}
SETTINGS = {
    **dict.fromkeys(("grid", "metrics", "teachers", "bases", "suites", "recipes"), dict),
    **dict.fromkeys(("students", "references", "pairs"), list),
}


def clean(value):
    """Return the same with NaN and infinities as None: what is undefined has one form."""
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def blank(table: str) -> dict:
    """Return a row of a table with all columns null."""
    return dict.fromkeys(TABLES[table])


def with_columns(data: dict) -> dict:
    """Return the data with all its tables, and every row with all its columns."""
    tables = {key: [{**blank(key), **row} for row in data.get(key) or []] for key in TABLES}
    health = {
        name: [{**dict.fromkeys([*artifacts.HEALTH.names, "limit", "passed"]), **row} for row in rows or []]
        for name, rows in (data.get("health") or {}).items()
    }
    return {**dict.fromkeys(("notes", "title", "estimates")), **data, **tables, "health": health}


def unit_of(student: dict, compare: str) -> str:
    """Return what a student stands for in a grid; a derived corpus stands under its own name."""
    return student.get(compare) or student["corpus"]


def places(facts: Facts) -> list[tuple]:
    """Return every (base, panel): what one plot shows."""
    return [(base, panel) for base in facts.bases for panel in facts.panels]


def place(facts: Facts, base: str, panel) -> str:
    return f"{base}, {panel}" if len(facts.panels) > 1 and panel else base


def role_of(reference: str, facts: Facts) -> dict:
    found = (r for r in facts.settings["references"] if r["name"] == reference)
    return {"role": None, "format": None, **next(found, {})}


def why_missing(facts: Facts, base: str, unit: str) -> str:
    """Return the reason of a cell without a number: its failure, or that of a job it waits for."""
    students = [
        s["student"] for s in facts.settings["students"] if s["base"] == base and unit_of(s, facts.compare) == unit
    ]
    if not students:
        return NOT_ASKED
    for failure in facts.data["failures"]:
        cell = failure["cell"] or ""
        if any(student in cell for student in students if student) or set(cell.split("/")) & set(
            facts.corpora(unit, base)
        ):
            return f"{failure['rule'] or 'failed'}: {failure['reason'] or 'no reason in its log'}"
    return "no result"


def _distinct(names) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
