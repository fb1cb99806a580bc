"""Settings of jobs, from specs as the grid writes them."""

from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical
from teachergrid.spec.settings import of_answers, of_likelihoods


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
