"""Instructions that a chat template refuses are named before the model is loaded, or left out and counted, in every job."""

import pyarrow as pa
import pytest
import tiny
from generations import CHAT, GREEDY, MODEL, TEACHER
from rated_rows import response_table
from teachergrid.data import generate, health
from teachergrid.errors import BadInput
from teachergrid.models import checks, loading
from teachergrid.scoring import likelihood, reward
from teachergrid.spec import schema
from teachergrid.store import artifacts
from teachergrid.training import sft
from trainings import recipe

# as Gemma's and Mistral's
STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}{% endfor %}" + tiny.CHATML
)
ROWS = {
    "one": [("user", "red")],
    "bad": [("user", "red"), ("user", "apple")],
    "two": [("user", "story")],
    "worse": [("assistant", "red"), ("user", "apple")],
}
MESSAGES = {id: [{"role": role, "content": text} for role, text in turns] for id, turns in ROWS.items()}
NAMED = (
    r"2 of 4 instructions cannot be put to .*, such as bad, worse: .*roles must alternate.*`refused_prompts: leave_out`"
)
STOP, LEAVE_OUT = (CHAT | {"template": STRICT} | change for change in ({}, {"refused_prompts": "leave_out"}))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return MODEL | {"repo": str(tiny.make(tmp_path_factory.mktemp("models") / "llama"))}


@pytest.fixture
def no_model(monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("the model was loaded before the rows were checked")

    monkeypatch.setattr(loading, "load_model", loaded)


def instructions() -> pa.Table:
    rows = [{"id": id, "messages": turns, "source": "t", "round": 0} for id, turns in MESSAGES.items()]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def responses() -> pa.Table:
    return response_table(*((id, "the apple") for id in MESSAGES))


def answered(model: dict, settings: dict, work) -> pa.Table:
    teacher = TEACHER | settings | {"sampling": GREEDY}
    return generate.respond(instructions(), {"teacher": teacher, "model": model}, work)[0]


def scored(model: dict, settings: dict, work) -> list[dict]:
    options = schema.filled({}, schema.definition("likelihood"))
    given = {"scorer": settings, "model": model, "likelihood": options}
    tables = likelihood.score(responses(), instructions(), given, work)
    return [row for table in tables["chat"] for row in table.to_pylist()]


def rewarded(model: dict, settings: dict, work) -> list[dict]:
    entry = schema.filled(settings, schema.definition("reward"))
    return reward.score(responses(), instructions(), {"reward": entry, "model": model}, work).to_pylist()


def trained(model: dict, settings: dict) -> tuple[list[dict], dict]:
    words = loading.load_tokenizer(model, settings)
    rows = [(turns, "the apple") for turns in MESSAGES.values()]
    return sft.encode(words, rows, settings, recipe()["max_length"], ids=list(MESSAGES))


@pytest.mark.parametrize("job", [answered, scored, rewarded])
def test_the_rows_are_named_before_the_model_is_loaded(job, model, no_model, tmp_path):
    with pytest.raises(BadInput, match=NAMED):
        job(model, STOP, tmp_path)


def test_rows_of_a_training_are_named(model):
    with pytest.raises(BadInput, match=NAMED):
        trained(model, STOP)


def test_generation_goes_on_without_them_and_health_counts_them(model, tmp_path):
    table = answered(model, LEAVE_OUT, tmp_path)
    assert table["finish_reason"].to_pylist()[1::2] == ["prompt_refused"] * 2 and table["response"].to_pylist()[1] == ""
    assert set(table["finish_reason"].to_pylist()[::2]) <= {"stop", "length"}
    found = health.check(table, instructions(), schema.filled({}, schema.definition("health")))
    counts = {row["check"]: row["count"] for row in found}
    assert counts["prompt_refused"] == 2 and counts["empty"] == 0


def test_scores_are_null_with_a_reason(model, tmp_path):
    rows = scored(model, LEAVE_OUT, tmp_path / "likelihoods")
    assert [row["reason"] for row in rows] == [None, (why := "the chat template refuses the prompt"), None, why]
    assert [rows[i]["answer_given_question"] is not None for i in range(4)] == [True, False, True, False]
    assert [row["id"] for row in rows] == list(MESSAGES)


def test_rewards_are_null_with_a_reason(tmp_path):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "rm", kind="reward"))}
    rows = rewarded(entry, LEAVE_OUT, tmp_path / "work")
    assert [row["reason"] for row in rows] == [None, reward.REFUSED, None, reward.REFUSED]
    assert [row["reward"] is None for row in rows] == [False, True, False, True]


def test_a_training_goes_on_without_them_and_counts_them(model):
    examples, counts = trained(model, LEAVE_OUT)
    assert len(examples) == 2 and counts["prompt_refused"] == 2


def test_a_template_that_refuses_all_is_an_error_anyway(model):
    words = loading.load_tokenizer(model, LEAVE_OUT)

    def read(_):
        raise BadInput(f"{words.name_or_path}: no")

    with pytest.raises(BadInput, match="llama: no"):
        checks.check_prompts(MESSAGES.items(), read, LEAVE_OUT, "m")
