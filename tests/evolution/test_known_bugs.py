"""The bugs of published code for evolution, each with the test that holds the right behaviour; and those that no other test holds.

Numbers are those of HypherX/Evolution-Analysis, in the order in which its parts run; names are other projects.
"""

import ast
from pathlib import Path

import pytest
from evolved_rows import ASK, READ, seed_row
from teachergrid.errors import BadInput
from teachergrid.evolution import elimination, rewriting
from teachergrid.evolution.steps import Given
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked

TESTS = Path(__file__).parents[1]
HERE = "evolution/test_known_bugs.py"
BUGS = {
    "1: any text after a flag is true": (HERE, "test_a_flag_is_yes_or_no"),
    "1: an output overwrites its input": ("evolution/test_entries.py", "test_each_round_is_two_sets"),
    "2: no resume": (
        "workflow/test_evolution_grid.py",
        "test_a_run_that_is_killed_in_its_second_round_ends_as_an_undisturbed_one",
    ),
    "2: how a generation ended is not looked at": (
        "evolution/test_rewriting.py",
        "test_a_cut_off_generation_is_left_out",
    ),
    "2: no seed": ("workflow/test_evolution_grid.py", "test_what_a_change_makes_again"),
    "3: `input` is not evolved": ("evolution/test_rewriting.py", "test_a_table_in_an_instruction_is_evolved_with_it"),
    "4: nothing is left out": ("evolution/test_elimination.py", "test_the_reason"),
    "4: preambles stay": ("evolution/test_elimination.py", "test_what_surrounds_the_instruction_is_taken_off"),
    "5: sets are cut to one size, but hold other items": (
        "evolution/test_steps.py",
        "test_a_pair_is_kept_where_its_root_survived_in_all",
    ),
    "6: examples are drawn, and not constraints": (
        "evolution/test_autoif_stages.py",
        "test_evolvers_get_equally_many_constraints_and_the_same_queries",
    ),
    "7: a rewritten instruction is judged by a prompt about itself": (
        HERE,
        "test_what_an_evolver_wrote_is_scored_with_its_parent",
    ),
    "7: the same, of equality": ("evolution/test_elimination.py", "test_a_judge_leaves_out_what_asks_for_the_same"),
    "8: a model's program runs in the process": (
        "tasks/test_verifiers.py",
        "test_malicious_functions_do_no_harm_and_say_nothing",
    ),
    "9: imports and helpers are hidden from a function": ("tasks/test_verifiers.py", "test_what_functions_say"),
    "10: True is not 'True'": ("tasks/test_verifiers.py", "test_true_is_true_however_it_is_written"),
    "11: a judge sees one order": ("evaluation/test_protocols.py", "test_orders_that_are_asked"),
    "11: a label is found anywhere": ("evaluation/test_replies.py", "test_why_a_verdict_is_missing"),
    "11: no cost": (
        "analysis/test_evolution.py",
        "test_the_cost_of_a_set_is_that_of_all_answers_it_was_made_from",
    ),
    "11: answers to harder instructions are never checked": (
        "analysis/test_evolution.py",
        "test_rewards_of_answers_by_round_and_operator",
    ),
    "AutoIF: the filter's result is not read": (HERE, "test_what_is_left_of_a_filter_is_what_goes_on"),
    "AutoIF: stages are stubs": ("workflow/test_autoif.py", "test_killed_in_each_stage_the_tables_are_the_same"),
    "WizardLM: no eliminator": ("evolution/test_elimination.py", "test_the_reason"),
    "distilabel: punctuation is never found": ("evolution/test_elimination.py", "test_the_reason"),
    "distilabel: an instruction about being sorry is left out": (HERE, "test_an_apology_that_is_asked_for_stays"),
    "EvolKit: failures are counted over characters": (
        "evolution/test_optimise.py",
        "test_failures_by_the_documented_rules",
    ),
    "EvolKit: the dev set is the instruction itself": (
        "evolution/test_optimise.py",
        "test_dev_set_and_mini_batches_share_no_instruction",
    ),
    "EvolKit: what fails is passed over": (
        "evolution/test_optimise.py",
        "test_an_instruction_that_was_not_written_fails",
    ),
    "Superfiltering: the same answer in two conditions, unlike in tokens": (
        "scoring/test_likelihood.py",
        "test_sums_are_those_of_one_example_at_a_time",
    ),
    "Superfiltering: what cannot be scored is 0": (
        "scoring/test_likelihood.py",
        "test_logits_that_are_not_finite_give_null_and_a_reason",
    ),
    "Superfiltering: a long prompt leaves one token": (
        "scoring/test_likelihood.py",
        "test_long_answers_are_cut_alike_and_marked",
    ),
    "Cherry: `[-n:]` with n = 0 is everything": ("training/test_select.py", "test_the_best_share"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_known_bug_has_its_test(bug):
    file, name = BUGS[bug]
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_flag_is_yes_or_no(small):
    small["evolutions"] = {"wiz": {"of": "seed", "by": "large", "as_published": "False"}}
    with pytest.raises(BadInput, match=r"evolutions\.wiz\.as_published"):
        checked(small)


def test_what_an_evolver_wrote_is_scored_with_its_parent(small):
    """A reward of an evolver's outputs reads the prompts that it got: they hold the parent, and the method's words."""
    seeds = [seed_row("Name two cities of France")]
    (asked,) = rewriting.ask(Given("e.r1.asked", [seeds], [], []), ASK).rows
    assert "Name two cities of France" in asked["messages"][0]["content"]
    small["evolutions"] = {"wiz": {"of": "seed", "by": "large"}}
    small["grids"]["teachers"] = {
        "compare": "instructions",
        "instructions": ["wiz.r1.asked"],
        "teachers": ["large"],
        "bases": ["q"],
        "metrics": ["reward"],
    }
    small["metrics"]["reward"] = {"formula": "reward_mean", "reward": "rm"}
    row = Cells(checked(small)).rows["reward"]["rm/wiz.r1.asked__large"]
    assert row["instructions"] == ["wiz.r1.asked"]


def test_what_is_left_of_a_filter_is_what_goes_on(small):
    small["teachers"]["warm"] = {"model": "large", "sampling": {"temperature": 0.7}}
    small["evolutions"] = {"if": {"of": "seed", "by": "warm", "method": "autoif"}}
    sets = checked(small)["instructions"]
    assert sets["if.r1"]["made"]["sets"] == ["if.verified", "seed"]
    assert sets["if.verified"]["made"]["sets"][0] == "if.functions"


@pytest.mark.parametrize(
    "text", ["Write a letter that says sorry for a late parcel, and offer two remedies", "Why are people sorry?"]
)
def test_an_apology_that_is_asked_for_stays(text):
    draft = elimination.Draft(text, "Write a letter", "stop")
    assert elimination.verdict(draft, READ) is None
