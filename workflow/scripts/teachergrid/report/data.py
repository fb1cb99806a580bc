"""The data of a report: the tables of a grid block, in the order and under the names that all sections use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from ..analysis import evolution
from ..analysis.scores import UNIT_WORDS
from ..pages import text
from ..spec import schema
from ..store import artifacts

POOLED, NO_FAMILY, NOT_IN_GRID = "pooled", "no family stated", "not in this grid"
# by the config's `compare`: the key of the grid that lists the units
UNITS_OF = {"teacher": "teachers", "instructions": "instructions", "recipe": "recipes"}
# of a rank correlation
INTERVALS = tuple((f"low{kind}", f"high{kind}") for kind in ("", "_nested", "_family", "_of_families"))
Row = dict[str, Any]  # of a table: all its columns, None where unknown
Cell = tuple[str, str | None, str]  # base, panel, unit


class Settings(TypedDict):
    """The settings of `correlate`: a grid block, and the entries of the config that it uses."""

    grid: Row
    metrics: dict[str, Row]
    teachers: dict[str, Row]
    bases: dict[str, Row]
    suites: dict[str, Any]
    recipes: dict[str, Row]
    corpora: dict[str, Row]
    students: list[Row]
    references: list[Row]
    kin: dict[str, Row]  # judge -> "family" and "names" of the teachers and bases that it may favour


class Inputs(TypedDict):
    """What a report is made from. All keys exist, and every row has all columns of its table."""

    title: str | None
    config_files: list[str]  # of the run that makes the page
    settings: Settings
    # tables of artifacts
    performance: list[Row]
    metrics: list[Row]  # over all responses of a cell
    by_category: list[Row]  # the same columns, over the responses of one category
    correlations: list[Row]  # in the direction that each metric promises
    effects: list[Row]
    lineage: list[Row]
    contamination: list[Row]
    evolved: list[Row]  # of analysis.evolution
    evolution_costs: list[Row]
    grades: list[Row]
    evolution_scores: list[Row]
    recommendation: Row
    pilot: Row | None  # see pilot.section
    health: dict[str, list[Row]]  # responses id -> checks with limit and verdict
    sizes: dict[str, int]  # instruction set -> number of instructions
    rewards: dict[str, dict[str, float] | None]  # responses id -> reward -> mean
    reward_quality: list[Row]
    circular: dict[str, list[str]]  # judge -> metrics that use its reward
    derived: dict[str, str]  # judge -> the one whose verdicts it takes
    losses: list[str]  # the judges that are a model's own loss
    trust: Row  # of trust.as_json: what the verdicts say about the judges
    verdicts: list[Row]  # of analysis.verdicts, with the question
    samples: dict[str, list[Row]]
    failures: list[Row]
    stages: list[Row]
    estimates: Row | None  # of estimates.compared
    notes: list[str]
    provenance: Row


COLUMNS: dict[str, Iterable[str]] = {
    "performance": artifacts.PERFORMANCE.names,
    "metrics": artifacts.GRID_METRICS.names,
    "correlations": artifacts.CORRELATIONS.names,
    "effects": artifacts.EFFECTS.names,
    "lineage": artifacts.LINEAGE.names,
    "contamination": artifacts.CONTAMINATION.names,
    "evolved": evolution.COLUMNS,
    "evolution_costs": evolution.COSTS,
    "grades": evolution.GRADES,
    "evolution_scores": evolution.SCORES,
    "health": (*artifacts.HEALTH.names, "limit", "passed"),
    "failures": ("cell", "rule", "kind", "reason", "log"),
    "stages": ("rule", "jobs", "wall_s", "cpu_s", "max_rss_mb"),
    "reward_quality": ("reward", "same_prompt_accuracy", "auc", "auc_difficulty_only", "n_pairs"),
}


@dataclass(frozen=True)
class PageData:
    """What all sections of a report read. Bases, units and panels are in the order of the config."""

    inputs: Inputs
    compare: str  # what a unit is: teacher, instructions or recipe
    bases: list[str]
    units: list[str]
    panels: list[str | None]
    cells: dict[Cell, Row]  # rows of AP, of the cells that have one
    references: dict[str, list[Row]]  # base -> rows of AP

    @property
    def unit_name(self) -> str:
        return UNIT_WORDS[self.compare][0]

    @property
    def units_name(self) -> str:
        return UNIT_WORDS[self.compare][1]

    @property
    def settings(self) -> Settings:
        return self.inputs["settings"]

    def cell(self, base: str, panel: str | None, unit: str) -> Row:
        """Return the AP row of a cell; all its columns are None where it has no result."""
        return self.cells.get((base, panel, unit)) or blank("performance")

    @property
    def only_measured(self) -> bool:
        """Whether nothing is trained: a block without recipes only measures responses, and its cells have no student."""
        students = self.settings["students"]
        return bool(students) and not any(s["student"] for s in students)

    def series(self, unit: str) -> int:
        """Return the number of a unit's family, which decides its colour and shape in every plot."""
        return self.families.index(self.family(unit))

    @property
    def families(self) -> list[str]:
        return list(dict.fromkeys(self.family(unit) for unit in self.units))

    @property
    def stated_families(self) -> list[str]:
        return [name for name in self.families if name != NO_FAMILY]

    def family(self, unit: str) -> str:
        return (self.settings["teachers"].get(unit) or {}).get("family") or NO_FAMILY

    def students(self, unit: str, base: str | None = None) -> list[Row]:
        """Return the settings of a unit's students, on one base or on all."""
        students = self.settings["students"]
        return [s for s in students if unit_of(s, self.compare) == unit and base in (None, s["base"])]

    def corpora(self, unit: str, base: str | None = None) -> list[str]:
        return list(dict.fromkeys(s["corpus"] for s in self.students(unit, base)))


