"""What jobs cost together: by stage, by teacher, by reason."""

import math
import random
from collections import Counter

import pytest
from plan_documents import chain, grid, job
from teachergrid.cost.actuals import GUESSED
from teachergrid.cost.estimate import JOB, Z
from teachergrid.planning import sums


def test_prices_that_are_unknown_are_counted_and_not_summed():
    some = sums.summed([job("a 1", 1), job("b 1", 3, usd_per_hour=None), job("c 1", 0) | {"kwh": None}])
    assert (some["usd"], some["unpriced"]) == ({"low": 1, "expected": 2, "high": 4}, 1)
    assert (some["kwh"], some["gpu_hours"]["expected"], some["cpu_hours"]["expected"]) == (4, 4, 0)
    unknown = sums.summed([job("b 1", 3, usd_per_hour=None) | {"kwh": None}])
    assert unknown["usd"] is None and unknown["kwh"] is None
    # nothing to do costs nothing, which is known
    nothing = sums.summed([])
    assert nothing["usd"] == {"low": 0, "expected": 0, "high": 0} and nothing["kwh"] == 0


def test_blocked_jobs_and_sources_are_counted():
    jobs = [job("a 1", 1) | {"blocked": "no such GPU"}, job("b 1", 1) | {"source": "measured"}, job("c 1", 1)]
    some = sums.summed(jobs)
    assert some["blocked"] == 1 and some["sources"] == {"analytic": 2, "measured": 1}


def test_stages_come_in_the_order_of_the_workflow_with_what_is_reused():
    rules = ["load_instructions", "generate", "check", "finetune"]
    rows = sums.by_stage(grid()["jobs"], rules, Counter(load_instructions=3, finetune=1))
    assert [(row["stage"], row["jobs"], row["reused"]) for row in rows] == [
        ("load_instructions", 0, 3),
        ("generate", 3, 0),
        ("finetune", 12, 1),
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("teacher", [("big", 16), ("mid", 10), ("small", 7)]),
        # 15 hours of responses depend on no base; they come last however much they cost
        ("base", [("w", 12), ("q", 6), (None, 15)]),
    ],
)
def test_the_costliest_teacher_and_base_come_first(word, expected):
    rows = sums.by_word(grid()["jobs"], word)
    assert [(row[word], row["gpu_hours"]["expected"]) for row in rows] == expected


def test_a_reason_has_its_own_jobs_and_those_that_follow_from_them():
    document = chain()
    document["jobs"][1] |= {"reason": "new teacher", "because": {"reason": "new teacher", "detail": "large"}}
    first, new = sums.by_reason(document["jobs"])
    assert (first["reason"], first["direct"], first["jobs"], first["details"]) == ("first run", 1, 2, [])
    assert (new["reason"], new["direct"], new["jobs"]) == ("new teacher", 1, 1)
    assert new["details"] == [{"detail": "large", "jobs": 1}]


def spread(hours: float) -> dict:
    return {"low": hours / 2, "expected": hours, "high": hours * 2}


def test_the_range_of_a_sum_is_narrower_than_the_sum_of_ranges_and_wider_than_that_of_luck():
    assert sums.together([("a", spread(4), 1)]) == spread(4) and sums.together([]) == dict.fromkeys(spread(1), 0)
    # four jobs of a rule: variance 4 x 1 x 0.4 + (4 x 1)^2 x 0.6
    same = sums.together([("a", spread(1), 1)] * 4)
    assert same == {
        "low": pytest.approx(4 - 0.5 * 11.2**0.5),
        "expected": 4,
        "high": pytest.approx(4 + 11.2**0.5),
    }
    # of two rules: 2 x 4^2 x 0.7 + (2 x 4)^2 x 0.3
    assert sums.together([("a", spread(4), 1), ("b", spread(2), 2)])["high"] == pytest.approx(8 + 41.6**0.5)


