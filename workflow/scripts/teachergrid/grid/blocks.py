"""One grid block of the config (one analysis): its models, suites and corpora, and the rows of its summary and report."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

from ..analysis import evidence
from ..evolution.methods import JOINED
from ..spec import canonical
from ..spec.canonical import picked
from ..spec.combinations import Combination, describe, student_of
from ..spec.ids import Corpus, Responses, sets_of
from . import pilot
from .builder import Builder
from .config import ANY
from .config_data import asked_judge, choosing_rewards, metrics_of
from .config_grids import VERIFY, judges_of
from .rows import CorrelateRow, ReportRow

LABELS = ("family", "parameters", "parent", "licence", "output_terms")
# how the rows of a derived corpus are chosen, as far as its students are compared by it
CHOICE = ("instructions", "teachers", "matched", "least", "by", "choose", "share", "rows", "tokens", "each", "ratios")
OWN_LABELS = {"teachers": ("score",), "bases": ()}


class Comparison(NamedTuple):
    """A comparison of a model's answers to a suite with those of a judge's opponent."""

    model: str
    suite: str
    judge: str


@dataclass(frozen=True)
class Block:
    """A block with its cells.

    config: the whole config. all_cells: the block's cells before its pilot. cells: those that remain after it; all without a pilot.
    """

    config: dict
    name: str
    all_cells: list[Combination]
    cells: list[Combination]

    @property
    def entry(self) -> dict:
        return self.config["grids"][self.name]

    @cached_property
    def students(self) -> list[str]:
        return [student for cell in self.cells if (student := student_of(cell))]

    @cached_property
    def shown_students(self) -> list[str]:
        """The students whose answers the report shows: those of the first seed."""
        return [s for cell in self.cells if (s := student_of(cell)) and cell.seed == self.entry["seeds"][0]]

    @cached_property
    def models(self) -> list[str]:
        """All models that answer the block's suites."""
        return self.students + self.entry["references"]

    @cached_property
    def suites(self) -> dict[str, list[str]]:
        """{suite: names of its judges}."""
        return {suite: judges_of(self.config, suite) for suite in self.entry["suites"]}

    @cached_property
    def verified(self) -> list[str]:
        return [suite for suite, judges in self.suites.items() if VERIFY in judges]

    @cached_property
    def judges(self) -> list[str]:
        """The judges that compare answers, each once."""
        return list(dict.fromkeys(j for judges in self.suites.values() for j in judges if j != VERIFY))

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return [
            Comparison(model, suite, judge)
            for model, suite in product(self.models, self.suites)
            for judge in self.suites[suite]
            if judge != VERIFY
        ]

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The (base, corpus) pairs of the cells, each once."""
        return list(dict.fromkeys((cell.base, cell.corpus) for cell in self.cells))

    def responses(self, build: Builder) -> list[str]:
        """Return the responses that the block's corpora take rows from, each once."""
        return list(dict.fromkeys(source for _, corpus in self.pairs for source in build.sources(corpus)))

    def tasks(self) -> dict[str, dict]:
        """Return {task: its `fields`} of the block's suites: which columns of the prompt files hold what."""
        tasks = {task for suite in self.suites for task in self.config["suites"][suite]["tasks"]}
        return {task: picked(self.config["tasks"][task], "fields") for task in tasks}


def correlate_row(build: Builder, block: Block) -> CorrelateRow:
    """Return the row of a block's summary."""
    responses = block.responses(build)
    made = list(
        dict.fromkeys((corpus, variant(build, base, corpus)) for base, corpus in block.pairs if _derived(corpus))
    )
    return {
        "models": block.models,
        "verified": block.verified,
        "spec": summary_spec(block, responses),
        "bases": [base for base, _ in block.pairs],
        "corpora": [corpus for _, corpus in block.pairs],
        "judged_models": [comparison.model for comparison in block.comparisons],
        "judged_suites": [comparison.suite for comparison in block.comparisons],
        "judges": [comparison.judge for comparison in block.comparisons],
        "students": block.students,
        "responses": responses,
        "derived": [corpus for corpus, _ in made],
        "variants": [of for _, of in made],
        # a suite has some hundreds to a thousand items
        "rows": 1_000 * len(block.models),
    }


