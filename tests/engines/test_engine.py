"""What an engine is asked for, when it loads its model, and prompts that do not fit it."""

import pytest
import tiny
from generations import CHAT, GREEDY, MODEL, instructions
from teachergrid.engines import engine
from teachergrid.engines.requests import Output, Request
from teachergrid.errors import BadInput
from teachergrid.job import fingerprint
from teachergrid.models import loading
from teachergrid.spec import schema
from teachergrid.store import artifacts


def test_all_samples_of_an_instruction_come_together():
    asked = instructions(["red", "list"])
    requests = engine.requests_of(asked, 2)
    one, two = asked["id"].to_pylist()
    assert [(request.id, request.sample) for request in requests] == [(one, 0), (one, 1), (two, 0), (two, 1)]
    assert requests[2].messages == [{"role": "user", "content": "list"}] and requests[2].category == "c"


def test_a_model_is_loaded_once_and_at_its_first_use(tmp_path, monkeypatch):
    loads, load = [], loading.load_model

    def counted(*args, **options):
        loads.append(args)
        return load(*args, **options)

    monkeypatch.setattr(loading, "load_model", counted)
    generate = engine.load(MODEL | {"repo": str(tiny.make(tmp_path / "model"))}, CHAT)
    assert loads == []
    requests = engine.requests_of(instructions(["red", "list"]), 1)
    both = generate(requests, GREEDY, 2)
    assert both == [generate([request], GREEDY, 1)[0] for request in requests]
    assert len(loads) == 1
    assert set(both[0]) == set(Output.__annotations__)


def test_a_bad_template_fails_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("the template is tried first"))
    chat_settings = CHAT | {"template": "{% if %}"}
    generate = engine.load(MODEL | {"repo": str(tiny.make(tmp_path / "model"))}, chat_settings)
    with pytest.raises(BadInput, match="chat template fails"):
        generate(engine.requests_of(instructions(["red"]), 1), GREEDY, 1)


def test_some_prompts_that_are_too_long_are_no_error():
    def table(*reasons):
        rows = [
            {"id": f"i{i}", "sample": 0, "response": "", "finish_reason": reason, "prompt_tokens": 50 + i}
            for i, reason in enumerate(reasons)
        ]
        return artifacts.table(rows, artifacts.RESPONSES)

    engine.check_prompts_fit(table("prompt_too_long", "stop"), {"repo": "m"})
    with pytest.raises(BadInput, match=r"m: all 2 prompts are too long .* such as id i0 with 50 tokens"):
        engine.check_prompts_fit(table("prompt_too_long", "prompt_too_long"), {"repo": "m"})


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
    requests = [Request(id, 0, [], None) for id in "ab"]
    assert generate(requests, {}, 1) == generate(requests, {}, 2) == ["a", "b"]
    assert opened == [(None, chat, "plain", None)]


@pytest.mark.parametrize("rule", ["generate", "answer"])
def test_an_engine_counts_for_what_it_makes(rule):
    """The table leads to the module of the engine, so a change in that makes results older."""
    reached = {target for part in fingerprint.reach(rule, fingerprint.ALL) for target in part.used}
    assert ("teachergrid.engines.huggingface", "open_model") in reached
