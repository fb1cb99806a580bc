"""What each planned job needs to run, as plain values."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cost.actuals import Actuals
from ..cost.estimate import Basis, basis
from ..cost.limits import Limits, Of, Place
from ..cost.machines import Machines
from ..cost.saved_estimates import Estimate
from ..store.results import RESULTS
from .graph import cell, resource

if TYPE_CHECKING:
    from snakemake.jobs import Job


class Request(NamedTuple):
    """What a job needs to run.

    row: of grid.cells.Cells, with `gpus` as the job gets them: a profile may overrule the config. threads: CPUs.
    needs: indices of the jobs whose outputs it reads. place: on SLURM.
    """

    rule: str
    cell: str
    row: dict
    threads: int
    needs: tuple[int, ...] = ()
    place: Place | None = None

    @property
    def name(self) -> str:
        return f"{self.rule} {self.cell}"

    def basis(self, found: Estimate, actuals: Actuals, machines: Machines) -> Basis:
        """Return what the estimate of this job is based on."""
        return basis(self.rule, self.row, found, actuals, machines, self.cell)


def request(job: "Job", n_gpus: int, needs: Iterable[int] = (), limits: Limits | None = None) -> Request:
    """Return what a job needs. n_gpus: as `gpus` counts them. limits: of SLURM's partitions, None for a run elsewhere."""
    rule, key, workflow = job.rule.name, cell(job), job.dag.workflow
    row = workflow.globals["cells"].rows[rule][key] | {"gpus": n_gpus}
    place = limits.sent(rule, key, Of(job.wildcards, job.input, workflow.async_run)) if limits else None
    return Request(rule, key, row, resource(job, "_cores", 1), tuple(needs), place)


# the columns of a row that decide what a job costs, and lie outside its spec
COSTS = ("gpus", "nodes", "gpu_model", "deepspeed", "parameters", "rows", "tokens")


def costs(request: Request) -> dict[str, Any]:
    """Return what decides the price of a job besides its spec and what finished jobs took."""
    return {name: request.row[name] for name in COSTS if request.row.get(name)} | {"cpus": request.threads}


def files_of(job: "Job") -> list[str]:
    """Return the paths that a job reads and no job makes: instructions, prompts, responses that exist already.

    Chat templates are part of the spec. Model folders are not counted: to read large weights would take longer than the plan.
    """
    return sorted({str(path) for path in job.input if not str(path).startswith(f"{RESULTS}/")})
