"""Recipes as files: settings of SFT that a config names in one line, and changes where it wants others.

    # a config
    recipes:
      sft: {like: modern}
      adapter: {like: lora, lora: {r: 64}}
      mine: {like: recipes/mine.yaml}

The recipe then has the keys of the file, and those that stand beside `like` in place of the file's.
"""

from collections.abc import Iterable
from pathlib import Path

import yaml

from ..errors import BadInput
from . import benchmarks, config_files, schema, validation

HERE = Path("config/recipes")
ABOUT = "about"  # a key that describes, and decides nothing
LEAST_FOR_ADAPTERS = 5e-5  # a smaller learning rate is one of full fine-tuning


def expand(config: dict) -> dict:
    """Return the config with each recipe that names a file filled in from it.

    Raises BadInput where the file is missing or has a mistake.
    """
    if not isinstance(config.get("recipes"), dict):
        return config  # the schema says what is wrong with it
    recipes = dict(config["recipes"])
    for name, entry in recipes.items():
        if isinstance(entry, dict) and isinstance(entry.get("like"), str):
            beside = {key: value for key, value in entry.items() if key != "like"}
            recipes[name] = benchmarks.merged(read(entry["like"], f"config.recipes.{name}.like"), beside)
    return {**config, "recipes": recipes}


def read(name: str, where: str = "like") -> dict:
    """Return the settings in a recipe's file. name: of a shipped one or one in config/recipes, or a path that ends with .yaml.

    Raises BadInput for a missing file, and for the first mistake in it. where: the config's key, for messages.
    """
    path = benchmarks.file_of("recipe", HERE, name, where)
    config_files.refuse([path], str(path))
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict):
        raise BadInput(f"{path}: holds no keys; a recipe's file has those of an entry of `recipes`")
    recipe = {key: value for key, value in content.items() if key != ABOUT}
    if "like" in recipe:
        raise BadInput(f"{path}: `like` is a key of a config's recipe; write the settings themselves")
    schema.refuse_unknown_keys(recipe, schema.definition("recipe"), str(path))
    validation.refuse_invalid_part(recipe, "recipe", str(path))
    return recipe


def advice(config: dict, names: Iterable[str]) -> list[str]:
    """Return a sentence on those of these recipes that train an adapter with a learning rate of full fine-tuning."""
    low = [
        f"{name} ({recipe['learning_rate']:g})"
        for name in sorted(names)
        if (recipe := config["recipes"][name])["lora"] is not None and recipe["learning_rate"] < LEAST_FOR_ADAPTERS
    ]
    if not low:
        return []
    return [
        f"recipes {', '.join(low)}: LoRA learns well at about ten times the learning rate of full fine-tuning, such as 1.0e-4; with a "
        "lower one, its students and their ranks may be those of too little training"
    ]
