"""What an engine is asked for, when it loads its model, and prompts that do not fit it."""

import pytest
import tiny
from generations import CHAT, DRAWN, GREEDY, MODEL, instructions
from teachergrid.engines import engine
from teachergrid.engines.requests import Output, Request, Setup, requests_of
from teachergrid.errors import BadInput
from teachergrid.job import fingerprint
from teachergrid.models import loading
from teachergrid.spec import schema
from teachergrid.store import artifacts


def test_all_samples_of_an_instruction_come_together():
    asked = instructions(["red", "list"])
    requests = requests_of(asked, DRAWN | {"samples": 2})
    one, two = asked["id"].to_pylist()
    assert [(request.id, request.sample) for request in requests] == [(one, 0), (one, 1), (two, 0), (two, 1)]
    assert requests[2].messages == [{"role": "user", "content": "list"}] and requests[2].category == "c"
    assert requests[2].sampling["seed"] == DRAWN["seed"]


def test_a_model_is_loaded_once_and_at_its_first_use(tmp_path, monkeypatch):
    loads, load = [], loading.load_model

    def counted(*args, **options):
        loads.append(args)
        return load(*args, **options)

    monkeypatch.setattr(loading, "load_model", counted)
    generate = engine.load("transformers", Setup(MODEL | {"repo": str(tiny.make(tmp_path / "model"))}, CHAT, batch=2))
    assert loads == []
    requests = requests_of(instructions(["red", "list"]), GREEDY)
    both = dict(generate(requests))
    assert both == {i: dict(generate([request]))[0] for i, request in enumerate(requests)}
    assert len(loads) == 1
    assert set(both[0]) == Output.__required_keys__


def test_a_bad_template_fails_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("the template is tried first"))
    chat_settings = CHAT | {"template": "{% if %}"}
    generate = engine.load("transformers", Setup(MODEL | {"repo": str(tiny.make(tmp_path / "model"))}, chat_settings))
    with pytest.raises(BadInput, match="chat template fails"):
        dict(generate(requests_of(instructions(["red"]), GREEDY)))


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
    of_teacher, of_suite = (schema.member(schema.definition(kind), "engine") for kind in ("teacher", "suite"))
    assert of_teacher["enum"] == list(engine.ENGINES)
    assert {*of_teacher["x-without-model"]} <= {*engine.ENGINES}
    # students and references are models of this machine
    assert of_suite["enum"] == [name for name in engine.ENGINES if not schema.is_without_model(name)]
    keys = {row.key for row in engine.ENGINES.values()} - {None}
    assert keys <= schema.definition("teacher")["properties"].keys()
    known = schema.definition("teacher")["properties"] | schema.definition("model")["properties"]
    assert {key for row in engine.ENGINES.values() for key in row.unused} <= known.keys()


def test_an_engine_that_reads_a_file_loads_no_model():
    for name, row in engine.ENGINES.items():
        assert engine.generates(name) == bool(row.open)
        assert row.open or schema.is_without_model(name)
    assert not schema.is_without_model("transformers")
    assert not schema.is_without_model(None)


def test_an_engine_says_what_it_promises_and_needs():
    for row in engine.ENGINES.values():
        assert row.promise in (engine.SAME, engine.ROUNDING, engine.NOTHING)
        assert bool(row.package) == bool(row.install)


def test_a_missing_package_is_told_before_the_model_is_loaded(monkeypatch):
    opened = []
    lacks = engine.Engine(None, opened.append, package="not_installed", install="`make it`")
    monkeypatch.setitem(engine.ENGINES, "lacks", lacks)
    generate = engine.load("lacks", Setup(None, CHAT))
    with pytest.raises(BadInput, match=r"engine lacks needs the package not_installed.* `make it`"):
        dict(generate([Request("a", 0, [], None, GREEDY)]))
    assert not opened
    assert engine.missing("transformers") is None


def test_an_engine_is_opened_once_at_the_first_call(monkeypatch):
    opened = []

    def open_model(setup):
        opened.append(setup)
        return lambda requests: ((i, request.id) for i, request in reversed(list(enumerate(requests))))

    refuse = engine.Engine(None, open_model, lambda setup: {"c"})
    monkeypatch.setitem(engine.ENGINES, "fake", refuse)
    requests = [Request(id, 0, [], None, GREEDY) for id in "acb"]
    setup = Setup(None, CHAT, "plain", requests=requests)
    generate = engine.load("fake", setup)
    assert opened == []
    outputs = dict(generate(requests))
    # a refused one is told from its place
    assert (outputs[0], outputs[2], outputs[1]["finish_reason"]) == ("a", "b", "prompt_refused")
    assert dict(generate(requests)) == outputs
    assert opened == [setup]


@pytest.mark.parametrize("rule", ["generate", "answer"])
def test_an_engine_counts_for_what_it_makes(rule):
    """The table leads to the module of the engine, so a change in that makes results older."""
    reached = {target for part in fingerprint.reach(rule, fingerprint.ALL) for target in part.used}
    assert ("teachergrid.engines.huggingface", "open_model") in reached
    # and vLLM finds its logits processor by name
    assert "teachergrid.engines.vllm_draw" in {module for module, _ in reached}
