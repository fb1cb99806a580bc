"""What the schema does not allow is said in words, with what to write."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import validation
from workspace import setting

REFUSED = {
    "formula by another word": (setting("metrics", "car", "formula", to="ifd"), "did you mean 'ifd_ppl'?"),
    "no grid": (setting("grids", to={}), "config.grids: {} should be non-empty: without a grid there is nothing to do"),
    "beta twice": (setting("metrics", "car", "beta", to=[1, 1]), "non-unique elements: state each value once"),
    "beta alike": (
        setting("metrics", "car", "beta", to=[1, 1.0000001]),
        "config.metrics.car.beta: two values are both shown as 1; state one of them",
    ),
    "plain without the question": (
        setting("bases", "q", "plain", to="Answer:"),
        "config.bases.q.plain: 'Answer:' does not match '\\\\{question\\\\}': without {question} all prompts would be the same",
    ),
    "braces without quotes": (
        setting("bases", "q", "plain", to={"question": None}),
        "is not of type 'string': YAML reads text in braces as a mapping; put it into quotes",
    ),
    "too many rounds": (
        setting("grids", "teachers", "bootstrap", to=10**9),
        "config.grids.teachers.bootstrap: 1000000000 is greater than the maximum of 100000: 2000 rounds are usual",
    ),
    "seed above 2^32": (setting("seed", to=2**32), "config.seed: 4294967296 is greater than the maximum of 4294967295"),
    "seed of a student above 2^32": (
        setting("grids", "teachers", "seeds", to=[1, 2**32]),
        "config.grids.teachers.seeds.1: 4294967296 is greater than the maximum",
    ),
    "seed of 31 digits": (
        setting("seed", to=10**30),
        "config.seed: a whole number of 31 digits is infinite, NaN or too large",
    ),
    "learning rate": (setting("recipes", "sft", "learning_rate", to=1e30), "training would diverge"),
    "parameters in ones": (setting("models", "q", "parameters", to=7e9), "it counts billions, such as 7 for 7B"),
    "line break in a path": (setting("models", "q", "repo", to="org/q\n"), "remove line breaks and spaces around it"),
    "line break in a name": (setting("teachers", "a\n", to={"model": "q"}), "the name 'a\\n' has a line break"),
    "a long value": (setting("teachers", to=["x" * 500]), "...  is not of type 'object'".replace("  ", " ")),
    "a path of 5000 characters": (
        setting("models", "q", "repo", to="x" * 5000),
        "config.models.q.repo: has 5000 characters",
    ),
    "engine that does not read it": (
        setting("teachers", "large", "of", to="small"),
        "config.teachers.large.of: engine 'transformers' does not read it",
    ),
    "targets that are no pattern": (
        setting("recipes", "sft", "lora", to={"target_modules": "q_proj|("}),
        "config.recipes.sft.lora.target_modules: 'q_proj|(' is not a valid regular expression",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words(small, name):
    change, words = REFUSED[name]
    change(small)
    with pytest.raises(BadInput) as error:
        checked(small)
    assert str(error.value).startswith("config") and words in str(error.value)
    assert len(str(error.value)) < 600


def test_all_missing_parts_are_named_at_once():
    with pytest.raises(
        BadInput, match="config: states no `instructions`, `bases`, `grids`; a config is complete by itself"
    ):
        validation.refuse_invalid({"models": {}, "teachers": {}})


def test_a_seed_that_yaml_reads_as_a_fraction_names_the_same_student(small):
    """`seeds: [1.0]` would else name students `s1.0`, for which there is no rule."""
    small["grids"]["teachers"]["seeds"] = [1.0]
    small["seed"] = 3.0
    config = checked(small)
    assert repr(config["grids"]["teachers"]["seeds"]) == "[1]" and repr(config["seed"]) == "3"
    assert "q__seed__large__sft__s1" in Cells(config).rows["finetune"]
