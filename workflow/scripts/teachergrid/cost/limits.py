"""What jobs ask SLURM for, held against the partitions of the profile's file.

Retries ask for more time and memory than the first try. Here both are cut to what a partition has, since a job that no partition
takes waits for ever. Snakemake is not imported: its resources are used as `Stated` describes them.
"""

import argparse
import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict

from ..slurm import partitions
from . import resources

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

CUT = partitions.CUT
# minutes that a job asks for at most, where a partition has no limit: it can then wait for nodes that are kept for maintenance
UNLIMITED = 7 * 24 * 60
ENVIRONMENT = "SNAKEMAKE_SLURM_PARTITIONS"  # where the plugin looks for a file, unless its option names one


class Stated(Protocol):
    """A resource as Snakemake holds it: a value, or an expression. raw: the text of an expression in a profile."""

    raw: Any

    @property
    def value(self) -> Any: ...

    def is_evaluable(self) -> bool: ...

    def evaluate(self, *args: Any, **kwargs: Any) -> "Stated": ...


class Cells(Protocol):
    """The table of cells (grid.cells.Cells)."""

    rows: dict[str, dict[str, Any]]


class Of(NamedTuple):
    """What an expression in a profile may read of a job; without a graph of jobs neither is known."""

    wildcards: Any = None
    input: Any = None
    async_run: Any = None


