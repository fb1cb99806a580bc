"""The cross product of a block, with what it includes and excludes."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.config import checked
from teachergrid.spec.combinations import Combination, combinations, matches, student_of


@pytest.fixture
def config(small) -> dict:
    return checked(small)


def test_combinations_are_the_cross_product_and_what_is_included(config):
    block = config["grids"]["instructions"] | {"include": [{"base": "w", "instructions": "seed", "teacher": "large"}]}
    assert combinations("instructions", block) == [
        Combination("q", "seed__small", "sft", 1),
        Combination("q", "evolved__small", "sft", 1),
        Combination("w", "seed__large", "sft", 1),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exclude": [{"base": "w"}]}, r"config.grids.g.exclude\[0\]: matches no cell"),
        ({"include": [{"base": "q"}]}, r"config.grids.g.include\[0\]: state base and corpus"),
        ({"exclude": [{"base": "q"}]}, "config.grids.g: no cell is left"),
    ],
)
def test_wrong_combinations(config, changes, message):
    with pytest.raises(BadInput, match=message):
        combinations("g", config["grids"]["instructions"] | changes)


def test_a_derived_corpus_has_no_teacher_and_no_set_to_exclude_by():
    derived, whole = Combination("q", "best", "sft", 1), Combination("q", "seed__large", "sft", 1)
    assert matches({"corpus": "best"}, derived) and not matches({"instructions": "best"}, derived)
    assert matches({"instructions": "seed", "teacher": "large", "seed": 1}, whole)
    assert not matches({"teacher": "small"}, whole)


def test_without_recipes_there_is_no_student():
    assert student_of(Combination("q", "best", None, None)) is None
    assert student_of(Combination("q", "best", "sft", 0)) == "q__best__sft__s0"
