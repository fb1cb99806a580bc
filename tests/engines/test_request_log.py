"""The log of what endpoints have answered: what an answer hangs on, and what a kill or a full disk leaves."""

import errno
import os

import pytest
from teachergrid.engines import request_log
from teachergrid.engines.request_log import Log, key_of
from teachergrid.errors import BadInput

SAMPLING = {"temperature": 0.7, "top_p": 1, "top_k": 0, "max_tokens": 8, "samples": 1, "seed": 3}
MESSAGES = [{"role": "user", "content": "Hi ü"}]


def line(key, text="yes", problem=None, usd=0.5, sure=True, endpoint="e"):
    return {
        "key": key,
        "endpoint": endpoint,
        "answered_by": None,
        "text": text,
        "finish_reason": "stop",
        "prompt_tokens": 1,
        "response_tokens": 1,
        "usd": usd,
        "sure": sure,
        "problem": problem,
        "time": 0.0,
    }


def test_a_key_holds_what_decides_an_answer_and_nothing_else():
    key = key_of("api", SAMPLING, MESSAGES, 0)
    same = [
        key_of("api", SAMPLING | {"samples": 4, "max_tokens_again": 99}, MESSAGES, 0),
        key_of("api", dict(reversed(SAMPLING.items())) | {"top_p": 1.0, "temperature": 0.70}, MESSAGES, 0),
    ]
    assert {*same} == {key}
    others = [
        key_of("api2", SAMPLING, MESSAGES, 0),
        key_of("api", SAMPLING, MESSAGES, 1),
        key_of("api", SAMPLING, [{"role": "system", "content": "x"}, *MESSAGES], 0),
        *(key_of("api", SAMPLING | {name: 0.5}, MESSAGES, 0) for name in request_log.DECIDES),
    ]
    assert len({key, *others}) == len(others) + 1
    # it is the same tomorrow: all that was paid for hangs on it
    assert key == "8a2fa71447c2a317caa6466f74563162d7d0f5ef17bb9dfd5e7fe2eda29abdd2"
    greedy = SAMPLING | {"temperature": 0}
    assert key_of("api", greedy, MESSAGES, 0) == key_of("api", greedy | {"seed": None}, MESSAGES, 0)


def test_a_line_that_was_cut_off_goes_before_the_next_is_written(tmp_path):
    path = tmp_path / "api/generate/t/q.jsonl"
    with Log(path) as log:
        log.add(line("a"))
        log.add(line("b"))
    whole = path.read_bytes()
    for end in (len(whole) - 1, len(whole) - 30):
        path.write_bytes(whole[:end])
        assert [row["key"] for row in request_log.lines(tmp_path)] == ["a"]
        with Log(path) as log:
            log.add(line("c"))
        assert [row["key"] for row in request_log.lines(tmp_path)] == ["a", "c"]


def test_lines_that_are_damaged_hide_no_others(tmp_path):
    path = tmp_path / "api/generate/t/q.jsonl"
    with Log(path) as log:
        log.add(line("a"))
    good = path.read_bytes()
    path.write_bytes(b"\0\0\xff\n" + b"[1]\n" + b'{"key": "x"}\n' + good)
    assert [row["key"] for row in request_log.lines(tmp_path)] == ["a"]


def test_only_useful_answers_are_read_again_and_all_are_paid(tmp_path):
    for job, rows in {
        "a": [line("1", None, "no text"), line("1"), line("2", None, "cut", 0.25, sure=False)],
        "b": [line("1", "later"), line("3", endpoint="other")],
    }.items():
        with Log(tmp_path / request_log.REQUESTS / "api" / "generate" / f"{job}.jsonl") as log:
            for row in rows:
                log.add(row)
    found = request_log.answered(tmp_path / request_log.REQUESTS / "api", {"1", "2", "9"})
    assert {key: row["text"] for key, row in found.items()} == {"1": "yes"}
    assert request_log.paid(tmp_path, "e") == (1.5, 0.25)
    assert request_log.paid(tmp_path, "other") == (0.5, 0)
    # by job, at all endpoints together, with what perhaps was paid
    by_job = [request_log.paid_by(str(tmp_path), "generate", job) for job in ("a", "b", "c")]
    assert by_job == [1.25, 1.0, None] and request_log.paid_by(str(tmp_path), "ask", "a") is None


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path, monkeypatch):
    path, write = tmp_path / "a/b/c/d.jsonl", os.write
    with Log(path) as log:
        log.add(line("a"))
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            log.add(line("b"))
        monkeypatch.undo()
        log.add(line("c"))
    assert [row["key"] for row in request_log.lines(tmp_path)] == ["a", "c"]


def test_one_process_writes_to_a_file(tmp_path):
    path = tmp_path / "a/b/c/d.jsonl"
    with Log(path), pytest.raises(BadInput, match=r"d\.jsonl: another process"), Log(path):
        pass
    with Log(path):
        pass


@pytest.mark.parametrize("api", ["org/model", "..", ".spent", "a b:c", "ü"])
def test_any_name_of_an_api_is_one_folder(tmp_path, api):
    folder = request_log.folder_of(tmp_path, api)
    assert folder.parent == tmp_path / request_log.REQUESTS and not folder.name.startswith(".")


def test_log_probabilities_decide_an_answer_and_old_keys_stay():
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 1, "samples": 1, "seed": 0}
    asked = [{"role": "user", "content": "m or M?"}]
    keys = [request_log.key_of("api", {**sampling, **more}, asked, 0) for more in ({}, {"top_logprobs": 5})]
    assert keys[0] != keys[1]
    assert keys[0] == "028b2df604fe8403e27fe51823a44c1f8073601a9b784ec5dddaa3474faf25b5"


def test_log_probabilities_of_a_choice():
    top = [{"token": "M", "logprob": -0.5}, {"token": "m", "logprob": -1}]
    assert request_log.logprobs_of({"logprobs": {"content": [{"top_logprobs": top}]}}) == [("M", -0.5), ("m", -1.0)]
    for none in (
        {},
        {"logprobs": None},
        {"logprobs": {"content": []}},
        {"logprobs": {"content": [{"top_logprobs": [{}]}]}},
    ):
        assert request_log.logprobs_of(none) is None
