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
    return rows.made(name, setup, [4, 3], row, artifacts.RESPONSES, "responses").tables


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


@pytest.mark.parametrize("name", ["shards", "stream"])
def test_only_what_was_cut_off_is_tried_again_and_both_are_kept(tmp_path, monkeypatch, name):
    """A response of `length` words under a limit; the load is shared, and a kill in the second try loses nothing of the first."""
    asked, opened = [], []

    def open_model(_setup):
        opened.append(name)

        def generate(requests):
            asked.append([(int(request.id), request.sampling["max_tokens"]) for request in requests])
            for i, request in enumerate(requests):
                yield i, min(int(request.id), request.sampling["max_tokens"])

        return generate

    unused = () if name == "shards" else ("batch", "shard")
    monkeypatch.setitem(engine.ENGINES, name, engine.Engine(None, open_model, unused=unused))
    sampling = GREEDY | {"max_tokens": 3, "max_tokens_again": 5}
    requests = [Request(str(i), 0, [], None, sampling) for i in (1, 9, 2, 4, 7)]
    # a task that has no second try
    requests.append(Request("8", 0, [], None, GREEDY | {"max_tokens": 3}))

    def row(number, length):
        request = requests[number]
        limit = 5 if length > 3 else request.sampling["max_tokens"]
        reason = "length" if length == limit and int(request.id) >= limit else "stop"
        return {"id": request.id, "sample": 0, "response": "w" * length, "finish_reason": reason, "prompt_tokens": 1}

    def made():
        setup = Setup(None, CHAT, requests=requests, shard=2, work=tmp_path)
        return rows.made(name, setup, [4, 2], row, artifacts.RESPONSES, "responses")

    found = made()
    lengths = [len(text) for table in found.tables for text in table["response"].to_pylist()]
    assert lengths == [1, 5, 2, 4, 5, 3]
    assert [reason for table in found.tables for reason in table["finish_reason"].to_pylist()] == [
        *("stop", "length", "stop", "stop", "length", "length")
    ]
    assert [table.num_rows for table in found.tables] == ([2, 2, 2] if name == "shards" else [4, 2])
    assert found.cut["id"].to_pylist() == ["9", "4", "7"] and set(found.cut["response"].to_pylist()) == {"www"}
    assert [one for several in asked for one in several if one[1] == 5] == [(9, 5), (4, 5), (7, 5)]
    assert len(opened) == 1
    count = len(asked)
    assert made() == found and len(asked) == count, "all was saved"
    for path in (tmp_path / "again").glob("*.parquet"):
        path.unlink()
    assert made() == found and all(limit == 5 for several in asked[count:] for _, limit in several)
