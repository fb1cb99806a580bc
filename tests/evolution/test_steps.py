"""The pool of a round, roots over several sets, and sets that are joined and paired by root."""

import pytest
from evolved_rows import said, seed_row
from teachergrid.errors import BadInput
from teachergrid.evolution.steps import Given, joined, last_turn, pool, roots, roots_within, with_last_turn

SEEDS = [seed_row(text) for text in "abc"]


def child(text: str, of: dict, number: int = 1) -> dict:
    return seed_row(text, parent_id=of["id"], round=number, operator="o")


A1, B1 = child("a1", SEEDS[0]), child("b1", SEEDS[1])
A2, C2 = child("a2", A1, 2), child("c2", SEEDS[2], 2)


def test_a_pool_holds_what_was_made_and_what_failed():
    assert said(pool(SEEDS, [], True)) == ["a", "b", "c"]
    assert said(pool(SEEDS, [[A1, B1]], True)) == ["a1", "b1", "c"]
    assert said(pool(SEEDS, [[A1, B1], [A2, C2]], True)) == ["a2", "c2", "b1"]
    assert said(pool(SEEDS, [[A1, B1], [A2]], False)) == ["a2"]


def test_a_row_that_stayed_as_it_was_is_in_the_pool_once():
    assert said(pool(SEEDS, [[A1, SEEDS[1], SEEDS[2]]], True)) == ["a1", "b", "c"]


def test_roots_over_rounds():
    root = roots([A2, C2, SEEDS[1]], [SEEDS, [A1, B1]])
    assert root == {A2["id"]: SEEDS[0]["id"], C2["id"]: SEEDS[2]["id"], SEEDS[1]["id"]: SEEDS[1]["id"]}


def test_an_evolution_of_an_evolved_set_has_its_own_seeds_and_the_first_roots():
    further = child("a1x", A1)
    assert roots_within([A1, B1], [[further]])[further["id"]] == A1["id"]
    assert roots([further], [SEEDS, [A1, B1]])[further["id"]] == SEEDS[0]["id"]


def test_sets_are_joined_with_each_instruction_once():
    settings = {"join": [[0, []], [1, []]], "paired": []}
    made = joined(Given("j", [[A1, SEEDS[1]], [SEEDS[1], A2]], [], []), settings)
    assert said(made.rows) == ["a1", "b", "a2"]


def test_a_pair_is_kept_where_its_root_survived_in_all():
    """The paper draws at random from each evolver's set, so that they hold different items (bug 5)."""
    other = [child("A!", SEEDS[0]), child("C!", SEEDS[2])]
    sets = [[A1, B1], SEEDS, other]
    settings = {"join": [[0, [1]]], "paired": [[2, [1]]]}
    assert said(joined(Given("j", sets, [], []), settings).rows) == ["a1"]
    back = {"join": [[2, [1]]], "paired": [[0, [1]]]}
    assert said(joined(Given("j", sets, [], []), back).rows) == ["A!"]
    seeds = {"join": [[1, []]], "paired": [[0, [1]], [2, [1]]]}
    assert said(joined(Given("j", sets, [], []), seeds).rows) == ["a"]


def test_sets_without_a_common_root_are_an_error():
    settings = {"join": [[0, []]], "paired": [[1, []]]}
    with pytest.raises(BadInput, match="j: no instruction is left, since no root survived"):
        joined(Given("j", [[SEEDS[0]], [SEEDS[1]]], [], []), settings)


def test_the_last_turn_alone_changes():
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert last_turn({"messages": turns}) == "u"
    assert with_last_turn({"messages": turns}, "v") == [turns[0], {"role": "user", "content": "v"}]
