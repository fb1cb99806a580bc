"""The model card of a student: from what its jobs left, and in words that hold for whoever reads it elsewhere."""

import pytest
import student_results
import yaml
from student_results import COMMIT, DATA, STUDENT, TERMS
from teachergrid.decisions import card
from teachergrid.errors import BadInput


def card_of(folder, **options) -> str:
    student_results.make(folder, **options)
    return card.card(card.lineage(folder / "results", STUDENT))


def test_it_names_all_that_a_student_was_made_from(tmp_path):
    text = card_of(tmp_path)
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["base_model"] == "org/base" and head["license"] == "mit" and head["datasets"] == ["org/data"]
    for line in (
        f"Base b: `org/base` at `{COMMIT}`",
        "Teacher t: `t` at `sha256:t`",
        f"Instructions set: `org/data` at `{DATA}`",
        'Recipe sft, seed 1: `{"learning_rate": 0.0001, "lora": {"r": 8}}`',
        "12,000 examples, 30 updates, 5,000 tokens with loss",
        "The loss grew.",
        "Licence of the base: MIT",
        "Licence of the teacher: Own-1.0",
        "Terms of the teacher's outputs: not for competing models",
    ):
        assert f"- {line}\n" in text
    assert "`model.safetensors` sha256:" in text and "`adapter_model.safetensors` sha256:" in text
    assert str(tmp_path) not in text, "paths of this machine are nobody's business"


@pytest.mark.parametrize(
    ("teacher", "named"),
    [
        (
            {"model": {"api": "gpt-9-2026", "repo": None}, "teacher": {"engine": "openai"}},
            "`gpt-9-2026`, commit unknown",
        ),
        (
            {"teacher": {"engine": "existing", "source": "hub:org/zoo", "revision": DATA}},
            f"`hub:org/zoo` at `{DATA}`",
        ),
    ],
)
def test_teachers_without_weights(tmp_path, teacher, named):
    assert f"- Teacher t: {named}\n" in card_of(tmp_path, teacher=teacher)


def test_terms_that_no_config_states_are_said(tmp_path):
    student_results.make(tmp_path, terms={**TERMS, "output_terms": None, "base_licence": "Llama-9"})
    found = card.lineage(tmp_path / "results", STUDENT)
    assert found.unstated() == ["terms of the teacher's outputs"]
    text = card.card(found)
    assert "- Terms of the teacher's outputs: not stated\n" in text
    assert "license: other\nlicense_name: Llama-9\n" in text
    # before the first summary nothing is stated
    assert len(card.lineage(student_results.make(tmp_path / "new", terms=None).parents[1], STUDENT).unstated()) == 3


def test_it_names_the_models_that_rewrote_its_instructions_and_where_these_came_from(tmp_path):
    student_results.make(tmp_path)
    student_results.evolve(tmp_path)
    text = card.card(card.lineage(tmp_path / "results", STUDENT))
    assert yaml.safe_load(text.split("---\n")[1])["datasets"] == ["org/data"]
    assert f"- Instructions seed: `org/data` at `{DATA}`\n" in text
    assert f"- Instructions made or chosen with the outputs of writer: `org/writer` at `{COMMIT}`\n" in text
    assert "- Terms of the models with whose outputs instructions were made: not collected here\n" in text


@pytest.mark.parametrize(
    ("stated", "of_the_hub"),
    [
        ("Llama-3.1", "llama3.1"),
        ("Apache 2.0", "apache-2.0"),
        ("CC-BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("Gemma", "gemma"),
    ],
)
def test_a_licence_has_the_hubs_name(tmp_path, stated, of_the_hub):
    head = card_of(tmp_path, terms={**TERMS, "base_licence": stated}).split("---\n")[1]
    assert yaml.safe_load(head)["license"] == of_the_hub and "license_name" not in head


def test_a_wrong_name_and_a_damaged_description(tmp_path):
    student = student_results.make(tmp_path)
    with pytest.raises(BadInput, match=f"no such student, did you mean '{STUDENT}'"):
        card.lineage(tmp_path / "results", STUDENT.replace("sft", "sf"))
    (student / "student.json").write_text("{}")
    with pytest.raises(BadInput, match=r"does not describe a student .*; train it again"):
        card.lineage(tmp_path / "results", STUDENT)
