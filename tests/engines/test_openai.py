"""What is sent to an endpoint, and what is asked once for several."""

import hostile_endpoint as hostile
import pytest
from teachergrid.engines import openai
from teachergrid.engines.requests import Setup
from teachergrid.errors import BadInput


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(hostile.KEY_ENV, hostile.KEY)


def test_settings_that_decide_nothing_are_not_sent():
    (greedy,) = hostile.requests(1)
    assert openai.body_of("api", greedy.messages, greedy) == {
        "model": "api",
        "messages": [{"role": "user", "content": "item 0"}],
        "max_tokens": 8,
        "temperature": 0,
    }
    (drawn,) = hostile.requests(1, temperature=0.7, top_p=0.9, top_k=5, seed=3)
    body = openai.body_of("api", drawn.messages, drawn)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k")} == {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
    }
    assert 0 <= body["seed"] < 2**31
    assert body["seed"] != openai.body_of("api", drawn.messages, drawn._replace(sample=1))["seed"]


def test_equal_requests_are_paid_once_and_samples_are_not_equal(tmp_path):
    one, other = hostile.requests(2)
    asked = [one, other, one._replace(id="twin"), one._replace(sample=1)]
    with hostile.serving(lambda server, item: (200, hostile.body(f"{item} {len(server.asked)}"), b"")) as server:
        answers = dict(hostile.asker(tmp_path, hostile.endpoint(server.url, at_once=1)).generate(asked))
    assert len(server.asked) == 3 and sorted(answers) == [0, 1, 2, 3]
    assert answers[0] == answers[2] != answers[3]


def test_a_system_message_is_sent_and_decides(tmp_path):
    with hostile.serving(lambda server, item: (200, hostile.body("yes"), b"")) as server:
        asker = hostile.asker(tmp_path, hostile.endpoint(server.url))
        dict(asker.generate(hostile.requests(1)))
        dict(
            openai.Asker(asker.endpoint, asker.api, tmp_path, "other", asker.chat | {"system": "Be brief."}).generate(
                hostile.requests(1)
            )
        )
    assert [request["messages"][0]["role"] for request in server.asked] == ["user", "system"]


def test_instructions_of_equal_text_get_draws_of_their_own(tmp_path):
    """Else eight functions for one instruction would be one function eight times."""
    one, other = hostile.requests(2, temperature=0.7, seed=3, samples=2)
    asked = [one, one._replace(sample=1), one._replace(id="twin"), one._replace(id="twin", sample=1), other]
    model = {"api": hostile.API}
    with hostile.serving(lambda server, item: (200, hostile.body(f"{item} {len(server.asked)}"), b"")) as server:
        endpoint = hostile.endpoint(server.url, at_once=1)
        chat = {"template": "own", "template_args": {}, "system": None}
        setup = Setup(model, chat, requests=asked, endpoint=endpoint, job=hostile.JOB, results=tmp_path)
        assert openai.unanswered(asked, {"model": model, "teacher": chat}, tmp_path) == 5
        answers = dict(openai.open_model(setup)(asked))
        # after a kill the rest is asked for alone, and has the same answers
        assert dict(openai.open_model(setup)(asked[2:])) == {number - 2: answers[number] for number in (2, 3, 4)}
    assert len(server.asked) == 5 and len({answer["text"] for answer in answers.values()}) == 5
    assert len({request["seed"] for request in server.asked[:4]}) == 4
    assert openai.unanswered(asked, {"model": model, "teacher": chat}, tmp_path) == 0


def test_greedy_instructions_of_equal_text_share_one_answer():
    (one,) = hostile.requests(1)
    assert openai.numbered([one, one._replace(id="twin")]) == {}


def test_a_model_that_knows_another_name_for_the_limit_gets_it_and_else_the_remedy_is_said(tmp_path):
    """Newer models of some APIs refuse `max_tokens`."""
    refused = b'{"error": {"message": "Unsupported parameter: \'max_tokens\'. Use \'max_completion_tokens\' instead."}}'

    def newer(server, item):
        known = "max_completion_tokens" in server.asked[-1] and "max_tokens" not in server.asked[-1]
        return (200, hostile.body(item), b"") if known else (400, refused, b"")

    with hostile.serving(newer) as server:
        with pytest.raises(BadInput, match="set its `token_limit: max_completion_tokens`"):
            list(hostile.asker(tmp_path, hostile.endpoint(server.url)).generate(hostile.requests(1)))
        asker = hostile.asker(tmp_path, hostile.endpoint(server.url, token_limit="max_completion_tokens"))
        assert [output["text"] for _, output in asker.generate(hostile.requests(1))] == ["item 0"]
    assert server.asked[-1]["max_completion_tokens"] == 8
