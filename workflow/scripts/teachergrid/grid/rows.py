"""The rows of the table of cells (grid.cells.Cells), one class for each rule.

A row holds the spec of a job, the numbers from which cost.resources computes its resources, and the ids and files that it reads.
Snakemake's rules take a column by its name: `cell("finetune", "spec")`. These are plain dicts at run time.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypedDict

from ..engines.requests import EndpointCosts
from ..store.results import RESULTS


class SpecRow(TypedDict):
    """A job that only looks at its inputs: rule `gate`."""

    spec: str


class ModelCost(TypedDict):
    """What a model costs the job that loads it."""

    gpus: int  # over all nodes
    gpu_model: str | None
    parameters: float | None  # in billions; None where the config does not say, 0 where no model is loaded


class ModelPart(SpecRow, ModelCost):
    """The part of the row of every job that loads a model."""

    nodes: int


class Read(TypedDict):
    """The responses that a job reads, as far as they decide what it costs.

    limit: tokens of the longest that is allowed; None where they exist already. writer: billions of parameters of the largest
    model that writes them; None where none does. asked: mean tokens of their prompts; None where the files are not at hand.
    """

    limit: int | None
    writer: float | None
    asked: float | None


class InstructionsRow(SpecRow):
    """Rule `load_instructions`."""

    files: list[str]  # none where the set comes from the hub
    prompts: list[str]  # files of prompts that are removed from the set
    rows: int  # at most
    # paths of the sets, responses and other tables that an evolved or joined set is made from
    sets: list[str]
    responses: list[str]
    tables: list[str]


class EndpointPart(TypedDict, total=False):
    """What the row of a teacher has besides that an endpoint serves."""

    endpoint: EndpointCosts


class GenerateRow(ModelPart, EndpointPart):
    """Rules `generate` and `optimise`, whose rows are prompts."""

    rows: int
    tokens: int  # of a response: its usual length, or the limit where that is lower
    asked: float | None  # mean tokens of a prompt, as in Read
    instructions: list[str]
    files: list[str]  # with responses that exist already


class CheckRow(SpecRow):
    """Rule `check`."""

    instructions: list[str]
    rows: int


class ScoreRow(ModelPart, Read):
    """Rules `reward` and `likelihood`."""

    tokens: int  # of one row
    instructions: list[str]
    rows: int


class RewardRow(ScoreRow):
    """Rule `reward`."""

    files: list[str]  # with rewards that were published; none for those of a model or verifier


class ScorePart(ModelPart):
    """The part of a row that all jobs of one reward or scorer share."""

    tokens: int


class RewardPart(ScorePart):
    """The part of a row of one reward of one teacher's responses."""

    files: list[str]


class Measures(TypedDict):
    """Ids of what a job joins: each of the responses with each of the rewards and scorers.

    expecting: the scorers whose distributions it reads, too.
    """

    responses: list[str]
    rewards: list[str]
    scorers: list[str]
    expecting: list[str]


class CorpusPart(TypedDict):
    """What a job on a corpus reads.

    derived, variant: a derived corpus and its scorer, as lists of one; both empty where the corpus is all of a teacher's responses.
    """

    responses: list[str]
    instructions: list[str]
    derived: list[str]
    variant: list[str]


class SelectRow(Measures):
    """Rule `select`."""

    spec: str
    instructions: list[str]
    rows: int


class MetricRow(CorpusPart):
    """Rule `metric`."""

    rewards: list[str]
    scorers: list[str]
    expecting: list[str]  # as in Measures
    rows: int
    metrics: list[str]
    spec: str


class TrainingPart(ModelPart):
    """The part of a row that all students of one base, recipe and seed share."""

    deepspeed: str | None
    dtype: str
    keep: str
    lora: bool
    tokens: float  # of one row, over all epochs


class FinetuneRow(TrainingPart, Read):
    """Rule `finetune`."""

    responses: list[str]
    instructions: list[str]
    derived: list[str]
    variant: list[str]
    rows: int  # of one epoch
    gates: list[str]  # responses whose gates must be passed


class AnswerRow(ModelPart):
    """Rule `answer`."""

    tokens: int
    asked: float | None  # mean tokens of a prompt, as in Read
    students: list[str]  # the student; empty for a reference
    files: list[str]  # with answers that were published
    prompts: list[str]
    rows: int


class VerifyRow(SpecRow):
    """Rule `verify`."""

    prompts: list[str]
    rows: int


class JudgeRow(ModelPart, Read):
    """Rule `judge`."""

    tokens: int
    baselines: list[str]  # the opponent; empty for the opponent itself
    suites: list[str]
    prompts: list[str]
    rows: int


class AskRow(ModelPart, EndpointPart):
    """Rule `ask`."""

    asked: float | None  # mean tokens of what the judge reads, with the answers in it
    baselines: list[str]  # the opponent; empty for the opponent itself, and where answers are judged alone
    suites: list[str]
    prompts: list[str]
    rows: int  # requests, at most


class LossRow(ModelPart):
    """Rule `loss`."""

    asked: float | None  # mean tokens of a prompt, as in Read
    students: list[str]  # the student; empty for a reference
    prompts: list[str]
    rows: int


class ReadRow(SpecRow):
    """Rule `score`. asked: the judge whose verdicts are read. files: that the control of length needs."""

    asked: list[str]
    baselines: list[str]
    suites: list[str]
    prompts: list[str]
    files: list[str]
    rows: int


class FreeRow(SpecRow):
    """Rule `free`. losses: suite/judge of the jobs that load the student beside its answers."""

    suites: list[str]
    losses: list[str]


class PilotRow(SpecRow):
    """Rule `pilot`. scorers and scored are columns of one list of pairs. expecting: the scorers, or none, as in Measures."""

    responses: list[str]
    rewards: list[str]
    scorers: list[str]
    expecting: list[str]
    scored: list[str]
    rows: int


class CorrelateRow(SpecRow):
    """Rule `correlate`.

    bases and corpora are columns of one list of pairs; judged_models, judged_suites and judges of one list of comparisons;
    derived and variants of one list of derived corpora (see `blocks.variant`).
    """

    models: list[str]
    verified: list[str]
    bases: list[str]
    corpora: list[str]
    judged_models: list[str]
    judged_suites: list[str]
    judges: list[str]
    students: list[str]
    responses: list[str]
    derived: list[str]
    variants: list[str]
    rows: int


class ReportRow(SpecRow):
    """Rule `report`."""

    models: list[str]
    judged_models: list[str]
    judged_suites: list[str]
    judges: list[str]
    verified: list[str]
    pilots: list[str]
    complete: list[str]  # grids that also train the teachers that the pilot drops
    instructions: list[str]
    graded: list[str]  # sets in which a model says how hard the instructions are
    responses: list[str]
    rewards: list[str]
    suites: list[str]
    prompts: list[str]
    rows: int


def outside(row: Any) -> list[str]:
    """Return the paths of the inputs from outside the results that a row names, in their order."""
    return [path for path in (*row.get("files", ()), *row.get("prompts", ())) if not path.startswith(f"{RESULTS}/")]


def signed(function: Callable) -> Callable:
    """Return a function with its signature noted: Snakemake asks for it several times a job, a tenth of a plan's time."""
    vars(function)["__signature__"] = inspect.signature(function)
    return function