def gather(data: Mapping[str, Any]) -> PageData:
    """Return the data of a report.

    Args:
        data: the keys of Inputs; each of them, and each column of a row, may be missing or null.
    """
    inputs = parse(data)
    settings = inputs["settings"]
    block, compare = settings["grid"], settings["grid"]["compare"] or "teacher"
    performances = [row for row in inputs["performance"] if row["measure"] == "AP"]
    students = [row for row in performances if row["kind"] != "reference"]
    bases = _distinct([s["base"] for s in settings["students"]] + [row["base"] for row in students])
    names = [unit_of(s, compare) for s in settings["students"]]
    in_order = [name for name in block.get(UNITS_OF[compare]) or [] if name in names]
    references: dict[str, list[Row]] = {}
    for row in performances:
        if row["kind"] == "reference":
            for base in [row["base"]] if row["base"] else bases:
                references.setdefault(base, []).append(row)
    return PageData(
        inputs=inputs,
        compare=compare,
        bases=bases,
        units=_distinct(in_order + names + [row["unit"] for row in students]),
        panels=list(dict.fromkeys(row["panel"] for row in students)) or [None],
        cells={(row["base"], row["panel"], row["unit"]): row for row in students},
        references=references,
    )


def parse(data: Mapping[str, Any]) -> Inputs:
    """Return data with all keys and columns of Inputs: empty tables and None for what is missing."""
    data = text.clean(data)
    metrics = _rows("metrics", data.get("metrics"))
    return Inputs(
        title=data.get("title"),
        config_files=data.get("config_files") or [],
        settings=_settings(data.get("settings") or {}, data.get("recommendation") or {}),
        performance=_rows("performance", data.get("performance")),
        metrics=[row for row in metrics if row["category"] is None],
        by_category=[row for row in metrics if row["category"] is not None],
        correlations=list(map(promised, _rows("correlations", data.get("correlations")))),
        effects=_rows("effects", data.get("effects")),
        lineage=_rows("lineage", data.get("lineage")),
        contamination=_rows("contamination", data.get("contamination")),
        evolved=_rows("evolved", data.get("evolved")),
        evolution_costs=_rows("evolution_costs", data.get("evolution_costs")),
        grades=_rows("grades", data.get("grades")),
        evolution_scores=_rows("evolution_scores", data.get("evolution_scores")),
        recommendation=data.get("recommendation") or {},
        pilot=data.get("pilot"),
        health={name: _rows("health", rows) for name, rows in (data.get("health") or {}).items()},
        sizes=data.get("sizes") or {},
        rewards=data.get("rewards") or {},
        reward_quality=_rows("reward_quality", data.get("reward_quality")),
        circular=data.get("circular") or {},
        derived=data.get("derived") or {},
        losses=data.get("losses") or [],
        trust={"judges": [], "pairs": [], **(data.get("trust") or {})},
        verdicts=data.get("verdicts") or [],
        samples=data.get("samples") or {},
        failures=_rows("failures", data.get("failures")),
        stages=_rows("stages", data.get("stages")),
        estimates=data.get("estimates"),
        notes=data.get("notes") or [],
        provenance=data.get("provenance") or {},
    )


