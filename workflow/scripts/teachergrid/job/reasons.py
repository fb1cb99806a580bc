"""Why a job runs, in plain words: Snakemake's record of its output compared with the current config.

A reason is (class, details). The classes: first run; new teacher (base, seed, ... or cell); teacher (base) renamed or swapped;
those in SETTINGS; code changed; made by older code; input changed; output missing; interrupted; origin unknown; forced; follows.
"""

import ast
import json
import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..spec.ids import Corpus, Model, Responses
from ..spec.seeds import derived_seed
from ..store import history
from ..store.history import MARKS, Record, record_path
from ..store.recall import OTHER_INPUT

if TYPE_CHECKING:
    from snakemake.jobs import Job

FOLLOWS, FORCED, OLDER, FIRST, MISSING = "follows", "forced", "made by older code", "first run", "output missing"
# (pattern of a changed key, class of the reason): the first line that matches any changed key counts, so the important ones come first
SETTINGS = [
    (r"model\.repo", "model changed"),
    (r"model\.revision", "model revision changed"),
    (r"(teacher|base|reference|reward)\.(template|template_args|plain)\b", "template changed"),
    (r"(teacher|base|reference|reward)\.system", "system prompt changed"),
    (r"teacher\.sampling", "sampling changed"),
    (r"model\b", "model settings changed"),
    (r"(teacher|suite)\b", "generation settings changed"),
    (r"optimise\b", "evolution changed"),
    (r"recipe\b", "recipe changed"),
    (r"tasks\..*\.(prompt_version|checker_version)", "task version changed"),
    (r"tasks\..*|suites\b", "task changed"),
    (r"made\b", "evolution changed"),
    (r"instructions\b", "instructions changed"),
    (r"corpus\b", "corpus changed"),
    (r"metrics\b", "metrics changed"),
    (r"(likelihood|base|reward|judge)\b", "scoring settings changed"),
    (r"health\b|gates\b", "health checks changed"),
    (r"seed\b", "seed changed"),
]
SUMMARY = "summary changed"  # for the keys of a grid block: its teachers, students, title ...
# {rule: kind of name}: the spec of such a job defines what the name means, so two names with the same spec mean the same
IDENTITY = {"generate": "teacher", "likelihood": "base"}
# the parts of a cell: where several of them are new, the first in this order is the reason
WORDS = [
    *("teacher", "base", "evolution", "instructions", "corpus", "recipe", "reward"),
    *("scorer", "seed", "reference", "suite", "judge", "grid"),
]
DETAILS = 20  # lines of a reason that a document holds: that of a summary may name thousands of students


# --- the parts of a cell by name


def words(wildcards: Iterable[tuple[str, str]]) -> dict[str, str]:
    """[("student", "q__seed__large__sft__s1")] -> {base: q, instructions: seed, teacher: large, recipe: sft, seed: s1}"""
    parts: dict[str, str] = {}
    for kind, value in wildcards:
        if kind in ("student", "model") and (student := Model.parse(value).student):
            parts |= {"base": student.base, "recipe": student.recipe, "seed": f"s{student.seed}"}
            kind, value = "corpus", student.corpus
        if kind in ("responses", "corpus") and (responses := Corpus.parse(value).responses):
            parts |= responses._asdict()
        else:
            parts["reference" if kind == "model" else kind] = value
    return parts


def words_of(job: "Job") -> dict[str, str]:
    """Return the parts of the cell of one of Snakemake's jobs. A scorer that is one of the bases is named `base`."""
    parts = words(job.wildcards.items())
    if "scorer" in parts and parts["scorer"] in job.dag.workflow.globals["cells"].config["bases"]:
        parts["base"] = parts.pop("scorer")
    return parts


# --- differences


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """{"teacher": {"sampling": {"temperature": 1}}} -> {"teacher.sampling.temperature": 1}"""
    if not isinstance(value, dict):
        return {prefix: value}
    parts = (flat(item, f"{prefix}.{key}".lstrip(".")) for key, item in value.items())
    return {key: item for part in parts for key, item in part.items()}


