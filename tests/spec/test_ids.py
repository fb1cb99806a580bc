"""The ids of cells, and that nothing else takes them apart."""

import ast
import re
from pathlib import Path

import pytest
from teachergrid.spec import ids
from teachergrid.spec.ids import Corpus, Model, Responses, Student

WORKFLOW = Path(__file__).parents[2] / "workflow"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Responses, "pool__large-2.5", ("pool", "large-2.5")),
        (Corpus, "pool__large", (Responses("pool", "large"), None)),
        (Corpus, "best", (None, "best")),
        (Student, "q__pool__large__sft__s12", ("q", "pool__large", "sft", 12)),
        (Student, "q__best__sft__s0", ("q", "best", "sft", 0)),
        (Model, "q__best__sft__s0", (Student("q", "best", "sft", 0), None)),
        (Model, "q-raw", (None, "q-raw")),
    ],
)
def test_an_id_is_read_and_written(kind, text, expected):
    assert kind.parse(text) == expected
    assert str(kind.parse(text)) == f"{kind.parse(text)}" == text


def test_parts_of_a_corpus():
    assert (Corpus.parse("pool__large").instructions, Corpus.parse("pool__large").teacher) == ("pool", "large")
    assert (Corpus.parse("best").instructions, Corpus.parse("best").teacher) == (None, None)


def test_students_of_all_seeds_share_a_name():
    assert Student.parse("q__pool__large__sft__s2").any_seed == ids.any_seed("q", "pool__large", "sft")
    assert ids.any_seed("q", "pool__large", "sft") == "q__pool__large__sft"


@pytest.mark.parametrize("kind", [Responses, Student])
def test_what_is_no_id_is_refused(kind):
    with pytest.raises(ValueError):
        kind.parse("pool")


@pytest.mark.parametrize(
    ("shape", "fits", "does_not"),
    [
        (ids.NAME, "a-1.5", "a__b"),
        (ids.RESPONSES, "a__b", "a"),
        (ids.CORPUS, "a", "a__b__c"),
        (ids.STUDENT, "q__a__b__sft__s1", "q__a__b__sft"),
        (ids.MODEL, "q-raw", "Q"),
    ],
)
def test_shapes(shape, fits, does_not):
    assert re.fullmatch(shape, fits) and not re.fullmatch(shape, does_not)


def separators(path: Path) -> list[int]:
    """Return the lines that hold the separator of ids in a text that is not prose: alone, or as a part of an f-string."""
    tree = ast.parse(path.read_text())
    pieces = [
        piece for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values
    ]  # fmt: skip
    joined = [
        piece.lineno for piece in pieces if isinstance(piece, ast.Constant) and re.search(r"^__|__$", piece.value)
    ]
    alone = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value == "__"]
    return joined + alone


def test_ids_are_put_together_and_taken_apart_in_one_place():
    sources = [path for path in (WORKFLOW / "scripts").rglob("*.py") if path.name != "ids.py"]
    assert {str(path): lines for path in sources if (lines := separators(path))} == {}
    rules = "".join(path.read_text() for path in (WORKFLOW / "rules").glob("*.smk"))
    assert not re.search(r"__\{|\}__|\)__|__\(", rules)


def test_no_name_shows_an_endless_chain():
    """tests/grid/test_config_names runs a grid with such names."""
    assert ids.never_endless(None, "x-" + "ab" * 21) is None


def test_a_pilots_set_is_a_part_of_another():
    names = ["pool", ids.pilot_subset("pool", 50), "pool.pilot", "pilot50", "a.pilot5x"]
    assert [ids.whole_set(name) for name in names] == ["pool", "pool", "pool.pilot", "pilot50", "a.pilot5x"]
