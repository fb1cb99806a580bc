"""The cells of a grid block: its cross product, without what `exclude` matches, with what `include` adds."""

from itertools import product
from typing import NamedTuple

from ..errors import BadInput
from .ids import Corpus, Responses, Student


class Combination(NamedTuple):
    """A cell of a block. Without recipes a block only measures responses: recipe and seed are None."""

    base: str
    corpus: str
    recipe: str | None
    seed: int | None


def combinations(name: str, block: dict) -> list[Combination]:
    """Return the cells of a block, each once.

    Args:
        name: the block's name, for messages.
        block: the block's config entry.
    Raises:
        BadInput: an `exclude` entry matches no cell, an `include` entry names none, or no cell is left.
    """
    corpora = [str(Responses(*pair)) for pair in product(block["instructions"], block["teachers"])]
    corpora += block["corpora"]
    cells = [Combination(*cell) for cell in product(block["bases"], corpora, *_training(block))]
    for index, pattern in enumerate(block["exclude"]):
        remaining = [cell for cell in cells if not matches(pattern, cell)]
        if len(remaining) == len(cells):
            raise BadInput(f"config.grids.{name}.exclude[{index}]: matches no cell; fix it or remove it")
        cells = remaining
    for index, pattern in enumerate(block["include"]):
        cells += _included(f"config.grids.{name}.include[{index}]", block, pattern)
    if not cells:
        raise BadInput(f"config.grids.{name}: no cell is left; name at least one base, corpus, recipe and seed")
    return list(dict.fromkeys(cells))


def _training(block: dict) -> tuple[list, list]:
    """Return the recipes and the seeds of a block; [None] for each where the block trains nothing."""
    return block["recipes"] or [None], block["seeds"] or [None]


def _included(where: str, block: dict, pattern: dict) -> list[Combination]:
    corpus = pattern.get("corpus")
    if "instructions" in pattern and "teacher" in pattern:
        corpus = str(Responses(pattern["instructions"], pattern["teacher"]))
    if "base" not in pattern or corpus is None:
        raise BadInput(f"{where}: state base and corpus (or instructions and teacher)")
    recipes, seeds = _training(block)
    recipes = [pattern["recipe"]] if "recipe" in pattern else recipes
    seeds = [pattern["seed"]] if "seed" in pattern else seeds
    return [Combination(pattern["base"], corpus, recipe, seed) for recipe, seed in product(recipes, seeds)]


def matches(pattern: dict, cell: Combination) -> bool:
    """Whether a cell has all values that an entry of `exclude` states."""
    corpus = Corpus.parse(cell.corpus)
    values = {**cell._asdict(), "instructions": corpus.instructions, "teacher": corpus.teacher}
    return all(values[key] == value for key, value in pattern.items())


def describe(config: dict, cell: Combination) -> dict:
    """Return all parts of a cell by name, for the block's summary; its student is None where nothing is trained."""
    base, corpus, recipe, seed = cell
    instructions, teacher = Corpus.parse(corpus).responses or (None, None)
    return {
        "student": student_of(cell),
        "base": base,
        "corpus": corpus,
        "instructions": instructions,
        "teacher": teacher,
        "recipe": recipe,
        "seed": seed,
        "self_pair": self_pair(config, base, teacher),
    }


def student_of(cell: Combination) -> str | None:
    """Return the id of the student of a cell; None where nothing is trained."""
    if cell.recipe is None or cell.seed is None:
        return None
    return str(Student(cell.base, cell.corpus, cell.recipe, cell.seed))


def self_pair(config: dict, base: str, teacher: str | None) -> bool:
    """Whether a teacher is this base, or was tuned from it."""
    name = config["teachers"][teacher]["model"] if teacher else None
    seen: set[str] = set()
    while name is not None and name not in seen:
        if name == config["bases"][base]["model"]:
            return True
        seen.add(name)
        name = config["models"][name]["parent"]
    return False
