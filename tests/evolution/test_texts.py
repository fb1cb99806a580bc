"""The prompts of evolution: shipped files, files of the user's own, and placeholders."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.evolution import texts
from teachergrid.evolution.methods import METHODS


def test_a_value_may_itself_hold_a_placeholder():
    filled = texts.filled(
        "{parent} | {instruction} | {other}", {"parent": "{instruction}", "instruction": "1 {parent}"}
    )
    assert filled == "{instruction} | 1 {parent} | {other}"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_its_prompts(method):
    assert texts.read("config", METHODS[method].prompts, METHODS[method].prompts)["version"] >= 1


def test_a_file_of_ones_own_needs_only_what_differs(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("operators: {shorter: Make it shorter.}\norder: [shorter, deepen]\n")
    read, shipped = (texts.read("config", name, "evol-instruct.1") for name in (str(own), "evol-instruct.1"))
    assert read["order"] == ["shorter", "deepen"]
    assert read["operators"] == {**shipped["operators"], "shorter": "Make it shorter."}
    assert read["frames"] == shipped["frames"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("evol-instruct.2", "there are no prompts 'evol-instruct.2', did you mean 'evol-instruct.1'"),
        ("none.yaml", "there is no file 'none.yaml'"),
        ("../schemas/config.schema", "there are no prompts '../schemas/config.schema'"),
        ("x" * 300, "there are no prompts 'xxx"),
        ("other.yaml", "'other.yaml' has an unknown text 'operatrs', did you mean 'operators'"),
        ("form.yaml", "`operators` of 'form.yaml' has another form than in evol-instruct.1.yaml"),
        ("order.yaml", "`order` of 'order.yaml' has another form"),
        ("list.yaml", "'list.yaml' is no mapping of texts"),
        ("broken.yaml", "'broken.yaml' cannot be read as YAML"),
        ("binary.yaml", "'binary.yaml' cannot be read as YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "other.yaml").write_text("operatrs: {}\n")
    (tmp_path / "form.yaml").write_text("operators: {a: 5}\n")
    (tmp_path / "order.yaml").write_text("order: deepen\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"^config\.evolutions\.e\.prompts: ") as error:
        texts.read("config.evolutions.e.prompts", name, "evol-instruct.1")
    assert message in str(error.value)


def test_a_text_without_its_placeholder_is_refused():
    with pytest.raises(BadInput, match=r"the text `deepen` has no \{instruction\}"):
        texts.require("config", "deepen", "Make it deeper.", "instruction")
