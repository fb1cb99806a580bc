"""What jobs spend together: promises, caps, limits per minute, and what a killed job leaves."""

import pytest
from teachergrid.engines import request_log, spending
from teachergrid.engines.requests import Limits, Price
from teachergrid.engines.spending import Purse
from teachergrid.errors import BadInput


def purse(results, job="a", **limits) -> Purse:
    return Purse(results, "e", Limits(**limits), job)


def test_a_price_is_for_a_million_tokens():
    assert Price(2, 8).of(500_000, 250_000) == 3
    assert Price(None, None).of(5, 5) == 0


def test_a_promise_holds_the_room_under_a_cap_until_it_is_settled(tmp_path):
    one, two = purse(tmp_path, cap_usd=1), purse(tmp_path, "b", cap_usd=1)
    assert one.promise(0.6, 0) == 0
    # the other's request may end cheaper than was promised
    assert two.promise(0.6, 0) is None
    one.settle(0.6, 0.3)
    assert two.promise(0.6, 0) == 0
    two.settle(0.6, 0.5)
    with pytest.raises(
        BadInput, match=r"endpoint e would pass its cap of 1 USD: 0\.8000 are spent, .* up to 0\.3000; raise"
    ):
        one.promise(0.3, 0)
    assert one.promise(0.2, 0) == 0
    assert one.spent() == pytest.approx(0.8)


def test_what_a_killed_job_had_promised_counts_as_perhaps_paid(tmp_path):
    purse(tmp_path, cap_usd=1).promise(0.7, 0)
    again = purse(tmp_path, cap_usd=1)
    again.open()
    assert again.spent() == pytest.approx(0.7)
    with pytest.raises(BadInput, match=r"0\.0000 are spent, 0\.7000 perhaps"):
        again.promise(0.7, 0)
    again.open()
    assert again.spent() == pytest.approx(0.7)


def test_limits_per_minute_hold_over_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(spending.time, "time", lambda: 1000.0)
    one, two = (purse(tmp_path, job, requests_per_minute=120, tokens_per_minute=6000) for job in "ab")
    assert [job.promise(0, 0) for job in (one, two, one, two)] == pytest.approx([0, 0.5, 1, 1.5])
    monkeypatch.setattr(spending.time, "time", lambda: 2000.0)
    assert one.promise(0, 300) == 0
    # 300 tokens take three seconds
    assert two.promise(0, 300) == pytest.approx(3)
    one.settle(0, 0, unused=200)
    assert two.promise(0, 1) == pytest.approx(4)


@pytest.mark.parametrize("content", [None, "", '{"spent": "x"}', "[]"])
def test_sums_that_are_lost_are_made_again_from_the_log(tmp_path, content):
    one = purse(tmp_path)
    row = dict.fromkeys(request_log.Line.__annotations__) | {"key": "k", "endpoint": "e", "usd": 0.4, "sure": True}
    with request_log.Log(tmp_path / ".requests/api/generate/x.jsonl") as log:
        log.add(row)
    if content is not None:
        one.path.parent.mkdir(parents=True)
        one.path.write_text(content)
    assert one.spent() == pytest.approx(0.4)


def test_a_run_has_a_cap_over_all_its_endpoints(tmp_path):
    spending.begin_run(tmp_path, 1.0)
    one, two = purse(tmp_path), Purse(tmp_path, "other", Limits(), "b")
    assert one.promise(0.7, 0) == 0
    assert two.promise(0.7, 0) is None
    one.settle(0.7, 0.5)
    with pytest.raises(
        BadInput,
        match=r"this run would pass its `--max-usd` at endpoints of 1 USD: 0\.5000 are spent, .* up to 0\.7000; raise it",
    ):
        two.promise(0.7, 0)
    assert two.promise(0.4, 0) == 0
    # a job that is killed may have paid
    again = Purse(tmp_path, "other", Limits(), "b")
    again.open()
    with pytest.raises(BadInput, match=r"0\.5000 are spent, 0\.4000 perhaps"):
        again.promise(0.2, 0)
    # the next run begins with nothing, or without a cap; what was spent at an endpoint stays
    spending.begin_run(tmp_path, 1.0)
    assert one.promise(0.9, 0) == 0
    one.settle(0.9, 0)
    spending.begin_run(tmp_path, None)
    assert one.promise(5.0, 0) == 0
    assert spending.spent_at(tmp_path) == {
        "e": {"spent": 0.5, "perhaps": 0.0, "promised": 5.0},
        "other": {"spent": 0.0, "perhaps": 0.4, "promised": 0.0},
    }


def test_who_only_looks_writes_nothing(tmp_path):
    assert spending.spent_at(tmp_path) == {} and not [*tmp_path.iterdir()]
