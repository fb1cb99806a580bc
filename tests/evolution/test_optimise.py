"""Auto Evol-Instruct's optimisation, with a scripted model: what is taken, when it ends, and what a kill loses."""

import json

import pytest
from teachergrid.errors import BadInput
from teachergrid.evolution import optimise

START = "Final task: {instruction}"
SETTINGS = {
    "steps": 3,
    "batch": 2,
    "dev": 4,
    "candidates": 2,
    "rounds": 2,
    "seed": 1,
    "texts": {
        "method": START,
        "analyse": "What failed?\n{trajectories}",
        "improve": "Improve\n{method}\nafter\n{feedback}",
        "final": ["Final task"],
        "labels": ["final task"],
    },
}
ROWS = [{"id": f"i{n}", "messages": [{"role": "user", "content": f"task {n}"}]} for n in range(8)]


class Model:
    """Writes better methods (v1, v2), of which each makes answers of fewer tasks ask back."""

    def __init__(self, failures=(3, 1, 1), dies_at=None):
        self.failures, self.dies_at, self.calls, self.asked = failures, dies_at, 0, []

    def __call__(self, prompts):
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        self.asked += prompts
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt):
        text = prompt.text
        if text.startswith("What failed?"):
            return "case 1"
        if text.startswith("Improve"):
            version = text.count("better")
            # the second candidate of each step has no place for the instruction
            place = " {instruction}" if prompt.id.endswith("/1") else ""
            return f"Here:\n```\nFinal task:{' better' * (version + 1)}{place}\n```"
        if text.startswith("Final task"):
            return text
        # an answer to what a method made
        version, number = text.count("better"), int(prompt.id.rsplit("/", 1)[1])
        return "Sure. Which one?" if number < self.failures[version] else "It is 4."


def run(model, folder, settings=SETTINGS, rows=ROWS):
    return optimise.optimise("auto", rows, settings, optimise.Asker(model, folder))


def test_the_method_with_fewer_failures_is_taken_until_none_has_fewer(tmp_path):
    found = run(Model(), tmp_path)
    assert found["start"] == {"method": START, "failure_rate": 0.75}
    assert found["method"] == "Final task: better {instruction}" and found["failure_rate"] == 0.25
    assert found["stopped"] == "after step 2, which found no method with fewer failures"
    first, second = found["steps"]
    assert (first["taken"], second["taken"]) == (0, None)
    assert [(c["failure_rate"], c["reason"]) for c in first["candidates"]] == [
        (0.25, None),
        (None, "no place for the instruction"),
    ]
    # two rounds of each instruction of the mini-batch, after the instruction itself
    assert [len(one["stages"]) for one in first["trajectories"]] == [3, 3]


def test_the_limit_of_steps(tmp_path):
    found = run(Model((4, 3, 2, 1)), tmp_path)
    assert found["stopped"] == "after 3 steps" and found["failure_rate"] == 0.25


def test_dev_set_and_mini_batches_share_no_instruction(tmp_path):
    model = Model()
    found = run(model, tmp_path)
    dev = {prompt.text for prompt in model.asked if prompt.id.startswith("start/dev")}
    assert len(dev) == 4
    batches = {f"Final task: {one['stages'][0]}" for step in found["steps"] for one in step["trajectories"]}
    assert len(batches) == 4 and not dev & batches


def test_a_kill_loses_one_call_and_the_result_is_the_same(tmp_path):
    undisturbed = Model()
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    expected = run(undisturbed, tmp_path / "whole")
    made = 0
    for dies_at in range(1, undisturbed.calls + 1):
        model = Model(dies_at=2)
        try:
            found = run(model, tmp_path / "killed")
        except KeyboardInterrupt:
            made += 1
            assert len([*(tmp_path / "killed").iterdir()]) == made, dies_at
        else:
            break
    assert json.dumps(found) == json.dumps(expected) and made == undisturbed.calls - 1


@pytest.mark.parametrize(
    ("answer", "fails"),
    [
        ("Understood! What shall I do next?", True),
        ("Thank you. Is there more?", True),
        ("What do you mean?", True),
        ("That is correct, is it not?", True),
        ("Great, what is next?", True),
        ("Sure, which file do you mean?", True),
        ("To go on, please provide the table.", True),
        ("  great work deserves praise.", False),
        ("Sure. Here is the table.", False),
        ("Is it 4? Yes, it is 4.", False),
    ],
)
def test_failures_by_the_documented_rules(answer, fails):
    assert optimise.failed(answer) is fails


def test_an_instruction_that_was_not_written_fails(tmp_path):
    class Silent(Model):
        def answer(self, prompt):
            return "nothing of the form" if prompt.text.startswith("Final task") else super().answer(prompt)

    found = run(Silent(), tmp_path, SETTINGS | {"steps": 1})
    assert found["start"]["failure_rate"] == 1.0
    # a row that failed is not evolved again
    assert found["steps"][0]["trajectories"][0]["stages"][1:] == [""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Final task: {instruction}!", None),
        ("FINAL TASK {instruction}", None),
        ("Final task:", "no place for the instruction"),
        ("Do: {instruction}", "no label for the result"),
        (START, "the same as before"),
        ("Final task: other {instruction}", "the same as before"),
    ],
)
def test_which_methods_are_tried(text, reason):
    assert optimise.useless(text, START, ["Final task"], ["Final task: other {instruction}"]) == reason


def test_the_last_block_of_a_reply_is_the_method():
    assert optimise.fenced("First\n```\na\n```\nthen\n```text\nb\nc\n```\n") == "b\nc"
    assert optimise.fenced(" no block ") == "no block"


def test_too_few_instructions_say_so(tmp_path):
    with pytest.raises(
        BadInput,
        match=r"config\.evolutions\.auto\.optimise: the set has 5 instructions.*need 6; lower `dev` or `batch`",
    ):
        run(Model(), tmp_path, rows=ROWS[:5])


def test_the_plan_counts_all_prompts(tmp_path):
    model = Model((4, 3, 2, 1))
    run(model, tmp_path)
    # one of two candidates of each step is not tried
    assert optimise.calls(SETTINGS) - len(model.asked) == 3 * 2 * SETTINGS["dev"]
    paper = {"steps": 10, "batch": 10, "dev": 50, "candidates": 5, "rounds": 2}
    assert optimise.calls(paper) == 100 + 10 * (20 + 5 * 102)
