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