class Limits:
    """The partitions of a file, and what the jobs of a grid ask for.

    file: where the partitions come from. cells: of the grid. overruled: {rule: {resource: stated}} of --set-resources. default:
    {resource: stated} of --default-resources. threads: {rule: threads} of --set-threads.
    """

    def __init__(
        self,
        file: str,
        cells: Cells,
        overruled: Mapping[str, Mapping[str, Stated]] | None = None,
        default: Mapping[str, Stated] | None = None,
        threads: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the file. Raises BadInput."""
        self.file, self.cells = file, cells
        self.partitions = partitions.read(file)
        self.overruled, self.default, self.threads = overruled or {}, default or {}, threads or {}
        longest = max(entry.limits["max_runtime"] for entry in self.partitions)
        self.longest = UNLIMITED if longest == math.inf else max(resources.LONGEST, int(longest))
        self._fixed: dict[tuple[str, int], tuple[dict[str, Any], dict[str, Stated]]] = {}
        self._cut: dict[tuple, dict[str, Any]] = {}
        self._partition: dict[tuple, str | None] = {}

    @classmethod
    def of_options(cls, args: argparse.Namespace, cells: Cells) -> "Limits | None":
        """Return the limits that Snakemake's parsed options name; None for a run that is not on SLURM, or without a file."""
        file = file_of(getattr(args, "slurm_partition_config", None)) if args.executor == "slurm" else None
        return cls(file, cells, args.set_resources, args.default_resources, args.set_threads) if file else None

    @classmethod
    def of_workflow(cls, workflow: "Workflow", cells: Cells) -> "Limits | None":
        """Return the limits of a workflow that Snakemake runs; None as above."""
        settings, asked = workflow.executor_settings, workflow.resource_settings
        file = file_of(settings.partition_config) if hasattr(settings, "partition_config") else None
        if file is None:
            return None
        return cls(file, cells, asked.overwrite_resources, asked.default_resources, asked.overwrite_threads)

    # --- what a job asks for

    def asked(self, rule: str, cell: str, attempt: int = 1, of: Of | None = None) -> dict[str, Any]:
        """Return what a job asks for, by the names of partitions.ASKED, with time and memory cut to what a partition has."""
        wanted = self.wanted(rule, cell, attempt, of)
        first = wanted if attempt == 1 else self.wanted(rule, cell, 1, of)
        least = wanted | {name: first[name] for name in CUT if name in first}
        if "runtime" not in self.overruled.get(rule, {}):
            # our own requests are generous, so any time is tried; what a profile states is meant
            least["runtime"] = 1
        key = (*least.items(), *wanted.items())
        if key not in self._cut:
            self._cut[key] = partitions.within(self.partitions, least, wanted)
        return self._cut[key]

    def wanted(self, rule: str, cell: str, attempt: int, of: Of | None = None) -> dict[str, Any]:
        """Return what a job would ask for without partitions."""
        of, row = of or Of(), self.cells.rows[rule][cell]
        fixed, open_ones = self._stated(rule, attempt)
        values = dict(fixed)
        for name in resources.named(rule):
            if name in partitions.ASKED and name not in self.overruled.get(rule, {}):
                values[name] = resources.need(rule, name, row, attempt, self.longest)
        for name, stated in open_ones.items():
            if of.wildcards is not None:
                values[name] = _value(rule, stated, attempt, fixed["threads"], of)
        return {name: value for name, value in values.items() if value is not None}

    def _stated(self, rule: str, attempt: int) -> tuple[dict[str, Any], dict[str, Stated]]:
        """Return what a profile states for a rule: ({resource: value}, {resource: expression that reads the job})."""
        if (rule, attempt) not in self._fixed:
            threads = self.threads.get(rule, 1)
            known = threads if isinstance(threads, int) else _value(rule, threads, attempt, 1, Of())
            values: dict[str, Any] = {"threads": known if isinstance(known, int) else 1}
            open_ones: dict[str, Stated] = {}
            overruled = self.overruled.get(rule, {})
            default = {name: self.default[name] for name in self.default if name not in resources.named(rule)}
            for name, stated in {**default, **overruled}.items():
                if name not in partitions.ASKED:
                    continue
                if stated.is_evaluable() and any(word in str(stated.raw) for word in ("wildcards", "input", "None")):
                    open_ones[name] = stated
                else:
                    values[name] = _value(rule, stated, attempt, values["threads"], Of())
            self._fixed[rule, attempt] = values, open_ones
        return self._fixed[rule, attempt]

    # --- against the partitions

    def place(self, rule: str, cell: str, of: Of | None = None) -> "Place":
        """Return where a job goes. Its retries ask for no more than a partition has, so that the first try decides."""
        asked = self.asked(rule, cell, 1, of)
        return Place(self, rule, cell, of or Of(), asked, self.partition(asked))

    def partition(self, asked: Mapping[str, Any]) -> str | None:
        """Return the partition that a job goes to, as the plugin chooses it; None where none takes it."""
        key = tuple(asked.items())
        if key not in self._partition:
            named = asked.get("slurm_partition")
            # a partition that a job names and the file does not know is taken as it is
            unknown = named if named and not partitions.candidates(self.partitions, asked) else None
            best = partitions.best(self.partitions, asked)
            self._partition[key] = unknown or (named or best.name if best else None)
        return self._partition[key]

    def sent(self, rule: str, cell: str, of: Of) -> "Place | None":
        """Return where a job goes; None for one that runs beside the main process."""
        return None if rule in LOCAL else self.place(rule, cell, of)

    def unplaced(self) -> dict[str, list[tuple["Place", str]]]:
        """Return {rule: [(place, cell)]} of the cells that no partition takes."""
        by_rule: dict[str, list[tuple[Place, str]]] = {}
        for rule in self.cells.rows.keys() - LOCAL:
            for cell in self.cells.rows[rule]:
                if (place := self.place(rule, cell)).partition is None:
                    by_rule.setdefault(rule, []).append((place, cell))
        return by_rule

    def cut(self, retries: int) -> list[str]:
        """Return a sentence for each rule whose --set-resources ask for more, in some try, than any partition has."""
        lines = []
        for rule in sorted(self.overruled.keys() & self.cells.rows.keys() - LOCAL):
            names = [name for name in CUT if name in self.overruled[rule]]
            first = [cell for cell in [*self.cells.rows[rule]][:1] if self.place(rule, cell).partition is not None]
            for cell, name in [(cell, name) for cell in first for name in names]:
                for attempt in range(1, retries + 2):
                    wanted, given = (ask(rule, cell, attempt).get(name) for ask in (self.wanted, self.asked))
                    if wanted != given:
                        unit = "minutes" if name == "runtime" else "MB"
                        lines.append(
                            f"{rule}: `set-resources` states {wanted} {unit} for try {attempt}, more than a partition of "
                            f"{self.file} that takes the job has; it asks for {given}"
                        )
                        break
        return lines


class OnSlurm(TypedDict):
    """What the first try of a job asks SLURM for. partition: None where none takes it."""

    partition: str | None
    mem_mb: int | None
    minutes: int | None


class Place(NamedTuple):
    """Where a job goes on SLURM, and what it asks for. partition: None where none takes it. asked: as `Limits.asked` returns it."""

    limits: Limits
    rule: str
    cell: str
    of: Of
    asked: dict[str, Any]
    partition: str | None

    def refusal(self) -> str | None:
        """Return why no partition takes the job, None where one does."""
        if self.partition is not None:
            return None
        return partitions.refusal(self.limits.partitions, self.asked, self.limits.file)

    def types(self) -> tuple[str, ...]:
        """Return the GPU types of the partition that the job goes to; () where the file lists none."""
        entries = (entry for entry in self.limits.partitions if self.partition == entry.name)
        return next((entry.models or () for entry in entries), ())

    def size(self) -> tuple[float, float]:
        return self.asked.get("mem_mb", 0), self.asked.get("runtime", 0)

    def described(self) -> OnSlurm:
        return {
            "partition": self.partition,
            "mem_mb": self.asked.get("mem_mb"),
            "minutes": self.asked.get("runtime"),
        }

    def walltimes(self, tries: int, seconds: float) -> list[float]:
        """Return the seconds that each try asks for; [] where the first is long enough for `seconds`, or states no time."""
        if 60 * self.asked.get("runtime", math.inf) >= seconds:
            return []
        asked = [self.limits.asked(self.rule, self.cell, attempt, self.of) for attempt in range(1, tries + 1)]
        return [60.0 * one["runtime"] for one in asked if isinstance(one.get("runtime"), int | float)]


def told(places: list[tuple[Place, str]]) -> tuple[str, list[str]]:
    """Return (why no partition takes the largest of these jobs, the names of all, the largest first)."""
    ordered = sorted(places, key=lambda item: item[0].size(), reverse=True)
    return ordered[0][0].refusal() or "", [name for _, name in ordered]


# rules that run beside the main process
LOCAL = {"gate", "free"}


def file_of(option: Any) -> str | None:
    """Return the file of partitions: of the plugin's option, or of its variable; None without either."""
    path = option or os.environ.get(ENVIRONMENT)
    return str(path) if path else None


def _value(rule: str, stated: Stated, attempt: int, threads: int, of: Of) -> Any:
    """Return the value of a resource; None where it is not known before the job starts."""
    if not stated.is_evaluable():
        return stated.value
    value = stated.evaluate(
        of.wildcards, input=of.input, attempt=attempt, threads=threads, rulename=rule, async_run=of.async_run
    ).value
    return value if isinstance(value, int | float) or type(value) is str else None


# --- in a run


def hold(workflow: "Workflow", cells: Cells) -> None:
    """Let the jobs of a workflow that runs on SLURM ask for no more time and memory than a partition has."""
    known: list[Limits | None] = []

    def limits() -> Limits | None:
        # the executor's settings are known only after the Snakefile was read
        if not known:
            known.append(Limits.of_workflow(workflow, cells))
        return known[0]

    for rule in workflow.rules:
        if rule.name in cells.rows and rule.name not in LOCAL:
            for name in CUT:
                stated = rule.resources[name]
                rule.resources[name] = type(stated)(name, held(name, stated, limits))


def held(name: str, stated: Stated, limits: Callable[[], Limits | None]) -> Callable:
    """Return a function for Snakemake that returns one resource of a job, cut to what a partition has."""

    def value(wildcards: Any, input: Any, attempt: int, threads: int, rulename: str, async_run: Any) -> Any:
        found = limits()
        if found is None:
            return stated.evaluate(
                wildcards, input=input, attempt=attempt, threads=threads, rulename=rulename, async_run=async_run
            ).value
        return found.asked(rulename, "/".join(wildcards), attempt, Of(wildcards, input, async_run)).get(name)

    return value
