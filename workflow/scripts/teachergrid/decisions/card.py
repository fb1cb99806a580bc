"""The model card of a student: base, teachers, instructions, recipe and commits, and the terms that the config states for them.

All of it is read from what the jobs left: student.json, the origins of the tables behind it, and the lineage of its grid.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import BadInput
from ..spec import canonical
from ..spec.ids import Responses
from ..spec.schema import definition, pruned
from ..spec.spelling import nearest
from ..store import artifacts, origin

# the hub's names of licences that language models have
LICENCES = (
    *("apache-2.0", "mit", "bsd-3-clause", "mpl-2.0", "gpl-3.0", "agpl-3.0", "unlicense", "cc0-1.0", "odc-by"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0"),
    *("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma"),
    *("openrail", "bigscience-bloom-rail-1.0", "bigcode-openrail-m"),
)
TERMS = ("base_licence", "teacher_licence", "output_terms")
WORDS = {
    "base_licence": "licence of the base",
    "teacher_licence": "licence of the teacher",
    "output_terms": "terms of the teacher's outputs",
}


class Part(NamedTuple):
    """Something that a student was made from. commit: of the hub, or a digest of the folder or file; None: not known."""

    name: str
    place: (
        str  # hub id, or the last part of a path: others have no use for the rest, and it may say more than it should
    )
    commit: str | None
    is_hub: bool = False

    def __str__(self) -> str:
        return f"{self.name}: `{self.place}`" + (f" at `{self.commit}`" if self.commit else ", commit unknown")


class Lineage(NamedTuple):
    """Where a student comes from. recipe: its settings beside the defaults. terms: by the names of TERMS; None: not stated."""

    student: str
    described: dict[str, Any]  # its student.json
    base: Part
    teachers: list[Part]
    instructions: list[Part]
    evolvers: list[Part]  # models with whose outputs the instructions were made or chosen
    recipe: dict[str, Any]
    terms: dict[str, str | None]

    def unstated(self) -> list[str]:
        """Return in words the terms that no config stated."""
        return [WORDS[key] for key in TERMS if not self.terms[key]]


def lineage(results: Path, student: str) -> Lineage:
    """Return the lineage of a student. Raises BadInput where there is no such student, or its description is damaged."""
    path = results / "students" / student / "student.json"
    if not path.is_file():
        known = [found.parent.name for found in sorted(results.glob("students/*/student.json"))]
        raise BadInput(
            f"{path}: no such student{nearest(student, known) or '; `ls ' + str(results / 'students') + '` lists them'}"
        )
    try:
        described = json.loads(path.read_text())
        made_from = described["origin"]
        settings = json.loads(made_from["spec"])
        base = _model(described["base"], settings["model"], made_from.get("folders", {}))
        recipe = pruned(canonical.load(made_from["spec"])["recipe"], definition("recipe"))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: does not describe a student ({error!r}); train it again") from error
    assert isinstance(recipe, dict), "a recipe is a mapping"
    files = list(made_from["inputs"])
    return Lineage(
        student,
        described,
        base,
        _teachers(results, files),
        *_instructions(results, files),
        recipe,
        _terms(results, student),
    )


def _model(name: str, entry: dict, folders: dict[str, str]) -> Part:
    """Return the model of a spec. folders: {folder: digest} of its origin."""
    repo = entry["repo"]
    if repo in folders or Path(repo).is_dir():
        return Part(name, Path(repo).name, folders.get(repo))
    return Part(name, repo, entry.get("revision"), True)


def _teachers(results: Path, files: list[str]) -> list[Part]:
    """Return the teachers of the responses among these files, in the order of their names."""
    found = [
        part for name in files if Path(name).parent.name == "responses" for part in _teacher(results, Path(name).stem)
    ]
    return sorted(set(found))


@cache
def _teacher(results: Path, responses: str) -> list[Part]:
    """Return the teacher of responses; of stripped ones that of the raw responses."""
    made_from = origin.read(results / "responses" / f"{responses}.parquet") or {}
    spec = json.loads(made_from.get("spec", "{}"))
    name = Responses.parse(responses).teacher
    model, source = spec.get("model"), spec.get("teacher", {}).get("source")
    if model and model.get("repo"):
        return [_model(name, model, made_from.get("folders", {}))]
    if model and model.get("api"):
        return [Part(name, model["api"], None)]
    raw = [Path(file).stem for file in made_from.get("inputs", {}) if Path(file).parent.name == "responses"]
    if raw:
        return [part._replace(name=name) for part in _teacher(results, raw[0])]
    files = {
        Path(file).name: digest for file, digest in made_from.get("inputs", {}).items() if "/instructions/" not in file
    }
    place, digest = next(iter(files.items()), (source or "published responses", None))
    return [Part(name, place, spec.get("teacher", {}).get("revision") or digest)]


def _instructions(results: Path, files: list[str]) -> tuple[list[Part], list[Part]]:
    """Return the sets of instructions among these files, and those that they were made from; and with whose outputs.

    Of sets that are only paired with others, these count, too: an origin does not tell them apart.
    """
    parts: dict[str, Part] = {}
    replies: list[str] = []
    waiting = [file for file in files if Path(file).parent.name == "instructions"]
    while waiting:
        name = Path(waiting.pop(0)).stem
        if name in parts:
            continue
        made_from = origin.read(results / "instructions" / f"{name}.parquet") or {}
        entry = json.loads(made_from.get("spec", "{}")).get("instructions", {})
        source, behind = entry.get("source"), made_from.get("inputs", {})
        if isinstance(source, str) and source.startswith("hub:"):
            parts[name] = Part(name, source.removeprefix("hub:"), entry.get("revision"), True)
        else:
            place, digest = next(iter(behind.items()), (name, None))
            parts[name] = Part(name, Path(place).name, digest)
        waiting += [file for file in behind if Path(file).parent.name == "instructions"]
        replies += [file for file in behind if Path(file).parent.name == "responses"]
    return [*parts.values()], _teachers(results, replies)


def _terms(results: Path, student: str) -> dict[str, str | None]:
    """Return the terms of a student's base and teachers, as the latest summary of a grid that has it took them from the config."""
    newest = sorted(results.glob("grids/*/lineage.parquet"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest:
        for row in artifacts.read(path, artifacts.LINEAGE).to_pylist():
            if row["student"] == student:
                return {key: row[key] for key in TERMS}
    return dict.fromkeys(TERMS)


# --- the card


def card(found: Lineage, only_adapter: bool = False) -> str:
    """Return the model card, in Markdown with the head that the hub reads. only_adapter: the files are those of an adapter alone."""
    return (
        f"---\n{yaml.safe_dump(_head(found, only_adapter), sort_keys=False, allow_unicode=True)}---\n\n"
        + "\n".join(_lines(found))
        + "\n"
    )


def _head(found: Lineage, only_adapter: bool) -> dict[str, Any]:
    licence = found.terms["base_licence"]
    head: dict[str, Any] = {
        "library_name": "peft" if only_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["teachergrid", "sft"],
    }
    if licence and (known := {_bare(name): name for name in LICENCES}.get(_bare(licence))):
        head["license"] = known
    elif licence:
        head |= {"license": "other", "license_name": licence}
    if found.base.is_hub:
        head["base_model"] = found.base.place
    if sets := ["/".join(part.place.split("/")[:2]) for part in found.instructions if part.is_hub]:
        head["datasets"] = sets
    return head


def _bare(licence: str) -> str:
    """Return the name of a licence without what is written in several ways: Llama-3.1, llama3.1."""
    return re.sub(r"[^a-z0-9.]", "", licence.lower())


def _lines(found: Lineage) -> Iterator[str]:
    described = found.described
    yield f"# {found.student}"
    yield ""
    yield "A student: a base that was trained on responses of a teacher, to find out how well this teacher teaches this base. It was made by"
    yield "teachergrid, and no one has made it safe to use."
    yield from ("", "## Made from", "", f"- Base {found.base}")
    yield from (f"- Teacher {part}" for part in found.teachers)
    yield from (f"- Instructions {part}" for part in found.instructions)
    yield from (f"- Instructions made or chosen with the outputs of {part}" for part in found.evolvers)
    yield f"- Recipe {described['recipe']}, seed {described['seed']}: `{json.dumps(found.recipe, sort_keys=True)}`"
    counts = {"examples": "examples", "steps": "updates", "trained_tokens": "tokens with loss"}
    yield "- " + ", ".join(
        f"{described[key]:,} {words}" for key, words in counts.items() if described.get(key) is not None
    )
    yield from (f"- {note}" for note in described.get("notes") or [])
    yield from ("", "## Terms", "")
    yield from (f"- {WORDS[key].capitalize()}: {found.terms[key] or 'not stated'}" for key in TERMS)
    if found.evolvers:
        yield "- Terms of the models with whose outputs instructions were made: not collected here"
    yield "- They are what the experiment's config states. Read the originals before you use or pass on this model."
    yield from ("", "## Files", "")
    for key in ("weights", "adapter"):
        yield from (f"- `{Path(name).name}` {digest}" for name, digest in sorted(described.get(key, {}).items()))
