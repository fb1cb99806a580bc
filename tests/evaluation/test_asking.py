"""What a language model is asked as a judge, and what is kept of its replies."""

import hostile_endpoint as hostile
import pytest
from judged_rows import answers, prompts
from teachergrid.evaluation import asking, judge_prompts
from teachergrid.evaluation.cases import cases
from teachergrid.evaluation.protocols import MODEL_FIRST, MODEL_SECOND, alpaca_order
from teachergrid.store import artifacts

ITEMS = {"open": prompts(q1="1?", q2="2?", q3="3?", q4="4?")}
JUDGED = cases(answers(q1="a", q2="b", q3="", q4="d"), answers(q1="A", q2="b", q3="C", q4="D"), ITEMS, "pairwise")
ENTRY = {"protocol": "pairwise", "order": "protocol", "prompt": None, "prompt_version": 1, "max_tokens": None}


def test_settings_hold_all_that_decides_a_verdict():
    settings = asking.settings_of(ENTRY)
    assert settings["prompts"] == {"pairwise": judge_prompts.load("pairwise", 1)}
    assert settings["sampling"]["max_tokens"] == 1024 and "top_logprobs" not in settings["sampling"]
    other = asking.settings_of(ENTRY | {"protocol": "alpaca_eval2", "prompt": "my text", "max_tokens": 2})
    assert other["prompts"] == {"alpaca_eval2": "my text"}
    assert (other["sampling"]["max_tokens"], other["sampling"]["top_logprobs"]) == (2, 5)
    # creative items have a prompt of their own
    assert {*asking.settings_of(ENTRY | {"protocol": "arena_hard_v2"})["prompts"]} == {
        "arena_hard",
        "arena_hard_creative",
    }


def test_questions_leave_out_what_needs_no_judge():
    judge = asking.Judge.of(asking.settings_of(ENTRY))
    asked = [(one.case.id, one.order) for one in judge.questions(JUDGED)]
    assert asked == [(id, order) for id in ("q1", "q4") for order in (MODEL_SECOND, MODEL_FIRST)]
    official = asking.Judge.of(asking.settings_of(ENTRY | {"protocol": "alpaca_eval2"}))
    assert [one.order for one in official.questions(JUDGED)] == [alpaca_order("1?"), alpaca_order("4?")]
    both = asking.Judge.of(asking.settings_of(ENTRY | {"protocol": "alpaca_eval2", "order": "both"}))
    assert len(both.questions(JUDGED)) == 4
    assert all(one.request.sampling["top_logprobs"] == 5 for one in both.questions(JUDGED))


def with_logprobs(server: hostile.Server, item: str) -> hostile.Answer:
    top = [{"token": "M", "logprob": -0.5}, {"token": "m", "logprob": -1.0}]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "M"},
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "M", "top_logprobs": top}]},
    }
    return 200, hostile.body(None, choices=[choice]), b""


def endpoint(url: str, **more) -> dict:
    entry = {
        "name": "hostile", "base_url": url, "key_env": hostile.KEY_ENV, "usd_in": 2.0, "usd_out": 8.0, "cap_usd": None,
        "requests_per_minute": None, "tokens_per_minute": None, "at_once": 4, "timeout": 5.0, "tries": 3, "batch": False, "batch_price": 0.5, "token_limit": "max_tokens",
    }  # fmt: skip
    return entry | more


@pytest.mark.parametrize("price", [2.0, None])
def test_verdicts_are_kept_as_they_were_said_and_paid_once(tmp_path, monkeypatch, price):
    monkeypatch.setenv(hostile.KEY_ENV, hostile.KEY)
    part = asking.settings_of(ENTRY | {"protocol": "alpaca_eval2", "order": "both"})
    with hostile.serving(with_logprobs) as server:
        settings = {
            "judge": part,
            "model": {"api": hostile.API, "repo": None},
            "endpoint": endpoint(server.url, usd_in=price),
        }
        tables = [asking.ask(JUDGED, settings, tmp_path / f"work{i}", tmp_path, f"ask/m/s/{i}") for i in range(2)]
        assert len(server.asked) == 4, "what a job was answered, another job need not ask"
        assert all(body["logprobs"] and body["top_logprobs"] == 5 for body in server.asked)
    assert tables[0].equals(tables[1]) and tables[0].schema.equals(artifacts.VERDICTS)
    row = tables[0].to_pylist()[0]
    assert (row["task"], row["id"], row["text"], row["finish_reason"]) == ("open", "q1", "M", "length")
    assert row["logprobs"] == [{"token": "M", "logprob": -0.5}, {"token": "m", "logprob": -1.0}]
    assert row["cost"] == (pytest.approx(hostile.USD) if price else None)


def test_nothing_to_ask(tmp_path):
    settings = {
        "judge": asking.settings_of(ENTRY),
        "model": {"api": "a", "repo": None},
        "endpoint": endpoint("http://127.0.0.1:9"),
    }
    made = asking.ask([JUDGED[1]], settings, tmp_path / "work", tmp_path, "ask/m/s/j")
    assert made.num_rows == 0 and made.schema.equals(artifacts.VERDICTS)