def _derived(corpus: str) -> bool:
    return not Corpus.parse(corpus).responses


def variant(build: Builder, base: str, corpus: str) -> str:
    """Return whose selection of rows a derived corpus is: the base's, or ANY where it is the same for all bases."""
    entry = build.config["corpora"][corpus]
    scorers = build.scorers_of(metrics_of(entry), base)
    counted = entry["tokens"] and entry["counted_by"] in ("self", base)
    return base if base in scorers or counted else ANY


def report_row(build: Builder, block: Block) -> ReportRow:
    """Return the row of a block's report."""
    config, entry, responses, tasks = block.config, block.entry, block.responses(build), block.tasks()
    graded = graded_sets(config, sets_of(responses))
    about: dict[str, dict] = {"graded": graded} if graded else {}
    if joined := {name: parts for name in sets_of(responses) if (parts := parts_of(config, name)) != [name]}:
        about["joined"] = joined
    savings = {"saved": pilot.savings(build, block.all_cells, block.cells)} if entry["pilot"] else {}
    return {
        "verified": block.verified,
        "spec": canonical.dump(
            title=entry["title"] or block.name,
            tasks=tasks,
            models=models_of(config, block.pairs, responses) | judge_models(config, block),
            judges={name: config["judges"][name] for name in judges_in(config, block)},
            **savings,
            **about,
        ),
        "pilots": [block.name] if entry["pilot"] else [],
        "complete": pilot.complete(config, entry, block.all_cells) if entry["pilot"] else [],
        "models": block.shown_students + entry["references"],
        "judged_models": [comparison.model for comparison in block.comparisons],
        "judged_suites": [comparison.suite for comparison in block.comparisons],
        "judges": [comparison.judge for comparison in block.comparisons],
        "instructions": sets_of(responses),
        "graded": [*graded],
        "responses": responses,
        "rewards": build.rewards_of(entry["metrics"]),
        "suites": entry["suites"],
        "prompts": [config["tasks"][task]["prompts"] for task in sorted(tasks)],
        "rows": build.rows_of(responses),
    }


def graded_sets(config: dict, names: Collection[str]) -> dict[str, dict]:
    """Return {set with the grades: {"of": set, "by": teacher}} of the evolutions that grade one of these sets."""
    return {
        f"{name}.r1": picked(entry, "of", "by")
        for name, entry in config["evolutions"].items()
        if entry["method"] == "grade" and entry["of"] in names
    }


def parts_of(config: dict, name: str) -> list[str]:
    """Return the sets that an instruction set was joined from, down to such as are not joined; of any other set itself."""
    made = config["instructions"][name].get("made")
    if made is None or made["stage"] != JOINED:
        return [name]
    parts = [made["sets"][place] for place, _ in made["settings"]["join"]]
    return list(dict.fromkeys(one for part in parts for one in parts_of(config, part)))


def summary_spec(block: Block, responses: list[str]) -> str:
    """Return the spec of a block's summary. responses: ids of those that its corpora take rows from."""
    config, entry = block.config, block.entry
    references = {name: config["references"][name] for name in entry["references"]}
    corpora = {name: config["corpora"][name] for name in entry["corpora"]}
    return canonical.dump(
        grid=entry,
        students=[describe(config, cell) for cell in block.cells],
        references=[
            {"name": name, **picked(reference, "model", "base", "role", "format")}
            for name, reference in references.items()
        ],
        pairs=block.pairs,
        metrics={name: config["metrics"][name] for name in entry["metrics"]},
        suites=block.suites,
        judges={judge: picked(config["judges"][judge], "reward") for judge in block.judges},
        gates=config["health"]["gates"],
        corpora={
            name: {**picked(corpus, *CHOICE), "rewards": choosing_rewards(config, corpus)}
            for name, corpus in corpora.items()
        },
        recipes={recipe: config["recipes"][recipe] for recipe in entry["recipes"]},
        teachers=labels(config, "teachers", teachers_of(responses)),
        bases=labels(config, "bases", {base for base, _ in block.pairs}),
        **({"kin": related} if (related := kin(config, block, responses)) else {}),
    )


