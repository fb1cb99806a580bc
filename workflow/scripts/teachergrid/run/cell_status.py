"""The cells of a grid as `status` shows them: what their rules state, and the states that a cell can be in. No graph is built."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..grid import phases
from ..job import failures
from ..planning.graph import with_workflow
from ..planning.options import inserted

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

DONE, RUNNING, WAITING, FAILED, BLOCKED, TO_DO, UNKNOWN = STATES = (
    "done",
    "running",
    "waiting",
    "failed",
    "blocked",
    "to do",
    "unknown",  # submitted, and the queue does not show it
)


@dataclass(eq=False)
class CellStatus:
    """A job of the grid, with its state.

    inputs, outputs: paths. timed: its rule has a benchmark. local: it runs where the run does, also with a cluster. node,
    elapsed_s, limit_s: while it runs. slurm, partition, reason: of its SLURM job. failure: the record of its last try. upstream:
    the cells that make its inputs.
    """

    rule: str
    cell: str
    spec: str
    gpus: int
    timed: bool
    inputs: list[str]
    outputs: list[str]
    local: bool = False
    state: str = TO_DO
    node: str | None = None
    elapsed_s: float | None = None
    limit_s: int | None = None
    slurm: str | None = None
    partition: str | None = None
    reason: str | None = None
    failure: failures.Record | None = None
    upstream: set["CellStatus"] = field(default_factory=set, repr=False)

    @property
    def name(self) -> str:
        return f"{self.rule} {self.cell}"


def cells(argv: list[str]) -> list[CellStatus]:
    """Return the grid's jobs, each after those that it needs, with their inputs and outputs as the rules state them.

    argv: Snakemake's options. No graph is built. In the mode `subprocess` the Snakefile does not touch the history.
    """
    return expanded(argv)[0]


def expanded(argv: list[str]) -> tuple[list[CellStatus], phases.Following | None]:
    """Return the grid's jobs, as `cells`, and what follows them at most where a pilot has no result yet."""
    grid, later = with_workflow(
        inserted(argv, "--mode", "subprocess"),
        lambda workflow: (list(_cells(workflow)), phases.following(workflow.globals["cells"])),
    )
    makers = {path: cell for cell in grid for path in cell.outputs}
    for cell in grid:
        cell.upstream = {makers[path] for path in cell.inputs if path in makers}
    return grid, later


def _cells(workflow: "Workflow") -> Iterator[CellStatus]:
    from snakemake.iocontainers import Wildcards

    rows = workflow.globals["cells"].rows
    # in the order of the rule files
    for rule in workflow.rules:
        names = re.findall(r"\{([a-z]\w*)", str(rule.output[0])) if rule.output else []
        for cell, row in rows.get(rule.name, {}).items():
            wildcards = Wildcards(fromdict=dict(zip(names, cell.split("/"), strict=True)))
            inputs, outputs = rule.expand_input(wildcards)[0], rule.expand_output(dict(wildcards.items()))[0]
            paths = list(map(str, inputs)), list(map(str, outputs))
            yield CellStatus(
                rule.name,
                cell,
                rule.params.spec(wildcards),
                row.get("gpus") or 0,
                rule.benchmark is not None,
                *paths,
                local=workflow.is_local(rule),
            )
