"""Teachers whose responses were published together become teachers like any other."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.config import checked
from teachergrid.spec import zoos


def config(source="there.jsonl", teachers=("Qwen2.5-3B_Instruct", "org/B"), fields=None, **more):
    return {
        "models": {"qwen2.5-3b-instruct": {"repo": "org/x", "parameters": 3}, "base": {"repo": "org/base"}},
        "instructions": {"set": {"source": "hub:org/zoo", "sample": 1}},
        "zoos": {"zoo": {"source": source, "teachers": list(teachers), "fields": fields or {}}},
        "bases": {"base": {"model": "base", "template": "own"}},
        "metrics": {"nll": {"formula": "nll_mean"}},
        "grids": {"g": {"compare": "teacher", "instructions": ["set"], "teachers": "all", "bases": "all"}},
        **more,
    }


@pytest.mark.parametrize(
    ("zoo", "sources", "responses", "written_by"),
    [
        ({"source": "hub:org/zoo", "fields": {"response": ["{teacher}", "content"]}}, ["hub:org/zoo"] * 2,
         [["Qwen2.5-3B_Instruct", "content"], ["org/B", "content"]], [None, None]),
        ({"source": "hub:org/zoo/{teacher}.jsonl"}, ["hub:org/zoo/Qwen2.5-3B_Instruct.jsonl", "hub:org/zoo/org/B.jsonl"],
         [None, None], [None, None]),
        ({"source": "hub:org/zoo", "fields": {"teacher": "by"}}, ["hub:org/zoo"] * 2, [None, None],
         ["Qwen2.5-3B_Instruct", "org/B"]),
    ],
    ids=["a struct each", "a file each", "a column of names"],
)  # fmt: skip
def test_teachers_of_a_zoo(zoo, sources, responses, written_by):
    teachers = checked(config(**zoo))["teachers"]
    assert list(teachers) == ["qwen2.5-3b-instruct", "org-b"]
    made = list(teachers.values())
    assert [one["source"] for one in made] == sources
    assert [one["fields"]["response"] for one in made] == responses
    assert [one["written_by"] for one in made] == written_by
    assert [one["engine"] for one in made] == ["existing"] * 2
    # the model of the same name
    assert [one["model"] for one in made] == ["qwen2.5-3b-instruct", None]


@pytest.mark.parametrize(
    ("zoo", "message"),
    [
        ({}, "config.zoos.zoo: all its teachers would have the same responses"),
        ({"source": "{teacher}.jsonl", "teachers": ["A b", "a-B"]}, "'a-B' becomes 'a-b', and there is such a teacher"),
        ({"source": "{teacher}.jsonl", "teachers": ["--"]}, "'--' has no letter or digit"),
        ({"source": "{teacher}.jsonl", "teachers": []}, r"config.zoos.zoo.teachers: \[\] should be non-empty"),
    ],
)
def test_refused(zoo, message):
    with pytest.raises(BadInput, match=message):
        checked(config(**zoo))


def test_names():
    assert zoos.named("Meta-Llama-3.1-405B-Instruct") == "meta-llama-3.1-405b-instruct"
    assert zoos.named("_GPT 4 (turbo).") == "gpt-4-turbo"
