"""Expand the config once into a table of cells, one row per job, found by rule and wildcards in constant time.

An id holds all of a cell's identity: responses `{instructions}__{teacher}`, corpus (those, or the name of a derived corpus),
student `{base}__{corpus}__{recipe}__s{seed}`, model (a student or a reference).
"""

import math
from collections import defaultdict
from functools import cache

from . import blocks, code, costs, launch, pins, spec
from .blocks import picked
from .config import ANY, VERIFY
from .metrics import FORMULAS

# a shape and not an alternation of names: it costs the same for 20,000 students, and an empty list cannot match everything
NAME = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
TALK = ("template", "template_args", "system", "plain")
MODEL_RULES = costs.MODEL_RULES


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
            raise LookupError(f"{rule}: the grids have no '{key}'" + spec.nearest(key, rows))
        return rows[key]

    def needs(self, rule: str) -> dict:
        """Return the resources of a rule, each as Snakemake asks for it: by wildcards and attempt."""

        def resource(name):
            return lambda wildcards, attempt: costs.need(rule, name, self.row(rule, wildcards), attempt)

        devices = ("gpu", "gpu_model") if rule in MODEL_RULES else ()
        devices += ("nodes", "gres", "deepspeed") if rule == "finetune" else ()
        return {name: resource(name) for name in (*devices, "mem_mb", "runtime")}

    # --- instructions, responses and what scores them

    def add_responses(self, responses: str) -> None:
        if responses in self.rows["generate"]:
            return
        instructions, name = responses.split("__")
        teacher = self.config["teachers"][name]
        self.add_instructions(instructions)
        rows = self.rows_of([responses])
        self.rows["generate"][responses] = {
            **self.with_model("teacher", without(teacher, "source", "plain")),
            "rows": rows,
            "tokens": min(teacher["sampling"]["max_tokens"], costs.USUAL_TOKENS),
            "instructions": [instructions],
            "files": [teacher["source"]] if teacher["engine"] == "existing" else [],
        }
        self.rows["check"][responses] = {
            "spec": spec.dump(health=self.config["health"]),
            "instructions": [instructions],
            "rows": rows,
        }
        self.rows["gate"][responses] = {"spec": spec.dump()}

    def add_instructions(self, name: str) -> None:
        source = self.config["instructions"][name]
        hub = source["source"].startswith(pins.HUB)
        # a file is an input: its content counts and not its name
        entry = source if hub else without(source, "source")
        self.rows["load_instructions"][name] = {
            "spec": spec.dump(instructions=entry),
            "files": [] if hub else [source["source"]],
            "rows": costs.count(source["source"], None),
        }

    @cache
    def rows_of_one(self, responses: str, subset: int | None = None) -> int:
        instructions, teacher = responses.split("__")
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
        cost = (
            picked(model, "gpus", "gpu_model", "parameters")
            if model
            else {"gpus": 0, "gpu_model": None, "parameters": 0}
        )
        return {"spec": spec.dump(**parts), **cost, "nodes": 1}

    def rewards_of(self, metrics: list[str]) -> list[str]:
        return sorted({m["reward"] for m in (self.config["metrics"][name] for name in metrics) if m["reward"]})

    def scorers_of(self, metrics: list[str], base: str) -> list[str]:
        """Return whose likelihoods these metrics join."""
        entries = [self.config["metrics"][name] for name in metrics]
        needed = {m["scorer"] for m in entries if "likelihood" in FORMULAS[m["formula"]].needs}
        return sorted({base if name == "self" else name for name in needed})

    def add_measures(self, metrics: list[str], base: str, sources: list[str]) -> dict:
        """Add the rewards and likelihoods that these metrics join, and return their ids."""
        rewards, scorers = self.rewards_of(metrics), self.scorers_of(metrics, base)
        for source in sources:
            self.add_responses(source)
            shared = {"instructions": [source.split("__")[0]], "rows": self.rows_of([source])}
            for name in rewards:
                self.rows["reward"][f"{name}/{source}"] = {**self.reward_row(name), **shared}
            for name in scorers:
                scored = {"rows": self.rows_of_one(source, self.config["likelihood"]["subset"])}
                self.rows["likelihood"][f"{name}/{source}"] = {**self.scorer_row(name), **shared, **scored}
        return {"responses": sources, "rewards": rewards, "scorers": scorers}

    # --- corpora, students, exams

    def sources(self, corpus: str) -> list[str]:
        """Return the responses that a corpus takes rows from."""
        if "__" in corpus:
            return [corpus]
        entry = self.config["corpora"][corpus]
        return [f"{entry['instructions']}__{teacher}" for teacher in entry["teachers"]]

    def add_corpus(self, base: str, corpus: str) -> dict:
        """Add what makes a corpus, and say which files a job on this base reads."""
        sources = self.sources(corpus)
        for source in sources:
            self.add_responses(source)
        instructions = list(dict.fromkeys(source.split("__")[0] for source in sources))
        row = {"responses": sources, "instructions": instructions, "derived": [], "variant": []}
        if "__" in corpus:
            return row
        entry = self.config["corpora"][corpus]
        measures = self.add_measures([entry["by"]], base, sources)
        variant = base if base in measures["scorers"] else ANY
        metric = {entry["by"]: self.config["metrics"][entry["by"]]}
        self.rows["select"][f"{corpus}/{variant}"] = {
            **measures,
            "spec": spec.dump(corpus=without(entry, "teachers"), metrics=metric),
            "rows": self.rows_of(sources),
        }
        return {**row, "derived": [corpus], "variant": [variant]}

    def add_metrics(self, base: str, corpus: str, metrics: list[str]) -> None:
        row = self.rows["metric"].get(f"{base}/{corpus}")
        # two blocks that share a cell share its job, which measures what either asks for
        metrics = sorted({*metrics, *(row["metrics"] if row else ())})
        measured = [m for m in metrics if FORMULAS[self.config["metrics"][m]["formula"]].needs]
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
        # a derived corpus takes one row of each instruction
        rows = max(self.rows_of([source]) for source in files["responses"])
        self.rows["finetune"][cell["student"]] = {**files, **row, "rows": rows, "gates": files["responses"]}

    def add_exam(self, model: str, suite: str, judges: list[str]) -> None:
        who = model if model in self.config["references"] else model.split("__")[0]
        prompts, items = self.prompts_of(suite)
        self.rows["answer"][f"{model}/{suite}"] = {
            **self.answer_row(who, suite),
            "students": [] if who == model else [model],
            "prompts": prompts,
            "rows": items,
        }
        if who != model:
            self.add_freeing(model, suite)
        for judge in judges:
            if judge == VERIFY:
                row = {"spec": self.verify_spec(suite), "prompts": prompts, "rows": items}
                self.rows["verify"][f"{model}/{suite}"] = row
            else:
                self.add_comparison(model, suite, judge, prompts, items)

    def add_comparison(self, model: str, suite: str, judge: str, prompts: list[str], items: int) -> None:
        opponent = self.config["judges"][judge]["baseline"]
        self.rows["judge"][f"{model}/{suite}/{judge}"] = {
            **self.judge_row(judge, suite),
            # the opponent itself ties with itself
            "baselines": [opponent] if opponent != model else [],
            "suites": [suite],
            "prompts": prompts,
            # both sides are scored
            "rows": 2 * items,
        }
        if f"{opponent}/{suite}" not in self.rows["answer"]:
            self.add_exam(opponent, suite, [])

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

    def add_freeing(self, student: str, suite: str) -> None:
        """Add a job that frees a student's weights after its last answer; a report over what exists has none."""
        keep = self.config["recipes"][student.split("__")[-2]]["keep"]
        if keep != "model" and not self.config["partial"]:
            row = self.rows["free"].setdefault(student, {"spec": spec.dump(keep=keep), "suites": []})
            row["suites"] += [suite] if suite not in row["suites"] else []

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
        launch.check_shares(settings, gpus, settings["nodes"], recipe)
        return row | {
            "gpus": gpus,
            "nodes": settings["nodes"],
            "deepspeed": settings["deepspeed"],
            **picked(settings, "dtype", "keep"),
            "lora": settings["lora"] is not None,
            "tokens": min(settings["max_length"], costs.USUAL_TOKENS) * settings["num_train_epochs"],
        }

    @cache
    def answer_row(self, who: str, suite: str) -> dict:
        entry = self.config["references"].get(who) or self.config["bases"][who]
        talk = {**picked(entry, "model", *TALK), "format": entry.get("format", "chat")}
        tasks = {n: picked(task, "fields", "prompt_version", "decoding") for n, task in self.tasks_of(suite).items()}
        row = self.with_model(
            "reference",
            talk if talk["format"] == "plain" else without(talk, "plain"),
            tasks=tasks,
            suite=picked(self.config["suites"][suite], "batch", "shard"),
        )
        longest = max(task["decoding"]["max_tokens"] for task in tasks.values())
        return row | {"tokens": min(longest, costs.USUAL_TOKENS)}

    @cache
    def verify_spec(self, suite: str) -> str:
        tasks = self.tasks_of(suite)
        return spec.dump(tasks={n: picked(task, "fields", "checker", "checker_version") for n, task in tasks.items()})

    @cache
    def judge_row(self, judge: str, suite: str) -> dict:
        entry = self.config["judges"][judge]
        reward = without(self.config["rewards"][entry["reward"]], "plain")
        tasks = {name: picked(task, "fields") for name, task in self.tasks_of(suite).items()}
        row = self.with_model("reward", reward, tasks=tasks, judge=picked(entry, "tie"))
        return row | {"tokens": min(reward["max_length"], costs.USUAL_TOKENS)}

    @cache
    def metric_spec(self, metrics: tuple[str, ...]) -> str:
        return spec.dump(metrics={name: self.config["metrics"][name] for name in metrics})


def without(entry: dict, *keys: str) -> dict:
    return {key: value for key, value in entry.items() if key not in keys}