def _settings(settings: Mapping[str, Any], recommendation: Mapping[str, Any]) -> Settings:
    metrics = (settings.get("metrics") or {}).items()
    grid = {**dict.fromkeys(("compare", "seeds", "performance", "primary")), **(settings.get("grid") or {})}
    # what AP is the mean of: scores of judges that are not independent may be left out of it
    grid["performance"] = recommendation.get("performance") or grid["performance"]
    return Settings(
        grid=grid,
        metrics={name: schema.filled(entry, schema.definition("metric")) for name, entry in metrics},
        teachers=settings.get("teachers") or {},
        bases=settings.get("bases") or {},
        suites=settings.get("suites") or {},
        recipes=settings.get("recipes") or {},
        corpora=settings.get("corpora") or {},
        students=settings.get("students") or [],
        references=settings.get("references") or [],
        kin=settings.get("kin") or {},
    )


def _rows(table: str, rows: Iterable[Row] | None) -> list[Row]:
    """Return rows with all columns of their table."""
    return [{**blank(table), **row} for row in rows or []]


def promised(row: Row) -> Row:
    """Return a row of correlations in the direction that its metric promises: positive where the promise holds.

    The table keeps the sign of the metric's values: a metric whose low values promise a better student has a negative rho there.
    """
    if row["direction"] != "lowest":
        return row
    ends = {key: row[other] for low, high in INTERVALS for key, other in ((low, high), (high, low))}
    turned = ends | {key: row[key] for key in ("rho", "tau_b")}
    return row | {key: None if value is None else -value for key, value in turned.items()}


def blank(table: str) -> Row:
    """Return a row of a table with all columns None."""
    return dict.fromkeys(COLUMNS[table])


def unit_of(student: Row, compare: str) -> str:
    """Return the unit of a student in a grid; for a derived corpus it is the corpus' own name."""
    return student.get(compare) or student["corpus"]


def places(data: PageData) -> list[tuple[str, str | None]]:
    """Return every (base, panel): what one plot shows."""
    return [(base, panel) for base in data.bases for panel in data.panels]


def place(data: PageData, base: str, panel: str | None) -> str:
    """Return the name of a (base, panel), without the panel where there is only one."""
    return f"{base}, {panel}" if len(data.panels) > 1 and panel else base


def role_of(reference: str, data: PageData) -> Row:
    """Return the settings of a reference, with role and format None where they are unknown."""
    settings = next((r for r in data.settings["references"] if r["name"] == reference), {})
    return {"role": None, "format": None, **settings}


def why_missing(data: PageData, base: str, unit: str) -> str:
    """Return why a cell has no number: its failure, or that of a job that it needs."""
    settings = data.students(unit, base)
    if not settings:
        return NOT_IN_GRID
    students = [s["student"] for s in settings if s["student"]]
    corpora = set(data.corpora(unit, base))
    for failure in data.inputs["failures"]:
        cell = failure["cell"] or ""
        if any(student in cell for student in students) or corpora & set(cell.split("/")):
            return f"{failure['rule'] or 'failed'}: {failure['reason'] or 'no reason in its log'}"
    return "no result"


def _distinct(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
