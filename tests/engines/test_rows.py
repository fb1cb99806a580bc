"""The rows of a job that generates: in their order, saved on the way, whatever the engine's order is."""

import pytest
from generations import CHAT, GREEDY
from teachergrid.engines import engine, rows
from teachergrid.engines.requests import Request, Setup
from teachergrid.store import artifacts

REQUESTS = [Request(str(i), 0, [], None, GREEDY) for i in range(7)]


def row(number, output):
    return {
        "id": REQUESTS[number].id,
        "sample": 0,
        "response": output,
        "finish_reason": "stop",
        "prompt_tokens": number,
    }


@pytest.fixture
def engines(monkeypatch):
    """An engine that works shard by shard and one that does not; both give outputs in reverse. Returns what they were asked."""
    asked = []

    def open_model(_setup):
        def generate(requests):
            asked.append([request.id for request in requests])
            for i, request in reversed(list(enumerate(requests))):
                if dying and i == 2:
                    raise KeyboardInterrupt
                yield i, f"answer {request.id}"

        return generate

    dying = []
    monkeypatch.setitem(engine.ENGINES, "shards", engine.Engine(None, open_model))
    monkeypatch.setitem(engine.ENGINES, "stream", engine.Engine(None, open_model, unused=("batch", "shard")))
    return asked, dying


def made(name, folder, shard):
    setup = Setup(None, CHAT, requests=REQUESTS, shard=shard, work=folder)
    return rows.made(name, setup, [4, 3], row, artifacts.RESPONSES, "responses")


def test_no_shard_holds_two_parts():
    assert rows.bounds_of([4, 3], 3) == [(0, 3), (3, 4), (4, 7)]
    assert rows.bounds_of([0, 2], 3) == [(0, 2)]


def test_an_engine_gets_a_shard_or_all_at_once(engines, tmp_path):
    asked, _ = engines
    by_shard, at_once = made("shards", tmp_path / "a", 3), made("stream", tmp_path / "b", 3)
    assert asked == [["0", "1", "2"], ["3"], ["4", "5", "6"], list("0123456")]
    assert [table.num_rows for table in by_shard] == [3, 1, 3]
    # row groups hang on no shard where the result does not
    assert [table.num_rows for table in at_once] == [4, 3] == [t.num_rows for t in made("stream", tmp_path / "c", 2)]
    found = [[text for table in tables for text in table["response"].to_pylist()] for tables in (by_shard, at_once)]
    assert found == [[f"answer {i}" for i in range(7)]] * 2


def test_a_kill_loses_what_was_at_work_and_shards_may_change_then(engines, tmp_path, capsys):
    asked, dying = engines
    dying.append(True)
    with pytest.raises(KeyboardInterrupt):
        made("stream", tmp_path, 2)
    dying.clear()
    # 6 5 | 4 3 were saved, 2 was at work
    whole = made("stream", tmp_path, 5)
    assert asked[1] == ["0", "1", "2"] and "4 of 7 rows are there" in capsys.readouterr().out
    assert [text for table in whole for text in table["response"].to_pylist()] == [f"answer {i}" for i in range(7)]
    assert made("stream", tmp_path, 1) == whole and len(asked) == 2


def test_what_generates_together(engines):
    assert rows.together({"engine": "shards", "batch": 5}) == 5
    assert rows.together({"engine": "stream", "batch": 5}) == rows.FULL
