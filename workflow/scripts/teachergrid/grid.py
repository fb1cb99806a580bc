"""Expand the config once into a table of cells, one row per job, found by rule and wildcards in constant time.

A row is found by the ids of its cell (see ids).
"""

import math
from collections import defaultdict
from functools import cache

from . import blocks, canonical, code, costs, pins, shares
from .canonical import picked, without
from .config import ANY
from .config_data import metrics_of
from .ids import Corpus, Responses
from .names import nearest
from .variants import Metric

MODEL_RULES = costs.MODEL_RULES
NO_MODEL = {"gpus": 0, "gpu_model": None, "parameters": 0}


class Cells:
    """rows[rule]["wildcard/wildcard"] = {"spec": text, what it costs (see costs), what it reads: ids and files}
    chosen[grid] = what its pilot chose (see pilot): as `given` has it, else by its result"""

    def __init__(self, config: dict, given: dict | None = None, results: str = "results"):
        self.config, self.given, self.results = config, given or {}, results
        self.rows, self.chosen = defaultdict(dict), {}
        for name, block in config["grids"].items():
            blocks.add(self, name, block)

    def column(self, rule: str, name: str):
        """Return an input function: this column of the row of a job. The code of a cheap rule is part of its spec."""

        def value(wildcards):
            found = self.row(rule, wildcards)[name]
            return code.stamped(rule, found) if name == "spec" else found

        return value

    def row(self, rule: str, wildcards) -> dict:
        key, rows = "/".join(wildcards), self.rows[rule]
        if key not in rows:
            raise LookupError(f"{rule}: the grids have no '{key}'" + nearest(key, rows))
        return rows[key]

    def needs(self, rule: str) -> dict:
        """Return the resources of a rule, each as Snakemake asks for it: by wildcards and attempt."""

        def resource(name):
            return lambda wildcards, attempt: costs.need(rule, name, self.row(rule, wildcards), attempt)

        devices = ("gpu", "gpu_model", "nodes") if rule in MODEL_RULES else ()
        devices += ("gres", "deepspeed") if rule == "finetune" else ()
        return {name: resource(name) for name in (*devices, "mem_mb", "runtime")}

    # --- instructions, responses and what scores them

    def add_responses(self, responses: str) -> None:
        if responses in self.rows["generate"]:
            return
        instructions, name = Responses.parse(responses)
        teacher = self.config["teachers"][name]
        self.add_instructions(instructions)
        rows = self.rows_of([responses])
        self.rows["generate"][responses] = {
            **self.teacher_row(teacher),
            "rows": rows,
            "tokens": min(teacher["sampling"]["max_tokens"], costs.USUAL_TOKENS),
            "instructions": [instructions],
            "files": self.files_of(instructions, teacher),
        }
        self.rows["check"][responses] = {
            "spec": canonical.dump(health=self.config["health"]),
            "instructions": [instructions],
            "rows": rows,
        }
        self.rows["gate"][responses] = {"spec": canonical.dump()}

    def teacher_row(self, teacher: dict) -> dict:
        if teacher["engine"] == "stripped":
            # no model runs; the other teacher's responses are an input
            return {"spec": canonical.dump(teacher=picked(teacher, "engine")), **NO_MODEL, "nodes": 1}
        return self.with_model("teacher", without(teacher, "source", "plain", "of"))

    def files_of(self, instructions: str, teacher: dict) -> list[str]:
        """Return the file of responses that a teacher takes, if it does not generate; add the job that makes it."""
        if teacher["engine"] == "stripped":
            raw = str(Responses(instructions, teacher["of"]))
            self.add_responses(raw)
            return [f"{self.results}/responses/{raw}.parquet"]
        return [teacher["source"]] if teacher["engine"] == "existing" else []

    def add_instructions(self, name: str) -> None:
        if name in self.rows["load_instructions"]:
            return
        source = self.config["instructions"][name]
        hub = source["source"].startswith(pins.HUB)
        # a file is an input: its content counts and not its name; of suites their prompts count
        entry = without(source, "decontaminate") if hub else without(source, "source", "decontaminate")
        tasks = {task: entry for suite in source["decontaminate"] for task, entry in self.tasks_of(suite).items()}
        removed = {"tasks": {task: picked(tasks[task], "fields") for task in sorted(tasks)}} if tasks else {}
        self.rows["load_instructions"][name] = {
            "spec": canonical.dump(instructions=entry, **removed),
            "files": [] if hub else [source["source"]],
            "prompts": [tasks[task]["prompts"] for task in sorted(tasks)],
            "rows": costs.count(source["source"], None),
        }
        for suite in source["decontaminate"]:
            self.prompts_of(suite)

    @cache
    def rows_of_one(self, responses: str, subset: int | None = None) -> int:
        instructions, teacher = Responses.parse(responses)
        source = self.config["instructions"][instructions]
        asked = min(costs.count(source["source"], source["sample"]), subset or math.inf)
        return asked * self.config["teachers"][teacher]["sampling"]["samples"]

    def rows_of(self, sources: list[str]) -> int:
        """Return how many responses these are, as far as the plan can know."""
        return sum(self.rows_of_one(source) for source in sources)

    def with_model(self, kind: str, entry: dict, unused: tuple = (), **parts) -> dict:
        """Return spec and cost of a cell that loads the model of an entry; keys of the model that it does not use stay out."""
        model = self.config["models"].get(entry["model"])
        parts |= {kind: without(entry, "model"), **({"model": without(model, *unused)} if model else {})}
        cost = picked(model, "gpus", "gpu_model", "parameters") if model else NO_MODEL
        return {"spec": canonical.dump(**parts), **cost, "nodes": 1}

    @cache
    def joined(self, metric: str, need: str | None = None):
        """Return what a metric joins, or of one need the settings with which it does."""
        entry = Metric(self.config["metrics"][metric])
        return entry.joins(need) if need else entry.needs

    def rewards_of(self, metrics: list[str]) -> list[str]:
        return sorted({joined["reward"] for metric in metrics for joined in self.joined(metric, "reward")})

    def scorers_of(self, metrics: list[str], base: str) -> list[str]:
        """Return whose likelihoods these metrics join."""
        needed = {joined["scorer"] for metric in metrics for joined in self.joined(metric, "likelihood")}
        return sorted({base if name == "self" else name for name in needed})

    def add_measures(self, metrics: list[str], base: str, sources: list[str], counted_by: str | None = None) -> dict:
        """Add the rewards and likelihoods that these metrics join, or whose tokens are counted, and return their ids."""
        rewards, scorers = self.rewards_of(metrics), self.scorers_of(metrics, base)
        if counted_by:
            scorers = sorted({*scorers, base if counted_by == "self" else counted_by})
        for source in sources:
            self.add_responses(source)
            shared = {"instructions": [Responses.parse(source).instructions], "rows": self.rows_of([source])}
            for name in rewards:
                self.rows["reward"][f"{name}/{source}"] = {**self.reward_row(name), **shared}
            for name in scorers:
                scored = {"rows": self.rows_of_one(source, self.config["likelihood"]["subset"])}
                self.rows["likelihood"][f"{name}/{source}"] = {**self.scorer_row(name), **shared, **scored}
        return {"responses": sources, "rewards": rewards, "scorers": scorers}

    # --- corpora, students, exams

    def sources(self, corpus: str) -> list[str]:
        """Return the responses that a corpus takes rows from."""
        if Corpus.parse(corpus).responses:
            return [corpus]
        entry = self.config["corpora"][corpus]
        return [str(Responses(entry["instructions"], teacher)) for teacher in entry["teachers"]]

    def add_corpus(self, base: str, corpus: str) -> dict:
        """Add what makes a corpus, and say which files a job on this base reads."""
        sources = self.sources(corpus)
        for source in sources:
            self.add_responses(source)
        instructions = list(dict.fromkeys(Responses.parse(source).instructions for source in sources))
        row = {"responses": sources, "instructions": instructions, "derived": [], "variant": []}
        if Corpus.parse(corpus).responses:
            return row
        entry = self.config["corpora"][corpus]
        metrics = metrics_of(entry)
        measures = self.add_measures(metrics, base, sources, entry["counted_by"] if entry["tokens"] else None)
        variant = base if base in measures["scorers"] else ANY
        self.rows["select"][f"{corpus}/{variant}"] = {
            **measures,
            "spec": canonical.dump(
                corpus=without(entry, "teachers"), metrics={name: self.config["metrics"][name] for name in metrics}
            ),
            "instructions": instructions if "category" in entry["each"] else [],
            "rows": self.rows_of(sources),
        }
        return {**row, "derived": [corpus], "variant": [variant]}

    def rows_in(self, corpus: str, sources: list[str]) -> int:
        """Return how many rows a corpus has at most."""
        if Corpus.parse(corpus).responses:
            return self.rows_of(sources)
        entry = self.config["corpora"][corpus]
        source = self.config["instructions"][entry["instructions"]]
        rows = self.rows_of(sources) if entry["choose"] == "all" else costs.count(source["source"], source["sample"])
        return min(entry["rows"] or rows, math.ceil(rows * (entry["share"] or 1)))

    def add_metrics(self, base: str, corpus: str, metrics: list[str]) -> None:
        row = self.rows["metric"].get(f"{base}/{corpus}")
        # two blocks that share a cell share its job, which measures what either asks for
        metrics = sorted({*metrics, *(row["metrics"] if row else ())})
        measured = [metric for metric in metrics if self.joined(metric)]
        files = self.add_corpus(base, corpus)
        self.rows["metric"][f"{base}/{corpus}"] = {
            **files,
            **self.add_measures(measured, base, files["responses"]),
            "rows": self.rows_of(files["responses"]),
            "metrics": metrics,
            "spec": self.metric_spec(tuple(measured)),
        }

    def add_student(self, cell: dict) -> None:
        files = self.add_corpus(cell["base"], cell["corpus"])
        row = self.student_row(cell["base"], cell["recipe"], cell["seed"])
        rows = self.rows_in(cell["corpus"], files["responses"])
        self.rows["finetune"][cell["student"]] = {**files, **row, "rows": rows, "gates": files["responses"]}

    @cache
    def prompts_of(self, suite: str) -> tuple[list[str], int]:
        """Return the prompt files of a suite and how many items they hold; add the job of those that are instruction sets."""
        tasks, items = self.tasks_of(suite).values(), 0
        for task in tasks:
            named = self.config["instructions"].get(task["instructions"])
            if named:
                self.add_instructions(task["instructions"])
            items += costs.count(named["source"], named["sample"]) if named else costs.count(task["prompts"], None)
        return [task["prompts"] for task in tasks], items

    def tasks_of(self, suite: str) -> dict:
        return {name: self.config["tasks"][name] for name in sorted(self.config["suites"][suite]["tasks"])}

    # --- what many cells share is dumped once

    @cache
    def reward_row(self, name: str) -> dict:
        entry = self.config["rewards"][name]
        return {
            **self.with_model("reward", without(entry, "plain")),
            "tokens": min(entry["max_length"], costs.USUAL_TOKENS),
        }

    @cache
    def scorer_row(self, name: str) -> dict:
        entry = self.config["bases"].get(name) or self.config["scorers"][name]
        settings = self.config["likelihood"]
        tokens = costs.LIKELIHOOD_PASSES * min(settings["max_length"], costs.USUAL_TOKENS)
        return {**self.with_model("base", entry, likelihood=settings), "tokens": tokens}

    @cache
    def student_row(self, base: str, recipe: str, seed: int) -> dict:
        entry = without(self.config["bases"][base], "plain")
        settings = self.config["recipes"][recipe]
        # the recipe has a number format of its own
        row = self.with_model("base", entry, unused=("dtype",), recipe=settings, seed=seed)
        gpus = row["gpus"] if settings["gpus"] is None else settings["gpus"]
        shares.check_shares(settings, gpus, settings["nodes"], recipe)
        return row | {
            "gpus": gpus,
            "nodes": settings["nodes"],
            "deepspeed": settings["deepspeed"],
            **picked(settings, "dtype", "keep"),
            "lora": settings["lora"] is not None,
            "tokens": min(settings["max_length"], costs.USUAL_TOKENS) * settings["num_train_epochs"],
        }

    @cache
    def metric_spec(self, metrics: tuple[str, ...]) -> str:
        return canonical.dump(metrics={name: self.config["metrics"][name] for name in metrics})
