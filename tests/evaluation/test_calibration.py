"""Numbers about a judge, by hand and on stored judgments."""

import csv
import math

import numpy as np
import pytest
from stored_judgments import ALPACA, annotations, lines, needs_alpaca
from teachergrid.evaluation.calibration import agreement, correct, cost, length, position, rank_agreement, repeats
from teachergrid.evaluation.protocols import Verdict


def of(scores: str) -> dict:
    """Return scores by item from letters: w won, t tie, l lost, - missing."""
    return {("m", "t", str(i)): {"w": 1.0, "t": 0.5, "l": 0.0, "-": None}[letter] for i, letter in enumerate(scores)}


def test_agreement_and_kappa_by_hand():
    # 10 items: 7 the same; chance: won .5 * .6, tie .2 * .1, lost .3 * .3
    found = agreement(of("wwwwwttlll"), of("wwwwlwtllw"))
    assert found.n == 10 and found.agreement == pytest.approx(0.7)
    chance = 0.5 * 0.6 + 0.2 * 0.1 + 0.3 * 0.3
    assert found.kappa == pytest.approx((0.7 - chance) / (1 - chance))
    assert (found.n_decided, found.decided) == (8, 6 / 8)
    # what one of them lacks is left out
    assert agreement(of("w-lw"), of("wwl-")).n == 2 and agreement(of("w"), {}) == (0, None, None, None, 0)
    # where nearly all lose, agreement by chance is high, and kappa shows it
    often = agreement(of("l" * 98 + "wl"), of("l" * 98 + "lw"))
    assert often.agreement == pytest.approx(0.98) and often.kappa < 0
    assert agreement(of("lll"), of("lll")).kappa is None
    assert agreement(of("wtl"), of("wtl")).kappa == pytest.approx(1)


def test_position():
    pairs = [(1, 1), (0, 0), (1, 0), (1, 0), (0, 1), (0.5, 1), (0.5, 0.5), (0.9, 0.6)]
    found = position([*(Verdict(None, first=a, second=b) for a, b in pairs), Verdict(1, first=1), Verdict(None)])
    assert found == (8, 3 / 8, 4 / 8, 2 / 3)
    assert position([Verdict(1, first=1, second=1)]) == (1, 0, 0, None) and position([]).n == 0


def test_length():
    assert length([2, -1, 0], [1, 1, 1]) == (2, 0.5)  # equal lengths tell nothing
    assert length([2, -1, 0], [0.5, None, 0.2]) == (0, None)


def test_whether_the_right_answer_wins():
    # a right answer wins, one loses, a wrong one loses, a tie counts half; two right answers and a missing verdict tell nothing
    assert correct([1, 1, -1, 1, 0, 1], [0.9, 0, 0, 0.5, 1, None]) == (4, 2.5 / 4)
    assert correct([0, 0.5], [1, 1]) == (0, None)


def test_repeats():
    found = repeats({("m", "t", "1"): [1, 1, 0], ("m", "t", "2"): [0.5, 0.5], ("m", "t", "3"): [1, None]})
    assert (found.n, found.changes) == (2, 2 / 4)
    assert found.deviation == pytest.approx(math.sqrt((1 / 3 + 0) / 2))
    assert repeats({("m", "t", "1"): [1.0]}) == (0, None, None)


def test_cost():
    assert cost([0.25, None, 0.75]) == (3, 1, 0.5, 1)
    assert cost([None, None]) == (2, None, None, 2) and cost([]).usd is None


def test_rank_agreement():
    assert rank_agreement({"a": 1, "b": 2, "c": 3, "x": 9}, {"a": 10, "b": 30, "c": 20}) == (3, pytest.approx(0.5))
    assert rank_agreement({"a": 1, "b": 2}, {"a": 1, "b": 2}) == (2, None)
    assert rank_agreement({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 3}) == (3, None)


# --- stored


@needs_alpaca
def test_length_controlled_win_rates_rank_models_as_people_do():
    with open(ALPACA / "benchmarks_arena_elo.csv") as file:
        rows = list(csv.DictReader(file))
    lc, wr, elo = (
        {row["Model"]: float(row[name]) for row in rows if row[name]}
        for name in ("LC AlpacaEval 2.0", "AlpacaEval 2.0", "Arena Elo\n[Feb 2, 2024]")
    )
    n, rho = rank_agreement(lc, elo)
    assert n == 37 and rho == pytest.approx(0.9746295, abs=1e-7)
    both = {model: rate for model, rate in wr.items() if model in lc}
    assert rank_agreement(both, elo)[1] == pytest.approx(0.9305, abs=5e-5)


@needs_alpaca
def test_a_real_judge():
    models = ("claude-2", "FuseChat-Llama-3.2-1B-Instruct")
    one, other = (
        {("m", "alpaca", str(row["index"])): (row["preference"] or 1.5) - 1 for row in annotations(model)}
        for model in models
    )
    same = agreement(one, dict(one))
    assert same.agreement == same.kappa == 1
    crossed = agreement(one, other)
    assert crossed.n == 805 and crossed.kappa < crossed.agreement
    paid = [row["price_per_example"] for row in lines(ALPACA / "raw_judge_completions_claude-2.jsonl")]
    usd = [None if value is None or np.isnan(value) else value for value in paid]
    assert cost(usd).usd == pytest.approx(7.79, abs=0.01)
