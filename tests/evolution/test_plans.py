"""The steps of each method, and what of the settings each of them hangs on."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.evolution import plans, texts
from teachergrid.evolution.steps import Asked
from teachergrid.spec import schema

FILE = {"evol-instruct": "evol-instruct.1", "auto-evol": "auto-evol.1"}


def asked(method="evol-instruct", **entry):
    entry = schema.filled({"of": "seed", "by": "t", **entry}, schema.definition("evolution"), outside_too=True)
    source = {"source": "a.jsonl", "fields": {"input": "table"}, "turns": "last"}
    return Asked("e", entry, 7, 10, (), texts.read("config", FILE[method], FILE[method]), source=source)


def settings(**entry):
    return {step.name: step.settings for step in plans.evol_instruct(asked(**entry))}


def test_prompts_hold_duty_and_instruction_and_only_the_texts_that_are_used():
    made = settings(operators=["deepen", "complicate-input"])["e.r1.asked"]
    assert [*made["texts"]] == ["deepen", "complicate-input"]
    for name, text in made["texts"].items():
        assert text.count("{instruction}") == 1 and "{duty}" not in text, name
    assert "go deeper" in made["texts"]["deepen"] and "CREATE TABLE" in made["texts"]["complicate-input"]


def test_another_round_leaves_the_settings_of_those_before():
    one, three = settings(rounds=1), settings(rounds=3)
    assert one.items() <= three.items() and len(three) == 6


def test_the_seed_counts_for_a_random_schedule_alone():
    assert "seed" not in settings()["e.r1.asked"]
    assert settings(schedule="random")["e.r1.asked"]["seed"] == 7


def test_what_is_eliminated_does_not_change_the_prompts():
    plain, other = settings(), settings(eliminate=["equal", "refusal"], least_change=9, most_words=5)
    assert plain["e.r1.asked"] == other["e.r1.asked"] and plain["e.r1"] != other["e.r1"]
    # their order in the config is no other setting
    assert settings(eliminate=["refusal", "equal"]) == settings(eliminate=["equal", "refusal"])


def test_as_published_eliminates_nothing_whatever_else_is_set():
    made = settings(as_published=True, schedule="random", equal_by="j", failed="keep")
    assert [*made] == ["e.r1.asked", "e.r1"]
    assert made["e.r1.asked"]["schedule"] == "paper"
    read = made["e.r1"]
    assert (read["eliminate"], read["published"], read["keep"], read["retry"]) == ([], True, False, False)


def test_a_judge_keeps_the_parents_only_after_it_has_spoken():
    made = settings(equal_by="j", failed="keep")
    assert (made["e.r1.drafts"]["keep"], made["e.r1"]["keep"]) == (False, True)


def test_auto_evol_reads_the_last_section_of_one_text():
    steps = plans.auto_evol(asked("auto-evol"))
    assert [step.name for step in steps] == ["e.r1.asked", "e.r1"]
    assert [*steps[0].settings["texts"]] == ["auto"] and steps[1].settings["final"] == ["Final task"]


def test_a_text_without_the_instruction_is_refused():
    given = asked()
    given.texts["frames"]["rewrite"] = "{duty}"
    with pytest.raises(BadInput, match=r"config\.evolutions\.e\.prompts: the text `constraint` has no \{instruction\}"):
        plans.evol_instruct(given)


def test_what_stays_beside_an_instruction_is_read_by_columns_of_the_source():
    assert not any("beside" in how for how in settings().values())
    made = {step.name: step for step in plans.evol_instruct(asked(input="beside"))}
    assert all(step.settings["beside"] == {"fields": {"input": "table"}, "turns": "last"} for step in made.values())
    assert {step.file for step in made.values()} == {"a.jsonl"}
