"""The rows of the table of cells (grid.Cells), one class for each rule.

A row holds the spec of a job, what its resources follow from (see costs), and the ids and files that it reads. Snakemake's
rules take a column by its name: `cell("finetune", "spec")`. These are plain dicts at run time.
"""

from typing import TypedDict


class SpecRow(TypedDict):
    """A job that only looks at its inputs: rule `gate`."""

    spec: str


class ModelCost(TypedDict):
    """What a model costs the job that loads it."""

    gpus: int  # over all nodes
    gpu_model: str | None
    parameters: float | None  # in billions; None where the config does not say, 0 where no model is loaded


class ModelPart(SpecRow, ModelCost):
    """Of each job that loads a model."""

    nodes: int


class InstructionsRow(SpecRow):
    """Rule `load_instructions`."""

    files: list[str]  # none where the set comes from the hub
    prompts: list[str]  # files of prompts that are removed from the set
    rows: int


class GenerateRow(ModelPart):
    """Rule `generate`."""

    rows: int
    tokens: int  # of a response, at most or as usual
    instructions: list[str]
    files: list[str]  # responses that exist already


class CheckRow(SpecRow):
    """Rule `check`."""

    instructions: list[str]
    rows: int


class ScoreRow(ModelPart):
    """Rules `reward` and `likelihood`."""

    tokens: int  # of one row
    instructions: list[str]
    rows: int


class ScorePart(ModelPart):
    """What the jobs of one reward or scorer share."""

    tokens: int


class Measures(TypedDict):
    """Ids of what a job joins: each reward and each scorer of each of the responses."""

    responses: list[str]
    rewards: list[str]
    scorers: list[str]


class CorpusPart(TypedDict):
    """What a job on a corpus reads. derived, variant: the corpus and its scorer, or nothing for all of a teacher's responses."""

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
    rows: int
    metrics: list[str]
    spec: str


class TrainingPart(ModelPart):
    """What the students of one base, recipe and seed share."""

    deepspeed: str | None
    dtype: str
    keep: str
    lora: bool
    tokens: float  # of one row, over all epochs


class FinetuneRow(TrainingPart):
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
    students: list[str]  # the student, or nothing for a reference
    prompts: list[str]
    rows: int


class VerifyRow(SpecRow):
    """Rule `verify`."""

    prompts: list[str]
    rows: int


class JudgeRow(ModelPart):
    """Rule `judge`."""

    tokens: int
    baselines: list[str]  # the opponent; nothing for the opponent itself
    suites: list[str]
    prompts: list[str]
    rows: int


class FreeRow(SpecRow):
    """Rule `free`."""

    suites: list[str]


class PilotRow(SpecRow):
    """Rule `pilot`. scorers and scored go together, pair by pair."""

    responses: list[str]
    rewards: list[str]
    scorers: list[str]
    scored: list[str]
    rows: int


class CorrelateRow(SpecRow):
    """Rule `correlate`. bases and corpora, and the three columns of judges, go together item by item."""

    models: list[str]
    verified: list[str]
    bases: list[str]
    corpora: list[str]
    judged_models: list[str]
    judged_suites: list[str]
    judges: list[str]
    students: list[str]
    responses: list[str]
    rows: int


class ReportRow(SpecRow):
    """Rule `report`."""

    models: list[str]
    verified: list[str]
    pilots: list[str]
    complete: list[str]  # grids that know what the pilot loses
    instructions: list[str]
    responses: list[str]
    rewards: list[str]
    suites: list[str]
    prompts: list[str]
    rows: int
