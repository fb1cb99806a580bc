"""The value of each formula by hand, and what holds whatever the numbers: monotone, scaled, of one token."""

import math

import numpy as np
import pytest
from four_rows import ALL, BY_HAND, CHAT, PLAIN, RANKS, REWARD, SURE, TEXT, four, measured, value, with_ranks
from tables import entry
from teachergrid.metrics.formulas import FORMULAS
from teachergrid.metrics.measure import per_response
from teachergrid.metrics.variants import Metric


@pytest.mark.parametrize("formula", BY_HAND)
def test_values_by_hand(formula):
    rows = four(chat=with_ranks())
    assert value(formula, rows, reward="rm", threshold=[0.5]) == pytest.approx(BY_HAND[formula], rel=1e-12)


def test_every_formula_is_tested_or_belongs_to_the_grid():
    of_the_grid = {"size", "own_score", "borrowed", "random"}
    assert set(FORMULAS) - set(BY_HAND) == of_the_grid
    assert measured({name: entry(name) for name in of_the_grid}) == {}


WITHOUT_END = {
    "car_mean": 0.5 / (1 + (1 + 2 + 0.5 + 2 / 9) / 4),
    "car_sum": 0.5 / (1 + (3 + 8 + 0.5 + 2) / 4),
    "nll_mean": (1 + 2 + 0.5 + 2 / 9) / 4,
    "ppl": math.exp(13.5 / 17),
    "ifd_loss": (0.5 + 2 + 0.5 + 2 / 9) / 4,
    "ic_ifd_loss": (0.25 + 2 + 0.125 + 2 / 9) / 4,
    "rsr": (4 / 3 + 1 + 1 + 1) / (1 + 2 + 0.5 + 2 / 9),
}


@pytest.mark.parametrize("formula", WITHOUT_END)
def test_end_tokens_are_left_out_where_the_entry_says_so(formula):
    rows = four(chat=with_ranks())
    assert value(formula, rows, reward="rm", end_token=False) == pytest.approx(WITHOUT_END[formula], rel=1e-12)


def test_lark_compares_the_responses_to_an_instruction():
    """Against the formula as it is printed, with the losses and Brier scores of the four rows; two and two answer the same."""

    def same_instruction(rows):
        return {("i1" if i < 2 else "i2", i): row for i, row in enumerate(rows.values())}

    rows = four(*map(same_instruction, (TEXT, REWARD, CHAT)), same_instruction(PLAIN), same_instruction(SURE))
    values, reasons = per_response(Metric(entry("lark")), rows)
    loss, brier = [1, 2, 0.5, 0.5], [0.5, 1, 0.25, 0.3]
    for i, others in enumerate(([0, 1], [0, 1], [2, 3], [2, 3])):
        whole = sum(loss[j] for j in others)
        rho = [b / x for b, x in zip(brier, loss, strict=True)]
        mean = sum(rho[j] * loss[j] for j in others) / whole
        assert values[i] == pytest.approx(loss[i] / whole * (2 * rho[i] - mean), rel=1e-12)
    assert reasons.tolist() == [""] * 4
    # a response without likelihoods is no candidate
    alone = dict(same_instruction(CHAT)) | {("i1", 1): "question too long"}
    values, reasons = per_response(
        Metric(entry("lark")),
        four(*map(same_instruction, (TEXT, REWARD)), alone, sure=same_instruction(SURE), plain=same_instruction(PLAIN)),
    )
    assert values[0] == pytest.approx(0.5) and reasons[1] == "question too long"


def test_without_distributions_the_metrics_of_them_say_so():
    rows = measured({"m": entry("lark", format="plain")}, four(plain=PLAIN))
    assert rows["lark/plain"]["reason"] == (
        "no distributions by 'self' in plain format (config.likelihood.distributions)"
    )


def test_plain_format():
    assert value("nll_mean", four(plain=PLAIN), format="plain") == 2.5


def test_beta_sweep_falls_from_the_mean_reward():
    betas = [0, 0.5, 1, 3]
    rows = measured({"car": entry("car_mean", reward="rm", beta=betas)})
    swept = [rows[f"car_mean/rm/chat/beta={beta:g}"]["value"] for beta in betas]
    assert swept == pytest.approx([0.5, 0.5 / 1.5, 0.25, 0.125])


@pytest.mark.parametrize("formula", ["car_mean", "car_pooled", "car_sum", "car_each"])
def test_car_of_a_teacher_whose_answers_are_all_wrong_is_0(formula):
    """The surest loser stays in the ranking."""
    wrong = four(reward=dict.fromkeys(REWARD, 0.0))
    row = next(iter(measured({"car": entry(formula, reward="rm")}, wrong).values()))
    assert (row["value"], row["low"], row["high"], row["n"], row["reason"]) == (0, 0, 0, 4, None)


