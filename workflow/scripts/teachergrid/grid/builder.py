"""Build the rows of the table of cells from the config alone. `cells` collects them into the table."""

import math
from functools import cache

from ..cost import gpu_shares, resources, workload
from ..data import sizes
from ..engines.engine import ENGINES, generates
from ..engines.requests import Endpoint
from ..errors import BadInput
from ..hub import pins
from ..metrics.variants import Metric
from ..spec import canonical
from ..spec.canonical import picked, without
from ..spec.ids import Corpus, Responses, sets_of
from ..store.results import RESULTS
from . import sets
from .config_data import metrics_of
from .rows import (
    CheckRow,
    EndpointPart,
    GenerateRow,
    InstructionsRow,
    Measures,
    ModelCost,
    ModelPart,
    Read,
    RewardPart,
    ScorePart,
    SelectRow,
    TrainingPart,
)

NO_MODEL: ModelCost = {"gpus": 0, "gpu_model": None, "parameters": 0}


class Builder:
    """Builds rows from one config; a part that many cells share is built once.

    config: as config.checked returns it.
    """

    def __init__(self, config: dict) -> None:
        self.config = config

    # --- instructions and responses

    def instructions(self, name: str) -> InstructionsRow:
        """Return the row that loads a set of instructions, or makes it from other sets."""
        return sets.row(self, name)

    def drawn(self, instructions: str) -> int:
        """Return how many instructions a set has at most; of one that is made from others exactly, once it is made."""
        return sets.drawn(self, instructions)

    def generate(self, responses: str) -> GenerateRow:
        """Return the row that makes a teacher's responses."""
        instructions, name = Responses.parse(responses)
        teacher = self.config["teachers"][name]
        files = pins.files(teacher)
        if raw := self.raw(responses):
            files = [f"{RESULTS}/responses/{raw}.parquet"]
        return {
            **self._teacher(teacher),
            "rows": self.rows_of([responses]),
            "tokens": min(workload.longest(teacher["sampling"]), resources.USUAL_TOKENS),
            "asked": self.asked(instructions),
            "instructions": [instructions],
            "files": files,
            **self.endpoint(teacher["model"], teacher["engine"]),
        }

    def endpoint(self, model_name: str | None, engine: str) -> EndpointPart:
        """Return the part of a row on the endpoint that serves a model under an engine; {} where none does."""
        model = self.config["models"].get(model_name)
        name = model["endpoint"] if model and ENGINES[engine].by_endpoint else None
        return {"endpoint": Endpoint.of(name, self.config["endpoints"][name]).costs()} if name else {}

    def raw(self, responses: str) -> str | None:
        """Return the id of the raw responses from which a stripped teacher's are made; None for any other teacher."""
        instructions, name = Responses.parse(responses)
        teacher = self.config["teachers"][name]
        return str(Responses(instructions, teacher["of"])) if teacher["of"] else None

    def _teacher(self, teacher: dict) -> ModelPart:
        if teacher["of"]:
            # no model runs; the other teacher's responses are an input
            return {"spec": canonical.dump(teacher=picked(teacher, "engine")), **NO_MODEL, "nodes": 1}
        engine = ENGINES[teacher["engine"]]
        unused = (*engine.unused, *([] if pins.is_data_set(teacher) else ["source"]))
        part = self.with_model("teacher", without(teacher, "plain", "of", *unused), unused=unused)
        return {**part, **NO_MODEL} if engine.by_endpoint or engine.open is None else part

    def check(self, responses: str) -> CheckRow:
        """Return the row of the health checks of responses."""
        return {
            "spec": canonical.dump(health=self.config["health"]),
            "instructions": [Responses.parse(responses).instructions],
            "rows": self.rows_of([responses]),
        }

    @cache
    def read(self, responses: str) -> Read:
        """Return how long responses may be, and how large the model is that writes them."""
        source = self.raw(responses) or responses
        teacher, row = self.config["teachers"][Responses.parse(source).teacher], self.generate(source)
        if not generates(teacher["engine"]):
            return {"limit": None, "writer": None, "asked": row["asked"]}
        writer = workload.parameters(dict(row)) or None
        return {"limit": workload.longest(teacher["sampling"]), "writer": writer, "asked": row["asked"]}

    def read_of(self, sources: list[str]) -> Read:
        """Return the same for several responses together: the longest limit, the largest model, and the mean prompt."""
        each = [self.read(source) for source in sources]
        asked = [one["asked"] for one in each if one["asked"] is not None]
        return {
            "limit": max((one["limit"] for one in each if one["limit"]), default=None),
            "writer": max((one["writer"] for one in each if one["writer"]), default=None),
            "asked": sum(asked) / len(asked) if asked else None,
        }

    @cache
    def asked(self, instructions: str) -> float | None:
        """Return the mean tokens of the prompts of a set, where its files are at hand."""
        entry = self.config["instructions"][instructions]
        return sizes.prompt_tokens(entry["source"], entry)

    @cache
    def rows_of_one(self, responses: str, subset: int | None = None) -> int:
        """Return the number of responses as far as the plan can know it. subset: at most so many instructions."""
        instructions, teacher = Responses.parse(responses)
        number = min(self.drawn(instructions), subset or math.inf)
        return number * self.config["teachers"][teacher]["sampling"]["samples"]

    def rows_of(self, sources: list[str]) -> int:
        """Return the number of all these responses together."""
        return sum(self.rows_of_one(source) for source in sources)

    # --- models

    def with_model(self, kind: str, entry: dict, unused: tuple[str, ...] = (), **parts: object) -> ModelPart:
        """Return spec and cost of a job that loads the model of a config entry.

        Args:
            kind: the entry's name in the spec.
            unused: keys of the model that the job does not use; they stay out of the spec.
            parts: the other parts of the spec.
        """
        model = self.config["models"].get(entry["model"])
        parts |= {kind: without(entry, "model"), **({"model": without(model, *unused)} if model else {})}
        cost = cost_of(model) if model else NO_MODEL
        return {"spec": canonical.dump(**parts), **cost, "nodes": 1}

    @cache
    def reward(self, name: str) -> ScorePart:
        """Return the part of a row that all jobs of a reward share."""
        entry = self.config["rewards"][name]
        tokens = min(entry["max_length"], resources.USUAL_TOKENS)
        return {**self.with_model("reward", without(entry, "plain")), "tokens": tokens}

    def reward_of(self, name: str, responses: str) -> RewardPart:
        """Return the part of a row of one reward of one teacher's responses.

        Raises BadInput where the reward was published with responses, and these are others.
        """
        entry, part = self.config["rewards"][name], self.reward(name)
        if entry["column"] is None:
            return {**part, "files": []}
        teacher = self.config["teachers"][Responses.parse(responses).teacher]
        if teacher["source"] is None:
            raise BadInput(
                f"config.rewards.{name}.column: the teacher of '{responses}' has no `source` with such a column; take another reward for it"
            )
        keys = ["engine", "fields", "written_by", "revision", "split"] + ["source"] * pins.is_data_set(teacher)
        spec = canonical.dump(reward=without(entry, "plain"), teacher=picked(teacher, *keys))
        return {**part, "spec": spec, "files": pins.files(teacher)}

    @cache
    def scorer(self, name: str) -> ScorePart:
        """Return the part of a row that all jobs of a scorer share. name: in `bases` or in `scorers`."""
        entry = self.config["bases"].get(name) or self.config["scorers"][name]
        settings = self.config["likelihood"]
        tokens = resources.LIKELIHOOD_PASSES * min(settings["max_length"], resources.USUAL_TOKENS)
        return {**self.with_model("base", entry, likelihood=settings), "tokens": tokens}

    @cache
    def training(self, base: str, recipe: str, seed: int) -> TrainingPart:
        """Return the part of a row that all students of a base, recipe and seed share.

        Raises BadInput where the recipe's accumulation steps cannot be divided among the GPUs.
        """
        entry = without(self.config["bases"][base], "plain")
        settings = self.config["recipes"][recipe]
        # SFT uses the recipe's number format, not the model's
        row = self.with_model("base", entry, unused=("dtype",), recipe=settings, seed=seed)
        gpus = row["gpus"] if settings["gpus"] is None else settings["gpus"]
        gpu_shares.check_shares(settings, gpus, settings["nodes"], recipe)
        return {
            **row,
            "gpus": gpus,
            "nodes": settings["nodes"],
            "deepspeed": settings["deepspeed"],
            "dtype": settings["dtype"],
            "keep": settings["keep"],
            "lora": settings["lora"] is not None,
            "tokens": min(settings["max_length"], resources.USUAL_TOKENS) * settings["num_train_epochs"],
        }

    # --- metrics and corpora

    @cache
    def is_measured(self, metric: str) -> bool:
        """Whether a metric reads any artifact of responses; other metrics follow from the grid alone."""
        return bool(Metric(self.config["metrics"][metric]).needs)

    @cache
    def joins(self, metric: str, need: str) -> list[dict]:
        """Return the settings of each term of a metric with this need, such as `reward` or `likelihood`."""
        return Metric(self.config["metrics"][metric]).settings_for(need)

    def rewards_of(self, metrics: list[str]) -> list[str]:
        """Return the names of the rewards that these metrics read, sorted."""
        return sorted({join["reward"] for metric in metrics for join in self.joins(metric, "reward")})

    def scorers_of(self, metrics: list[str], base: str) -> list[str]:
        """Return the names of the scorers whose likelihoods these metrics read under a base, sorted."""
        names = {join["scorer"] for metric in metrics for join in self.joins(metric, "likelihood")}
        return sorted({base if name == "self" else name for name in names})

    def expecting(self, metrics: list[str], scorers: list[str]) -> list[str]:
        """Return those scorers whose distributions these metrics read: all, or none."""
        return scorers if any(self.joins(metric, "distributions") for metric in metrics) else []

    @cache
    def metric_spec(self, metrics: tuple[str, ...]) -> str:
        """Return the spec of a job that measures these metrics."""
        return canonical.dump(metrics={name: self.config["metrics"][name] for name in metrics})

    def sources(self, corpus: str) -> list[str]:
        """Return the ids of the responses that a corpus takes rows from."""
        if Corpus.parse(corpus).responses:
            return [corpus]
        entry = self.config["corpora"][corpus]
        return [str(Responses(entry["instructions"], teacher)) for teacher in entry["teachers"]]

    def select(self, corpus: str, measures: Measures) -> SelectRow:
        """Return the row that makes a derived corpus. measures: the responses, rewards and likelihoods that it reads."""
        entry = self.config["corpora"][corpus]
        metrics = {name: self.config["metrics"][name] for name in metrics_of(entry)}
        reads_them = "category" in entry["each"] or entry["pairs"]
        return {
            **measures,
            "spec": canonical.dump(corpus=without(entry, "teachers"), metrics=metrics),
            "instructions": sets_of(measures["responses"]) if reads_them else [],
            "rows": self.rows_of(measures["responses"]),
        }

    def rows_in(self, corpus: str) -> int:
        """Return how many rows a corpus has at most."""
        rows = self.rows_of(self.sources(corpus))
        if Corpus.parse(corpus).responses:
            return rows
        entry = self.config["corpora"][corpus]
        if entry["choose"] != "all":
            rows = self.drawn(entry["instructions"])
        return min(entry["rows"] or rows, math.ceil(rows * (entry["share"] or 1)))


def cost_of(model: dict) -> ModelCost:
    """Return what a job that loads a model costs. model: its config entry."""
    return {"gpus": model["gpus"], "gpu_model": model["gpu_model"], "parameters": model["parameters"]}
