"""The table of engines: what the schema names, what each needs."""

import pytest
from teachergrid.engines import engine
from teachergrid.job import fingerprint
from teachergrid.spec import schema


def test_the_schema_names_the_engines():
    of_key = schema.member(schema.definition("teacher"), "engine")
    assert of_key["enum"] == list(engine.ENGINES)
    assert {*of_key["x-without-model"]} <= {*engine.ENGINES}
    keys = {row.key for row in engine.ENGINES.values()} - {None}
    assert keys <= schema.definition("teacher")["properties"].keys()


def test_an_engine_that_reads_a_file_loads_no_model():
    for name, row in engine.ENGINES.items():
        assert row.open or schema.is_without_model(name)
    assert not schema.is_without_model("transformers")
    assert not schema.is_without_model(None)


def test_an_engine_is_opened_once_at_the_first_call(monkeypatch):
    opened = []

    def open_model(*given):
        opened.append(given)
        return lambda requests, sampling, batch: [request.id for request in requests]

    monkeypatch.setitem(engine.ENGINES, "fake", engine.Engine(None, open_model))
    chat = {"template": "own"}
    generate = engine.load(None, chat, "plain", engine="fake")
    assert opened == []
    requests = [engine.Request(id, 0, [], None) for id in "ab"]
    assert generate(requests, {}, 1) == generate(requests, {}, 2) == ["a", "b"]
    assert opened == [(None, chat, "plain", None)]


@pytest.mark.parametrize("rule", ["generate", "answer"])
def test_an_engine_counts_for_what_it_makes(rule):
    """The table leads to the module of the engine, so a change in that makes results older."""
    reached = {target for part in fingerprint.reach(rule, fingerprint.ALL) for target in part.used}
    assert ("teachergrid.engines.huggingface", "open_model") in reached
