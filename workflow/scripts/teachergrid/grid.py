"""Expand the config once into a table of cells, one row per job, found by rule and wildcards in constant time.

An id holds all of a cell's identity: responses `{instructions}__{teacher}`, corpus (those, or the name of a derived corpus),
student `{base}__{corpus}__{recipe}__s{seed}`, model (a student or a reference).
"""

import os
from collections import defaultdict
from functools import cache
from itertools import product

from . import origin, spec
from .config import ANY, VERIFY, judges_of
from .errors import BadInput
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
            self.add_block(name, block)

    def column(self, rule: str, name: str):
        """Return an input function: this column of the row of a job."""

        def value(wildcards):
            key, rows = "/".join(wildcards), self.rows[rule]
            if key not in rows:
                raise LookupError(f"{rule}: the grids have no '{key}'" + spec.nearest(key, rows))
            return rows[key][name]

        return value

    # --- one analysis

    def add_block(self, name: str, block: dict) -> None:
        cells = self.cells_of(name, block)
        described = [self.describe(*cell) for cell in cells]
        # without recipes a block only measures responses: its cells have no student
        students = [cell for cell in described if cell["student"]]
        for cell in students:
            self.add_student(cell)
        references = [
            {"name": r, **{key: self.config["references"][r][key] for key in ("base", "role", "format")}}
            for r in block["references"]
        ]
        suites = {suite: judges_of(self.config, suite) for suite in block["suites"]}
        models = [student["student"] for student in students] + block["references"]
        for model, (suite, judges) in product(models, suites.items()):
            self.add_exam(model, suite, judges)
        pairs = list(dict.fromkeys((base, corpus) for base, corpus, _, _ in cells))
        for base, corpus in pairs:
            self.add_metrics(base, corpus, block["metrics"])
        responses = list(dict.fromkeys(r for _, corpus in pairs for r in self.sources(corpus)))
        verified = [suite for suite in suites if VERIFY in suites[suite]]
        judged = [
            (m, suite, judge) for m, (suite, js) in product(models, suites.items()) for judge in js if judge != VERIFY
        ]
        self.rows["correlate"][name] = {
            "spec": spec.dump(
                grid=block,
                students=described,
                references=references,
                pairs=pairs,
                metrics={name: self.config["metrics"][name] for name in block["metrics"]},
                suites=suites,
                gates=self.config["health"]["gates"],
                corpora={
                    c: {key: self.config["corpora"][c][key] for key in ("instructions", "teachers")}
                    for c in block["corpora"]
                },
                recipes={recipe: self.config["recipes"][recipe] for recipe in block["recipes"]},
                teachers=self.labels("teachers", self.teachers_of(responses)),
                bases=self.labels("bases", {base for base, _ in pairs}),
            ),
            "bases": [base for base, _ in pairs],
            "corpora": [corpus for _, corpus in pairs],
            "models": models,
            "verified": verified,
            "judged_models": [model for model, _, _ in judged],
            "judged_suites": [suite for _, suite, _ in judged],
            "judges": [judge for _, _, judge in judged],
            "students": [student["student"] for student in students],
            "responses": responses,
        }
        self.rows["report"][name] = {
            "spec": spec.dump(
                title=block["title"] or name,
                tasks=self.fields_of(block["suites"]),
                models=self.models_of(pairs),
                judges={judge: self.config["judges"][judge] for _, _, judge in judged},
            ),
            "responses": responses,
            "instructions": list(dict.fromkeys(r.split("__")[0] for r in responses)),
            "rewards": self.rewards_of(block["metrics"]),
            "models": [s["student"] for s in students if s["seed"] == block["seeds"][0]] + block["references"],
            "suites": block["suites"],
            "verified": verified,
            "prompts": [self.config["tasks"][task]["prompts"] for task in sorted(self.fields_of(block["suites"]))],
        }

    def cells_of(self, name: str, block: dict) -> list[tuple]:
        """Return (base, corpus, recipe, seed) of a block: the cross product without `exclude`, then `include`."""
        whole = [f"{i}__{t}" for i, t in product(block["instructions"], block["teachers"])]
        trained = [block["recipes"] or [None], block["seeds"] or [None]]
        cells = list(product(block["bases"], [*whole, *block["corpora"]], *trained))
        for index, out in enumerate(block["exclude"]):
            kept = [cell for cell in cells if not self.matches(out, cell)]
            if len(kept) == len(cells):
                raise BadInput(f"config.grids.{name}.exclude[{index}]: matches no cell; remove it or mend it")
            cells = kept
        for index, cell in enumerate(block["include"]):
            corpus = cell.get("corpus") or "__".join(cell.get(key, "") for key in ("instructions", "teacher"))
            if "base" not in cell or not corpus.strip("_") or corpus.startswith("__") or corpus.endswith("__"):
                raise BadInput(
                    f"config.grids.{name}.include[{index}]: state base and corpus (or instructions and teacher)"
                )
            recipes = [cell["recipe"]] if "recipe" in cell else trained[0]
            seeds = [cell["seed"]] if "seed" in cell else trained[1]
            cells += product([cell["base"]], [corpus], recipes, seeds)
        if not cells:
            raise BadInput(f"config.grids.{name}: no cell is left; name at least one base, corpus, recipe and seed")
        return list(dict.fromkeys(cells))

    def matches(self, pattern: dict, cell: tuple) -> bool:
        base, corpus, recipe, seed = cell
        instructions, _, teacher = corpus.partition("__")
        words = {
            "base": base,
            "corpus": corpus,
            "recipe": recipe,
            "seed": seed,
            "teacher": teacher,
            "instructions": instructions,
        }
        return all(words[word] == value for word, value in pattern.items())

    def fields_of(self, suites: list[str]) -> dict:
        """Return the tasks of these suites with the columns of their prompts."""
        tasks = {task for suite in suites for task in self.config["suites"][suite]["tasks"]}
        return {task: {"fields": self.config["tasks"][task]["fields"]} for task in tasks}

    def models_of(self, pairs: list[tuple]) -> dict:
        """Return the models of the bases and teachers of these (base, corpus)."""
        teachers = self.teachers_of([source for _, corpus in pairs for source in self.sources(corpus)])
        names = {self.config["teachers"][t]["model"] for t in teachers} | {
            self.config["bases"][b]["model"] for b, _ in pairs
        }
        return {name: self.config["models"][name] for name in sorted(names - {None})}

    def labels(self, kind: str, names) -> dict:
        """Return what only describes these entries: family, size, licence. It decides no result."""
        entries = {name: self.config[kind][name] for name in sorted(names)}
        nothing = {"family": None, "parameters": None, "parent": None, "licence": None, "output_terms": None}
        models = {name: self.config["models"].get(entry["model"], nothing) for name, entry in entries.items()}
        return {
            name: {"model": entries[name]["model"], **{key: m[key] for key in nothing}} for name, m in models.items()
        }

    def teachers_of(self, responses: list[str]) -> set[str]:
        return {name.split("__")[1] for name in responses}

    # --- instructions, responses and what scores them

    def add_responses(self, responses: str) -> None:
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
                row = self.with_model("reward", without(self.config["rewards"][name], "plain"))
                self.rows["reward"][f"{name}/{source}"] = {**row, "instructions": instructions}
            for name in scorers:
                entry = self.config["bases"].get(name) or self.config["scorers"][name]
                row = self.with_model("base", entry, likelihood=self.config["likelihood"])
                self.rows["likelihood"][f"{name}/{source}"] = {**row, "instructions": instructions}
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
            "spec": spec.dump(metrics={name: self.config["metrics"][name] for name in measured}),
        }

    def describe(self, base: str, corpus: str, recipe: str | None, seed: int | None) -> dict:
        """Return the words of a cell; its student is None where nothing is trained."""
        instructions, teacher = corpus.split("__") if "__" in corpus else (None, None)
        return {
            "student": f"{base}__{corpus}__{recipe}__s{seed}" if recipe else None,
            "base": base,
            "corpus": corpus,
            "instructions": instructions,
            "teacher": teacher,
            "recipe": recipe,
            "seed": seed,
            "self_pair": self.self_pair(base, teacher),
        }

    def add_student(self, cell: dict) -> None:
        files = self.add_corpus(cell["base"], cell["corpus"])
        entry, recipe = self.config["bases"][cell["base"]], self.config["recipes"][cell["recipe"]]
        self.rows["finetune"][cell["student"]] = {
            **files,
            # the recipe has a number format of its own
            **self.with_model("base", without(entry, "plain"), unused=("dtype",), recipe=recipe, seed=cell["seed"]),
            "gates": files["responses"],
        }

    def self_pair(self, base: str, teacher: str | None) -> bool:
        """Whether a teacher is this base, or was tuned from it."""
        name = self.config["teachers"][teacher]["model"] if teacher else None
        seen = set()
        while name is not None and name not in seen:
            if name == self.config["bases"][base]["model"]:
                return True
            seen.add(name)
            name = self.config["models"][name]["parent"]
        return False

    def add_exam(self, model: str, suite: str, judges: list[str]) -> None:
        entry, reference = self.config["suites"][suite], self.config["references"].get(model)
        who = reference or self.config["bases"][model.split("__")[0]]
        tasks = {name: self.config["tasks"][name] for name in sorted(entry["tasks"])}
        prompts = [task["prompts"] for task in tasks.values()]
        asked = {
            name: {key: task[key] for key in ("fields", "prompt_version", "decoding")} for name, task in tasks.items()
        }
        checked = {
            name: {key: task[key] for key in ("fields", "checker", "checker_version")} for name, task in tasks.items()
        }
        talk = {"model": who["model"], **{key: who[key] for key in TALK}, "format": who.get("format", "chat")}
        talk = talk if talk["format"] == "plain" else without(talk, "plain")
        batches = {key: entry[key] for key in ("batch", "shard")}
        self.rows["answer"][f"{model}/{suite}"] = {
            **self.with_model("reference", talk, tasks=asked, suite=batches),
            "students": [] if reference else [model],
            "prompts": prompts,
        }
        for judge in judges:
            if judge == VERIFY:
                self.rows["verify"][f"{model}/{suite}"] = {"spec": spec.dump(tasks=checked), "prompts": prompts}
            else:
                shown = {name: {"fields": task["fields"]} for name, task in tasks.items()}
                self.add_comparison(model, suite, judge, prompts, shown)

    def add_comparison(self, model: str, suite: str, judge: str, prompts: list[str], tasks: dict) -> None:
        entry = self.config["judges"][judge]
        opponent, reward = entry["baseline"], without(self.config["rewards"][entry["reward"]], "plain")
        self.rows["judge"][f"{model}/{suite}/{judge}"] = {
            **self.with_model("reward", reward, tasks=tasks, judge={"tie": entry["tie"]}),
            # the opponent itself ties with itself
            "baselines": [opponent] if opponent != model else [],
            "suites": [suite],
            "prompts": prompts,
        }
        if f"{opponent}/{suite}" not in self.rows["answer"]:
            self.add_exam(opponent, suite, [])


def without(entry: dict, *keys: str) -> dict:
    return {key: value for key, value in entry.items() if key not in keys}


def present(paths, only_made: bool):
    """Return an input function that leaves out what is not made, for a report while some cells are dead.

    A file whose own inputs are gone does not count: what died upstream left it behind.
    """

    @cache
    def made(path: str) -> bool:
        if not os.path.exists(path):
            return False
        made_from = origin.read(path)
        return made_from is None or all(made(name) for name in made_from["inputs"])

    return (lambda wildcards: [path for path in paths(wildcards) if made(path)]) if only_made else paths