def changes(old: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the keys of two flat specs that differ, as the person changed them: what only follows from others is last, or left out.

    A seed appears or vanishes with the temperature, or with the number of instructions to draw: nobody has changed it.
    """
    changed = [key for key in sorted(old.keys() | now.keys()) if old.get(key) != now.get(key)]
    settings = {key.rpartition(".")[0] for key in changed if not _is_seed(key)}
    followed = {
        key
        for key in changed
        if _is_seed(key) and key.rpartition(".")[0] in settings and None in (old.get(key), now.get(key))
    }
    return sorted((key for key in changed if key not in followed), key=lambda key: (key == "code", _is_seed(key)))


def _is_seed(key: str) -> bool:
    return key.rpartition(".")[2] == "seed"


def difference(before: Any, now: Any) -> str:
    """Return in words what changed in one value of a spec: `old -> new`, or what a list gained and lost. None: the default."""
    if isinstance(before, list) and isinstance(now, list):
        # compared as texts in a dict, which is fast: a grid has thousands of students
        old, new = ({json.dumps(item, sort_keys=True): item for item in items} for items in (before, now))
        gained = [f"+ {short(item)}" for text, item in new.items() if text not in old]
        lost = [f"- {short(item)}" for text, item in old.items() if text not in new]
        return ", ".join(gained + lost) or "another order"
    return f"{short(before)} -> {short(now)}"


def short(value: Any) -> str:
    """Return a value of a spec as text of at most 100 characters."""
    if value is None:
        return "default"
    text = str(value.get("student") or value) if isinstance(value, dict) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def kind_of(changed: Sequence[str]) -> str:
    """Return the class of a reason. changed: the keys of a spec that changed, such as `teacher.sampling.temperature`."""
    if changed and all(map(_is_seed, changed)):
        return "seed changed"
    return next((kind for keys, kind in SETTINGS for key in changed if re.match(keys, key)), SUMMARY)


# --- records of earlier jobs


def old_spec(record: Record) -> str | None:
    """Return the spec that an output was made with; None where the record has none."""
    spec = record["params"][0] if record["params"] else ""
    return ast.literal_eval(spec) if spec.startswith("'{") else None


class Past:
    """What the results tell about the past: the names in their cells, and what each name meant before.

    known: {(kind of name, name)} in the cells of existing outputs. empty: whether no output exists.
    before: {(kind of name, name): the other name under which results with the same spec exist}.
    """

    def __init__(
        self, results: str, corrected: dict[str, Record], existing: Sequence["Job"], jobs: Sequence["Job"]
    ) -> None:
        """Read the records of the results.

        Args:
            corrected: records that are wrong on the disk, as they should be.
            existing: Snakemake's jobs whose outputs exist.
            jobs: those to run.
        """
        self.results, self.corrected = results, corrected
        self.known = {pair for job in existing for pair in words_of(job).items()}
        self.empty = not existing
        self.before: dict[tuple[str, str], str] = {}
        for job in () if self.empty else jobs:
            word, name = identity(job)
            if word and name and (was := self.same(job, name)):
                self.before[word, name] = was

    def same(self, job: "Job", name: str) -> str | None:
        """Return another name under which an output was made from the spec of this job; None where there is none."""
        here, spec = str(job.output[0]), job.params.spec
        if spec == self.spec_of(here):
            return None
        others = self.siblings(here, name)
        return next((other for other, path in others if self.spec_of(path) == spec), None)

    def siblings(self, path: str, name: str) -> list[tuple[str, str]]:
        """Return (name, path) of the outputs whose paths differ from this one only in the name."""
        file = Path(path)
        corpus = Corpus.parse(file.stem)
        if corpus.responses and corpus.responses.teacher == name:  # responses/{responses}.parquet
            paths = sorted(file.parent.glob(f"{corpus.responses._replace(teacher='*')}{file.suffix}"))
            return [(Responses.parse(path.stem).teacher, str(path)) for path in paths]
        # likelihoods/{scorer}/chat/{responses}.parquet
        return [(p.parts[-3], str(p)) for p in sorted(file.parents[2].glob(f"*/{file.parent.name}/{file.name}"))]

    @cache
    def spec_of(self, path: str) -> str | None:
        """Return the spec that an output was made with; None where no record has it."""
        record = self.record_of(path)
        return old_spec(record) if record else None

    def record_of(self, output: str) -> Record | None:
        """Return the record of an output (see store.recall); None where there is none."""
        return self.corrected.get(output) or history.read(self.results, output)

    def new(self, job: "Job") -> tuple[str, list[str]]:
        """Return the reason of a job that never ran: which name in its cell is new."""
        if self.empty:
            return FIRST, []
        names = words_of(job)
        for word in WORDS:
            if word in names and (word, names[word]) not in self.known:
                return self.renamed(word, names[word], "renamed") or (f"new {word}", [names[word]])
        return "new cell", []

    def renamed(self, word: str | None, name: str | None, how: str) -> tuple[str, list[str]] | None:
        """Return the reason of a job whose name used to mean something else; None where it did not.

        how: `renamed` or `swapped`, the second word of the class.
        """
        was = self.before.get((word, name)) if word and name else None
        if was is None:
            return None
        return f"{word} {how}", [
            f"{name} is what {was} was: with that name its results are reused and nothing is made for it"
        ]


def identity(job: "Job") -> tuple[str | None, str | None]:
    """Return (kind of name, name) that a job's spec defines, such as ("teacher", "large"); (None, None) for other rules."""
    word = IDENTITY.get(job.rule.name)
    return (word, words_of(job).get(word)) if word else (None, None)


def why(job: "Job", past: Past, remade: set[str]) -> tuple[str, list[str]]:
    """Return why a job runs: (class, details). remade: outputs that other jobs of the plan make again."""
    output = str(job.output[0])
    record = past.record_of(output)
    if not os.path.exists(output):
        return past.new(job) if record is None else _deleted(job, past, record)
    # Snakemake then forces the job, and leaves a mark file
    if record_path(MARKS, output).exists():
        return "interrupted", ["the output is incomplete: its job was stopped while it wrote"]
    if job.dag.reason(job).forced:
        return FORCED, []
    before = old_spec(record) if record else None
    if record is None or before is None:
        return "origin unknown", ["the output does not record what it was made from"]
    return _other_spec(job, past, before) or _other_input(job, record, remade)


def _deleted(job: "Job", past: Past, record: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the reason of a job whose output was deleted: what else has changed since, for then it comes out differently."""
    before = old_spec(record)
    if before is None:
        return "origin unknown", ["the output was deleted, and its record does not say what it was made from"]
    changed = _other_spec(job, past, before)
    return changed or (MISSING, ["the output was deleted"])


def _other_spec(job: "Job", past: Past, before: str) -> tuple[str, list[str]] | None:
    """Return the reason of a job whose spec changed, None where it did not. before: the spec of its output."""
    old, now = flat(json.loads(before)), flat(json.loads(job.params.spec))
    changed = changes(old, now)
    if not changed:
        return None
    if changed == ["code"]:
        return "code changed", ["its code changed" if "code" in old else "its code was not recorded"]
    swapped = past.renamed(*identity(job), "swapped")
    kind, details = swapped or (kind_of([key for key in changed if key != "code"]), [])
    derived = _derived_seeds(job) if any(map(_is_seed, changed)) else set()
    origin = {key: ", derived from config.seed" for key in changed if _is_seed(key) and now.get(key) in derived}
    return kind, details + [f"{key}: {difference(old.get(key), now.get(key))}{origin.get(key, '')}" for key in changed]


def _derived_seeds(job: "Job") -> set[int]:
    """Return the seeds that a job has where the config states the root seed alone."""
    root, names = job.dag.workflow.globals["cells"].config["seed"], words_of(job).values()
    own = (f"{kind}/{name}" for kind in ("instructions", "corpora") for name in names)
    return {derived_seed(root, purpose) for purpose in ("generation", "evaluation", "bootstrap", "evolution", *own)}


def _other_input(job: "Job", record: Record, remade: set[str]) -> tuple[str, list[str]]:
    """Return the reason of a job whose spec is unchanged. record: of its output. remade: outputs that are made again."""
    inputs = set(map(str, job.input))
    if (others := record["params"][1:]) and not inputs & remade:
        return "input changed", ast.literal_eval(others[0]).removeprefix(OTHER_INPUT).split(", ")
    if set(record["input"]) != inputs:
        gone, new = set(record["input"]) - inputs, inputs - set(record["input"])
        return "input changed", [f"- {path}" for path in sorted(gone)] + [f"+ {path}" for path in sorted(new)]
    if upstream := sorted(inputs & remade):
        return FOLLOWS, upstream
    updated = sorted(map(str, job.dag.reason(job).updated_input))
    return "input changed", updated or ["an input differs from the one that it was made from"]


def shortened(details: list[str]) -> list[str]:
    """Return the first DETAILS details, then a line with the number of the others."""
    others = len(details) - DETAILS
    return details if others <= 0 else [*details[:DETAILS], f"and {others} more"]
