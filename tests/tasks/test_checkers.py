"""The kinds of checkers, and what the config may say of them."""

import json
from pathlib import Path

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.spec import schema
from teachergrid.tasks import checkers
from teachergrid.tasks.checkers import CHECKERS, check, measures_of, refuse_wrong, versions
from teachergrid.tasks.verify import Asked, columns_of

ROOT = Path(__file__).parents[2]
GSM8K = ROOT.parent / "shared/data/gsm8k/test_1319.jsonl"
CHECKER = schema.filled({}, schema.definition("checker"))


def test_the_schema_lists_the_kinds():
    kinds = schema.member(schema.definition("checker"), "kind")["enum"]
    assert kinds == [*CHECKERS] and kinds[0] == "pattern"


def test_a_pattern_is_the_usual_kind():
    pattern = {"extract": "= (.*)", "compare": "number"}
    [right, wrong, none] = check([Asked("a", text, "3") for text in ("1+2 = 3.0", "= 4", "3")], pattern)
    assert (right.score, right.verdict, wrong.verdict, none.verdict) == (1.0, "right", "wrong", "no answer found")
    assert dict(right.measures) == {}


@pytest.mark.parametrize(
    ("checker", "said"),
    [
        ({"score": "loose"}, "the kind 'pattern' has no measure 'loose'; it has none"),
        ({"kind": "ifeval", "score": "loose"}, "no measure 'loose'; it has prompt_strict, instruction_strict"),
        ({"pass_at": [1, 5]}, r"pass@5 needs 5 answers to an item, and there are 4; raise `sampling.samples`"),
    ],
)
def test_a_checker_that_cannot_work(checker, said):
    with pytest.raises(BadInput, match=said):
        refuse_wrong("config.tasks.a.checker", {"checker": CHECKER | checker, "sampling": {"samples": 4}})


def test_measures_that_a_task_may_name():
    assert measures_of(None) == [] and measures_of(CHECKER) == []
    assert measures_of(CHECKER | {"kind": "ifeval", "pass_at": [2]}) == [*checkers.FOLLOWED, "pass@2"]


def test_versions_are_those_of_the_lock_file(tmp_path, monkeypatch):
    lock = tmp_path / "cpu.lock"
    lock.write_text("math-verify==0.9.0\nnltk==3.10.4 \\\n    --hash=sha256:1\nother==1\n")
    monkeypatch.setattr(checkers, "LOCK", lock)
    versions.cache_clear()
    assert versions("math") == {"math-verify": "0.9.0"} and versions("ifeval") == {"nltk": "3.10.4"}
    assert versions("pattern") == {}
    versions.cache_clear()


def test_columns_of_an_item():
    assert columns_of(Asked("a", "", '{"b": [1]}')) == {"b": [1]}
    for reference in ("[1]", "5", "", None):
        with pytest.raises(BadInput, match="item a: its answer is no JSON of columns"):
            columns_of(Asked("a", "", reference))


# answers to a problem whose answer is 1,234 by GSM8K's file, with verdicts by hand
ODD = [
    ("#### 1234", "right"),
    ("#### 1,234", "right"),
    ("#### $1234", "right"),
    ("####1234", "right"),
    ("#### 1234.", "right"),
    ("#### 1234.00", "right"),
    ("#### 1234 apples", "right"),
    ("#### 9\nNo:\n#### 1234", "right"),
    ("#### 1234\nNo:\n#### 9", "wrong"),
    ("#### -1234", "wrong"),
    ("#### 1234.5", "wrong"),
    ("#### 12,34", "not a number"),
    ("#### about 1234", "no answer found"),
    ("The answer is 1234.", "no answer found"),
    ("1234", "no answer found"),
    ("", "no answer found"),
    ("####", "no answer found"),
    ("I cannot answer that.", "no answer found"),
    ("## 1234", "no answer found"),
    ("**#### 1234**", "right"),
    ("#### \\boxed{1234}", "no answer found"),
    ("#### one thousand", "no answer found"),
    ("#### 12\n34", "wrong"),
]


def gsm8k():
    return yaml.safe_load((ROOT / "config/benchmarks/gsm8k.yaml").read_text())["checker"]


def test_odd_answers_to_gsm8k_by_hand():
    found = check([Asked("a", text, "6 * 2 = 12\n#### 1,234") for text, _ in ODD], gsm8k())
    assert [(text, one.verdict) for (text, _), one in zip(ODD, found, strict=True)] == ODD


@pytest.mark.skipif(not GSM8K.exists(), reason="no GSM8K next to the checkout")
def test_all_golds_of_gsm8k_are_right():
    rows = [json.loads(line) for line in GSM8K.open()]
    found = check([Asked(str(i), row["answer"], row["answer"]) for i, row in enumerate(rows)], gsm8k())
    assert sum(one.score == 1 for one in found) == len(rows) == 1319
