"""What a language model is asked as a judge, and what is kept of its replies."""

import os
import subprocess
import sys
import time

import hostile_endpoint as hostile
import judge_job
import pytest
import tiny
import torch
from generations import MODEL, tiny_models
from judge_job import ENTRY, JUDGED, OWN, settings_of, told
from teachergrid.engines import huggingface
from teachergrid.errors import BadInput
from teachergrid.evaluation import asking, judge_prompts, verdicts
from teachergrid.evaluation.protocols import MODEL_FIRST, MODEL_SECOND, alpaca_order
from teachergrid.models import chat, loading
from teachergrid.store import artifacts


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
    part = settings_of(ENTRY | {"protocol": "alpaca_eval2", "order": "both"})
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
        "judge": settings_of(ENTRY),
        "model": {"api": "a", "repo": None},
        "endpoint": endpoint("http://127.0.0.1:9"),
    }
    made = asking.ask([JUDGED[1]], settings, tmp_path / "work", tmp_path, "ask/m/s/j")
    assert made.num_rows == 0 and made.schema.equals(artifacts.VERDICTS)


# --- a judge that the job loads


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> str:
    return str(tiny_models(tmp_path_factory.mktemp("models"))["llama"])


def test_how_a_model_is_loaded_is_part_of_what_it_says_where_a_job_loads_it():
    assert {*asking.settings_of(ENTRY | {"batch": 3})} == {"engine", "protocol", "order", "prompts", "sampling"}
    assert {"batch", "shard", "template", "template_args"} <= {*asking.settings_of(OWN)}
    other = asking.settings_of(OWN | {"engine": "vllm"})
    assert "batch" not in other and other["template"] == "own" and other["engine"] == "vllm"


def test_a_loaded_model_gives_the_log_probabilities_of_its_first_token(repo, tmp_path):
    rows = told(repo, tmp_path, protocol="alpaca_eval2", order="both").to_pylist()
    assert [(row["id"], row["order"]) for row in rows] == [
        (id, order) for id in ("q1", "q4") for order in (MODEL_FIRST, MODEL_SECOND)
    ]
    entry, model = settings_of(OWN | {"protocol": "alpaca_eval2", "order": "both"}), MODEL | {"repo": repo}
    tokenizer, network = loading.load_tokenizer(model, asking.CHAT), loading.load_model(model)
    for row, question in zip(rows, asking.Judge.of(entry).questions(JUDGED), strict=True):
        ids = chat.prompt(tokenizer, question.request.messages, asking.CHAT).ids
        with torch.inference_mode():
            likeliest = network(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1).topk(5)
        assert [one["token"] for one in row["logprobs"]] == [tokenizer.decode([i]) for i in likeliest.indices.tolist()]
        found = [one["logprob"] for one in row["logprobs"]]
        # at the temperature 1 of the draw, and of another batch
        assert found == pytest.approx(likeliest.values.tolist(), abs=1e-5)
        assert (row["response_tokens"], row["prompt_tokens"], row["cost"]) == (1, len(ids), None)
    # where neither m nor M is among them the verdict is missing, and its bounds are told
    said = artifacts.table(rows, artifacts.VERDICTS)
    table = verdicts.scores(JUDGED, verdicts.decided(JUDGED, said, "alpaca_eval2", True), said, "alpaca_eval2")
    named = {row["id"]: {one["token"] for one in row["logprobs"]} & {"m", "M"} for row in rows}
    missing = [row["score"] is None for row in table.to_pylist()]
    assert missing == [not named["q1"], False, False, not named["q4"]], "identical and empty answers need no judge"


def test_what_a_loaded_model_says_and_nobody_can_read_is_missing(repo, tmp_path):
    rows = told(repo, tmp_path, max_tokens=8)
    assert rows.num_rows == 4 and rows.schema.equals(artifacts.VERDICTS)
    assert rows["logprobs"].null_count == 4 and all(rows["text"].to_pylist())
    found = verdicts.coverage(verdicts.scores(JUDGED, verdicts.decided(JUDGED, rows, "pairwise"), rows, "pairwise"))
    # q2 is a tie and q3 is lost, whatever a judge would say
    assert (found.n, found.missing, found.low, found.high) == (4, 2, 0.125, 0.625)
    assert sum(found.reasons.values()) == 2


def test_verdicts_that_are_saved_are_not_asked_for_again(repo, tmp_path, monkeypatch):
    whole = told(repo, tmp_path / "whole", max_tokens=8)
    real, asked = huggingface.open_model, []

    def until(first: int):
        def open_model(setup):
            generate = real(setup)

            def some(requests):
                asked.append([(request.id) for request in requests])
                if len(asked) > first:
                    raise KeyboardInterrupt
                yield from generate(requests)

            return some

        return open_model

    monkeypatch.setattr(huggingface, "open_model", until(1))
    with pytest.raises(KeyboardInterrupt):
        told(repo, tmp_path / "work", max_tokens=8)
    monkeypatch.setattr(huggingface, "open_model", until(9))
    assert told(repo, tmp_path / "work", max_tokens=8).equals(whole)
    assert asked[1:] == [asked[1]] * 2 and asked[0] != asked[1], "only the second shard is asked for again"
    # all are there: no model is loaded
    monkeypatch.setattr(huggingface, "open_model", None)
    assert told(repo, tmp_path / "work", max_tokens=8).equals(whole)


@pytest.mark.slow
def test_a_judge_that_is_killed_goes_on_where_it_was(repo, tmp_path):
    """By kill -9, in a process of its own: the verdicts are those of a judge that nobody disturbed."""
    work = tmp_path / "work"
    argv = [sys.executable, judge_job.__file__, repo, str(work)]
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(argv, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while len(list(work.glob("*.parquet"))) < 3:
        assert process.poll() is None and time.monotonic() < limit, "it has ended before it was killed"
        time.sleep(0.02)
    process.kill()
    process.wait()
    saved = {path.name: path.stat().st_mtime_ns for path in work.glob("*-*.parquet")}
    assert 3 <= len(saved) < judge_job.MANY
    found = judge_job.many(repo, work)
    assert found.num_rows == 2 * judge_job.MANY and found.equals(judge_job.many(repo, tmp_path / "whole"))
    assert {name: (work / name).stat().st_mtime_ns for name in saved} == saved, "what was saved is as it was"


def test_a_template_that_takes_no_system_message_is_told(repo, tmp_path):
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
    strict = {"template": refusal + tiny.CHATML}
    with pytest.raises(BadInput, match="no system message"):
        told(repo, tmp_path / "a", **strict)
    # what it refuses of single requests may be left out
    refusal = "{% if '1?' in messages[-1]['content'] %}{{ raise_exception('no such question') }}{% endif %}"
    rows = told(repo, tmp_path / "b", template=refusal + tiny.CHATML, refused_prompts="leave_out", max_tokens=2)
    refused = [(row["id"], row["finish_reason"] == "prompt_refused") for row in rows.to_pylist()]
    assert refused == [("q1", True)] * 2 + [("q4", False)] * 2
