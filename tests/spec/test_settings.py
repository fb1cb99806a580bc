"""Settings of jobs, from specs as the grid writes them."""

from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical
from teachergrid.spec.settings import costs_of_answers, costs_of_responses, of_answers, of_likelihoods


def test_chat_settings_of_a_student_are_those_of_its_base(small):
    rows = Cells(checked(small)).rows
    student = of_answers(canonical.load(rows["answer"]["q__seed__large__sft__s1/math"]["spec"]))
    assert student["model"]["repo"] == "org/q" and student["format"] == "chat"
    assert student["chat"]["template"] == "own" and list(student["tasks"]) == ["gsm"]
    small["references"]["q-raw"]["format"] = "plain"
    rows = Cells(checked(small)).rows
    assert of_answers(canonical.load(rows["answer"]["q-raw/math"]["spec"]))["format"] == "plain"


def test_settings_of_a_scorer(small):
    rows = Cells(checked(small)).rows
    settings = of_likelihoods(canonical.load(rows["likelihood"]["w/seed__large"]["spec"]))
    assert settings["model"]["repo"] == "org/w" and settings["likelihood"]["formats"] == ["chat", "plain"]
    assert settings["scorer"]["system"] is None


def test_what_costs_only_comes_from_the_config(small):
    """It may be missing in a spec, and a job still works with what the config states."""
    small["teachers"]["large"] |= {"engine": "vllm", "shard": 7}
    small["suites"]["math"] |= {"engine": "vllm", "shard": 9}
    small["models"]["large"]["tensor_parallel"] = 2
    small["models"]["w"]["tensor_parallel"] = 4
    config = checked(small)
    rows = Cells(config).rows
    parts = canonical.load(rows["generate"]["seed__large"]["spec"])
    assert parts["teacher"]["shard"] == 1024
    settings = costs_of_responses(parts, config, "seed__large")
    assert (settings["teacher"]["shard"], settings["model"]["tensor_parallel"]) == (7, 2)
    assert settings["teacher"] == parts["teacher"] | {"shard": 7}
    for model, shared in (("w__seed__large__sft__s1", 4), ("w-raw", 4), ("q-raw", None)):
        parts = canonical.load(rows["answer"][f"{model}/math"]["spec"])
        settings = costs_of_answers(parts, config, model, "math")
        assert (settings["suite"]["shard"], settings["model"]["tensor_parallel"]) == (9, shared)
    # where no model runs, there is nothing to add
    small["teachers"]["plain"] = {"engine": "stripped", "of": "large"}
    parts = canonical.load(Cells(config := checked(small)).rows["generate"]["seed__plain"]["spec"])
    assert "model" not in costs_of_responses(parts, config, "seed__plain")
