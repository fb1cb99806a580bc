"""A client against an endpoint that behaves badly: nothing is lost, paid twice, or spent beyond the cap, and the key is never seen."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import hostile_endpoint as hostile
import pytest
from teachergrid.engines import request_log, spending
from teachergrid.engines.requests import Limits
from teachergrid.engines.spending import Purse
from teachergrid.errors import BadInput
from teachergrid.job import failures

GOOD = 200, hostile.body("yes"), b""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(hostile.KEY_ENV, hostile.KEY)


def log_of(results) -> Path:
    return request_log.folder_of(results, hostile.API) / f"{hostile.JOB}.jsonl"


def spent(results) -> float:
    return Purse(results, "hostile", Limits(), "another").spent()


def ask(results, server, n, job=hostile.JOB, **settings) -> dict:
    return dict(hostile.asker(results, hostile.endpoint(server.url, **settings), job).generate(hostile.requests(n)))


def start(results, url, n) -> subprocess.Popen:
    path = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, hostile.__file__, url, str(results), str(n)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_lines(path, number):
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < number:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
def test_nothing_is_lost_or_paid_twice_by_a_hostile_endpoint_and_two_kills(tmp_path):
    n, results = 150, tmp_path / "results"
    with hostile.serving() as server:
        said = []
        for lines in (30, 90):
            client = start(results, server.url, n)
            wait_for_lines(log_of(results), lines)
            client.kill()
            said.append(client.communicate()[0])
        client = start(results, server.url, n)
        said.append(client.communicate(timeout=120)[0])
        assert client.returncode == 0, said[-1]
        answers = json.loads(said[-1].splitlines()[-1])
        # no item is lost, and each answer is at its own item
        assert {int(i): text for i, text in answers.items()} == {
            i: "" if i == 13 else f"answer to item {i}" for i in range(n)
        }
        lines = list(request_log.lines(tmp_path / "results/.requests"))
        useful = [line["key"] for line in lines if line["problem"] is None]
        assert len(useful) == len({*useful}) == n
        # each answer that was paid for is a line, but for those on their way when the client was killed
        paid = sum(server.paid.values())
        assert paid > n - 1, "the endpoint sent useless answers"
        # the item that was filtered cost nothing; those that hung may have
        of_paid = len([line for line in lines if line["usd"] > 0])
        assert of_paid >= paid - 2 * 8
        # and all count
        assert spent(results) >= paid * hostile.USD - 1e-9
        assert server.most <= 8 * 2  # a killed client's requests end at the server a little later
        before = len(server.asked)
        assert len(ask(results, server, n)) == n and len(server.asked) == before
        # another job, for more rows, sends the new ones only
        more = ask(results, server, n + 5, job="generate/another/q")
        assert len(more) == n + 5
        assert {request["messages"][0]["content"] for request in server.asked[before:]} == {
            f"item {i}" for i in range(n, n + 5)
        }
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert hostile.KEY.encode() not in written and hostile.KEY not in "".join(said)


def test_a_cap_is_never_passed_by_two_jobs_at_once(tmp_path):
    cap, errors = 40 * hostile.USD, []

    def job(server, name):
        with pytest.raises(BadInput) as found:
            ask(tmp_path, server, 100, name, cap=cap, timeout=5.0)
        errors.append(str(found.value))

    with hostile.serving(lambda server, item: GOOD) as server:
        # the two ask other things, or the second would read the answers of the first
        jobs = [threading.Thread(target=job, args=(server, f"generate/{i}/q")) for i in range(2)]
        for thread in jobs:
            thread.start()
        for thread in jobs:
            thread.join()
    paid = sum(server.paid.values()) * hostile.USD
    assert len(errors) == 2 and paid <= cap and spent(tmp_path) == pytest.approx(paid)
    # what is left is less than a request may cost
    most = hostile.PRICE.of(len("item 99") + 32, 8)
    assert paid > cap - most - 1e-9
    assert {failures.of_message(error).kind for error in errors} == {failures.MONEY}
    assert "raise its `cap_usd`" in errors[0]


def test_the_cap_of_a_run_is_never_passed_by_jobs_at_two_endpoints(tmp_path):
    cap, errors = 60 * hostile.USD, []
    spending.begin_run(tmp_path, cap)

    def job(server, number):
        of = replace(hostile.endpoint(server.url, timeout=5.0), name=f"hostile{number % 2}")
        with pytest.raises(BadInput) as found:
            dict(hostile.asker(tmp_path, of, f"generate/{number}/q").generate(hostile.requests(100)))
        errors.append(str(found.value))

    with hostile.serving(lambda server, item: GOOD) as one, hostile.serving(lambda server, item: GOOD) as other:
        jobs = [threading.Thread(target=job, args=((one, other)[i % 2], i)) for i in range(4)]
        for thread in jobs:
            thread.start()
        for thread in jobs:
            thread.join()
    paid = (one.paid.total() + other.paid.total()) * hostile.USD
    most = hostile.PRICE.of(len("item 99") + 32, 8)
    assert cap - most - 1e-9 < paid <= cap
    assert sum(sums["spent"] for sums in spending.spent_at(tmp_path).values()) == pytest.approx(paid)
    assert len(errors) == 4 and {failures.of_message(error).kind for error in errors} == {failures.MONEY}
    assert "this run would pass its `--max-usd`" in errors[0]


@pytest.mark.parametrize("wrong", ["sk-another-key-that-is-wrong", "", "two words", None])
def test_a_bad_key_is_told_by_the_name_of_its_variable(tmp_path, monkeypatch, wrong):
    if wrong is None:
        monkeypatch.delenv(hostile.KEY_ENV)
    else:
        monkeypatch.setenv(hostile.KEY_ENV, wrong)
    with hostile.serving(lambda server, item: GOOD) as server, pytest.raises(BadInput) as found:
        ask(tmp_path, server, 20)
    failure = failures.of_message(str(found.value))
    assert failure.kind == failures.KEY and hostile.KEY_ENV in failure.line
    assert not wrong or wrong not in failure.line
    assert len(server.asked) <= 8 and spent(tmp_path) == 0


def test_an_endpoint_that_is_down_is_not_asked_for_all_rows(tmp_path):
    with hostile.serving(lambda server, item: (503, b"down", b"")) as server, pytest.raises(BadInput) as found:
        ask(tmp_path, server, 500, tries=3)
    assert failures.of_message(str(found.value)).kind == failures.ENDPOINT
    assert "code 503" in str(found.value) and "not paid twice" in str(found.value)
    assert len(server.asked) <= 2 * 8 * 3 and spent(tmp_path) == 0


def test_no_connection_is_a_failure_of_the_endpoint(tmp_path):
    with hostile.serving() as server:
        pass
    with pytest.raises(BadInput, match=r"gave no answer .* no connection"):
        ask(tmp_path, server, 3, tries=2)
    assert spent(tmp_path) == 0


def test_a_request_that_never_has_an_answer_fails_after_the_others(tmp_path):
    def behave(server, item):
        return (500, b"", b"") if item == "item 2" else GOOD

    seen = []
    with (
        hostile.serving(behave) as server,
        pytest.raises(BadInput, match="no answer to 1 requests in 3 tries each, such as number 3: code 500"),
    ):
        seen.extend(hostile.asker(tmp_path, hostile.endpoint(server.url, tries=3)).generate(hostile.requests(40)))
    assert sorted(number for number, _ in seen) == [i for i in range(40) if i != 2]


@pytest.mark.slow
@pytest.mark.parametrize("said", ["0.6", "date"])
def test_a_wait_that_is_asked_for_is_kept_by_all(tmp_path, said):
    starts = []

    def behave(server, item):
        starts.append(time.time())
        if len(starts) > 1:
            return GOOD
        header = said if said != "date" else time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(starts[0] + 2))
        return 429, b"{}", f"Retry-After: {header}\r\n".encode()

    with hostile.serving(behave) as server:
        assert len(ask(tmp_path, server, 12, at_once=1, timeout=5.0)) == 12
    assert starts[1] - starts[0] > 0.55


@pytest.mark.parametrize(
    "code, content, reason",
    [
        (400, b'{"error": {"code": "content_filter"}}', "content_filter"),
        (400, b'{"error": {"message": "This model\'s maximum context length is 8192 tokens"}}', "prompt_too_long"),
        (200, hostile.body("half", "content_filter"), "content_filter"),
        (200, hostile.body(None, "content_filter"), "content_filter"),
        # a model that thought until its tokens were used up
        (200, hostile.body(None, "length"), "length"),
        (200, hostile.body("", "stop"), "stop"),
    ],
)
def test_what_ends_an_answer(tmp_path, code, content, reason):
    with hostile.serving(lambda server, item: (code, content, b"")) as server:
        output = ask(tmp_path, server, 1)[0]
        assert output == ask(tmp_path, server, 1)[0] and len(server.asked) == 1
    assert output["finish_reason"] == reason
    assert output["response_tokens"] == (1 if code == 200 else 0)
    assert spent(tmp_path) == pytest.approx(hostile.USD if code == 200 else 0)


@pytest.mark.parametrize(
    "code, content, kind",
    [
        (404, b'{"error": "no model maker/model for sk-never-to-be-seen-0123456789"}', failures.BAD_INPUT),
        (422, b"top_k is not known", failures.BAD_INPUT),
        (429, b'{"error": {"code": "insufficient_quota"}}', failures.MONEY),
        (402, b"billing", failures.MONEY),
        (403, b"no", failures.KEY),
    ],
)
def test_what_no_other_try_changes_ends_the_job(tmp_path, code, content, kind):
    with hostile.serving(lambda server, item: (code, content, b"")) as server, pytest.raises(BadInput) as found:
        ask(tmp_path, server, 50)
    failure = failures.of_message(str(found.value))
    assert failure.kind == kind and hostile.KEY not in str(found.value) and str(code) in failure.line
    # nothing of it is taken for an answer later
    assert len(server.asked) <= 8 and [*request_log.lines(tmp_path)] == []


def test_answers_on_their_way_are_written_down_before_the_job_ends(tmp_path):
    def behave(server, item):
        return (404, b"", b"") if item == "item 0" else GOOD

    with hostile.serving(behave) as server, pytest.raises(BadInput, match="code 404"):
        ask(tmp_path, server, 8)
    assert len(list(request_log.lines(tmp_path))) == sum(server.paid.values()) == 7


def test_useless_answers_are_paid_and_the_cap_sees_them(tmp_path):
    with hostile.serving(lambda server, item: (200, hostile.body(None), b"")) as server, pytest.raises(BadInput):
        ask(tmp_path, server, 1, tries=4)
    lines = list(request_log.lines(tmp_path))
    assert [line["usd"] for line in lines] == [pytest.approx(hostile.USD)] * 4
    assert all(line["problem"] and line["text"] is None for line in lines)
    assert spent(tmp_path) == pytest.approx(4 * hostile.USD)


def test_a_consumer_that_stops_leaves_nothing_uncounted(tmp_path):
    with hostile.serving(lambda server, item: GOOD) as server:
        answers = hostile.asker(tmp_path, hostile.endpoint(server.url)).generate(hostile.requests(60))
        next(answers)
        answers.close()
        time.sleep(0.1)
    assert spent(tmp_path) >= sum(server.paid.values()) * hostile.USD - 1e-9
    assert len(server.asked) < 60
