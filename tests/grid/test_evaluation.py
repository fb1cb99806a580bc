"""Rows of answers, their check and their comparison with an opponent's."""

import pytest
from teachergrid.grid import evaluation
from teachergrid.grid.builder import Builder
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical
from teachergrid.tasks import checkers

STUDENT = "w__seed__large__sft__s1"


@pytest.fixture
def build(small):
    """Return a function: the builder of the small grid with these bases' and tasks' keys."""

    def built(bases: dict | None = None, tasks: dict | None = None) -> Builder:
        small["bases"]["w"].update(bases or {})
        small["tasks"]["gsm"].update(tasks or {})
        return Cells(checked(small)).build

    return built


def test_a_student_answers_with_the_chat_settings_of_its_base(build):
    builder = build(bases={"system": "Be brief."})
    row = evaluation.answer_row(builder, STUDENT, "math")
    assert row["students"] == [STUDENT] and row["prompts"] == ["config/gsm.jsonl"]
    spec = canonical.load(row["spec"])
    assert spec["reference"]["system"] == "Be brief." and spec["model"]["repo"] == "org/w"
    reference = evaluation.answer_row(builder, "w-raw", "math")
    assert reference["students"] == []
    assert canonical.load(reference["spec"])["reference"]["system"] != "Be brief.", "a reference has its own"


def test_how_answers_are_checked_is_no_matter_of_the_answers(build):
    def specs(**task) -> tuple[str, str]:
        builder = build(tasks=task)
        return (
            evaluation.answer_row(builder, STUDENT, "math")["spec"],
            evaluation.verify_row(builder, "math")["spec"],
        )

    answers, check = specs()
    assert specs(checker_version=2) == (answers, specs(checker_version=2)[1]) and specs()[1] != check
    asked, _ = specs(prompt_version=2)
    assert asked != answers


def test_an_answer_costs_as_many_tokens_as_the_longest_task_allows(build):
    assert evaluation.answer_row(build(tasks={"sampling": {"max_tokens": 7}}), STUDENT, "math")["tokens"] == 7
    usual = evaluation.answer_row(build(tasks={"sampling": {"max_tokens": 10**6}}), STUDENT, "math")["tokens"]
    assert 7 < usual < 10**6


def test_the_opponent_is_compared_with_itself_without_reading_itself_twice(build):
    builder = build()
    student, opponent = (evaluation.judge_row(builder, model, "chat", "wins") for model in (STUDENT, "q-raw"))
    assert (student["baselines"], opponent["baselines"]) == (["q-raw"], [])
    assert student["spec"] == opponent["spec"] and canonical.load(student["spec"])["model"]["repo"] == "org/rm"
    # both sides are scored
    assert student["rows"] == 2 * evaluation.verify_row(builder, "chat")["rows"] > 0


def test_how_a_task_is_put_concerns_the_models_of_its_format_alone(build, small):
    small["references"]["w-raw"]["format"] = "plain"

    def specs(**task) -> tuple[str, str, str]:
        builder = build(tasks={"chat": {}, "plain": {}, **task})
        return (
            evaluation.answer_row(builder, STUDENT, "math")["spec"],
            evaluation.answer_row(builder, "w-raw", "math")["spec"],
            evaluation.verify_row(builder, "math")["spec"],
        )

    student, reference, check = specs()
    changed = specs(plain={"prompt": "Q: {question}", "stop": ["Q:"]})
    assert (changed[0], changed[2]) == (student, check) and changed[1] != reference
    changed = specs(chat={"prompt": "{question} Think."})
    assert changed[1:] == (reference, check) and changed[0] != student


def test_a_checker_of_another_kind_reruns_no_model(build):
    builder = build()
    before = evaluation.answer_row(builder, STUDENT, "math")["spec"], evaluation.verify_row(builder, "math")["spec"]
    builder = build(tasks={"checker": {"kind": "math", "seconds": 3}})
    spec = evaluation.verify_row(builder, "math")["spec"]
    assert evaluation.answer_row(builder, STUDENT, "math")["spec"] == before[0] and spec != before[1]
    # another version of the library is another check, whichever is installed where the plan is made
    assert canonical.load(spec)["libraries"]["math-verify"] == checkers.versions("math")["math-verify"]
    assert "libraries" not in canonical.load(before[1])


def test_examples_are_an_input_where_they_are_shown(build, small):
    small["references"]["w-raw"]["format"] = "plain"
    builder = build(tasks={"plain": {"shots": 2}, "shots": {"source": "evolved", "answer": " {answer}"}})
    shown, student = (evaluation.answer_row(builder, model, "math") for model in ("w-raw", STUDENT))
    assert shown["prompts"] == ["config/gsm.jsonl", "results/instructions/evolved.parquet"]
    assert student["prompts"] == ["config/gsm.jsonl"]
    settings = canonical.load(shown["spec"])["tasks"]["gsm"]
    # the file counts by its content
    assert settings["shots"]["answer"] == " {answer}" and settings["shots"]["source"] is None
    assert shown["asked"] == pytest.approx(3 * student["asked"])
    table = Cells(builder.config).rows["load_instructions"]
    assert "evolved" in table
