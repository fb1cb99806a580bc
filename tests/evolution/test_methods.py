"""The tables of methods and stages."""

from teachergrid.evolution.methods import METHODS, STAGES
from teachergrid.spec import schema


def test_the_schema_knows_every_method():
    assert [*METHODS] == schema.member(schema.definition("evolution"), "method")["enum"]


def test_the_schema_eliminates_by_every_rule():
    from teachergrid.evolution.elimination import RULES

    assert [*RULES] == schema.member(schema.definition("evolution"), "eliminate")["default"]


def test_stages_are_functions():
    assert all(map(callable, STAGES.values()))
