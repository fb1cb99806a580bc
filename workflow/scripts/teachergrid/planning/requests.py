"""What each planned job needs to run, as plain values."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

from ..cost import resources, workload
from ..cost.actuals import Actuals
from ..cost.estimate import Basis, basis
from ..cost.limits import Limits, Of, Place
from ..cost.machines import Machines
from ..cost.saved_estimates import Estimate
from ..errors import BadInput
from ..grid import evaluation
from ..store.results import RESULTS
from .archive import Asks, Spread
from .graph import cell, resource

if TYPE_CHECKING:
    from snakemake.jobs import Job


class Request(NamedTuple):
    """What a job needs to run.

    row: of grid.cells.Cells, with `gpus` as the job gets them: a profile may overrule the config. threads: CPUs.
    needs: indices of the jobs whose outputs it reads. place: on SLURM. at_once: how many jobs may ask its endpoint at a time; None for
    a job that asks none.
    """

    rule: str
    cell: str
    row: dict
    threads: int
    needs: tuple[int, ...] = ()
    place: Place | None = None
    at_once: int | None = None

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
    of = resources.of_endpoint(row["endpoint"]["name"]) if row.get("endpoint") else ""
    at_once = workflow.global_resources[of].value if of else None
    return Request(rule, key, row, resource(job, "_cores", 1), tuple(needs), place, at_once)


class Priced(TypedDict):
    """Columns of a job's row in the plan (archive.JobRow)."""

    usd: Spread | None
    asks: NotRequired[Asks]


class Asked(NamedTuple):
    """What a job will ask an endpoint for: requests that the log does not answer, and the tokens of all prompts and responses."""

    requests: int
    prompt_tokens: float
    response_tokens: float


def asked(request: Request) -> Asked | None:
    """Return what a job will ask an endpoint for; None for a job that asks none."""
    row = request.row
    if row.get("endpoint") is None:
        return None
    requests, work = row["rows"], workload.of_row(request.rule, row)
    # else all requests are new, as far as can be known
    with suppress(BadInput, OSError):
        if request.rule == "ask":
            # answers that are yet to be made ask for other verdicts
            requests = requests if request.needs else evaluation.unanswered(row, request.cell)
        elif request.rule == "generate":
            # so do instructions that are yet to be evolved. What `optimise` asks follows from what it is answered: all of it counts
            requests = requests if request.needs else evaluation.unanswered_responses(row)
    return Asked(requests, requests * work.read, requests * work.written)


def priced(request: Request, price: Spread | None) -> Priced:
    """Return {"usd": the price of a job with that of an endpoint's answers, None where either is unknown; "asks": how many
    answers, and their tokens, for a job that an endpoint serves}.

    price: in USD, of the machine.
    Lengths of responses are guesses until some were measured, so half and twice as many tokens are within the bounds.
    """
    found = asked(request)
    if found is None:
        return {"usd": price}
    entry, answers = request.row["endpoint"], None
    if not found.requests or None not in (entry["usd_in"], entry["usd_out"]):
        total = ((entry["usd_in"] or 0) * found.prompt_tokens + (entry["usd_out"] or 0) * found.response_tokens) / 1e6
        answers = {bound: factor * total for bound, factor in {"low": 0.5, "expected": 1.0, "high": 2.0}.items()}
    asks: Asks = {
        "endpoint": entry["name"],
        "requests": found.requests,
        "prompt_tokens": round(found.prompt_tokens),
        "response_tokens": round(found.response_tokens),
        "usd": answers,
    }
    together = (
        None if price is None or answers is None else {bound: usd + answers[bound] for bound, usd in price.items()}
    )
    return {"usd": together, "asks": asks}


# the columns of a row that decide what a job costs, and lie outside its spec
COSTS = ("gpus", "nodes", "gpu_model", "deepspeed", "parameters", "rows", "tokens")


def costs(request: Request) -> dict[str, Any]:
    """Return what decides the price of a job besides its spec and what finished jobs took."""
    asked_of = request.row.get("endpoint") or {}
    prices = {name: asked_of[name] for name in ("usd_in", "usd_out") if asked_of.get(name) is not None}
    return {name: request.row[name] for name in COSTS if request.row.get(name)} | prices | {"cpus": request.threads}


def files_of(job: "Job") -> list[str]:
    """Return the paths that a job reads and no job makes: instructions, prompts, responses that exist already.

    Chat templates are part of the spec. Model folders are not counted: to read large weights would take longer than the plan.
    """
    return sorted({str(path) for path in job.input if not str(path).startswith(f"{RESULTS}/")})