@pytest.mark.parametrize("shift", [-0.51, -2])
def test_car_with_a_negative_mean_reward_is_undefined(shift):
    lower = four(reward={key: reward + shift for key, reward in REWARD.items()})
    row = measured({"car": entry("car_mean", reward="rm")}, lower)["car_mean/rm/chat/beta=1"]
    assert "value" not in row and "low" not in row
    assert row["reason"] == "mean reward below 0: CAR is undefined (state `offset`)"
    rows = measured({"car": entry("car_mean", reward="rm", offset=-shift)}, lower)
    assert rows[f"car_mean/rm+offset={-shift:g}/chat/beta=1"]["value"] == pytest.approx(0.25)


def test_a_variant_that_is_not_the_papers_says_so():
    """IC-IFD is published without template and end token, IFD without end token."""
    rows = measured({"ic": entry("ic_ifd_loss"), "ifd": entry("ifd_loss")}, four(plain=PLAIN))
    unlike = {name for name, row in rows.items() if "Not the paper's variant" in row["description"]}
    assert unlike == {f"ic_ifd_loss/{rest}" for rest in ("chat", "chat/no-end", "plain")} | {
        "ifd_loss/chat",
        "ifd_loss/plain",
    }
    assert rows["ic_ifd_loss/chat"]["description"].endswith(
        "here in a chat template, with the end token; there without a chat template, without the end token"
    )


def times(factor: float, chat=CHAT):
    """The same with all log-probabilities of answers times a factor."""
    return {key: (*row[:4], *(factor * value for value in row[4:6]), *row[6:]) for key, row in chat.items()}


RISE_WITH_LOSS = [
    "nll_mean",
    "ppl",
    "ppl_mean",
    "ifd_loss",
    "ifd_ppl",
    "ic_ifd_loss",
    "ic_ifd_ppl",
    "ic_ifd_reverse_loss",
    "ifd_power",
]


@pytest.mark.parametrize("formula", [*RISE_WITH_LOSS, "car_mean", "car_pooled", "car_sum", "car_each", "grape", "rsr"])
def test_monotone_in_the_loss(formula):
    losses = [four(chat=with_ranks(times(factor))) for factor in (0.5, 1, 1.5, 4)]
    steps = np.diff([value(formula, rows, reward="rm") for rows in losses])
    assert (steps > 0).all() if formula in RISE_WITH_LOSS else (steps < 0).all()


@pytest.mark.parametrize("formula", ["car_mean", "car_pooled", "car_sum", "car_each"])
def test_scales_of_reward_and_beta(formula):
    """CAR is in the reward's unit, and beta in that of one over the loss."""
    own = value(formula, reward="rm", beta=[0.3])
    tripled = four(reward={key: 3 * reward for key, reward in REWARD.items()})
    assert value(formula, tripled, reward="rm", beta=[0.3]) == pytest.approx(3 * own)
    assert value(formula, four(chat=times(3)), reward="rm", beta=[0.1]) == pytest.approx(own)


def test_the_family_over_lambda_ranks_as_its_members():
    for power, member in ((0, "ifd_loss"), (1, "ic_ifd_loss"), (-1, "ic_ifd_reverse_loss")):
        values, _ = per_response(Metric(entry("ifd_power"), power), four())
        assert np.exp(values) == pytest.approx(per_response(Metric(entry(member)), four())[0])
    swept = measured({"m": entry("ifd_power", power=[0.5, 2])})
    assert [row["power"] for row in swept.values()] == [0.5, 2, 0.5, 2]


def test_share_above_a_threshold_falls_with_it():
    rows = measured({"m": entry("reward_share", reward="rm", threshold=[-1, 0, 0.5, 1])})
    assert [(row["threshold"], row["value"]) for row in rows.values()] == [(-1, 1), (0, 0.75), (0.5, 0.25), (1, 0)]


def test_ties_everywhere():
    same = dict.fromkeys(CHAT, CHAT["i1", 0])
    ranks = dict.fromkeys(CHAT, RANKS["i1", 0])
    sure = dict.fromkeys(SURE, SURE["i1", 0])
    rows = four(dict.fromkeys(TEXT, "a b c d"), dict.fromkeys(TEXT, 1.0), with_ranks(same, ranks), sure=sure)
    for row in measured(ALL, rows, rounds=50).values():
        assert row["value"] is not None
        if not FORMULAS[row["formula"]].text_function:
            assert row["low"] == pytest.approx(row["value"]) == row["high"]
    assert value("self_similarity", rows) == pytest.approx(1)


def test_answers_of_one_token():
    one = {key: (2, 1, 0, -2, -0.5, 0, -1, 0) for key in TEXT}
    rows = four(dict.fromkeys(TEXT, "yes"), chat=with_ranks(one, {key: [3] for key in TEXT}))
    found = measured(ALL, rows, rounds=20)
    assert found["rsr/chat"]["value"] == 6 and found["ifd_loss/chat"]["value"] == 0.5
    undefined = {name for name, row in found.items() if row.get("value") is None}
    assert undefined == {"distinct_2", "distinct_3", "distinct_4", "self_similarity"}
    assert {found[name]["reason"] for name in undefined} == {"too little text"}
