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
