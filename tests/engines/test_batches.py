"""Batches at an endpoint that behaves badly: nothing is lost or paid twice, whenever the client is killed, and the cap holds."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import hostile_endpoint as hostile
import pytest
from teachergrid.engines import batches, openai, request_log, spending
from teachergrid.engines.requests import Endpoint
from teachergrid.errors import BadInput
from teachergrid.job import failures

GOOD = 200, hostile.body("yes"), b""
N = 40


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(hostile.KEY_ENV, hostile.KEY)


def log_of(results) -> Path:
    return request_log.folder_of(results, hostile.API) / f"{hostile.JOB}.jsonl"


def ask(results, server, n, cap=None, job=hostile.JOB, **settings) -> dict:
    of = hostile.endpoint(server.url, cap, **{"batch": True, "timeout": 2.0, **settings})
    return dict(hostile.asker(results, of, job).generate(hostile.requests(n)))


def start(results, url) -> subprocess.Popen:
    path = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, hostile.__file__, url, str(results), str(N), "batch"]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def sums(results) -> spending.Spent:
    return spending.spent_at(results)["hostile"]


def answered(texts: dict) -> bool:
    return {int(i): text for i, text in texts.items()} == {i: f"answer to item {i}" for i in range(N)}


def test_answers_of_a_batch_are_lines_and_paid_once(tmp_path):
    with hostile.serving(lambda server, item: (200, hostile.body(f"answer to {item}"), b"")) as server:
        outputs = ask(tmp_path, server, N)
        assert answered({i: output["text"] for i, output in outputs.items()})
        assert len(server.batches) == 1 and server.asked[0]["max_tokens"] == 8
        again = ask(tmp_path, server, N + 1)
        assert len(again) == N + 1 and len(server.batches) == 2 and len(server.asked) == N + 1
    lines = list(request_log.lines(tmp_path))
    assert {line["batch"] for line in lines} == {"batch_0", "batch_1"} and len(lines) == N + 1
    assert sums(tmp_path) == {"spent": pytest.approx((N + 1) * hostile.USD), "perhaps": 0, "promised": 0}
    assert not log_of(tmp_path).with_suffix(".batches").exists()


def test_nothing_is_lost_or_paid_twice_by_a_hostile_endpoint(tmp_path):
    dice = random.Random(1)

    def hurt(method, path):
        bad = [
            (429, b"{}", b"Retry-After: 0.1\r\n"),
            (500, b"oops", b""),
            None,
            (200, b"<html>", b""),
            (200, b"{}", b""),
        ]
        place = int(dice.random() * 15)
        # what is no JSON is a file's content like any other
        return bad[place] if place < (3 if path.endswith("/content") else 5) else "fine"

    with hostile.serving() as server:
        server.hurt = hurt
        outputs = ask(tmp_path, server, 60)
        assert {i: output["text"] for i, output in outputs.items()} == {
            i: "" if i == 13 else f"answer to item {i}" for i in range(60)
        }
        made = {batch["input_file_id"] for batch in server.batches.values()}
        assert len(made) == len(server.batches) > 1, "no batch is made twice of one file"
        paid = server.paid.total()
    lines = list(request_log.lines(tmp_path))
    assert len([line for line in lines if line["problem"] is None]) == 60
    # what a completed batch has no line for may have been paid
    assert len([line for line in lines if line["sure"] and line["usd"]]) == paid
    assert (
        sums(tmp_path)["spent"] <= paid * hostile.PRICE.of(len("item 99") + 32, 8) and sums(tmp_path)["promised"] == 0
    )
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert hostile.KEY.encode() not in written


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["uploaded", "created", "waiting", "answered"])
def test_a_killed_client_takes_its_batch_up_again(tmp_path, moment):
    """Also where it was killed after the endpoint had made the batch, and before it said so."""
    kept = log_of(tmp_path).with_suffix(".batches")
    with hostile.serving(lambda server, item: (200, hostile.body(f"answer to {item}"), b"")) as server:
        held = {"uploaded": ("POST", "/files"), "created": ("POST", "/batches")}.get(moment)
        server.polls = 10**9 if moment == "waiting" else 1
        server.hurt = lambda method, path: (
            30.0 if (method, path) == held or (moment, path[-8:]) == ("answered", "/content") else "fine"
        )
        client = start(tmp_path, server.url)
        has_come = {
            "uploaded": lambda: server.files,
            "created": lambda: server.batches,
            "waiting": lambda: any(batch["asked"] for batch in server.batches.values()),
            "answered": lambda: any(batch["status"] == "completed" for batch in server.batches.values()),
        }
        wait_for(has_come[moment])
        client.kill()
        said = client.communicate()[0]
        [batch] = json.loads(kept.read_text())
        assert (batch["file"] is None, batch["id"] is None) == (moment == "uploaded", moment in ("uploaded", "created"))
        assert sums(tmp_path)["promised"] > 0 and sums(tmp_path)["spent"] == 0
        server.polls, server.hurt = 1, lambda method, path: "fine"
        client = start(tmp_path, server.url)
        said += client.communicate(timeout=60)[0]
        assert client.returncode == 0, said
        assert answered(json.loads(said.splitlines()[-1]))
        assert len(server.batches) == 1 and set(server.paid.values()) == {1} and len(server.asked) == N
    assert sums(tmp_path) == {"spent": pytest.approx(N * hostile.USD), "perhaps": 0, "promised": 0}
    assert hostile.KEY not in said and not kept.exists()


@pytest.mark.parametrize(("owner", "name"), [(spending.Purse, "end"), (batches, "keep")])
def test_a_kill_between_the_lines_and_the_sums_counts_no_line_twice(tmp_path, monkeypatch, owner, name):
    real = getattr(owner, name)

    def killed(*args, **more):
        if name == "end" or more.get("is_over"):
            raise KeyboardInterrupt
        return real(*args, **more)

    with hostile.serving(lambda server, item: GOOD) as server:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, killed)
            with pytest.raises(KeyboardInterrupt):
                ask(tmp_path, server, N)
        assert len(list(request_log.lines(tmp_path))) == N
        assert len(ask(tmp_path, server, N)) == N and len(server.batches) == 1
    assert len(list(request_log.lines(tmp_path))) == N
    assert sums(tmp_path) == {"spent": pytest.approx(N * hostile.USD), "perhaps": 0, "promised": 0}


def test_a_batch_of_an_earlier_run_comes_first_though_none_are_wanted_now(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with hostile.serving(lambda server, item: GOOD) as server:
        with monkeypatch.context() as patched:
            patched.setattr(batches, "replies_of", killed)
            with pytest.raises(KeyboardInterrupt):
                ask(tmp_path, server, N)
        # the plan does not count what was sent
        asked = hostile.requests(N + 3)
        settings = {"model": {"api": hostile.API}, "teacher": {"system": None}}
        assert openai.unanswered(asked, settings, tmp_path) == 3
        # at another endpoint its answers cannot be had
        other = Endpoint("other", server.url, hostile.KEY_ENV, hostile.PRICE)
        with pytest.raises(
            BadInput, match=r"a batch at endpoint hostile is not over \(batch_0\).*remove the file \.batches"
        ):
            dict(hostile.asker(tmp_path, other).generate(hostile.requests(N)))
        assert len(ask(tmp_path, server, N + 3, batch=False)) == N + 3
        assert len(server.batches) == 1 and len(server.asked) == N + 3
    assert sums(tmp_path) == {"spent": pytest.approx((N + 3) * hostile.USD), "perhaps": 0, "promised": 0}


def test_a_cap_counts_all_of_a_batch_and_is_never_passed(tmp_path):
    cap = 25 * hostile.USD
    with hostile.serving(lambda server, item: GOOD) as server:
        with pytest.raises(BadInput, match=r"endpoint hostile would pass its cap of .* raise its `cap_usd`"):
            ask(tmp_path, server, N, cap=cap)
        paid = server.paid.total() * hostile.USD
        most = hostile.PRICE.of(len("item 99") + 32, 8)
        # smaller batches follow the first, until not even one request fits
        assert len(server.batches) > 1 and cap - most - 1e-9 < paid <= cap
        assert sums(tmp_path) == {"spent": pytest.approx(paid), "perhaps": 0, "promised": 0}
        sent = len(server.asked)
        assert len(ask(tmp_path, server, N, cap=1.0)) == N and len(server.asked) == N > sent


def test_what_expired_is_sent_again_and_paid_once(tmp_path):
    done = []

    def behave(server, item):
        done.append(item)
        server.ends = "completed" if len(server.batches) > 1 else "expired"
        return 2.0 if len(server.batches) == 1 and len(done) > 15 else GOOD

    with hostile.serving(behave) as server:
        server.ends = "expired"
        assert len(ask(tmp_path, server, N)) == N
        assert len(server.batches) == 2 and set(server.paid.values()) == {1}
    assert sums(tmp_path)["spent"] == pytest.approx(N * hostile.USD) and sums(tmp_path)["perhaps"] == 0


@pytest.mark.parametrize(
    ("ends", "kind", "words"),
    [
        ("failed", failures.BAD_INPUT, "refuses a batch: .*line 1 is not understood.* set its `batch: false`"),
        (
            "cancelled",
            None,
            "batch batch_0 at endpoint hostile was cancelled; run again to send what it has not answered",
        ),
    ],
)
def test_a_batch_that_ends_badly_costs_nothing(tmp_path, ends, kind, words):
    with hostile.serving(lambda server, item: GOOD) as server:
        server.ends = ends
        with pytest.raises(BadInput, match=words) as found:
            ask(tmp_path, server, N)
        assert kind is None or failures.of_message(str(found.value)).kind == kind
        assert sums(tmp_path) == {"spent": 0, "perhaps": 0, "promised": 0}
        server.ends = "completed"
        assert len(ask(tmp_path, server, N)) == N


def test_a_request_that_never_has_a_useful_answer_fails_after_the_others(tmp_path):
    def behave(server, item):
        return (500, b"{}", b"") if item == "item 2" else GOOD

    with hostile.serving(behave) as server:
        with pytest.raises(
            BadInput, match="no answer to 1 requests in 3 batches each, such as number 3: code 500"
        ) as found:
            ask(tmp_path, server, N, tries=3)
        assert failures.of_message(str(found.value)).kind == failures.ENDPOINT
        assert len(server.batches) == 3 and len(list(request_log.lines(tmp_path))) == N - 1


def test_a_server_without_batches_and_a_wrong_key_are_told(tmp_path, monkeypatch):
    with hostile.serving(lambda server, item: GOOD) as server:
        server.hurt = lambda method, path: (404, b'{"detail": "Not Found"}', b"")
        with pytest.raises(BadInput, match="code 404"):
            ask(tmp_path, server, N)
        # it takes files, and no batch of them
        server.hurt = lambda method, path: (400, b"{}", b"") if path == "/batches" else "fine"
        with pytest.raises(BadInput, match=r"code 400: \{\}; .*without batches: `batch: false`"):
            ask(tmp_path, server, N)
        monkeypatch.setenv(hostile.KEY_ENV, "sk-wrong")
        with pytest.raises(BadInput) as found:
            ask(tmp_path, server, N)
        assert failures.of_message(str(found.value)).kind == failures.KEY and "sk-wrong" not in str(found.value)
    assert sums(tmp_path) == {"spent": 0, "perhaps": 0, "promised": 0}
    assert not log_of(tmp_path).with_suffix(".batches").exists()


def test_many_requests_are_several_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MOST", 15)
    with hostile.serving(lambda server, item: GOOD) as server:
        assert len(ask(tmp_path, server, N)) == N
        assert sorted(len(server.files[one["input_file_id"]].splitlines()) for one in server.batches.values()) == [
            10,
            15,
            15,
        ]
        monkeypatch.setattr(batches, "MOST_BYTES", 1000)
        assert len(ask(tmp_path / "other", server, N)) == N
    sizes = [len(content) for name, content in server.files.items() if name.startswith("file-") and name[5:].isdigit()]
    assert max(sizes[3:]) <= 1000
