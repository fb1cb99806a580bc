"""Expand the config once into the table of cells: one row per job, looked up by rule and wildcards.

`builder`, `evaluation`, `pilot` and `blocks` build rows. Here each job is added together with the jobs whose outputs it reads.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, product
from typing import Any

from ..cost import resources, workload
from ..data import sizes
from ..engines.engine import missing
from ..errors import BadInput
from ..evolution.entries import NOTHING
from ..job import fingerprint
from ..models import openings
from ..spec import canonical, names, recipes
from ..spec.combinations import Combination, combinations
from ..spec.ids import Corpus, Model, Responses, Student, sets_of
from ..spec.spelling import nearest
from ..store.results import RESULTS
from . import blocks, evaluation, pilot, sets
from .builder import Builder
from .config_data import losses, made_set, metrics_of, tasks_of
from .config_grids import VERIFY
from .config_paths import unguarded
from .rows import CorpusPart, FinetuneRow, FreeRow, Measures, MetricRow, RewardRow, ScoreRow, outside, signed

ASKING = ("generate", "ask", "optimise")  # the rules whose jobs may ask an endpoint
LISTED = "; `teachergrid plan --details` lists all that there is"
WILDCARD = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}")  # of a rule, with a pattern that may have braces of its own


class Cells:
    """The table of cells of a config.

    rows: {rule: {"wildcard/wildcard": row}}; the module `rows` has a class for each kind of row.
    chosen: {grid: {base: [teachers]} or None}, the teachers that the pilot of a grid chose; None while it has no result.
    """

    def __init__(self, config: dict, choices: dict[str, pilot.Chosen | None] | None = None) -> None:
        """Expand a config.

        Args:
            config: as config.checked returns it.
            choices: what pilots chose, for the grids for which it is not read from results/grids/{grid}/pilot.json: jobs get
                what their run was planned with.
        Raises:
            BadInput: a block has no cell, the GPUs of a recipe cannot share its accumulation steps, or names are too long.
        """
        self.config, self.choices = config, choices or {}
        self.rows: dict[str, dict[str, Any]] = defaultdict(dict)
        self.chosen: dict[str, pilot.Chosen | None] = {}
        self.build = Builder(config)
        for name, entry in config["grids"].items():
            self._add_block(name, entry)
        names.check_cells(self.rows)

    # --- what Snakemake's rules read

    def column(self, rule: str, name: str) -> Callable:
        """Return a function of wildcards, for a Snakemake rule, that returns one column of the job's row.

        The spec of a cheap rule also holds the fingerprint of its code.
        """

        def value(wildcards: Sequence[str]) -> Any:
            content = self.row(rule, wildcards)[name]
            return fingerprint.stamped(rule, content) if name == "spec" else content

        return signed(value)

    def row(self, rule: str, wildcards: Sequence[str]) -> Any:
        """Return the row of a job. Raises BadInput where the grids have no such cell."""
        key, rows = "/".join(wildcards), self.rows[rule]
        if key not in rows:
            raise BadInput(f"{rule}: the grids have no '{key}'" + (nearest(key, rows) or LISTED))
        return rows[key]

    def no_such_file(self, path: str, outputs: Mapping[str, str]) -> BadInput:
        """Return what to say about a target that no rule makes, with the nearest file of the grids.

        outputs: {rule: its first output, with wildcards}.
        """
        files = []
        for rule, pattern in outputs.items():
            # the wildcards of a rule are the parts of its cells, in their order
            parts = WILDCARD.split(pattern)
            files += [
                "".join(chain(*zip(parts, [*key.split("/"), ""], strict=True))) for key in self.rows.get(rule, ())
            ]
        return BadInput(f"{path}: no job of the grid makes this file{nearest(path, files) or LISTED}")

    def outside_files(self, rule: str, output: str) -> list[str] | None:
        """Return the paths of a job's inputs from outside the results, in their order; None where the grids have no such job.

        output: the path of its output. Rules that read such files have outputs at {results}/{kind}/{cell}, or {cell}/{name}.
        """
        *folders, name = output.split("/")[2:]
        cell = "/".join(folders if rule in ("verify", "report") else [*folders, name.rpartition(".")[0]])
        row = self.rows[rule].get(cell)
        return None if row is None else outside(row)

    def all_outside_files(self) -> set[str]:
        """Return the paths of all inputs from outside the results."""
        return {path for rows in self.rows.values() for row in rows.values() for path in outside(row)}

    def needs(self, rule: str) -> dict[str, Callable]:
        """Return {resource: function of wildcards and attempt} for a Snakemake rule."""

        def resource(name: str) -> Callable:
            return signed(lambda wildcards, attempt: resources.need(rule, name, self.row(rule, wildcards), attempt))

        return {name: resource(name) for name in resources.named(rule, self.endpoints() if rule in ASKING else ())}

    def endpoints(self) -> set[str]:
        """Return the names of the endpoints that jobs ask."""
        return {row["endpoint"]["name"] for rule in ASKING for row in self.rows[rule].values() if "endpoint" in row}

    def warnings(self) -> list[str]:
        """Return what to know before a run: on bases whose chat template opens a block, learning rates, sets of instructions whose
        rows are not known, engines whose package is missing, programs of models without a guard, judges that may favour a teacher."""
        measured = {key.partition("/")[0] for rule in ("likelihood", "metric") for key in self.rows[rule]}
        students = [Student.parse(name) for name in self.rows["finetune"]]
        opened = openings.warnings(self.config, measured | {student.base for student in students})
        rates = recipes.advice(self.config, {student.recipe for student in students})
        entries = {name: self.config["instructions"][name] for name in self.rows["load_instructions"]}
        unknown = [*sizes.guessed(entries), *sets.bounded(self.build, entries)]
        doubted = blocks.doubted(self.rows["correlate"])
        return [*opened, *rates, *unknown, *self.lacking(), *unguarded(self.config), *doubted]

    def lacking(self) -> dict[str, set[tuple[str, str]]]:
        """Return {sentence on a package that an engine lacks in this environment: the (rule, cell) of its jobs}."""
        of_engine: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for rule in ("generate", "answer", "ask"):
            for cell, row in self.rows[rule].items():
                of_engine[dict(workload.settings(rule, row["spec"]))["engine"]].add((rule, cell))
        return {lack: jobs for engine, jobs in of_engine.items() if (lack := missing(engine))}

    # --- blocks and pilots

    def _add_block(self, name: str, entry: dict) -> None:
        """Add all jobs of a block; only those of its pilot while the pilot has no result."""
        all_cells = remaining = combinations(name, entry)
        if entry["pilot"]:
            chosen = self.chosen[name] = self._add_pilot(name, entry, all_cells)
            if chosen is None:
                return
            remaining = pilot.remaining(chosen, all_cells)
        block = blocks.Block(self.config, name, all_cells, remaining)
        for student in block.students:
            self._add_student(student)
        for model, (suite, judges) in product(block.models, block.suites.items()):
            self._add_evaluation(model, suite, judges)
        for base, corpus in block.pairs:
            self._add_metrics(base, corpus, entry["metrics"])
        self.rows["correlate"][name] = blocks.correlate_row(self.build, block)
        self.rows["report"][name] = blocks.report_row(self.build, block)
        for graded in self.rows["report"][name]["graded"]:
            self._add_instructions(graded)

    def _add_pilot(self, name: str, entry: dict, cells: list[Combination]) -> pilot.Chosen | None:
        """Add the jobs of a block's pilot. Return what it chose, None while it has no result."""
        draft = pilot.Draft(entry, pilot.candidates_of(cells))
        scored: list[tuple[str, str]] = []
        for base, responses in draft.by_base().items():
            measures = self._add_measures(entry["pilot"]["by"], base, responses)
            scored += product(measures["scorers"], responses)
        row = self.rows["pilot"][name] = pilot.row(self.build, draft, list(dict.fromkeys(scored)))
        return self.choices[name] if name in self.choices else pilot.read(RESULTS, name, row["spec"])

    # --- instructions, responses and their scores

    def _add_instructions(self, name: str) -> None:
        if name in self.rows["load_instructions"]:
            return
        self.rows["load_instructions"][name] = self.build.instructions(name)
        for suite in (entry := self.config["instructions"][name])["decontaminate"]:
            self._add_prompts(suite)
        made = entry.get("made", NOTHING)
        for one in made["sets"]:
            self._add_instructions(one)
        for one in made["responses"]:
            self._add_responses(one, checked=False)
        for rule, cell in made["tables"]:
            self.rows[rule].setdefault(cell, sets.table(self.build, rule, cell))

    def _add_prompts(self, suite: str) -> None:
        """Add the instructions that are the prompts of a suite's tasks."""
        for task in tasks_of(self.config, suite).values():
            if task["instructions"] is not None:
                self._add_instructions(task["instructions"])

    def _add_responses(self, responses: str, checked: bool = True) -> None:
        """Add a teacher's responses. checked: with their health, which decides about training; evolution looks at rows alone."""
        if responses not in self.rows["generate"]:
            self._add_instructions(Responses.parse(responses).instructions)
            if raw := self.build.raw(responses):
                self._add_responses(raw, checked=False)
            self.rows["generate"][responses] = self.build.generate(responses)
        if checked and responses not in self.rows["check"]:
            self.rows["check"][responses] = self.build.check(responses)
            self.rows["gate"][responses] = {"spec": canonical.dump()}

    def _add_measures(
        self, metrics: list[str], base: str, sources: list[str], counted_by: str | None = None
    ) -> Measures:
        """Add the rewards and likelihoods that these metrics read, and return their ids.

        counted_by: a scorer (`self`: the base) whose likelihoods count tokens; None for no such count.
        """
        build = self.build
        rewards, scorers = build.rewards_of(metrics), build.scorers_of(metrics, base)
        if counted_by:
            scorers = sorted({*scorers, base if counted_by == "self" else counted_by})
        for source in sources:
            self._add_responses(source)
            instructions, rows, read = sets_of([source]), build.rows_of_one(source), build.read(source)
            scored = build.rows_of_one(source, self.config["likelihood"]["subset"])
            for name in rewards:
                part = build.reward_of(name, source)
                by_reward: RewardRow = {**part, **read, "instructions": instructions, "rows": rows}
                self.rows["reward"][f"{name}/{source}"] = by_reward
            for name in scorers:
                by_scorer: ScoreRow = {**build.scorer(name), **read, "instructions": instructions, "rows": scored}
                self.rows["likelihood"][f"{name}/{source}"] = by_scorer
        expecting = build.expecting(metrics, scorers)
        return {"responses": sources, "rewards": rewards, "scorers": scorers, "expecting": expecting}

    # --- corpora and students

    def _add_corpus(self, base: str, corpus: str) -> CorpusPart:
        """Add the jobs that make a corpus, and return what a job with this corpus and base reads."""
        sources = self.build.sources(corpus)
        for source in sources:
            self._add_responses(source)
        part: CorpusPart = {"responses": sources, "instructions": sets_of(sources), "derived": [], "variant": []}
        if Corpus.parse(corpus).responses:
            return part
        entry = self.config["corpora"][corpus]
        counted_by = entry["counted_by"] if entry["tokens"] else None
        measures = self._add_measures(metrics_of(entry), base, sources, counted_by)
        variant = blocks.variant(self.build, base, corpus)
        self.rows["select"][f"{corpus}/{variant}"] = self.build.select(corpus, measures)
        return {**part, "derived": [corpus], "variant": [variant]}

    def _add_metrics(self, base: str, corpus: str, metrics: list[str]) -> None:
        known = self.rows["metric"].get(f"{base}/{corpus}")
        # two blocks that share a cell share its job, which measures what either asks for
        metrics = sorted({*metrics, *(known["metrics"] if known else ())})
        measured = [metric for metric in metrics if self.build.is_measured(metric)]
        part = self._add_corpus(base, corpus)
        row: MetricRow = {
            **part,
            **self._add_measures(measured, base, part["responses"]),
            "rows": self.build.rows_of(part["responses"]),
            "metrics": metrics,
            "spec": self.build.metric_spec(tuple(measured)),
        }
        self.rows["metric"][f"{base}/{corpus}"] = row

    def _add_student(self, name: str) -> None:
        student = Student.parse(name)
        part = self._add_corpus(student.base, student.corpus)
        row: FinetuneRow = {
            **part,
            **self.build.training(student.base, student.recipe, student.seed),
            **self.build.read_of(part["responses"]),
            "rows": self.build.rows_in(student.corpus),
            "gates": part["responses"],
        }
        self.rows["finetune"][name] = row

    # --- evaluation

    def _add_evaluation(self, name: str, suite: str, judges: list[str]) -> None:
        """Add a model's answers to a suite, their checks and comparisons, and the answers of the opponents."""
        row = self.rows["answer"][f"{name}/{suite}"] = evaluation.answer_row(self.build, name, suite)
        for made in filter(None, map(made_set, row["prompts"])):
            self._add_instructions(made)
        if student := Model.parse(name).student:
            self._add_free(name, student, suite, losses(self.config, suite, judges))
        for judge in judges:
            if judge == VERIFY:
                self.rows["verify"][f"{name}/{suite}"] = evaluation.verify_row(self.build, suite)
                continue
            opponent = evaluation.add_judge(self.build, self.rows, name, suite, judge)
            if opponent and f"{opponent}/{suite}" not in self.rows["answer"]:
                self._add_evaluation(opponent, suite, [])

    def _add_free(self, name: str, student: Student, suite: str, losses: set[str]) -> None:
        """Add the job that deletes a student's weights after its last answer. A partial report (`partial`) deletes nothing."""
        keep = self.config["recipes"][student.recipe]["keep"]
        if keep != "model" and not self.config["partial"]:
            new: FreeRow = {"spec": canonical.dump(keep=keep), "suites": [], "losses": []}
            row = self.rows["free"].setdefault(name, new)
            row["suites"] += [suite] if suite not in row["suites"] else []
            row["losses"] = sorted({*row["losses"], *losses})
