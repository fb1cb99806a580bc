"""The schema of the config: what a definition says, and a key that it does not know."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.spec import schema


def test_a_reference_is_followed_and_the_keys_next_to_it_win():
    suites = schema.member(schema.read(), "suites")
    assert schema.member(schema.member(suites, "any name"), "tasks")["type"] == "array"
    checker = schema.member(schema.definition("task"), "checker")
    assert checker["default"] is None and "extract" in checker["properties"], (
        "the first alternative, with its own default"
    )
    assert schema.resolve(None) == schema.definition("nothing of this name") == {}


def test_defaults_are_left_out_and_filled_in():
    part = schema.definition("model")
    full = schema.filled({"repo": "org/a"}, part)
    assert schema.pruned(full, part) == {"repo": "org/a"} and full["dtype"] == part["properties"]["dtype"]["default"]
    assert "gpus" in schema.filled({"repo": "org/a"}, part, outside_too=True) and "gpus" not in full


def test_an_unknown_key_in_a_list_has_its_place():
    part = {"items": {"properties": {"role": {}}, "additionalProperties": False}}
    schema.refuse_unknown_keys([{"role": 1}], part)
    with pytest.raises(BadInput, match=r"^config\[1\]: unknown key 'rol', did you mean 'role'\?$"):
        schema.refuse_unknown_keys([{"role": 1}, {"rol": 1}], part)


MEANT = {
    # (entry, key): what was meant
    ("recipes.sft", "lr"): "'learning_rate'?",
    ("recipes.sft", "epochs"): "'num_train_epochs'?",
    ("recipes.sft", "batch_size"): "'per_device_train_batch_size'?",
    ("recipes.sft", "learning_rte"): "'learning_rate'?",
    ("recipes.sft", "rank"): "'r' inside `lora`? Write `lora: {r: ...}`",
    ("recipes.sft", "r"): "'r' inside `lora`? Write `lora: {r: ...}`",
    ("teachers.small", "max_new_tokens"): "'max_tokens' inside `sampling`? Write `sampling: {max_tokens: ...}`",
    ("teachers.small", "temperature"): "'temperature' inside `sampling`? Write `sampling: {temperature: ...}`",
    ("teachers.small", "temprature"): "'temperature' inside `sampling`? Write `sampling: {temperature: ...}`",
    ("teachers.small", "Temp"): "'temperature' inside `sampling`? Write `sampling: {temperature: ...}`",
    ("teachers.small", "system-prompt"): "'system'?",
    ("teachers.small", "repo"): "'repo' inside `model`? Write `model: {repo: ...}`",
    ("teachers.small.sampling", "batch_size"): "'batch' of the entry around it? Write it one level further up",
    ("bases.q", "chat_template"): "'template'?",
    ("models.q", "license"): "'licence'?",
    ("tasks.gsm", "regex"): "'extract' inside `checker`? Write `checker: {extract: ...}`",
    ("grids.teachers", "evals"): "'suites'?",
    ("grids.teachers", "keep"): "'keep' inside `pilot`? Write `pilot: {keep: ...}`",
}


@pytest.mark.parametrize("at", MEANT)
def test_an_unknown_key_is_met_by_the_fields_other_words_and_keys_of_other_levels(small, at):
    path, key = at
    entry = small
    for part in path.split("."):
        entry = entry.setdefault(part, {})
    entry[key] = 1
    with pytest.raises(BadInput) as error:
        schema.refuse_unknown_keys(small)
    assert str(error.value) == f"config.{path}: unknown key '{key}', did you mean {MEANT[at]}"


def test_an_unknown_section_is_met_by_another_word(small):
    with pytest.raises(BadInput, match="config: unknown key 'benchmarks', did you mean 'tasks'"):
        schema.refuse_unknown_keys({**small, "benchmarks": {}})


def test_each_word_means_one_key_and_each_value_exists():
    """No word is a key of the same entry, or stands for two keys of it."""
    for name in [None, *schema.read()["$defs"]]:
        part = schema.definition(name) if name else schema.read()
        keys = {key: schema.resolve(item) for key, item in part.get("properties", {}).items()}
        words = [word for item in keys.values() for word in item.get("x-words", ())]
        assert len({*words}) == len(words) and not {*words} & {*keys}, name
    formula = schema.member(schema.definition("metric"), "formula")
    assert {*formula["x-values"].values()} <= {*formula["enum"]} and not {*formula["x-values"]} & {*formula["enum"]}
    assert schema.other_word("CAR", formula) == "car_mean" and schema.other_word("x", formula) is None