def doubted(summaries: Mapping[str, CorrelateRow]) -> list[str]:
    """Return a sentence for each grid whose judges may favour a teacher or its primary metric. summaries: {grid: row}."""
    found = []
    for grid, row in summaries.items():
        primary = evidence.primary(canonical.load(row["spec"]))
        out = "; ".join(f"{score}, whose judge {why}" for score, why in primary.left_out.items())
        lines = [f"Performance leaves out {out}. `primary_judges` counts a judge nevertheless."] if out else []
        found += [f"grid {grid}: {line}" for line in (*lines, *primary.evidence)]
    return found


def kin(config: dict, block: Block, responses: list[str]) -> dict[str, dict]:
    """Return {judge: {"family", "names"}} of the judges that may favour a teacher or base: they are of its family, or that very model.

    Args:
        responses: ids of those that the block's corpora take rows from.
    Returns: the family that judge and teachers share, None where they share the model itself; the names of teachers and bases.
    """
    entries = {name: config["teachers"][name]["model"] for name in teachers_of(responses)}
    entries |= {base: config["bases"][base]["model"] for base, _ in block.pairs}
    found = {}
    for judge in block.judges:
        model = judging_model(config, judge)
        family = _family(config, model)
        for shared, names in (
            (family, sorted(name for name, other in entries.items() if family and _family(config, other) == family)),
            (None, sorted(name for name, other in entries.items() if model is not None and other == model)),
        ):
            if names and judge not in found:
                found[judge] = {"family": shared, "names": names}
    return found


def judging_model(config: dict, judge: str) -> str | None:
    """Return the model that decides for a judge, None where a checker does: its own, or that of its reward or of the judge it derives from."""
    entry = config["judges"][asked_judge(config, judge)]
    return entry["model"] if entry["reward"] is None else config["rewards"][entry["reward"]]["model"]


def _family(config: dict, model: str | None) -> str | None:
    return (config["models"].get(model) or {}).get("family")


def labels(config: dict, kind: str, names: Collection[str]) -> dict[str, dict]:
    """Return {name: what only describes the entry}: model, family, size, licence, own score. It changes no model's result.

    kind: `teachers` or `bases`.
    """
    by_name = {}
    for name in sorted(names):
        entry = config[kind][name]
        model = picked(config["models"].get(entry["model"], dict.fromkeys(LABELS)), *LABELS)
        by_name[name] = {"model": entry["model"], **model, **picked(entry, *OWN_LABELS[kind])}
    return by_name


def models_of(config: dict, pairs: list[tuple[str, str]], responses: list[str]) -> dict[str, dict]:
    """Return {name: config entry} of the models of the bases in these pairs and of the teachers of these responses."""
    names = {config["teachers"][teacher]["model"] for teacher in teachers_of(responses)}
    names |= {config["bases"][base]["model"] for base, _ in pairs}
    return {name: config["models"][name] for name in sorted(names - {None})}


def judges_in(config: dict, block: Block) -> list[str]:
    """Return the judges of a block, with those from which others are derived."""
    judges = [comparison.judge for comparison in block.comparisons]
    return list(dict.fromkeys([*judges, *(asked_judge(config, judge) for judge in judges)]))


def judge_models(config: dict, block: Block) -> dict[str, dict]:
    """Return {name: config entry} of the language models that judge in a block, those of derived judges too."""
    names = {config["judges"][judge]["model"] for judge in judges_in(config, block)} - {None}
    return {name: config["models"][name] for name in sorted(names)}


def teachers_of(responses: list[str]) -> set[str]:
    """Return the names of the teachers of these responses."""
    return {Responses.parse(name).teacher for name in responses}
