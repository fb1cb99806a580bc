"""Expand the config once into a table of cells, one row per job, found by rule and wildcards in constant time.

An id holds all of a cell's identity: responses `{instructions}__{teacher}`, corpus (those, or the name of a derived corpus),
student `{base}__{corpus}__{recipe}__s{seed}`, model (a student or a reference).
"""

from collections import defaultdict
from functools import cache

from . import blocks, spec
from .blocks import picked
from .config import ANY, VERIFY
from .metrics import FORMULAS

# a shape and not an alternation of names: it costs the same for 20,000 students, and an empty list cannot match everything
NAME = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
TALK = ("template", "template_args", "system", "plain")


class Cells:
    """rows[rule]["wildcard/wildcard"] = {"spec": text, "gpus": number, what it reads: ids and files}"""

    def __init__(self, config: dict):
        self.config = config
        self.rows = defaultdict(dict)
        for name, block in config["grids"].items():
            blocks.add(self, name, block)

    def column(self, rule: str, name: str):
        """Return an input function: this column of the row of a job."""

        def value(wildcards):
            key, rows = "/".join(wildcards), self.rows[rule]
            if key not in rows:
                raise LookupError(f"{rule}: the grids have no '{key}'" + spec.nearest(key, rows))
            return rows[key][name]

        return value

    # --- instructions, responses and what scores them

    def add_responses(self, responses: str) -> None:
        if responses in self.rows["generate"]:
            return
        instructions, name = responses.split("__")
        source, teacher = self.config["instructions"][instructions], self.config["teachers"][name]
        hub = source["source"].startswith("hub:")
        # a file is an input: its content counts and not its name
        entry = source if hub else without(source, "source")
        self.rows["load_instructions"][instructions] = {
            "spec": spec.dump(instructions=entry),
            "files": [] if hub else [source["source"]],
        }
        self.rows["generate"][responses] = {
            **self.with_model("teacher", without(teacher, "source", "plain")),
            "instructions": [instructions],
            "files": [teacher["source"]] if teacher["engine"] == "existing" else [],
        }
        self.rows["check"][responses] = {
            "spec": spec.dump(health=self.config["health"]),
            "instructions": [instructions],
        }
        self.rows["gate"][responses] = {"spec": spec.dump()}

    def with_model(self, kind: str, entry: dict, unused: tuple = (), **parts) -> dict:
        """Return spec and GPUs of a cell that loads the model of an entry; keys of the model that it does not use stay out."""
        model = self.config["models"].get(entry["model"])
        parts |= {kind: without(entry, "model"), **({"model": without(model, *unused)} if model else {})}
        return {"spec": spec.dump(**parts), "gpus": model["gpus"] if model else 0}

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
            instructions = [source.split("__")[0]]
            for name in rewards:
                self.rows["reward"][f"{name}/{source}"] = {**self.reward_row(name), "instructions": instructions}
            for name in scorers:
                self.rows["likelihood"][f"{name}/{source}"] = {**self.scorer_row(name), "instructions": instructions}
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
            "metrics": metrics,
            "spec": self.metric_spec(tuple(measured)),
        }

    def add_student(self, cell: dict) -> None:
        files = self.add_corpus(cell["base"], cell["corpus"])
        row = self.student_row(cell["base"], cell["recipe"], cell["seed"])
        self.rows["finetune"][cell["student"]] = {**files, **row, "gates": files["responses"]}

    def add_exam(self, model: str, suite: str, judges: list[str]) -> None:
        who = model if model in self.config["references"] else model.split("__")[0]
        prompts = [task["prompts"] for task in self.tasks_of(suite).values()]
        self.rows["answer"][f"{model}/{suite}"] = {
            **self.answer_row(who, suite),
            "students": [] if who == model else [model],
            "prompts": prompts,
        }
        for judge in judges:
            if judge == VERIFY:
                self.rows["verify"][f"{model}/{suite}"] = {"spec": self.verify_spec(suite), "prompts": prompts}
            else:
                self.add_comparison(model, suite, judge, prompts)

    def add_comparison(self, model: str, suite: str, judge: str, prompts: list[str]) -> None:
        opponent = self.config["judges"][judge]["baseline"]
        self.rows["judge"][f"{model}/{suite}/{judge}"] = {
            **self.judge_row(judge, suite),
            # the opponent itself ties with itself
            "baselines": [opponent] if opponent != model else [],
            "suites": [suite],
            "prompts": prompts,
        }
        if f"{opponent}/{suite}" not in self.rows["answer"]:
            self.add_exam(opponent, suite, [])

    def tasks_of(self, suite: str) -> dict:
        return {name: self.config["tasks"][name] for name in sorted(self.config["suites"][suite]["tasks"])}

    # --- what many cells share is dumped once

    @cache
    def reward_row(self, name: str) -> dict:
        return self.with_model("reward", without(self.config["rewards"][name], "plain"))

    @cache
    def scorer_row(self, name: str) -> dict:
        entry = self.config["bases"].get(name) or self.config["scorers"][name]
        return self.with_model("base", entry, likelihood=self.config["likelihood"])

    @cache
    def student_row(self, base: str, recipe: str, seed: int) -> dict:
        entry = without(self.config["bases"][base], "plain")
        # the recipe has a number format of its own
        return self.with_model("base", entry, unused=("dtype",), recipe=self.config["recipes"][recipe], seed=seed)

    @cache
    def answer_row(self, who: str, suite: str) -> dict:
        entry = self.config["references"].get(who) or self.config["bases"][who]
        talk = {**picked(entry, "model", *TALK), "format": entry.get("format", "chat")}
        tasks = {n: picked(task, "fields", "prompt_version", "decoding") for n, task in self.tasks_of(suite).items()}
        return self.with_model(
            "reference",
            talk if talk["format"] == "plain" else without(talk, "plain"),
            tasks=tasks,
            suite=picked(self.config["suites"][suite], "batch", "shard"),
        )

    @cache
    def verify_spec(self, suite: str) -> str:
        tasks = self.tasks_of(suite)
        return spec.dump(tasks={n: picked(task, "fields", "checker", "checker_version") for n, task in tasks.items()})

    @cache
    def judge_row(self, judge: str, suite: str) -> dict:
        entry = self.config["judges"][judge]
        reward = without(self.config["rewards"][entry["reward"]], "plain")
        tasks = {name: picked(task, "fields") for name, task in self.tasks_of(suite).items()}
        return self.with_model("reward", reward, tasks=tasks, judge=picked(entry, "tie"))

    @cache
    def metric_spec(self, metrics: tuple[str, ...]) -> str:
        return spec.dump(metrics={name: self.config["metrics"][name] for name in metrics})


def without(entry: dict, *keys: str) -> dict:
    return {key: value for key, value in entry.items() if key not in keys}