def test_sums_hold_90_percent_of_what_is_drawn():
    """Jobs with an error of their own, one of their rule and one of all: as an estimate has them, by deviations of cost."""
    draw = random.Random(1)
    own, rule, every = JOB, 0.4, GUESSED * 0.5
    wide = math.exp(Z * math.sqrt(own**2 + rule**2 + every**2))
    jobs = [
        (name, size)
        for name, n, size in (("generate", 8, 50), ("finetune", 20, 5), ("likelihood", 20, 2))
        for _ in range(n)
    ]
    found = sums.together((name, {"low": n / wide, "expected": n, "high": n * wide}, 1) for name, n in jobs)
    inside = 0
    for _ in range(500):
        shared, of_rule = (
            draw.gauss(0, every),
            {name: draw.gauss(0, rule) for name in ("generate", "finetune", "likelihood")},
        )
        took = sum(n * math.exp(shared + of_rule[name] + draw.gauss(0, own)) for name, n in jobs)
        inside += found["low"] <= took <= found["high"]
    assert 0.86 * 500 < inside < 0.97 * 500


def test_the_probe_that_narrows_most():
    guess, probe = 4.0, math.exp(Z * math.hypot(JOB, 0.2))

    def wide(name, hours):
        seconds = {"low": 3600 * hours / guess, "expected": 3600 * hours, "high": 3600 * hours * guess}
        return job(name, hours) | {"seconds": seconds}

    jobs = [wide("generate a", 80), wide("finetune b", 10), wide("likelihood c", 10) | {"source": "measured"}]
    found = sums.narrowing(jobs)
    assert (found["rule"], found["of"], found["share"]) == ("generate", "gpus", 0.8)
    assert found["before"] == sums.summed(jobs)["gpu_hours"]
    assert found["before"]["low"] < found["after"]["low"] < found["after"]["high"] < found["before"]["high"]
    [alone] = [sums.narrowing(jobs[:1])]
    assert alone["after"] == pytest.approx({"low": 80 / probe, "expected": 80, "high": 80 * probe}, rel=1e-4)
    # what is measured is as sure as it gets, and what is nearly as sure needs no probe
    assert sums.narrowing([one | {"source": "measured"} for one in jobs]) is None and sums.narrowing([]) is None
    assert sums.narrowing([job("generate a", 80)]) is None


def test_where_lengths_come_from_and_what_an_engine_costs():
    jobs = [
        job("generate a", 4) | {"lengths": "alike", "texts": 0.5, "engine": "transformers"},
        job("generate b", 2) | {"lengths": "alike", "texts": 1.5, "engine": "transformers"},
        job("check c", 1) | {"lengths": "", "texts": 0.0, "engine": None},
    ]
    assert sums.summed(jobs)["lengths"] == {"alike": {"jobs": 2, "weight": 1.0}}
    [row] = sums.by_engine(jobs)
    assert (row["engine"], row["jobs"], row["gpu_hours"]["expected"]) == ("transformers", 2, 6)


def test_what_an_endpoint_is_asked_for_and_a_price_that_is_unknown():
    usd = {"low": 1.0, "expected": 2.0, "high": 4.0}
    asks = {"endpoint": "api", "requests": 10, "prompt_tokens": 500, "response_tokens": 900, "usd": usd}
    jobs = [
        job("generate a", 1) | {"asks": asks},
        job("generate b", 1) | {"asks": asks | {"requests": 5}},
        job("check", 1),
    ]
    jobs.append(job("generate c", 1) | {"asks": asks | {"endpoint": "other", "usd": None}})
    api, other = sums.by_endpoint(jobs)
    assert (api["endpoint"], api["jobs"], api["requests"], api["prompt_tokens"], api["response_tokens"]) == (
        "api",
        2,
        15,
        1000,
        1800,
    )
    assert api["usd"]["expected"] == 4 and other["usd"] is None and other["requests"] == 10
