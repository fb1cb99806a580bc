"""Recipes as files: what a config's recipe becomes, and what is wrong with a file."""

from pathlib import Path

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.spec import recipes, schema

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "config/recipes").glob("*.yaml"))


def expanded(**recipe) -> dict:
    return recipes.expand({"recipes": {"sft": recipe}})["recipes"]["sft"]


def test_a_recipe_has_the_keys_of_its_file_and_those_beside_it_in_their_place():
    whole = expanded(like="qlora")
    assert whole["lora"]["quantize"] == "nf4" and "like" not in whole and "about" not in whole
    changed = expanded(like="qlora", learning_rate=2.0e-4, lora={"r": 8})
    assert changed == whole | {"learning_rate": 2.0e-4, "lora": whole["lora"] | {"r": 8}}
    assert expanded(like="qlora", lora=None)["lora"] is None
    assert expanded(learning_rate=1.0) == {"learning_rate": 1.0}


def test_a_file_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("about: mine\nmax_length: 77\n")
    assert expanded(like="mine.yaml", packing=False) == {"max_length": 77, "packing": False}
    # one in the folder of recipes goes before the shipped one of its name
    Path("config/recipes").mkdir(parents=True)
    Path("config/recipes/lora.yaml").write_text("max_length: 78\n")
    assert expanded(like="lora") == {"max_length": 78}


WRONG = [
    ("like: modern", "mine.yaml: `like` is a key of a config's recipe"),
    ("max_lenght: 5", "mine.yaml: unknown key 'max_lenght', did you mean 'max_length'?"),
    ("packing: 3", "mine.yaml, packing: 3 is not of type 'boolean'"),
    ("[1]", "mine.yaml: holds a list"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(text + "\n")
    with pytest.raises(BadInput) as error:
        expanded(like="mine.yaml")
    assert str(error.value).startswith(message)


def test_an_unknown_name_is_corrected():
    with pytest.raises(
        BadInput, match=r"config.recipes.sft.like: no recipe has the name 'morden', did you mean 'modern'\?"
    ):
        expanded(like="morden")
    with pytest.raises(BadInput, match=r"config.recipes.sft.like: there is no file 'none.yaml'"):
        expanded(like="none.yaml")


def test_the_shipped_recipes_are_those_that_the_pages_name():
    assert {*SHIPPED} == {"paper_car", "paper_evol", "modern", "lora", "qlora"}
    for name in SHIPPED:
        text = yaml.safe_load((ROOT / f"config/recipes/{name}.yaml").read_text())
        assert text["about"]
        recipe = schema.filled(recipes.read(name), schema.definition("recipe"))
        assert (recipe["lora"] is None) == ("lora" not in name)
        # an adapter learns at ten times the rate of all weights
        assert recipes.advice({"recipes": {name: recipe}}, [name]) == []


def test_an_adapter_with_the_learning_rate_of_full_training_is_told():
    config = {"recipes": {"a": {"lora": {}, "learning_rate": 2.0e-5}, "b": {"lora": None, "learning_rate": 2.0e-5}}}
    (said,) = recipes.advice(config, ["b", "a"])
    assert said.startswith("recipes a (2e-05): LoRA learns well at about ten times")
